//! Targets that refuse who the door is: nobody gets in until the Connection's owner mends something.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::control::Lack;

/// As many databases are kept apart. Where a Connection names none, people ask for whatever they like.
const MAX_DATABASES: usize = 64;
/// As many refusals are told, the farthest-reaching first: a condition names no more, and a report has its bounds.
const MAX_TOLD: usize = 5;

/// What a target refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In the words of a condition.
    pub lack: Lack,
    /// How far it goes.
    pub scope: Scope,
    /// Whether once is enough to say so: a connection that is lost may be lost for another reason.
    pub sure: bool,
}

/// How far a refusal goes, the farthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The door is refused whatever it asks for.
    Credential,
    /// One database that the Connection offers by its name.
    Offered,
    /// Perhaps one database alone, and one that nobody but the client named: it says something of the door only where that was let
    /// in there before, by whatever it showed then.
    Asked,
}

/// What the target refuses at present. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// By database.
    refused: BTreeMap<String, Refusal>,
    /// Databases that there are: the door was in there.
    let_in: BTreeSet<String>,
    /// Whether a login ended, since one came through, as a refusal does of which once is not enough.
    doubtful: bool,
}

// === impl Refusals ===

impl Refusals {
    /// The target refused the door, which asked for this database. Told in the log when that is news.
    pub(super) fn refused(&self, database: &str, refusal: Refusal) {
        let mut table = self.lock();
        let strange = !table.let_in.contains(database);
        let room = table.refused.len() < MAX_DATABASES || table.refused.contains_key(database);
        if !room || refusal.scope == Scope::Asked && strange {
            return;
        }
        if !refusal.sure && !mem::replace(&mut table.doubtful, true) {
            return;
        }
        let known = table.refused.values().any(|known| known.lack == refusal.lack);
        if !known {
            tracing::warn!(why = %refusal.lack.message, "the target refuses the door");
        }
        table.refused.insert(database.to_owned(), refusal);
    }

    /// The target let the door in, to this database: what it shows is good.
    pub(super) fn let_in(&self, database: &str) {
        let mut table = self.lock();
        table.doubtful = false;
        if table.let_in.len() < MAX_DATABASES && !table.let_in.contains(database) {
            table.let_in.insert(database.to_owned());
        }
        let before = table.refused.len();
        table
            .refused
            .retain(|refused, refusal| refused != database && refusal.scope == Scope::Offered);
        if before > 0 && table.refused.is_empty() {
            tracing::info!("the target lets the door in again");
        }
    }

    /// The door shows something else from now on, or elsewhere.
    pub(super) fn forget(&self) {
        let mut table = self.lock();
        table.refused.clear();
        table.doubtful = false;
    }

    /// What is refused, each once, or some of it.
    pub(super) fn lacks(&self) -> Vec<Lack> {
        let table = self.lock();
        let mut refused: Vec<&Refusal> = table.refused.values().collect();
        refused.sort_by_key(|refusal| refusal.scope);
        let mut lacks: Vec<Lack> = Vec::new();
        for refusal in refused {
            if lacks.len() < MAX_TOLD && !lacks.contains(&refusal.lack) {
                lacks.push(refusal.lack.clone());
            }
        }
        lacks
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sallyport_crds::Reason;

    use super::*;

    fn refusal(message: &str, scope: Scope) -> Refusal {
        Refusal {
            lack: Lack::new(Reason::TargetRefused, message),
            scope,
            sure: true,
        }
    }

    fn told(refusals: &Refusals) -> Vec<String> {
        refusals.lacks().into_iter().map(|lack| lack.message).collect()
    }

    #[test]
    fn a_credential_that_is_refused_is_told_once_until_it_is_taken_anywhere() {
        let refusals = Refusals::default();
        for database in ["bank", "shop"] {
            refusals.refused(database, refusal("28P01", Scope::Credential));
        }
        assert_eq!(told(&refusals), ["28P01"]);
        refusals.refused("bank", refusal("28000", Scope::Credential));
        assert_eq!(told(&refusals), ["28000", "28P01"], "what came last of each database");
        refusals.let_in("ledger");
        assert!(told(&refusals).is_empty());
        refusals.refused("bank", refusal("28P01", Scope::Credential));
        refusals.forget();
        assert!(told(&refusals).is_empty(), "another is shown from now on");
    }

    #[test]
    fn a_connection_that_was_lost_once_says_nothing_of_what_was_shown() {
        let refusals = Refusals::default();
        let lost = || Refusal {
            sure: false,
            ..refusal("left", Scope::Credential)
        };
        refusals.refused("bank", lost());
        assert!(told(&refusals).is_empty(), "a failover");
        refusals.let_in("bank");
        refusals.refused("bank", lost());
        assert!(told(&refusals).is_empty(), "another");
        refusals.forget();
        refusals.refused("bank", lost());
        refusals.refused("shop", lost());
        assert_eq!(told(&refusals), ["left"], "twice in a row");
        refusals.let_in("bank");
        assert!(told(&refusals).is_empty());
    }

    #[test]
    fn a_database_that_is_offered_is_refused_until_it_is_open() {
        let refusals = Refusals::default();
        refusals.refused("bank", refusal("3D000", Scope::Offered));
        refusals.let_in("shop");
        assert_eq!(told(&refusals), ["3D000"], "another database says nothing of it");
        refusals.let_in("bank");
        assert!(told(&refusals).is_empty());
    }

    #[test]
    fn nobody_makes_a_door_look_refused_by_asking_for_a_database_that_it_never_had() {
        let refusals = Refusals::default();
        refusals.refused("anything", refusal("28000", Scope::Asked));
        assert!(told(&refusals).is_empty(), "nobody was let in anywhere yet");
        refusals.let_in("bank");
        refusals.refused("anything", refusal("28000", Scope::Asked));
        assert!(told(&refusals).is_empty());
        refusals.refused("bank", refusal("28000", Scope::Asked));
        assert_eq!(told(&refusals), ["28000"], "it was let in there");
        refusals.forget();
        refusals.refused("anything", refusal("28000", Scope::Asked));
        assert!(
            told(&refusals).is_empty(),
            "before the first login by a new Secret, too"
        );
        refusals.refused("bank", refusal("28000", Scope::Asked));
        assert_eq!(told(&refusals), ["28000"], "it is there, whatever is shown to it");
    }

    #[test]
    fn what_people_ask_for_takes_no_more_room_than_there_is() {
        let refusals = Refusals::default();
        for number in 0..2 * MAX_DATABASES {
            refusals.refused(&number.to_string(), refusal(&number.to_string(), Scope::Credential));
        }
        assert_eq!(refusals.lock().refused.len(), MAX_DATABASES);
        for number in 0..2 * MAX_DATABASES {
            refusals.let_in(&number.to_string());
        }
        assert_eq!(refusals.lock().let_in.len(), MAX_DATABASES);
    }

    #[test]
    fn of_many_refusals_some_are_told_and_the_farthest_reaching_first() {
        let refusals = Refusals::default();
        for number in 0..2 * MAX_TOLD {
            refusals.refused(
                &format!("a{number}"),
                refusal(&format!("3D000 {number}"), Scope::Offered),
            );
        }
        refusals.refused("bank", refusal("28P01", Scope::Credential));
        let told = told(&refusals);
        assert_eq!((told.len(), told[0].as_str()), (MAX_TOLD, "28P01"));
    }
}
