//! A catalog in memory, immutable once built.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Catalog, Code, Oid, Relation, SearchPath};

/// Relations of one database as they were at one moment. Serialised as the plain list of relations. Clones share them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Relation>", into = "Vec<Relation>")]
pub struct Snapshot {
    read: Arc<Read>,
    /// What was made since, in falling order of OID. A unit may make many, and each of its statements keeps the catalog that it
    /// was judged by.
    made: Vec<Arc<Relation>>,
    code: Arc<Code>,
}

/// Relations in order of OID, with the ways to find them.
#[derive(Debug, Default)]
struct Read {
    relations: Vec<Relation>,
    by_oid: HashMap<Oid, usize>,
    /// By name and schema. What hides another of its name stands behind it.
    by_name: HashMap<String, HashMap<String, Vec<usize>>>,
    children: HashMap<Oid, Vec<Oid>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Builds the indexes over a list of relations. Of two with one OID or one name the later one counts.
    pub fn new(mut relations: Vec<Relation>) -> Self {
        relations.sort_by_key(|relation| relation.oid);
        let mut read = Read::default();
        for (index, relation) in relations.iter().enumerate() {
            read.by_oid.insert(relation.oid, index);
            let namesakes = read.by_name.entry(relation.name.clone()).or_default();
            namesakes.entry(relation.schema.clone()).or_default().push(index);
            for parent in &relation.parents {
                read.children.entry(*parent).or_default().push(relation.oid);
            }
        }
        read.relations = relations;
        Self {
            read: Arc::new(read),
            ..Self::default()
        }
    }

    /// The same relations beside this code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Arc::new(code);
        self
    }

    /// The same catalog with some relations added or replaced: a session's own temporary or uncommitted objects. What was made since
    /// stays in its order.
    pub fn with(&self, relations: Vec<Relation>) -> Self {
        let mut made = self.made.clone();
        let mut read: Vec<Relation> = Vec::new();
        for relation in relations {
            match made.iter_mut().find(|old| old.oid == relation.oid) {
                Some(old) => *old = Arc::new(relation),
                None => read.push(relation),
            }
        }
        let before = self.read.relations.iter();
        let kept = before.filter(|old| !read.iter().any(|new| new.oid == old.oid));
        let mut all: Vec<Relation> = kept.cloned().collect();
        all.extend(read);
        Self {
            code: Arc::clone(&self.code),
            made,
            ..Self::new(all)
        }
    }

    /// The same catalog after a relation was made, which hides others of its schema and name; with the OID that it is given: one
    /// that nothing has, since no catalog gives out OIDs from the top. What has parents is not made so.
    #[must_use]
    pub fn making(&self, relation: Relation) -> Option<(Oid, Self)> {
        let top = self.made.last().map_or(Oid::MAX, |last| last.oid);
        let oid = (0..top).rev().find(|oid| self.relation(*oid).is_none())?;
        let mut more = self.clone();
        more.made.push(Arc::new(Relation { oid, ..relation }));
        Some((oid, more))
    }

    /// How many relations it holds.
    pub fn len(&self) -> usize {
        self.read.relations.len() + self.made.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Relations of this name in any schema, hidden ones among them.
    pub fn named_anywhere(&self, name: &str) -> impl Iterator<Item = &Relation> {
        let made = self.made.iter().filter(move |one| one.name == name);
        let indices = self.read.by_name.get(name).into_iter().flat_map(HashMap::values);
        let read = indices.flatten().filter_map(|index| self.read.relations.get(*index));
        made.map(|one| &**one).chain(read)
    }

    fn named(&self, schema: &str, name: &str) -> Option<&Relation> {
        let mut made = self.made.iter().rev().map(|one| &**one);
        made.find(|one| one.name == name && one.schema == schema).or_else(|| {
            let index = self.read.by_name.get(name)?.get(schema)?.last()?;
            self.read.relations.get(*index)
        })
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
        match self.made.binary_search_by(|one| oid.cmp(&one.oid)) {
            Ok(index) => self.made.get(index).map(|one| &**one),
            Err(_) => self.read.relations.get(*self.read.by_oid.get(&oid)?),
        }
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        let made = self.made.iter().rev().map(|one| &**one);
        Box::new(self.read.relations.iter().chain(made))
    }

    fn children(&self, oid: Oid) -> &[Oid] {
        self.read.children.get(&oid).map_or(&[], Vec::as_slice)
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
        snapshot.relations().cloned().collect()
    }
}
