use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::shared::conditions::Truth;

fn pod(name: &str, state: serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "uid": format!("uid-{name}") },
        "status": { "phase": "Running", "containerStatuses": [{
            "name": "proxy", "ready": false, "restartCount": 0, "image": "i", "imageID": "i", "state": state,
        }] },
    }))
    .unwrap()
}

fn running(name: &str) -> Pod {
    pod(name, json!({ "running": {} }))
}

fn account(name: &str, revision: Option<u64>, at: Instant) -> (String, Account) {
    let account = Account {
        pod: name.to_owned(),
        revision,
        loaded: revision,
        digest: None,
        format: FORMAT,
        sessions: 0,
        problems: vec![],
        columns: BTreeMap::new(),
        backends: None,
        held: HashMap::new(),
        at,
    };
    (format!("uid-{name}"), account)
}

fn verdict(pods: &[Pod], accounts: &[(String, Account)], now: Instant) -> Option<(Truth, Reason)> {
    let pods: Vec<&Pod> = pods.iter().collect();
    let crew = crew(&pods, &accounts.iter().cloned().collect(), true, now);
    crew.enforced(7, 2).map(|finding| (finding.truth, finding.reason))
}

#[test]
fn what_runs_to_its_end_under_an_older_revision_has_loaded_the_newer() {
    let now = Instant::now();
    let mut behind = account("a", Some(6), now);
    behind.1.loaded = Some(7);
    let pods = [running("a"), running("b")];
    let pods: Vec<&Pod> = pods.iter().collect();
    let loaded =
        |accounts: &[(String, Account)]| crew(&pods, &accounts.iter().cloned().collect(), true, now).have_loaded(7);
    assert!(loaded(&[behind.clone(), account("b", Some(7), now)]));
    assert!(!loaded(&[behind.clone()]), "one that was never heard");
    assert!(!loaded(&[behind, account("b", Some(6), now)]));
}

#[test]
fn all_must_run_the_revision() {
    let now = Instant::now();
    let pods = [running("a"), running("b")];
    let cases = [
        (Some(7), Some(7), (Truth::True, Reason::Enforced)),
        (Some(8), Some(7), (Truth::True, Reason::Enforced)),
        (Some(7), Some(6), (Truth::False, Reason::WaitingForProxies)),
        (Some(7), None, (Truth::False, Reason::WaitingForProxies)),
    ];
    for (a, b, expected) in cases {
        let accounts = [account("a", a, now), account("b", b, now)];
        assert_eq!(verdict(&pods, &accounts, now), Some(expected), "{a:?} {b:?}");
    }
}

#[test]
fn a_stopped_process_is_a_no_after_five_seconds() {
    let start = Instant::now();
    let pods = [running("a"), running("b")];
    let at = |seconds| start + Duration::from_millis(seconds);
    let seen = |now| verdict(&pods, &[account("a", Some(7), now), account("b", Some(7), start)], now);
    assert_eq!(seen(at(4_900)), Some((Truth::True, Reason::Enforced)));
    assert_eq!(seen(at(5_000)), Some((Truth::False, Reason::ProxySilent)));
}

#[test]
fn terminating_and_unready_processes_count_and_waiting_ones_do_not() {
    let now = Instant::now();
    let mut leaving = running("b");
    leaving.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        jiff::Timestamp::UNIX_EPOCH,
    ));
    let ok = account("a", Some(7), now);
    assert_eq!(
        verdict(&[running("a"), leaving], std::slice::from_ref(&ok), now)
            .unwrap()
            .0,
        Truth::False
    );
    let waiting = pod("b", json!({ "waiting": { "reason": "ImagePullBackOff" } }));
    assert_eq!(verdict(&[running("a"), waiting], &[ok], now).unwrap().0, Truth::True);
}

#[test]
fn a_process_without_a_pod_counts_while_it_speaks() {
    let now = Instant::now();
    let old = account("gone", Some(6), now);
    assert_eq!(
        verdict(&[running("a")], &[account("a", Some(7), now), old.clone()], now)
            .unwrap()
            .0,
        Truth::False
    );
    let later = now + Duration::from_secs(6);
    assert_eq!(
        verdict(&[running("a")], &[account("a", Some(7), later), old], later)
            .unwrap()
            .0,
        Truth::True
    );
}

fn reads(name: &str, format: u32, at: Instant) -> (String, Account) {
    let (uid, mut account) = account(name, None, at);
    account.format = format;
    (uid, account)
}

#[test]
fn the_format_is_one_that_all_can_read() {
    let now = Instant::now();
    let (a, b) = (|format| reads("a", format, now), |format| reads("b", format, now));
    for (what, accounts, standing, expected) in [
        ("one is older", vec![a(1), b(2)], Some(2), 1),
        ("all read the newest", vec![a(2), b(2)], Some(1), 2),
        ("newer than the operator", vec![a(3), b(3)], Some(1), FORMAT),
        ("no format at all", vec![a(0), b(2)], Some(2), 1),
        ("one was not heard, the older stands", vec![b(2)], Some(1), 1),
        ("one was not heard, the newest stands", vec![b(2)], Some(2), 2),
        ("one was not heard, nothing stands", vec![b(2)], None, 2),
        ("nobody was heard, the older stands", vec![], Some(1), 1),
        ("nobody was heard, nothing stands", vec![], None, FORMAT),
    ] {
        let (pods, accounts) = ([running("a"), running("b")], accounts.into_iter().collect());
        let crew = crew(&pods.iter().collect::<Vec<_>>(), &accounts, true, now);
        assert_eq!(crew.format(standing, 2), expected, "{what}");
    }
    let nobody = Crew::default();
    assert_eq!((nobody.format(Some(1), 2), nobody.format(Some(1), 0)), (1, FORMAT));
}

#[test]
fn who_is_older_counts_while_it_may_come_back() {
    let start = Instant::now();
    let later = start + Duration::from_secs(60);
    let accounts = BTreeMap::from([reads("a", 1, start), reads("b", 2, later)]);
    let with = |a: Option<Pod>| {
        let pods: Vec<Pod> = a.into_iter().chain([running("b")]).collect();
        crew(&pods.iter().collect::<Vec<_>>(), &accounts, true, later)
    };
    for (what, a) in [
        ("silent", running("a")),
        ("down", pod("a", json!({ "waiting": { "reason": "CrashLoopBackOff" } }))),
    ] {
        let crew = with(Some(a));
        assert_eq!((crew.format(Some(2), 2), crew.older_than(2)), (1, vec!["a"]), "{what}");
    }
    let gone = with(None);
    assert_eq!((gone.format(Some(1), 2), gone.older_than(2)), (2, vec![]));
    // One that waits for its image and was never heard holds nobody back.
    let starting = pod("c", json!({ "waiting": { "reason": "ContainerCreating" } }));
    let pods = [starting, running("b")];
    let crew = crew(&pods.iter().collect::<Vec<_>>(), &accounts, true, later);
    assert_eq!(crew.format(Some(1), 2), 2);
}

#[test]
fn nobody_is_enforced_only_where_nobody_is_wanted() {
    let crew = Crew::default();
    assert_eq!(crew.enforced(1, 0).unwrap().reason, Reason::ScaledToZero);
    assert_eq!(crew.enforced(1, 2).unwrap().reason, Reason::NoProxies);
}

#[test]
fn a_new_operator_listens_before_it_speaks() {
    let now = Instant::now();
    let pods = [running("a")];
    let pods: Vec<&Pod> = pods.iter().collect();
    assert_eq!(crew(&pods, &BTreeMap::new(), false, now).enforced(7, 1), None);
    assert_eq!(
        crew(&pods, &BTreeMap::new(), true, now).enforced(7, 1).unwrap().reason,
        Reason::WaitingForProxies
    );
}
