//! From rows to a snapshot.

mod code;
mod known;
mod own;
#[cfg(test)]
mod tests;
mod types;

use std::collections::HashMap;

use sallyport_policy::catalog::{
    AttNum, Catalog as _, Code, Column, ColumnId, Events, Follower, Hanging, Oid, Relation, RelationKind, Snapshot,
};
use sallyport_policy::mask::types::Class;
use sallyport_policy::sql;

use self::code::{casts, code, parts, runs, spread, types_of};
use self::types::classes;
use crate::postgres::ask::{Row, text};

pub use self::own::{
    Casting, Circumstances, Own, circumstances_query, is_own_setting, own_query, read_circumstances, read_own,
};

/// Statements that [`read`] takes the rows of.
const READ: usize = 6;

/// What a catalog's rows say.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) relations: Vec<Relation>,
    pub(super) types: HashMap<Oid, Class>,
    pub(super) code: Code,
    pub(super) expressions: Expressions,
    /// Those that have to be read again each time: they call what nobody can see into, name types of users, were held back, or
    /// belong to what is not here.
    pub(super) watched: Vec<Oid>,
    /// Whether a lock of somebody else held something back: it counts as unknown.
    pub(super) lacking: bool,
}

/// Which expressions call what nobody can see into, by class and number of the object, with the version that was read.
pub(super) type Expressions = HashMap<(Oid, Oid), (String, bool)>;

/// Reads the answer to [`super::queries::built_in`].
pub(super) fn read_built_in(results: Vec<Vec<Row>>) -> Option<Vec<Relation>> {
    let [relations, columns] = <[_; 2]>::try_from(results).ok()?;
    let nothing = Vec::new;
    let results = [relations, columns, nothing(), nothing(), nothing(), nothing()];
    Some(read(&results, &Expressions::new(), &Snapshot::default())?.relations)
}

/// Reads the answer to [`super::queries::snapshot`], without its BEGIN, COMMIT and versions, or the end of [`super::queries::own`]. `before`
/// has what was read last of expressions, which may be locked now, and `last` the columns and definitions that are left out.
pub(super) fn read(results: &[Vec<Row>], before: &Expressions, last: &Snapshot) -> Option<Read> {
    let [relations, columns, parents, types, expressions, namesakes] = results else {
        return None;
    };
    let mut by_oid: HashMap<Oid, Relation> = HashMap::new();
    for row in relations {
        let oid = number(row, 0)?;
        // What is said to be known and is not makes the whole catalog be read again.
        let columns = match text(row, 9) {
            "t" => last.relation(oid)?.columns.clone(),
            _ => Vec::new(),
        };
        let definition = match text(row, 10) {
            "t" => last.relation(oid)?.definition.clone(),
            _ => row.get(5).cloned().flatten(),
        };
        let kept = || last.relation(oid).map(|one| one.version.clone());
        let version = row.get(11).cloned().flatten().or_else(kept).unwrap_or_default();
        let fires = text(row, 8).parse().ok().map(Events::of_type);
        let relation = Relation {
            oid,
            schema: text(row, 1).to_owned(),
            name: text(row, 2).to_owned(),
            kind: kind(text(row, 3)),
            columns,
            definition,
            parents: Vec::new(),
            // Triggers whose type was not told may fire on anything.
            active: text(row, 6) == "t" || text(row, 4) == "t" && fires.is_none(),
            fires: fires.unwrap_or_default(),
            computes: false,
            ruled: text(row, 6) == "t",
            guarded_by_code: false,
            guards: Vec::new(),
            key: text(row, 7)
                .split(' ')
                .filter_map(|column| column.parse().ok())
                .collect(),
            followers: Vec::new(),
            carried: Vec::new(),
            hanging: Vec::new(),
            behind: Vec::new(),
            constraints: Vec::new(),
            version,
            named: text(row, 12).to_owned(),
        };
        by_oid.insert(oid, relation);
    }
    for row in columns {
        let Some(relation) = by_oid.get_mut(&number(row, 0)?) else {
            continue;
        };
        relation.columns.push(Column {
            attnum: text(row, 1).parse::<AttNum>().ok()?,
            name: text(row, 2).to_owned(),
            type_oid: number(row, 3)?,
            generated: row.get(4).cloned().flatten(),
        });
    }
    for row in parents {
        let (one, other) = (number(row, 0)?, number(row, 1)?);
        let followed = matches!(text(row, 2), "f" | "u" | "h");
        let Some(relation) = by_oid.get_mut(if followed { &other } else { &one }) else {
            continue;
        };
        match text(row, 2) {
            "f" => relation.followers.push(Follower::of(one, text(row, 3))),
            "u" => {
                let (follower, key) = text(row, 3).split_once(' ')?;
                let column = follower.parse().ok()?;
                relation
                    .carried
                    .push((key.parse().ok()?, ColumnId { relation: one, column }));
            }
            "h" => relation.hanging.push(Hanging::of(one, text(row, 3))?),
            "g" => relation.guards.push(other),
            "c" => relation.constraints.push(text(row, 3).to_owned()),
            _ => relation.parents.push(other),
        }
    }
    // In one order, since catalogs are compared.
    for relation in by_oid.values_mut() {
        relation.followers.sort_unstable();
        relation.followers.dedup();
        relation.guards.sort_unstable();
        relation.guards.dedup();
        relation.carried.sort_unstable();
        relation.hanging.sort_unstable();
        relation.hanging.dedup();
        relation.constraints.sort_unstable();
        relation.constraints.dedup();
    }
    let names: HashMap<Oid, &str> = types
        .iter()
        .filter_map(|row| Some((number(row, 0)?, text(row, 6))))
        .collect();
    let mut lacking = by_oid.values().any(Relation::is_undefined);
    let mut code = code(namesakes, &names)?;
    let (mut read, mut quiet, mut watched) = (Expressions::new(), Vec::new(), Vec::new());
    for row in expressions {
        let (object, version) = ((number(row, 4)?, number(row, 5)?), text(row, 6));
        // A lock on what is not here holds nothing back.
        if text(row, 1) != "t" && number(row, 0).is_none_or(|owner| !by_oid.contains_key(&owner)) {
            watched.push(object.1);
            continue;
        }
        let known = match row.get(2).and_then(Option::as_deref) {
            Some(expression) => Some(expression.contains('(') && sql::is_opaque_expression(expression)),
            None => before
                .get(&object)
                .filter(|(then, _)| then == version)
                .map(|(_, opaque)| *opaque),
        };
        lacking |= known.is_none();
        read.extend(known.map(|opaque| (object, (version.to_owned(), opaque))));
        let loud = text(row, 3) == "t" || known.unwrap_or(true);
        watched.extend((loud || types_of(row).next().is_some()).then_some(object.1));
        match loud {
            true => runs(row, &names, &mut by_oid, &mut code),
            false => quiet.push(row),
        }
    }
    if !code.types.is_empty() {
        let parts = parts(types, &by_oid);
        spread(&mut code, &names, &parts);
        // A cast runs what its type runs. Where it stands in the check of a domain, that is one more such type.
        loop {
            let (casting, others): (Vec<&Row>, Vec<&Row>) = quiet.into_iter().partition(|row| casts(row, &code));
            if casting.is_empty() {
                break;
            }
            quiet = others;
            casting.iter().for_each(|row| runs(row, &names, &mut by_oid, &mut code));
            spread(&mut code, &names, &parts);
        }
    }
    Some(Read {
        relations: by_oid.into_values().collect(),
        types: classes(types)?,
        code,
        expressions: read,
        watched,
        lacking,
    })
}

/// Reads the answer to [`super::queries::STATISTICS`].
pub(super) fn statistics(results: &[Vec<Row>]) -> HashMap<Oid, u64> {
    let rows = results.iter().flatten();
    rows.filter_map(|row| Some((number(row, 0)?, text(row, 1).parse().ok()?)))
        .collect()
}

fn number(row: &Row, column: usize) -> Option<Oid> {
    text(row, column).parse().ok()
}

fn kind(letter: &str) -> RelationKind {
    match letter {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        "S" => RelationKind::Sequence,
        "c" => RelationKind::CompositeType,
        _ => RelationKind::Other,
    }
}
