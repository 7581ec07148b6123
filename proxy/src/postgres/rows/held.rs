//! Whether the target found what a statement was understood by, told once it has looked names up.

use std::collections::HashSet;
use std::sync::Arc;

use sallyport_policy::catalog::{Catalog as _, Column, ColumnId, Events, Oid, Relation, RelationKind};
use sallyport_policy::mask::RuleSet;
use sallyport_policy::sql::lineage::{of_relation, rules_of};

use super::View;
use super::alike::unversioned;
use crate::postgres::catalog::Known;
use crate::postgres::handed::is_yet_to_be;

// === impl View ===

impl View {
    /// Whether what its names mean is still what it was understood by: `now` was read once the target had looked them up.
    /// A statement that waits for a lock is answered by what was committed meanwhile.
    #[must_use]
    pub fn holds(&self, now: &Known) -> bool {
        let same = Arc::ptr_eq(&self.known.snapshot, &now.snapshot);
        (same || self.is_untouched(now) && self.reads_alike(now)) && self.is_as_protected(now)
    }

    /// Whether nothing that may hold protected values was changed, and then back: the target may have found what it was in between.
    #[must_use]
    pub fn is_untouched(&self, now: &Known) -> bool {
        let mut relations = self.lineages.iter().flat_map(|lineage| lineage.relations.iter());
        relations.all(|oid| {
            let (Some(before), Some(after)) = (self.known.snapshot.relation(*oid), now.snapshot.relation(*oid)) else {
                return true;
            };
            before.version == after.version || !(self.known.is_telling(before) || now.is_telling(after))
        })
    }

    /// Whether it reads or writes what the same unit was to make.
    #[must_use]
    pub fn reads_unmade(&self) -> bool {
        let mut relations = self.lineages.iter().flat_map(|lineage| &lineage.relations);
        relations.any(|oid| is_yet_to_be(*oid))
    }

    /// Whether what its names mean reads as what it was understood by. What is another by now, or goes by such a name by now, may be
    /// `excused`.
    pub(super) fn reads_alike_or(&self, now: &Known, excused: impl Fn(Oid) -> bool) -> bool {
        let (then, read) = (&self.known.snapshot, &now.snapshot);
        let relations = || {
            self.lineages
                .iter()
                .flat_map(|lineage| lineage.relations.iter().copied())
        };
        let same = |oid: u32| {
            let alike = unversioned(oid, then) == unversioned(oid, read) || self.grew(oid, now);
            alike && then.children(oid) == read.children(oid) || excused(oid)
        };
        if !relations().all(|oid| is_yet_to_be(oid) || same(oid)) {
            return false;
        }
        let mut names: HashSet<&str> = relations()
            .filter_map(|oid| then.relation(oid))
            .map(|relation| relation.name.as_str())
            .collect();
        let unresolved = self.lineages.iter().flat_map(|lineage| lineage.unresolved.iter());
        names.extend(unresolved.map(|name| name.rsplit_once('.').map_or(name.as_str(), |(_, last)| last)));
        let came = |one: &Relation| {
            let before = then.relation(one.oid);
            before.is_none_or(|before| before.schema != one.schema || before.name != one.name)
        };
        let foreseen = |one: &Relation| {
            let made = relations().filter(|oid| is_yet_to_be(*oid));
            let mut made = made.filter_map(|oid| then.relation(oid));
            made.any(|made| self.foresaw(made, one, now))
        };
        let mut named = read.relations().filter(|one| names.contains(one.name.as_str()));
        named.all(|one| !came(one) || foreseen(one) || excused(one.oid))
    }

    /// Whether a relation is the one that the same unit was to make: with its columns, and with nothing else by which rows or
    /// code of others come from it.
    fn foresaw(&self, made: &Relation, one: &Relation, now: &Known) -> bool {
        let alone = one.parents.is_empty() && now.snapshot.children(one.oid).is_empty();
        let quiet =
            !(one.active || one.ruled || one.guarded_by_code) && one.fires == Events::NONE && one.guards.is_empty();
        let shows = match one.kind {
            RelationKind::Table => true,
            // What one stores was copied as by CREATE TABLE AS, and was judged as such.
            RelationKind::View | RelationKind::MaterializedView => self.shows(made, one, now),
            _ => false,
        };
        let named = made.schema == one.schema && made.name == one.name;
        named && alone && quiet && shows && self.has_columns(made, one, now)
    }

    /// Whether a view shows no more than it was taken to show.
    fn shows(&self, made: &Relation, view: &Relation, now: &Known) -> bool {
        let lineage = of_relation(view, &*now.snapshot);
        let unknown = lineage.opaque.len() + lineage.lost.len() + lineage.unresolved.len();
        let followed = unknown == 0 && !lineage.any;
        let outputs = lineage.outputs.iter().flatten();
        let mut each = outputs.zip(&made.columns);
        followed
            && lineage
                .outputs
                .as_ref()
                .is_some_and(|outputs| outputs.len() == made.columns.len())
            && each.all(|(output, column)| self.expected(made, column, &rules_of(&output.flow, &now.protected), now))
    }

    /// Whether these rules, of what a column holds by now, are among those of what it was taken to hold.
    fn expected(&self, made: &Relation, column: &Column, rules: &RuleSet, now: &Known) -> bool {
        let known = self.known.protected.rules_of(ColumnId {
            relation: made.oid,
            column: column.attnum,
        });
        let among = |known: &RuleSet| rules.iter().all(|rule| known.contains(rule));
        rules.is_empty() || self.known.revision == now.revision && known.is_some_and(among)
    }

    /// Whether a table only has the columns, by now or once the transaction commits, that the same unit was to give it.
    fn grew(&self, oid: Oid, now: &Known) -> bool {
        let (before, after) = (self.known.snapshot.relation(oid), now.snapshot.relation(oid));
        let Some((before, after)) = before.zip(after) else {
            return false;
        };
        let stored = before.columns.iter().filter(|column| !is_foreseen(column));
        let ungrown = Relation {
            columns: stored.cloned().collect(),
            hanging: after.hanging.clone(),
            // PostgreSQL 18 counts NOT NULL among them.
            constraints: after.constraints.clone(),
            ..before.clone()
        };
        if ungrown.columns.len() == before.columns.len() {
            return false;
        }
        // One that got them and lost them again is of another version.
        if ungrown == *after {
            return !after.version.is_empty();
        }
        let grown = Relation {
            columns: after.columns.clone(),
            version: after.version.clone(),
            ..ungrown
        };
        grown == *after && self.has_columns(before, after, now)
    }

    /// Whether a relation has the columns that it was taken to have, under the same numbers, and they hold nothing that they were
    /// not taken to hold: types of users have defaults, and definitions fire triggers, that may have written what nobody saw.
    fn has_columns(&self, before: &Relation, after: &Relation, now: &Known) -> bool {
        let holds = |column: &Column| {
            now.protected.rules_of(ColumnId {
                relation: after.oid,
                column: column.attnum,
            })
        };
        let fires = |known: &Known| !known.snapshot.code().event_triggers.is_empty();
        let unseen = fires(now) || fires(&self.known);
        let same = |(old, new): (&Column, &Column)| {
            // What the unit generates was taken to hold whatever its table does.
            let told = new.generated.is_none() || old.generated.is_some();
            let plain = told && now.holds_what_is_given(new.type_oid) && !unseen;
            let called = old.attnum == new.attnum && old.name == new.name && plain;
            let expected = holds(new).is_none_or(|rules| self.expected(before, old, rules, now));
            (old == new || is_foreseen(old) && called) && expected
        };
        before.columns.len() == after.columns.len() && before.columns.iter().zip(&after.columns).all(same)
    }
}

/// Whether the catalog does not hold a column yet: one that the same unit makes has no type.
const fn is_foreseen(column: &Column) -> bool {
    column.type_oid == 0
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::{SearchPath, Snapshot};
    use sallyport_policy::mask::{Keys, MaskSet, ProtectedColumns};
    use sallyport_policy::sql::{lineage, parse};

    use super::*;

    /// A protected table, one that is not, and a view, with these versions.
    fn known(versions: [&str; 3]) -> Arc<Known> {
        let relation = |oid, name: &str, version: &str| Relation {
            oid,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: vec![Column {
                attnum: 1,
                name: "x".to_owned(),
                type_oid: 25,
                generated: None,
            }],
            version: version.to_owned(),
            ..Relation::default()
        };
        let [customers, notes, view] = versions;
        let view = Relation {
            definition: Some("SELECT notes.x FROM public.notes;".to_owned()),
            ..relation(20_002, "v", view)
        };
        let mut protected = ProtectedColumns::default();
        let column = ColumnId {
            relation: 20_000,
            column: 1,
        };
        protected.add(column, &RuleSet::one(0));
        Arc::new(Known {
            snapshot: Arc::new(Snapshot::new(vec![
                relation(20_000, "customers", customers),
                relation(20_001, "notes", notes),
                view,
            ])),
            protected: Arc::new(protected),
            ..Known::default()
        })
    }

    #[test]
    fn what_was_changed_and_changed_back_does_not_hold() {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        for (sql, versions, holds) in [
            ("select x from customers", ["1", "1", "1"], true),
            ("select x from customers", ["2", "1", "1"], false),
            ("select x from customers", ["1", "2", "2"], true),
            ("select x from v", ["1", "1", "2"], false),
            ("select x from v", ["2", "1", "1"], true),
            // Nothing protected is in it, whatever its columns were called.
            ("select x from notes", ["1", "2", "1"], true),
        ] {
            let before = known(["1", "1", "1"]);
            let script = parse(sql).unwrap();
            let traced = lineage(&script.statements[0], &*before.snapshot, &path);
            let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
            let view = View::of(masker, before, vec![traced]);
            assert_eq!(view.holds(&known(versions)), holds, "{sql}: {versions:?}");
        }
    }

    #[test]
    fn what_was_called_something_else_in_between_does_not_hold() {
        let (before, now) = (known(["1"; 3]), known(["1"; 3]));
        let renamed = Relation {
            named: "2".to_owned(),
            ..now.snapshot.relation(20_001).unwrap().clone()
        };
        let now = Known {
            snapshot: Arc::new(now.snapshot.with(vec![renamed])),
            protected: Arc::clone(&now.protected),
            ..Known::default()
        };
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        for (sql, holds) in [("select x from notes", false), ("select x from customers", true)] {
            let script = parse(sql).unwrap();
            let traced = lineage(&script.statements[0], &*before.snapshot, &path);
            let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
            let view = View::of(masker, Arc::clone(&before), vec![traced]);
            assert_eq!(view.holds(&now), holds, "{sql}");
        }
    }

    /// The catalog of [`known`] with these relations beside it or in the place of its own.
    fn with(relations: Vec<Relation>, protected: Option<ColumnId>) -> Arc<Known> {
        let known = known(["1", "1", "1"]);
        let mut all = (*known.protected).clone();
        if let Some(column) = protected {
            all.add(column, &RuleSet::one(0));
        }
        Arc::new(Known {
            snapshot: Arc::new(known.snapshot.with(relations)),
            protected: Arc::new(all),
            ..Known::default()
        })
    }

    /// Numbers, names and types; those without a type are yet to come.
    type Columns<'a> = &'a [(i16, &'a str, Oid)];

    fn table(oid: Oid, name: &str, version: &str, columns: Columns<'_>) -> Relation {
        let columns = columns.iter().map(|(attnum, name, type_oid)| Column {
            attnum: *attnum,
            name: (*name).to_owned(),
            type_oid: *type_oid,
            generated: None,
        });
        Relation {
            oid,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: columns.collect(),
            version: version.to_owned(),
            ..Relation::default()
        }
    }

    fn holds(sql: &str, before: &Arc<Known>, now: &Known) -> bool {
        let path = SearchPath::effective(vec!["public".to_owned()], None);
        let script = parse(sql).unwrap();
        let traced = lineage(&script.statements[0], &*before.snapshot, &path);
        let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
        View::of(masker, Arc::clone(before), vec![traced]).holds(now)
    }

    #[test]
    fn columns_that_the_same_unit_adds_are_not_taken_for_others() {
        let before = with(vec![table(20_001, "notes", "1", &[(1, "x", 25), (2, "y", 0)])], None);
        let y = Some(ColumnId {
            relation: 20_001,
            column: 2,
        });
        let cases: [(&str, Columns<'_>, Option<ColumnId>, bool); 8] = [
            ("2", &[(1, "x", 25), (2, "y", 23)], None, true),
            // It is not committed yet.
            ("1", &[(1, "x", 25)], None, true),
            // Somebody took it away again.
            ("2", &[(1, "x", 25)], None, false),
            // Somebody took it away, and made another of its name.
            ("2", &[(1, "x", 25), (3, "y", 23)], None, false),
            ("2", &[(1, "x", 25), (2, "z", 23)], None, false),
            ("2", &[(1, "x", 23), (2, "y", 23)], None, false),
            ("2", &[(1, "x", 25), (2, "y", 23), (3, "z", 23)], None, false),
            ("2", &[(1, "x", 25), (2, "y", 23)], y, false),
        ];
        for (version, columns, protected, holds_then) in cases {
            let now = with(vec![table(20_001, "notes", version, columns)], protected);
            let found = holds("select x, y from notes", &before, &now);
            assert_eq!(found, holds_then, "{version} {columns:?} {protected:?}");
        }
    }

    #[test]
    fn a_table_that_the_same_unit_makes_is_not_taken_for_another() {
        let known = known(["1", "1", "1"]);
        let made = table(0, "made", "", &[(1, "a", 0), (2, "b", 0)]);
        let (_, snapshot) = known.snapshot.making(made).unwrap();
        let before = Arc::new(Known {
            snapshot: Arc::new(snapshot),
            protected: Arc::clone(&known.protected),
            ..Known::default()
        });
        let now = |change: fn(&mut Relation), protected: Option<i16>| {
            let mut one = table(30_000, "made", "1", &[(1, "a", 23), (2, "b", 25)]);
            change(&mut one);
            let column = protected.map(|column| ColumnId {
                relation: 30_000,
                column,
            });
            with(vec![one], column)
        };
        let sql = "select a, b from made";
        assert!(holds(sql, &before, &now(|_| (), None)));
        assert!(holds(sql, &before, &known), "it is not committed yet");
        assert!(!holds(sql, &before, &now(|_| (), Some(2))), "it holds protected values");
        let shown = |kind: RelationKind, definition: &str| {
            let mut one = table(30_000, "made", "1", &[(1, "a", 25), (2, "b", 25)]);
            one.kind = kind;
            one.definition = Some(definition.to_owned());
            with(vec![one], None)
        };
        let shows = |definition: &str| shown(RelationKind::View, definition);
        let plain = "SELECT notes.x AS a, notes.x AS b FROM public.notes;";
        assert!(holds(sql, &before, &shows(plain)));
        assert!(holds(sql, &before, &shown(RelationKind::MaterializedView, plain)));
        let telling = "SELECT notes.x AS a, customers.x AS b FROM public.notes, public.customers;";
        assert!(!holds(sql, &before, &shown(RelationKind::MaterializedView, telling)));
        for definition in [
            "SELECT notes.x AS a, customers.x AS b FROM public.notes, public.customers;",
            "SELECT notes.x AS a, unseen(1) AS b FROM public.notes;",
            "SELECT notes.x AS a, nosuch.x AS b FROM public.nosuch, public.notes;",
            "SELECT notes.x AS a FROM public.notes;",
        ] {
            assert!(!holds(sql, &before, &shows(definition)), "{definition}");
        }
        let others: [fn(&mut Relation); 7] = [
            // It may have a default of its own, which nobody saw.
            |one| one.columns[1].type_oid = 30_001,
            |one| one.columns[1].name = "c".to_owned(),
            |one| one.columns.truncate(1),
            |one| one.columns[1].generated = Some("a".to_owned()),
            |one| one.kind = RelationKind::View,
            |one| one.parents = vec![20_000],
            |one| one.schema = "other".to_owned(),
        ];
        for (index, change) in others.into_iter().enumerate() {
            assert!(!holds(sql, &before, &now(change, None)), "{index}");
        }
        let mut generates = table(Oid::MAX - 1, "made", "", &[(1, "a", 0), (2, "b", 0)]);
        generates.columns[1].generated = Some("\"a\", \"b\"".to_owned());
        let before = with(vec![generates], None);
        let change: fn(&mut Relation) = |one| one.columns[1].generated = Some("a".to_owned());
        assert!(
            holds(sql, &before, &now(change, None)),
            "it generates what it was to generate"
        );
    }
}
