//! A target that nobody asks: its relations are what is declared of them, and what names seem to mean.
//!
//! A name is that of a table of schema `public`, or of PostgreSQL's own, and has the columns that the text and masking rules name.
//! Whether it is so, only a door finds out.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_policy::Policy;
use sallyport_policy::catalog::{Column, Oid, Relation, RelationKind, SearchPath, Snapshot};
use sallyport_policy::sql::{RelationRef, Statement};

/// What is declared of a target: columns by `schema.table`. Of a table without columns none are known.
pub type Tables = BTreeMap<String, Vec<String>>;

/// PostgreSQL's `text`.
const TEXT: Oid = 25;
/// OIDs of users' own relations begin here.
const FIRST: Oid = 16_384;
/// Schemas that hold PostgreSQL's own.
const SYSTEM: [&str; 2] = ["pg_catalog", "information_schema"];

/// Views of `pg_catalog`, beside those whose names begin as [`STATISTICS_VIEWS`] do.
const VIEWS: [&str; 38] = [
    "pg_aios",
    "pg_available_extension_versions",
    "pg_available_extensions",
    "pg_backend_memory_contexts",
    "pg_config",
    "pg_cursors",
    "pg_dsm_registry_allocations",
    "pg_file_settings",
    "pg_group",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_indexes",
    "pg_locks",
    "pg_matviews",
    "pg_policies",
    "pg_prepared_statements",
    "pg_prepared_xacts",
    "pg_publication_tables",
    "pg_replication_origin_status",
    "pg_replication_slots",
    "pg_roles",
    "pg_rules",
    "pg_seclabels",
    "pg_sequences",
    "pg_settings",
    "pg_shadow",
    "pg_shmem_allocations",
    "pg_shmem_allocations_numa",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_tables",
    "pg_timezone_abbrevs",
    "pg_timezone_names",
    "pg_user",
    "pg_user_mappings",
    "pg_views",
    "pg_wait_events",
];
const STATISTICS_VIEWS: [&str; 2] = ["pg_stat_", "pg_statio_"];

/// Statistics of the planner, with one of the columns that hold values of other columns.
const STATISTICS: [(&str, &str); 5] = [
    ("pg_statistic", "stavalues1"),
    ("pg_statistic_ext_data", "stxdexpr"),
    ("pg_stats", "most_common_vals"),
    ("pg_stats_ext", "most_common_vals"),
    ("pg_stats_ext_exprs", "most_common_vals"),
];

/// What is known of a target.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// What is declared.
    pub declared: &'a Tables,
    /// What a door said that the text touches, as `schema.table`: what it names is among that.
    pub recorded: Option<&'a [String]>,
}

// === impl Target ===

impl<'a> Target<'a> {
    /// The catalog, as far as the rules and the statements tell of it.
    pub fn catalog(&self, policy: &Policy, statements: &[&Statement]) -> Snapshot {
        let mut tables = self.declared.clone();
        let named: BTreeSet<&str> = statements.iter().flat_map(|one| one.column_names()).collect();
        let relations = statements.iter().flat_map(|statement| &statement.relations);
        let places = relations.map(|relation| self.place(relation));
        for place in places.chain(self.recorded.unwrap_or_default().iter().cloned()) {
            tables.entry(place).or_default();
        }
        for (table, columns) in tables.iter_mut().filter(|(table, _)| !self.is_declared(table)) {
            columns.extend(named.iter().map(|name| (*name).to_owned()));
            let system = table.strip_prefix("pg_catalog.");
            let statistics = STATISTICS.iter().filter(|(name, _)| system == Some(*name));
            columns.extend(statistics.map(|(_, column)| (*column).to_owned()));
        }
        // What a rule names is there. Of a pattern it is not known where: no text names the table that stands for it.
        let rules = policy.masks().rules().iter();
        let globs: Vec<String> = rules.flat_map(|rule| &rule.columns).map(ToString::to_string).collect();
        for (table, column) in globs.iter().filter_map(|glob| glob.rsplit_once('.')) {
            if !self.is_declared(table) {
                tables.entry(table.to_owned()).or_default().push(column.to_owned());
            }
        }
        let (system, own): (Vec<_>, Vec<_>) = tables
            .iter()
            .filter_map(|(name, columns)| Some((name.split_once('.')?, columns)))
            .partition(|((schema, _), _)| SYSTEM.contains(schema));
        let numbered = (1..).zip(system).chain((FIRST..).zip(own));
        let relations = numbered.map(|(oid, ((schema, name), columns))| relation(oid, schema, name, columns));
        Snapshot::new(relations.collect())
    }

    /// Where names without a schema are looked up: in schemas of which something was recorded, then in `public`.
    pub fn path(&self) -> SearchPath {
        let mut schemas = vec!["pg_catalog".to_owned()];
        let recorded = self.recorded.unwrap_or_default().iter();
        let recorded = recorded
            .filter_map(|table| table.split_once('.'))
            .map(|(schema, _)| schema);
        for schema in recorded.chain(["public"]) {
            if !schemas.iter().any(|known| known == schema) {
                schemas.push(schema.to_owned());
            }
        }
        SearchPath::effective(schemas, None)
    }

    /// Schemas in which a relation of this name was recorded.
    pub fn recorded_as<'s>(&self, name: &'s str) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        let parts = self
            .recorded
            .unwrap_or_default()
            .iter()
            .filter_map(|table| table.split_once('.'));
        parts.filter(move |(_, table)| *table == name).map(|(schema, _)| schema)
    }

    /// Which relations of users a statement names that are taken for tables, and whether their columns are declared.
    pub fn taken_for_tables(&self, statements: &[&Statement]) -> BTreeMap<String, bool> {
        let relations = statements.iter().flat_map(|statement| &statement.relations);
        let places = relations.map(|relation| self.place(relation));
        let own = places.filter(|place| !SYSTEM.iter().any(|schema| is_in(place, schema)));
        let known = own.map(|place| (self.is_declared(&place), place));
        known.map(|(known, place)| (place, known)).collect()
    }

    /// Whether its columns are.
    fn is_declared(&self, table: &str) -> bool {
        self.declared.get(table).is_some_and(|columns| !columns.is_empty())
    }

    /// Where a name seems to lead, as `schema.table`.
    fn place(&self, relation: &RelationRef) -> String {
        let name = &relation.name;
        let public = format!("public.{name}");
        match (&relation.schema, self.recorded_as(name).next()) {
            (Some(schema), _) => format!("{schema}.{name}"),
            (None, Some(schema)) => format!("{schema}.{name}"),
            // The view of an extension is no view of PostgreSQL's own.
            (None, None) if !name.starts_with("pg_") || name.starts_with("pg_stat_statements") => public,
            (None, None) if self.declared.contains_key(&public) => public,
            (None, None) => format!("pg_catalog.{name}"),
        }
    }
}

fn is_in(place: &str, schema: &str) -> bool {
    place.split_once('.').is_some_and(|(own, _)| own == schema)
}

fn relation(oid: Oid, schema: &str, name: &str, columns: &[String]) -> Relation {
    let begins = |begin: &&str| name.starts_with(*begin);
    let view = match schema {
        "information_schema" => true,
        "pg_catalog" => VIEWS.contains(&name) || STATISTICS_VIEWS.iter().any(begins),
        _ => false,
    };
    let mut names: Vec<&String> = Vec::new();
    for name in columns {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let columns = (1..).zip(names).map(|(attnum, name)| Column {
        attnum,
        name: name.clone(),
        type_oid: TEXT,
        generated: None,
    });
    Relation {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: if view { RelationKind::View } else { RelationKind::Table },
        columns: columns.collect(),
        ..Relation::default()
    }
}
