//! Relations that a write reaches beyond the one that it names: what a view writes to, partitions and children, and those whose
//! rows follow by foreign keys.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, ColumnId, Events, Follower, Oid, Relation, RelationKind, SearchPath};
use crate::sql::parser::{self, Backslash};
use crate::sql::verb::{Verb, Verbs};

use super::Lineage;

/// Definitions that go on to partitions and children.
const DEFINING: [Verb; 2] = [Verb::Alter, Verb::Drop];
/// What happens to rows, by verb.
const HAPPENING: [(Verb, Events); 5] = [
    (Verb::Insert, Events::INSERT),
    (Verb::CopyFrom, Events::INSERT),
    (Verb::Update, Events::UPDATE),
    (Verb::Delete, Events::DELETE),
    (Verb::Truncate, Events::TRUNCATE),
];

impl Lineage {
    /// What a statement writes or changes that does all of `verbs` to each of `named`, these included. Where a foreign key
    /// carries an update on, it has to update the key; where the walk has lost sight of that, it does.
    pub fn reached(&self, named: &BTreeSet<Oid>, verbs: Verbs, catalog: &dyn Catalog) -> BTreeSet<Oid> {
        let happens = |(verb, event): &(Verb, Events)| verbs.contains(*verb).then_some(*event);
        let events = HAPPENING.iter().filter_map(happens).fold(Events::NONE, Events::and);
        let defines = verbs.any(&DEFINING);
        let mut todo: Vec<(Oid, Events, bool)> = named.iter().map(|oid| (*oid, events, true)).collect();
        let (mut seen, mut reached) = (BTreeSet::new(), BTreeSet::new());
        while let Some((oid, events, is_named)) = todo.pop() {
            let Some(found) = catalog.relation(oid).filter(|_| seen.insert((oid, events))) else {
                continue;
            };
            reached.insert(oid);
            if defines || goes_on(found, events) {
                todo.extend(catalog.children(oid).iter().map(|child| (*child, events, false)));
            }
            if events == Events::NONE {
                continue;
            }
            let through = written_through(found, catalog).into_iter();
            todo.extend(
                through
                    .chain(found.behind.iter().copied())
                    .map(|table| (table, events, false)),
            );
            for follower in &found.followers {
                let keeps = is_named && !self.updates_key(found, follower);
                let follows = follower.follows(if keeps { without_update(events) } else { events });
                if follows != Events::NONE {
                    todo.push((follower.relation, follows, false));
                }
            }
        }
        reached
    }

    /// Whether a column is assigned that a follower takes over. Which column has another set to NULL is not known.
    fn updates_key(&self, relation: &Relation, follower: &Follower) -> bool {
        let mut carried = relation
            .carried
            .iter()
            .filter(|(_, to)| to.relation == follower.relation)
            .peekable();
        let assigned = |column| {
            self.assigned.contains_key(&ColumnId {
                relation: relation.oid,
                column,
            })
        };
        carried.peek().is_none() || carried.any(|(own, _)| assigned(*own))
    }
}

/// Whether partitions and children take part. A row that is inserted stays in the table that is named, unless it has none itself.
fn goes_on(relation: &Relation, events: Events) -> bool {
    let rows_that_are_there = Events::UPDATE.and(Events::DELETE).and(Events::TRUNCATE);
    let parted = relation.kind == RelationKind::PartitionedTable;
    events.meets(rows_that_are_there) || parted && events.meets(Events::INSERT)
}

/// These without UPDATE, as far as keys make others follow.
pub(super) fn without_update(events: Events) -> Events {
    match events.meets(Events::DELETE) {
        true => Events::DELETE,
        false => Events::NONE,
    }
}

/// The table that PostgreSQL itself writes to where a view is written to: the only one that it reads from.
fn written_through(view: &Relation, catalog: &dyn Catalog) -> Option<Oid> {
    let definition = view.definition.as_deref().filter(|_| view.is_view())?;
    let statements = parser::parse(definition, Backslash::Literal).ok()?;
    let [statement] = statements.as_slice() else {
        return None;
    };
    let root = statement.tree.root()?;
    let mut from = root.list("from_clause");
    let (Some(table), None) = (from.next(), from.next()) else {
        return None;
    };
    let schema = Some(table.text("schemaname")).filter(|schema| !schema.is_empty());
    let found = catalog.resolve(&SearchPath::within(&view.schema), schema, table.text("relname"));
    found.filter(|_| table.is("RangeVar")).map(|table| table.oid)
}
