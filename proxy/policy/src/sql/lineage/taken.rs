//! What CASCADE takes along, as far as the catalog tells.
//!
//! PostgreSQL goes by `pg_depend`, from object to object; here it is followed from relation to relation. What falls as a whole takes
//! all that hangs on it, a column what hangs on that. Of what only loses a part that holds no rows (a foreign key, a policy, a
//! default) nothing goes on. Where anything hangs on what falls that is not followed, nothing is told at all.

use std::collections::BTreeSet;

use crate::catalog::{AttNum, Catalog, ColumnId, Hanging, Oid, Part, Relation, RelationKind, SearchPath, is_built_in};
use crate::sql::grammar::{CASCADE, DROP_COLUMN};
use crate::sql::names::qualified;
use crate::sql::tree::Node;

/// Kinds of objects that are relations and hold no more than these tell, as the grammar numbers them: foreign tables, materialised
/// views, sequences, tables, views.
const RELATIONS: [i64; 5] = [19, 24, 38, 42, 52];
/// Those of them whose columns and constraints ALTER drops.
const TABLES: [i64; 2] = [19, 42];
/// Command of ALTER TABLE: `DROP CONSTRAINT`.
const DROP_CONSTRAINT: i64 = 23;

/// What CASCADE takes along besides what is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Relations that fall, lose something or are emptied.
    pub relations: BTreeSet<Oid>,
    /// Columns that fall, or whose values do.
    pub columns: BTreeSet<ColumnId>,
    /// Whether a column falls of a relation that may stay.
    pub torn: bool,
}

/// Something that goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fall {
    Whole(Oid),
    Column(Oid, AttNum),
    /// A key of it, whichever.
    Key(Oid),
    /// All of its rows.
    Rows(Oid),
}

/// What the CASCADE of a statement takes along. `None`: it cannot be told. What the catalog does not know does not count: whoever
/// asks has to know that it knows all there is.
pub(super) fn taken(root: Node<'_>, catalog: &dyn Catalog, path: &SearchPath) -> Option<Taken> {
    let resolve = |(schema, name): (Option<&str>, &str)| catalog.resolve(path, schema, name);
    let start: Vec<Fall> = match root.kind() {
        "TruncateStmt" => {
            let named = root.list("relations").filter_map(|table| resolve(ranged(table)));
            named.map(|table| Fall::Rows(table.oid)).collect()
        }
        "DropStmt" if RELATIONS.contains(&root.int("remove_type")) => {
            let lists = root.list("objects").filter(|object| object.is("List"));
            let named = lists.filter_map(|list| qualified(&list.names("items")));
            let found = named.filter_map(|(schema, name)| catalog.resolve(path, schema.as_deref(), &name));
            found.map(|relation| Fall::Whole(relation.oid)).collect()
        }
        "AlterTableStmt" if TABLES.contains(&root.int("objtype")) => {
            let table = root.node("relation").and_then(|table| resolve(ranged(table)));
            let commands = root.list("cmds").filter(|command| command.int("behavior") == CASCADE);
            let each: Option<Vec<Option<Fall>>> = commands.map(|command| dropped(command, table)).collect();
            each?.into_iter().flatten().collect()
        }
        _ => return None,
    };
    follow(start, catalog)
}

fn ranged(table: Node<'_>) -> (Option<&str>, &str) {
    let schema = Some(table.text("schemaname")).filter(|schema| !schema.is_empty());
    (schema, table.text("relname"))
}

/// What a command of ALTER TABLE drops; nothing where it is not there.
fn dropped(command: Node<'_>, table: Option<&Relation>) -> Option<Option<Fall>> {
    let fall = match command.int("subtype") {
        DROP_COLUMN => table.and_then(|table| {
            let column = table.column(command.text("name"))?;
            Some(Fall::Column(table.oid, column.attnum))
        }),
        DROP_CONSTRAINT => table.map(|table| Fall::Key(table.oid)),
        _ => return None,
    };
    Some(fall)
}

fn follow(start: Vec<Fall>, catalog: &dyn Catalog) -> Option<Taken> {
    let named: BTreeSet<Oid> = start.iter().map(|fall| fall.relation()).collect();
    let (mut todo, mut seen, mut taken) = (start, BTreeSet::new(), Taken::default());
    while let Some(fall) = todo.pop() {
        if !seen.insert(fall) {
            continue;
        }
        let oid = fall.relation();
        // What hangs on the system's own is not read.
        let relation = catalog.relation(oid).filter(|_| !is_built_in(oid))?;
        if !named.contains(&oid) {
            taken.relations.insert(oid);
            taken.columns.extend(fall.columns(relation));
        }
        todo.extend(below(fall, relation, catalog));
        for hanging in relation.hanging.iter().filter(|hanging| fall.takes(hanging)) {
            match (hanging.part, fall) {
                (Part::Unknown, _) => return None,
                (Part::Key, Fall::Rows(_)) => todo.push(Fall::Rows(hanging.relation)),
                (Part::Whole, _) => todo.push(Fall::Whole(hanging.relation)),
                (Part::Column(column), _) => {
                    taken.torn = true;
                    todo.push(column_of(hanging.relation, column, catalog));
                }
                (Part::Key | Part::Other, _) => loses(hanging.relation, catalog, &mut taken)?,
            }
        }
    }
    Some(taken)
}

/// A column that goes with its type. A table that is partitioned by it goes with it, and by which of them it is, is not read.
fn column_of(oid: Oid, column: AttNum, catalog: &dyn Catalog) -> Fall {
    let partitioned = catalog
        .relation(oid)
        .is_some_and(|relation| relation.kind == RelationKind::PartitionedTable);
    match partitioned {
        true => Fall::Whole(oid),
        false => Fall::Column(oid, column),
    }
}

/// What goes with something in the relation itself, and in its partitions and children.
fn below(fall: Fall, relation: &Relation, catalog: &dyn Catalog) -> Vec<Fall> {
    let children = catalog.children(relation.oid).iter().copied();
    let Fall::Column(oid, attnum) = fall else {
        return children.map(|child| fall.of(child)).collect();
    };
    // A view loses no column, and of a composite type every value loses one.
    let stores = matches!(
        relation.kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
    );
    if !stores {
        return vec![Fall::Whole(oid)];
    }
    let Some(column) = relation.columns.iter().find(|column| column.attnum == attnum) else {
        return Vec::new();
    };
    let made = |other: &&crate::catalog::Column| {
        let from = other.generated.as_deref();
        from.is_some_and(|from| names(from).any(|name| name == column.name))
    };
    let generated = relation.columns.iter().filter(made);
    let mut all: Vec<Fall> = generated.map(|other| Fall::Column(oid, other.attnum)).collect();
    for child in children {
        let same = catalog.relation(child).and_then(|child| child.column(&column.name));
        all.extend(same.map(|same| Fall::Column(child, same.attnum)));
    }
    all
}

/// A relation that loses something in which no rows are, with its partitions and children.
fn loses(oid: Oid, catalog: &dyn Catalog, taken: &mut Taken) -> Option<()> {
    let mut todo = vec![oid];
    while let Some(oid) = todo.pop() {
        catalog.relation(oid)?;
        if taken.relations.insert(oid) {
            todo.extend(catalog.children(oid));
        }
    }
    Some(())
}

/// Names in an expression, or in a list of names as PostgreSQL prints it.
fn names(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        let word = |one: char| one.is_alphanumeric() || one == '_' || one == '$' || !one.is_ascii();
        while rest.next_if(|one| !word(*one) && *one != '"').is_some() {}
        let mut name = String::new();
        if rest.next_if_eq(&'"').is_none() {
            while let Some(one) = rest.next_if(|one| word(*one)) {
                name.push(one);
            }
            return (!name.is_empty()).then_some(name);
        }
        while let Some(one) = rest.next() {
            if one == '"' && rest.next_if_eq(&'"').is_none() {
                break;
            }
            name.push(one);
        }
        Some(name)
    })
}

// === impl Fall ===

impl Fall {
    const fn relation(self) -> Oid {
        match self {
            Self::Whole(oid) | Self::Column(oid, _) | Self::Key(oid) | Self::Rows(oid) => oid,
        }
    }

    /// The same of another relation.
    const fn of(self, oid: Oid) -> Self {
        match self {
            Self::Whole(_) => Self::Whole(oid),
            Self::Column(_, column) => Self::Column(oid, column),
            Self::Key(_) => Self::Key(oid),
            Self::Rows(_) => Self::Rows(oid),
        }
    }

    /// Whether this goes with it.
    fn takes(self, hanging: &Hanging) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Column(_, column) => hanging.on.contains(&column),
            Self::Key(_) => hanging.keyed || hanging.part == Part::Key,
            Self::Rows(_) => hanging.part == Part::Key,
        }
    }

    /// Columns of its relation whose values go.
    fn columns(self, relation: &Relation) -> Vec<ColumnId> {
        let goes = |column: AttNum| match self {
            Self::Whole(_) | Self::Rows(_) => true,
            Self::Column(_, own) => own == column,
            Self::Key(_) => false,
        };
        let all = relation.columns.iter().map(|column| column.attnum);
        let id = |column| ColumnId {
            relation: relation.oid,
            column,
        };
        all.filter(|column| goes(*column)).map(id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn what_a_column_is_generated_from_is_read_by_name() {
        for (text, found) in [
            ("a, b", &["a", "b"][..]),
            (r#""a, ""b""", c"#, &["a, \"b\"", "c"]),
            ("(a * 2)", &["a", "2"]),
            ("ä", &["ä"]),
            ("", &[]),
        ] {
            assert_eq!(names(text).collect::<Vec<_>>(), found, "{text}");
        }
    }
}
