//! Temporary tables that concern nobody but the session that made them. Applications make them all the time, and nobody else's
//! knowledge of the catalog may move with them.
//!
//! Left out of what sessions share are only those that nothing else can be reached through: every column is of a type of
//! PostgreSQL's own, and no cast or operator class is about their rows, so that these as a type hold no code; they have no rules,
//! triggers, policies, parents or children, and no view reads them. Whatever else is temporary is shared as before. What their
//! owner has to know of them, [`own`](super::own) asks its backend for; to others a name of theirs is unknown, which is never safe.

use super::{EXPRESSIONS, OWN_TEMP, PARENTS, TYPES, filled, hanging};

/// Tables and sequences that are left out, with the table of their long values and their row type. One called `text` or `varchar`
/// stays: a cast to PostgreSQL's own type could mean it.
const PLAIN: &str = "SELECT p.oid, p.reltoastrelid, p.reltype FROM pg_catalog.pg_class p \
     WHERE p.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog.\"char\" \
     AND p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND p.relkind OPERATOR(pg_catalog.=) ANY ('{r,S}'::pg_catalog.\"char\"[]) \
     AND NOT p.relhasrules AND NOT p.relhastriggers AND NOT p.relhassubclass AND NOT p.relrowsecurity \
     AND p.relname OPERATOR(pg_catalog.<>) ALL ('{text,varchar}'::pg_catalog.name[]) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid OPERATOR(pg_catalog.=) p.oid) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy g WHERE g.polrelid OPERATOR(pg_catalog.=) p.oid) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) p.oid \
     AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.refobjid OPERATOR(pg_catalog.=) p.oid \
     AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass) \
     AND p.reltype OPERATOR(pg_catalog.<>) ALL (ARRAY(SELECT unnest.t FROM pg_catalog.pg_cast c \
     JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) c.castsource OR y.oid OPERATOR(pg_catalog.=) c.casttarget, \
     LATERAL (VALUES (y.oid), (y.typelem)) unnest(t) WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND unnest.t OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid UNION ALL SELECT o.opcintype FROM pg_catalog.pg_opclass o WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))";

/// Begins a question that [`besides`] stands in. Relations and types are numbered apart. No number is 0, which is what the
/// constraint of a domain has in place of a relation.
pub(super) fn known_to_one() -> String {
    format!(
        "WITH plain AS MATERIALIZED ({PLAIN}), heaps(oid) AS MATERIALIZED (SELECT plain.oid FROM plain \
         UNION ALL SELECT plain.reltoastrelid FROM plain WHERE plain.reltoastrelid OPERATOR(pg_catalog.>) 0::pg_catalog.oid), \
         relations(oid) AS MATERIALIZED (SELECT heaps.oid FROM heaps UNION ALL SELECT i.indexrelid FROM pg_catalog.pg_index i \
         WHERE i.indrelid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT heaps.oid FROM heaps))), \
         types(oid) AS MATERIALIZED (SELECT y.oid FROM pg_catalog.pg_type y \
         WHERE y.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT plain.reltype FROM plain)) \
         UNION ALL SELECT y.typarray FROM pg_catalog.pg_type y \
         WHERE y.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT plain.reltype FROM plain)))"
    )
}

/// Rows of one catalog that do not belong to what is left out, after [`known_to_one`].
pub(super) fn besides(table: &str) -> String {
    let (among, column) = match table {
        "pg_class" => ("relations", "oid"),
        "pg_attribute" => ("relations", "attrelid"),
        "pg_attrdef" => ("relations", "adrelid"),
        "pg_constraint" => ("relations", "conrelid"),
        "pg_statistic_ext" => ("relations", "stxrelid"),
        "pg_type" => ("types", "oid"),
        // Made with a session's first temporary object, and nothing that the door keeps of them changes.
        "pg_namespace" => return "AND nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_[0-9]+$'".to_owned(),
        _ => return String::new(),
    };
    format!("AND NOT EXISTS (SELECT FROM {among} one WHERE one.oid OPERATOR(pg_catalog.=) {table}.{column})")
}

/// Relations `c` that are not left out.
pub(super) fn shared_relations() -> String {
    format!("AND NOT EXISTS (SELECT FROM ({PLAIN}) one WHERE one.oid OPERATOR(pg_catalog.=) c.oid)")
}

/// Types `t` that are not left out.
pub(super) fn shared_types() -> String {
    format!(
        "AND NOT EXISTS (SELECT FROM ({PLAIN}) one WHERE one.oid OPERATOR(pg_catalog.=) t.typrelid) \
         AND NOT EXISTS (SELECT FROM ({PLAIN}) one WHERE one.reltype OPERATOR(pg_catalog.=) t.typelem \
         AND t.typelem OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)"
    )
}

/// What belongs to the relations of the session's own temporary schema: parents and constraints, their rows as types, and
/// expressions. Code that is found by name is in no temporary schema, or shared.
///
/// Expressions are printed under whatever path there is: what they call of users is told without their text.
pub(super) fn more() -> String {
    let parents = format!(
        "SELECT p.one, p.other, p.way, p.name FROM ({PARENTS}) p(one, other, way, name) WHERE {} UNION ALL {}",
        owned("p.one"),
        hanging::on(&own())
    );
    // None that is over another type: the shared catalog has those with what they are over.
    let types = format!(
        "{TYPES} AND t.oid OPERATOR(pg_catalog.=) ANY (ARRAY(\
         SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid {OWN_TEMP} \
         UNION ALL SELECT y.typarray FROM pg_catalog.pg_type y \
         JOIN pg_catalog.pg_class c ON c.reltype OPERATOR(pg_catalog.=) y.oid {OWN_TEMP}))"
    );
    let expressions = format!(
        "{} AND x.way OPERATOR(pg_catalog.<>) 't'::pg_catalog.text AND {}",
        filled(EXPRESSIONS),
        owned("x.owner")
    );
    format!("{parents}; {types}; {expressions}; SELECT 0 LIMIT 0")
}

/// Whether this is a relation of the session's temporary schema. An array, unlike a sub-select, leads to rows by index.
pub(super) fn owned(column: &str) -> String {
    format!("{column} OPERATOR(pg_catalog.=) ANY (ARRAY({}))", own())
}

fn own() -> String {
    format!(
        "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid {OWN_TEMP}"
    )
}
