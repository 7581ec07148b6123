//! From rows to a snapshot.

use std::collections::HashMap;

use sallyport_policy::catalog::{AttNum, Code, Column, ColumnId, Oid, Relation, RelationKind, SearchPath};
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
    pub(super) expressions: Expressions,
    /// Whether a lock of somebody else held something back: it counts as unknown.
    pub(super) lacking: bool,
}

/// Which expressions call what nobody can see into, by class and number of the object, with the version that was read.
pub(super) type Expressions = HashMap<(Oid, Oid), (String, bool)>;

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
    /// Relations: the temporary ones, or all but the system's own.
    pub relations: Vec<Relation>,
    /// Types that are not built in.
    pub types: HashMap<Oid, Class>,
    /// Code under names of PostgreSQL's own, where all relations were asked for.
    pub code: Code,
    /// What runs code if a type of users does: where only temporary relations were asked for, the shared catalog knows that.
    pub casting: Vec<Casting>,
}

/// An expression that names types of users: it runs what they run.
#[derive(Debug)]
pub struct Casting {
    relation: Oid,
    /// Whether it is a policy for rows.
    guards: bool,
    types: Vec<Oid>,
}

// === impl Casting ===

impl Casting {
    fn of(row: &Row) -> Option<Self> {
        let types: Vec<Oid> = types_of(row).collect();
        (!types.is_empty() && text(row, 1) != "t").then_some(Self {
            relation: number(row, 0)?,
            guards: text(row, 1) == "p",
            types,
        })
    }

    /// Notes on its relation that it runs code, if it does.
    pub fn note(&self, relations: &mut [Relation], code: &Code) {
        if !self.types.iter().any(|oid| code.types.contains_key(oid)) {
            return;
        }
        for relation in relations.iter_mut().filter(|one| one.oid == self.relation) {
            match self.guards {
                true => relation.guarded_by_code = true,
                false => (relation.active, relation.computes) = (true, true),
            }
        }
    }
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
    let read = read(rest, &Expressions::new())?;
    let [_relations, _columns, _parents, _types, expressions, _code] = rest else {
        return None;
    };
    Some(Own {
        casting: expressions.iter().filter_map(Casting::of).collect(),
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

/// Reads the answer to [`queries::built_in`].
pub(super) fn read_built_in(results: Vec<Vec<Row>>) -> Option<Vec<Relation>> {
    let [relations, columns] = <[_; 2]>::try_from(results).ok()?;
    let nothing = Vec::new;
    let results = [relations, columns, nothing(), nothing(), nothing(), nothing()];
    Some(read(&results, &Expressions::new())?.relations)
}

/// Reads the answer to [`queries::snapshot`], without its BEGIN and COMMIT, or the end of [`queries::own`]. `before` has what
/// was read last of expressions, which may be locked now.
pub(super) fn read(results: &[Vec<Row>], before: &Expressions) -> Option<Read> {
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
            carried: Vec::new(),
            constraints: Vec::new(),
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
        let followed = matches!(text(row, 2), "f" | "u");
        let Some(relation) = by_oid.get_mut(if followed { &other } else { &one }) else {
            continue;
        };
        match text(row, 2) {
            "f" => relation.followers.push(one),
            "u" => {
                let (follower, key) = text(row, 3).split_once(' ')?;
                let column = follower.parse().ok()?;
                relation
                    .carried
                    .push((key.parse().ok()?, ColumnId { relation: one, column }));
            }
            "c" => relation.constraints.push(text(row, 3).to_owned()),
            _ => relation.parents.push(other),
        }
    }
    // In one order, since catalogs are compared.
    for relation in by_oid.values_mut() {
        relation.followers.sort_unstable();
        relation.followers.dedup();
        relation.carried.sort_unstable();
        relation.constraints.sort_unstable();
        relation.constraints.dedup();
    }
    let names: HashMap<Oid, &str> = types
        .iter()
        .filter_map(|row| Some((number(row, 0)?, text(row, 6))))
        .collect();
    let mut lacking = by_oid.values().any(is_undefined);
    let mut code = code(namesakes, &names)?;
    let (mut read, mut quiet) = (Expressions::new(), Vec::new());
    for row in expressions {
        // A lock on what is not here holds nothing back.
        if text(row, 1) != "t" && number(row, 0).is_none_or(|owner| !by_oid.contains_key(&owner)) {
            continue;
        }
        let (object, version) = ((number(row, 4)?, number(row, 5)?), text(row, 6));
        let known = match row.get(2).and_then(Option::as_deref) {
            Some(expression) => Some(expression.contains('(') && sql::is_opaque_expression(expression)),
            None => before
                .get(&object)
                .filter(|(then, _)| then == version)
                .map(|(_, opaque)| *opaque),
        };
        lacking |= known.is_none();
        read.extend(known.map(|opaque| (object, (version.to_owned(), opaque))));
        match text(row, 3) == "t" || known.unwrap_or(true) {
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
        lacking,
    })
}

/// Notes what an expression that runs code belongs to.
fn runs(row: &Row, names: &HashMap<Oid, &str>, relations: &mut HashMap<Oid, Relation>, code: &mut Code) {
    let Some(owner) = number(row, 0) else { return };
    match (text(row, 1), relations.get_mut(&owner)) {
        // A type and a relation may have one number.
        ("t", _) => code
            .types
            .extend(names.get(&owner).map(|name| (owner, (*name).to_owned()))),
        ("p", Some(relation)) => relation.guarded_by_code = true,
        (_, Some(relation)) => (relation.active, relation.computes) = (true, true),
        (_, None) => {}
    }
}

/// Whether an expression names a type with code.
fn casts(row: &Row, code: &Code) -> bool {
    types_of(row).any(|oid| code.types.contains_key(&oid))
}

/// The types of users that an expression names.
fn types_of(row: &Row) -> impl Iterator<Item = Oid> {
    text(row, 7).split(' ').filter_map(|oid| oid.parse().ok())
}

/// Whether it is a view of users whose definition could not be read.
fn is_undefined(relation: &Relation) -> bool {
    let view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
    view && relation.definition.is_none() && !matches!(relation.schema.as_str(), "pg_catalog" | "information_schema")
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
            "e" => {
                code.event_triggers.insert(text(row, 1).to_owned());
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

/// What each type is made of, with the type: the base of a domain, the element of an array, the subtype of a range, and the
/// types of a composite's columns.
fn parts(types: &[Row], relations: &HashMap<Oid, Relation>) -> Vec<(Oid, Oid)> {
    let parts = types.iter().filter_map(|row| {
        let whole = number(row, 0)?;
        let single = [3, 4, 5].into_iter().filter_map(move |column| number(row, column));
        let relation = number(row, 7).and_then(|relation| relations.get(&relation));
        let columns = relation.into_iter().flat_map(|relation| &relation.columns);
        let parts = single.chain(columns.map(|column| column.type_oid));
        Some(parts.map(move |part| (part, whole)))
    });
    parts.flatten().collect()
}

/// A cast to what holds a type casts to that type, too, and compares by it: what holds a type with code has the code.
fn spread(code: &mut Code, names: &HashMap<Oid, &str>, parts: &[(Oid, Oid)]) {
    let mut holders: HashMap<Oid, Vec<Oid>> = HashMap::new();
    // PostgreSQL's own types are listed nowhere, and have no code of users.
    for (part, whole) in parts.iter().filter(|(part, _)| names.contains_key(part)) {
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
                row(&["11", "10", "i", "-"]),
                row(&["11", "10", "f", "-"]),
                row(&["11", "10", "f", "-"]),
                row(&["11", "10", "u", "2 3"]),
                row(&["10", "0", "c", "t_pkey"]),
                row(&["10", "0", "c", "t_a_check"]),
                row(&["10", "0", "c", "t_pkey"]),
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
                row(&["10", "w", "now()", "f", "2604", "31", "7"]),
                row(&["12", "w", "public.h(x)", "t", "2604", "32", "7"]),
                row(&["11", "p", "public.may()", "t", "3256", "33", "7"]),
                row(&["20000", "t", "(VALUE > length('a'))", "f", "2606", "34", "7"]),
                row(&[
                    "20001",
                    "t",
                    "(query_to_xml('select 1', true, true, '') IS NULL)",
                    "f",
                    "2606",
                    "35",
                    "7",
                ]),
            ],
            vec![
                row(&["f", "lower", "0"]),
                row(&["o", "+", "0"]),
                row(&["e", "watch", "0"]),
                row(&["F", "upper", "0"]),
                row(&["O", "@", "0"]),
                row(&["c", "lower", "0"]),
                row(&["c", "ts_stat", "0"]),
                row(&["t", "", "23"]),
                row(&["t", "int8", "20"]),
                row(&["t", "", "20003"]),
            ],
        ];
        let read = read(&results, &Expressions::new()).unwrap();
        assert!(!read.lacking);
        let t = read.relations.iter().find(|relation| relation.oid == 10).unwrap();
        assert!(t.active && t.columns.len() == 3);
        assert_eq!((t.key.as_slice(), t.followers.as_slice()), (&[3, 1][..], &[11][..]));
        let carried = ColumnId {
            relation: 11,
            column: 2,
        };
        assert_eq!(t.carried, [(3, carried)]);
        assert_eq!(t.constraints, ["t_a_check", "t_pkey"]);
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
        assert!(read.code.event_triggers.iter().eq(["watch"]));
        assert!(read.code.system_functions.iter().eq(["upper"]) && read.code.system_operators.iter().eq(["@"]));
        assert!(
            read.code.fields.iter().eq(["ts_stat"]),
            "what is vouched for may be called"
        );
        let types: Vec<_> = read.code.types.values().collect();
        assert_eq!(types, ["int8", "d0", "d1", "_d1", "comp", "t", "r1"]);
    }

    #[test]
    fn what_holds_a_type_with_code_has_the_code() {
        let mut results = vec![
            vec![
                row(&["30", "public", "pair", "c", "f", "-"]),
                row(&["31", "public", "t", "r", "f", "-"]),
                row(&["32", "public", "plain", "c", "f", "-"]),
            ],
            vec![
                row(&["30", "1", "a", "25", "-"]),
                row(&["30", "2", "b", "20000", "-"]),
                row(&["31", "1", "pairs", "20002", "-"]),
                row(&["31", "2", "own", "20004", "-"]),
                row(&["32", "1", "a", "25", "-"]),
            ],
            vec![],
            vec![
                row(&["20000", "d", "S", "25", "0", "-", "checked", "0"]),
                row(&["20001", "c", "C", "0", "0", "-", "pair", "30"]),
                row(&["20002", "b", "A", "0", "20001", "-", "_pair", "0"]),
                row(&["20003", "c", "C", "0", "0", "-", "t", "31"]),
                row(&["20004", "b", "A", "0", "20003", "-", "_t", "0"]),
                row(&["20005", "d", "C", "20001", "0", "-", "over_pair", "0"]),
                row(&["20006", "r", "R", "0", "0", "20000", "checked_range", "0"]),
                row(&["20007", "m", "R", "0", "0", "20000", "checked_multirange", "0"]),
                row(&["20008", "c", "C", "0", "0", "-", "plain", "32"]),
                row(&["20009", "b", "A", "0", "20008", "-", "_plain", "0"]),
            ],
            vec![row(&["20000", "t", "public.h(VALUE)", "t", "2606", "31", "7"])],
            vec![],
        ];
        let noted = |results: &[Vec<Row>]| -> Vec<Oid> {
            read(results, &Expressions::new())
                .unwrap()
                .code
                .types
                .into_keys()
                .collect()
        };
        assert_eq!(noted(&results), (20_000..=20_007).collect::<Vec<Oid>>());
        results[4].clear();
        assert!(noted(&results).is_empty());
    }

    #[test]
    fn a_cast_to_a_type_with_code_runs_it() {
        let mut results = vec![
            vec![
                row(&["30", "public", "defaulted", "r", "f", "-"]),
                row(&["31", "public", "policed", "r", "f", "-"]),
                row(&["32", "public", "plain", "r", "f", "-"]),
            ],
            vec![],
            vec![],
            vec![
                row(&["20000", "d", "S", "25", "0", "-", "checked", "0"]),
                row(&["20001", "b", "A", "0", "20000", "-", "_checked", "0"]),
                row(&["20002", "d", "S", "25", "0", "-", "trying", "0"]),
                row(&["20003", "d", "S", "25", "0", "-", "plain", "0"]),
            ],
            vec![
                row(&["30", "w", "'a'::public.trying", "f", "2604", "31", "7", "20002"]),
                row(&[
                    "31",
                    "p",
                    "(x = ANY ('{a}'::public.checked[]))",
                    "f",
                    "3256",
                    "32",
                    "7",
                    "20001",
                ]),
                row(&["32", "w", "'a'::public.plain", "f", "2604", "33", "7", "20003"]),
                row(&[
                    "20002",
                    "t",
                    "((VALUE)::public.checked IS NOT NULL)",
                    "f",
                    "2606",
                    "34",
                    "7",
                    "20002 20000",
                ]),
                row(&["20003", "t", "(VALUE > 'a'::text)", "f", "2606", "35", "7", "20003"]),
                row(&["20000", "t", "public.h(VALUE)", "t", "2606", "36", "7", "20000"]),
            ],
            vec![],
        ];
        let noted = |results: &[Vec<Row>]| {
            let read = read(results, &Expressions::new()).unwrap();
            let is = |oid| read.relations.iter().find(|one| one.oid == oid).unwrap();
            let (defaulted, plain) = (is(30), is(32));
            assert!(!plain.active);
            assert_eq!(defaulted.active, defaulted.computes);
            let types: Vec<Oid> = read.code.types.keys().copied().collect();
            (defaulted.active, is(31).guarded_by_code, types)
        };
        assert_eq!(noted(&results), (true, true, vec![20_000, 20_001, 20_002]));
        results[4].pop();
        assert_eq!(noted(&results), (false, false, vec![]));
    }

    #[test]
    fn an_own_expression_casts_to_what_the_shared_catalog_knows() {
        let expressions = vec![
            row(&["30", "w", "'a'::public.checked", "f", "2604", "31", "7", "20000 20009"]),
            row(&[
                "31",
                "p",
                "('a'::public.checked IS NULL)",
                "f",
                "3256",
                "32",
                "7",
                "20000",
            ]),
            row(&["32", "w", "'a'::public.plain", "f", "2604", "33", "7", "20009"]),
            row(&["32", "w", "'a'::text", "f", "2604", "34", "7", "-"]),
        ];
        let relations = vec![
            row(&["30", "pg_temp_3", "defaulted", "r", "f", "-"]),
            row(&["31", "pg_temp_3", "policed", "r", "f", "-"]),
            row(&["32", "pg_temp_3", "plain", "r", "f", "-"]),
        ];
        let nothing = Vec::new;
        let asked = [nothing(), nothing(), nothing(), nothing()].into_iter();
        let more = [relations, nothing(), nothing(), nothing(), expressions, nothing()];
        let own = read_own(&asked.chain(more).collect::<Vec<_>>()).unwrap();
        assert!(own.relations.iter().all(|one| !one.active && !one.guarded_by_code));
        let code = Code {
            types: [(20_000, "checked".to_owned())].into(),
            ..Code::default()
        };
        let mut relations = own.relations;
        for casting in &own.casting {
            casting.note(&mut relations, &code);
        }
        let is = |oid| relations.iter().find(|one| one.oid == oid).unwrap();
        assert!(is(30).active && is(30).computes && !is(30).guarded_by_code);
        assert!(is(31).guarded_by_code && !is(31).active);
        assert!(!is(32).active && !is(32).guarded_by_code);
    }

    #[test]
    fn what_is_locked_is_as_it_was_read_last_or_unknown() {
        let results = |expression: &str, version: &str, definition: &str| {
            [
                vec![
                    row(&["10", "public", "t", "r", "f", "-", "f", ""]),
                    row(&["11", "public", "v", "v", "f", definition, "f", ""]),
                    row(&["12", "pg_catalog", "pg_user", "v", "f", "-", "f", ""]),
                ],
                vec![],
                vec![],
                vec![],
                vec![row(&["10", "w", expression, "f", "2604", "31", version])],
                vec![],
            ]
        };
        let computes = |read: &Read| read.relations.iter().any(|one| one.oid == 10 && one.computes);
        let whole = read(&results("now()", "7", "SELECT 1"), &Expressions::new()).unwrap();
        assert!(!whole.lacking && !computes(&whole));
        let locked = read(&results("-", "7", "SELECT 1"), &whole.expressions).unwrap();
        assert!(!locked.lacking && !computes(&locked), "it is the same version");
        let again = read(&results("-", "7", "SELECT 1"), &locked.expressions).unwrap();
        assert!(!again.lacking, "what was read before stays known");
        let other = read(&results("-", "8", "SELECT 1"), &whole.expressions).unwrap();
        assert!(other.lacking && computes(&other), "another version may call anything");
        let view = read(&results("now()", "7", "-"), &whole.expressions).unwrap();
        assert!(view.lacking, "a view without a definition");
        let mut elsewhere = results("now()", "7", "SELECT 1");
        elsewhere[4].push(row(&["99", "w", "-", "f", "2604", "32", "7"]));
        let elsewhere = read(&elsewhere, &Expressions::new()).unwrap();
        assert!(!elsewhere.lacking, "a relation that is not here");
    }

    #[test]
    fn answers_that_are_not_a_catalog_are_none() {
        assert!(super::read(&[], &Expressions::new()).is_none());
        assert!(
            super::read(
                &[
                    vec![row(&["x", "", "", "", "", ""])],
                    vec![],
                    vec![],
                    vec![],
                    vec![],
                    vec![]
                ],
                &Expressions::new()
            )
            .is_none()
        );
    }
}
