//! What the verdict code knows of a target's catalog: relations, their columns, view definitions and inheritance.
//!
//! The door fills a [`Snapshot`] from the target (side connection for committed state, the session's own backend after
//! its own DDL); nothing here asks the target for anything. A name that a snapshot does not hold is *unknown*, which
//! never means safe: lineage answers `Unknown` for whatever hangs on it.

mod code;
mod events;
mod hanging;
mod path;
mod snapshot;

pub use code::Code;
pub use events::{Events, Follower};
pub use hanging::{Hanging, Part};
pub use path::SearchPath;
pub use snapshot::Snapshot;

use serde::{Deserialize, Serialize};

/// An object identifier of PostgreSQL.
pub type Oid = u32;

/// The first OID that is given to what users make (`FirstNormalObjectId`).
const FIRST_NORMAL: Oid = 16384;

/// Whether a number is one of PostgreSQL's own: what has it was made when the database was.
pub const fn is_built_in(oid: Oid) -> bool {
    oid < FIRST_NORMAL
}

/// Number of a column within its relation (`pg_attribute.attnum`): from 1 for users' columns, negative for system columns.
pub type AttNum = i16;

/// One stored column: its relation's OID and its number there. Names change, this does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColumnId {
    /// OID of the relation.
    pub relation: Oid,
    /// Number of the column there.
    pub column: AttNum,
}

/// What a relation is (`pg_class.relkind`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RelationKind {
    /// Ordinary table (`r`).
    #[default]
    Table,
    /// Partitioned table (`p`).
    PartitionedTable,
    /// View (`v`).
    View,
    /// Materialised view (`m`).
    MaterializedView,
    /// Foreign table (`f`).
    ForeignTable,
    /// Sequence (`S`).
    Sequence,
    /// Composite type (`c`).
    CompositeType,
    /// Anything else that can stand in `pg_class`.
    Other,
}

/// One column of a [`Relation`]. Dropped columns are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// `pg_attribute.attnum`.
    pub attnum: AttNum,
    /// `pg_attribute.attname`, as stored (not quoted, not folded).
    pub name: String,
    /// `pg_attribute.atttypid`.
    pub type_oid: Oid,
    /// Names of the columns that a generated one is made from, as PostgreSQL prints them: it inherits their protection. An
    /// expression does as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
}

/// One row of `pg_class` with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: Oid,
    /// Name of its schema; `pg_temp_N` for a temporary relation.
    pub schema: String,
    /// `pg_class.relname`.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub kind: RelationKind,
    /// Its columns in order of `attnum`, without dropped ones.
    pub columns: Vec<Column>,
    /// Definition of a view or materialised view: `pg_catalog.pg_get_viewdef(oid)`, read with an **empty** search_path so
    /// that every name outside `pg_catalog` is qualified. `None` for a view means that it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Partitioned table or inheritance parents (`pg_inherits`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Oid>,
    /// Whether it has rules other than a view's own `_RETURN`, or a default, check or index with code of somebody's own: what any
    /// write to it does then cannot be seen.
    #[serde(default)]
    pub active: bool,
    /// What its triggers fire on: what such a write does then cannot be seen either.
    #[serde(default)]
    pub fires: Events,
    /// Whether an expression of it (a default, a check, an index, statistics, a partition key) has code of somebody's own, which
    /// runs where the relation is looked after, too.
    #[serde(default)]
    pub computes: bool,
    /// Whether it has rules other than a view's own `_RETURN`: a write to it may answer with rows of its own.
    #[serde(default)]
    pub ruled: bool,
    /// Whether a policy for its rows, or what is computed while a query of it is planned, runs code of somebody's own, which reading it
    /// does, too.
    #[serde(default)]
    pub guarded_by_code: bool,
    /// Relations that policies for its rows look at, itself among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Oid>,
    /// The columns of its primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<AttNum>,
    /// Relations whose rows follow its own by a foreign key: CASCADE, SET NULL, SET DEFAULT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<Follower>,
    /// Columns of others that get what is written to its own, by foreign keys ON UPDATE CASCADE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<(AttNum, ColumnId)>,
    /// What hangs on it from outside of it, by foreign keys of whatever kind, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hanging: Vec<Hanging>,
    /// What the query of a view reads that is being made and has no definition to be read yet: what is done to the view's rows is
    /// done to rows of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<Oid>,
    /// Names of its constraints and unique indexes, which errors name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Which row versions its columns and its rules have: what was changed, and changed back, has others. Empty where nobody asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Which version the row of its own type has: one that got another name or schema, and its own again, has another. Empty where
    /// nobody asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub named: String,
}

/// Look-ups that verdicts and masks need. [`Snapshot`] is the one implementation outside tests.
pub trait Catalog {
    /// The relation that a name means under a search path. `None`: not known here.
    fn resolve(&self, path: &SearchPath, schema: Option<&str>, name: &str) -> Option<&Relation>;

    /// The relation of an OID.
    fn relation(&self, oid: Oid) -> Option<&Relation>;

    /// All relations, in order of OID: for rules that name columns by glob.
    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_>;

    /// The relations that inherit directly from this one, partitions among them.
    fn children(&self, oid: Oid) -> &[Oid];

    /// Code of users that runs where a text names something of PostgreSQL's own.
    fn code(&self) -> &Code;
}

// === impl Relation ===

impl Relation {
    /// The column of a name, exactly as stored.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// `schema.name`, as rules write it.
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Whether it was made when the database was. Nobody but a superuser changes such a relation while a server runs.
    pub fn is_built_in(&self) -> bool {
        is_built_in(self.oid)
    }

    /// Whether it is PostgreSQL's own: made when the database was, in a schema that holds nothing else.
    pub fn is_system(&self) -> bool {
        self.is_built_in() && matches!(self.schema.as_str(), "pg_catalog" | "information_schema")
    }

    /// Whether it is a table of PostgreSQL's own, from which it knows what there is.
    pub fn is_catalog(&self) -> bool {
        self.is_system() && self.kind == RelationKind::Table
    }

    /// Whether it is a view of users, or a materialised one, whose definition could not be read.
    pub fn is_undefined(&self) -> bool {
        let view = matches!(self.kind, RelationKind::View | RelationKind::MaterializedView);
        view && self.definition.is_none() && !matches!(self.schema.as_str(), "pg_catalog" | "information_schema")
    }

    /// Whether code of users runs where this happens to its rows.
    pub fn runs_at(&self, events: Events) -> bool {
        self.active || self.fires.meets(events)
    }

    /// Whether reading it runs its [`definition`](Self::definition).
    pub fn is_view(&self) -> bool {
        self.kind == RelationKind::View
    }
}

#[cfg(test)]
mod tests;
