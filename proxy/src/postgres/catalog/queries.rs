//! The questions. Every name is qualified: a temporary table called pg_class would shadow the
//! catalog, and an operator `=` of a schema before pg_catalog in the path would stand for PostgreSQL's own.

/// Where the write-ahead log stands: while it has not moved, no catalog has changed.
pub(super) const POSITION: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() \
     THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END";

/// A digest over every row version that a snapshot is made of: it moves when any of them is replaced.
pub(super) const DIGEST: &str = "SELECT \
     (SELECT pg_catalog.count(*)::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(oid::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) xmin::pg_catalog.text, 0)), 0)::pg_catalog.text FROM pg_catalog.pg_class), \
     (SELECT pg_catalog.count(*)::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(attrelid::pg_catalog.text OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) attnum::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) xmin::pg_catalog.text, 0)), 0)::pg_catalog.text FROM pg_catalog.pg_attribute), \
     (SELECT pg_catalog.count(*)::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(oid::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) xmin::pg_catalog.text, 0)), 0)::pg_catalog.text FROM pg_catalog.pg_rewrite), \
     (SELECT pg_catalog.count(*)::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(inhrelid::pg_catalog.text OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) inhparent::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) xmin::pg_catalog.text, 0)), 0)::pg_catalog.text FROM pg_catalog.pg_inherits), \
     (SELECT pg_catalog.count(*)::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(oid::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) xmin::pg_catalog.text, 0)), 0)::pg_catalog.text FROM pg_catalog.pg_namespace), \
     (SELECT pg_catalog.count(*)::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(oid::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) xmin::pg_catalog.text, 0)), 0)::pg_catalog.text FROM pg_catalog.pg_type)";

/// Relations: OID, schema, name, kind, whether it has rules or triggers, and the definition of a view.
///
/// `{definition}` is [`DEFINITION`] or NULL; `{where}` restricts them.
const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, \
     (c.relhastriggers OR (c.relhasrules AND c.relkind OPERATOR(pg_catalog.<>) ALL ('{v,m}'::pg_catalog.\"char\"[]))), {definition} \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[]) {where}";

/// Definitions of the system's own views are left out: what is behind them (statistics, activity) counts as unknown.
const DEFINITION: &str = "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.\"char\"[]) \
     AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[]) \
     THEN pg_catalog.pg_get_viewdef(c.oid) END";

/// Columns: relation, number, name, type, and the expression of a generated one.
const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, \
     CASE WHEN a.attgenerated OPERATOR(pg_catalog.<>) '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END \
     FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid \
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum \
     WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,c}'::pg_catalog.\"char\"[]) {where} \
     ORDER BY a.attrelid, a.attnum";

/// Children and parents.
const PARENTS: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits";

/// Types that are not built in: OID, kind, category, base of a domain, element of an array, subtype of a range.
const TYPES: &str = "SELECT t.oid, t.typtype, t.typcategory, t.typbasetype, t.typelem, \
     (SELECT r.rngsubtype FROM pg_catalog.pg_range r \
      WHERE r.rngtypid OPERATOR(pg_catalog.=) t.oid OR r.rngmultitypid OPERATOR(pg_catalog.=) t.oid LIMIT 1) \
     FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.>=) 16384";

/// Schemas that unqualified names are looked up in, the session's temporary schema, and whether it is another role now.
const PATH: &str = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))";
const TEMP: &str = "SELECT nspname FROM pg_catalog.pg_namespace WHERE oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()";
const PREPARED: &str = "SELECT name, statement FROM pg_catalog.pg_prepared_statements WHERE from_sql";
/// What belongs to the session's temporary schema.
const OWN_TEMP: &str = "AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()";

/// A whole catalog, as of one moment. `definitions`: whether views are read, too, which waits for locks on them.
pub(super) fn snapshot(definitions: bool) -> String {
    format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}; COMMIT", relations(definitions, ""))
}

/// The session's own knowledge: path, temporary schema, statements prepared by SQL, then relations and columns: all of
/// them after its own uncommitted DDL, else those of the temporary schema.
pub(super) fn own(all: bool) -> String {
    let filter = if all { "" } else { OWN_TEMP };
    format!("{PATH}; {TEMP}; {PREPARED}; {}", relations(true, filter))
}

fn relations(definitions: bool, filter: &str) -> String {
    let definition = if definitions { DEFINITION } else { "NULL" };
    let relations = RELATIONS.replace("{definition}", definition).replace("{where}", filter);
    let columns = COLUMNS.replace("{where}", filter);
    format!("{relations}; {columns}; {PARENTS}; {TYPES}")
}
