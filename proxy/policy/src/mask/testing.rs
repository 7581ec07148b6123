//! What the tests of this module share.

use std::sync::Arc;

use sallyport_crds::masking_rule::Alphabet;
use sallyport_crds::reference::SecretKeyReference;

use super::action::{Action, Tokens};
use super::detect::Kind;
use super::plan::{ColumnInfo, Format, Source};
use super::rule::{Profile, Rule, RuleSet};
use super::{HashKey, Keys, MaskSet, Masker, TokenKey};

/// A rule that matches nothing yet.
pub(super) fn rule(action: Action) -> Rule {
    Rule {
        name: "r".into(),
        uid: "u".into(),
        generation: 1,
        action,
        detectors: Vec::new(),
        patterns: Vec::new(),
        columns: Vec::new(),
        profile: Profile::Standard,
        observe: false,
        integers: false,
        allow_writes: false,
        allow_equality: false,
    }
}

/// A rule with these detectors.
pub(super) fn detecting(action: Action, kinds: &[Kind]) -> Rule {
    Rule {
        detectors: kinds.to_vec(),
        ..rule(action)
    }
}

pub(super) fn key() -> SecretKeyReference {
    SecretKeyReference {
        name: "keys".into(),
        key: "hash".into(),
    }
}

/// Tokens of this alphabet, nothing kept.
pub(super) fn tokenize(alphabet: Alphabet) -> Action {
    Action::Tokenize(Tokens {
        key: key(),
        alphabet,
        keep_first: 0,
        keep_last: 0,
        tweak: String::new(),
    })
}

/// The masker of these rules, for nobody exempt.
pub(super) fn masker(rules: Vec<Rule>) -> Arc<Masker> {
    let keys = Keys {
        hash: [(key(), HashKey::new(&[7; 32]).unwrap())].into(),
        token: [(key(), TokenKey::new(&[7; 32]).unwrap())].into(),
    };
    MaskSet::new(rules, keys).masker(&RuleSet::default())
}

/// SSN and card detectors that redact.
pub(super) fn redacting() -> Arc<Masker> {
    masker(vec![detecting(
        Action::Redact,
        &[Kind::UsSsn, Kind::CreditCard, Kind::EmailAddress],
    )])
}

pub(super) fn column(type_oid: u32, format: Format, source: Source) -> ColumnInfo {
    ColumnInfo {
        name: "c".into(),
        type_oid,
        type_modifier: -1,
        format,
        source,
        class: None,
    }
}

/// What a column of this type becomes for one value; `None` is NULL.
pub(super) fn mask(masker: &Arc<Masker>, info: ColumnInfo, value: &[u8]) -> Option<Vec<u8>> {
    let plan = masker.plan(&[info]);
    let mut out = Vec::new();
    match plan.field(0, value, &mut out, &mut plan.counts()).unwrap() {
        super::Outcome::Unchanged => Some(value.to_vec()),
        super::Outcome::Written => Some(out),
        super::Outcome::Null => None,
    }
}
