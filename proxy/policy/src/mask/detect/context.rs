//! Words that make a bare number mean something.

use std::sync::LazyLock;

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton as _;
use aho_corasick::dfa::DFA;

use super::connection::OtherKeys;
use super::firsts::FIRSTS;
use super::{DETECTORS, Kind};
use crate::mask::bytes::{at, cut};

/// What is known about a cell besides its text: the column's name or a JSON key, in which detectors look for their
/// context words (`ssn`, `phone`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The name; empty when there is none.
    pub(crate) label: &'a [u8],
    /// The text is a value of its own (a field, an array element, a JSON string), not prose: a number that fills it
    /// counts as more than the same number within a sentence.
    pub(crate) whole: bool,
    /// Whose words stand in the name, where that is known already.
    named: Option<Named>,
    /// What of the text itself is found once.
    pub(super) other_keys: Option<&'a OtherKeys>,
}

impl<'a> Context<'a> {
    /// Text under this name, which is a value of its own or not.
    pub fn new(label: &'a [u8], whole: bool) -> Self {
        Self {
            label,
            whole,
            named: None,
            other_keys: None,
        }
    }

    /// A value of its own under this name.
    pub fn value(label: &'a [u8]) -> Self {
        Self::new(label, true)
    }

    /// Text without a name, in which a number that fills it means nothing more.
    pub fn prose() -> Self {
        Self::new(&[], false)
    }

    /// Text of a column, or of what is within its values.
    pub(crate) fn of(label: &'a Label, whole: bool) -> Self {
        Self {
            label: &label.name,
            whole,
            named: Some(label.named),
            other_keys: None,
        }
    }

    /// The same, with what of the text itself is found once.
    pub(super) fn remembering<'k>(self, other_keys: &'k OtherKeys) -> Context<'k>
    where
        'a: 'k,
    {
        Context {
            other_keys: Some(other_keys),
            ..self
        }
    }

    /// Whose words stand in the name.
    pub(super) fn named(&self) -> Named {
        self.named.unwrap_or_else(|| Named::within(self.label))
    }
}

/// A column's name, in which words are looked for once and not for each value.
#[derive(Debug)]
pub(crate) struct Label {
    name: Box<[u8]>,
    named: Named,
}

impl Label {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.as_bytes().into(),
            named: Named::within(name.as_bytes()),
        }
    }
}

/// How far before a number its context word may stand, in bytes.
const REACH: usize = 40;

/// Which detectors have one of their words somewhere: a bit for each [`Kind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named(u32);

/// All words of all detectors, looked for at once, and whose each of them is.
static WORDS: LazyLock<Option<(DFA, Vec<Named>)>> = LazyLock::new(|| {
    let words = || {
        DETECTORS
            .iter()
            .flat_map(|one| one.words.iter().map(|word| (one.kind, *word)))
    };
    let automaton = DFA::builder()
        .ascii_case_insensitive(true)
        .build(words().map(|(_, word)| word));
    Some((automaton.ok()?, words().map(|(kind, _)| Named::of(kind)).collect()))
});

// === impl Named ===

impl Named {
    fn of(kind: Kind) -> Self {
        Self(kind.bit())
    }

    /// Whose words stand in the label, or in the text shortly before `at`.
    pub(super) fn near(text: &[u8], at: usize, context: &Context<'_>) -> Self {
        let named = context.named();
        if at == 0 {
            return named;
        }
        let before = Self::within(cut(text, at.saturating_sub(REACH), at));
        Self(named.0 | before.0)
    }

    /// Whose words stand in a text.
    pub(super) fn within(text: &[u8]) -> Self {
        if !FIRSTS.may_stand_in(text) {
            return Self::default();
        }
        Self::found_in(text)
    }

    /// The same by a look at every byte.
    pub(super) fn found_in(text: &[u8]) -> Self {
        // Without the automaton, which is built of constants, every number counts as named: too much is hidden, not too little.
        let Some((automaton, owners)) = WORDS.as_ref() else {
            return Self(u32::MAX);
        };
        let mut found = Self::default();
        let Ok(mut state) = automaton.start_state(Anchored::No) else {
            return Self(u32::MAX);
        };
        // State by state: an iterator over all matches costs three times as much, and there are few of them.
        for (place, b) in text.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *b);
            if !automaton.is_special(state) || !automaton.is_match(state) {
                continue;
            }
            let end = place.saturating_add(1);
            for index in 0..automaton.match_len(state) {
                let word = automaton.match_pattern(state, index);
                let owner = owners.get(word.as_usize()).map_or(u32::MAX, |owner| owner.0);
                let start = end.saturating_sub(automaton.pattern_len(word));
                if found.0 & owner != owner && stands_alone(text, start, end) {
                    found.0 |= owner;
                }
            }
        }
        found
    }

    /// A set with a bit for each kind.
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// Whether those of one detector are among them.
    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }
}

/// Whether a word (in lower case) stands in a label.
pub(super) fn names(label: &[u8], word: &[u8]) -> bool {
    label.windows(word.len()).enumerate().any(|(start, there)| {
        there.eq_ignore_ascii_case(word) && stands_alone(label, start, start.saturating_add(word.len()))
    })
}

/// Whether letters go on neither before a word nor after it.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    !start.checked_sub(1).is_some_and(|before| is_joined(text, before)) && !is_joined(text, end.saturating_sub(1))
}

/// Whether the bytes at `left` and after it are of one word: two letters, but not those at which `homePhone` is parted.
fn is_joined(text: &[u8], left: usize) -> bool {
    let (left, right) = (at(text, left), at(text, left.saturating_add(1)));
    let parted = left.is_ascii_lowercase() && right.is_ascii_uppercase();
    left.is_ascii_alphabetic() && right.is_ascii_alphabetic() && !parted
}
