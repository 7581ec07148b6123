//! What the columns that rules name fit in the databases that sessions were in: a name that fits none masks nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sallyport_policy::mask::Fit;
use sallyport_runtime::report::Absent;

/// As many databases are named as lack a column.
const NAMED: usize = 4;
/// As many columns are named in one line of the log.
const LOGGED: usize = 8;

/// What names fit in one database, as they stand in rules.
pub type Fits = BTreeMap<String, Fit>;

/// The same by target and database.
type Databases = BTreeMap<(String, String), Arc<Fits>>;

/// What was found in all databases. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Looked(Arc<Mutex<Databases>>);

// === impl Looked ===

impl Looked {
    /// What names fit in a database now. A name that fits nothing anywhere is told in the log when that begins.
    pub(super) fn found(&self, target: &str, database: &str, fits: &Arc<Fits>) {
        let key = (target.to_owned(), database.to_owned());
        let mut all = self.lock();
        if all.get(&key).is_some_and(|before| Arc::ptr_eq(before, fits)) {
            return;
        }
        let names = fits.keys().filter(|name| look(&all, target, name).flatten().is_none());
        let names: Vec<&String> = names.collect();
        all.insert(key, Arc::clone(fits));
        let absent = names.into_iter().filter_map(|name| {
            let meant = look(&all, target, name).flatten()?.meant;
            Some(meant.map_or_else(|| name.clone(), |meant| format!("{name} (for {meant}?)")))
        });
        let absent: Vec<String> = absent.collect();
        if let Some(some) = absent.get(..absent.len().min(LOGGED)).filter(|some| !some.is_empty()) {
            let (count, columns) = (absent.len(), some.join(", "));
            tracing::warn!(count, %columns, database, "masking rules name columns that no database has");
        }
    }

    /// Which of these names fit no column of any database of a target, each where it was looked for; None while one of them was
    /// looked for nowhere.
    pub(super) fn absent(&self, target: &str, names: &[String]) -> Option<BTreeMap<String, Absent>> {
        let all = self.lock();
        let mut absent = BTreeMap::new();
        for name in names {
            if let Some(nowhere) = look(&all, target, name)? {
                absent.insert(name.clone(), nowhere);
            }
        }
        Some(absent)
    }

    fn lock(&self) -> MutexGuard<'_, Databases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a name fits no column; nothing within where it fits one; nothing at all where nobody has looked for it.
fn look(all: &Databases, target: &str, name: &str) -> Option<Option<Absent>> {
    let mut nowhere: Option<Absent> = None;
    for ((_, database), fits) in all.iter().filter(|((at, _), _)| at == target) {
        match fits.get(name) {
            None => {}
            Some(Fit::Column) => return Some(None),
            Some(Fit::Nothing(meant)) => {
                let absent = nowhere.get_or_insert_with(Absent::default);
                if absent.databases.len() < NAMED {
                    absent.databases.insert(database.clone());
                }
                absent.meant = absent.meant.take().or_else(|| meant.clone());
            }
        }
    }
    nowhere.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits<const N: usize>(names: [(&str, Option<&str>); N]) -> Arc<Fits> {
        let fit = |meant: Option<&str>| match meant {
            Some("it") => Fit::Column,
            other => Fit::Nothing(other.map(str::to_owned)),
        };
        Arc::new(names.map(|(name, meant)| (name.to_owned(), fit(meant))).into())
    }

    #[test]
    fn a_name_is_absent_where_it_fits_nothing_in_all_databases_that_were_looked_at() {
        let looked = Looked::default();
        let absent = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            looked.absent("db:5432", &names)
        };
        assert_eq!(absent(&["a"]), None, "nobody has looked");
        looked.found(
            "db:5432",
            "bank",
            &fits([("a", None), ("b", Some("it")), ("c", Some("d"))]),
        );
        let found = absent(&["a", "b", "c"]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(found["c"].meant.as_deref(), Some("d"));
        assert!(found["a"].databases.iter().eq(["bank"]));
        assert_eq!(absent(&["a", "e"]), None, "a rule that was edited is looked for anew");

        // Another database has it; another target counts for nothing here.
        looked.found("elsewhere:5432", "bank", &fits([("c", Some("it"))]));
        assert!(absent(&["c"]).unwrap().contains_key("c"));
        looked.found("db:5432", "shop", &fits([("a", Some("it")), ("c", None)]));
        let found = absent(&["a", "b", "c"]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["c"]);
        assert!(found["c"].databases.iter().eq(["bank", "shop"]));
        assert_eq!(found["c"].meant.as_deref(), Some("d"));

        // It is made.
        looked.found("db:5432", "bank", &fits([("a", None), ("c", Some("it"))]));
        assert!(absent(&["a", "c"]).unwrap().is_empty());
        // And is there no more.
        looked.found("db:5432", "shop", &fits([("a", None)]));
        assert!(absent(&["a"]).unwrap().contains_key("a"));
    }

    #[test]
    fn some_of_many_databases_are_named() {
        let looked = Looked::default();
        for database in 0..2 * NAMED {
            looked.found("db:5432", &database.to_string(), &fits([("a", None)]));
        }
        let found = looked.absent("db:5432", &["a".to_owned()]).unwrap();
        assert_eq!(found["a"].databases.len(), NAMED);
    }
}
