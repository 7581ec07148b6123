//! What the door knows of a target's catalog, fresh before the next statement.
//!
//! One side connection for each database reads committed state. A session that needs to know asks; all that ask while a
//! check is under way share the next one, so a check costs one round trip however many wait for it (as commits share a
//! flush). A check compares the write-ahead position first: nothing written, nothing changed. Sessions that ask often compare
//! it on their own thread (`near`).

mod near;
mod queries;
mod reader;
mod service;
mod telling;

use std::collections::HashMap;
use std::sync::Arc;

use sallyport_policy::catalog::{Catalog as _, Oid, Snapshot};
use sallyport_policy::mask::ProtectedColumns;
use sallyport_policy::mask::types::Class;

pub use near::Near;
pub use queries::Depth;
pub use reader::{Own, circumstances_query, own_query, read_circumstances, read_own};
pub use service::{CatalogError, Catalogs};

/// A database's catalog at one moment.
#[derive(Debug, Default)]
pub struct Known {
    /// Relations, columns, view definitions, inheritance.
    pub snapshot: Arc<Snapshot>,
    /// Types that are not built in, as a mask sees them.
    pub types: Arc<HashMap<Oid, Class>>,
    /// Columns that the rules protect.
    pub protected: Arc<ProtectedColumns>,
    /// How many rows the target's statistics count in tables; those that were never analysed are left out.
    pub rows: Arc<HashMap<Oid, u64>>,
    /// Revision of the rules by which `protected` was found.
    pub revision: u64,
}

// === impl Known ===

impl Known {
    /// Whether a relation is known.
    #[must_use]
    pub fn has(&self, relation: Oid) -> bool {
        self.snapshot.relation(relation).is_some()
    }

    /// What the catalog says about a type that is not built in.
    #[must_use]
    pub fn class(&self, type_oid: Oid) -> Option<Class> {
        self.types.get(&type_oid).copied()
    }
}
