//! A masking rule, resolved: what the compiler of objects hands to this module.

use super::action::{Action, REDACTED};
use super::detect::pattern::Pattern;
use super::detect::{DETECTORS, Kind};
use super::resolve::ColumnGlob;

/// Index of a rule in its [`MaskSet`](super::MaskSet). Means nothing across policy revisions; there (uid, generation)
/// of the rule counts.
pub type RuleId = u16;

/// One masking rule with every name resolved and every default filled in.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The object's name, for counts and records.
    pub name: String,
    /// The object's uid: together with `generation` it keeps resolved columns in force over renames.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// What happens to a value that matches.
    pub action: Action,
    /// Built-in detectors that are on.
    pub detectors: Vec<Kind>,
    /// The rule's own patterns, compiled.
    pub patterns: Vec<Pattern>,
    /// Columns protected by name.
    pub columns: Vec<ColumnGlob>,
    /// What happens where safety cannot be shown.
    pub profile: Profile,
    /// Count what would be masked and change nothing.
    pub observe: bool,
    /// Let detectors look at integer columns too. Off by default: nine digits in an `int4` are mostly an order number.
    pub integers: bool,
    /// People who may not see a protected column may assign it.
    pub allow_writes: bool,
    /// Under Strict: protected columns may be compared with each other where their hashes under one key are shown.
    pub allow_equality: bool,
}

/// What a rule does where a value cannot be shown to be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// Column rules by origin and lineage, detectors for everything else; what cannot be decoded becomes NULL.
    #[default]
    Standard,
    /// What cannot be decoded ends the result with an error.
    Strict,
}

/// A text that is as long as this is in no value by chance.
const TELLING: usize = 6;

/// A sorted set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleSet(Vec<RuleId>);

impl Rule {
    /// A rule of no object: whatever a built-in detector recognises is redacted.
    pub fn of_all_detectors() -> Self {
        Self {
            name: "commandText".to_owned(),
            uid: String::new(),
            generation: 0,
            action: Action::Redact,
            detectors: DETECTORS.iter().map(|detector| detector.kind).collect(),
            patterns: Vec::new(),
            columns: Vec::new(),
            profile: Profile::Standard,
            observe: false,
            integers: false,
            allow_writes: false,
            allow_equality: false,
        }
    }

    /// The text that stands in the place of what detectors and patterns find, where it tells that it does.
    pub fn shown(&self) -> Option<&str> {
        let finds = !(self.detectors.is_empty() && self.patterns.is_empty());
        let text = match &self.action {
            Action::Replace { with } => with.as_str(),
            Action::Null | Action::Partial(_) => return None,
            Action::Redact | Action::Tokenize(_) | Action::Hash { .. } | Action::Generalize(_) => REDACTED,
        };
        (finds && text.len() >= TELLING).then_some(text)
    }
}

impl RuleSet {
    /// The set of one rule.
    pub fn one(id: RuleId) -> Self {
        Self(vec![id])
    }

    /// Adds a rule; true if it was not there.
    pub fn insert(&mut self, id: RuleId) -> bool {
        match self.0.binary_search(&id) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, id);
                true
            }
        }
    }

    /// Adds all rules of `other`; true if anything was new.
    pub fn extend(&mut self, other: &RuleSet) -> bool {
        other.iter().fold(false, |new, id| self.insert(id) | new)
    }

    /// Whether the rule is in the set.
    pub fn contains(&self, id: RuleId) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    /// Whether the set holds no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RuleId> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<RuleId> for RuleSet {
    fn from_iter<I: IntoIterator<Item = RuleId>>(ids: I) -> Self {
        let mut ids: Vec<RuleId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self(ids)
    }
}
