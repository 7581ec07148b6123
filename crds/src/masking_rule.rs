//! MaskingRule: what a reader may not see.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::SecretKeyReference;
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
#[x_kube(validation = Rule::new("has(self.connectionSelector.matchLabels) && size(self.connectionSelector.matchLabels) > 0 || has(self.connectionSelector.matchExpressions) && size(self.connectionSelector.matchExpressions) > 0").message("connectionSelector must not be empty: an empty selector would select every Connection; name at least one label").field_path(".connectionSelector"))]
#[serde(rename_all = "camelCase")]
pub struct MaskingRuleSpec {
    /// Which Connections of this namespace the rule applies to, by their labels. Must not be empty.
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
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Built-in detectors by Presidio's entity name (US_SSN, CREDIT_CARD, IBAN_CODE, EMAIL_ADDRESS, PHONE_NUMBER, US_ITIN); Google's infoType names are taken as aliases.
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
    #[schemars(length(max = 256), inner(length(min = 5, max = 255), pattern(r"^[^.]+\.[^.]+\.[^.]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub columns: Vec<String>,
    /// Fields of Kubernetes resources (protocol Kubernetes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub resources: Vec<ResourceMatch>,
    /// Lets detectors look at integer columns too. Off by default: an order number is too easily a card number.
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
    #[schemars(length(min = 1, max = 1024))]
    pub regex: String,
    /// The longest text, in bytes, that the pattern can match. Bounds how much a stream has to be held back.
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
    #[schemars(length(min = 1, max = 32), inner(length(min = 2, max = 256)))]
    pub json_paths: Vec<String>,
}

/// Kinds of action, from the strongest to the weakest: where several rules meet on one value, the stronger one is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ActionType {
    /// The value becomes NULL.
    Null,
    /// The value becomes a fixed text that says it was redacted.
    Redact,
    /// The value becomes a text of one's own.
    Replace,
    /// The value becomes another of the same format (FF1), the same one each time.
    Tokenize,
    /// The value becomes its keyed hash (HMAC-SHA-256), the same one each time.
    Hash,
    /// A date becomes its month or year.
    Generalize,
    /// The first or last characters stay.
    Partial,
}

/// What is shown instead of a value. Exactly the part that belongs to `type` may be given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.type == 'Replace') == has(self.replace)").message("replace belongs to type Replace"))]
#[x_kube(validation = Rule::new("(self.type == 'Partial') == has(self.partial)").message("partial belongs to type Partial"))]
#[x_kube(validation = Rule::new("(self.type == 'Hash') == has(self.hash)").message("hash belongs to type Hash"))]
#[x_kube(validation = Rule::new("(self.type == 'Tokenize') == has(self.tokenize)").message("tokenize belongs to type Tokenize"))]
#[x_kube(validation = Rule::new("(self.type == 'Generalize') == has(self.generalize)").message("generalize belongs to type Generalize"))]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Redact, Replace, Null, Partial, Hash, Tokenize or Generalize.
    #[serde(rename = "type")]
    pub kind: ActionType,
    /// For type Replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<Replace>,
    /// For type Partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
    /// For type Hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// For type Tokenize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenize: Option<Tokenize>,
    /// For type Generalize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generalize: Option<Generalize>,
}

/// A fixed text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replace {
    /// The text that is shown.
    #[schemars(length(max = 256))]
    pub with: String,
}

/// Keeps some characters at either end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.keepFirst + self.keepLast <= 10").message("keepFirst + keepLast may be at most 10 (PCI DSS 3.4.1 shows first six and last four at most)"))]
#[serde(rename_all = "camelCase")]
pub struct Partial {
    /// How many characters at the start stay readable. A value that is not longer than what stays is masked whole.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_first: i32,
    /// How many characters at the end stay readable.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_last: i32,
    /// The character shown for each one hidden.
    #[serde(default = "mask_character")]
    #[schemars(length(min = 1, max = 1))]
    pub mask_character: String,
}

/// A keyed hash that is the same for the same value, so that hashed columns can still be joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hash {
    /// The key (at least 32 bytes) of the HMAC.
    pub key_secret_ref: SecretKeyReference,
    /// How many hexadecimal digits are shown.
    #[serde(default = "hash_length")]
    #[schemars(range(min = 16, max = 64))]
    pub length: i32,
}

/// Format-preserving encryption (NIST SP 800-38G, FF1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokenize {
    /// The key (16, 24 or 32 bytes).
    pub key_secret_ref: SecretKeyReference,
    /// Which characters are encrypted; all others stay where they are.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// How many characters at the start stay as they are.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_first: i32,
    /// How many characters at the end stay as they are.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_last: i32,
}

/// Alphabets of [`Tokenize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Alphabet {
    /// 0 to 9.
    #[default]
    Digits,
    /// 0 to 9 and a to z.
    AlphanumericLower,
}

/// Makes dates coarser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generalize {
    /// What is left of a date.
    pub dates_to: DatePart,
}

/// What [`Generalize`] leaves of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatePart {
    /// The first day of the month.
    Month,
    /// The first day of the year.
    Year,
}

fn mask_character() -> String {
    "*".to_owned()
}

fn hash_length() -> i32 {
    32
}

// === impl MaskingRuleSpec ===

impl MaskingRuleSpec {
    /// The profile in force: what the rule says, or Strict for column rules and Standard for detectors.
    pub fn effective_profile(&self) -> Profile {
        self.profile.unwrap_or(if self.matches.columns.is_empty() { Profile::Standard } else { Profile::Strict })
    }
}
