//! The nouns of Sallyport: the five kinds of `sallyport.dev/v1alpha1`, their conditions and the references between them.
//!
//! This crate holds types and the rules that the API server itself enforces on them (structural schema and CEL). It does
//! no IO. `config/crd` is generated from it by the `crdgen` binary, and a test compares the two.

pub mod access_request;
pub mod approval_policy;
pub mod audit_sink;
pub mod condition;
pub mod connection;
pub mod duration;
pub mod manifests;
pub mod masking_rule;
pub mod names;
pub mod reference;
mod schema;
pub mod selector;
pub mod subject;

pub use access_request::{AccessRequest, AccessRequestSpec, AccessRequestStatus};
pub use approval_policy::{ApprovalPolicy, ApprovalPolicySpec};
pub use audit_sink::{AuditSink, AuditSinkSpec, AuditSinkStatus};
pub use condition::{ConditionType, Reason, RuleStatus};
pub use connection::{Connection, ConnectionSpec, ConnectionStatus};
pub use duration::Duration;
pub use masking_rule::{MaskingRule, MaskingRuleSpec};
pub use subject::{Subject, SubjectKind};

/// The API group of all five kinds.
pub const GROUP: &str = "sallyport.dev";
/// The API version of all five kinds.
pub const VERSION: &str = "v1alpha1";

/// The five custom resource definitions, in the order in which they are installed.
pub fn definitions() -> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>
{
    use kube::CustomResourceExt;
    [
        Connection::crd(),
        MaskingRule::crd(),
        ApprovalPolicy::crd(),
        AuditSink::crd(),
        AccessRequest::crd(),
    ]
    .map(schema::refuse_nulls)
    .to_vec()
}

/// Whether a rule acts or only says what it would have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub enum Mode {
    /// The rule acts.
    #[default]
    Enforce,
    /// The rule records what it would have done and changes nothing.
    Observe,
}
