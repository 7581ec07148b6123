//! Answering a request: one entry is added to `status.approvals`, by a JSON patch that nobody else's entry can get lost in.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource as _};
use sallyport_audit::record::Instance;
use sallyport_crds::AccessRequest;
use sallyport_crds::access_request::{Answer, Decision, Requirement};
use sallyport_crds::subject::SubjectKind;

use crate::cluster::{Caller, Flags, object_name};
use crate::output;
use crate::told::{requirements, state, told};

/// Flags of approve, deny, revoke, withdraw and review.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the AccessRequest.
    name: String,
    /// Why. Kept in the request and in the audit log.
    #[arg(long)]
    reason: Option<String>,
}

/// Adds the caller's answer.
///
/// # Errors
/// When the request is not there, or the API server refuses the answer; in its words.
pub async fn run(flags: &Flags, args: Args, decision: Decision) -> Result<ExitCode> {
    let (client, namespace) = flags.client().await?;
    let api: Api<AccessRequest> = Api::namespaced(client.clone(), &namespace);
    let request = api
        .get(object_name(&args.name)?)
        .await
        .with_context(|| format!("AccessRequest {} in namespace {namespace}", args.name))?;
    let reasoned = args.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if !reasoned && asks_for_a_reason(&request, decision) {
        bail!("this answer needs a reason: say why with --reason, the asker will see it");
    }
    output::line(told(&request))?;
    let entry = entry(&client, &request, decision, args.reason).await?;
    if let Some(words) = has_answered(&request, &entry) {
        bail!("{words}");
    }
    let now = jiff::Timestamp::now().as_second();
    if let Some(most) = login_is_too_old(&request, &entry, now) {
        bail!(
            "the policy that asks for this counts approvals by people who logged in within {most}: log in again, then approve"
        );
    }
    client
        .request::<AccessRequest>(patch(&namespace, &args.name, &entry)?)
        .await
        .context("the API server refused")?;
    output::done(format_args!(
        "accessrequest.sallyport.dev/{}: {} by {}",
        args.name,
        past(decision),
        entry.user
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What adds an entry. The API server files it in its own audit log under the id that stands in the entry.
fn patch(namespace: &str, name: &str, entry: &Answer) -> Result<hyper::Request<Vec<u8>>> {
    // "add" at "-" fails where somebody else's patch would be lost: entries are never written over.
    let patch: json_patch::Patch = serde_json::from_value(serde_json::json!([
        {"op": "add", "path": "/status/approvals/-", "value": entry},
    ]))?;
    let patch = Patch::<AccessRequest>::Json(patch);
    let path = AccessRequest::url_path(&(), Some(namespace));
    let mut request =
        kube::core::Request::new(path).patch_subresource("status", name, &PatchParams::default(), &patch)?;
    if let Some(id) = &entry.audit_id {
        request.headers_mut().insert("audit-id", id.parse()?);
    }
    Ok(request)
}

/// Whether admission would refuse the answer without a reason: a no, and any other verdict on a request where some policy says so.
fn asks_for_a_reason(request: &AccessRequest, decision: Decision) -> bool {
    match decision {
        Decision::Deny => true,
        Decision::Approve | Decision::Revoke => requirements(request).iter().any(|one| one.reason_required),
        Decision::Withdraw | Decision::Review => false,
    }
}

/// That the author has answered so already, and what the request still wants: people are counted once, and the API server takes no
/// second entry. Who counts as whom by their names it says itself.
fn has_answered(request: &AccessRequest, entry: &Answer) -> Option<String> {
    let status = request.status.as_ref()?;
    let person = entry.issuer.is_some() && entry.subject.is_some();
    let own = |before: &Answer| {
        before.user == entry.user || person && before.issuer == entry.issuer && before.subject == entry.subject
    };
    let before = status
        .approvals
        .iter()
        .flatten()
        .find(|before| before.decision == entry.decision && own(before))?;
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let by = (before.user != entry.user).then(|| format!(" as {}", before.user));
    let lacking = status.progress.as_deref().and_then(lacking);
    let stands = match (state(request), lacking) {
        ("Pending", Some(lacking)) if entry.decision == Decision::Approve => {
            format!("it needs {lacking} more by others")
        }
        (state, _) => format!("it is {state}"),
    };
    let (done, by) = (past(entry.decision), by.unwrap_or_default());
    Some(format!("you have already {done} {name}{by}: {stands}"))
}

/// How many approvals are lacking, of `1/2`; `None` where none are.
fn lacking(progress: &str) -> Option<u32> {
    let (have, want) = progress.split_once('/')?;
    let lacking = want.parse::<u32>().ok()?.checked_sub(have.parse().ok()?)?;
    (lacking > 0).then_some(lacking)
}

/// The age that a policy asks for, if the author's login is known to be older: what the operator would not count stays unsaid.
fn login_is_too_old(request: &AccessRequest, entry: &Answer, now: i64) -> Option<sallyport_crds::Duration> {
    let logged_in = entry.auth_time.filter(|_| entry.decision == Decision::Approve)?;
    let most = requirements(request).iter().filter_map(|one| one.max_login_age).min()?;
    let age = u64::try_from(now.saturating_sub(logged_in)).unwrap_or(0);
    (age > most.get().as_secs()).then_some(most)
}

async fn entry(client: &Client, request: &AccessRequest, decision: Decision, reason: Option<String>) -> Result<Answer> {
    let caller = Caller::of(client).await?;
    let groups = entitling_groups(requirements(request), &caller.groups);
    Ok(Answer {
        user: caller.user,
        decision,
        request_uid: request.metadata.uid.clone().context("the request has no uid")?,
        digest: request.spec.command.as_ref().map(|command| command.digest.clone()),
        issuer: caller.issuer,
        subject: caller.subject,
        auth_time: caller.auth_time,
        audit_id: Some(Instance::random()?.to_string()),
        groups,
        reason,
        time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(
            jiff::Timestamp::now(),
        )),
    })
}

/// Those of the caller's groups that some requirement names: the others are nobody's business.
fn entitling_groups(requirements: &[Requirement], own: &[String]) -> Vec<String> {
    let named = |group: &String| {
        let by = |r: &Requirement| {
            r.approvers
                .iter()
                .any(|s| s.kind == SubjectKind::Group && s.name == *group)
        };
        requirements.iter().any(by)
    };
    own.iter().filter(|group| named(group)).cloned().collect()
}

fn past(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
        Decision::Withdraw => "withdrawn",
        Decision::Revoke => "revoked",
        Decision::Review => "reviewed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_files_the_entry_under_the_id_that_stands_in_it() {
        let entry: Answer = serde_json::from_value(serde_json::json!({
            "user": "oidc:bob", "decision": "Approve", "requestUID": "u", "auditID": "id-1",
        }))
        .unwrap();
        let request = patch("doors", "bank-1", &entry).unwrap();
        assert_eq!(request.headers()["audit-id"], "id-1");
        assert_eq!(
            request.uri().path(),
            "/apis/sallyport.dev/v1alpha1/namespaces/doors/accessrequests/bank-1/status"
        );
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body[0]["path"], "/status/approvals/-");
        assert_eq!(body[0]["value"]["auditID"], "id-1");
    }

    /// A request that one of a group may answer, under this condition.
    fn asking(condition: &str, value: serde_json::Value) -> AccessRequest {
        let mut requirement = serde_json::json!({
            "askedBy": {"policy": "p", "uid": "u", "generation": 1, "rule": "r"}, "required": 1,
            "approvers": [{"kind": "Group", "name": "oidc:dba"}],
        });
        requirement[condition] = value;
        serde_json::from_value(serde_json::json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest", "metadata": {"name": "bank-1"},
            "spec": {
                "connection": {"name": "bank", "uid": "u"}, "requester": {"username": "oidc:alice"},
                "scope": "Command", "expiresAt": "2026-11-24T10:00:00Z",
            },
            "status": {"requirements": [requirement]},
        }))
        .unwrap()
    }

    #[test]
    fn who_logged_in_too_long_ago_is_told_before_it_is_lost() {
        let request = |most: Option<&str>| asking("maxLoginAge", serde_json::json!(most));
        let entry = |decision: &str, logged_in: Option<i64>| -> Answer {
            serde_json::from_value(serde_json::json!({
                "user": "oidc:bob", "decision": decision, "requestUID": "u", "authTime": logged_in,
            }))
            .unwrap()
        };
        let cases = [
            (Some("10m"), "Approve", Some(399), true),
            (Some("10m"), "Approve", Some(400), false),
            (Some("10m"), "Approve", Some(2_000), false),
            (Some("10m"), "Deny", Some(399), false),
            // What the API server does not know it says itself.
            (Some("10m"), "Approve", None, false),
            (None, "Approve", Some(0), false),
        ];
        for (most, decision, logged_in, refused) in cases {
            let found = login_is_too_old(&request(most), &entry(decision, logged_in), 1_000);
            assert_eq!(found.is_some(), refused, "{most:?} {decision} {logged_in:?}");
        }
    }

    #[test]
    fn who_answers_a_second_time_is_told_what_it_still_waits_for() {
        let entry = |user: &str, subject: Option<&str>, decision: &str| -> Answer {
            serde_json::from_value(serde_json::json!({
                "user": user, "decision": decision, "requestUID": "u", "subject": subject,
                "issuer": subject.map(|_| "https://idp"),
            }))
            .unwrap()
        };
        let told = |state: &str, progress: &str, again: Answer| {
            let mut request = asking("required", serde_json::json!(3));
            let status = request.status.as_mut().unwrap();
            status.approvals = Some(vec![
                entry("oidc:bob", Some("b"), "Approve"),
                entry("dave", None, "Deny"),
            ]);
            status.state = Some(state.to_owned());
            status.progress = Some(progress.to_owned());
            has_answered(&request, &again)
        };
        let approve = |user: &str, subject: Option<&str>| entry(user, subject, "Approve");
        for (state, progress, again, words) in [
            (
                "Pending",
                "1/3",
                approve("oidc:bob", Some("b")),
                "already approved bank-1: it needs 2 more by others",
            ),
            // Under another name, and by a certificate.
            (
                "Pending",
                "1/3",
                approve("corp:bob", Some("b")),
                "approved bank-1 as oidc:bob: it needs 2 more by others",
            ),
            (
                "Pending",
                "1/3",
                entry("dave", None, "Deny"),
                "you have already denied bank-1: it is Pending",
            ),
            (
                "Approved",
                "3/3",
                approve("oidc:bob", Some("b")),
                "you have already approved bank-1: it is Approved",
            ),
            // Admission is not to be trusted, or a later version counts otherwise.
            (
                "Pending",
                "3/3",
                approve("oidc:bob", Some("b")),
                "you have already approved bank-1: it is Pending",
            ),
            (
                "Pending",
                "some",
                approve("oidc:bob", Some("b")),
                "you have already approved bank-1: it is Pending",
            ),
        ] {
            let told = told(state, progress, again).unwrap();
            assert!(told.starts_with("you have already ") && told.ends_with(words), "{told}");
        }
        for first in [
            approve("oidc:carol", Some("c")),
            approve("dave", None),
            entry("oidc:bob", Some("b"), "Revoke"),
        ] {
            assert_eq!(told("Pending", "1/3", first.clone()), None, "{first:?}");
        }
    }

    #[test]
    fn a_reason_is_asked_for_where_a_policy_says_so_and_of_every_no() {
        let request = |required: bool| asking("reasonRequired", serde_json::json!(required));
        assert!(asks_for_a_reason(&request(true), Decision::Deny));
        assert!(asks_for_a_reason(&request(false), Decision::Deny));
        for decision in [Decision::Approve, Decision::Revoke] {
            assert!(asks_for_a_reason(&request(true), decision), "{decision:?}");
            assert!(!asks_for_a_reason(&request(false), decision), "{decision:?}");
        }
        assert!(!asks_for_a_reason(&request(true), Decision::Withdraw));
        assert!(!asks_for_a_reason(&request(true), Decision::Review));
    }
}
