//! From a MaskingRule's spec to a [`Rule`] that can be run: the one place that accepts or refuses it.

use sallyport_crds::Mode;
use sallyport_crds::masking_rule::{Action as SpecAction, ActionType, MaskingRuleSpec, Match, Profile as SpecProfile};

use super::action::{Action, Partial, Tokens};
use super::detect::pattern::Pattern;
use super::detect::{DETECTORS, Kind};
use super::resolve::ColumnGlob;
use super::rule::{Profile, Rule};

const KEPT: &str = "keepFirst and keepLast must be 0 to 10, and 10 at most together";

/// One thing that keeps a rule from being accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct RuleProblem {
    /// Path of the field within the spec, such as `match.patterns[1].regex`.
    pub field: String,
    /// Whether it is a fault, or something that is still to come.
    pub kind: ProblemKind,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The spec is wrong.
    Invalid,
    /// The spec asks for something that this version does not do.
    NotImplemented,
}

/// Compiles a rule, or says everything that is wrong with it.
pub fn compile(name: &str, uid: &str, generation: i64, spec: &MaskingRuleSpec) -> Result<Rule, Vec<RuleProblem>> {
    let mut problems = Problems::default();
    let profile = match spec.effective_profile() {
        SpecProfile::Standard => Profile::Standard,
        SpecProfile::Strict => Profile::Strict,
    };
    let action = problems.action(&spec.action);
    if spec.allow_equality && !(matches!(action, Some(Action::Hash { .. })) && profile == Profile::Strict) {
        problems.invalid(
            "allowEquality",
            "compares by keyed hash, and loosens profile Strict: it belongs to action type Hash under that profile",
        );
    }
    if spec.allow_equality && spec.allow_writes {
        problems.invalid(
            "allowWrites",
            "whoever may write guesses into a column could compare others with them: it does not go with allowEquality",
        );
    }
    let detectors = problems.detectors(&spec.matches);
    let patterns = problems.patterns(&spec.matches);
    let columns = problems.columns(&spec.matches);
    if !spec.matches.resources.is_empty() {
        problems.not_implemented(
            "match.resources",
            "fields of Kubernetes resources are masked by the Kubernetes door, which is still to come",
        );
    }
    if detectors.is_empty() && patterns.is_empty() && columns.is_empty() && problems.0.is_empty() {
        problems.invalid("match", "name at least one of detectors, patterns or columns");
    }
    match action {
        Some(action) if problems.0.is_empty() => Ok(Rule {
            name: name.to_owned(),
            uid: uid.to_owned(),
            generation,
            action,
            detectors,
            patterns,
            columns,
            profile,
            observe: spec.mode == Mode::Observe,
            integers: spec.matches.integers,
            allow_writes: spec.allow_writes,
            allow_equality: spec.allow_equality,
        }),
        _ => Err(problems.0),
    }
}

#[derive(Default)]
struct Problems(Vec<RuleProblem>);

impl Problems {
    fn add(&mut self, kind: ProblemKind, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(RuleProblem {
            field: field.into(),
            kind,
            message: message.into(),
        });
    }

    fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(ProblemKind::Invalid, field, message);
    }

    fn not_implemented(&mut self, field: &str, message: &str) {
        self.add(ProblemKind::NotImplemented, field, message);
    }

    fn action(&mut self, spec: &SpecAction) -> Option<Action> {
        match spec.kind {
            ActionType::Null => Some(Action::Null),
            ActionType::Redact => Some(Action::Redact),
            ActionType::Replace => match &spec.replace {
                Some(replace) if replace.with.contains('\0') => {
                    self.invalid(
                        "action.replace.with",
                        "must not hold a NUL character: no text of PostgreSQL can",
                    );
                    None
                }
                Some(replace) => Some(Action::Replace {
                    with: replace.with.clone(),
                }),
                None => self.missing("action.replace"),
            },
            ActionType::Partial => match &spec.partial {
                Some(partial) => self.partial(partial).map(Action::Partial),
                None => self.missing("action.partial"),
            },
            ActionType::Hash => match &spec.hash {
                Some(hash) => self.hash(hash),
                None => self.missing("action.hash"),
            },
            ActionType::Generalize => match &spec.generalize {
                Some(generalize) => Some(Action::Generalize(generalize.dates_to)),
                None => self.missing("action.generalize"),
            },
            ActionType::Tokenize => match &spec.tokenize {
                Some(tokenize) => self.tokens(tokenize).map(Action::Tokenize),
                None => self.missing("action.tokenize"),
            },
        }
    }

    fn missing(&mut self, field: &str) -> Option<Action> {
        self.invalid(field, "is required by action.type");
        None
    }

    fn partial(&mut self, spec: &sallyport_crds::masking_rule::Partial) -> Option<Partial> {
        let mut characters = spec.mask_character.chars();
        let mask = characters
            .next()
            .filter(|c| characters.next().is_none() && !c.is_control());
        match (kept(spec.keep_first, spec.keep_last), mask) {
            (Some((keep_first, keep_last)), Some(mask)) => Some(Partial {
                keep_first,
                keep_last,
                mask,
            }),
            (_, None) => {
                self.invalid(
                    "action.partial.maskCharacter",
                    "must be exactly one character, not a control character",
                );
                None
            }
            _ => {
                self.invalid("action.partial", KEPT);
                None
            }
        }
    }

    fn tokens(&mut self, spec: &sallyport_crds::masking_rule::Tokenize) -> Option<Tokens> {
        let tweak = spec.tweak.as_deref().unwrap_or_default();
        if tweak.chars().count() > 64 || tweak.chars().any(char::is_control) {
            self.invalid(
                "action.tokenize.tweak",
                "must be 64 characters at most, no control characters",
            );
            return None;
        }
        let Some((keep_first, keep_last)) = kept(spec.keep_first, spec.keep_last) else {
            self.invalid("action.tokenize", KEPT);
            return None;
        };
        Some(Tokens {
            key: spec.key_secret_ref.clone(),
            alphabet: spec.alphabet,
            keep_first,
            keep_last,
            tweak: tweak.to_owned(),
        })
    }

    fn hash(&mut self, spec: &sallyport_crds::masking_rule::Hash) -> Option<Action> {
        match usize::try_from(spec.length) {
            Ok(length @ 16..=64) => Some(Action::Hash {
                key: spec.key_secret_ref.clone(),
                length,
            }),
            _ => {
                self.invalid("action.hash.length", "must be 16 to 64 hexadecimal digits");
                None
            }
        }
    }

    fn detectors(&mut self, spec: &Match) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for (i, name) in spec.detectors.iter().enumerate() {
            match Kind::from_name(name) {
                Some(kind) if kinds.contains(&kind) => {}
                Some(kind) => kinds.push(kind),
                None => {
                    let known: Vec<&str> = DETECTORS.iter().map(|d| d.name).collect();
                    let message = format!("{name} is not a detector; there are {}", known.join(", "));
                    self.invalid(format!("match.detectors[{i}]"), message);
                }
            }
        }
        kinds
    }

    fn patterns(&mut self, spec: &Match) -> Vec<Pattern> {
        let mut patterns: Vec<Pattern> = Vec::new();
        for (i, pattern) in spec.patterns.iter().enumerate() {
            if patterns.iter().any(|other| other.name() == pattern.name) {
                self.invalid(
                    format!("match.patterns[{i}].name"),
                    format!("{} is there twice", pattern.name),
                );
            }
            let Ok(length @ 1..=4096) = usize::try_from(pattern.max_length) else {
                self.invalid(format!("match.patterns[{i}].maxLength"), "must be 1 to 4096");
                continue;
            };
            match Pattern::compile(&pattern.name, &pattern.regex, length) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.invalid(format!("match.patterns[{i}].regex"), error.to_string()),
            }
        }
        patterns
    }

    fn columns(&mut self, spec: &Match) -> Vec<ColumnGlob> {
        let mut globs = Vec::new();
        for (i, column) in spec.columns.iter().enumerate() {
            match ColumnGlob::parse(column) {
                Ok(glob) => globs.push(glob),
                Err(error) => self.invalid(format!("match.columns[{i}]"), error.to_string()),
            }
        }
        globs
    }
}

/// How many characters are kept at either end, if they may be.
fn kept(first: i32, last: i32) -> Option<(usize, usize)> {
    let keep = |n: i32| usize::try_from(n).ok().filter(|n| *n <= 10);
    let (first, last) = (keep(first)?, keep(last)?);
    (first.saturating_add(last) <= 10).then_some((first, last))
}

#[cfg(test)]
mod tests;
