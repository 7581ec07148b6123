//! Spending a grant: looked at afresh, counted again with our own policy, claimed by compare-and-swap, read back.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use sallyport_audit::record::Approver;
use sallyport_crds::Mode;
use sallyport_crds::access_request::{AccessRequest, Claim as ClaimEntry, Requirement, RuleIdentity};
use sallyport_crds::approval_policy::{Approval, GrantScope, PolicyRule, RuleAction};
use sallyport_crds::condition::{ConditionType, Reason};
use sallyport_policy::carrier::Carrier;
use sallyport_policy::seal::{covered, is_sealed};
use sallyport_policy::tally::{Question, tally};
use serde_json::json;

use super::state;
use crate::control::Place;
use crate::door::{ApprovalsError, HoldState};

/// Somebody else's write between our look and our claim (the operator's, most likely) is looked at again this often.
const TRIES: usize = 4;

/// Whether a grant may be used now, by our own policy, of what the operator sealed by one of `keys`. Gives whose approvals count.
pub(super) fn check(
    request: &AccessRequest,
    carrier: &Carrier,
    keys: &[Vec<u8>],
    now: jiff::Timestamp,
) -> Result<Vec<Approver>, ApprovalsError> {
    match state::of(request, is_sealed(request, keys)) {
        HoldState::Approved { .. } => {}
        HoldState::Closed(why) | HoldState::Revoked(why) => return Err(ApprovalsError::Gone(why)),
        HoldState::Denied { .. } => return Err(gone("it was denied")),
        other => return Err(ApprovalsError::Gone(format!("it is not approved: {other:?}"))),
    }
    let terms = terms(request, carrier).ok_or_else(|| gone("the policy that asked for it changed"))?;
    if now > until(request, terms.valid_for) {
        return Err(gone("its time is over"));
    }
    let status = request.status.as_ref();
    let question = Question {
        namespace: &carrier.connection.namespace,
        uid: request.metadata.uid.as_deref().unwrap_or_default(),
        spec: &request.spec,
        settings: &carrier.settings,
        logins: status.map(|status| status.logins.as_slice()).unwrap_or_default(),
    };
    let answers = status.map(covered).unwrap_or_default();
    let counted = tally(&question, &terms.requirements, &answers);
    if counted.denied.is_some() || counted.revoked.is_some() || counted.withdrawn.is_some() {
        return Err(gone("it was denied, revoked or withdrawn"));
    }
    if !counted.is_approved() {
        return Err(gone(&format!(
            "under the present policy it has {} approvals",
            counted.progress()
        )));
    }
    let counts = |answer: &&sallyport_crds::access_request::Answer| {
        answer.decision == sallyport_crds::access_request::Decision::Approve && counted.approvers.contains(&answer.user)
    };
    Ok(answers.iter().filter(counts).map(state::person).collect())
}

/// Spends a grant of scope Command. Only the claimant whose nonce is read back goes on, and only where it would be granted then, too.
pub(super) async fn spend(
    api: &Api<AccessRequest>,
    place: &Place,
    carrier: &Carrier,
    request: &AccessRequest,
    nonce: &str,
) -> Result<Vec<Approver>, ApprovalsError> {
    let (name, uid) = (request.name_any(), request.uid());
    for _ in 0..TRIES {
        let fresh = get(api, &name, uid.as_deref()).await?;
        check(&fresh, carrier, &place.keys, jiff::Timestamp::now())?;
        match api
            .patch_status(&name, &PatchParams::default(), &claim(&fresh, place, nonce)?)
            .await
        {
            Ok(_) => {}
            // The test on resourceVersion failed, or the API server saw a conflict: look again.
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) && retriable(&status.message) => continue,
            Err(error) => return Err(failed(&error)),
        }
        let after = get(api, &name, uid.as_deref()).await?;
        let claim = after.status.as_ref().and_then(|status| status.consumed.as_ref());
        if claim.is_none_or(|claim| claim.nonce != nonce) {
            return Err(gone("another process used it"));
        }
        // Meanwhile somebody may have denied it, or the operator found that it should not have been granted, as when admission was
        // off for a moment.
        return check(&unclaimed(after), carrier, &place.keys, jiff::Timestamp::now());
    }
    Err(gone("it changes too often to be claimed"))
}

/// The request as it stands but for the claim.
fn unclaimed(mut request: AccessRequest) -> AccessRequest {
    if let Some(status) = &mut request.status {
        status.consumed = None;
        status
            .conditions
            .retain(|condition| condition.type_ != ConditionType::Consumed.as_str());
    }
    request
}

/// What our own policy asks for the request, from the rules that asked.
struct Terms {
    requirements: Vec<Requirement>,
    valid_for: Option<Duration>,
}

/// How long a grant lasts by these rules: the shortest of their times.
pub(super) fn valid_for(asked_by: &[RuleIdentity], carrier: &Carrier) -> Option<sallyport_crds::Duration> {
    asked_by
        .iter()
        .filter_map(|asked_by| approval(asked_by, carrier)?.grant.valid_for)
        .min()
}

fn approval<'a>(asked_by: &RuleIdentity, carrier: &'a Carrier) -> Option<&'a Approval> {
    let policy = carrier
        .approval_policies
        .iter()
        .find(|policy| policy.uid == asked_by.uid)?;
    let asks = |rule: &&PolicyRule| rule.name == asked_by.rule && rule.action == RuleAction::RequireApproval;
    policy.spec.rules.iter().find(asks)?.approval.as_ref()
}

/// Every rule of this Connection that grants windows: a window that is asked for beforehand needs all of them.
fn windows(carrier: &Carrier) -> Vec<RuleIdentity> {
    let acting = carrier
        .approval_policies
        .iter()
        .filter(|policy| policy.spec.mode == Mode::Enforce);
    let grants_windows = |rule: &&PolicyRule| {
        let approval = rule.approval.as_ref();
        approval.is_some_and(|approval| approval.grant.scope == GrantScope::Window)
    };
    acting
        .flat_map(|policy| {
            policy
                .spec
                .rules
                .iter()
                .filter(grants_windows)
                .map(|rule| RuleIdentity {
                    policy: policy.name.clone(),
                    uid: policy.uid.clone(),
                    generation: policy.generation,
                    rule: rule.name.clone(),
                })
        })
        .collect()
}

fn terms(request: &AccessRequest, carrier: &Carrier) -> Option<Terms> {
    let asked_beforehand = request.spec.session.is_none();
    let asked_by = if asked_beforehand {
        windows(carrier)
    } else {
        request.spec.asked_by.clone()
    };
    let valid_for = valid_for(&asked_by, carrier).map(sallyport_crds::Duration::get);
    let mut terms = Terms {
        requirements: Vec::new(),
        valid_for,
    };
    for asked_by in &asked_by {
        let approval = approval(asked_by, carrier)?;
        terms.requirements.push(Requirement {
            asked_by: asked_by.clone(),
            approvers: approval.approvers.clone(),
            required: approval.required,
            reason_required: approval.reason_required,
            max_login_age: approval.max_login_age,
            valid_for: approval.grant.valid_for,
        });
    }
    (!terms.requirements.is_empty()).then_some(terms)
}

/// When the grant ends: a single use with the request itself, what lasts with the time that the policy gives, counted from
/// the approval, and no later than the operator said then: who approved was not asked for longer.
fn until(request: &AccessRequest, valid_for: Option<Duration>) -> jiff::Timestamp {
    if request.spec.scope == GrantScope::Command {
        return request.spec.expires_at.0;
    }
    let conditions = request.status.iter().flat_map(|status| &status.conditions);
    let said = request.status.as_ref().and_then(|status| status.granted_until.as_ref());
    let approved = conditions
        .filter(|condition| condition.type_ == ConditionType::Approved.as_str())
        .map(|condition| condition.last_transition_time.0)
        .next();
    let window = request.spec.window.as_ref().map(|window| window.duration.get());
    let span = match (valid_for, window) {
        (Some(one), Some(other)) => one.min(other),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => Duration::ZERO,
    };
    let until = approved
        .and_then(|at| at.checked_add(span).ok())
        .unwrap_or(jiff::Timestamp::MIN);
    said.map_or(until, |said| said.0.min(until))
}

/// How long a use of break-glass may last by these rules; `None` where one of them permits none.
pub(super) fn glass_for(asked_by: &[RuleIdentity], carrier: &Carrier) -> Option<Duration> {
    let each = asked_by.iter().map(|rule| {
        let policy = carrier.approval_policies.iter().find(|policy| policy.uid == rule.uid)?;
        let leave = policy.spec.break_glass.as_ref()?;
        Some(leave.max_duration.get())
    });
    each.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// When a use of break-glass ends: counted from its beginning, by the shorter of what it was given and what its policies
/// give now.
pub(super) fn glass_until(request: &AccessRequest, carrier: &Carrier) -> jiff::Timestamp {
    let given = request.spec.window.as_ref().map(|window| window.duration.get());
    let now = glass_for(&request.spec.asked_by, carrier);
    let began = request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    match (began, given, now) {
        (Some(began), Some(given), Some(now)) => began.checked_add(given.min(now)).ok(),
        _ => None,
    }
    .unwrap_or(jiff::Timestamp::MIN)
}

fn claim(fresh: &AccessRequest, place: &Place, nonce: &str) -> Result<Patch<AccessRequest>, ApprovalsError> {
    let now = jiff::Timestamp::now();
    let entry = ClaimEntry {
        nonce: nonce.to_owned(),
        pod: place.pod.name.clone(),
        time: MicroTime(now),
    };
    let condition = Condition {
        type_: ConditionType::Consumed.as_str().to_owned(),
        status: "True".to_owned(),
        reason: Reason::ClaimedByProxy.as_str(),
        message: format!("claimed by Pod {}", place.pod.name),
        last_transition_time: Time(now),
        observed_generation: fresh.metadata.generation,
    };
    let conditions = fresh
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    // Types are unique among conditions: one that says "not consumed" is replaced.
    let stated = conditions
        .iter()
        .position(|condition| condition.type_ == ConditionType::Consumed.as_str());
    let (op, path) = match stated {
        Some(index) => ("replace", format!("/status/conditions/{index}")),
        None => ("add", "/status/conditions/-".to_owned()),
    };
    let patch = json!([
        { "op": "test", "path": "/metadata/uid", "value": fresh.metadata.uid },
        { "op": "test", "path": "/metadata/resourceVersion", "value": fresh.metadata.resource_version },
        { "op": "add", "path": "/status/consumed", "value": entry },
        { "op": op, "path": path, "value": condition },
    ]);
    serde_json::from_value(patch)
        .map(Patch::Json)
        .map_err(|error| ApprovalsError::Refused(error.to_string()))
}

/// The request as the API server has it now, if it is still the same one.
pub(super) async fn get(
    api: &Api<AccessRequest>,
    name: &str,
    uid: Option<&str>,
) -> Result<AccessRequest, ApprovalsError> {
    match api.get_opt(name).await {
        Ok(Some(found)) if found.metadata.uid.as_deref() == uid => Ok(found),
        Ok(_) => Err(gone("the request was deleted")),
        Err(error) => Err(failed(&error)),
    }
}

pub(super) fn failed(error: &kube::Error) -> ApprovalsError {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            ApprovalsError::Refused(status.message.clone())
        }
        kube::Error::Api(status) => ApprovalsError::Unavailable(format!("the API server answered {}", status.code)),
        _ => ApprovalsError::Unavailable("the API server cannot be reached".to_owned()),
    }
}

fn retriable(message: &str) -> bool {
    // A refusal by admission also has code 422; trying that again would only repeat it.
    !message.contains("denied request")
}

fn gone(why: &str) -> ApprovalsError {
    ApprovalsError::Gone(why.to_owned())
}
