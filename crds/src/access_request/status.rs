//! State of an AccessRequest: who may answer, who did, what follows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdmissionIdentity, RuleIdentity};
use crate::condition::{ConditionType, is_true};
use crate::{Duration, Subject};

/// State of an AccessRequest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Who may approve and how many are needed; written by the operator from accepted policies. All must be satisfied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub requirements: Option<Vec<Requirement>>,
    /// What people answered. Entries are added by their authors and never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["user".into(), "decision".into()]))]
    pub approvals: Option<Vec<Answer>>,
    /// When the operator first saw approvals, where a policy asks that their authors had logged in recently; those who had not are told here to do so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["user".into()]))]
    pub logins: Vec<Login>,
    /// Approved, Denied, Expired, Withdrawn, Revoked, Reviewed, Consumed, AdmissionChanged, Ready; derived by the operator, Consumed by the proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Approvals so far of approvals needed, such as `1/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub progress: Option<String>,
    /// The condition that counts, in one word, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub state: Option<String>,
    /// How long still, roughly, for `kubectl get`: until nobody can decide any more, or until the grant ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub left: Option<String>,
    /// When a grant that lasts ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_until: Option<Time>,
    /// The admission objects in force when the operator first looked. It is compared at every decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<AdmissionIdentity>,
    /// Host and port of the target that it was asked about; a grant is for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub target: Option<String>,
    /// The operator's seal over what it says, that people approved or reviewed this: doors go by nothing that bears none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// The process that claimed the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed: Option<Claim>,
}

/// What one policy asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The rule.
    pub asked_by: RuleIdentity,
    /// Who may approve.
    #[schemars(length(min = 1, max = 32))]
    pub approvers: Vec<Subject>,
    /// How many distinct people.
    #[schemars(range(min = 1, max = 10))]
    pub required: i32,
    /// Whether an approval needs a reason.
    #[serde(default)]
    pub reason_required: bool,
    /// How old the login of an approver may be when the operator first sees the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_login_age: Option<Duration>,
    /// How long an approval holds by this rule, for every scope but Command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for: Option<Duration>,
}

/// An approver whose login has to be recent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The approver, as in the entry.
    #[schemars(length(min = 1, max = 512))]
    pub user: String,
    /// When the operator first saw the approval, by its clock.
    pub seen: Time,
    /// The login was too old then, or nobody knows when it was: the approval was taken out, and counts once it is given again after a login.
    #[serde(default)]
    pub too_old: bool,
}

/// Kinds of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// By an approver: yes.
    Approve,
    /// By an approver: no.
    Deny,
    /// By the asker: no longer wanted.
    Withdraw,
    /// By an approver: what was granted ends now.
    Revoke,
    /// By a reviewer of a break-glass use: seen.
    Review,
}

/// One person's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The author, as the API server authenticates them; admission refuses any other name.
    #[schemars(length(min = 1, max = 512))]
    pub user: String,
    /// What they say.
    pub decision: Decision,
    /// The request's `metadata.uid`: a request made again under the same name is another.
    #[serde(rename = "requestUID")]
    #[schemars(length(min = 1, max = 64))]
    pub request_uid: String,
    /// The digest of the command that was read (`spec.command.digest`); left out where there is no command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// The author's issuer; admission compares it with what the API server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub issuer: Option<String>,
    /// The author's uid at the API server (`sub`); admission compares it with what the API server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subject: Option<String>,
    /// When the author logged in, in seconds since 1970 (`auth_time`), for policies that ask for a recent login; admission compares it with what the API server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub auth_time: Option<i64>,
    /// The author's groups by which they are an approver; admission compares them with what the API server knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 512)))]
    pub groups: Vec<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// The id that the author's client gave the API server for its audit log (header `Audit-ID`), so that both can be joined. Nobody compares it: the author says so.
    #[serde(default, rename = "auditID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern("^[0-9A-Za-z-]+$"))]
    pub audit_id: Option<String>,
    /// When the author says it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self < timestamp('9000-01-01T00:00:00Z')").message("time must be a time before the year 9000"))]
    pub time: Option<MicroTime>,
}

/// The operator's word by its own key, which nobody else has, whatever admission lets them write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seal {
    /// Whose approvals it covers; what others add later breaks nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub by: Vec<String>,
    /// Ed25519 by the key that signs policy, base64.
    #[schemars(length(min = 1, max = 128))]
    pub signature: String,
}

/// Who claimed a grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Random, by the claimant: the proxy goes on only after reading its own nonce back.
    #[schemars(length(min = 16, max = 64))]
    pub nonce: String,
    /// Pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// When, by the proxy's clock.
    pub time: MicroTime,
}

// === impl AccessRequestStatus ===

impl AccessRequestStatus {
    /// Whether the request is over and nothing came of it: nobody but the asker said anything, and nothing was granted. Nothing but
    /// quotas bounds how much of it one person makes.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        let is = |kind| is_true(&self.conditions, kind);
        let mut answers = self.approvals.iter().flatten();
        let over = is(ConditionType::Withdrawn) || is(ConditionType::Expired);
        let granted = is(ConditionType::Approved) || self.granted_until.is_some() || self.consumed.is_some();
        over && !granted && answers.all(|answer| answer.decision == Decision::Withdraw)
    }
}
