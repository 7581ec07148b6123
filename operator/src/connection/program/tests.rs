//! Scenarios: an upgrade, while doors of two versions stand side by side.

use std::time::Duration;

use sallyport_crds::approval_policy::Grant;
use sallyport_policy::carrier::{Carrier, FORMAT, sign};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use crate::testing::ranged_policy;
use crate::testing::scenario::{Scenario, policy_object};

/// Longer than a process may be silent.
const SILENCE: Duration = Duration::from_secs(6);
/// Longer than a silent process is remembered.
const OBLIVION: Duration = Duration::from_secs(601);

/// The policy that format 1 cannot say whole.
fn policy() -> Value {
    let mut policy = policy_object(1);
    policy["metadata"]["generation"] = json!(2);
    policy["spec"] = json!(ranged_policy().spec);
    policy
}

/// The bank under that policy, by an operator that has listened for a while.
async fn served() -> Scenario {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_policy(policy()).await;
    scenario.apply_bank().await;
    advance(SILENCE).await;
    scenario
}

async fn look(scenario: &mut Scenario) -> (u32, u64) {
    scenario.look_at_connection("doors", "bank").await;
    let carrier = scenario.carrier();
    assert_eq!(carrier.closed, None);
    (carrier.format, carrier.revision)
}

fn grant(scenario: &Scenario) -> Grant {
    let policies = scenario.carrier().approval_policies;
    policies[0].spec.rules[0].approval.as_ref().unwrap().grant.clone()
}

fn words(scenario: &Scenario) -> String {
    let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
    scenario.api.get(path).unwrap()["status"]["conditions"].to_string()
}

#[tokio::test(start_paused = true)]
async fn an_older_door_gets_what_it_reads_until_it_is_gone() {
    let mut scenario = served().await;
    let whole = ranged_policy().spec.rules[0].approval.as_ref().unwrap().grant.clone();
    assert_eq!(look(&mut scenario).await, (FORMAT, 1));
    assert_eq!(grant(&scenario), whole, "nobody holds it back");

    scenario.old_pod_says("old", 1);
    scenario.pod_says("new", 1);
    assert_eq!(look(&mut scenario).await, (1, 2));
    assert_eq!(grant(&scenario), Grant::default(), "one command, once");
    scenario.old_pod_says("old", 2);
    scenario.pod_says("new", 2);
    assert_eq!(look(&mut scenario).await, (1, 2), "looking again changes nothing");
    assert_eq!(scenario.bank("Accepted").0, "True");
    assert_eq!(scenario.bank("Enforced"), ("False".into(), "WaitingForProxies".into()));
    for told in ["have not spoken yet: old;", "grant.parameters of ApprovalPolicy writes"] {
        assert!(words(&scenario).contains(told), "{}", words(&scenario));
    }
    scenario.apply_policy(policy()).await;
    let of_policy = |scenario: &Scenario| scenario.condition("approvalpolicies", "doors", "writes", "Enforced");
    assert_eq!(of_policy(&scenario), ("False".into(), "WaitingForProxies".into()));

    advance(SILENCE).await;
    scenario.pod_says("new", 2);
    assert_eq!(look(&mut scenario).await, (FORMAT, 3), "the last old one is gone");
    assert_eq!(grant(&scenario), whole);
    scenario.apply_policy(policy()).await;
    assert_eq!(of_policy(&scenario).0, "False", "revision 2 was another policy");
    scenario.pod_says("new", 3);
    assert_eq!(look(&mut scenario).await, (FORMAT, 3));
    assert_eq!(scenario.bank("Enforced"), ("True".into(), "Enforced".into()));
    scenario.apply_policy(policy()).await;
    assert_eq!(of_policy(&scenario), ("True".into(), "Enforced".into()));
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_has_heard_nobody_writes_as_the_one_before_it() {
    let mut scenario = served().await;
    scenario.old_pod_says("a", 1);
    assert_eq!(look(&mut scenario).await, (1, 2));
    // Another operator: it knows what stands in the ConfigMap, and no process.
    advance(OBLIVION).await;
    scenario.context.fleet.sweep(Instant::now());
    scenario.context.programs.retain(|_| false);
    assert_eq!(look(&mut scenario).await, (1, 2));
    scenario.pod_runs("a");
    scenario.pod_runs("b");
    scenario.pod_says("b", 2);
    assert_eq!(look(&mut scenario).await, (1, 2), "one was not heard yet");
    let told = words(&scenario);
    assert!(told.contains("have not spoken yet: a;"), "{told}");
    scenario.pod_says("a", 2);
    assert_eq!(look(&mut scenario).await, (FORMAT, 3));
    // A process that only starts takes nothing back.
    scenario.pod_runs("c");
    assert_eq!(look(&mut scenario).await, (FORMAT, 3));
}

#[tokio::test(start_paused = true)]
async fn what_an_older_format_says_whole_is_enforced_all_along() {
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    advance(SILENCE).await;
    scenario.old_pod_says("a", 1);
    assert_eq!(look(&mut scenario).await, (1, 2));
    scenario.old_pod_says("a", 2);
    assert_eq!(look(&mut scenario).await, (1, 2));
    assert_eq!(scenario.bank("Enforced"), ("True".into(), "Enforced".into()));
}

#[tokio::test(start_paused = true)]
async fn a_revision_under_which_a_door_read_something_else_does_not_count_and_is_written_anew() {
    let mut scenario = served().await;
    assert_eq!(look(&mut scenario).await, (FORMAT, 1));
    let written = scenario.digest();
    for pod in ["a", "b"] {
        scenario.pod_reads(pod, 1, &written);
    }
    let enforced = |scenario: &Scenario| scenario.bank("Enforced").0;
    // Another operator, twice: what it found it writes to the byte, and then it knows what it wrote.
    scenario.context.programs.retain(|_| false);
    for _ in 0..2 {
        assert_eq!(look(&mut scenario).await, (FORMAT, 1));
        assert_eq!(
            (enforced(&scenario), scenario.digest()),
            ("True".into(), written.clone())
        );
    }

    // A leader that was cut off wrote under the same revision, and a door that had just begun read that.
    scenario.pod_reads("b", 1, &"0".repeat(64));
    assert_eq!(look(&mut scenario).await, (FORMAT, 2));
    assert_eq!(enforced(&scenario), "False");
    scenario.pod_reads("a", 2, &scenario.digest());
    assert_eq!(look(&mut scenario).await, (FORMAT, 2));
    assert_eq!(enforced(&scenario), "False", "it is the same policy, but not there");
    scenario.pod_reads("b", 2, &scenario.digest());
    assert_eq!(look(&mut scenario).await, (FORMAT, 2));
    assert_eq!(enforced(&scenario), "True");

    // A process of the release before counts by its revision.
    scenario.pod_says("b", 2);
    assert_eq!(look(&mut scenario).await, (FORMAT, 2));
    assert_eq!(enforced(&scenario), "True");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_was_put_back_writes_what_it_knows_over_what_it_cannot_read() {
    const PATH: &str = "/api/v1/namespaces/doors/configmaps/door-bank-policy";
    let mut scenario = served().await;
    assert_eq!(look(&mut scenario).await, (FORMAT, 1));

    // A newer one led for a while, and its doors are still there.
    let newer = Carrier {
        format: FORMAT + 1,
        revision: 7,
        ..scenario.carrier()
    };
    let signed = sign(&newer, scenario.context.keys.carrier.pair()).unwrap();
    let mut map = scenario.api.get(PATH).unwrap();
    map["data"]["carrier.json"] = json!(String::from_utf8(signed).unwrap());
    scenario.api.put(PATH, map);
    scenario.context.programs.retain(|_| false);
    scenario.pod_says("newer", 7);
    assert_eq!(look(&mut scenario).await, (FORMAT, 8), "no door goes back");
}
