//! What happens to rows of a relation, as triggers and foreign keys tell it apart.

use serde::{Deserialize, Serialize};

use super::Oid;

/// A set of events, by the bits of `pg_trigger.tgtype`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Events(i16);

/// A relation whose rows follow those of another by a foreign key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Follower {
    /// `pg_constraint.conrelid`.
    pub relation: Oid,
    /// What happens to its rows when one of the other's is deleted.
    pub deleted: Events,
    /// What happens to them when a key of the other's is updated.
    pub updated: Events,
}

// === impl Events ===

impl Events {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// INSERT.
    pub const INSERT: Self = Self(1 << 2);
    /// DELETE.
    pub const DELETE: Self = Self(1 << 3);
    /// UPDATE.
    pub const UPDATE: Self = Self(1 << 4);
    /// TRUNCATE.
    pub const TRUNCATE: Self = Self(1 << 5);
    /// Whatever happens to single rows.
    pub const ROWS: Self = Self::INSERT.and(Self::DELETE).and(Self::UPDATE);

    /// The events of `pg_trigger.tgtype`, whose other bits say when and how often a trigger runs.
    pub const fn of_type(tgtype: i16) -> Self {
        Self(tgtype & Self::ROWS.and(Self::TRUNCATE).0)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of these is one of those.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

// === impl Follower ===

impl Follower {
    /// By `pg_constraint.confdeltype` and `confupdtype`, one after the other. An action that is not known may be any.
    pub fn of(relation: Oid, actions: &str) -> Self {
        let mut actions = actions.chars();
        let mut event = |cascades: Events| match actions.next() {
            Some('a' | 'r') => Events::NONE,
            Some('c') => cascades,
            Some('n' | 'd') => Events::UPDATE,
            _ => Events::ROWS,
        };
        Self {
            relation,
            deleted: event(Events::DELETE),
            updated: event(Events::UPDATE),
        }
    }

    /// What happens to its rows where this happens to the other's.
    #[must_use]
    pub fn follows(&self, events: Events) -> Events {
        let when = |event: Events, then: Events| if events.meets(event) { then } else { Events::NONE };
        when(Events::DELETE, self.deleted).and(when(Events::UPDATE, self.updated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_fires_on_what_its_type_says() {
        // FOR EACH ROW, BEFORE, INSERT OR UPDATE.
        let events = Events::of_type(1 + 2 + 4 + 16);
        assert_eq!(events, Events::INSERT.and(Events::UPDATE));
        assert!(events.meets(Events::ROWS) && !events.meets(Events::DELETE) && !events.meets(Events::TRUNCATE));
        assert!(!Events::of_type(1 + 2 + 64).meets(Events::ROWS.and(Events::TRUNCATE)));
    }

    #[test]
    fn rows_follow_by_what_the_foreign_key_says() {
        for (actions, deleted, updated) in [
            ("ca", Events::DELETE, Events::NONE),
            ("ac", Events::NONE, Events::UPDATE),
            ("nr", Events::UPDATE, Events::NONE),
            ("rd", Events::NONE, Events::UPDATE),
            ("", Events::ROWS, Events::ROWS),
            ("xx", Events::ROWS, Events::ROWS),
        ] {
            let follower = Follower::of(1, actions);
            assert_eq!(follower.follows(Events::DELETE), deleted, "{actions}");
            assert_eq!(follower.follows(Events::UPDATE), updated, "{actions}");
            assert_eq!(follower.follows(Events::ROWS), deleted.and(updated), "{actions}");
            assert_eq!(follower.follows(Events::INSERT), Events::NONE, "{actions}");
        }
    }
}
