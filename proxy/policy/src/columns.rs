//! Columns that stay protected: whatever they are called later, after a restart, at another replica, and behind a Connection
//! that is made again.
//!
//! Doors find them (`POST /v1/columns`), the operator keeps them with the rule that protects them, and every carrier tells
//! those that concern its target.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};

use crate::carrier::{CarrierError, seal, unseal};
use crate::catalog::{AttNum, ColumnId, Oid, Relation};

/// Path at the operator's API where doors tell what they found.
pub const PATH: &str = "/v1/columns";
/// The operator answers within this time: that every process of every door concerned protects what it was told, or that
/// this cannot be said.
pub const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// The longest list of one rule, in bytes of JSON: several of them fit into one carrier.
pub const MAX_BYTES: usize = 128 * 1024;
/// As many columns of primary keys as a door tells of one rule in one database: a warning needs no more, and what is protected
/// needs the room.
pub const MAX_KEYS: usize = 8;
/// The format of [`Kept`] that this version writes.
pub const FORMAT: u32 = 1;

/// The schema of a session's own relations, where the session has none yet.
pub const TEMPORARY: &str = "pg_temp";
/// Whichever schema a name is found in. No schema can be called so.
pub const ANY: &str = "";

/// Put before a list when it is signed, so that it is never taken for a carrier, nor a carrier for it.
const CONTEXT: &[u8] = b"sallyport columns v1\n";

/// What several rules protect in one database, by the rule's uid.
pub type ByRule = BTreeMap<String, Columns>;

/// What one rule protects in one database, beyond the columns that its names fit at present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Columns {
    /// The rule's generation under which `matched` and `keys` were found; with the next one they end.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// Columns that a name of the rule fitted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub matched: BTreeMap<Oid, BTreeSet<AttNum>>,
    /// Columns that protected values were copied into: they hold them under every generation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub copies: BTreeMap<Oid, BTreeSet<AttNum>>,
    /// The same for relations that were yet to be made.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub named: BTreeSet<Named>,
    /// Some of the protected columns that are part of a primary key: who may not see them cannot write rows back by them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<Named>,
}

/// A column by its names; all columns of the relation where it is not known which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Its schema, or [`ANY`], or [`TEMPORARY`] for all schemas of sessions' own.
    pub schema: String,
    /// The relation.
    pub relation: String,
    /// The column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// What a door tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The database.
    pub database: String,
    /// What is to stay protected in it.
    pub rules: ByRule,
}

/// The operator's answer: every process that may hold a session of a Connection concerned protects what was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The revision of the asker's carrier that tells it.
    pub revision: u64,
}

/// Everything that is kept for one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// [`FORMAT`] of whoever wrote it.
    pub format: u32,
    /// The rule's uid: a list is nobody else's.
    pub rule: String,
    /// By target (see [`target`]) and database.
    pub targets: BTreeMap<String, BTreeMap<String, Columns>>,
}

/// How a target is called in [`Kept`].
pub fn target(host: &str, port: impl std::fmt::Display) -> String {
    format!("{}:{port}", host.to_ascii_lowercase())
}

// === impl Columns ===

impl Columns {
    /// Takes in what another knows. Of what two generations matched, the later one's counts; one that nothing was matched under takes
    /// nothing away, whatever its number: it is the word of a door.
    pub fn merge(&mut self, more: &Self) {
        if more.generation > self.generation && !more.is_of_every_generation() {
            *self = self.under(more.generation);
        }
        if more.generation == self.generation {
            unite(&mut self.matched, &more.matched);
            self.keys.extend(more.keys.iter().cloned());
        }
        unite(&mut self.copies, &more.copies);
        self.named.extend(more.named.iter().cloned());
    }

    /// What counts under a generation of the rule.
    pub fn under(&self, generation: i64) -> Self {
        let mut counts = self.clone();
        if counts.generation != generation {
            counts.generation = generation;
            counts.matched.clear();
            counts.keys.clear();
        }
        counts
    }

    /// Whether all that `less` says is in it.
    pub fn covers(&self, less: &Self) -> bool {
        let found = less.is_of_every_generation() || self.generation == less.generation;
        found
            && less.keys.is_subset(&self.keys)
            && ids(&less.matched).all(|id| holds(&self.matched, id))
            && ids(&less.copies).all(|id| holds(&self.copies, id))
            && less.named.is_subset(&self.named)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.is_of_every_generation() && self.copies.is_empty() && self.named.is_empty()
    }

    /// Whether nothing in it was found under a generation of the rule.
    pub fn is_of_every_generation(&self) -> bool {
        self.matched.is_empty() && self.keys.is_empty()
    }

    /// The columns of primary keys that were told under a generation of the rule.
    pub fn keys_under(&self, generation: i64) -> impl Iterator<Item = &Named> {
        let keys = (self.generation == generation).then_some(&self.keys);
        keys.into_iter().flatten()
    }

    /// The columns that are protected under a generation of the rule.
    pub fn numbers(&self, generation: i64) -> impl Iterator<Item = ColumnId> + '_ {
        let matched = (self.generation == generation).then_some(&self.matched);
        matched.into_iter().flat_map(ids).chain(ids(&self.copies))
    }

    /// Whether the column is protected under a generation of the rule.
    pub fn holds_under(&self, generation: i64, id: ColumnId) -> bool {
        (self.generation == generation && holds(&self.matched, id)) || holds(&self.copies, id)
    }

    /// Whether values were copied into this column.
    pub fn copied_into(&self, id: ColumnId) -> bool {
        holds(&self.copies, id)
    }

    /// Notes that a name of the rule fitted this column.
    pub fn note_matched(&mut self, id: ColumnId) {
        self.matched.entry(id.relation).or_default().insert(id.column);
    }

    /// Notes that values are copied into this column.
    pub fn note_copied(&mut self, id: ColumnId) {
        self.copies.entry(id.relation).or_default().insert(id.column);
    }
}

// === impl Named ===

impl Named {
    /// The columns of a relation that it names.
    pub fn columns<'a>(&'a self, relation: &'a Relation) -> impl Iterator<Item = ColumnId> + 'a {
        let schema = match self.schema.as_str() {
            ANY => true,
            TEMPORARY => relation.schema.starts_with(TEMPORARY),
            schema => relation.schema == schema,
        };
        let columns = relation.columns.iter().filter(move |column| {
            schema && relation.name == self.relation && self.column.as_ref().is_none_or(|name| column.name == *name)
        });
        columns.map(|column| ColumnId {
            relation: relation.oid,
            column: column.attnum,
        })
    }
}

// === impl Kept ===

impl Kept {
    /// Nothing yet.
    pub fn new(rule: &str) -> Self {
        Self {
            format: FORMAT,
            rule: rule.to_owned(),
            targets: BTreeMap::new(),
        }
    }

    /// What is kept for a target, by database.
    pub fn at(&self, target: &str) -> impl Iterator<Item = (&String, &Columns)> {
        self.targets.get(target).into_iter().flatten()
    }

    /// Takes in what is protected in a database; true if that was news. What an earlier generation matched goes.
    pub fn merge(&mut self, target: &str, database: &str, generation: i64, more: &Columns) -> bool {
        let databases = self.targets.entry(target.to_owned()).or_default();
        let columns = databases.entry(database.to_owned()).or_default();
        if columns.covers(more) {
            return false;
        }
        *columns = columns.under(generation);
        columns.merge(more);
        true
    }

    /// Signs the list: the bytes for its ConfigMap.
    ///
    /// # Errors
    /// When it is longer than [`MAX_BYTES`].
    pub fn sign(&self, key: &Ed25519KeyPair) -> Result<Vec<u8>, CarrierError> {
        let payload = serde_json::to_vec(self).map_err(|_| CarrierError::Unreadable)?;
        if payload.len() > MAX_BYTES {
            return Err(CarrierError::TooLarge);
        }
        seal(CONTEXT, &payload, key)
    }

    /// Checks and reads the list of a rule.
    ///
    /// # Errors
    /// When it is unreadable, not signed by a trusted key, another rule's, or of an unknown format.
    pub fn verify(bytes: &[u8], rule: &str, trusted: &[Vec<u8>]) -> Result<Self, CarrierError> {
        let kept: Self = unseal(CONTEXT, bytes, trusted, FORMAT)?;
        if kept.rule == rule {
            Ok(kept)
        } else {
            Err(CarrierError::Unreadable)
        }
    }
}

fn ids(numbers: &BTreeMap<Oid, BTreeSet<AttNum>>) -> impl Iterator<Item = ColumnId> + '_ {
    numbers.iter().flat_map(|(relation, columns)| {
        columns.iter().map(|column| ColumnId {
            relation: *relation,
            column: *column,
        })
    })
}

fn holds(numbers: &BTreeMap<Oid, BTreeSet<AttNum>>, id: ColumnId) -> bool {
    numbers
        .get(&id.relation)
        .is_some_and(|columns| columns.contains(&id.column))
}

fn unite(into: &mut BTreeMap<Oid, BTreeSet<AttNum>>, more: &BTreeMap<Oid, BTreeSet<AttNum>>) {
    for (relation, columns) in more {
        into.entry(*relation).or_default().extend(columns);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
