//! ApprovalPolicy: what needs a second person, and what is never done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Mode, RuleStatus, Subject};

/// What needs a second person, and what is never done.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "ApprovalPolicy",
    plural = "approvalpolicies",
    namespaced,
    status = "RuleStatus",
    shortname = "ap",
    category = "sallyport",
    derive = "PartialEq",
    doc = "What needs a second person, and what is never done. Selects Connections of its own namespace by label. Rules are tried in order; what no rule of any policy matches is denied.",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Connections","type":"integer","jsonPath":".status.connections"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name":"Enforced","type":"string","jsonPath":".status.conditions[?(@.type=='Enforced')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self.rules.map(r, has(r.match.any) && r.match.any).indexOf(true) in [-1, self.rules.size() - 1]").message("no rule can be reached after one that matches any: put it last").field_path(".rules"))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalPolicySpec {
    /// Which Connections of this namespace the policy applies to, by their labels. Must not be empty.
    #[schemars(schema_with = "crate::selector::selector")]
    pub connection_selector: LabelSelector,
    /// Enforce (default), or Observe: record what the policy would have said and change nothing.
    #[serde(default)]
    pub mode: Mode,
    /// Whom the policy is about; everybody if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subjects: Vec<Subject>,
    /// Rules, tried in order; the first that matches gives this policy's verdict. Across policies Deny beats RequireApproval beats Allow.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<PolicyRule>,
    /// Lets named people go ahead without waiting, loudly, to be reviewed afterwards. Off if left out. Never lifts a Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.action == 'RequireApproval') == has(self.approval)").message("approval belongs to action RequireApproval, and is needed there"))]
#[x_kube(validation = Rule::new("self.action != 'Deny' || !self.readOnly && !has(self.maxLoginAge)").message("what is denied does not run: readOnly and maxLoginAge belong to Allow and RequireApproval"))]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Name, unique within the policy; it appears in verdicts, records and metrics.
    #[schemars(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What the rule matches.
    #[serde(rename = "match")]
    pub matches: RuleMatch,
    /// Allow, Deny or RequireApproval.
    pub action: RuleAction,
    /// Reason shown to the person when the action is Deny or RequireApproval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
    /// Asks for a login that is at most this old (step-up).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("maxLoginAge must be between 10s and 168h"))]
    pub max_login_age: Option<Duration>,
    /// Runs the command in a read-only transaction (inside an open one: within a savepoint), so that a write that hides in a function, view or trigger fails at the target itself. PostgreSQL refuses nextval and FOR UPDATE there, and does not stop pg_notify, nor what code does over other connections.
    #[serde(default)]
    pub read_only: bool,
    /// Who must approve and what is granted; for action RequireApproval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// What a rule matches: one of an expression, a risk, or everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.cel), has(self.riskAtLeast), has(self.any) && self.any].filter(x, x).size() == 1").message("give exactly one of cel, riskAtLeast, any: true"))]
#[serde(rename_all = "camelCase")]
pub struct RuleMatch {
    /// A CEL expression over `command`, `identity`, `connection` and `session` that gives true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub cel: Option<String>,
    /// Matches when the command's documented risk score is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub risk_at_least: Option<i32>,
    /// Matches every command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<bool>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RuleAction {
    /// Goes ahead.
    Allow,
    /// Waits for a second person.
    RequireApproval,
    /// Is refused.
    Deny,
}

/// Who must approve and what is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.grant.scope == 'Command') != has(self.grant.validFor)").message("grant.validFor is needed for every scope but Command, which is used once").field_path(".grant"))]
#[x_kube(validation = Rule::new("!has(self.grant.parameters) || size(self.grant.parameters) == 0 || self.grant.scope == 'Fingerprint'").message("grant.parameters belongs to scope Fingerprint: elsewhere no parameter varies").field_path(".grant"))]
#[x_kube(validation = Rule::new("duration(self.holdFor) <= duration(self.expiresAfter)").message("holdFor is longer than expiresAfter: nobody could approve any more while the client still waits").field_path(".holdFor"))]
#[x_kube(validation = Rule::new("self.approvers.exists(a, a.kind == 'Group') || self.required <= self.approvers.size()").message("required asks for more people than approvers names").field_path(".required"))]
#[x_kube(validation = Rule::new("!self.approvers.exists(a, a.kind == 'Group' && a.name.startsWith('system:'))").message("an approver is a person, or a ServiceAccount by name: groups of ServiceAccounts approve nothing").field_path(".approvers"))]
#[x_kube(validation = Rule::new("!has(self.maxLoginAge) || !self.approvers.exists(a, a.kind == 'ServiceAccount')").message("a ServiceAccount never logs in: with maxLoginAge, name people and groups of people").field_path(".approvers"))]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who may approve: people and groups as the API server knows them.
    #[schemars(length(min = 1, max = 32))]
    pub approvers: Vec<Subject>,
    /// How many distinct people must approve. The asker never counts.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub required: i32,
    /// What an approval allows.
    #[serde(default)]
    pub grant: Grant,
    /// How long a held command waits at the door.
    #[serde(default = "hold_for")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("holdFor must be between 1s and 24h"))]
    pub hold_for: Duration,
    /// How long a request can be decided.
    #[serde(default = "expires_after")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')").message("expiresAfter must be between 1s and 168h"))]
    pub expires_after: Duration,
    /// How long a hold inside an open transaction may last, since its locks stop others.
    #[serde(default = "hold_in_transaction")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')").message("maxHoldInTransaction must be between 1s and 1h"))]
    pub max_hold_in_transaction: Duration,
    /// Whether the client waits or is refused with the request's name.
    #[serde(default)]
    pub on_hold: OnHold,
    /// Whether an approval needs a reason.
    #[serde(default)]
    pub reason_required: bool,
    /// Asks for approvers whose login is at most this old when they approve; the API server has to know when it was (`sallyport.dev/auth-time`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('168h')").message("maxLoginAge must be between 1m and 168h"))]
    pub max_login_age: Option<Duration>,
}

/// What an approval allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// This command once, its fingerprint for a while, the session, or a time window.
    #[serde(default)]
    pub scope: GrantScope,
    /// How long, for every scope but Command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')").message("validFor must be between 1s and 168h"))]
    pub valid_for: Option<Duration>,
    /// Between which numbers bound parameters may vary, for scope Fingerprint: a command with another value there is asked about on its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parameters: Vec<ParameterRange>,
}

/// Between which numbers one bound parameter may vary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.minimum) || has(self.maximum)").message("give minimum, maximum or both"))]
#[x_kube(validation = Rule::new("!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum").message("minimum is above maximum: no value would fit"))]
#[serde(rename_all = "camelCase")]
pub struct ParameterRange {
    /// Which parameter: 1 is `$1`.
    #[schemars(range(min = 1, max = 65535))]
    pub position: i32,
    /// The least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// The greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
}

/// Scope of a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GrantScope {
    /// This command, once.
    #[default]
    Command,
    /// Commands of the same fingerprint: only bound parameters may vary.
    Fingerprint,
    /// Whatever needs this approval in this session.
    Session,
    /// Whatever needs this approval on this connection within a window of time.
    Window,
}

/// What a client sees when its command is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnHold {
    /// The client waits: for people at a prompt.
    #[default]
    Wait,
    /// The client is refused with the request's name and passes when it tries again after the approval: for programs.
    Refuse,
}

/// Going ahead without waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.reviewers.exists(r, r.kind == 'Group' || !self.subjects.exists(s, s.kind == r.kind && s.name == r.name)) || self.reviewers.size() > 1").message("the only reviewer may break the glass: nobody could review that use").field_path(".reviewers"))]
#[serde(rename_all = "camelCase")]
pub struct BreakGlass {
    /// Who may.
    #[schemars(length(min = 1, max = 32))]
    pub subjects: Vec<Subject>,
    /// Who reviews it afterwards; never the person who used it.
    #[schemars(length(min = 1, max = 32))]
    pub reviewers: Vec<Subject>,
    /// How long one use lasts.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('24h')").message("maxDuration must be between 1m and 24h"))]
    pub max_duration: Duration,
    /// The login must be at most this old.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('24h')").message("maxLoginAge must be between 1m and 24h"))]
    pub max_login_age: Duration,
}

fn one() -> i32 {
    1
}

fn hold_for() -> Duration {
    Duration::from_secs(600)
}

fn expires_after() -> Duration {
    Duration::from_secs(3_600)
}

fn hold_in_transaction() -> Duration {
    Duration::from_secs(60)
}
