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
        sessions: 0,
        problems: vec![],
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
