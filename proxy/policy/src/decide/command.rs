//! What is asked, as data.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::catalog::{Catalog, Code, Oid, Relation, RelationKind, SearchPath};
use crate::mask::ProtectedColumns;
use crate::sql::{
    Access, CASCADES, Denied, Lineage, NOT_FOLLOWED, SAMPLED, Statement, Verb, Verbs, chooses_rows, only_tells,
};

/// The longest command, text and parameters together, that an approver can be asked about, in bytes. A harmless beginning
/// must not stand for what follows it.
pub const MAX_HELD: usize = 32 * 1024;

/// The most parameters that an approver can be asked to read: as many as an AccessRequest shows. One that is not shown is
/// one that nobody approved.
pub const MAX_SHOWN: usize = 256;

/// How a setting is called whose name cannot be seen.
pub(super) const ANY_SETTING: &str = "*";

/// The value of a bound parameter, as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// NULL.
    Null,
    /// The text that PostgreSQL reads it from, to the letter: of a number as of a name.
    Text(String),
    /// There is one, and nobody here can say what it is.
    Unreadable,
}

/// One command, as the rules see it. Made from a statement by [`Command::of`]; the caller fills in what a parse tree does
/// not know: resolved names, parameters, the session.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// `postgresql`; other protocols have words of their own.
    pub protocol: &'static str,
    /// The exact text.
    pub text: Arc<str>,
    /// The database.
    pub database: String,
    /// What it does.
    pub verbs: Verbs,
    /// Relations that it touches, after [`Command::resolve`] as `schema.table`, closed over views, rules, partitions and what these
    /// are partitions or children of.
    pub tables: Vec<String>,
    /// Those of them that it writes or changes, closed over what a view writes to, partitions, children, rows that follow by
    /// foreign keys, and parents.
    pub written: Vec<String>,
    /// Columns that it names, resolved, as `schema.table.column`.
    pub columns: Vec<String>,
    /// Functions that it calls, as written.
    pub functions: Vec<String>,
    /// What nobody can see into (see [`Statement::opaque`]); also a name that could not be resolved. Of what is here,
    /// [`Command::hidden`] may change something.
    pub opaque: Vec<String>,
    /// What relations it reaches that neither its text nor the catalog tells: what CASCADE takes along, or what a name means
    /// that an earlier statement of its unit may have changed.
    pub beyond: Option<&'static str>,
    /// Reasons to refuse it whatever the rules say.
    pub denied: Vec<Denied>,
    /// Settings that it changes; `*` for one whose name cannot be seen.
    pub settings: Vec<String>,
    /// See [`Statement::has_where`].
    pub has_where: bool,
    /// See [`Statement::is_read`].
    pub read_only: bool,
    /// Whether nothing in it is seen to write or to lock rows, whatever hides.
    pub reads: bool,
    /// Whether a protected column stands anywhere in it.
    pub protected: bool,
    /// Whether the text reads differently under the two settings of `standard_conforming_strings`.
    pub ambiguous: bool,
    /// Whether a transaction is open.
    pub in_transaction: bool,
    /// How many parameters are bound.
    pub parameters: usize,
    /// Their values, where some rule asks for them (see [`Policy::reads_parameters`](crate::Policy::reads_parameters)). A rule
    /// that reads them while they are not all here, or not readable, cannot be evaluated.
    pub values: Vec<Parameter>,
    /// How long they are together, in bytes.
    pub parameter_bytes: usize,
    /// How many rows the target's statistics count in the tables whose rows it changes, or, where it changes none, in those
    /// that it reads; whatever its conditions. `None` where they say nothing.
    pub rows: Option<u64>,
    /// The moment of the decision, in seconds since 1970, by the caller's clock.
    pub at: i64,
}

// === impl Command ===

impl Command {
    /// The command of one statement of a text. Relations are listed as written until the caller resolves them.
    pub fn of(statement: &Statement, script: &str) -> Self {
        let mut command = Self {
            protocol: "postgresql",
            text: statement.text(script).into(),
            read_only: true,
            reads: true,
            ..Self::default()
        };
        command.absorb(statement);
        command
    }

    /// Adds what another statement does: the one that EXECUTE or FETCH names, or the other reading of the same text. What
    /// makes either stricter holds for both.
    pub fn absorb(&mut self, other: &Statement) {
        const WITH_CONDITION: [Verb; 4] = [Verb::Select, Verb::Update, Verb::Delete, Verb::Merge];
        // EXECUTE and FETCH have no condition of their own: that of what they name counts.
        let changes = other.verbs.any(&[Verb::Update, Verb::Delete, Verb::Merge]);
        self.has_where = match self.verbs.any(&WITH_CONDITION) {
            true => self.has_where && (other.has_where || !changes),
            false => other.has_where,
        };
        self.verbs.extend(other.verbs);
        self.denied.extend(other.denied.iter().cloned());
        // What may yet be told is not the last word.
        self.beyond = match (self.beyond, other.beyond) {
            (Some(CASCADES), Some(more)) => Some(more),
            (own, more) => own.or(more),
        };
        self.opaque.extend(other.opaque.iter().cloned());
        self.functions.extend(other.functions.iter().map(ToString::to_string));
        for relation in &other.relations {
            push(&mut self.tables, relation.to_string());
            if relation.access != Access::Read {
                push(&mut self.written, relation.to_string());
            }
        }
        for setting in &other.settings {
            push(
                &mut self.settings,
                setting.name.clone().unwrap_or_else(|| ANY_SETTING.to_owned()),
            );
        }
        self.read_only &= other.is_read();
        self.reads &= other.reads();
    }

    /// Puts resolved names in the place of written ones, by the lineage of a statement and the catalog it was made with, and
    /// adds what lineage found: columns, views' own relations, what cannot be seen into. Names that the catalog does not
    /// know stay as they were written, and where they should exist, they are opaque. Call it once for each statement that
    /// [`Command::of`] and [`Command::absorb`] were given.
    pub fn resolve(
        &mut self,
        statement: &Statement,
        lineage: &Lineage,
        catalog: &dyn Catalog,
        path: &SearchPath,
        protected: &ProtectedColumns,
    ) {
        self.vouch(statement, catalog.code());
        // What becomes of such a type runs its code, and nobody is asked about it where rows are written.
        let made_of = statement.made_of().into_iter();
        for name in made_of.filter(|name| catalog.code().has_type(name)) {
            push(&mut self.opaque, format!("type {name}"));
        }
        self.deny_catalogs(statement, lineage, catalog, path);
        self.has_where = self.has_where && chooses_rows(statement, catalog, path);
        let (mut named, mut touched) = (lineage.written.clone(), lineage.relations.clone());
        for written in &statement.relations {
            let found = catalog.resolve(path, written.schema.as_deref(), &written.name);
            let Some(relation) = found else {
                if written.access != Access::Define {
                    push(&mut self.opaque, format!("relation {written}"));
                }
                continue;
            };
            replace(&mut self.tables, &written.to_string(), relation.qualified());
            touched.insert(relation.oid);
            if written.access != Access::Read {
                replace(&mut self.written, &written.to_string(), relation.qualified());
                named.insert(relation.oid);
            }
        }
        let name = |oid: &Oid| catalog.relation(*oid).map(Relation::qualified);
        with_parents(touched, catalog)
            .iter()
            .filter_map(name)
            .for_each(|name| push(&mut self.tables, name));
        self.cascade(statement, lineage, protected);
        if lineage.any && statement.reads() {
            self.reach_beyond(self.beyond.or(Some(SAMPLED)));
        }
        named.extend(lineage.taken.iter().flat_map(|taken| &taken.relations));
        let reached = lineage.reached(&named, statement.verbs, catalog);
        for name in with_parents(reached, catalog).iter().filter_map(name) {
            push(&mut self.tables, name.clone());
            push(&mut self.written, name);
        }
        let fallen = lineage.taken.iter().flat_map(|taken| &taken.columns);
        for id in lineage.touched.iter().chain(fallen) {
            let Some(relation) = catalog.relation(id.relation) else {
                continue;
            };
            let Some(column) = relation.columns.iter().find(|column| column.attnum == id.column) else {
                continue;
            };
            let all = with_parents([relation.oid].into(), catalog);
            let all = all.iter().filter_map(|oid| catalog.relation(*oid));
            for relation in all.filter(|one| one.column(&column.name).is_some()) {
                push(&mut self.columns, format!("{}.{}", relation.qualified(), column.name));
            }
        }
        lineage
            .fields
            .iter()
            .for_each(|name| push(&mut self.functions, name.clone()));
        lineage
            .opaque
            .iter()
            .for_each(|what| push(&mut self.opaque, what.clone()));
        self.protected |= !lineage.touched_rules(protected).is_empty();
        self.reads &= !lineage.locks;
        self.read_only &= self.opaque.iter().all(|what| only_tells(what)) && !lineage.locks;
    }

    /// Notes whether the catalog tells what CASCADE takes along.
    fn cascade(&mut self, statement: &Statement, lineage: &Lineage, protected: &ProtectedColumns) {
        let unsaid = self.beyond.is_none_or(|words| words == CASCADES);
        match &lineage.taken {
            Some(taken) => self.protected |= taken.columns.iter().any(|column| protected.rules_of(*column).is_some()),
            None if statement.cascades() && unsaid => self.beyond = Some(NOT_FOLLOWED),
            None => {}
        }
    }

    /// Takes what the catalog told of a CASCADE for all that there is, after [`Command::resolve`]: the caller knows that the catalog is
    /// whole and fresh, so that what is not there does not exist, and that it has read what hangs on what.
    pub fn trust_cascade(&mut self, lineage: &Lineage) {
        if lineage.taken.is_some() && self.beyond == Some(CASCADES) {
            self.beyond = None;
        }
    }

    /// Notes that it reaches relations that nobody can tell. Samples of tables are the least of that.
    pub fn reach_beyond(&mut self, beyond: Option<&'static str>) {
        let graver = self.beyond.filter(|words| *words != SAMPLED);
        self.beyond = graver.or(beyond).or(self.beyond);
    }

    /// Refuses to change rows of PostgreSQL's own catalogs, also through views.
    fn deny_catalogs(&mut self, statement: &Statement, lineage: &Lineage, catalog: &dyn Catalog, path: &SearchPath) {
        let changed = statement.relations.iter().filter(|one| one.access == Access::Write);
        let meant = changed.flat_map(|one| {
            let schema = one.schema.as_deref();
            // What stands before it in the path may be gone behind other statements.
            let own = catalog.resolve(&SearchPath::system(), schema.or(Some("pg_catalog")), &one.name);
            [own, catalog.resolve(path, schema, &one.name)]
        });
        let named: BTreeSet<Oid> = meant.flatten().map(|relation| relation.oid).collect();
        if named.is_empty() {
            return;
        }
        let reached = lineage.reached(&named, statement.verbs, catalog);
        let found = reached.iter().filter_map(|oid| catalog.relation(*oid));
        let catalogs = found.filter(|relation| relation.is_catalog());
        self.denied
            .extend(catalogs.map(|relation| Denied::of_catalog(&relation.qualified())));
    }

    /// Drops what was opaque by its name, and is known by the extension that it came with. What makes code is left as it is: it
    /// names functions in other places than calls.
    fn vouch(&mut self, statement: &Statement, code: &Code) {
        if statement.opaque.is_empty() || statement.makes_code() {
            return;
        }
        let (mut known, mut strange) = (BTreeSet::new(), BTreeSet::new());
        for called in &statement.functions {
            let (schema, name) = (called.schema.as_deref(), called.name.as_str());
            for (kind, vouched) in [
                ("function", code.vouches_for_function(schema, name)),
                ("operator", code.vouches_for_operator(schema, name)),
            ] {
                // Two names may be written alike, if one has a dot in it.
                let named = if vouched { &mut known } else { &mut strange };
                named.insert(format!("{kind} {called}"));
            }
        }
        if !known.is_empty() {
            self.keep_opaque(|what| !known.contains(what) || strange.contains(what));
        }
    }

    /// Drops of what is opaque all but what holds.
    pub fn keep_opaque(&mut self, holds: impl Fn(&str) -> bool) {
        self.opaque.retain(|what| holds(what));
        self.read_only = self.reads && self.opaque.iter().all(|what| only_tells(what));
    }

    /// Adds how many rows the target's statistics (`counted`, by OID) know in the tables of a statement. A condition may
    /// choose few of them: only a plan could tell, and making one runs user code.
    pub fn expect(&mut self, lineage: &Lineage, catalog: &dyn Catalog, counted: &HashMap<Oid, u64>) {
        let changes = self
            .verbs
            .any(&[Verb::Update, Verb::Delete, Verb::Merge, Verb::Truncate]);
        let mut todo: Vec<Oid> = match changes {
            true => {
                let taken = lineage.taken.iter().flat_map(|taken| &taken.relations);
                lineage.written.iter().chain(taken).copied().collect()
            }
            false => lineage.relations.difference(&lineage.written).copied().collect(),
        };
        let mut seen = BTreeSet::new();
        let mut rows: Option<u64> = None;
        while let Some(oid) = todo.pop() {
            if !seen.insert(oid) {
                continue;
            }
            let children = catalog.children(oid);
            todo.extend(children);
            // A partitioned table's own number is that of its partitions.
            let partitioned = catalog
                .relation(oid)
                .is_some_and(|relation| relation.kind == RelationKind::PartitionedTable);
            if let Some(more) = counted.get(&oid).filter(|_| !partitioned) {
                rows = Some(rows.unwrap_or_default().saturating_add(*more));
            }
        }
        self.rows = self.rows.max(rows);
    }

    /// What in it nobody can see into and may do anything: all that is opaque but PostgreSQL's own views and functions that
    /// only tell, and what comes with writing to a table. Triggers and their like are there by the hand of whoever owns the
    /// schema, on tables that everybody writes to, and whoever makes one is judged for that. A rule of PostgreSQL puts statements on
    /// other tables in the place of what is written or beside it, and is none of them.
    pub fn hidden(&self) -> Vec<&str> {
        const KNOWN: [&str; 8] = [
            "view ",
            "system function ",
            "triggers of ",
            "event trigger ",
            "expressions of ",
            "policies of ",
            "types of ",
            "foreign table ",
        ];
        let mut hidden: Vec<&str> = Vec::new();
        for what in &self.opaque {
            let known = KNOWN.iter().any(|kind| what.starts_with(kind));
            if !known && !hidden.contains(&what.as_str()) {
                hidden.push(what);
            }
        }
        hidden
    }

    /// Bytes that an approver would have to read.
    pub fn size(&self) -> usize {
        self.text.len().saturating_add(self.parameter_bytes)
    }
}

/// These relations, and what they are partitions or children of: a row of theirs is one of their parents'.
fn with_parents(mut relations: BTreeSet<Oid>, catalog: &dyn Catalog) -> BTreeSet<Oid> {
    let mut todo: Vec<Oid> = relations.iter().copied().collect();
    while let Some(oid) = todo.pop() {
        let parents = catalog.relation(oid).into_iter().flat_map(|relation| &relation.parents);
        todo.extend(parents.filter(|parent| relations.insert(**parent)));
    }
    relations
}

/// Puts a resolved name in the place of the written one. Of two statements that write it alike, the second adds.
fn replace(list: &mut Vec<String>, written: &str, resolved: String) {
    if written != resolved {
        list.retain(|name| name != written);
    }
    push(list, resolved);
}

fn push(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}
