//! Words that make a bare number mean something.

use crate::mask::bytes::{at, cut};

/// What is known about a cell besides its text: the column's name or a JSON key, in which detectors look for their
/// context words (`ssn`, `phone`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The name; empty when there is none.
    pub label: &'a [u8],
    /// The text is a value of its own (a field, an array element, a JSON string), not prose: a number that fills it
    /// counts as more than the same number within a sentence.
    pub whole: bool,
}

impl<'a> Context<'a> {
    /// A value of its own under this name.
    pub fn value(label: &'a [u8]) -> Self {
        Self { label, whole: true }
    }

    /// Text without a name, in which a number that fills it means nothing more.
    pub fn prose() -> Self {
        Self {
            label: &[],
            whole: false,
        }
    }
}

/// How far before a number its context word may stand, in bytes.
const REACH: usize = 40;

/// Whether one of `words` (in lower case) stands in the label, or in the text shortly before `at`.
pub(super) fn has_word(text: &[u8], at: usize, context: &Context<'_>, words: &[&str]) -> bool {
    let before = cut(text, at.saturating_sub(REACH), at);
    words
        .iter()
        .any(|w| contains_word(context.label, w.as_bytes()) || contains_word(before, w.as_bytes()))
}

/// Case-insensitive search for a word that letters do not continue on either side.
fn contains_word(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).enumerate().any(|(i, w)| {
        let end = i.saturating_add(word.len());
        w.eq_ignore_ascii_case(word)
            && !i.checked_sub(1).is_some_and(|before| is_joined(text, before))
            && !is_joined(text, end.saturating_sub(1))
    })
}

/// Whether the bytes at `left` and after it are of one word: two letters, but not those at which `homePhone` is parted.
fn is_joined(text: &[u8], left: usize) -> bool {
    let (left, right) = (at(text, left), at(text, left.saturating_add(1)));
    let parted = left.is_ascii_lowercase() && right.is_ascii_uppercase();
    left.is_ascii_alphabetic() && right.is_ascii_alphabetic() && !parted
}
