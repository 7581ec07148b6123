//! A catalog in memory, immutable once built.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Catalog, Code, Oid, Relation, SearchPath};

/// Relations of one database as they were at one moment. Serialised as the plain list of relations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Relation>", into = "Vec<Relation>")]
pub struct Snapshot {
    relations: Vec<Relation>,
    by_oid: HashMap<Oid, usize>,
    by_name: HashMap<String, HashMap<String, usize>>,
    children: HashMap<Oid, Vec<Oid>>,
    code: Code,
}

// === impl Snapshot ===

impl Snapshot {
    /// Builds the indexes over a list of relations. Of two with one OID or one name the later one counts.
    pub fn new(mut relations: Vec<Relation>) -> Self {
        relations.sort_by_key(|relation| relation.oid);
        let mut snapshot = Self::default();
        for (index, relation) in relations.iter().enumerate() {
            snapshot.by_oid.insert(relation.oid, index);
            snapshot
                .by_name
                .entry(relation.schema.clone())
                .or_default()
                .insert(relation.name.clone(), index);
            for parent in &relation.parents {
                snapshot.children.entry(*parent).or_default().push(relation.oid);
            }
        }
        snapshot.relations = relations;
        snapshot
    }

    /// The same relations beside this code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The same catalog with some relations added or replaced: a session's own temporary or uncommitted objects.
    pub fn with(&self, relations: Vec<Relation>) -> Self {
        let mut all: Vec<Relation> = self
            .relations
            .iter()
            .filter(|old| !relations.iter().any(|new| new.oid == old.oid))
            .cloned()
            .collect();
        all.extend(relations);
        Self::new(all).with_code(self.code.clone())
    }

    /// How many relations it holds.
    pub fn len(&self) -> usize {
        self.relations.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.relations.is_empty()
    }

    /// Relations of this name in any schema.
    pub fn named_anywhere(&self, name: &str) -> impl Iterator<Item = &Relation> {
        let indices = self.by_name.values().filter_map(move |names| names.get(name));
        indices.filter_map(|index| self.relations.get(*index))
    }

    fn named(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.get(*self.by_name.get(schema)?.get(name)?)
    }
}

impl Catalog for Snapshot {
    fn resolve(&self, path: &SearchPath, schema: Option<&str>, name: &str) -> Option<&Relation> {
        match schema {
            Some(schema) => self.named(path.schema(schema), name),
            None => path.schemas().iter().find_map(|schema| self.named(schema, name)),
        }
    }

    fn relation(&self, oid: Oid) -> Option<&Relation> {
        self.relations.get(*self.by_oid.get(&oid)?)
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        Box::new(self.relations.iter())
    }

    fn children(&self, oid: Oid) -> &[Oid] {
        self.children.get(&oid).map_or(&[], Vec::as_slice)
    }

    fn code(&self) -> &Code {
        &self.code
    }
}

impl From<Vec<Relation>> for Snapshot {
    fn from(relations: Vec<Relation>) -> Self {
        Self::new(relations)
    }
}

impl From<Snapshot> for Vec<Relation> {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.relations
    }
}
