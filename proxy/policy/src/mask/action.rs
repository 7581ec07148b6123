//! What happens to a value that a rule protects.

use std::cmp::Ordering;

use sallyport_crds::masking_rule::{Alphabet, DatePart};
use sallyport_crds::reference::SecretKeyReference;

/// The text that [`Action::Redact`] shows.
pub const REDACTED: &str = "[REDACTED]";

/// What is shown instead of a value. The stronger of two is the lesser: by [`Action::rank`], and of two of one kind the one that
/// shows less, so that it is never the rules' names that decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// NULL. In text that has no NULL (a message, a part of a longer value) the same as [`Action::Redact`].
    Null,
    /// [`REDACTED`], or NULL in types that cannot hold it.
    Redact,
    /// A fixed text, read as a value of the column's type; NULL in types that cannot hold it.
    Replace {
        /// The text.
        with: String,
    },
    /// The first hexadecimal digits of HMAC-SHA-256 over the value's canonical text.
    ///
    /// Only for stored protected columns with unbroken lineage; elsewhere [`Action::Redact`], since whoever may hash
    /// texts of their own choice (`SELECT '536-90-4399'`) could build the dictionary of all values (POSTGRES.md 17).
    Hash {
        /// Where the key is.
        key: SecretKeyReference,
        /// Hexadecimal digits shown, 16 to 64.
        length: usize,
    },
    /// Another value of the same format, see [`Tokens`]. Only for stored protected columns with unbroken lineage, as
    /// [`Action::Hash`] and for the same reason; elsewhere [`Action::Redact`].
    Tokenize(Tokens),
    /// A date becomes the first day of its month or year; NULL in types that are no dates. Only for stored protected columns with
    /// unbroken lineage, as [`Action::Hash`]; elsewhere [`Action::Redact`].
    Generalize(DatePart),
    /// Some characters at either end stay, see [`Partial`].
    Partial(Partial),
}

impl Action {
    /// Place in the order of strength, 0 being the strongest: Null > Redact > Replace > Tokenize > Hash > Generalize >
    /// Partial (KUBERNETES.md 3).
    pub fn rank(&self) -> u8 {
        match self {
            Action::Null => 0,
            Action::Redact => 1,
            Action::Replace { .. } => 2,
            Action::Tokenize(_) => 3,
            Action::Hash { .. } => 4,
            Action::Generalize(_) => 5,
            Action::Partial(_) => 6,
        }
    }

    /// What it is on a protected column. On what an expression makes of one, Tokenize, Hash, Generalize and Partial redact: who
    /// chooses what is hashed or encrypted can build the dictionary, and a partial mask (`substr(ssn, i, 1)`) or a coarser date
    /// (`dob + i`) could be led to show anything.
    #[must_use]
    pub fn on_column(&self, stored: bool) -> Self {
        match self {
            Action::Tokenize(_) | Action::Hash { .. } | Action::Generalize(_) | Action::Partial(_) if !stored => {
                Action::Redact
            }
            action => action.clone(),
        }
    }

    /// What it is on a part of a value that a detector or pattern finds: it may come from a literal or parameter, and a token or hash
    /// of that would hand out a dictionary (POSTGRES.md 17).
    #[must_use]
    pub fn on_part(&self) -> Self {
        match self {
            Action::Tokenize(_) | Action::Hash { .. } | Action::Generalize(_) => Action::Redact,
            action => action.clone(),
        }
    }

    /// Its name in a manifest.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Null => "Null",
            Action::Redact => "Redact",
            Action::Replace { .. } => "Replace",
            Action::Tokenize(_) => "Tokenize",
            Action::Hash { .. } => "Hash",
            Action::Generalize(_) => "Generalize",
            Action::Partial(_) => "Partial",
        }
    }
}

impl Ord for Action {
    fn cmp(&self, other: &Self) -> Ordering {
        let alike = match (self, other) {
            (Action::Replace { with: one }, Action::Replace { with: other }) => one.cmp(other),
            (Action::Tokenize(one), Action::Tokenize(other)) => one.cmp(other),
            (
                Action::Hash { key: one, length },
                Action::Hash {
                    key: other,
                    length: more,
                },
            ) => (length, one).cmp(&(more, other)),
            // A year says less than a month.
            (Action::Generalize(one), Action::Generalize(other)) => other.cmp(one),
            (Action::Partial(one), Action::Partial(other)) => one.cmp(other),
            _ => Ordering::Equal,
        };
        self.rank().cmp(&other.rank()).then(alike)
    }
}

impl PartialOrd for Action {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Encrypts characters within their alphabet, and keeps some at either end.
///
/// Separators stay where they are and do not count, as for [`Partial`]. A value that holds anything else, or in the place of
/// which fewer than a million could stand, is redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Where the key is.
    pub key: SecretKeyReference,
    /// The characters that are encrypted.
    pub alphabet: Alphabet,
    /// Characters kept at the start.
    pub keep_first: usize,
    /// Characters kept at the end.
    pub keep_last: usize,
    /// Stands in front of each value's own tweak, which is what is kept of it.
    pub tweak: String,
}

/// Keeps letters and digits at either end and hides the others.
///
/// Separators (space, `-`, `.`, `/`, `(`, `)`) stay where they are and do not count, so `536-90-4399` with
/// `keep_last: 4` is `***-**-4399`. A value with no more characters than would be kept is hidden whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Characters kept at the start.
    pub keep_first: usize,
    /// Characters kept at the end.
    pub keep_last: usize,
    /// Shown for each hidden character.
    pub mask: char,
}

impl Tokens {
    /// By what is kept; the rest makes it an order.
    fn order(&self) -> impl Ord {
        let Self {
            key,
            alphabet,
            keep_first,
            keep_last,
            tweak,
        } = self;
        let kept = keep_first.saturating_add(*keep_last);
        (kept, keep_first, alphabet, key, tweak)
    }
}

impl Ord for Tokens {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Tokens {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Partial {
    /// By what is kept; the rest makes it an order.
    fn order(self) -> impl Ord {
        let kept = self.keep_first.saturating_add(self.keep_last);
        (kept, self.keep_first, self.mask)
    }

    /// Appends the masked form of `value`.
    ///
    /// Bytes that are not UTF-8 are each taken for one character.
    pub(crate) fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let total = characters(value).filter(|c| !is_separator(c)).count();
        let (first, last) = if total <= self.keep_first.saturating_add(self.keep_last) {
            (0, 0)
        } else {
            (self.keep_first, self.keep_last)
        };
        let mut mask = [0; 4];
        let mask = self.mask.encode_utf8(&mut mask).as_bytes();
        let mut seen = 0usize;
        for c in characters(value) {
            if is_separator(c) {
                out.extend_from_slice(c);
                continue;
            }
            let keep = seen < first || seen >= total.saturating_sub(last);
            out.extend_from_slice(if keep { c } else { mask });
            seen = seen.saturating_add(1);
        }
    }
}

impl Ord for Partial {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Partial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

pub(super) fn is_separator(c: &[u8]) -> bool {
    matches!(c, [b' ' | b'-' | b'.' | b'/' | b'(' | b')'])
}

/// Splits into UTF-8 characters; a byte that starts none stands alone.
fn characters(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let lead = *rest.first()?;
        let want = match lead {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        let valid = rest
            .get(1..want)
            .is_some_and(|cont| cont.iter().all(|b| b & 0xC0 == 0x80));
        let (head, tail) = rest.split_at_checked(if valid { want } else { 1 })?;
        rest = tail;
        Some(head)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_keeps_ends_and_separators() {
        let cases: &[(usize, usize, &str, &str)] = &[
            (0, 4, "536-90-4399", "***-**-4399"),
            (6, 4, "4111 1111 1111 1111", "4111 11** **** 1111"),
            (1, 0, "Ünal", "Ü***"),
            (0, 2, "żółć", "**łć"),
            (0, 4, "4399", "****"),
            (2, 2, "4-3-9", "*-*-*"),
            (0, 0, "abc", "***"),
            (0, 4, "", ""),
        ];
        for (keep_first, keep_last, value, want) in cases {
            let partial = Partial {
                keep_first: *keep_first,
                keep_last: *keep_last,
                mask: '*',
            };
            let mut out = Vec::new();
            partial.write(value.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), *want, "{value}");
        }
    }

    #[test]
    fn partial_takes_bytes_that_are_not_text() {
        let mut out = Vec::new();
        Partial {
            keep_first: 0,
            keep_last: 1,
            mask: '*',
        }
        .write(&[0xFF, 0xC3, 0xE2, 0x82], &mut out);
        assert_eq!(out, [b'*', b'*', b'*', 0x82]);
    }

    #[test]
    fn the_stronger_is_the_lesser() {
        let key = SecretKeyReference {
            name: "keys".into(),
            key: "a".into(),
        };
        let replace = |with: &str| Action::Replace { with: with.into() };
        let tokens = |keep_first, keep_last| {
            Action::Tokenize(Tokens {
                key: key.clone(),
                alphabet: Alphabet::Digits,
                keep_first,
                keep_last,
                tweak: String::new(),
            })
        };
        let hash = |length| Action::Hash {
            key: key.clone(),
            length,
        };
        let partial = |keep_first, keep_last| {
            Action::Partial(Partial {
                keep_first,
                keep_last,
                mask: '*',
            })
        };
        let order = [
            Action::Null,
            Action::Redact,
            replace("a"),
            replace("b"),
            tokens(0, 0),
            tokens(0, 4),
            tokens(6, 4),
            hash(16),
            hash(32),
            Action::Generalize(DatePart::Year),
            Action::Generalize(DatePart::Month),
            partial(0, 4),
            partial(4, 0),
            partial(0, 10),
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }
}
