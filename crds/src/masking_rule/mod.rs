//! MaskingRule: what a reader may not see.

mod action;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use action::{Action, ActionType, Alphabet, DatePart, Generalize, Hash, Partial, Replace, Tokenize};

use crate::{Mode, RuleStatus, Subject};

/// What readers behind a door may not see, and what they see instead.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "MaskingRule",
    namespaced,
    status = "RuleStatus",
    shortname = "mr",
    category = "sallyport",
    derive = "PartialEq",
    doc = "What readers behind a door may not see, and what they see instead. Selects Connections of its own namespace by label.",
    printcolumn = r#"{"name":"Action","type":"string","jsonPath":".spec.action.type"}"#,
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Connections","type":"integer","jsonPath":".status.connections"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name":"Enforced","type":"string","jsonPath":".status.conditions[?(@.type=='Enforced')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("!has(self.action.partial) || !has(self.match.patterns) || self.match.patterns.all(p, self.action.partial.keepFirst + self.action.partial.keepLast < p.maxLength)").message("a partial mask that keeps as much as a pattern's maxLength shows everything: keep less").field_path(".action.partial"))]
#[x_kube(validation = Rule::new("!has(self.action.partial) || !has(self.match.detectors) || !self.match.detectors.exists(d, d.startsWith('US_') || d == 'ABA_ROUTING_NUMBER' || d.endsWith('PHONE_NUMBER')) || self.action.partial.keepFirst + self.action.partial.keepLast <= 5").message("a partial mask of numbers of nine or ten digits may keep 5 characters at most: more shows, or lets guess, the whole").field_path(".action.partial"))]
#[x_kube(validation = Rule::new("!self.allowWrites && !self.allowEquality || has(self.match.columns) && size(self.match.columns) > 0").message("allowWrites and allowEquality are about protected columns: name match.columns"))]
#[x_kube(validation = Rule::new("!self.allowEquality || self.action.type == 'Hash'").message("allowEquality compares by keyed hash: it belongs to action type Hash"))]
#[x_kube(validation = Rule::new("!self.allowEquality || !has(self.profile) || self.profile == 'Strict'").message("allowEquality belongs to profile Strict"))]
#[x_kube(validation = Rule::new("!(self.allowEquality && self.allowWrites)").message("allowEquality and allowWrites exclude each other: whoever may write guesses into a column could compare others with them"))]
#[x_kube(validation = Rule::new("!has(self.profile) || self.profile != 'Strict' || has(self.match.columns) && size(self.match.columns) > 0 || has(self.match.resources) && size(self.match.resources) > 0").message("profile Strict is about columns and resources: detectors and patterns alone cannot show anything to be safe"))]
#[serde(rename_all = "camelCase")]
pub struct MaskingRuleSpec {
    /// Which Connections of this namespace the rule applies to, by their labels. Must not be empty.
    #[schemars(schema_with = "crate::selector::selector")]
    pub connection_selector: LabelSelector,
    /// Enforce (default), or Observe: record what the rule would have masked and change nothing.
    #[serde(default)]
    pub mode: Mode,
    /// How strictly protected columns are kept. Strict by default where `match.columns` is given, Standard otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Who sees values as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub exempt_subjects: Vec<Subject>,
    /// What is masked. At least one of detectors, patterns, columns, resources.
    #[serde(rename = "match")]
    pub matches: Match,
    /// What is shown instead.
    pub action: Action,
    /// Lets people who may not see a protected column assign it (UPDATE, ON CONFLICT, MERGE). Off by default, since masked values that are written back destroy data.
    #[serde(default)]
    pub allow_writes: bool,
    /// Under Strict: lets a protected column be compared for equality by its keyed hash.
    #[serde(default)]
    pub allow_equality: bool,
}

/// How far a rule goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Profile {
    /// Columns by origin and lineage, everything else by detectors; what a mask cannot stop is documented.
    Standard,
    /// What cannot be shown to be safe is refused.
    Strict,
}

/// What a MaskingRule applies to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.detectors) && size(self.detectors) > 0 || has(self.patterns) && size(self.patterns) > 0 || has(self.columns) && size(self.columns) > 0 || has(self.resources) && size(self.resources) > 0").message("name at least one of detectors, patterns, columns or resources"))]
#[x_kube(validation = Rule::new("!self.integers || has(self.detectors) && size(self.detectors) > 0 || has(self.patterns) && size(self.patterns) > 0").message("integers is for detectors and patterns"))]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Built-in detectors by Presidio's entity name (US_SSN, US_ITIN, US_EIN, US_PASSPORT, US_DRIVER_LICENSE, DATE_OF_BIRTH, EMAIL_ADDRESS, PHONE_NUMBER, MEDICAL_RECORD_NUMBER, US_NPI, CREDIT_CARD, IBAN_CODE, ABA_ROUTING_NUMBER, SWIFT_CODE, IP_ADDRESS, MAC_ADDRESS, URL_WITH_CREDENTIALS, PASSWORD, AWS_CREDENTIALS, GCP_API_KEY, AZURE_AUTH_TOKEN, GITHUB_TOKEN, SLACK_TOKEN, STRIPE_API_KEY, JSON_WEB_TOKEN, PEM_PRIVATE_KEY); Google's infoType names are taken as aliases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64), pattern("^[A-Z][A-Z0-9_]*$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub detectors: Vec<String>,
    /// Own patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub patterns: Vec<Pattern>,
    /// Columns as `schema.table.column`; `*` stands for any text within one part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 5, max = 255), pattern(r"^[^.]+\.[^.]+\.[^.]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub columns: Vec<String>,
    /// Fields of Kubernetes resources (protocol Kubernetes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub resources: Vec<ResourceMatch>,
    /// Lets detectors and patterns look at integer columns too. Off by default: an order number is too easily a card number.
    #[serde(default)]
    pub integers: bool,
}

/// A pattern of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pattern {
    /// Name of the pattern, as it appears in records and metrics.
    #[schemars(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A regular expression without look-around or back-references: what both RE2 and Rust's regex take.
    // `|| true` would absorb the error of a pattern that does not compile; membership does not.
    #[x_kube(validation = Rule::new("''.matches(self) in [true, false]").message("regex does not compile: use RE2 syntax (no look-around, no back-references)"))]
    #[x_kube(validation = Rule::new("!''.matches(self)").message("regex matches the empty text: it would mask everything"))]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: String,
    /// The longest match, in bytes, that the rule counts on. A regex whose every match is longer is refused, and a partial mask has to keep fewer characters than this. Values are looked at whole, and longer matches are masked too.
    #[schemars(range(min = 1, max = 4096))]
    pub max_length: i32,
}

/// Fields of Kubernetes resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceMatch {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Plural name of the resource, such as `secrets`.
    #[schemars(length(min = 1, max = 253))]
    pub resource: String,
    /// Fields as JSONPath, such as `.data.*`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 2, max = 256), pattern(r"^[.\[]")))]
    pub json_paths: Vec<String>,
}

// === impl MaskingRuleSpec ===

impl MaskingRuleSpec {
    /// The profile in force: what the rule says, or Strict for column rules and Standard for detectors.
    pub fn effective_profile(&self) -> Profile {
        self.profile.unwrap_or(if self.matches.columns.is_empty() {
            Profile::Standard
        } else {
            Profile::Strict
        })
    }
}
