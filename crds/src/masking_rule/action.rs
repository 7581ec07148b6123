//! What is shown instead of a value.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::SecretKeyReference;

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
    /// Redact, Replace, Null, Partial, Hash, Tokenize or Generalize. Hash, Tokenize and Generalize are for protected columns as they are stored; what a detector or pattern finds is redacted instead. So is what an expression makes of a protected column, by Partial too.
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
    #[schemars(length(max = 256), pattern(r"^[^\x00-\x1f\x7f]*$"))]
    pub with: String,
}

/// Keeps some characters at either end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.keepFirst + self.keepLast <= 10").message("keepFirst + keepLast may be at most 10 (PCI DSS 3.4.1 shows first six and last four at most)"))]
#[serde(rename_all = "camelCase")]
pub struct Partial {
    /// How many characters at the start stay readable. Separators (space, hyphen, dot, slash, parentheses) do not count and stay. A value that is not longer than what stays is masked whole.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_first: i32,
    /// How many characters at the end stay readable; separators do not count.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_last: i32,
    /// The character shown for each one hidden.
    #[serde(default = "mask_character")]
    #[schemars(length(min = 1, max = 1), pattern(r"^[^A-Za-z0-9\s]$"))]
    pub mask_character: String,
}

/// A keyed hash that is the same for the same value, so that hashed columns can still be joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hash {
    /// The key (at least 32 bytes) of the HMAC. Rotate it by naming another, which may lie beside it in the same Secret; `Enforced` then says from when on every process hashes by it, and records name keys by their ids.
    pub key_secret_ref: SecretKeyReference,
    /// How many hexadecimal digits are shown.
    #[serde(default = "hash_length")]
    #[schemars(range(min = 16, max = 64))]
    pub length: i32,
}

/// Format-preserving encryption (NIST SP 800-38G r1, FF1): the same value has the same token, and different values have different ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.keepFirst + self.keepLast <= 10").message("keepFirst + keepLast may be at most 10 (PCI DSS 3.4.1 shows first six and last four at most)"))]
#[serde(rename_all = "camelCase")]
pub struct Tokenize {
    /// The key of AES (16, 24 or 32 bytes as they are, such as `openssl rand 32` gives). Whoever has it can undo every token. It is rotated as that of a Hash rule.
    pub key_secret_ref: SecretKeyReference,
    /// Which characters are encrypted, each to any of them. Separators (space, hyphen, dot, slash, parentheses) stay where they are; a value that holds anything else, or more than 128 to encrypt, is redacted. Numbers (int4, int8, whole numeric) need Digits and keep as many of them; other types are redacted.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// How many characters at the start stay as they are; separators do not count. Where fewer than a million values could stand in the place of the rest (five digits, three letters), the value is redacted.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_first: i32,
    /// How many characters at the end stay as they are; separators do not count.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub keep_last: i32,
    /// Sets columns apart, for under another tweak the same value has another token. Without one, equal values have equal tokens in every column under the same key, alphabet and kept characters, so that they join as hashes do. It is no secret. Characters that stay are part of each value's tweak anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern(r"^[^\x00-\x1f\x7f]*$"))]
    pub tweak: Option<String>,
}

/// Alphabets of [`Tokenize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Alphabet {
    /// 0 to 9.
    #[default]
    Digits,
    /// 0 to 9 and a to z.
    AlphanumericLower,
    /// 0 to 9 and A to Z.
    AlphanumericUpper,
    /// 0 to 9, A to Z and a to z.
    Alphanumeric,
}

/// Makes dates coarser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generalize {
    /// What is left of a date.
    pub dates_to: DatePart,
}

/// What [`Generalize`] leaves of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DatePart {
    /// The first day of the month.
    Month,
    /// The first day of the year.
    Year,
}

// === impl Action ===

impl Action {
    /// Where the key is that the action goes by, if it goes by one.
    pub fn key_secret_ref(&self) -> Option<&SecretKeyReference> {
        match self.kind {
            ActionType::Hash => self.hash.as_ref().map(|hash| &hash.key_secret_ref),
            ActionType::Tokenize => self.tokenize.as_ref().map(|tokenize| &tokenize.key_secret_ref),
            _ => None,
        }
    }
}

fn mask_character() -> String {
    "*".to_owned()
}

fn hash_length() -> i32 {
    32
}
