//! AccessRequest: one question to a second person. Modelled on CertificateSigningRequest.

mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{AccessRequestStatus, Answer, Claim, Decision, Login, Requirement, Seal};

use crate::Duration;
use crate::approval_policy::{GrantScope, OnHold};

/// One question to a second person.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "AccessRequest",
    namespaced,
    status = "AccessRequestStatus",
    shortname = "ar",
    category = "sallyport",
    derive = "PartialEq",
    doc = "One question to a second person: who wants to run what, where. The spec never changes; people answer through the status subresource, and the API server says who they are.",
    printcolumn = r#"{"name":"Requester","type":"string","jsonPath":".spec.requester.username"}"#,
    printcolumn = r#"{"name":"Connection","type":"string","jsonPath":".spec.connection.name"}"#,
    printcolumn = r#"{"name":"Command","type":"string","jsonPath":".spec.command.summary"}"#,
    printcolumn = r#"{"name":"Risk","type":"integer","jsonPath":".spec.command.risk"}"#,
    printcolumn = r#"{"name":"Approvals","type":"string","jsonPath":".status.progress"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Left","type":"string","jsonPath":".status.left"}"#,
    printcolumn = r#"{"name":"Scope","type":"string","jsonPath":".spec.scope","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".spec.reason","priority":1}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expiresAt","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable: withdraw this request and make another"))]
#[x_kube(validation = Rule::new("!(self.scope in ['Command', 'Fingerprint']) || has(self.command)").message("scope Command and Fingerprint need the command"))]
#[x_kube(validation = Rule::new("self.scope == 'Window' || !has(self.window)").message("window belongs to scope Window"))]
#[x_kube(validation = Rule::new("!has(self.command) || has(self.session)").message("a held command comes with its session"))]
#[x_kube(validation = Rule::new("has(self.session) || self.scope == 'Window' && has(self.window) && has(self.reason)").message("what is asked beforehand is a window of time, with a reason"))]
#[x_kube(validation = Rule::new("!self.breakGlass || has(self.session) && has(self.window) && has(self.reason)").message("a break-glass use comes from a session, for a window, with a reason"))]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestSpec {
    /// The Connection that is asked about.
    pub connection: ConnectionIdentity,
    /// The person who asks.
    pub requester: Person,
    /// The agents that act for the person, the nearest to the door first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub agents: Vec<Person>,
    /// What would be granted.
    pub scope: GrantScope,
    /// The command, as a person may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandView>,
    /// The window that is asked for, for scope Window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Which policies and rules ask. Who may approve is not said here: the operator writes that into `status.requirements`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub asked_by: Vec<RuleIdentity>,
    /// The person went ahead without waiting (break-glass): nothing is asked but to review it. Stated by the door alone.
    #[serde(default)]
    pub break_glass: bool,
    /// Why, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
    /// When the request can no longer be decided.
    #[x_kube(validation = Rule::new("self < timestamp('9000-01-01T00:00:00Z')").message("expiresAt must be a time before the year 9000"))]
    pub expires_at: Time,
    /// The session and process that hold the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionIdentity>,
}

/// A Connection, by name and uid: a namesake made later is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionIdentity {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid`.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// A person or an agent. Sameness is (issuer, subject), never the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Name as the API server would give it, such as `oidc:alice`.
    #[schemars(length(min = 1, max = 512))]
    pub username: String,
    /// Groups as the API server would give them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 512)))]
    pub groups: Vec<String>,
    /// The issuer's URL.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub issuer: String,
    /// The `sub` claim: what the API server knows as the user's uid.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub subject: String,
}

/// A command as a person may see it: detector hits, passwords and keys masked, control characters escaped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandView {
    /// The text.
    #[schemars(length(max = 40_000))]
    pub text: String,
    /// The first line or so, for `kubectl get`.
    #[schemars(length(max = 80))]
    pub summary: String,
    /// Bound parameters in words, such as `$1 = 7`, each cut at 4 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 5_000)))]
    pub parameters: Vec<String>,
    /// Keyed hash (HMAC-SHA-256, hexadecimal) of the exact bytes, the parameters and all that the grant is bound to.
    #[schemars(length(min = 64, max = 64), pattern("^[0-9a-f]{64}$"))]
    pub digest: String,
    /// What it does: `delete`, `drop` and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub verbs: Vec<String>,
    /// What it touches, as `schema.table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 512)))]
    pub tables: Vec<String>,
    /// The documented risk score, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub risk: i32,
    /// Rows in what it changes, else reads, by the target's statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rows: Option<i64>,
    /// The database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub database: Option<String>,
}

/// A window of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// How long, from the approval on.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('168h')").message("duration must be between 1m and 168h"))]
    pub duration: Duration,
}

/// A policy's rule, by names, uid and generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleIdentity {
    /// Name of the ApprovalPolicy.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// Its `metadata.uid`.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Name of the rule.
    #[schemars(length(min = 1, max = 63))]
    pub rule: String,
}

/// The session and process that hold the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionIdentity {
    /// Session, as in the records.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// Pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// The Pod's uid.
    #[schemars(length(max = 64))]
    pub pod_uid: String,
    /// Whether the client waits or comes again.
    pub on_hold: OnHold,
}

/// The admission objects in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionIdentity {
    /// Digest over uid and generation of every admission policy and binding of ours.
    #[schemars(length(max = 64))]
    pub digest: String,
}
