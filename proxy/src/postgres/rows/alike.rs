//! Which changes of what a statement reads make no difference to the rows that it answers with.
//!
//! An index that is made while a long report runs changes none of its rows, nor does a partition that another gets, and a script that
//! renames a column of its own table reads that table in the same string. To mask these would answer NULL where nothing is hidden.

use std::collections::BTreeSet;

use sallyport_policy::catalog::{Catalog as _, Column, ColumnId, Oid, Relation, RelationKind, Snapshot};
use sallyport_policy::sql::lineage::Lineage;

use super::View;
use crate::postgres::catalog::Known;

/// What may be another by now.
#[derive(Clone, Copy)]
struct Excused {
    /// What only writes run, or have to keep: nothing is written.
    writing: bool,
    /// Its columns, partitions and children, and what else goes by its name: none of them holds anything protected.
    silent: bool,
}

// === impl View ===

impl View {
    /// Whether its rows are masked right as it was understood: what its names mean [holds](Self::holds), or only became another in
    /// what makes no difference to them. `now` was read once the target had looked names up. `described`: the target says which columns
    /// the rows have, so that these may be others.
    #[must_use]
    pub fn masks_alike(&self, now: &Known, described: impl FnOnce() -> bool) -> bool {
        if self.holds(now) {
            return true;
        }
        if !self.is_as_protected(now) {
            return false;
        }
        let excused = Excused {
            writing: self.lineages.iter().all(|lineage| lineage.written.is_empty()),
            silent: self.tells_nothing(now) && described(),
        };
        let (then, read) = (&self.known.snapshot, &now.snapshot);
        let named: BTreeSet<Oid> = self
            .lineages
            .iter()
            .flat_map(|one| one.relations.iter().copied())
            .collect();
        let covers = |oid: Oid| match (then.relation(oid), read.relation(oid)) {
            (Some(before), Some(after)) if named.contains(&oid) => {
                let below = then.children(oid) == read.children(oid) || excused.silent && is_quiet_below(oid, now);
                below && excused.covers(before, after)
            }
            // It has come by a name that stands in the text, and may be what is meant.
            (before, Some(after)) => {
                let told = before.is_some_and(|before| self.known.is_telling(before));
                excused.silent && !told && is_quiet(after, before, now) && is_quiet_below(oid, now)
            }
            (_, None) => false,
        };
        !self.lineages.is_empty() && self.is_untouched(now) && self.reads_alike_or(now, covers)
    }

    /// Whether what its names mean reads as what it was understood by.
    #[must_use]
    pub fn reads_alike(&self, now: &Known) -> bool {
        self.reads_alike_or(now, |_| false)
    }

    /// Whether no protected values are in anything that it reaches, by what it was understood by or by now, and no code was there to put
    /// some in: types of users have defaults, and definitions fire triggers.
    fn tells_nothing(&self, now: &Known) -> bool {
        let followed = |lineage: &Lineage| {
            // A name of a column that is lost means one of what is reached.
            let unseen = lineage.unresolved.len() + lineage.opaque.len() + lineage.spilled.len();
            unseen == 0 && !lineage.ruled && !lineage.any
        };
        let fires = |known: &Known| !known.snapshot.code().event_triggers.is_empty();
        let quiet = |oid: &Oid| {
            let pair = self.known.snapshot.relation(*oid).zip(now.snapshot.relation(*oid));
            pair.is_some_and(|(before, after)| {
                let shown = is_shown_alone(before, &self.known) && is_shown_alone(after, now);
                let stored = !self.known.is_telling(before) && is_quiet(after, Some(before), now);
                shown || stored
            })
        };
        let mut relations = self.lineages.iter().flat_map(|lineage| lineage.relations.iter());
        let seen = !fires(&self.known) && !fires(now) && self.lineages.iter().all(followed);
        seen && relations.all(quiet)
    }
}

/// Whether a relation is a view that holds nothing of its own: what it shows is reached as well. Whether it is the view that it was is
/// compared.
fn is_shown_alone(one: &Relation, known: &Known) -> bool {
    let protected = |column: &Column| {
        known.protected.contains(ColumnId {
            relation: one.oid,
            column: column.attnum,
        })
    };
    one.is_view() && one.definition.is_some() && !one.columns.iter().any(protected)
}

/// Whether nothing protected is in a relation, and no code of a type had it there: its columns hold what was given to them, or are those of
/// `another`. Rows of a foreign table are what another server has, and those of a view that cannot be read may be anybody's.
fn is_quiet(one: &Relation, another: Option<&Relation>, now: &Known) -> bool {
    let plain = |column: &Column| {
        let known = another.is_some_and(|another| another.columns.contains(column));
        known || column.generated.is_none() && now.holds_what_is_given(column.type_oid)
    };
    let stores = matches!(
        one.kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::Sequence
    );
    (stores || one.is_system()) && !now.is_telling(one) && one.columns.iter().all(plain)
}

/// The same for its partitions and children, and theirs.
fn is_quiet_below(oid: Oid, now: &Known) -> bool {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![oid]);
    while let Some(parent) = todo.pop() {
        if !seen.insert(parent) {
            continue;
        }
        let above = now.snapshot.relation(parent);
        let mut children = now.snapshot.children(parent).iter();
        let quiet = |child: &Oid| {
            now.snapshot
                .relation(*child)
                .is_some_and(|one| is_quiet(one, above, now))
        };
        if !children.all(quiet) {
            return false;
        }
        todo.extend(now.snapshot.children(parent));
    }
    true
}

// === impl Excused ===

impl Excused {
    /// Whether a relation differs from what it was in nothing else.
    fn covers(self, before: &Relation, after: &Relation) -> bool {
        let mut other = Relation {
            constraints: after.constraints.clone(),
            ..before.clone()
        };
        if self.writing {
            other.key.clone_from(&after.key);
            other.followers.clone_from(&after.followers);
            other.fires = after.fires;
            other.active = after.active;
            other.computes = after.computes;
        }
        if self.silent {
            other.key.clone_from(&after.key);
            other.columns.clone_from(&after.columns);
            other.parents.clone_from(&after.parents);
        }
        // What is done to it by CASCADE is no matter of rows that are read.
        other.hanging.clone_from(&after.hanging);
        // Where protected values are, it was compared.
        other.version.clone_from(&after.version);
        other == *after
    }
}

/// A relation without what tells the row versions of its columns and rules, and what hangs on it. What was called something else in between stays another.
pub(super) fn unversioned(oid: Oid, snapshot: &Snapshot) -> Option<Relation> {
    let found = snapshot.relation(oid)?;
    Some(Relation {
        version: String::new(),
        hanging: Vec::new(),
        ..found.clone()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::{Code, Events, SearchPath};
    use sallyport_policy::mask::{Keys, MaskSet, ProtectedColumns, RuleSet};
    use sallyport_policy::sql::{lineage, parse};

    use super::*;

    /// A table of whose columns one is protected, and one of which none is.
    const CUSTOMERS: Oid = 20_000;
    const NOTES: Oid = 20_001;

    const STATEMENTS: [&str; 4] = [
        "select name from customers",
        "select name from notes",
        "select c.name from customers c, notes",
        "update notes set name = 'x' returning ssn",
    ];

    fn relation(oid: Oid, name: &str) -> Relation {
        let column = |(attnum, name): (i16, &str)| Column {
            attnum,
            name: name.to_owned(),
            type_oid: 25,
            generated: None,
        };
        Relation {
            oid,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: [(1, "name"), (2, "ssn")].map(column).into(),
            version: "1".to_owned(),
            ..Relation::default()
        }
    }

    fn known(customers: Relation, notes: Relation, more: Option<(Oid, i16)>, code: Code) -> Arc<Known> {
        holding(vec![customers, notes], more, code)
    }

    fn holding(relations: Vec<Relation>, more: Option<(Oid, i16)>, code: Code) -> Arc<Known> {
        let mut protected = ProtectedColumns::default();
        for (relation, column) in [Some((CUSTOMERS, 2)), more].into_iter().flatten() {
            protected.add(ColumnId { relation, column }, &RuleSet::one(0));
        }
        Arc::new(Known {
            snapshot: Arc::new(Snapshot::new(relations).with_code(code)),
            protected: Arc::new(protected),
            ..Known::default()
        })
    }

    /// The same as it is before anything changes.
    fn before() -> Arc<Known> {
        known(
            relation(CUSTOMERS, "customers"),
            relation(NOTES, "notes"),
            None,
            Code::default(),
        )
    }

    fn view(sql: &str) -> View {
        understood(sql, before())
    }

    fn understood(sql: &str, before: Arc<Known>) -> View {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        let script = parse(sql).unwrap();
        let traced = lineage(&script.statements[0], &*before.snapshot, &path);
        let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
        View::of(masker, before, vec![traced])
    }

    /// Which of the statements are masked as they were understood once a table is changed so.
    fn alike(oid: Oid, change: fn(&mut Relation), described: bool) -> Vec<&'static str> {
        let mut tables = [relation(CUSTOMERS, "customers"), relation(NOTES, "notes")];
        tables.iter_mut().filter(|one| one.oid == oid).for_each(change);
        let [customers, notes] = tables;
        let now = known(customers, notes, None, Code::default());
        let stays = STATEMENTS.into_iter();
        stays.filter(|sql| view(sql).masks_alike(&now, || described)).collect()
    }

    #[test]
    fn what_is_made_beside_a_report_makes_no_difference_to_it() {
        let indexed: fn(&mut Relation) = |one| one.constraints.push("u".to_owned());
        let fired: fn(&mut Relation) = |one| one.fires = Events::UPDATE;
        for oid in [CUSTOMERS, NOTES] {
            assert_eq!(alike(oid, indexed, false), STATEMENTS);
        }
        assert_eq!(
            alike(NOTES, fired, false),
            &STATEMENTS[..3],
            "a trigger changes what is returned"
        );
        assert_eq!(alike(CUSTOMERS, fired, true), STATEMENTS);
    }

    #[test]
    fn other_columns_make_none_where_nothing_protected_is_reached() {
        let renamed: fn(&mut Relation) = |one| {
            one.columns[0].name = "other".to_owned();
            one.version = "2".to_owned();
        };
        let [customers, notes, _, update] = STATEMENTS;
        assert_eq!(alike(NOTES, renamed, true), [customers, notes, update]);
        assert_eq!(
            alike(NOTES, renamed, false),
            [customers],
            "nobody says which columns come"
        );
        assert_eq!(alike(CUSTOMERS, renamed, true), [notes, update]);
        let others: [fn(&mut Relation); 5] = [
            |one| one.name = "other".to_owned(),
            |one| one.named = "2".to_owned(),
            |one| one.columns[0].type_oid = 30_000,
            |one| one.columns[0].generated = Some("ssn".to_owned()),
            |one| one.ruled = true,
        ];
        for (index, change) in others.into_iter().enumerate() {
            assert!(!alike(NOTES, change, true).contains(&notes), "{index}");
        }
    }

    #[test]
    fn other_columns_count_where_they_are_protected_or_code_ran() {
        let renamed = || {
            let mut notes = relation(NOTES, "notes");
            notes.columns[0].name = "other".to_owned();
            notes
        };
        let fires = Code {
            event_triggers: ["e".to_owned()].into(),
            ..Code::default()
        };
        for (more, code, holds) in [
            (None, Code::default(), true),
            (Some((NOTES, 1)), Code::default(), false),
            (None, fires, false),
        ] {
            let now = known(relation(CUSTOMERS, "customers"), renamed(), more, code);
            for sql in ["select ssn from notes", "select other from notes"] {
                assert_eq!(view(sql).masks_alike(&now, || true), holds, "{sql}: {more:?}");
            }
        }
    }

    #[test]
    fn a_partition_or_a_namesake_that_comes_hides_nothing_unless_it_holds_something() {
        let partition = || Relation {
            parents: vec![NOTES],
            ..relation(20_002, "notes_2")
        };
        let namesake = || Relation {
            schema: "other".to_owned(),
            ..relation(20_002, "notes")
        };
        let over = |one: Relation| Relation {
            definition: Some("SELECT customers.ssn FROM public.customers;".to_owned()),
            ..one
        };
        let typed = |mut one: Relation| {
            one.columns[0].type_oid = 30_000;
            one
        };
        let foreign = RelationKind::ForeignTable;
        let of = |kind: RelationKind, one: Relation| Relation { kind, ..one };
        let now = |one: Relation, more: Option<(Oid, i16)>| {
            let before = [relation(CUSTOMERS, "customers"), relation(NOTES, "notes")];
            holding(before.into_iter().chain([one]).collect(), more, Code::default())
        };
        for (now, holds) in [
            (now(partition(), None), true),
            (now(namesake(), None), true),
            (now(partition(), Some((20_002, 1))), false),
            (now(namesake(), Some((20_002, 1))), false),
            (now(over(namesake()), None), false),
            (now(typed(partition()), None), false),
            (now(typed(namesake()), None), false),
            (now(of(foreign, partition()), None), false),
            (now(of(foreign, namesake()), None), false),
            (now(of(RelationKind::View, namesake()), None), false),
        ] {
            assert_eq!(
                view("select name from notes").masks_alike(&now, || true),
                holds,
                "{now:?}"
            );
            assert!(!view("select name from notes").masks_alike(&now, || false), "{now:?}");
            let both = view("select c.name from customers c, notes");
            assert!(!both.masks_alike(&now, || true), "{now:?}");
        }
    }

    #[test]
    fn a_view_is_as_silent_as_what_it_shows() {
        let seen = |table: &str, version: &str| Relation {
            kind: RelationKind::View,
            definition: Some(format!("SELECT {table}.name FROM public.{table};")),
            columns: relation(20_002, "seen").columns.into_iter().take(1).collect(),
            version: version.to_owned(),
            ..relation(20_002, "seen")
        };
        let grown = |mut one: Relation| {
            one.columns[1].name = "other".to_owned();
            one.version = "2".to_owned();
            one
        };
        let holding = |customers: Relation, notes: Relation, view: Relation| {
            holding(vec![customers, notes, view], None, Code::default())
        };
        let [customers, notes] = [relation(CUSTOMERS, "customers"), relation(NOTES, "notes")];
        for (table, version, holds) in [("notes", "1", true), ("notes", "2", false), ("customers", "1", false)] {
            let before = holding(customers.clone(), notes.clone(), seen(table, "1"));
            let now = holding(grown(customers.clone()), grown(notes.clone()), seen(table, version));
            let view = understood("select name from seen", before);
            assert_eq!(view.masks_alike(&now, || true), holds, "{table} {version}");
        }
    }
}
