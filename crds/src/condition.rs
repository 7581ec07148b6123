//! Conditions: their types and reasons are closed sets, so that scripts and dashboards can rely on them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Types of conditions in `status.conditions` of our kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The object is valid and everything it names exists; the door's own compiler took it.
    Accepted,
    /// The workload is up (Connection, AuditSink).
    Programmed,
    /// Every process that holds a session enforces the present generation.
    Enforced,
    /// The sum of the others. AccessRequest: what was asked for may be used, or a break-glass use was reviewed.
    Ready,
    /// Something of the past still holds: a rule whose present object is not accepted, a volume that has not grown.
    Degraded,
    /// All runs as specified, and something people should know goes with it: a superuser role at the target, for example, makes
    /// masks advisory.
    Advisory,
    /// AccessRequest: as many distinct people as asked for have approved.
    Approved,
    /// AccessRequest: somebody entitled has denied.
    Denied,
    /// AccessRequest: nobody decided in time.
    Expired,
    /// AccessRequest: the asker left or gave up.
    Withdrawn,
    /// AccessRequest: a running grant was ended.
    Revoked,
    /// AccessRequest: a break-glass use was reviewed.
    Reviewed,
    /// AccessRequest: the proxy about to execute has claimed the grant. Spent, not executed.
    Consumed,
    /// AccessRequest: admission objects changed since it was made; it can no longer be used.
    AdmissionChanged,
}

/// Reasons of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Everything is as it should be.
    Accepted,
    /// A part of the specification that this version does not do yet.
    NotImplemented,
    /// The specification does not compile; the message names field and cause.
    Invalid,
    /// The namespace was not opted in.
    NamespaceNotEnabled,
    /// The object is being deleted, or is gone: it has no door, whatever finalizer still holds it.
    Deleted,
    /// A rule that the Connection requires does not exist.
    RequiredRuleMissing,
    /// A rule that the Connection requires is not accepted.
    RequiredRuleNotAccepted,
    /// A rule that the Connection requires does not select it.
    RequiredRuleNotSelecting,
    /// A rule that the Connection requires only observes.
    RequiredRuleNotEnforcing,
    /// A rule that did not change selects the Connection no longer, since the Connection's labels changed.
    RuleDeselected,
    /// A rule that selects the Connection was never accepted.
    RuleNotAccepted,
    /// The sink does not exist or does not take Connections from this namespace.
    SinkNotAvailable,
    /// A Secret that is named does not exist or lacks a key.
    SecretMissing,
    /// The door's own certificate, which the Connection names, has expired.
    CertificateExpired,
    /// The door's own certificate, which the Connection names, expires soon.
    CertificateExpiresSoon,
    /// A name in the door's certificate stands in one of another namespace, too: whoever reads Secrets there can pass for this door.
    NameShared,
    /// People can often change the claim themselves from which an issuer's names are made.
    EditableName,
    /// Doors tell agents from people, and the API server does not: an agent with a person's token could approve.
    AgentsNotMarked,
    /// The credentials' Secret does not name the target's host.
    HostNotPermitted,
    /// An issuer that is named is not in the operator's configuration.
    UnknownIssuer,
    /// An audience that the API server itself accepts.
    AudienceNotAllowed,
    /// What a rule keeps protected cannot be read or is not signed by the operator.
    ColumnsNotKnown,
    /// The compiled policy does not fit into its carrier.
    TooLarge,
    /// The API server does not take a part of the workload: a value in the specification, a quota, somebody's admission, a right
    /// that the operator lacks. The message is its own.
    ChildRefused,
    /// The workload has not come up yet.
    Progressing,
    /// The workload is up.
    Available,
    /// No replicas were asked for.
    ScaledToZero,
    /// All processes enforce the present generation.
    Enforced,
    /// Some process has not confirmed the present generation.
    WaitingForProxies,
    /// A process was silent for too long.
    ProxySilent,
    /// No process runs that could enforce.
    NoProxies,
    /// All conditions that count are True.
    Ready,
    /// Some condition that counts is not True.
    NotReady,
    /// Not looked at yet.
    Pending,
    /// The role at the target may do what undoes masks and denials: they are advice there, no barrier.
    TargetRoleTooStrong,
    /// The keys of an issuer cannot be fetched: nobody of theirs can log in.
    IssuerUnavailable,
    /// The API server has not answered a door for a minute: what is known stays in force, nothing can be approved, running
    /// grants pause, and after `limits.policyGrace` the door admits nobody.
    ApiServerUnavailable,
    /// The way to the target is not encrypted, as its specification says.
    TargetNotEncrypted,
    /// The target does not let the door in: it does not take its role, password or certificate, or has no database that is offered.
    TargetRefused,
    /// Connections at the target that did not come through a door.
    ConnectionsPastDoors,
    /// The rule names columns that no database has in which its doors have looked: nothing is masked by such a name.
    ColumnNotFound,
    /// The rule masks columns of primary keys: programs that find rows by them and write them back, as ORMs do, will fail.
    PrimaryKeyMasked,
    /// The installed custom resource definition differs from the operator's own.
    SchemaMismatch,
    /// The recorder's volume cannot grow to the size that the sink wants.
    VolumeNotGrown,
    /// The recorder's volume is not retained: it goes when its claim does.
    VolumeReclaimedByDelete,
    /// The recorder's checkpoint is consistent with the last one cosigned.
    Consistent,
    /// The recorder's checkpoint is not consistent with the last one cosigned.
    Inconsistent,
    /// The recorder does not answer.
    RecorderUnavailable,
    /// Enough distinct people approved.
    ApprovedByPeople,
    /// Somebody entitled denied.
    DeniedByPerson,
    /// Time ran out before a decision.
    TimedOut,
    /// The asker withdrew.
    WithdrawnByRequester,
    /// The door at which the asker waited is gone, and nobody waits any more.
    AskerGone,
    /// Somebody entitled revoked.
    RevokedByPerson,
    /// Waiting for people.
    WaitingForApproval,
    /// Somebody approved whose login is older than the policy asks for, or not known: the approval does not count.
    LoginTooOld,
    /// Claimed by a proxy.
    ClaimedByProxy,
    /// The admission policy or its binding changed or does not refuse a forgery.
    AdmissionNotTrusted,
    /// A break-glass use that nobody has reviewed yet.
    AwaitingReview,
    /// A break-glass use was reviewed by somebody else.
    ReviewedByPerson,
    /// The time of the grant is over.
    GrantOver,
    /// Asked for longer, or for more at one time, than is allowed.
    QuotaExceeded,
    /// There are too few approvers, apart from the asker where somebody asks.
    NobodyElse,
    /// The Connection was sent elsewhere since it was asked.
    TargetChanged,
}

/// State of a MaskingRule or an ApprovalPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// The generation of `metadata` that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Enforced, Ready; Degraded and Advisory where they apply. `Enforced` is about this rule alone: every process that holds a session of a Connection that it selects enforces this generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many Connections the rule selects.
    #[serde(default)]
    pub connections: i32,
    /// The generation that is in force where the present one is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced_generation: Option<i64>,
}

// === impl ConditionType ===

impl ConditionType {
    /// The ends of an AccessRequest, in the order in which one counts over another.
    pub const ENDS: [Self; 5] = [
        Self::AdmissionChanged,
        Self::Withdrawn,
        Self::Denied,
        Self::Revoked,
        Self::Expired,
    ];

    /// The text in `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Programmed => "Programmed",
            Self::Enforced => "Enforced",
            Self::Ready => "Ready",
            Self::Degraded => "Degraded",
            Self::Advisory => "Advisory",
            Self::Approved => "Approved",
            Self::Denied => "Denied",
            Self::Expired => "Expired",
            Self::Withdrawn => "Withdrawn",
            Self::Revoked => "Revoked",
            Self::Reviewed => "Reviewed",
            Self::Consumed => "Consumed",
            Self::AdmissionChanged => "AdmissionChanged",
        }
    }
}

// === impl Reason ===

impl Reason {
    /// The text in `reason`.
    pub fn as_str(self) -> String {
        format!("{self:?}")
    }
}

/// Whether a condition of this type is there and `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == kind.as_str() && c.status == "True")
}
