//! What has changed since a catalog was read: the rest is known from there.
//!
//! Whatever a transaction wrote that had ended by then was read. So a row version counts as new unless its transaction's number
//! is below those of all that were under way; a subtransaction's is its own, and greater than that of what it is part of. Numbers
//! are compared by age: one that has gone round counts as new. What goes away needs no look here: what is there is listed whole.
//!
//! A definition is a text, which names relations, columns and schemas as they are called when it is read. It stays what it is while
//! nothing that it names changes: rows of its rule, of relations that this hangs on, with all of their columns, and of schemas.
//! Where it hangs on anything else (a function, a type), it is read each time.

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

/// Relations that are new, or have another row or column, or a column that is computed otherwise. Temporary ones always count: one
/// that was left out before may be shared by now, without a new row of its own.
const CHANGED: &str = "SELECT k.oid FROM pg_catalog.pg_class k WHERE pg_catalog.age(k.xmin) OPERATOR(pg_catalog.<=) {age} \
     OR k.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog.\"char\" \
     UNION ALL SELECT a.attrelid FROM pg_catalog.pg_attribute a WHERE pg_catalog.age(a.xmin) OPERATOR(pg_catalog.<=) {age} \
     UNION ALL SELECT e.adrelid FROM pg_catalog.pg_attrdef e WHERE pg_catalog.age(e.xmin) OPERATOR(pg_catalog.<=) {age}";

/// Relations whose definition may be another text, after [`CHANGED`].
const MOVED: &str = "SELECT changed.oid FROM changed \
     UNION ALL SELECT pg_catalog.unnest('{undefined}'::pg_catalog.oid[]) \
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

    /// Further parts of a WITH that [`is_changed`] and [`is_moved`] hang on.
    pub(super) fn parts(&self) -> String {
        let undefined: Vec<String> = self.undefined.iter().map(Oid::to_string).collect();
        let moved = self
            .aged(MOVED)
            .replace("{undefined}", &format!("{{{}}}", undefined.join(",")));
        format!("{}, moved(oid) AS MATERIALIZED ({moved})", self.changed())
    }

    /// The one of them that [`is_changed`] hangs on.
    pub(super) fn changed(&self) -> String {
        format!("changed(oid) AS MATERIALIZED ({})", self.aged(CHANGED))
    }

    fn aged(&self, text: &str) -> String {
        let age = format!("(SELECT pg_catalog.age('{}'::pg_catalog.xid))", self.ended);
        text.replace("{age}", &age)
    }
}

/// Whether the columns of relation `c` have to be read.
pub(super) fn is_changed(since: Option<&Since>) -> &'static str {
    match since {
        Some(_) => "c.oid OPERATOR(pg_catalog.=) ANY (SELECT changed.oid FROM changed)",
        None => "true",
    }
}

/// Whether its definition has to be.
pub(super) fn is_moved(since: Option<&Since>) -> &'static str {
    match since {
        Some(_) => "c.oid OPERATOR(pg_catalog.=) ANY (SELECT moved.oid FROM moved)",
        None => "true",
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot;
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
        let (whole, rest) = (snapshot(None), snapshot(Some(&since)));
        assert!(!whole.contains("changed") && !whole.contains("moved"), "{whole}");
        assert_eq!(rest.matches("changed(oid) AS MATERIALIZED").count(), 2, "{rest}");
        for part in ["age('4711'::pg_catalog.xid)", "'{20000,20001}'"] {
            assert!(rest.contains(part), "{part}: {rest}");
        }
        for asked in [whole, rest] {
            for left in [
                "{since}",
                "{changed}",
                "{moved}",
                "{age}",
                "{undefined}",
                "{where}",
                "{definition}",
            ] {
                assert!(!asked.contains(left), "{left}: {asked}");
            }
        }
    }
}
