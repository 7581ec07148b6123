//! What the names of a prepared statement meant where the target looked them up.
//!
//! PostgreSQL looks them up again where the path is another one, or where a relation changed that it found. It does not where a
//! relation is made that stands before that one: it goes on with the one that it knows, while the catalog tells of the other.

use std::cell::RefCell;

use sallyport_policy::catalog::{Catalog as _, SearchPath, Snapshot};
use sallyport_policy::columns::TEMPORARY;

use super::names::Stated;

/// Circumstances that are noted of one statement: beyond it nobody knows which of them the target goes by.
const MAX_NOTED: usize = 16;

/// Everything that a statement's names may have meant at the target.
#[derive(Debug, Default)]
pub struct Meant(RefCell<Noted>);

#[derive(Debug, Default)]
struct Noted {
    lookups: Vec<Lookup>,
    /// Whether they may have been looked up while nobody knew how.
    lost: bool,
}

/// One time that names were looked up.
#[derive(Debug, PartialEq, Eq)]
struct Lookup {
    /// The path.
    path: Vec<String>,
    /// The schema that each name without one was found in.
    found: Vec<Option<String>>,
}

// === impl Meant ===

impl Meant {
    /// Of what was prepared where nobody saw it.
    #[must_use]
    pub fn lost() -> Self {
        let meant = Self::default();
        meant.lose();
        meant
    }

    /// Takes note that the target may look names up now. Gives whether it may go on with others, which it found before.
    #[must_use]
    pub fn look_up(&self, stated: &Stated, snapshot: &Snapshot, path: Option<&SearchPath>) -> bool {
        let names = bare(stated);
        if names.is_empty() {
            return false;
        }
        let mut noted = self.0.borrow_mut();
        let Some(path) = path.filter(|_| !noted.lost) else {
            noted.lost = true;
            return true;
        };
        let schema_of = |name: &&str| {
            let found = snapshot.resolve(path, None, name)?;
            Some(of_session(&found.schema).to_owned())
        };
        let now = Lookup {
            path: path.schemas().iter().map(|one| of_session(one).to_owned()).collect(),
            found: names.iter().map(schema_of).collect(),
        };
        let is_there = |name: &str, schema: &str| snapshot.resolve(path, Some(schema), name).is_some();
        let keeps = |then: &Lookup| {
            let pairs = names.iter().zip(then.found.iter().zip(&now.found));
            let mut others = pairs.filter(|(_, (old, new))| old != new);
            // What is gone from there, or has another name, was changed, and is looked up again.
            others.any(|(&name, (old, _))| old.as_deref().is_some_and(|schema| is_there(name, schema)))
        };
        let kept = noted.lookups.iter().any(|then| then.path == now.path && keeps(then));
        if !noted.lookups.contains(&now) {
            if noted.lookups.len() >= MAX_NOTED {
                noted.lost = true;
            }
            noted.lookups.push(now);
        }
        kept || noted.lost
    }

    /// Takes note that the target may have looked names up while nobody knew how.
    pub fn lose(&self) {
        self.0.borrow_mut().lost = true;
    }
}

/// The relations that a statement names without a schema, by each reading.
fn bare(stated: &Stated) -> Vec<&str> {
    let relations = stated.readings().flat_map(|statement| &statement.relations);
    let bare = relations.filter(|relation| relation.schema.is_none());
    bare.map(|relation| relation.name.as_str()).collect()
}

/// A session's own schema has a number, which is not known yet where the unit makes the schema.
fn of_session(schema: &str) -> &str {
    if schema.starts_with(TEMPORARY) {
        TEMPORARY
    } else {
        schema
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::Relation;

    use super::*;

    fn catalog(qualified: &[(&str, &str)]) -> Snapshot {
        let relations = (20_000..).zip(qualified).map(|(oid, (schema, name))| Relation {
            oid,
            schema: (*schema).to_owned(),
            name: (*name).to_owned(),
            ..Relation::default()
        });
        Snapshot::new(relations.collect())
    }

    fn path(schemas: &[&str]) -> SearchPath {
        SearchPath::effective(schemas.iter().map(|one| (*one).to_owned()).collect(), None)
    }

    fn stated(text: &str) -> Stated {
        Stated {
            text: text.into(),
            script: Arc::new(sallyport_policy::sql::parse(text).unwrap()),
            index: 0,
        }
    }

    #[test]
    fn the_target_goes_on_with_what_it_found_where_another_stands_before_that() {
        let (before, moved) = (catalog(&[("public", "c")]), catalog(&[("s4", "c"), ("public", "gone")]));
        let both = catalog(&[("public", "c"), ("s4", "c")]);
        let (long, short) = (path(&["s4", "public"]), path(&["public"]));
        let statement = stated("select 1 from c");
        let first = |meant: &Meant| assert!(!meant.look_up(&statement, &before, Some(&long)));
        for (then, by, kept) in [
            (&before, Some(&long), false),
            (&both, Some(&long), true),
            (&both, Some(&short), false),
            (&moved, Some(&long), false),
            (&both, None, true),
        ] {
            let meant = Meant::default();
            first(&meant);
            assert_eq!(meant.look_up(&statement, then, by), kept, "{then:?} by {by:?}");
        }
        let meant = Meant::default();
        meant.lose();
        assert!(meant.look_up(&statement, &before, Some(&long)));
        assert!(!meant.look_up(&stated("select 1 from public.c"), &both, Some(&long)));
    }

    #[test]
    fn what_was_looked_up_by_another_path_in_between_counts() {
        let (before, both) = (catalog(&[("public", "c")]), catalog(&[("public", "c"), ("s4", "c")]));
        let (long, short) = (path(&["s4", "public"]), path(&["public"]));
        let (meant, statement) = (Meant::default(), stated("select 1 from c"));
        assert!(!meant.look_up(&statement, &before, Some(&short)));
        assert!(!meant.look_up(&statement, &before, Some(&long)));
        assert!(meant.look_up(&statement, &both, Some(&long)));
    }

    #[test]
    fn a_schema_of_the_session_is_the_same_with_its_number() {
        let (yet, there) = (
            catalog(&[("public", "c")]),
            catalog(&[("public", "c"), ("pg_temp_3", "c")]),
        );
        let (meant, statement) = (Meant::default(), stated("select 1 from c"));
        assert!(!meant.look_up(&statement, &yet, Some(&path(&["pg_temp", "public"]))));
        assert!(meant.look_up(&statement, &there, Some(&path(&["pg_temp_3", "public"]))));
    }
}
