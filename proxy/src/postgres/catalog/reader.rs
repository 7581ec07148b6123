//! From rows to a snapshot.

use std::collections::HashMap;

use sallyport_policy::catalog::{AttNum, Code, Column, Oid, Relation, RelationKind, SearchPath};
use sallyport_policy::mask::types::Class;
use sallyport_policy::sql;

use super::queries::{self, Depth};
use crate::postgres::ask::{Row, text};

/// Statements that [`read`] takes the rows of.
const READ: usize = 6;

/// What a catalog's rows say.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) relations: Vec<Relation>,
    pub(super) types: HashMap<Oid, Class>,
    pub(super) code: Code,
}

/// What only the session's own backend knows.
#[derive(Debug)]
pub struct Own {
    /// How unqualified names are looked up now.
    pub path: SearchPath,
    /// Whether there is a temporary schema.
    pub temporary: bool,
    /// Whether each statement sees what was committed before it. If not, catalogs are read as they were when the
    /// transaction began, and names are looked up as they are.
    pub current: bool,
    /// Statements prepared by SQL, by name.
    pub prepared: Vec<(String, String)>,
    /// Relations: the temporary ones, or all.
    pub relations: Vec<Relation>,
    /// Types that are not built in.
    pub types: HashMap<Oid, Class>,
    /// Code under names of PostgreSQL's own, where all relations were asked for.
    pub code: Code,
}

/// The question that [`read_own`] understands the answer of.
#[must_use]
pub fn own_query(depth: Depth) -> String {
    queries::own(depth)
}

/// Reads the answer to [`own_query`].
#[must_use]
pub fn read_own(results: &[Vec<Row>]) -> Option<Own> {
    let [path, temp, prepared, isolation, rest @ ..] = results else {
        return None;
    };
    // With all relations there are two statements before them, and two after.
    let rest = match rest {
        [_savepoint, _path, inner @ .., _back, _release] if inner.len() == READ => inner,
        whole => whole,
    };
    let isolation = isolation.first().map(|row| text(row, 0)).unwrap_or_default();
    let schemas = path.iter().map(|row| text(row, 0).to_owned()).collect();
    let temp = temp.first().map(|row| text(row, 0).to_owned());
    let read = read(rest)?;
    Some(Own {
        temporary: temp.is_some(),
        current: isolation.starts_with("read "),
        path: SearchPath::effective(schemas, temp),
        prepared: prepared
            .iter()
            .map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned()))
            .collect(),
        relations: read.relations,
        types: read.types,
        code: read.code,
    })
}

/// The question that [`read_circumstances`] understands the answer of.
#[must_use]
pub fn circumstances_query() -> String {
    queries::circumstances()
}

/// Reads the answer to [`circumstances_query`] as bytes that are equal where nothing has changed.
#[must_use]
pub fn read_circumstances(results: &[Vec<Row>]) -> Option<Vec<u8>> {
    let [rows] = results else { return None };
    let [row] = rows.as_slice() else { return None };
    let mut bytes = Vec::new();
    for value in row {
        match value {
            Some(value) => {
                bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
                bytes.extend_from_slice(value.as_bytes());
            }
            None => bytes.extend_from_slice(&u64::MAX.to_be_bytes()),
        }
    }
    Some(bytes)
}

/// Reads the answer to [`queries::snapshot`], without its BEGIN and COMMIT, or the end of [`queries::own`].
pub(super) fn read(results: &[Vec<Row>]) -> Option<Read> {
    let [relations, columns, parents, types, expressions, namesakes] = results else {
        return None;
    };
    let mut by_oid: HashMap<Oid, Relation> = HashMap::new();
    for row in relations {
        let oid = number(row, 0)?;
        let relation = Relation {
            oid,
            schema: text(row, 1).to_owned(),
            name: text(row, 2).to_owned(),
            kind: kind(text(row, 3)),
            columns: Vec::new(),
            definition: row.get(5).cloned().flatten(),
            parents: Vec::new(),
            active: text(row, 4) == "t",
            computes: false,
            ruled: text(row, 6) == "t",
            guarded_by_code: false,
            key: text(row, 7)
                .split(' ')
                .filter_map(|column| column.parse().ok())
                .collect(),
            followers: Vec::new(),
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
        if text(row, 2) == "f" {
            let followed = by_oid.get_mut(&other);
            followed.into_iter().for_each(|relation| relation.followers.push(one));
        } else if let Some(relation) = by_oid.get_mut(&one) {
            relation.parents.push(other);
        }
    }
    // In one order, since catalogs are compared.
    for relation in by_oid.values_mut() {
        relation.followers.sort_unstable();
        relation.followers.dedup();
    }
    let names: HashMap<Oid, &str> = types
        .iter()
        .filter_map(|row| Some((number(row, 0)?, text(row, 6))))
        .collect();
    let mut code = code(namesakes, &names)?;
    for row in expressions {
        let own = text(row, 3) == "t" || sql::is_opaque_expression(text(row, 2));
        let Some(owner) = number(row, 0).filter(|_| own) else {
            continue;
        };
        match (text(row, 1), by_oid.get_mut(&owner)) {
            // A type and a relation may have one number.
            ("t", _) => code
                .types
                .extend(names.get(&owner).map(|name| (owner, (*name).to_owned()))),
            ("p", Some(relation)) => relation.guarded_by_code = true,
            (_, Some(relation)) => (relation.active, relation.computes) = (true, true),
            (_, None) => {}
        }
    }
    spread(&mut code, types, &by_oid);
    Some(Read {
        relations: by_oid.into_values().collect(),
        types: classes(types)?,
        code,
    })
}

fn code(namesakes: &[Row], names: &HashMap<Oid, &str>) -> Option<Code> {
    let mut code = Code::default();
    for row in namesakes {
        match text(row, 0) {
            "f" => {
                code.functions.insert(text(row, 1).to_owned());
            }
            "o" => {
                code.operators.insert(text(row, 1).to_owned());
            }
            "c" => {
                let name = Some(text(row, 1)).filter(|name| sql::safety(None, name) != sql::Safety::Safe);
                code.fields.extend(name.map(str::to_owned));
            }
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
    Some(code)
}

/// What is made of a type that runs code runs it, too: domains over it, arrays, ranges and rows of it.
fn spread(code: &mut Code, types: &[Row], relations: &HashMap<Oid, Relation>) {
    loop {
        let runs = |oid: Oid| code.types.contains_key(&oid);
        let made = types.iter().filter_map(|row| {
            let oid = number(row, 0).filter(|oid| !runs(*oid))?;
            let of = (3..=5).filter_map(|at| number(row, at));
            let fields = number(row, 7).and_then(|relation| relations.get(&relation));
            let fields = fields.into_iter().flat_map(|relation| &relation.columns);
            let mut parts = of.chain(fields.map(|field| field.type_oid));
            parts.any(runs).then(|| (oid, text(row, 6).to_owned()))
        });
        let made: Vec<(Oid, String)> = made.collect();
        if made.is_empty() {
            return;
        }
        code.types.extend(made);
    }
}

/// Reads the answer to [`queries::STATISTICS`].
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

/// Domains are what they are over; what nobody can classify stays out, and is unknown to the mask.
fn classes(rows: &[Row]) -> Option<HashMap<Oid, Class>> {
    let mut bases = HashMap::new();
    let mut classes = HashMap::new();
    for row in rows {
        let (oid, element) = (number(row, 0)?, number(row, 4)?);
        match (text(row, 1), text(row, 2)) {
            ("d", _) => {
                bases.insert(oid, number(row, 3)?);
            }
            ("c", _) => {
                classes.insert(oid, Class::Record);
            }
            // An enumeration's value is one of its labels: no mask's text is.
            ("e", _) => {
                classes.insert(oid, Class::Label);
            }
            // citext and its like are strings by category.
            ("b", "S") => {
                classes.insert(oid, Class::Text);
            }
            ("b", "A") if element != 0 => {
                classes.insert(oid, Class::Array(element));
            }
            ("r", _) => {
                number(row, 5).map(|subtype| classes.insert(oid, Class::Range(subtype)));
            }
            ("m", _) => {
                number(row, 5).map(|subtype| classes.insert(oid, Class::Multirange(subtype)));
            }
            _ => {}
        }
    }
    // Domains over domains end at a type; the bound is for a target that lies.
    for (domain, base) in &bases {
        let end = (0..64).try_fold(*base, |at, _| match bases.get(&at) {
            Some(next) => Ok(*next),
            None => Err(at),
        });
        if let Err(end) = end {
            let class = classes.get(&end).copied().unwrap_or_else(|| Class::of(end));
            classes.insert(*domain, class);
        }
    }
    Some(classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Row {
        values
            .iter()
            .map(|value| (*value != "-").then(|| (*value).to_owned()))
            .collect()
    }

    #[test]
    fn rows_become_relations_and_types() {
        let results = [
            vec![
                row(&["10", "public", "t", "r", "t", "-", "f", "3 1"]),
                row(&["11", "public", "v", "v", "f", " SELECT 1;"]),
                row(&["12", "public", "u", "r", "f", "-"]),
            ],
            vec![
                row(&["10", "1", "a", "25", "-"]),
                row(&["10", "3", "b", "23", "a + 1"]),
                row(&["10", "4", "c", "20002", "-"]),
            ],
            vec![
                row(&["11", "10", "i"]),
                row(&["11", "10", "f"]),
                row(&["11", "10", "f"]),
            ],
            vec![
                row(&["20000", "d", "S", "20001", "0", "-", "d0"]),
                row(&["20001", "d", "S", "25", "0", "-", "d1"]),
                row(&["20002", "b", "A", "0", "20001", "-", "_d1"]),
                row(&["20003", "c", "C", "0", "0", "-", "comp"]),
                row(&["20004", "c", "C", "0", "0", "-", "t", "10"]),
                row(&["20005", "r", "R", "0", "0", "20001", "r1"]),
                row(&["20006", "d", "S", "25", "0", "-", "plain"]),
            ],
            vec![
                row(&["10", "w", "now()", "f"]),
                row(&["12", "w", "public.h(x)", "t"]),
                row(&["11", "p", "public.may()", "t"]),
                row(&["20001", "t", "(query_to_xml('select 1', true, true, '') IS NULL)", "f"]),
            ],
            vec![
                row(&["f", "lower", "0"]),
                row(&["o", "+", "0"]),
                row(&["c", "lower", "0"]),
                row(&["c", "ts_stat", "0"]),
                row(&["t", "", "23"]),
                row(&["t", "int8", "20"]),
                row(&["t", "", "20003"]),
            ],
        ];
        let read = read(&results).unwrap();
        let t = read.relations.iter().find(|relation| relation.oid == 10).unwrap();
        assert!(t.active && t.columns.len() == 3);
        assert_eq!((t.key.as_slice(), t.followers.as_slice()), (&[3, 1][..], &[11][..]));
        assert_eq!(t.columns[1].generated.as_deref(), Some("a + 1"));
        let v = read.relations.iter().find(|relation| relation.oid == 11).unwrap();
        assert!(v.key.is_empty());
        let u = read.relations.iter().find(|relation| relation.oid == 12).unwrap();
        assert!(u.active && u.computes && !t.computes);
        assert_eq!((v.kind, v.parents.as_slice()), (RelationKind::View, &[10][..]));
        assert_eq!(read.types.get(&20000), Some(&Class::Text));
        assert_eq!(read.types.get(&20002), Some(&Class::Array(20001)));
        assert_eq!(read.types.get(&20003), Some(&Class::Record));
        assert!(v.guarded_by_code && !t.guarded_by_code);
        assert!(read.code.functions.contains("lower") && read.code.operators.contains("+"));
        assert!(
            read.code.fields.iter().eq(["ts_stat"]),
            "what is vouched for may be called"
        );
        let types: Vec<_> = read.code.types.values().collect();
        assert_eq!(types, ["int8", "d0", "d1", "_d1", "comp", "t", "r1"]);
    }

    #[test]
    fn answers_that_are_not_a_catalog_are_none() {
        assert!(super::read(&[]).is_none());
        assert!(
            super::read(&[
                vec![row(&["x", "", "", "", "", ""])],
                vec![],
                vec![],
                vec![],
                vec![],
                vec![]
            ])
            .is_none()
        );
    }
}
