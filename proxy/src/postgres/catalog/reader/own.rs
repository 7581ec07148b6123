//! What a session's own backend says.

use std::collections::{BTreeSet, HashMap};

use sallyport_policy::catalog::{Catalog as _, Code, Oid, Relation, SearchPath, Snapshot};
use sallyport_policy::mask::types::Class;

use super::code::{OWN_CODE, types_of};
use super::{Expressions, READ, number, read};
use crate::postgres::ask::{Row, text};
use crate::postgres::catalog::queries::{self, Depth};

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
    /// Code under names of PostgreSQL's own, where [all](Depth::All) was asked for.
    pub code: Code,
    /// Whether the session's transaction wrote code, where [relations](Depth::Relations) were asked for.
    pub codes: bool,
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

/// What decides at the target what a statement would do, beside itself.
#[derive(Debug)]
pub struct Circumstances {
    /// Whether the session's transaction sees the code that it would call: see [`Own::current`].
    pub current: bool,
    settings: Row,
    /// A digest of the code that it sees.
    code: Row,
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

// === impl Own ===

impl Own {
    /// Takes over the code that everybody sees, where the session's transaction wrote none, and with it which relations run any. What
    /// the transaction took away from them counts until it ends.
    pub fn share(&mut self, shared: &Snapshot) {
        self.code = shared.code().clone();
        for relation in &mut self.relations {
            if let Some(known) = shared.relation(relation.oid) {
                relation.active |= known.computes;
                relation.computes |= known.computes;
                relation.guarded_by_code |= known.guarded_by_code;
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
    let schemas = path.iter().map(|row| text(row, 0).to_owned()).collect();
    let temp = temp.first().map(|row| text(row, 0).to_owned());
    let read = read(rest, &Expressions::new(), &Snapshot::default())?;
    let [_relations, _columns, _parents, _types, expressions, code] = rest else {
        return None;
    };
    Some(Own {
        // A type with code spreads it to others.
        codes: !read.code.types.is_empty() || code.iter().any(|row| text(row, 0) == OWN_CODE),
        casting: expressions.iter().filter_map(Casting::of).collect(),
        temporary: temp.is_some(),
        current: isolation.first().is_some_and(sees_all),
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

/// The question that [`read_circumstances`] understands the answer of. `own`: names of [settings of users](is_own_setting).
#[must_use]
pub fn circumstances_query(own: &BTreeSet<String>) -> String {
    queries::circumstances(own)
}

/// Whether a setting is one that PostgreSQL does not have itself, such as row policies and triggers read. A name with another
/// character is none that a definition could ask for without quotes of its own.
#[must_use]
pub fn is_own_setting(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    name.contains('.') && name.chars().all(plain)
}

/// Reads the answer to [`circumstances_query`].
#[must_use]
pub fn read_circumstances(results: &[Vec<Row>]) -> Option<Circumstances> {
    let rows: Vec<&Row> = results.iter().flatten().collect();
    let (isolation, settings, code, own) = match rows.as_slice() {
        [isolation, settings, code] => (isolation, settings, code, None),
        [isolation, settings, code, own] => (isolation, settings, code, Some(own)),
        _ => return None,
    };
    // One that was put back is as one that nobody set.
    let is_set = |pair: &&[Option<String>]| matches!(pair, [_, Some(value)] if !value.is_empty());
    let own: Vec<Option<String>> = own
        .iter()
        .flat_map(|own| own.chunks(2).filter(is_set).flatten().cloned())
        .collect();
    let mut settings = (*settings).clone();
    settings.push(Some(own.len().to_string()));
    settings.extend(own);
    Some(Circumstances {
        current: sees_all(isolation),
        settings,
        code: (*code).clone(),
    })
}

/// Whether each statement of a transaction sees what was committed before it, by its isolation.
fn sees_all(isolation: &Row) -> bool {
    text(isolation, 0).starts_with("read ")
}

/// Appends a row so that no other row gives the same bytes.
fn put_row(bytes: &mut Vec<u8>, row: &Row) {
    for value in row {
        match value {
            Some(value) => {
                bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
                bytes.extend_from_slice(value.as_bytes());
            }
            None => bytes.extend_from_slice(&u64::MAX.to_be_bytes()),
        }
    }
}

// === impl Circumstances ===

impl Circumstances {
    /// Bytes that are equal where nothing has changed. `committed`: a digest of the code as everybody sees it, where the session's
    /// transaction does not. It is called there all the same, but for what that transaction defined itself.
    #[must_use]
    pub fn bytes(&self, committed: Option<&Row>) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_row(&mut bytes, &self.settings);
        put_row(&mut bytes, &self.code);
        if let Some(committed) = committed.filter(|code| **code != self.code) {
            put_row(&mut bytes, committed);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(isolation: &str, code: &str) -> Circumstances {
        let row = |value: &str| vec![vec![Some(value.to_owned())]];
        read_circumstances(&[row(isolation), row("role"), row(code)]).unwrap()
    }

    #[test]
    fn settings_of_users_count_where_they_have_a_value() {
        let row = |values: &[&str]| vec![values.iter().map(|value| Some((*value).to_owned())).collect()];
        let with = |own: &[&str]| {
            let known = [row(&[""]), row(&["role"]), row(&["code"]), row(own)];
            let asked = if own.is_empty() { &known[..3] } else { &known[..] };
            read_circumstances(asked).unwrap().bytes(None)
        };
        assert_eq!(with(&[]), with(&["app.x", ""]));
        assert_eq!(with(&["app.x", "1"]), with(&["app.x", "1", "app.y", ""]));
        assert_ne!(with(&[]), with(&["app.x", "1"]));
        assert_ne!(with(&["app.x", "1"]), with(&["app.x", "2"]));
        assert_ne!(with(&["app.x", "1"]), with(&["app.y", "1"]));
    }

    #[test]
    fn a_name_that_is_asked_for_cannot_be_more_than_a_name() {
        for (name, own) in [
            ("app.x", true),
            ("a$1.b_2.ü", true),
            ("work_mem", false),
            ("app.'x", false),
            ("app.\\x", false),
        ] {
            assert_eq!(is_own_setting(name), own, "{name}");
        }
    }

    #[test]
    fn code_that_everybody_sees_counts_beside_what_a_transaction_sees() {
        for (isolation, current) in [
            ("read committed", true),
            ("read uncommitted", true),
            ("repeatable read", false),
            ("serializable", false),
        ] {
            assert_eq!(seen(isolation, "old").current, current, "{isolation}");
        }
        let row = |value: &str| vec![Some(value.to_owned())];
        let by = |code: &str, committed: Option<&str>| seen("", code).bytes(committed.map(row).as_ref());
        assert_eq!(by("old", Some("old")), by("old", None), "whatever it is seen by");
        assert_ne!(by("old", Some("new")), by("old", None));
        assert_ne!(by("old", Some("new")), by("new", None));
        assert_ne!(by("old", Some("new")), by("old", Some("newer")));
        assert_ne!(by("old", Some("new")), by("new", Some("old")));
    }

    fn own(expression: &[&str], code: &[&str]) -> Own {
        let row = |values: &[&str]| -> Row { values.iter().map(|value| Some((*value).to_owned())).collect() };
        let rows = |values: &[&str]| {
            if values.is_empty() {
                Vec::new()
            } else {
                vec![row(values)]
            }
        };
        let relations = ["30", "31", "32"]
            .map(|oid| row(&[oid, "public", "t", "r", "f"]))
            .to_vec();
        let domain = rows(&["20000", "d", "S", "25", "0", "0", "checked", "0"]);
        let mut results = vec![Vec::new(); 4];
        results.extend([relations, Vec::new(), Vec::new(), domain, rows(expression), rows(code)]);
        read_own(&results).unwrap()
    }

    #[test]
    fn what_everybody_sees_runs_in_a_transaction_too() {
        let relation = |oid, runs| Relation {
            oid,
            active: runs,
            computes: runs,
            guarded_by_code: runs,
            ..Relation::default()
        };
        let shared = Snapshot::new(vec![relation(30, true), relation(31, false)]).with_code(Code {
            functions: ["f".to_owned()].into(),
            ..Code::default()
        });
        let mut own = own(&["32", "w", "public.f()", "t", "2604", "33", "7"], &[]);
        own.share(&shared);
        assert_eq!(own.code, *shared.code());
        for (oid, shared, runs) in [(30, true, true), (31, false, false), (32, false, true)] {
            let found = own.relations.iter().find(|one| one.oid == oid).unwrap();
            assert_eq!((found.computes, found.active), (runs, runs), "{oid}");
            assert_eq!(found.guarded_by_code, shared, "{oid}");
        }
    }

    #[test]
    fn a_transaction_that_wrote_code_is_asked_for_all() {
        assert!(!own(&["32", "w", "public.f()", "t", "2604", "33", "7"], &[]).codes);
        assert!(own(&[], &["m", "", "0"]).codes);
        assert!(own(&["20000", "t", "public.f(VALUE)", "t", "2606", "33", "7"], &[]).codes);
    }
}
