//! Answers that no session waits for are on record all the same.

use sallyport_audit::record::Record;
use sallyport_recorder::client::{Durability, Evidence, Limits};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Config, Log};
use sallyport_recorder::metrics::LogMetrics;

use super::*;

/// A log of its own.
fn log(directory: &std::path::Path) -> Log {
    let named = |name: &str| ObjectRef {
        name: name.into(),
        namespace: "doors".into(),
        uid: format!("uid-{name}"),
    };
    let config = Config {
        sink: named("evidence"),
        pod: PodRef {
            name: "recorder".into(),
            uid: "uid-recorder".into(),
        },
        checkpoint_every: Duration::from_millis(20),
        grace: Duration::from_secs(1),
        witness: None,
        retention: None,
        metrics: LogMetrics::unregistered().unwrap(),
    };
    let folder = Folder::claim(directory.join("log"), Duration::ZERO).unwrap();
    Log::open(Arc::new(folder), config).unwrap()
}

fn evidence(cluster: &Cluster, log: &Log, pod: &str) -> Evidence {
    let place = place(&cluster.carrier, pod);
    let speaker = sallyport_recorder::server::Door {
        connection: place.connection,
        pod: place.pod,
    };
    Evidence::local(
        log.clone(),
        speaker,
        Durability::BeforeExecution,
        Limits::default(),
        &Handle::current(),
    )
    .unwrap()
}

/// Kinds of the records about a request, with who is named in them.
fn told(log: &Log, uid: &str) -> Vec<String> {
    let (store, size) = (log.published(), log.status().borrow().published);
    let mut entries = sallyport_audit::verify::Entries::new(&store, size);
    let mut told = Vec::new();
    for index in 0..size {
        let record = Record::parse(entries.get(index).unwrap().unwrap()).unwrap();
        let text = serde_json::to_value(&record.event).unwrap();
        let said = &text[record.event.kind()];
        if said["request"]["uid"] == uid {
            assert_eq!((said["command"].as_u64(), record.session), (Some(0), None));
            let people = ["approvers", "deniers"]
                .iter()
                .find_map(|field| said[field][0]["username"].as_str());
            told.push(format!("{} {}", record.event.kind(), people.unwrap_or("-")));
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_no_session_waits_for_are_on_record() {
    sallyport_runtime::crypto::install();
    let cluster = Cluster::start(crate::manifests::sample().0);
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let logs = [log(directories[0].path()), log(directories[1].path())];
    let one = requests(&cluster, "door-bank-0").await;
    one.record_to(&evidence(&cluster, &logs[0], "door-bank-0"));

    let denied = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    cluster.require(&denied.request.name).await;
    cluster.answer("bob", &denied.request.name, "Deny").await;
    cluster.derive(&denied.request.name, "Denied").await;
    let approved = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&approved.request.name).await;
    until("the approval is on record", || async {
        told(&logs[0], &approved.request.uid) == ["approved oidc:bob"]
    })
    .await;
    cluster.derive(&approved.request.name, "Expired").await;
    // A session that waits records its answer itself.
    let mut waits = question(&cluster.carrier, &DIGEST.replace('9', "8"), GrantScope::Command);
    waits.on_hold = OnHold::Wait;
    let waits = one.ask(waits).await.unwrap();
    cluster.require(&waits.request.name).await;
    cluster.answer("bob", &waits.request.name, "Deny").await;
    cluster.derive(&waits.request.name, "Denied").await;
    until("the end is on record", || async {
        told(&logs[0], &approved.request.uid) == ["approved oidc:bob", "expired -"]
    })
    .await;
    assert_eq!(told(&logs[0], &denied.request.uid), ["denied oidc:bob"]);

    // Another door, which finds the Pod of the first gone, tells all of it: also what that one's sessions waited for.
    let two = requests(&cluster, "door-bank-1").await;
    two.record_to(&evidence(&cluster, &logs[1], "door-bank-1"));
    until("the other tells it", || async {
        let all = [&denied, &approved, &waits].map(|held| told(&logs[1], &held.request.uid).len());
        all == [1, 2, 1]
    })
    .await;
    assert!(told(&logs[0], &waits.request.uid).is_empty(), "its session does");
}
