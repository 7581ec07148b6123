//! The carriers that are wanted: for each Connection its revision, and since which revision each rule is in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use sallyport_policy::carrier::Carrier;
use tokio::sync::watch;

/// The carrier that a Connection's doors are to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Its revision.
    pub revision: u64,
    /// The first revision since which nothing but its columns and its format is another: that one more column stays protected,
    /// or that all can be said in another format, is no other policy, and `Enforced` does not wait for what began before.
    pub ruled: u64,
    /// The carrier, revision included.
    pub carrier: Carrier,
    /// SHA-256 of it as it is signed, in hexadecimal; None before that.
    pub digest: Option<String>,
    /// For each rule in it, by uid: the generation, and the first revision that held this generation.
    pub since: BTreeMap<String, Since>,
}

/// Since when a rule's generation is in the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The rule's generation.
    pub generation: i64,
    /// The first revision that held it.
    pub revision: u64,
}

/// All programs, by the Connection's uid.
#[derive(Default)]
pub struct Programs(Mutex<HashMap<String, watch::Sender<Option<Program>>>>);

// === impl Program ===

impl Program {
    /// What a carrier that was found says. Rules count from its revision on: what was before is not known.
    pub fn found(carrier: Carrier) -> Self {
        Self::after(None, carrier)
    }

    /// The program that `carrier` makes after `before`.
    fn after(before: Option<&Self>, carrier: Carrier) -> Self {
        let since = carrier.rules_in_force().into_iter().map(|(uid, generation)| {
            let known = before
                .and_then(|before| before.since.get(&uid))
                .filter(|since| since.generation == generation);
            let since = known.copied().unwrap_or(Since {
                generation,
                revision: carrier.revision,
            });
            (uid, since)
        });
        let since = since.collect();
        let same = |before: &&Self| {
            let mut other = before.carrier.clone();
            (other.revision, other.format) = (carrier.revision, carrier.format);
            other.columns.clone_from(&carrier.columns);
            other == carrier
        };
        Self {
            revision: carrier.revision,
            ruled: before.filter(same).map_or(carrier.revision, |before| before.ruled),
            since,
            carrier,
            digest: None,
        }
    }

    /// The next program: the same one where the carrier says the same (revisions apart), else one with a higher revision
    /// than any that was ever seen, `floor` included.
    pub fn next(before: Option<&Self>, mut carrier: Carrier, floor: u64) -> Self {
        if let Some(before) = before {
            carrier.revision = before.revision;
            if carrier == before.carrier && before.revision >= floor {
                return before.clone();
            }
        }
        carrier.revision = before.map_or(0, |before| before.revision).max(floor).saturating_add(1);
        Self::after(before, carrier)
    }
}

// === impl Programs ===

impl Programs {
    /// What the doors of a Connection are to run.
    pub fn get(&self, uid: &str) -> Option<Program> {
        self.with(|programs| programs.get(uid).and_then(|sender| sender.borrow().clone()))
    }

    /// Revision and digest of what the doors of a Connection are to run.
    pub fn content(&self, uid: &str) -> Option<(u64, String)> {
        self.with(|programs| {
            let program = programs.get(uid)?.borrow();
            let program = program.as_ref()?;
            Some((program.revision, program.digest.clone()?))
        })
    }

    /// Sets what the doors of a Connection are to run, and wakes those that wait for it.
    pub fn set(&self, uid: &str, program: Program) {
        self.with(|programs| {
            programs
                .entry(uid.to_owned())
                .or_insert_with(|| watch::channel(None).0)
                .send_replace(Some(program))
        });
    }

    /// Follows what the doors of a Connection are to run.
    pub fn follow(&self, uid: &str) -> watch::Receiver<Option<Program>> {
        self.with(|programs| {
            programs
                .entry(uid.to_owned())
                .or_insert_with(|| watch::channel(None).0)
                .subscribe()
        })
    }

    /// Forgets Connections that are gone.
    pub fn retain(&self, present: impl Fn(&str) -> bool) {
        self.with(|programs| programs.retain(|uid, _| present(uid)));
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, watch::Sender<Option<Program>>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{carrier, ranged_policy};

    #[test]
    fn the_same_carrier_keeps_its_revision() {
        let first = Program::next(None, carrier(), 0);
        assert_eq!(first.revision, 1);
        assert_eq!(Program::next(Some(&first), carrier(), 0), first);
    }

    #[test]
    fn a_change_of_one_rule_leaves_the_others_where_they_were() {
        let first = Program::next(None, carrier(), 0);
        let mut changed = carrier();
        changed.masking_rules[0].generation += 1;
        let second = Program::next(Some(&first), changed, 0);
        assert_eq!(second.revision, 2);
        assert_eq!(second.since["uid-pii"].revision, 2);
        assert_eq!(second.since["uid-writes"].revision, 1);
    }

    #[test]
    fn one_more_column_is_another_revision_of_the_same_policy() {
        let first = Program::next(None, carrier(), 0);
        let mut more = carrier();
        more.columns.insert("bank".into(), Default::default());
        let second = Program::next(Some(&first), more.clone(), 0);
        assert_eq!((second.revision, second.ruled), (2, 1));
        more.masking_rules[0].generation += 1;
        let third = Program::next(Some(&second), more, 0);
        assert_eq!((third.revision, third.ruled), (3, 3));
    }

    #[test]
    fn another_format_is_a_revision_and_another_policy_only_where_it_cannot_say_all() {
        let first = Program::next(None, carrier(), 0);
        let lowered = |mut carrier: Carrier| {
            carrier.lower(1);
            carrier
        };
        let second = Program::next(Some(&first), lowered(carrier()), 0);
        assert_eq!((second.revision, second.ruled), (2, 1));
        assert_eq!(Program::next(Some(&second), lowered(carrier()), 0), second);

        let mut ranged = carrier();
        ranged.approval_policies = vec![ranged_policy()];
        let first = Program::next(None, ranged.clone(), 0);
        let second = Program::next(Some(&first), lowered(ranged.clone()), 0);
        assert_eq!((second.revision, second.ruled), (2, 2));
        assert!(
            !second.since.contains_key("uid-writes"),
            "it is not enforced as written"
        );
        let third = Program::next(Some(&second), ranged, 0);
        assert_eq!((third.revision, third.ruled), (3, 3));
        assert_eq!(
            (third.since["uid-writes"].revision, third.since["uid-pii"].revision),
            (3, 1)
        );
    }

    #[test]
    fn revisions_never_go_back() {
        // The ConfigMap was deleted, but the status and a door remember.
        assert_eq!(Program::next(None, carrier(), 41).revision, 42);
        let found = Program::found(Carrier {
            revision: 7,
            ..carrier()
        });
        assert_eq!(Program::next(Some(&found), carrier(), 7).revision, 7);
        assert_eq!(Program::next(Some(&found), carrier(), 9).revision, 10);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let programs = Programs::default();
        let mut follower = programs.follow("uid");
        programs.set("uid", Program::next(None, carrier(), 0));
        follower.changed().await.unwrap();
        assert_eq!(follower.borrow().as_ref().map(|program| program.revision), Some(1));
    }
}
