//! Questions, answers and claims on a real API server, with the admission that ships.

#[path = "../../tests/common/cluster.rs"]
mod cluster;

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::record::{ObjectRef, Person, PodRef, Record, SessionId, Token};
use sallyport_crds::access_request::{CommandView, Decision, RuleIdentity};
use sallyport_crds::approval_policy::{GrantScope, OnHold};
use sallyport_policy::carrier::Carrier;
use sallyport_recorder::client::{Durability, Evidence, Limits};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Config, Log};
use sallyport_recorder::metrics::LogMetrics;
use tokio::runtime::Handle;

use self::cluster::{Cluster, ISSUER, until};
use super::*;
use crate::control::{Contact, Place};
use crate::door::{Approvals, ApprovalsError, Ask, GrantSought, Held, HoldState, Identity};

pub(super) const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub(super) fn alice() -> Identity {
    Identity {
        person: Person {
            issuer: ISSUER.into(),
            subject: "alice-sub".into(),
            username: "oidc:alice".into(),
        },
        groups: vec!["oidc:engineers".into()],
        agents: Vec::new(),
        email: None,
        token: Token::default(),
    }
}

fn mallory() -> Identity {
    // The same name at another issuer is another person.
    let mut mallory = alice();
    mallory.person.issuer = "https://other".into();
    mallory
}

pub(super) fn question(carrier: &Carrier, digest: &str, scope: GrantScope) -> Ask {
    let policy = &carrier.approval_policies[0];
    let command = CommandView {
        text: "DELETE FROM accounts WHERE id = 7".into(),
        summary: "DELETE FROM accounts WHERE id = 7".into(),
        parameters: Vec::new(),
        digest: digest.into(),
        verbs: vec!["delete".into()],
        tables: vec!["public.accounts".into()],
        risk: 60,
        rows: Some(1_000),
        database: Some("bank".into()),
    };
    let rule = RuleIdentity {
        policy: policy.name.clone(),
        uid: policy.uid.clone(),
        generation: policy.generation,
        rule: "delete-needs-a-dba".into(),
    };
    Ask {
        identity: alice(),
        session: SessionId::random().unwrap(),
        scope,
        command,
        asked_by: vec![rule],
        expires: Time::from_unix_micros(Time::now().unix_micros() + 3_600_000_000),
        on_hold: OnHold::Refuse,
        break_glass: None,
    }
}

fn sought(digest: &str, scope: GrantScope) -> GrantSought {
    GrantSought {
        digest: digest.into(),
        scope,
        asked_by: Vec::new(),
    }
}

pub(super) fn once(digest: &str) -> GrantSought {
    sought(digest, GrantScope::Command)
}

pub(super) fn place(carrier: &Carrier, pod: &str) -> Place {
    let connection = &carrier.connection;
    Place {
        connection: ObjectRef {
            namespace: connection.namespace.clone(),
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        pod: PodRef {
            name: pod.to_owned(),
            uid: format!("{pod}-uid"),
        },
        keys: Vec::new(),
    }
}

async fn requests(cluster: &Cluster, pod: &str) -> Arc<Requests> {
    let contact = Arc::new(Contact::new());
    let requests = Requests::start(
        cluster.door(pod).await,
        place(&cluster.carrier, pod),
        contact,
        &Handle::current(),
    );
    requests.apply(&Arc::new(cluster.carrier.clone()));
    requests
}

async fn becomes(held: &mut Held, wanted: impl Fn(&HoldState) -> bool) -> HoldState {
    let state = tokio::time::timeout(Duration::from_secs(10), held.state.wait_for(|state| wanted(state))).await;
    state
        .expect("not within ten seconds")
        .expect("the board is gone")
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_question() {
    sallyport_runtime::crypto::install();
    let cluster = Cluster::start(crate::manifests::sample().0);
    let (one, two) = (
        requests(&cluster, "door-bank-0").await,
        requests(&cluster, "door-bank-1").await,
    );
    asked_approved_and_claimed_once(&cluster, &one, &two).await;
    a_grant_fits_what_it_was_given_for(&cluster, &one).await;
    policy_counts_at_the_time_of_use(&cluster, &one).await;
    what_lasts_is_used_again(&cluster, &one).await;
    answers_and_ends_are_seen(&cluster, &one).await;
    withdrawn_by_the_door(&cluster, &one).await;
    a_flood_stops_the_one_who_floods(&cluster, &one).await;
}

async fn asked_approved_and_claimed_once(cluster: &Cluster, one: &Arc<Requests>, two: &Arc<Requests>) {
    let mut held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    assert!(held.request.name.starts_with("bank-"), "{:?}", held.request);
    assert_eq!(
        *held.state.borrow(),
        HoldState::Waiting {
            progress: String::new()
        }
    );
    let made = cluster.get(&held.request.name).await;
    assert_eq!(made.spec.requester.subject, "alice-sub");
    assert_eq!(cluster::labels(&made)["sallyport.dev/connection"], "bank");
    let early = one.claim(&alice(), &once(DIGEST), &held.request).await.unwrap_err();
    assert!(matches!(early, ApprovalsError::Gone(_)), "{early:?}");

    // A retry joins the question that is there, at any replica.
    until("the other replica sees it", || async {
        !two.find(&alice(), &once(DIGEST)).is_empty()
    })
    .await;
    assert_eq!(two.find(&alice(), &once(DIGEST))[0].request, held.request);
    assert!(one.find(&mallory(), &once(DIGEST)).is_empty());

    cluster.approve(&held.request.name).await;
    let state = becomes(&mut held, |state| matches!(state, HoldState::Approved { .. })).await;
    let HoldState::Approved { approvers } = state else {
        unreachable!()
    };
    assert_eq!(
        (approvers[0].username.as_str(), approvers[0].uid.as_deref()),
        ("oidc:bob", Some("bob-sub"))
    );

    let (identity, request) = (alice(), held.request.clone());
    let wanted = once(DIGEST);
    let (first, second) = tokio::join!(
        one.claim(&identity, &wanted, &request),
        two.claim(&identity, &wanted, &request)
    );
    let (claimed, lost) = if first.is_ok() {
        (first, second)
    } else {
        (second, first)
    };
    let claim = claimed.expect("one of the two");
    assert!(matches!(lost, Err(ApprovalsError::Gone(_))), "{lost:?}");
    assert_eq!(claim.approvers[0].username, "oidc:bob");
    let status = cluster.get(&request.name).await.status.unwrap();
    assert_eq!(status.consumed.unwrap().nonce, claim.nonce);
    assert!(
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "Consumed" && c.status == "True")
    );

    assert!(
        one.claim(&identity, &once(DIGEST), &request).await.is_err(),
        "used is used"
    );
    until("nobody finds it any more", || async {
        one.find(&alice(), &once(DIGEST)).is_empty() && two.find(&alice(), &once(DIGEST)).is_empty()
    })
    .await;
}

async fn a_grant_fits_what_it_was_given_for(cluster: &Cluster, one: &Arc<Requests>) {
    let held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&held.request.name).await;
    let mut with_agent = alice();
    with_agent.agents.push(sallyport_audit::record::Agent {
        issuer: None,
        subject: "agent".into(),
        username: None,
    });
    let mut namesake = held.request.clone();
    namesake.uid = "made-again".into();
    // Of two rules that ask by now, the one that asked then; and the other, of a policy that came since.
    let mut rules = question(&cluster.carrier, DIGEST, GrantScope::Command).asked_by;
    let asks_as_ever = GrantSought {
        asked_by: rules.clone(),
        ..once(DIGEST)
    };
    rules.push(RuleIdentity {
        policy: "seniors".into(),
        uid: "uid-seniors".into(),
        generation: 1,
        rule: "deletes".into(),
    });
    let asks_more = GrantSought {
        asked_by: rules,
        ..once(DIGEST)
    };
    let refused = [
        one.claim(&mallory(), &once(DIGEST), &held.request).await,
        one.claim(&with_agent, &once(DIGEST), &held.request).await,
        one.claim(&alice(), &once(&DIGEST.replace('0', "1")), &held.request)
            .await,
        one.claim(&alice(), &once(DIGEST), &namesake).await,
        one.claim(&alice(), &asks_more, &held.request).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(ApprovalsError::Gone(_))), "{refused:?}");
    }
    assert!(one.find(&alice(), &asks_more).is_empty(), "nobody was asked that");
    one.claim(&alice(), &asks_as_ever, &held.request).await.unwrap();
}

async fn policy_counts_at_the_time_of_use(cluster: &Cluster, one: &Arc<Requests>) {
    let held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&held.request.name).await;
    let claim = async |change: fn(&mut sallyport_crds::approval_policy::PolicyRule)| {
        let mut carrier = cluster.carrier.clone();
        let rules = &mut carrier.approval_policies[0].spec.rules;
        change(rules.iter_mut().find(|rule| rule.name == "delete-needs-a-dba").unwrap());
        one.apply(&Arc::new(carrier));
        one.claim(&alice(), &once(DIGEST), &held.request).await
    };
    let two = claim(|rule| rule.approval.as_mut().unwrap().required = 2)
        .await
        .unwrap_err();
    assert!(two.to_string().contains("1/2"), "{two}");
    let others = claim(|rule| rule.approval.as_mut().unwrap().approvers[0].name = "oidc:others".into())
        .await
        .unwrap_err();
    assert!(others.to_string().contains("0/1"), "{others}");
    let recent = claim(|rule| rule.approval.as_mut().unwrap().max_login_age = Some("10m".parse().unwrap()))
        .await
        .unwrap_err();
    assert!(recent.to_string().contains("0/1"), "{recent}");
    let renamed = claim(|rule| rule.name = "another".into()).await.unwrap_err();
    assert!(
        renamed.to_string().contains("policy that asked for it changed"),
        "{renamed}"
    );
    claim(|_| ()).await.unwrap();
}

async fn what_lasts_is_used_again(cluster: &Cluster, one: &Arc<Requests>) {
    let mut carrier = cluster.carrier.clone();
    let rules = &mut carrier.approval_policies[0].spec.rules;
    let approval = rules
        .iter_mut()
        .find(|rule| rule.name == "delete-needs-a-dba")
        .unwrap()
        .approval
        .as_mut()
        .unwrap();
    approval.grant.valid_for = Some(sallyport_crds::Duration::from_secs(600));
    one.apply(&Arc::new(carrier.clone()));
    for (number, scope) in [GrantScope::Fingerprint, GrantScope::Session, GrantScope::Window]
        .into_iter()
        .enumerate()
    {
        let digest = DIGEST.replace('9', &number.to_string());
        let held = one.ask(question(&cluster.carrier, &digest, scope)).await.unwrap();
        let shown = cluster.get(&held.request.name).await.spec;
        let reason = shown.reason.unwrap_or_default();
        assert!(
            shown.command.is_some() || reason.contains("DELETE FROM accounts WHERE id = 7"),
            "{scope:?} is approved blind"
        );
        cluster.approve(&held.request.name).await;
        for _ in 0..2 {
            one.claim(&alice(), &once(&digest), &held.request)
                .await
                .unwrap_or_else(|error| panic!("{scope:?}: {error}"));
        }
        assert_eq!(cluster.get(&held.request.name).await.status.unwrap().consumed, None);
        assert_eq!(one.find(&alice(), &once(&digest))[0].request, held.request);
        // Revoked: the use after that is refused.
        cluster.answer("carol", &held.request.name, "Revoke").await;
        assert!(
            one.claim(&alice(), &once(&digest), &held.request).await.is_err(),
            "{scope:?}"
        );
    }
    one.apply(&Arc::new(cluster.carrier.clone()));
}

async fn answers_and_ends_are_seen(cluster: &Cluster, one: &Arc<Requests>) {
    let ask = async || {
        one.ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
            .await
            .unwrap()
    };
    let mut denied = ask().await;
    cluster.require(&denied.request.name).await;
    becomes(&mut denied, |state| {
        *state == HoldState::Waiting { progress: "0/1".into() }
    })
    .await;
    cluster.answer("bob", &denied.request.name, "Deny").await;
    cluster.derive(&denied.request.name, "Denied").await;
    let HoldState::Denied { deniers } = becomes(&mut denied, |state| matches!(state, HoldState::Denied { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(deniers[0].reason.as_deref(), Some("looked at it"));

    let mut expired = ask().await;
    cluster.require(&expired.request.name).await;
    cluster.derive(&expired.request.name, "Expired").await;
    becomes(&mut expired, |state| *state == HoldState::Expired).await;

    let mut changed = ask().await;
    cluster.require(&changed.request.name).await;
    cluster.derive(&changed.request.name, "AdmissionChanged").await;
    becomes(
        &mut changed,
        |state| matches!(state, HoldState::Revoked(why) if why.contains("admission")),
    )
    .await;

    let mut deleted = ask().await;
    cluster.delete(&deleted.request.name).await;
    becomes(
        &mut deleted,
        |state| matches!(state, HoldState::Closed(why) if why.contains("deleted")),
    )
    .await;
}

async fn withdrawn_by_the_door(cluster: &Cluster, one: &Arc<Requests>) {
    let held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    // Before the operator has written that anybody may answer: the withdrawal waits for it.
    one.withdraw(&held.request, "the client left");
    cluster.require(&held.request.name).await;
    until("the withdrawal is there", || async {
        let answers = cluster
            .get(&held.request.name)
            .await
            .status
            .unwrap()
            .approvals
            .unwrap_or_default();
        answers.iter().any(|answer| {
            answer.decision == Decision::Withdraw && answer.user == "system:serviceaccount:doors:door-bank"
        })
    })
    .await;
    cluster.derive(&held.request.name, "Withdrawn").await;
    until("it is over", || async { one.find(&alice(), &once(DIGEST)).is_empty() }).await;
}

async fn a_flood_stops_the_one_who_floods(cluster: &Cluster, one: &Arc<Requests>) {
    let mut carrier = cluster.carrier.clone();
    carrier.connection.spec.limits.max_open_requests_per_person = 2;
    one.apply(&Arc::new(carrier));
    let digest = |number: usize| format!("{number:064x}");
    let mut open = 0;
    let refused = loop {
        match one
            .ask(question(&cluster.carrier, &digest(open), GrantScope::Command))
            .await
        {
            Ok(_) => open += 1,
            Err(refused) => break refused,
        }
        assert!(open <= 2, "no limit");
    };
    assert!(matches!(refused, ApprovalsError::TooMany { .. }), "{refused:?}");
    let mut carol = question(&cluster.carrier, DIGEST, GrantScope::Command);
    carol.identity.person.subject = "carol-sub".into();
    assert!(one.ask(carol.clone()).await.is_ok(), "others are not stopped");

    let mut limited = async |change: fn(&mut sallyport_crds::connection::Limits)| {
        let mut carrier = cluster.carrier.clone();
        change(&mut carrier.connection.spec.limits);
        one.apply(&Arc::new(carrier));
        carol.command.digest = digest(77);
        one.ask(carol.clone()).await
    };
    let crowded = limited(|limits| limits.max_open_requests = 3).await.unwrap_err();
    assert!(matches!(crowded, ApprovalsError::Crowded { .. }), "{crowded:?}");
    let much = limited(|limits| limits.max_held_bytes = 40).await.unwrap_err();
    assert!(matches!(much, ApprovalsError::TooMuch { .. }), "{much:?}");
    assert!(limited(|_| ()).await.is_ok());
}

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

#[tokio::test]
async fn without_a_cluster_holds_are_refused_in_words() {
    let request = sallyport_audit::record::RequestRef {
        name: "x".into(),
        namespace: "y".into(),
        uid: "z".into(),
    };
    assert!(NoCluster.find(&alice(), &once(DIGEST)).is_empty());
    let refused = NoCluster.claim(&alice(), &once(DIGEST), &request).await.unwrap_err();
    assert!(refused.to_string().contains("nobody can be asked"), "{refused}");
}
