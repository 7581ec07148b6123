//! Answering a request: one entry is added to `status.approvals`, by a JSON patch that nobody else's entry can get lost in.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use sallyport_crds::AccessRequest;
use sallyport_crds::access_request::{Answer, Decision, Requirement};
use sallyport_crds::subject::SubjectKind;

use crate::cluster::{Caller, Flags};

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
        .get(&args.name)
        .await
        .map_err(in_words)
        .with_context(|| format!("AccessRequest {} in namespace {namespace}", args.name))?;
    if args.reason.is_none() && asks_for_a_reason(&request, decision) {
        bail!("the policy that asks for this wants a reason: say why with --reason, the asker will see it");
    }
    show(&request);
    let entry = entry(&client, &request, decision, args.reason).await?;
    // "add" at "-" fails where somebody else's patch would be lost: entries are never written over.
    let patch: json_patch::Patch = serde_json::from_value(serde_json::json!([
        {"op": "add", "path": "/status/approvals/-", "value": entry},
    ]))?;
    api.patch_status(
        &args.name,
        &PatchParams::default(),
        &Patch::<AccessRequest>::Json(patch),
    )
    .await
    .map_err(in_words)
    .context("the API server refused")?;
    println!(
        "accessrequest.sallyport.dev/{}: {} by {}",
        args.name,
        past(decision),
        entry.user
    );
    Ok(ExitCode::SUCCESS)
}

/// Whether admission would refuse the answer without a reason: a verdict on a request, where some policy says so.
fn asks_for_a_reason(request: &AccessRequest, decision: Decision) -> bool {
    let status = request.status.as_ref();
    let requirements = status
        .and_then(|status| status.requirements.as_deref())
        .unwrap_or_default();
    !matches!(decision, Decision::Withdraw | Decision::Review) && requirements.iter().any(|one| one.reason_required)
}

/// What the caller is about to answer, in full.
fn show(request: &AccessRequest) {
    let spec = &request.spec;
    println!(
        "{} asks for {:?} on connection {}",
        spec.requester.username, spec.scope, spec.connection.name
    );
    for agent in &spec.agents {
        println!("  through the agent {}", agent.username);
    }
    if let Some(command) = &spec.command {
        println!(
            "  risk {}, verbs {}, tables {}",
            command.risk,
            command.verbs.join(" "),
            command.tables.join(" ")
        );
        if let Some(rows) = command.rows {
            println!("  the target's statistics count {rows} rows there, whatever its conditions");
        }
        for line in command.text.lines() {
            println!("  | {line}");
        }
        for (at, parameter) in command.parameters.iter().enumerate() {
            println!("  | ${} = {parameter}", at + 1);
        }
    }
    if let Some(reason) = &spec.reason {
        println!("  because: {reason}");
    }
    for line in asked_by(request) {
        println!("  {line}");
    }
}

/// Which rules ask, and whom: a line for each.
fn asked_by(request: &AccessRequest) -> Vec<String> {
    let status = request.status.as_ref();
    let requirements = status
        .and_then(|status| status.requirements.as_deref())
        .unwrap_or_default();
    let each = requirements.iter().map(|one| {
        let approvers: Vec<&str> = one.approvers.iter().map(|approver| approver.name.as_str()).collect();
        let (rule, required) = (&one.asked_by, one.required);
        format!(
            "rule {}/{} asks {required} of {}",
            rule.policy,
            rule.rule,
            approvers.join(", ")
        )
    });
    each.collect()
}

async fn entry(client: &Client, request: &AccessRequest, decision: Decision, reason: Option<String>) -> Result<Answer> {
    let caller = Caller::of(client).await?;
    let requirements = request
        .status
        .as_ref()
        .and_then(|status| status.requirements.as_deref());
    let groups = entitling_groups(requirements.unwrap_or_default(), &caller.groups);
    Ok(Answer {
        user: caller.user,
        decision,
        request_uid: request.metadata.uid.clone().context("the request has no uid")?,
        digest: request.spec.command.as_ref().map(|command| command.digest.clone()),
        issuer: caller.issuer,
        subject: caller.subject,
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

/// The API server's own words, without the layers around them.
fn in_words(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        other => other.into(),
    }
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
    fn a_reason_is_asked_for_where_a_policy_says_so() {
        let request = |required: bool| -> AccessRequest {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest", "metadata": {"name": "bank-1"},
                "spec": {
                    "connection": {"name": "bank", "uid": "u"}, "requester": {"username": "oidc:alice"},
                    "scope": "Command", "expiresAt": "2026-11-24T10:00:00Z",
                },
                "status": {"requirements": [{
                    "askedBy": {"policy": "p", "uid": "u", "generation": 1, "rule": "r"}, "required": 1,
                    "approvers": [{"kind": "Group", "name": "oidc:dba"}], "reasonRequired": required,
                }]},
            }))
            .unwrap()
        };
        for decision in [Decision::Approve, Decision::Deny, Decision::Revoke] {
            assert!(asks_for_a_reason(&request(true), decision), "{decision:?}");
            assert!(!asks_for_a_reason(&request(false), decision), "{decision:?}");
        }
        assert_eq!(asked_by(&request(false)), ["rule p/r asks 1 of oidc:dba"]);
        assert!(!asks_for_a_reason(&request(true), Decision::Withdraw));
        assert!(!asks_for_a_reason(&request(true), Decision::Review));
    }
}
