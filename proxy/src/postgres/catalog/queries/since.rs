//! What has changed since a catalog was read: the rest is known from there.
//!
//! Whatever a transaction wrote that had ended by then was read. So a row version counts as new unless its transaction's number
//! is below those of all that were under way; a subtransaction's is its own, and greater than that of what it is part of. Numbers
//! are compared by age: one that has gone round counts as new. What goes away needs no look here: what is there is listed whole.
//!
//! A definition is a text, which names relations, columns and schemas as they are called when it is read. It stays what it is while
//! nothing that it names changes: rows of its rule, of relations that this hangs on, with all of their columns, and of schemas.
//! Where it hangs on anything else (a function, a type), it is read each time.
//!
//! What an expression calls hangs on its own row and on the [code](super::code_versions). While that is the same, those that are
//! there and called nothing need no look.

use sallyport_policy::catalog::Oid;

/// What is known from before.
#[derive(Debug)]
pub(in crate::postgres::catalog) struct Since {
    /// Transactions with a lower number had ended before it was read. Half of the number, as rows hold it.
    ended: u32,
    /// Views whose definitions could not be read.
    undefined: Vec<Oid>,
}

/// The number below which all transactions have ended, and the first that none has got. They are asked for in front of the
/// catalog, in a transaction of their own: a backend learns at the beginning of one that names have changed.
pub(in crate::postgres::catalog) const ENDED: &str = "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()), \
     pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())";

/// Ages of this many transactions and more tell too little: of two halves of numbers it is known within 2^31 which is older.
const TOLD_APART: u64 = 1 << 30;

/// How old a transaction is at most whose work may be new: `$1` is the number below which all had ended.
const AGE: &str = "(SELECT pg_catalog.age($1))";

/// Relations that are new, or have another row or column, or a column that is computed otherwise. Temporary ones always count: one
/// that was left out before may be shared by now, without a new row of its own.
const CHANGED: &str = "SELECT k.oid FROM pg_catalog.pg_class k WHERE pg_catalog.age(k.xmin) OPERATOR(pg_catalog.<=) {age} \
     OR k.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog.\"char\" \
     UNION ALL SELECT a.attrelid FROM pg_catalog.pg_attribute a WHERE pg_catalog.age(a.xmin) OPERATOR(pg_catalog.<=) {age} \
     UNION ALL SELECT e.adrelid FROM pg_catalog.pg_attrdef e WHERE pg_catalog.age(e.xmin) OPERATOR(pg_catalog.<=) {age}";

/// Relations whose definition may be another text, after [`CHANGED`]. `$2` are views whose definitions could not be read.
const MOVED: &str = "SELECT changed.oid FROM changed \
     UNION ALL SELECT pg_catalog.unnest($2) \
     UNION ALL SELECT r.ev_class FROM pg_catalog.pg_rewrite r WHERE pg_catalog.age(r.xmin) OPERATOR(pg_catalog.<=) {age} \
     OR EXISTS (SELECT FROM pg_catalog.pg_namespace s WHERE pg_catalog.age(s.xmin) OPERATOR(pg_catalog.<=) {age} \
     AND s.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_[0-9]+$') \
     UNION ALL SELECT r.ev_class FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) r.oid \
     WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
     AND (d.refclassid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_class'::pg_catalog.regclass \
     OR d.refobjid OPERATOR(pg_catalog.=) ANY (SELECT changed.oid FROM changed))";

// === impl Since ===

impl Since {
    /// What is known of a catalog that was read when all transactions below `ended` had ended, now that `next` is the first number
    /// that none has got; `None` where that is so long ago that rows do not tell whether they are newer.
    pub(in crate::postgres::catalog) fn new(ended: u64, next: u64, undefined: Vec<Oid>) -> Option<Self> {
        let gone = next.checked_sub(ended)?;
        let ended = u32::try_from(ended & u64::from(u32::MAX)).ok()?;
        (gone < TOLD_APART).then_some(Self { ended, undefined })
    }

    /// `$1`, and `$2` of the question for relations.
    pub(super) fn values(&self) -> [String; 2] {
        [format!("'{}'", self.ended), array(&self.undefined)]
    }
}

/// A literal of many numbers.
pub(super) fn array(numbers: &[Oid]) -> String {
    let each: Vec<String> = numbers.iter().map(Oid::to_string).collect();
    format!("'{{{}}}'", each.join(","))
}

/// Further parts of a WITH that [`IS_CHANGED`] and [`IS_MOVED`] hang on.
pub(super) fn parts() -> String {
    format!("{}, moved(oid) AS MATERIALIZED ({})", changed(), aged(MOVED))
}

/// The one of them that [`IS_CHANGED`] hangs on.
pub(super) fn changed() -> String {
    format!("changed(oid) AS MATERIALIZED ({})", aged(CHANGED))
}

/// A question in which `{age}` is how old a transaction is at most whose work may be new.
pub(super) fn aged(text: &str) -> String {
    text.replace("{age}", AGE)
}

/// Whether the columns of relation `c` have to be read.
pub(super) const IS_CHANGED: &str = "c.oid OPERATOR(pg_catalog.=) ANY (SELECT changed.oid FROM changed)";

/// Whether its definition has to be.
pub(super) const IS_MOVED: &str = "c.oid OPERATOR(pg_catalog.=) ANY (SELECT moved.oid FROM moved)";

/// Whether an expression `x` has to be read, where the code is what it was: `$2` are those that are read each time.
pub(super) const IS_NEW: &str =
    "AND (pg_catalog.age(x.version) OPERATOR(pg_catalog.<=) {age} OR x.object OPERATOR(pg_catalog.=) ANY ($2))";

#[cfg(test)]
mod tests {
    use super::super::{rest, rest_prepared, snapshot};
    use super::*;

    #[test]
    fn what_was_read_a_billion_transactions_ago_is_read_again() {
        let half = |ended: u64, next: u64| Since::new(ended, next, Vec::new()).map(|since| since.ended);
        let round = 1 << 32;
        assert_eq!(half(4_711, 4_711), Some(4_711));
        assert_eq!(half(round + 4_711, round + 4_712), Some(4_711));
        assert_eq!(half(round - 1, round + 3), Some(u32::MAX));
        assert_eq!(half(4_711, 4_711 + TOLD_APART - 1), Some(4_711));
        for next in [4_711 + TOLD_APART, 4_711 + round / 2, 4_711 + round + 1, 4_710] {
            assert_eq!(half(4_711, next), None, "{next}");
        }
    }

    #[test]
    fn what_is_known_is_left_out_and_nothing_without_it() {
        let since = Since::new(4_711, 4_800, vec![20_000, 20_001]).unwrap();
        let (whole, prepared) = (snapshot(), rest_prepared());
        assert!(
            !whole.contains("changed") && !whole.contains("moved") && !whole.contains("$1"),
            "{whole}"
        );
        assert_eq!(
            prepared.matches("changed(oid) AS MATERIALIZED").count(),
            2,
            "{prepared}"
        );
        assert!(prepared.contains("age(x.version)"), "{prepared}");
        for asked in [whole, prepared] {
            for left in [
                "{since}",
                "{changed}",
                "{moved}",
                "{age}",
                "{where}",
                "{definition}",
                "{locked}",
            ] {
                assert!(!asked.contains(left), "{left}: {asked}");
            }
        }
        let same = rest(&since, Some(&[20_002]));
        for part in [
            "relations('4711', '{20000,20001}')",
            "columns('4711')",
            "expressions('4711', '{20002}')",
        ] {
            assert!(same.contains(part), "{part}: {same}");
        }
        let other = rest(&since, None);
        assert!(other.contains("namesakes") && !same.contains("namesakes"), "{other}");
        assert!(!other.contains("20002") && other.contains("all_expressions"), "{other}");
        for asked in [same, other] {
            assert!(
                asked.ends_with("EXECUTE sallyport_code; COMMIT"),
                "what it was told by is of the same moment: {asked}"
            );
        }
    }
}
