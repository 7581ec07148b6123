//! The search path, as PostgreSQL reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Schemas in the order in which an unqualified relation name is looked up, implicit ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SearchPath {
    schemas: Arc<[String]>,
    temp: Option<Arc<str>>,
}

/// The alias by which everybody calls their own temporary schema.
const TEMP_ALIAS: &str = "pg_temp";

/// How the names of temporary schemas begin.
const TEMPORARY: &str = "pg_temp_";

/// Always searched, first unless the setting places it elsewhere.
const SYSTEM: &str = "pg_catalog";

// === impl SearchPath ===

impl SearchPath {
    /// From the answer of `pg_catalog.current_schemas(true)`: effective order, implicit schemas included.
    /// `temp` is the session's own temporary schema (`pg_temp_N`), if it has one.
    pub fn effective(schemas: Vec<String>, temp: Option<String>) -> Self {
        Self {
            schemas: schemas.into(),
            temp: temp.map(Arc::from),
        }
    }

    /// From the text of the setting `search_path`, the current role and the session's temporary schema, by PostgreSQL's
    /// rules: `"$user"` is the role, the temporary schema comes first and `pg_catalog` next unless they are named.
    ///
    /// `None` if the text is not a list of identifiers, as the server would refuse it.
    pub fn from_setting(setting: &str, role: &str, temp: Option<&str>) -> Option<Self> {
        let mut schemas: Vec<String> = Vec::new();
        for item in identifiers(setting)? {
            let schema = match (item.as_str(), temp) {
                ("$user", _) => role.to_owned(),
                (TEMP_ALIAS, Some(temp)) => temp.to_owned(),
                (TEMP_ALIAS, None) => continue,
                _ => item,
            };
            if !schemas.contains(&schema) {
                schemas.push(schema);
            }
        }
        if !schemas.iter().any(|schema| schema == SYSTEM) {
            schemas.insert(0, SYSTEM.to_owned());
        }
        if let Some(temp) = temp
            && !schemas.iter().any(|schema| schema == temp)
        {
            schemas.insert(0, temp.to_owned());
        }
        Some(Self {
            schemas: schemas.into(),
            temp: temp.map(Arc::from),
        })
    }

    /// The path under which stored definitions are read: `pg_catalog` alone.
    pub fn system() -> Self {
        Self {
            schemas: [SYSTEM.to_owned()].into(),
            temp: None,
        }
    }

    /// The path under which the stored definition of something in a schema is read. What is temporary may name what is of its own
    /// schema without one, where the system has nothing of that name: another session writes the definition down, to which that
    /// schema is a schema like any other.
    pub fn within(schema: &str) -> Self {
        if !schema.starts_with(TEMPORARY) {
            return Self::system();
        }
        Self {
            schemas: [SYSTEM.to_owned(), schema.to_owned()].into(),
            temp: Some(Arc::from(schema)),
        }
    }

    /// Schemas in the order of search.
    pub fn schemas(&self) -> &[String] {
        &self.schemas
    }

    /// What a schema name means: `pg_temp` is the session's own.
    pub fn schema<'a>(&'a self, name: &'a str) -> &'a str {
        match &self.temp {
            Some(temp) if name == TEMP_ALIAS => temp,
            _ => name,
        }
    }
}

/// Splits a list of identifiers as `SplitIdentifierString` does: quoted ones keep their case, others are folded.
fn identifiers(list: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = list.trim_start();
    if rest.is_empty() {
        return Some(found);
    }
    loop {
        let (name, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_name(quoted)?
        } else {
            plain_name(rest)?
        };
        found.push(name);
        let tail = tail.trim_start();
        match tail.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return tail.is_empty().then_some(found),
        }
    }
}

fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, tail) = rest.split_once('"')?;
        name.push_str(part);
        match tail.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((name, tail)),
        }
    }
}

fn plain_name(text: &str) -> Option<(String, &str)> {
    let end = text
        .find(|c: char| c == ',' || c.is_ascii_whitespace())
        .unwrap_or(text.len());
    let (name, tail) = text.split_at_checked(end)?;
    (!name.is_empty()).then(|| (name.to_ascii_lowercase(), tail))
}
