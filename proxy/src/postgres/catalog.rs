//! What the door knows of a target's catalog, fresh before the next statement.
//!
//! One side connection for each database reads committed state. A session that needs to know asks; all that ask while a
//! check is under way share the next one, so a check costs one round trip however many wait for it (as commits share a
//! flush). A check compares the write-ahead position first: nothing written, nothing changed. Sessions that ask often compare
//! it on their own thread (`near`). Where something is written all the time, it looks at what the statement hangs on alone
//! (`footprint`). What has changed is told by row versions, and read alone (`queries/since`, `kept`): all kinds of it in one question.

mod footprint;
mod kept;
mod latest;
mod near;
mod queries;
mod reader;
mod service;
mod side;
mod telling;

use std::collections::HashMap;
use std::sync::Arc;

use sallyport_policy::catalog::{
    Catalog as _, ColumnId, Oid, Relation, RelationKind, SearchPath, Snapshot, is_built_in,
};
use sallyport_policy::mask::types::Class;
use sallyport_policy::mask::{Masker, ProtectedColumns};
use sallyport_policy::sql::lineage::{of_relation, rules_of};

pub use footprint::{FIRST_NORMAL, Footprint, is_plain};
pub use latest::Assumed;
pub use near::Near;
pub use queries::{Depth, POSITION};
pub use reader::{
    Casting, Circumstances, Own, circumstances_query, is_own_setting, own_query, read_circumstances, read_own,
};
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
    /// A digest of the schemas: how a session's names are looked up hangs on them, beside its own settings.
    pub schemas: Arc<str>,
    /// Revision of the rules by which `protected` was found.
    pub revision: u64,
}

// === impl Known ===

impl Known {
    /// Whether an error about this relation may quote what is hidden from the person.
    #[must_use]
    pub fn quotes_protected(&self, schema: &str, relation: &str, masker: &Masker) -> bool {
        let found = self.snapshot.resolve(&SearchPath::system(), Some(schema), relation);
        found.is_some_and(|found| self.is_protected(found.oid, masker))
    }

    /// Whether a relation is known.
    #[must_use]
    pub fn has(&self, relation: Oid) -> bool {
        self.snapshot.relation(relation).is_some()
    }

    /// Whether a relation has a column that is hidden from the person whose masker this is.
    #[must_use]
    pub fn is_protected(&self, relation: Oid, masker: &Masker) -> bool {
        let columns = self
            .snapshot
            .relation(relation)
            .into_iter()
            .flat_map(|found| &found.columns);
        let ids = columns.map(|column| ColumnId {
            relation,
            column: column.attnum,
        });
        ids.filter_map(|id| self.protected.rules_of(id))
            .any(|rules| masker.protects(rules))
    }

    /// Whether protected values may be in a relation, or behind it. Definitions of the system's own are not known, and none is needed:
    /// what of it holds values of columns is known by name.
    #[must_use]
    pub fn is_telling(&self, relation: &Relation) -> bool {
        if relation.is_system() {
            return of_relation(relation, &*self.snapshot).any;
        }
        let protected = |attnum| {
            self.protected.contains(ColumnId {
                relation: relation.oid,
                column: attnum,
            })
        };
        relation.definition.is_some() || relation.columns.iter().any(|column| protected(column.attnum))
    }

    /// The same of what can be followed: a view tells where protected columns flow into its rows, or where nobody knows what does.
    #[must_use]
    pub fn is_seen_to_tell(&self, relation: &Relation) -> bool {
        if relation.kind != RelationKind::View || relation.is_system() {
            return self.is_telling(relation);
        }
        let lineage = of_relation(relation, &*self.snapshot);
        let unknown = lineage.opaque.len() + lineage.lost.len() + lineage.unresolved.len();
        let flows = lineage.outputs.iter().flatten().map(|output| &output.flow);
        let mut flows = flows.map(|flow| flow.unknown || !rules_of(flow, &self.protected).is_empty());
        unknown > 0 || lineage.any || lineage.outputs.is_none() || flows.any(|tells| tells)
    }

    /// What the catalog says about a type that is not built in.
    #[must_use]
    pub fn class(&self, type_oid: Oid) -> Option<Class> {
        self.types.get(&type_oid).copied()
    }

    /// Whether columns of a type hold what was given to them and no more: one of PostgreSQL's own, or an enumeration, with which no code
    /// runs. Other types of users may have defaults, which nobody gave.
    #[must_use]
    pub fn holds_what_is_given(&self, type_oid: Oid) -> bool {
        let labels = || self.class(type_oid) == Some(Class::Label);
        is_built_in(type_oid) || labels() && !self.snapshot.code().types.contains_key(&type_oid)
    }
}
