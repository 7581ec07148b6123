//! What the statements of a unit may have changed by the time that those behind them run.

use sallyport_policy::sql::lineage::Lineage;
use sallyport_policy::sql::{Statement, Transaction, Verb, Verbs};

use self::Hazard::{
    Calls, Code, Columns, Encoding, Executed, Gone, Meaning, Names, Path, Places, Relations, Strangers, Undone, Ways,
};
use super::Understood;

/// What takes things away, or their names.
pub(super) const UNDOING: [Verb; 3] = [Verb::Alter, Verb::Drop, Verb::Discard];

/// What may no longer be as the catalog and the session's settings tell, with the attack that works where nobody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hazard {
    /// Which relations there are. What is copied into one that was made a moment ago, or read from it, would pass for a mistake
    /// that the target answers with an error.
    Relations,
    /// How bytes are read as text. Under another encoding a quote is a part of a character, and a statement stands behind it that
    /// nobody judged.
    Encoding,
    /// Which relation a name without a schema means. A protected one answers to the name of another that stood before it.
    Names,
    /// Which relation the target goes on to use for a statement that was prepared. One that is made since stands before it, and the
    /// catalog tells of that one.
    Kept,
    /// By which path names are looked up, of which nothing is known. Any name may lead to protected values, and what is made to hold
    /// some is made where no rule looks for it.
    Path,
    /// Whether what a name means is still there. A copy into a table that was made in front of another of its name goes to that other
    /// one once the first is dropped or rolled back, and IF NOT EXISTS makes one that was thought to be there.
    Gone,
    /// What any name means. A protected column goes by the name of a harmless one, and what is written to one table is written to
    /// another, too.
    Meaning,
    /// Whether the catalog, which holds what the open transaction did, is what the target finds. A view that was replaced by a harmless
    /// one is what it was once that is rolled back, and one that was dropped stands before another of its name.
    Undone,
    /// What is in a relation that no catalog holds. Protected values went to one, and are read from there as if they were nobody's.
    Strangers,
    /// Which relation of several a column belongs to. The name of one that was dropped is looked for in a protected relation, and a
    /// star gives other columns than it did.
    Columns,
    /// Where a table is made. It is filled with protected values in a place that the catalog does not see, and they stay there
    /// without protection.
    Places,
    /// Where rows go that are written. Through a view, to a child or along a key, copies reach columns that no rule protects.
    Ways,
    /// What a function's name calls. Code that was made a moment ago goes by a name that is known to do no harm.
    Calls,
    /// What code runs, be it by name or behind a table. A trigger, a policy or a default hands on values that no text names.
    Code,
    /// Which statement is executed by a name that SQL prepared. Code that ran unseen, or was put off to the end of a transaction, gave
    /// the name to another, which nobody judged.
    Executed,
}

/// What is no longer known where a transaction's work is taken back, or that of another is there of a sudden.
pub(super) const ALL_AT_ONCE: &[Hazard] = &[Relations, Names, Gone, Undone, Columns, Places, Ways, Calls, Code];

/// What is known where a statement stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Standing {
    /// The end of a transaction may take back what the statements of this one did.
    pub(super) own: bool,
    /// What they did to the catalog is in what it is judged by.
    pub(super) uncommitted: bool,
    /// It is known by which path names are looked up behind it. Which of its schemas there are, and the role may use, is not: a
    /// name may mean what a later one holds, and what is made may be made there.
    pub(super) led: bool,
    /// It only adds columns, and the catalog behind it has them.
    pub(super) grows: bool,
    /// Columns of what stays may be gone behind it.
    pub(super) loses: bool,
}

/// What a statement may have changed once it ran: one row for each kind of statement.
pub(super) fn raised(understood: &Understood, standing: Standing) -> impl Iterator<Item = Hazard> {
    let Standing {
        own,
        uncommitted,
        led,
        grows,
        loses,
    } = standing;
    let (after, lineages) = (&understood.after, &understood.view.lineages);
    let protected = &understood.view.known.protected;
    let states = |is_so: fn(&Statement) -> bool| understood.stated.readings().any(is_so);
    let alters = states(|statement| statement.verbs.contains(Verb::Alter));
    let ends = after.transaction.as_ref().filter(|transaction| ends(transaction));
    let undoes = may_undo(understood.asked.command.verbs, ends.filter(|_| own));
    let leaves = after.transaction.as_ref().is_some_and(takes_back) || after.commits && after.stale.names;
    let appears = matches!(after.transaction, Some(Transaction::CommitPrepared));
    let touches = |lineage: &Lineage| !lineage.touched_rules(protected).is_empty();
    // Values are written through a view, and to whatever a table is made of that the text does not show.
    let leads_on = |lineage: &Lineage| {
        let made = lineage.created.as_ref();
        // Of what may have been there, the text shows nothing.
        made.is_some_and(|created| created.view || created.columns.is_none() || created.may_be_another())
    };
    let spills = |lineage: &Lineage| {
        let made = lineage.created.as_ref();
        let unseen = made.is_some_and(|created| created.filled && !created.view && created.columns.is_none());
        !lineage.spilled.is_empty() || unseen && touches(lineage)
    };
    let put_off = matches!(
        after.transaction,
        Some(Transaction::Commit { .. } | Transaction::Prepare)
    );
    let rows: [(bool, &'static [Hazard]); 19] = [
        (after.stale.any(), &[Relations]),
        (after.stale.names, &[Names, Places, Ways]),
        (after.stale.names || put_off, &[Executed]),
        (after.stale.encoding, &[Encoding]),
        (after.moves && !led, &[Names, Path]),
        (after.moves && led, &[Names, Gone, Places, Ways]),
        (ends.is_some(), &[Names]),
        (undoes, &[Names, Gone]),
        (appears || leaves && uncommitted, ALL_AT_ONCE),
        (alters, &[Places, Ways]),
        (alters && !grows, &[Columns, Code]),
        (loses, &[Columns]),
        (alters && !grows && lineages.iter().any(touches), &[Meaning]),
        (states(Statement::alters_attributes), &[Meaning]),
        (states(Statement::makes_places), &[Names, Gone, Places, Ways]),
        (states(Statement::makes_rule), &[Meaning]),
        (states(Statement::makes_code), &[Calls, Code]),
        (lineages.iter().any(leads_on), &[Ways]),
        (lineages.iter().any(spills), &[Strangers]),
    ];
    let raised = rows.into_iter().filter(|(so, _)| *so);
    raised.flat_map(|(_, hazards)| hazards.iter().copied())
}

/// Whether something that was there may be gone, or go by another name.
fn may_undo(verbs: Verbs, transaction: Option<&Transaction>) -> bool {
    transaction.is_some_and(ends) || verbs.any(&UNDOING)
}

/// Whether what a transaction did is not there behind this: it is taken back, or left for others to commit. Code that ends
/// transactions may do it unseen.
fn takes_back(transaction: &Transaction) -> bool {
    matches!(
        transaction,
        Transaction::Rollback { .. } | Transaction::RollbackTo(_) | Transaction::Prepare
    )
}

/// Whether a transaction ends, or a part of one.
fn ends(transaction: &Transaction) -> bool {
    !matches!(transaction, Transaction::Begin | Transaction::Savepoint(_))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use std::sync::Arc;

    use sallyport_policy::catalog::SearchPath;
    use sallyport_policy::decide::Command;
    use sallyport_policy::mask::{Keys, MaskSet, RuleSet};
    use sallyport_policy::sql::{lineage, parse};

    use super::super::unfold::tests::known;
    use super::*;
    use crate::command::Asked;
    use crate::postgres::after::After;
    use crate::postgres::catalog::Known;
    use crate::postgres::names::Stated;
    use crate::postgres::rows::View;

    fn understood(sql: &str) -> Understood {
        understood_by(sql, known())
    }

    /// A statement, understood by a catalog.
    pub fn understood_by(sql: &str, known: Known) -> Understood {
        let (known, path) = (Arc::new(known), SearchPath::effective(vec!["public".to_owned()], None));
        let script = Arc::new(parse(sql).unwrap());
        let statement = &script.statements[0];
        let traced = lineage(statement, &*known.snapshot, &path);
        let mut command = Command::of(statement, sql);
        command.resolve(statement, &traced, &*known.snapshot, &path, &known.protected);
        let after = After::of(script.statements.iter(), &command);
        let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
        Understood {
            asked: Asked::new(command),
            view: Rc::new(View::of(masker, known, vec![traced])),
            stated: Stated {
                text: sql.into(),
                script: Arc::clone(&script),
                index: 0,
            },
            after,
            change: None,
        }
    }

    fn changes(sql: &str, own: bool) -> Vec<Hazard> {
        let standing = Standing {
            own,
            ..Standing::default()
        };
        let found: BTreeSet<Hazard> = raised(&understood(sql), standing).collect();
        found.into_iter().collect()
    }

    #[test]
    fn each_kind_of_statement_changes_what_it_may_change() {
        let cases: [(&str, &[Hazard]); 27] = [
            ("select ssn from customers", &[]),
            (
                "select set_config('a' || 'b', 'x', false)",
                &[Relations, Encoding, Names, Path],
            ),
            ("insert into notes values ('a')", &[]),
            ("begin", &[]),
            ("savepoint s", &[]),
            ("rollback to s", &[Names, Gone]),
            ("rollback and chain", &[Names, Gone]),
            ("prepare transaction 'x'", &[Names, Gone, Executed]),
            ("commit", &[Names, Gone, Executed]),
            ("set search_path = evil", &[Relations, Names, Path]),
            ("select unseen()", &[Relations, Encoding, Names, Places, Ways, Executed]),
            (
                "set constraints all immediate",
                &[Relations, Encoding, Names, Places, Ways, Executed],
            ),
            ("discard temp", &[Relations, Names, Gone]),
            ("drop table notes", &[Relations, Names, Gone]),
            (
                "alter table notes drop ssn",
                &[Relations, Names, Gone, Columns, Places, Ways, Code],
            ),
            (
                "alter table customers rename ssn to x",
                &[Relations, Names, Gone, Meaning, Columns, Places, Ways, Code],
            ),
            (
                "alter type notes rename attribute ssn to x cascade",
                &[Relations, Names, Gone, Meaning, Columns, Places, Ways, Code],
            ),
            (
                "alter type notes drop attribute ssn cascade",
                &[Relations, Names, Gone, Meaning, Columns, Places, Ways, Code],
            ),
            ("create schema s", &[Relations, Names, Gone, Places, Ways]),
            (
                "revoke usage on schema s from current_user",
                &[Relations, Names, Gone, Places, Ways],
            ),
            ("grant select on notes to public", &[Relations]),
            (
                "create function f() returns int language sql as 'select 1'",
                &[Relations, Calls, Code],
            ),
            (
                "create rule r as on insert to notes do also select 1",
                &[Relations, Meaning, Calls, Code],
            ),
            ("create view v as select 1 as x", &[Relations, Ways]),
            ("create table t as select ssn from customers", &[Relations]),
            ("create table t (like customers)", &[Relations, Ways]),
            (
                "insert into t select ssn from customers",
                &[Relations, Encoding, Names, Strangers, Places, Ways, Executed],
            ),
        ];
        for (sql, hazards) in cases {
            assert_eq!(changes(sql, true), hazards, "{sql}");
        }
    }

    #[test]
    fn what_all_sessions_see_stays_however_a_transaction_ends() {
        assert_eq!(changes("rollback", false), [Names]);
        assert_eq!(changes("drop table notes", false), [Relations, Names, Gone]);
    }

    #[test]
    fn what_the_transaction_did_is_gone_where_it_is_taken_back() {
        for (sql, uncommitted, undone) in [
            ("rollback", true, true),
            ("rollback and chain", true, true),
            ("rollback to s", true, true),
            ("prepare transaction 'x'", true, true),
            ("do 'begin rollback; end'", true, true),
            ("rollback", false, false),
            ("rollback to s", false, false),
            ("do 'begin rollback; end'", false, false),
            ("commit", true, false),
            ("release s", true, false),
            ("begin", true, false),
            ("select ssn from customers", true, false),
            ("commit prepared 'x'", false, true),
            ("rollback prepared 'x'", true, false),
        ] {
            let understood = understood(sql);
            let standing = Standing {
                own: uncommitted,
                uncommitted,
                ..Standing::default()
            };
            let mut hazards = raised(&understood, standing);
            assert_eq!(hazards.any(|hazard| hazard == Undone), undone, "{sql}");
        }
    }

    #[test]
    fn behind_a_path_that_is_known_names_may_still_mean_what_another_schema_holds() {
        let standing = Standing {
            own: true,
            led: true,
            ..Standing::default()
        };
        let found: BTreeSet<Hazard> = raised(&understood("set search_path = evil"), standing).collect();
        assert_eq!(Vec::from_iter(found), [Relations, Names, Gone, Places, Ways]);
    }

    #[test]
    fn behind_a_column_that_is_added_names_mean_what_they_did() {
        let sql = "alter table customers add country text";
        let standing = Standing {
            own: true,
            grows: true,
            ..Standing::default()
        };
        let found: BTreeSet<Hazard> = raised(&understood(sql), standing).collect();
        assert_eq!(Vec::from_iter(found), [Relations, Names, Gone, Places, Ways]);
    }

    #[test]
    fn what_loses_columns_leaves_none_certain() {
        let sql = "drop domain d cascade";
        assert_eq!(changes(sql, true), [Relations, Names, Gone]);
        let standing = Standing {
            own: true,
            loses: true,
            ..Standing::default()
        };
        let found: BTreeSet<Hazard> = raised(&understood(sql), standing).collect();
        assert_eq!(Vec::from_iter(found), [Relations, Names, Gone, Columns]);
    }

    #[test]
    fn what_is_there_may_be_undone() {
        for (sql, undoes) in [
            ("rollback", true),
            ("rollback to s", true),
            ("commit", true),
            ("drop table customers", true),
            ("alter table customers rename to c", true),
            ("discard temp", true),
            ("begin", false),
            ("savepoint s", false),
            ("insert into customers values ('a')", false),
        ] {
            let script = parse(sql).unwrap();
            let statement = &script.statements[0];
            let transaction = match &statement.effect {
                sallyport_policy::sql::Effect::Transaction(transaction) => Some(transaction),
                _ => None,
            };
            assert_eq!(may_undo(statement.verbs, transaction), undoes, "{sql}");
        }
    }
}
