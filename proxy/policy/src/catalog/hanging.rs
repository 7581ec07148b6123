//! What hangs on a relation from outside of it: what CASCADE takes along.

use serde::{Deserialize, Serialize};

use super::{AttNum, Oid};

/// Something outside of a relation that goes with it, or with one of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hanging {
    /// The relation that it is, or that it is part of; 0 where it is none.
    pub relation: Oid,
    /// What of that relation it is.
    pub part: Part,
    /// Columns that it hangs on, in order; 0 is the relation as a whole, with which it goes in any case.
    pub on: Vec<AttNum>,
    /// Whether it hangs on a key of these columns, and goes with that: what groups by it, or names it in ON CONFLICT.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyed: bool,
}

/// What of another relation hangs on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// The whole of it: a view, a child, a sequence that a column owns.
    Whole,
    /// A foreign key. Its rows go with those of the other where TRUNCATE says CASCADE.
    Key,
    /// A column with its values, be it of the relation's row type or generated.
    Column(AttNum),
    /// Something that holds no rows and that nothing hangs on in turn: a policy, a rule, a trigger, a default, a check.
    Other,
    /// What is not followed: a function, a domain, an extension.
    Unknown,
}

// === impl Hanging ===

impl Hanging {
    /// From how the door reads it: a letter for the part, with the number of a column, a `k` where it hangs on a key, and what it hangs
    /// on. A letter that is not known may be anything.
    pub fn of(relation: Oid, text: &str) -> Option<Self> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let word = words.next()?;
        let by_key = word.strip_suffix('k').filter(|part| !part.is_empty());
        let part = match by_key.unwrap_or(word) {
            "w" => Part::Whole,
            "k" => Part::Key,
            "p" => Part::Other,
            word => match word.strip_prefix('c') {
                Some(number) => Part::Column(number.parse().ok()?),
                None => Part::Unknown,
            },
        };
        let on: Option<Vec<AttNum>> = words.map(|word| word.parse().ok()).collect();
        let mut on = on?;
        on.sort_unstable();
        on.dedup();
        Some(Self {
            relation,
            part,
            on,
            keyed: by_key.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_read_as_the_door_writes_it() {
        for (text, part, on, keyed) in [
            ("w 3 0 3", Part::Whole, &[0, 3][..], false),
            ("wk 1", Part::Whole, &[1], true),
            ("k 1 2 1 2", Part::Key, &[1, 2], false),
            ("c12 0", Part::Column(12), &[0], false),
            ("p  4", Part::Other, &[4], false),
            ("pk 4 4", Part::Other, &[4], true),
            ("x 0", Part::Unknown, &[0], false),
            ("xk 1", Part::Unknown, &[1], true),
            ("? 1", Part::Unknown, &[1], false),
        ] {
            let hanging = Hanging {
                relation: 7,
                part,
                on: on.to_vec(),
                keyed,
            };
            assert_eq!(Hanging::of(7, text), Some(hanging), "{text}");
        }
        for text in ["", "c 1", "w a"] {
            assert_eq!(Hanging::of(7, text), None, "{text}");
        }
    }
}
