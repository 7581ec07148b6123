//! Requests in the life of an installation: whoever leads and whenever, they come to the same; and what was asked before admission
//! changed is over.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use sallyport_e2e_apiserver::Identity;
use serde_json::{Value, json};

use crate::events::{is_told, told};
use crate::guards::{answers_are, outcomes_are};
use crate::scenes::BANK;
use crate::stage::{LIMIT, Stage};

const ISSUER: &str = "https://keycloak.example/realms/bank";
const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Whoever is in it may do what admission does not refuse.
const EVERYTHING: &str = "everything";
const NEVER: &str = "2100-01-01T00:00:00Z";
/// How long one waits for its end here, and for how long the next one does where that was too short to answer it.
const SOON: [i64; 3] = [15, 60, 240];
/// So many seconds after admission changed, what is asked then is not taken for what was asked before.
const IN_FORCE: i64 = 7;

/// Each step is done while nobody leads: the one who follows has only the object to go by.
pub fn a_request_outlives_its_operators(stage: &mut Stage) -> Result<()> {
    let group = format!("--group={EVERYTHING}");
    let bind = [
        "create",
        "clusterrolebinding",
        EVERYTHING,
        "--clusterrole=cluster-admin",
    ];
    stage.kubectl(&[&bind[..], &[group.as_str()]].concat())?;
    from_the_question_to_the_end_of_the_grant(stage)?;
    its_time_goes_on(stage)?;
    what_has_happened_is_reviewed(stage)?;
    ask(stage, "unseen-change", &json!({}))?;
    comes_to(stage, "unseen-change", "Pending", Some("0/2"))?;
    let others = all_closed(stage)?;
    succeed(stage, "after-the-change", |stage| {
        answers_are("Audit", stage)?;
        answers_are("Deny", stage)
    })?;
    comes_to(stage, "unseen-change", "AdmissionChanged", Some("0/2"))?;
    // A process counts from nothing, and counts what it wrote a moment after everybody can read it.
    stage.until("what is closed is counted", || {
        Ok(counted(stage)? == all_closed(stage)? - others)
    })
}

fn from_the_question_to_the_end_of_the_grant(stage: &mut Stage) -> Result<()> {
    succeed(stage, "after-the-question", |stage| ask(stage, "two", &json!({})))?;
    comes_to(stage, "two", "Pending", Some("0/2"))?;
    is_told(stage, "two", "WaitingForApproval")?;
    succeed(stage, "after-the-first", |stage| answer(stage, "bob", "two", "Approve"))?;
    comes_to(stage, "two", "Pending", Some("1/2"))?;
    succeed(stage, "after-the-second", |stage| {
        answer(stage, "carol", "two", "Approve")
    })?;
    comes_to(stage, "two", "Approved", Some("2/2"))?;
    is_told(stage, "two", "ApprovedByPeople")?;
    let before = shown(stage, "two")?;
    succeed(stage, "after-nothing", |_| Ok(()))?;
    let after = shown(stage, "two")?;
    ensure!(before == after, "a successor wrote it anew: {before} {after}");
    succeed(stage, "after-the-end", |stage| answer(stage, "bob", "two", "Revoke"))?;
    comes_to(stage, "two", "Revoked", Some("2/2"))?;
    is_told(stage, "two", "RevokedByPerson")?;
    let request = shown(stage, "two")?;
    let entries = request["status"]["approvals"].as_array().context("no answers")?;
    let entries: Vec<(&Value, &Value)> = entries.iter().map(|one| (&one["user"], &one["decision"])).collect();
    ensure!(
        entries
            == [
                (&json!("oidc:bob"), &json!("Approve")),
                (&json!("oidc:carol"), &json!("Approve")),
                (&json!("oidc:bob"), &json!("Revoke")),
            ],
        "{entries:?}"
    );
    // The one who comes to lead tells nothing again.
    for reason in ["WaitingForApproval", "ApprovedByPeople", "RevokedByPerson"] {
        ensure!(told(stage, "two", reason)? == 1, "{reason} is not told once");
    }
    Ok(())
}

/// What nobody saw before the end does not count, whoever was away.
fn its_time_goes_on(stage: &mut Stage) -> Result<()> {
    let (late, end) = half_answered(stage)?;
    let late = late.as_str();
    succeed(stage, "after-its-time", |stage| {
        let limit = LIMIT + Duration::from_secs(240);
        stage.until_within(limit, "its time is over", || Ok(Timestamp::now() > end))?;
        answer(stage, "carol", late, "Approve")
    })?;
    comes_to(stage, late, "Expired", Some("2/2"))?;
    stage.until_condition("doors", &format!("accessrequest/{late}"), "Expired", "True", "TimedOut")?;
    is_told(stage, late, "TimedOut")?;
    ensure!(told(stage, late, "ApprovedByPeople")? == 0, "it was approved");
    Ok(())
}

/// One that has one of two answers before its end: its name, and when that is.
fn half_answered(stage: &Stage) -> Result<(String, Timestamp)> {
    for soon in SOON {
        let name = format!("late-{soon}");
        let end = Timestamp::from_second(Timestamp::now().as_second() + soon)?;
        ask(stage, &name, &json!({"expiresAt": end.to_string()}))?;
        let mut status = Value::Null;
        stage.until(&format!("the operator has looked at {name}"), || {
            status = shown(stage, &name)?["status"].clone();
            Ok(status["progress"] == "0/2")
        })?;
        let said = add(
            stage,
            "bob",
            &entry(stage, "bob", &name, "Approve")?,
            (name.as_str(), &[]),
        )?;
        // Only what came too late may be refused.
        ensure!(
            said.status.success() || Timestamp::now() >= end,
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
        stage.until(&format!("{name} is answered or over"), || {
            status = shown(stage, &name)?["status"].clone();
            Ok(status["progress"] == "1/2" || status["state"] == "Expired")
        })?;
        if status["state"] == "Pending" {
            return Ok((name, end));
        }
    }
    bail!("none was answered before its end, of {SOON:?} s")
}

fn what_has_happened_is_reviewed(stage: &mut Stage) -> Result<()> {
    let window = json!({"duration": "1h"});
    let glass = json!({"breakGlass": true, "scope": "Window", "window": window, "reason": "branch is down"});
    succeed(stage, "after-the-glass", |stage| ask(stage, "glass", &glass))?;
    comes_to(stage, "glass", "BreakGlass", None)?;
    is_told(stage, "glass", "AwaitingReview")?;
    succeed(stage, "after-the-review", |stage| {
        answer(stage, "carol", "glass", "Review")
    })?;
    comes_to(stage, "glass", "Reviewed", None)?;
    is_told(stage, "glass", "ReviewedByPerson")?;
    for reason in ["AwaitingReview", "ReviewedByPerson"] {
        ensure!(told(stage, "glass", reason)? == 1, "{reason} is not told once");
    }
    Ok(())
}

/// A forger needs admission to be away for a moment only: so what was asked before that moment is over, for good.
pub fn what_was_asked_before_admission_changed_is_over(stage: &Stage) -> Result<()> {
    let uncounted = all_closed(stage)? - counted(stage)?;
    it_is_in_force(stage)?;
    ask(stage, "forged", &json!({}))?;
    comes_to(stage, "forged", "Pending", Some("0/2"))?;
    answers_are("Audit", stage)?;
    let try_out = ["--dry-run=server"];
    // The API server takes a moment to believe it.
    stage.until("a forgery passes", || {
        Ok(forge(stage, "bob", "forged", &try_out)?.status.success())
    })?;
    for name in ["bob", "carol"] {
        let forged = forge(stage, name, "forged", &[])?;
        ensure!(forged.status.success(), "{}", String::from_utf8_lossy(&forged.stderr));
    }
    answers_are("Deny", stage)?;
    stage.until("forgeries are refused", || {
        Ok(!forge(stage, "dave", "forged", &try_out)?.status.success())
    })?;
    comes_to(stage, "forged", "AdmissionChanged", Some("2/2"))?;
    stage.until_condition(
        "doors",
        "accessrequest/forged",
        "AdmissionChanged",
        "True",
        "AdmissionNotTrusted",
    )?;
    stage.until_condition(
        "doors",
        "accessrequest/forged",
        "Approved",
        "False",
        "WaitingForApproval",
    )?;
    stage.until_condition("doors", "accessrequest/forged", "Ready", "False", "AdmissionNotTrusted")?;
    is_told(stage, "forged", "AdmissionNotTrusted")?;
    // Changed, and put back at once.
    it_is_in_force(stage)?;
    ask(stage, "at-once", &json!({}))?;
    comes_to(stage, "at-once", "Pending", Some("0/2"))?;
    answers_are("Audit", stage)?;
    answers_are("Deny", stage)?;
    comes_to(stage, "at-once", "AdmissionChanged", Some("0/2"))?;
    stage.until("each is counted once", || {
        Ok(counted(stage)? == all_closed(stage)? - uncounted)
    })?;
    // What is asked afterwards is decided as ever.
    it_is_in_force(stage)?;
    ask(stage, "afterwards", &json!({}))?;
    comes_to(stage, "afterwards", "Pending", Some("0/2"))?;
    stage.until("forgeries are refused", || {
        Ok(!forge(stage, "dave", "afterwards", &try_out)?.status.success())
    })?;
    answer(stage, "bob", "afterwards", "Approve")?;
    answer(stage, "carol", "afterwards", "Approve")?;
    comes_to(stage, "afterwards", "Approved", Some("2/2"))
}

/// A forger who is past admission writes more than an answer: what the operator noted of admission is gone, and so is every end that
/// it said. That it was made before is left.
pub fn a_status_that_was_rewritten_is_no_witness(stage: &mut Stage) -> Result<()> {
    ask(stage, "rewritten", &json!({}))?;
    comes_to(stage, "rewritten", "Pending", Some("0/2"))?;
    succeed(stage, "after-the-forgery", |stage| {
        let entries = [
            entry(stage, "bob", "rewritten", "Approve")?,
            entry(stage, "carol", "rewritten", "Approve")?,
        ];
        let forged = json!({"status": {"admission": null, "approvals": entries, "conditions": []}}).to_string();
        let status = [
            "-n",
            "doors",
            "patch",
            "accessrequest",
            "rewritten",
            "--subresource=status",
        ];
        let patch = [&status[..], &["--type=merge", "-p", forged.as_str()]].concat();
        outcomes_are("Audit", stage)?;
        answers_are("Audit", stage)?;
        stage.until("the forgery passes", || {
            Ok(stage.server.run(Some(&person("mallory")), &patch, "")?.status.success())
        })?;
        outcomes_are("Deny", stage)?;
        answers_are("Deny", stage)?;
        stage.until("forgeries are refused", || {
            let try_out = ["--dry-run=server"];
            Ok(!forge(stage, "dave", "rewritten", &try_out)?.status.success())
        })
    })?;
    comes_to(stage, "rewritten", "AdmissionChanged", Some("2/2"))?;
    is_told(stage, "rewritten", "AdmissionNotTrusted")?;
    ensure!(told(stage, "rewritten", "ApprovedByPeople")? == 0, "it was approved");
    Ok(())
}

/// How many requests the operator says that it has closed.
fn counted(stage: &Stage) -> Result<f64> {
    let closed = "sallyport_operator_requests_closed_by_admission_total";
    let (operator, mut count) = (stage.operator()?, None);
    stage.until("the operator says how many it has closed", || {
        count = operator.metric(closed)?;
        Ok(count.is_some())
    })?;
    count.context("nothing counts what is closed")
}

/// How many requests are closed by now, those of earlier scenes among them.
fn all_closed(stage: &Stage) -> Result<f64> {
    let status = r#"jsonpath={.items[*].status.conditions[?(@.type=="AdmissionChanged")].status}"#;
    let each = stage.kubectl(&["get", "accessrequests", "-A", "-o", status])?;
    Ok(each.matches("True").map(|_| 1.0).sum())
}

/// What is asked while an API server may still go by what was there before is over as well: waits until none does, by when the operator
/// has noted the last change.
fn it_is_in_force(stage: &Stage) -> Result<()> {
    const NOTE: &str = "/api/v1/namespaces/sallyport-system/configmaps/sallyport-admission";
    let then = Timestamp::now().as_second();
    stage.until("admission has been in force for long enough", || {
        let note = stage.server.read(NOTE)?.context("the operator notes nothing")?;
        let note: Value = serde_json::from_str(&note)?;
        let written = note["metadata"]["managedFields"].as_array().into_iter().flatten();
        let written = written.filter_map(|entry| entry["time"].as_str()?.parse::<Timestamp>().ok());
        let noted = written.max().map_or(then, Timestamp::as_second);
        Ok(Timestamp::now().as_second() > noted.max(then) + IN_FORCE)
    })
}

/// Kills whoever leads, lets something happen, and lets another lead.
fn succeed(stage: &mut Stage, name: &str, meanwhile: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
    for operator in &mut stage.operators {
        operator.kill()?;
    }
    stage.operators.clear();
    meanwhile(stage)?;
    // The dead do not give it back, and to wait until it may be taken is another scene's.
    stage.kubectl(&["-n", "sallyport-system", "delete", "lease", "sallyport-operator"])?;
    stage.start(name)?;
    let operator = stage.operator()?;
    let looks = "sallyport_operator_reconciles_total{kind=\"AccessRequest\",outcome=\"ok\"}";
    stage.until(&format!("the operator {name} looks at requests"), || {
        Ok(operator.metric(looks)?.is_some_and(|count| count >= 1.0))
    })
}

/// The door asks for alice, about what needs two people; `change` is what is said otherwise in the specification.
fn ask(stage: &Stage, name: &str, change: &Value) -> Result<()> {
    let uid = |what: &str| -> Result<Value> { Ok(stage.get("doors", what)?["metadata"]["uid"].clone()) };
    let policy = uid("approvalpolicy/changes")?;
    let mut request = json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": "doors"},
        "spec": {
            "connection": {"name": "bank", "uid": uid(BANK)?},
            "requester": {
                "username": "oidc:alice", "groups": ["oidc:engineers"], "issuer": ISSUER, "subject": "sub-alice",
            },
            "scope": "Command",
            "command": {"text": "DELETE FROM customers", "summary": "DELETE FROM customers", "digest": DIGEST, "risk": 80},
            "askedBy": [{"policy": "changes", "uid": policy, "generation": 1, "rule": "risky-needs-two"}],
            "expiresAt": NEVER,
            "session": {"id": "s1", "pod": "door-bank-1", "podUid": "pod-uid-1", "onHold": "Refuse"},
        },
    });
    for (field, value) in change.as_object().into_iter().flatten() {
        request["spec"][field.as_str()] = value.clone();
    }
    done(
        &stage
            .server
            .run(Some(&door()), &["create", "-f", "-"], &request.to_string())?,
    )
}

/// Somebody answers for themselves.
fn answer(stage: &Stage, who: &str, name: &str, decision: &str) -> Result<()> {
    done(&add(stage, who, &entry(stage, who, name, decision)?, (name, &[]))?)
}

/// Mallory approves as somebody else.
fn forge(stage: &Stage, whom: &str, name: &str, more: &[&str]) -> Result<Output> {
    add(stage, "mallory", &entry(stage, whom, name, "Approve")?, (name, more))
}

fn entry(stage: &Stage, who: &str, name: &str, decision: &str) -> Result<Value> {
    let who = person(who);
    Ok(json!({
        "user": who.user, "decision": decision, "requestUID": shown(stage, name)?["metadata"]["uid"], "digest": DIGEST,
        "issuer": ISSUER, "subject": who.uid, "groups": ["oidc:dba"], "reason": "ticket 4711",
    }))
}

fn add(stage: &Stage, who: &str, entry: &Value, (name, more): (&str, &[&str])) -> Result<Output> {
    let patch = json!([{"op": "add", "path": "/status/approvals/-", "value": entry}]).to_string();
    let status = ["-n", "doors", "patch", "accessrequest", name, "--subresource=status"];
    let patch = ["--type=json", "-p", &patch];
    stage
        .server
        .run(Some(&person(who)), &[&status[..], &patch, more].concat(), "")
}

fn done(output: &Output) -> Result<()> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn person(name: &str) -> Identity {
    Identity {
        user: format!("oidc:{name}"),
        groups: vec!["oidc:dba".to_owned(), EVERYTHING.to_owned()],
        uid: format!("sub-{name}"),
        extra: vec![("sallyport.dev/issuer".to_owned(), ISSUER.to_owned())],
    }
}

fn door() -> Identity {
    let extra = |key: &str, value: &str| (format!("authentication.kubernetes.io/{key}"), value.to_owned());
    Identity {
        user: "system:serviceaccount:doors:door-bank".to_owned(),
        groups: vec![EVERYTHING.to_owned()],
        uid: "uid-door".to_owned(),
        extra: vec![extra("pod-name", "door-bank-1"), extra("pod-uid", "pod-uid-1")],
    }
}

fn shown(stage: &Stage, name: &str) -> Result<Value> {
    stage.get("doors", &format!("accessrequest/{name}"))
}

/// Waits until the request is in a state, with so many approvals of those that are needed.
fn comes_to(stage: &Stage, name: &str, state: &str, progress: Option<&str>) -> Result<()> {
    let mut last = Value::Null;
    let outcome = stage.until(&format!("{name} is {state}, {progress:?}"), || {
        last = shown(stage, name)?["status"].clone();
        Ok(last["state"] == state && last["progress"].as_str() == progress)
    });
    outcome.with_context(|| format!("last seen: {last}"))
}
