//! The carrier: everything that a door needs to know to run, in one signed document.
//!
//! It travels in a ConfigMap that people with `edit` may write, so a door believes the signature and nothing else, and never
//! goes back to a lower revision.

mod older;
mod sealed;

use std::collections::{BTreeMap, BTreeSet};

use sallyport_crds::audit_sink::{Asynchronous, CommandText, Durability};
use sallyport_crds::{ApprovalPolicySpec, ConnectionSpec, MaskingRuleSpec, Reason};
use serde::{Deserialize, Serialize};

use crate::columns::ByRule;
use crate::issuer::{ApproverMapping, Issuer};

pub use sealed::{CarrierError, SignedCarrier, payload_digest, sign, verify};
pub(crate) use sealed::{seal, unseal};

/// The first format. Whoever does not say which formats it reads reads this one.
pub const FIRST: u32 = 1;
/// The newest format that this version reads and writes; it reads all before it, too. A door refuses formats that it does not
/// know. 2: ranges of parameters in grants, which doors before it would pass over.
pub const FORMAT: u32 = 2;
/// The largest signed carrier, in bytes: a ConfigMap holds 1 MiB with its metadata.
pub const MAX_BYTES: usize = 900 * 1024;

/// Everything that a door needs to know to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Carrier {
    /// The format that it is written in: [`FORMAT`], or an older one while some door reads no newer.
    pub format: u32,
    /// Grows with every change of the rest; a door never goes back.
    pub revision: u64,
    /// The Connection.
    pub connection: CarriedConnection,
    /// MaskingRules in force, by name.
    pub masking_rules: Vec<CarriedRule<MaskingRuleSpec>>,
    /// ApprovalPolicies in force, by name.
    pub approval_policies: Vec<CarriedRule<ApprovalPolicySpec>>,
    /// Where evidence goes. Each must accept a record before it counts.
    pub sinks: Vec<CarriedSink>,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// What holds for the whole installation.
    pub settings: ClusterSettings,
    /// Columns of the target that stay protected, by database: what the rules' names fitted once, and copies. A door of before
    /// this field leaves it out, and protects what it finds itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ByRule>,
    /// Uids of the rules that are carried in a stricter reading, since the format cannot say all that is in them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stricter: BTreeSet<String>,
    /// Set: the door admits nobody and ends live sessions, and says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// The Connection that a carrier is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedConnection {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`: a door refuses the carrier of a namesake.
    pub uid: String,
    /// `metadata.generation` of the specification.
    pub generation: i64,
    /// `metadata.labels`, for CEL.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The specification.
    pub spec: ConnectionSpec,
}

/// A rule in force: an accepted specification, not necessarily the newest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedRule<S> {
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation` of the specification that is in force.
    pub generation: i64,
    /// The specification.
    pub spec: S,
}

/// A sink, with what a door needs of its specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CarriedSink {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`, which the recorder's certificate must carry.
    pub uid: String,
    /// Where its recorder takes records, host and port.
    pub address: String,
    /// When a command may run.
    pub durability: Durability,
    /// How far Async may lag.
    #[serde(default, rename = "async", skip_serializing_if = "Option::is_none")]
    pub asynchronous: Option<Asynchronous>,
    /// How a command's text is recorded.
    pub command_text: CommandText,
}

/// What holds for the whole installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSettings {
    /// Address ranges (CIDR) that no target may resolve to.
    #[serde(default)]
    pub denied_cidrs: Vec<String>,
    /// Audiences that the API server accepts: a token that carries one is refused at the door.
    #[serde(default)]
    pub api_server_audiences: Vec<String>,
    /// Addresses of all configured issuers: an approver's must be one of them.
    #[serde(default)]
    pub known_issuers: Vec<String>,
    /// Declared names of approvers.
    #[serde(default)]
    pub approver_mappings: Vec<ApproverMapping>,
}

/// Why a door admits nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The text of a [`Reason`].
    pub reason: String,
    /// For people.
    pub message: String,
}

// === impl Carrier ===

impl Carrier {
    /// Generations of all rules in force as they are written, by uid: what a door that runs this carrier enforces.
    pub fn rules_in_force(&self) -> BTreeMap<String, i64> {
        let masking = self
            .masking_rules
            .iter()
            .map(|rule| (rule.uid.clone(), rule.generation));
        masking
            .chain(
                self.approval_policies
                    .iter()
                    .map(|rule| (rule.uid.clone(), rule.generation)),
            )
            .filter(|(uid, _)| !self.stricter.contains(uid))
            .collect()
    }
}

// === impl Closed ===

impl Closed {
    /// Closed for a reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason: reason.as_str(),
            message: message.into(),
        }
    }
}
