//! What the meaning of a statement hangs on, small enough to be looked at instead of the whole catalog.
//!
//! Where a database is written to all the time, its write-ahead position tells nothing, and a digest of a large catalog takes
//! longer than the statement. But a statement reaches the catalog by the names in its text, and by what hangs on the relations
//! that these are: rows of an index or two for each. While all of them are the row versions that were read, a verdict that
//! was found by them holds, whatever else has changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_policy::catalog::{Catalog as _, Oid, Relation, RelationKind};
use sallyport_policy::mask::types::Class;

use super::{Known, queries};

/// Names and relations that are looked at one by one. Beyond, the whole catalog is.
const MAX_NAMES: usize = 256;
const MAX_RELATIONS: usize = 256;
/// Footprints that are asked for one by one for a unit. Others wait for the answers.
const MAX_ASKED: usize = 16;
/// Statements whose footprints are remembered under one catalog.
const MAX_KEPT: usize = 1_024;
/// How long what was remembered counts: row counts of tables, which only inform, are as old.
const KEPT: Duration = Duration::from_secs(60);
/// The first OID that is given to anything but the system's own.
pub const FIRST_NORMAL: Oid = 16384;

/// Row versions that the meaning of a statement hangs on, as the question for them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Footprint(String);

/// What footprints were when a catalog was read.
#[derive(Default)]
pub(super) struct Footprints {
    /// The catalog that they belong to.
    known: Option<Arc<Known>>,
    kept: HashMap<Arc<Footprint>, (Instant, String)>,
}

// === impl Footprint ===

impl Footprint {
    /// The footprint of a statement with these names in its text that reaches these relations. `None` where that is too much,
    /// or not all of what it hangs on would be looked at.
    #[must_use]
    pub fn new<'a>(names: &BTreeSet<&'a str>, reached: impl Iterator<Item = Oid>, known: &Known) -> Option<Self> {
        // A type of users by one of these names stands for PostgreSQL's own where nothing says so.
        let names: BTreeSet<&'a str> = names.iter().copied().chain(["text", "varchar"]).collect();
        let plain = |name: &str| !name.contains(['"', '\\', '\'', '\0']);
        if names.len() > MAX_NAMES || !names.iter().all(|name| plain(name)) {
            return None;
        }
        let namesakes = names.iter().flat_map(|name| known.snapshot.named_anywhere(name));
        let mut todo: Vec<Oid> = reached.chain(namesakes.map(|relation| relation.oid)).collect();
        // What is protected in a key is protected in what foreign keys write it to.
        let each = known.snapshot.relations();
        let carriers: Vec<&Relation> = each.filter(|one| !one.carried.is_empty()).collect();
        let mut relations = BTreeSet::new();
        while let Some(oid) = todo.pop() {
            if oid < FIRST_NORMAL || !relations.insert(oid) {
                continue;
            }
            let relation = known.snapshot.relation(oid)?;
            let looked_at = relation.columns.iter().all(|column| is_plain(column.type_oid, known));
            // What a materialised view holds hangs on all that it is made from.
            let elsewhere = matches!(
                relation.kind,
                RelationKind::CompositeType | RelationKind::MaterializedView
            );
            // And what its policies look at, on all that a view among it reads.
            let viewed = |oid: &Oid| {
                known
                    .snapshot
                    .relation(*oid)
                    .is_none_or(|guard| guard.definition.is_some())
            };
            let elsewhere = elsewhere || relation.guards.iter().any(viewed);
            if relations.len() > MAX_RELATIONS || elsewhere || !looked_at {
                return None;
            }
            let followers = relation.followers.iter().map(|follower| &follower.relation);
            todo.extend(relation.parents.iter().chain(followers).chain(&relation.guards));
            todo.extend(known.snapshot.children(oid));
            let writes = |one: &&&Relation| one.carried.iter().any(|(_, to)| to.relation == oid);
            todo.extend(carriers.iter().filter(writes).map(|one| one.oid));
        }
        Some(Self(queries::footprint(&names, &relations)))
    }

    /// Adds it to those that a unit hangs on; `false` where looking at the whole catalog is sooner done.
    #[must_use]
    pub fn added_to(self: &Arc<Self>, all: &mut Vec<Arc<Self>>) -> bool {
        if !all.contains(self) {
            all.push(Arc::clone(self));
        }
        all.len() <= MAX_ASKED
    }

    /// The question, for a connection that it was [prepared](queries::footprint_prepared) on. One row with one text.
    pub(super) fn question(&self) -> &str {
        &self.0
    }
}

/// Whether a type has no parts that are defined elsewhere.
#[must_use]
pub fn is_plain(type_oid: Oid, known: &Known) -> bool {
    if type_oid < FIRST_NORMAL {
        return true;
    }
    match known.class(type_oid) {
        Some(Class::Array(element)) => element < FIRST_NORMAL || known.class(element) == Some(Class::Label),
        Some(Class::Range(part) | Class::Multirange(part)) => {
            let has_parts = |class| {
                matches!(
                    class,
                    Class::Record | Class::Array(_) | Class::Range(_) | Class::Multirange(_)
                )
            };
            part < FIRST_NORMAL || known.class(part).is_some_and(|class| !has_parts(class))
        }
        Some(class) => !matches!(class, Class::Record),
        None => false,
    }
}

// === impl Footprints ===

impl Footprints {
    /// What a footprint was when this catalog was read, if that is known and not long ago.
    pub(super) fn of(&self, footprint: &Footprint, known: &Arc<Known>) -> Option<&str> {
        let (at, was) = self.kept.get(footprint)?;
        let same = self.known.as_ref().is_some_and(|own| Arc::ptr_eq(own, known));
        (same && at.elapsed() < KEPT).then_some(was.as_str())
    }

    /// Remembers what footprints were when this catalog was read.
    pub(super) fn keep(&mut self, known: &Arc<Known>, read: impl Iterator<Item = (Arc<Footprint>, String)>) {
        if !self.known.as_ref().is_some_and(|own| Arc::ptr_eq(own, known)) {
            self.known = Some(Arc::clone(known));
            self.kept.clear();
        }
        for (footprint, was) in read {
            if self.kept.len() >= MAX_KEPT {
                self.kept.clear();
            }
            self.kept.insert(footprint, (Instant::now(), was));
        }
    }
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::{Column, ColumnId, Snapshot};

    use super::*;

    fn known() -> Known {
        let relation = |oid, schema: &str, name: &str, type_oid, parents: &[Oid]| Relation {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: vec![Column {
                attnum: 1,
                name: "id".to_owned(),
                type_oid,
                generated: None,
            }],
            parents: parents.to_vec(),
            ..Relation::default()
        };
        Known {
            snapshot: Arc::new(Snapshot::new(vec![
                relation(1259, "pg_catalog", "pg_class", 26, &[]),
                relation(20_000, "public", "t", 23, &[]),
                relation(20_001, "other", "t", 23, &[]),
                relation(20_002, "public", "child", 23, &[20_000]),
                relation(20_003, "public", "odd", 30_000, &[]),
                relation(20_004, "public", "rows", 30_001, &[]),
                relation(20_005, "public", "ranges", 30_002, &[]),
                relation(20_006, "public", "spans", 30_003, &[]),
            ])),
            types: Arc::new(HashMap::from([
                (30_001, Class::Record),
                (30_002, Class::Range(30_001)),
                (30_003, Class::Multirange(1082)),
            ])),
            ..Known::default()
        }
    }

    fn of(names: &[&str], reached: &[Oid]) -> Option<String> {
        let names = names.iter().copied().collect();
        Footprint::new(&names, reached.iter().copied(), &known()).map(|footprint| footprint.0)
    }

    #[test]
    fn a_footprint_has_all_that_hangs_on_the_names_and_no_order() {
        let whole = of(&["t", "id"], &[20_000, 1259]).unwrap();
        for part in ["\"t\"", "\"id\"", "\"text\"", "20000", "20001", "20002"] {
            assert!(whole.contains(part), "{part}: {whole}");
        }
        assert!(!whole.contains("1259"), "{whole}");
        assert_eq!(
            of(&["id", "t"], &[20_002]),
            Some(whole),
            "children and parents belong together"
        );
        assert_ne!(of(&["t"], &[20_000]), of(&["t", "x"], &[20_000]));
    }

    #[test]
    fn what_a_foreign_key_writes_to_hangs_on_the_key() {
        let mut known = known();
        let key = Relation {
            carried: vec![(
                1,
                ColumnId {
                    relation: 20_002,
                    column: 1,
                },
            )],
            ..known.snapshot.relation(20_001).unwrap().clone()
        };
        known.snapshot = Arc::new(known.snapshot.with(vec![key]));
        let of = |reached: Oid| Footprint::new(&BTreeSet::from(["x"]), std::iter::once(reached), &known).unwrap();
        assert!(
            of(20_002).0.contains("20001"),
            "a column that is renamed may be protected then"
        );
        assert!(!of(20_001).0.contains("20002"), "what it is written to has no say");
    }

    #[test]
    fn what_policies_look_at_hangs_on_the_relation() {
        let guarded_by = |guard: Relation| {
            let mut known = known();
            let guarded = Relation {
                guards: vec![guard.oid],
                ..known.snapshot.relation(20_006).unwrap().clone()
            };
            known.snapshot = Arc::new(known.snapshot.with(vec![guarded, guard]));
            Footprint::new(&BTreeSet::from(["x"]), std::iter::once(20_006), &known)
        };
        let table = Relation {
            oid: 20_007,
            ..Relation::default()
        };
        let view = Relation {
            definition: Some("SELECT 1".to_owned()),
            ..table.clone()
        };
        assert!(guarded_by(table).unwrap().0.contains("20007"));
        assert!(guarded_by(view).is_none(), "what it reads is not looked at");
    }

    #[test]
    fn what_would_not_all_be_looked_at_has_none() {
        assert!(of(&["it's"], &[]).is_none(), "a name that would end the literal");
        assert!(of(&["\\"], &[]).is_none());
        assert!(of(&["odd"], &[]).is_none(), "a type that nobody knows");
        assert!(of(&["rows"], &[]).is_none(), "a type with columns of its own");
        assert!(of(&["ranges"], &[]).is_none(), "one of ranges of it");
        assert!(of(&["spans"], &[]).is_some());
        assert!(of(&[], &[20_009]).is_none(), "a relation that nobody knows");
        let many: Vec<String> = (0..=MAX_NAMES).map(|n| format!("n{n}")).collect();
        assert!(of(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]).is_none());
    }

    #[test]
    fn a_unit_that_hangs_on_many_hangs_on_the_whole_catalog() {
        let one = |number: usize| Arc::new(Footprint(number.to_string()));
        let mut all = Vec::new();
        assert!((0..MAX_ASKED).all(|number| one(number).added_to(&mut all)));
        assert!(one(0).added_to(&mut all), "what is there is asked for once");
        assert!(!one(MAX_ASKED).added_to(&mut all));
    }

    #[test]
    fn what_was_read_belongs_to_one_catalog() {
        let (one, other) = (Arc::new(known()), Arc::new(known()));
        let footprint = Arc::new(Footprint("EXECUTE".to_owned()));
        let mut kept = Footprints::default();
        assert_eq!(kept.of(&footprint, &one), None);
        kept.keep(&one, std::iter::once((Arc::clone(&footprint), "7".to_owned())));
        assert_eq!(kept.of(&footprint, &one), Some("7"));
        assert_eq!(kept.of(&footprint, &other), None);
        kept.keep(&other, std::iter::empty());
        assert_eq!(kept.of(&footprint, &one), None, "the catalog was read again");
    }
}
