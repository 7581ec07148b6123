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

/// What was found last in as many databases. Where a Connection names none, people are led to whatever there is.
const MAX_DATABASES: usize = 64;

/// What was found in all databases. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Looked(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// Counts looks.
    looks: u64,
    /// By target and database.
    databases: BTreeMap<(String, String), Found>,
}

/// What was found in one of them, at which look.
#[derive(Debug)]
struct Found {
    fits: Arc<Fits>,
    look: u64,
}

// === impl Looked ===

impl Looked {
    /// What names fit in a database now. A name that fits nothing anywhere is told in the log when that begins.
    pub(super) fn found(&self, target: &str, database: &str, fits: &Arc<Fits>) {
        let key = (target.to_owned(), database.to_owned());
        let mut table = self.lock();
        table.looks += 1;
        let look = table.looks;
        if let Some(before) = table
            .databases
            .get_mut(&key)
            .filter(|before| Arc::ptr_eq(&before.fits, fits))
        {
            before.look = look;
            return;
        }
        let names = fits
            .keys()
            .filter(|name| table.nowhere(target, name).flatten().is_none());
        let names: Vec<&String> = names.collect();
        let fits = Arc::clone(fits);
        table.databases.insert(key, Found { fits, look });
        table.keep_latest();
        let absent: Vec<String> = names.into_iter().filter_map(|name| table.told(target, name)).collect();
        if let Some(some) = absent.get(..absent.len().min(LOGGED)).filter(|some| !some.is_empty()) {
            let (count, columns, database) = (absent.len(), some.join(", "), database.escape_default());
            tracing::warn!(count, %columns, %database, "masking rules name columns that no database has");
        }
    }

    /// A target has no such database, or has it no more: what was found there fits nothing by now.
    pub(super) fn gone(&self, target: &str, database: &str) {
        self.lock().databases.remove(&(target.to_owned(), database.to_owned()));
    }

    /// Which of these names fit no column of any database of a target, each where it was looked for; None while one of them was
    /// looked for nowhere.
    pub(super) fn absent(&self, target: &str, names: &[String]) -> Option<BTreeMap<String, Absent>> {
        let table = self.lock();
        let mut absent = BTreeMap::new();
        for name in names {
            if let Some(nowhere) = table.nowhere(target, name)? {
                absent.insert(name.clone(), nowhere);
            }
        }
        Some(absent)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    /// Where a name fits no column; nothing within where it fits one; nothing at all where nobody has looked for it.
    fn nowhere(&self, target: &str, name: &str) -> Option<Option<Absent>> {
        let mut nowhere: Option<Absent> = None;
        for ((_, database), found) in self.databases.iter().filter(|((at, _), _)| at == target) {
            match found.fits.get(name) {
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

    /// A name that fits nothing, in the words of the log. What a target calls its columns steers no terminal.
    fn told(&self, target: &str, name: &str) -> Option<String> {
        let meant = self.nowhere(target, name).flatten()?.meant;
        let meant = meant.map(|meant| format!(" (for {}?)", meant.escape_default()));
        Some(format!("{}{}", name.escape_default(), meant.unwrap_or_default()))
    }

    /// Forgets the database that was looked at the longest ago, where there are too many.
    fn keep_latest(&mut self) {
        if self.databases.len() <= MAX_DATABASES {
            return;
        }
        let oldest = self.databases.iter().min_by_key(|(_, found)| found.look);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.databases.remove(&key);
        }
    }
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

        // The one database that has it goes.
        looked.gone("db:5432", "bank");
        assert_eq!(absent(&["c"]), None);
        looked.found("db:5432", "shop", &fits([("a", None), ("c", None)]));
        assert!(absent(&["c"]).unwrap()["c"].databases.iter().eq(["shop"]));
    }

    #[test]
    fn as_many_databases_are_kept_as_were_looked_at_last() {
        let looked = Looked::default();
        let (has, lacks) = (fits([("a", Some("it"))]), fits([("a", None)]));
        let absent = || looked.absent("db:5432", &["a".to_owned()]).unwrap().contains_key("a");
        looked.found("db:5432", "bank", &has);
        for database in 1..2 * MAX_DATABASES {
            looked.found("db:5432", &database.to_string(), &lacks);
            looked.found("db:5432", "bank", &has);
        }
        assert!(!absent(), "people are in it");
        for database in 0..MAX_DATABASES {
            looked.found("db:5432", &database.to_string(), &lacks);
        }
        assert!(absent(), "nobody is");
        assert_eq!(looked.lock().databases.len(), MAX_DATABASES);
    }

    #[test]
    fn what_a_target_calls_its_columns_steers_no_terminal() {
        let looked = Looked::default();
        looked.found("db:5432", "bank", &fits([("a", Some("\u{1b}[2J"))]));
        let told = looked.lock().told("db:5432", "a");
        assert_eq!(told.as_deref(), Some(r"a (for \u{1b}[2J?)"));
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
