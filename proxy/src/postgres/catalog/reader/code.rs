//! What runs code of users where no text names it.

use std::collections::HashMap;

use sallyport_policy::catalog::{Code, Oid, Relation, is_built_in};
use sallyport_policy::sql;

use super::known::Vouched;
use super::number;
use crate::postgres::ask::{Row, text};

/// How the row begins that says that the session's own transaction wrote code.
pub(super) const OWN_CODE: &str = "m";

/// What can be taken for PostgreSQL's own and is code of users, by the answer to the question for namesakes. `names`: those of types.
pub(super) fn code(namesakes: &[Row], names: &HashMap<Oid, &str>) -> Option<Code> {
    let (mut code, mut known) = (Code::default(), Vouched::default());
    for row in namesakes {
        if known.takes(row)? {
            continue;
        }
        match text(row, 0) {
            "f" => {
                code.functions.insert(text(row, 1).to_owned());
            }
            "o" => {
                code.operators.insert(text(row, 1).to_owned());
            }
            "e" => {
                code.event_triggers.insert(text(row, 1).to_owned());
            }
            "d" => {
                code.wrappers.insert(text(row, 1).to_owned());
            }
            "F" => {
                code.system_functions.insert(text(row, 1).to_owned());
            }
            "O" => {
                code.system_operators.insert(text(row, 1).to_owned());
            }
            "c" => {
                let name = Some(text(row, 1)).filter(|name| sql::safety(None, name) != sql::Safety::Safe);
                code.fields.extend(name.map(str::to_owned));
            }
            // What the session's own transaction wrote is asked for apart.
            OWN_CODE => {}
            // PostgreSQL's own types are not listed: what is cast to and from a user's type names that one. Where both are its own
            // the row has their names.
            _ => {
                let oid = number(row, 2)?;
                let named = Some(text(row, 1)).filter(|name| !name.is_empty());
                let name = named.or_else(|| names.get(&oid).copied());
                code.types.extend(name.map(|name| (oid, name.to_owned())));
            }
        }
    }
    known.vouch(&mut code);
    Some(code)
}

/// OID of pg_attrdef. What stands there is computed where rows are written.
const DEFAULTS: Oid = 2604;

/// What each type is made of, with the type: the base of a domain, the element of an array, the subtype of a range, the range of a
/// multirange, and the types of a composite's columns. An array goes with its elements, too: an expression makes one of them without
/// a word of its type, and so it does a multirange.
pub(super) fn parts(types: &[Row], relations: &HashMap<Oid, Relation>) -> Vec<(Oid, Oid)> {
    let parts = types.iter().filter_map(|row| {
        let whole = number(row, 0)?;
        let single = [3, 4, 5, 8].into_iter().filter_map(move |column| number(row, column));
        let relation = number(row, 7).and_then(|relation| relations.get(&relation));
        let columns = relation.into_iter().flat_map(|relation| &relation.columns);
        let parts = single.chain(columns.map(|column| column.type_oid));
        let several = several_of(row).map(move |one| (whole, one));
        Some(parts.map(move |part| (part, whole)).chain(several))
    });
    parts.flatten().collect()
}

/// The type of users of which an array or a multirange has several. PostgreSQL's own types have no code of theirs.
fn several_of(row: &Row) -> impl Iterator<Item = Oid> {
    let is_array = text(row, 1) == "b" && text(row, 2) == "A";
    let one = [number(row, 4).filter(|_| is_array), number(row, 8)];
    one.into_iter().flatten().filter(|oid| !is_built_in(*oid))
}

/// A cast to what holds a type casts to that type, too, and compares by it: what holds a type with code has the code.
pub(super) fn spread(code: &mut Code, names: &HashMap<Oid, &str>, parts: &[(Oid, Oid)]) {
    let mut holders: HashMap<Oid, Vec<Oid>> = HashMap::new();
    for (part, whole) in parts {
        holders.entry(*part).or_default().push(*whole);
    }
    let mut todo: Vec<Oid> = code.types.keys().copied().collect();
    while let Some(part) = todo.pop() {
        // Taken out, since types may hold one another: a table has a column of arrays of its own rows.
        for whole in holders.remove(&part).unwrap_or_default() {
            code.types
                .extend(names.get(&whole).map(|name| (whole, (*name).to_owned())));
            todo.push(whole);
        }
    }
}

/// Notes what an expression that runs code belongs to.
pub(super) fn runs(row: &Row, names: &HashMap<Oid, &str>, relations: &mut HashMap<Oid, Relation>, code: &mut Code) {
    let Some(owner) = number(row, 0) else { return };
    match (text(row, 1), relations.get_mut(&owner)) {
        // A type and a relation may have one number.
        ("t", _) => code
            .types
            .extend(names.get(&owner).map(|name| (owner, (*name).to_owned()))),
        ("p", Some(relation)) => relation.guarded_by_code = true,
        (_, Some(relation)) => {
            (relation.active, relation.computes) = (true, true);
            if is_planned(row) {
                relation.guarded_by_code = true;
                // A partition key is the table's own. What shows the bounds of partitions computes it, and names no relation.
                if number(row, 5) == Some(owner) {
                    code.functions.insert("pg_get_partition_constraintdef".to_owned());
                }
            }
        }
        (_, None) => {}
    }
}

/// Whether an expression that runs code may run it where the relation is only read: PostgreSQL looks at those of indexes, statistics,
/// partitions and checks while it plans, and computes what is given constants. Of what is locked, or calls nothing but operators,
/// there is no text.
fn is_planned(row: &Row) -> bool {
    let text = row.get(2).and_then(Option::as_deref).unwrap_or_default();
    number(row, 4) != Some(DEFAULTS) && (text.is_empty() || sql::is_folded_expression(text))
}

/// Whether an expression names a type with code.
pub(super) fn casts(row: &Row, code: &Code) -> bool {
    types_of(row).any(|oid| code.types.contains_key(&oid))
}

/// The types of users that an expression names.
pub(super) fn types_of(row: &Row) -> impl Iterator<Item = Oid> {
    text(row, 7).split(' ').filter_map(|oid| oid.parse().ok())
}
