//! The compiled rules of a policy, and what of them applies to one person.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sallyport_crds::reference::SecretKeyReference;

use super::action::Action;
use super::count::{CountLabel, Counts, Slot};
use super::detect::pattern::Pattern;
use super::detect::{Kind, Own, Scanner};
use super::keys::{Keyed, Keys};
use super::plan::{ColumnInfo, RowPlan};
use super::rule::{Profile, Rule, RuleId, RuleSet};
use super::text::SpanAction;
use super::types::Types;
use super::types::constant::ValueAction;

/// Maskers kept, one for each set of exempt rules that was asked for; people differ in few ways.
const CACHE: usize = 32;

/// All masking rules of one policy revision, with their keys.
pub struct MaskSet {
    rules: Vec<Rule>,
    keys: Keys,
    cache: Mutex<Vec<(RuleSet, Arc<Masker>)>>,
}

impl MaskSet {
    /// Takes compiled rules, whose index is from now on their [`RuleId`], and the keys they name. A rule whose key is
    /// missing redacts instead; see [`MaskSet::missing_keys`].
    pub fn new(rules: Vec<Rule>, keys: Keys) -> Self {
        Self {
            rules,
            keys,
            cache: Mutex::new(Vec::new()),
        }
    }

    /// The rules, in order of their [`RuleId`].
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The keys that rules name and [`MaskSet::new`] was not given.
    pub fn missing_keys(&self) -> Vec<&SecretKeyReference> {
        let rules = self.rules.iter();
        rules.filter_map(|rule| self.keys.missing(&rule.action)).collect()
    }

    /// The ids of the keys that Hash rules hash by, by the rule's name.
    pub fn hash_key_ids(&self) -> BTreeMap<String, String> {
        let hashing = self.rules.iter().filter_map(|rule| match &rule.action {
            Action::Hash { key, .. } => Some((rule.name.clone(), self.keys.hash.get(key)?.id())),
            _ => None,
        });
        hashing.collect()
    }

    /// The ids of the keys that Tokenize rules encrypt by, by the rule's name.
    pub fn token_key_ids(&self) -> BTreeMap<String, String> {
        let encrypting = self.rules.iter().filter_map(|rule| match &rule.action {
            Action::Tokenize(tokens) => Some((rule.name.clone(), self.keys.token.get(&tokens.key)?.id())),
            _ => None,
        });
        encrypting.collect()
    }

    /// The masker of a person who is exempt from these rules.
    pub fn masker(&self, exempt: &RuleSet) -> Arc<Masker> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, masker)) = cache.iter().find(|(rules, _)| rules == exempt) {
            return Arc::clone(masker);
        }
        let masker = Arc::new(Masker::new(self, exempt));
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.push((exempt.clone(), Arc::clone(&masker)));
        masker
    }
}

impl fmt::Debug for MaskSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskSet")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// The rules that apply to one person: made once per kind of person, shared by sessions.
pub struct Masker {
    /// By [`RuleId`]; `None` for a rule from which the person is exempt.
    columns: Vec<Option<ColumnRule>>,
    entries: Vec<Entry>,
    /// Everything, for text.
    pub(super) text: Scanner,
    /// Built-in detectors alone, for numeric: own patterns are about text.
    pub(super) numeric: Scanner,
    /// What rules that say `integers` look for in integers.
    pub(super) integer: Scanner,
    labels: Arc<[CountLabel]>,
    /// Whether some acting rule with columns is Strict.
    pub(super) strict: bool,
    /// Whether any rule acts.
    pub(super) acts: bool,
}

/// What one rule does to the columns that it protects.
#[derive(Clone)]
struct ColumnRule {
    slot: Slot,
    /// `None` in Observe; Redact where its key is missing.
    action: Option<Action>,
    key: Option<Keyed>,
    strict: bool,
    /// Where the key is by whose hash values may be compared.
    equality: Option<SecretKeyReference>,
}

/// What is done about hits of one detector or pattern.
#[derive(Default)]
pub(super) struct Entry {
    /// The strongest action of the rules that act; `None` when all only observe.
    pub(super) action: Option<SpanAction>,
    pub(super) slots: Vec<Slot>,
}

/// What the rules that protect a column do to it together.
#[derive(Default)]
pub(super) struct ColumnVerdict {
    /// The strongest action of the rules that act.
    pub(super) action: Option<ValueAction>,
    /// The counters of all rules, acting or observing.
    pub(super) slots: Vec<Slot>,
    /// Some acting rule is Strict.
    pub(super) strict: bool,
}

// === impl Entry ===

impl Entry {
    /// One more rule that wants it; `None` for the action of one that observes.
    fn add(&mut self, slot: Slot, action: Option<SpanAction>) {
        self.slots.push(slot);
        self.action = match (self.action.take(), action) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

// === impl Masker ===

impl Masker {
    /// Counter of values hidden because they could not be decoded.
    pub(super) const UNDECODABLE: Slot = 0;

    fn new(set: &MaskSet, exempt: &RuleSet) -> Self {
        let mut builder = Builder::default();
        builder.label("", CountLabel::UNDECODABLE.to_owned(), false);
        let mut columns = Vec::with_capacity(set.rules.len());
        for (id, rule) in set.rules.iter().enumerate() {
            let exempt = RuleId::try_from(id).is_ok_and(|id| exempt.contains(id));
            columns.push((!exempt).then(|| builder.rule(rule, &set.keys)));
        }
        let text = builder.scanner(|_| true, true);
        let numeric = builder.scanner(|_| true, false);
        let integer = builder.scanner(|rule| rule.integers, true);
        let strict = columns.iter().flatten().any(|rule| rule.strict);
        let acts = columns.iter().flatten().any(|rule| rule.action.is_some());
        Self {
            columns,
            entries: builder.entries,
            text,
            numeric,
            integer,
            labels: builder.labels.into(),
            strict,
            acts,
        }
    }

    /// A plan for the rows that follow a RowDescription (or CopyOutResponse) with these columns.
    pub fn plan(self: &Arc<Self>, columns: &[ColumnInfo]) -> RowPlan {
        self.plan_with(columns, &Arc::default())
    }

    /// The same where the catalog knows types that are not built in: of columns, of elements, of fields.
    pub fn plan_with(self: &Arc<Self>, columns: &[ColumnInfo], types: &Arc<Types>) -> RowPlan {
        RowPlan::new(Arc::clone(self), columns, Arc::clone(types))
    }

    /// Counters, all zero, for whatever this masker masks.
    pub fn counts(&self) -> Counts {
        Counts::new(Arc::clone(&self.labels))
    }

    /// Whether any rule acts for this person: if none does, nothing has to be kept from them.
    pub fn acts(&self) -> bool {
        self.acts
    }

    /// Whether any detector or pattern is on; if not, free text passes as it is.
    pub fn has_detectors(&self) -> bool {
        !self.text.is_empty()
    }

    /// Whether some rule of the set acts for this person: their columns are protected from them.
    pub fn protects(&self, rules: &RuleSet) -> bool {
        self.rules(rules).any(|rule| rule.action.is_some())
    }

    /// Whether some rule with columns is Strict for this person.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The first of these rules that is Strict for this person.
    pub fn strict_rule(&self, rules: &RuleSet) -> Option<RuleId> {
        rules
            .iter()
            .find(|id| matches!(self.columns.get(usize::from(*id)), Some(Some(rule)) if rule.strict))
    }

    /// Whether values that some rules protect may be compared with those that others do: all of them allow it, and show hashes
    /// under one key.
    pub fn compares(&self, one: &RuleSet, other: &RuleSet) -> bool {
        let acting = |rules| self.rules(rules).filter(|rule| rule.action.is_some());
        let by = acting(one).next().and_then(|rule| rule.equality.as_ref());
        let mut others = acting(one).chain(acting(other));
        by.is_some() && acting(other).next().is_some() && others.all(|rule| rule.equality.as_ref() == by)
    }

    fn rules<'a>(&'a self, rules: &'a RuleSet) -> impl Iterator<Item = &'a ColumnRule> {
        rules
            .iter()
            .filter_map(|id| self.columns.get(usize::from(id))?.as_ref())
    }

    pub(super) fn entry(&self, entry: u16) -> Option<&Entry> {
        self.entries.get(usize::from(entry))
    }

    /// What happens to a column that these rules protect. `stored`: it is the stored column itself, not an expression.
    pub(super) fn column(&self, rules: &RuleSet, stored: bool) -> ColumnVerdict {
        let mut verdict = ColumnVerdict::default();
        let mut strongest: Option<(Action, &ColumnRule)> = None;
        for rule in self.rules(rules) {
            verdict.slots.push(rule.slot);
            let Some(action) = &rule.action else { continue };
            verdict.strict |= rule.strict;
            let action = action.on_column(stored);
            if strongest.as_ref().is_none_or(|(other, _)| action < *other) {
                strongest = Some((action, rule));
            }
        }
        verdict.action = strongest.map(|(action, rule)| ValueAction::new(&action, rule.key.as_ref()));
        verdict
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// Collects counters, and detectors and patterns with who wants them.
#[derive(Default)]
struct Builder<'r> {
    labels: Vec<CountLabel>,
    entries: Vec<Entry>,
    wanted: Vec<Wanted<'r>>,
}

struct Wanted<'r> {
    rule: &'r Rule,
    what: Looked<'r>,
    slot: Slot,
}

#[derive(Clone, Copy)]
enum Looked<'r> {
    Kind(Kind),
    Pattern(&'r Pattern),
}

impl<'r> Builder<'r> {
    fn label(&mut self, rule: &str, kind: String, observed: bool) -> Slot {
        let slot = Slot::try_from(self.labels.len()).unwrap_or(Slot::MAX);
        self.labels.push(CountLabel {
            rule: rule.to_owned(),
            kind,
            observed,
        });
        slot
    }

    fn rule(&mut self, rule: &'r Rule, keys: &Keys) -> ColumnRule {
        let slot = self.label(&rule.name, "column".to_owned(), rule.observe);
        for kind in &rule.detectors {
            let slot = self.label(&rule.name, kind.name().to_owned(), rule.observe);
            self.wanted.push(Wanted {
                rule,
                what: Looked::Kind(*kind),
                slot,
            });
        }
        for pattern in &rule.patterns {
            let slot = self.label(&rule.name, format!("pattern/{}", pattern.name()), rule.observe);
            self.wanted.push(Wanted {
                rule,
                what: Looked::Pattern(pattern),
                slot,
            });
        }
        let key = keys.ready(&rule.action);
        let equality = match &rule.action {
            // Without its key the rule redacts, and shows nothing by which values are equal.
            Action::Hash { key: at, .. } if rule.allow_equality && key.is_some() => Some(at.clone()),
            _ => None,
        };
        let keyless = key.is_none() && matches!(rule.action, Action::Hash { .. } | Action::Tokenize(_));
        let action = if keyless { Action::Redact } else { rule.action.clone() };
        let action = (!rule.observe).then_some(action);
        let strict = rule.profile == Profile::Strict && action.is_some() && !rule.columns.is_empty();
        ColumnRule {
            slot,
            action,
            key,
            strict,
            equality,
        }
    }

    /// A scanner for what the rules that `applies` names look for. A detector wanted by several rules is run once, with the
    /// strongest of their actions.
    fn scanner(&mut self, applies: impl Fn(&Rule) -> bool, patterns: bool) -> Scanner {
        let mut kinds: Vec<(Kind, u16, bool)> = Vec::new();
        let mut own = Vec::new();
        for wanted in self.wanted.iter().filter(|w| applies(w.rule)) {
            let fresh = u16::try_from(self.entries.len()).unwrap_or(u16::MAX);
            let entry = match wanted.what {
                Looked::Kind(kind) => match kinds.iter_mut().find(|(k, ..)| *k == kind) {
                    Some((_, entry, enforced)) => {
                        *enforced |= !wanted.rule.observe;
                        *entry
                    }
                    None => {
                        kinds.push((kind, fresh, !wanted.rule.observe));
                        fresh
                    }
                },
                Looked::Pattern(pattern) if patterns => {
                    own.push(Own {
                        pattern: pattern.clone(),
                        entry: fresh,
                        whole: fresh.saturating_add(1),
                    });
                    fresh
                }
                Looked::Pattern(_) => continue,
            };
            let action = (!wanted.rule.observe).then(|| SpanAction::new(&wanted.rule.action));
            if entry == fresh {
                self.entries.push(Entry::default());
            }
            if let Some(entry) = self.entries.get_mut(usize::from(entry)) {
                entry.add(wanted.slot, action.clone());
            }
            if matches!(wanted.what, Looked::Pattern(_)) {
                let mut whole = Entry::default();
                whole.add(wanted.slot, action.map(SpanAction::whole));
                self.entries.push(whole);
            }
        }
        Scanner::new(&kinds, own)
    }
}
