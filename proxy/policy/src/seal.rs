//! The operator's seal over what it says of a request: that people approved it, or that a use of break-glass was reviewed.
//!
//! Admission keeps everybody else from writing conditions. Who switches it off for a moment writes any status they like, but no
//! seal: doors take nothing for approved, and nobody takes a use for reviewed, that bears none.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sallyport_crds::ConditionType;
use sallyport_crds::access_request::{
    AccessRequest, AccessRequestStatus, Answer, Decision, Person, Requirement, RuleIdentity, Seal,
};
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::names::GRANT_LABEL;
use serde::Serialize;

/// Put before what is sealed, so that the key's signatures over it mean this and nothing else. What is sealed has a fixed form:
/// whatever is added to it gets another number here, and who does not know that one takes nothing for sealed.
const CONTEXT: &[u8] = b"sallyport request v1\n";

/// What is sealed: everything that a door goes by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    said: &'a str,
    since: i64,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    connection: &'a str,
    requester: Who<'a>,
    agents: Vec<Who<'a>>,
    scope: GrantScope,
    digest: Option<&'a str>,
    grant: Option<&'a str>,
    window: Option<u64>,
    session: Option<&'a str>,
    asked_by: Vec<Rule<'a>>,
    expires_at: i64,
    granted: Option<Granted<'a>>,
}

/// What approvers gave, to be left out of what is reviewed: that has happened, and its policies may change meanwhile.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Granted<'a> {
    until: Option<i64>,
    target: Option<&'a str>,
    judged_by: Vec<Rule<'a>>,
    approvals: Vec<Entry<'a>>,
}

/// Name, issuer, subject.
type Who<'a> = (&'a str, &'a str, &'a str);
/// Policy, uid, generation, rule.
type Rule<'a> = (&'a str, &'a str, i64, &'a str);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    user: &'a str,
    request_uid: &'a str,
    digest: Option<&'a str>,
    issuer: Option<&'a str>,
    subject: Option<&'a str>,
    groups: &'a [String],
    auth_time: Option<i64>,
    seen: Option<i64>,
    reason: Option<&'a str>,
}

/// Whether the status says what has to be sealed before anybody goes by it.
#[must_use]
pub fn is_due(request: &AccessRequest) -> bool {
    request
        .status
        .as_ref()
        .is_some_and(|status| said(request, status).is_some())
}

/// Seals what the status says; `None` where that is nothing which people said yes to.
#[must_use]
pub fn seal(request: &AccessRequest, key: &Ed25519KeyPair) -> Option<Seal> {
    let answers = request.status.as_ref()?.approvals.iter().flatten();
    let approvals = answers.filter(|answer| answer.decision == Decision::Approve);
    let mut by: Vec<String> = approvals.map(|answer| answer.user.clone()).collect();
    by.sort();
    by.dedup();
    if request.spec.break_glass {
        by.clear();
    }
    let signature = STANDARD.encode(key.sign(&message(request, &by)?));
    Some(Seal { by, signature })
}

/// Whether the status bears a seal over all that it says; `trusted` are raw Ed25519 public keys of 32 bytes.
#[must_use]
pub fn is_sealed(request: &AccessRequest, trusted: &[Vec<u8>]) -> bool {
    let genuine = || {
        let seal = request.status.as_ref()?.seal.as_ref()?;
        let message = message(request, &seal.by)?;
        let signature = STANDARD.decode(&seal.signature).ok()?;
        let signed = |key: &Vec<u8>| {
            UnparsedPublicKey::new(&ED25519, key)
                .verify(&message, &signature)
                .is_ok()
        };
        Some(trusted.iter().any(signed))
    };
    genuine().unwrap_or(false)
}

/// The answers without approvals that the seal does not cover.
#[must_use]
pub fn covered(status: &AccessRequestStatus) -> Vec<Answer> {
    let by = status.seal.as_ref().map(|seal| seal.by.as_slice()).unwrap_or_default();
    let answers = status.approvals.iter().flatten();
    answers
        .filter(|answer| answer.decision != Decision::Approve || by.contains(&answer.user))
        .cloned()
        .collect()
}

/// The condition that people said yes to.
fn said<'a>(request: &AccessRequest, status: &'a AccessRequestStatus) -> Option<&'a Condition> {
    let kind = match request.spec.break_glass {
        true => ConditionType::Reviewed,
        false => ConditionType::Approved,
    };
    let mut all = status.conditions.iter();
    all.find(|one| one.type_ == kind.as_str() && one.status == "True")
}

/// The bytes that are signed.
fn message(request: &AccessRequest, by: &[String]) -> Option<Vec<u8>> {
    let content = serde_json::to_vec(&content(request, by)?).ok()?;
    Some([CONTEXT, &content].concat())
}

fn content<'a>(request: &'a AccessRequest, by: &[String]) -> Option<Content<'a>> {
    let (spec, status) = (&request.spec, request.status.as_ref()?);
    let said = said(request, status)?;
    let labels = request.metadata.labels.as_ref();
    let granted = match spec.break_glass {
        true => None,
        false => Some(granted(status, by)?),
    };
    Some(Content {
        said: &said.type_,
        since: said.last_transition_time.0.as_second(),
        namespace: request.metadata.namespace.as_deref()?,
        name: request.metadata.name.as_deref()?,
        uid: request.metadata.uid.as_deref()?,
        connection: &spec.connection.uid,
        requester: who(&spec.requester),
        agents: spec.agents.iter().map(who).collect(),
        scope: spec.scope,
        digest: spec.command.as_ref().map(|command| command.digest.as_str()),
        grant: labels.and_then(|labels| labels.get(GRANT_LABEL)).map(String::as_str),
        window: spec.window.as_ref().map(|window| window.duration.get().as_secs()),
        session: spec.session.as_ref().map(|session| session.id.as_str()),
        asked_by: spec.asked_by.iter().map(rule).collect(),
        expires_at: spec.expires_at.0.as_second(),
        granted,
    })
}

/// `None` where one of those by whom it was approved has no entry any more.
fn granted<'a>(status: &'a AccessRequestStatus, by: &[String]) -> Option<Granted<'a>> {
    let approval = |user: &String| {
        let mut all = status.approvals.iter().flatten();
        all.find(|answer| answer.decision == Decision::Approve && answer.user == *user)
            .map(|answer| entry(status, answer))
    };
    let requirements = status.requirements.as_deref().unwrap_or_default();
    Some(Granted {
        until: status.granted_until.as_ref().map(|until| until.0.as_second()),
        target: status.target.as_deref(),
        judged_by: requirements
            .iter()
            .map(|Requirement { asked_by, .. }| rule(asked_by))
            .collect(),
        approvals: by.iter().map(approval).collect::<Option<_>>()?,
    })
}

fn entry<'a>(status: &AccessRequestStatus, answer: &'a Answer) -> Entry<'a> {
    let mut logins = status.logins.iter();
    let login = logins.find(|login| login.user == answer.user && !login.too_old);
    Entry {
        user: &answer.user,
        request_uid: &answer.request_uid,
        digest: answer.digest.as_deref(),
        issuer: answer.issuer.as_deref(),
        subject: answer.subject.as_deref(),
        groups: &answer.groups,
        auth_time: answer.auth_time,
        seen: login.map(|login| login.seen.0.as_second()),
        reason: answer.reason.as_deref(),
    }
}

fn who(person: &Person) -> Who<'_> {
    (&person.username, &person.issuer, &person.subject)
}

fn rule(rule: &RuleIdentity) -> Rule<'_> {
    (&rule.policy, &rule.uid, rule.generation, &rule.rule)
}

#[cfg(test)]
mod tests;
