//! The questions. Every name is qualified: a temporary table called pg_class would shadow the
//! catalog, and an operator `=` of a schema before pg_catalog in the path would stand for PostgreSQL's own.

mod temporary;

use std::collections::BTreeSet;

use sallyport_policy::catalog::Oid;

/// Where the write-ahead log stands, and whose work can be seen: while neither has moved, no catalog has changed. A commit is
/// in the log before anybody sees it, for as long as it waits for the disk and for standbys. A standby has replayed a commit
/// before it says so.
///
/// Nothing here is a cast, which a database may have of its own.
pub const POSITION: &str = "(CASE WHEN pg_catalog.pg_is_in_recovery() \
     THEN pg_catalog.concat(pg_catalog.pg_last_wal_replay_lsn()) \
     ELSE pg_catalog.concat(pg_catalog.pg_current_wal_insert_lsn(), ' ', pg_catalog.pg_current_snapshot()) END)";

/// A digest over every row version that a snapshot is made of: it moves when any of them is replaced.
///
/// Rows of the system's own objects are left out, which keeps it cheap: their columns and types cannot change while a server
/// runs, and what their views are defined as counts as unknown in any case. So are those of [temporary tables](temporary) that
/// are their session's own matter.
///
/// The first column is that of schemas alone.
pub(super) fn digest() -> String {
    let by_oid = [
        "pg_namespace",
        "pg_class",
        "pg_rewrite",
        "pg_type",
        "pg_trigger",
        "pg_proc",
        "pg_operator",
        "pg_cast",
        "pg_attrdef",
        "pg_constraint",
        "pg_policy",
        "pg_statistic_ext",
        "pg_opclass",
        "pg_event_trigger",
    ];
    let mut each: Vec<String> = by_oid
        .iter()
        .map(|table| {
            let key = "oid::pg_catalog.int8";
            digest_of(&digested(table, "oid"), key, "0")
        })
        .collect();
    each.push(digest_of(
        &digested("pg_attribute", "attrelid"),
        "attrelid::pg_catalog.int8",
        "attnum::pg_catalog.int8",
    ));
    each.push(digest_of(
        "pg_inherits",
        "inhrelid::pg_catalog.int8",
        "inhparent::pg_catalog.int8",
    ));
    format!("{} SELECT {}", temporary::known_to_one(), each.join(", "))
}

/// The rows of a catalog that count.
fn digested(table: &str, column: &str) -> String {
    format!("{table} {} {}", own_objects(column), temporary::besides(table))
}

/// Not the system's own: the first OID that is given to anything else.
fn own_objects(column: &str) -> String {
    format!("WHERE {column} OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid")
}

/// Number and sum of hashes over the rows of one catalog; a row version is its key and the transaction that wrote it.
fn digest_of(table: &str, key: &str, seed: &str) -> String {
    format!(
        "(SELECT pg_catalog.array_agg(v)::pg_catalog.text FROM (SELECT pg_catalog.count(*)::pg_catalog.numeric AS n, \
         pg_catalog.sum(pg_catalog.hashint8extended({key}, pg_catalog.hashint8extended({seed}, \
         xmin::pg_catalog.text::pg_catalog.int8))) AS s FROM pg_catalog.{table}) d, \
         LATERAL (VALUES (d.n), (d.s)) AS pair(v))"
    )
}

/// The name of the question for [`footprint`]s.
const FOOTPRINT: &str = "sallyport_footprint";

/// Prepares the question for the row versions that names ($1) and relations ($2) have in the catalogs of [`digest`], found by
/// index. What is few, and no name leads to, is looked at whole: schemas, operators, casts, and checks of domains.
pub(super) fn footprint_prepared() -> String {
    let oid = "oid::pg_catalog.int8";
    let types = "ANY (ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) ANY ($2) \
         AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))";
    let own = "ANY (ARRAY(SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o \
         WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid UNION ALL SELECT c.castfunc FROM pg_catalog.pg_cast c \
         WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))";
    let by = |table: &str, column: &str, among: &str, key: &str, second: &str| {
        let found = format!("{column} OPERATOR(pg_catalog.=) {among}");
        (format!("{table} WHERE {found}"), key.to_owned(), second.to_owned())
    };
    let whole = |table: &str| {
        (
            format!("{table} {}", own_objects("oid")),
            oid.to_owned(),
            "0".to_owned(),
        )
    };
    let number = "attnum::pg_catalog.int8";
    let (child, parent) = ("inhrelid::pg_catalog.int8", "inhparent::pg_catalog.int8");
    let of = |table: &str, column: &str| by(table, column, "ANY ($2)", oid, "0");
    let looked_at = [
        by("pg_class", "relname", "ANY ($1)", oid, "0"),
        of("pg_class", "oid"),
        by(
            "pg_attribute",
            "attrelid",
            "ANY ($2)",
            "attrelid::pg_catalog.int8",
            number,
        ),
        by("pg_type", "typname", "ANY ($1)", oid, "0"),
        by("pg_type", "oid", types, oid, "0"),
        by("pg_proc", "proname", "ANY ($1)", oid, "0"),
        by("pg_proc", "oid", own, oid, "0"),
        of("pg_rewrite", "ev_class"),
        of("pg_trigger", "tgrelid"),
        of("pg_attrdef", "adrelid"),
        of("pg_constraint", "conrelid"),
        of("pg_policy", "polrelid"),
        of("pg_statistic_ext", "stxrelid"),
        by("pg_index", "indrelid", "ANY ($2)", "indexrelid::pg_catalog.int8", "0"),
        by("pg_inherits", "inhrelid", "ANY ($2)", child, parent),
        by("pg_inherits", "inhparent", "ANY ($2)", child, parent),
        (
            "pg_constraint WHERE contypid OPERATOR(pg_catalog.>) 0::pg_catalog.oid".to_owned(),
            oid.to_owned(),
            "0".to_owned(),
        ),
        whole("pg_namespace"),
        whole("pg_operator"),
        whole("pg_cast"),
        whole("pg_opclass"),
    ];
    let each: Vec<String> = looked_at
        .iter()
        .zip(1..)
        .map(|((rows, key, second), place)| {
            format!("SELECT {place}::pg_catalog.int8, {key}, {second}::pg_catalog.int8, xmin FROM pg_catalog.{rows}")
        })
        .collect();
    format!(
        "PREPARE {FOOTPRINT}(pg_catalog.name[], pg_catalog.oid[]) AS SELECT pg_catalog.concat(pg_catalog.count(*), ' ', \
         pg_catalog.sum(pg_catalog.hashint8extended(key, pg_catalog.hashint8extended(second, \
         pg_catalog.hashint8extended(place, version::pg_catalog.text::pg_catalog.int8))))) \
         FROM ({}) looked_at(place, key, second, version)",
        each.join(" UNION ALL ")
    )
}

/// The question for one footprint. No name has a quote or a backslash in it.
pub(super) fn footprint(names: &BTreeSet<&str>, relations: &BTreeSet<Oid>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let relations: Vec<String> = relations.iter().map(Oid::to_string).collect();
    format!(
        "EXECUTE {FOOTPRINT}('{{{}}}', '{{{}}}')",
        names.join(","),
        relations.join(",")
    )
}

/// What decides, beside a statement's own text and names, what the target would do: role, settings by which text and
/// values are read, and a digest over all code that it could call. Code may call other code, so all of it counts.
pub(super) fn circumstances() -> String {
    let settings = [
        "role",
        "standard_conforming_strings",
        "search_path",
        "datestyle",
        "intervalstyle",
        "timezone",
        "transform_null_equals",
        "array_nulls",
        "row_security",
        "session_replication_role",
        "xmloption",
        "lc_monetary",
        "lc_numeric",
        "default_transaction_read_only",
    ];
    let settings: Vec<String> = settings
        .iter()
        .map(|name| format!("pg_catalog.current_setting('{name}', true)"))
        .collect();
    let code = [
        "pg_proc",
        "pg_operator",
        "pg_cast",
        "pg_trigger",
        "pg_rewrite",
        "pg_policy",
        "pg_attrdef",
        "pg_constraint",
        "pg_type",
        "pg_event_trigger",
    ];
    let code: Vec<String> = code
        .iter()
        .map(|table| digest_of(table, "oid::pg_catalog.int8", "0"))
        .collect();
    format!(
        "SELECT current_user::pg_catalog.text, session_user::pg_catalog.text, {}, {}",
        settings.join(", "),
        code.join(", ")
    )
}

/// Relations that somebody else has locked, or waits to, so that reading what is defined over them would wait, too. The locks of
/// a prepared transaction are no backend's, and last until somebody ends it.
const LOCKED: &str = "WITH locked AS MATERIALIZED (SELECT l.relation FROM pg_catalog.pg_locks l \
     WHERE l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.locktype OPERATOR(pg_catalog.=) 'relation' \
     AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()) AND l.database OPERATOR(pg_catalog.=) \
     (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))";

/// Relations: OID, schema, name, kind, whether it has rules or triggers, the definition of a view, whether it has rules, and the
/// columns of its primary key.
///
/// `{definition}` says how views are read; `{where}` restricts them.
const RELATIONS: &str = "{locked} SELECT c.oid, n.nspname, c.relname, c.relkind, \
     (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal) \
      OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid \
      AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name)), {definition}, \
     EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid \
      AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name), \
     (SELECT k.indkey::pg_catalog.text FROM pg_catalog.pg_index k \
      WHERE k.indrelid OPERATOR(pg_catalog.=) c.oid AND k.indisprimary LIMIT 1) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[]) {where}";

/// Whether reading the definition of view `c` waits for nobody. It also looks up the rows that types and functions in it have the
/// columns of.
const UNLOCKED: &str = "NOT EXISTS (SELECT FROM locked WHERE locked.relation OPERATOR(pg_catalog.=) c.oid) \
     AND NOT EXISTS (SELECT FROM locked JOIN pg_catalog.pg_depend d ON d.refobjid OPERATOR(pg_catalog.=) locked.relation \
     JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) d.objid \
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
     AND r.ev_class OPERATOR(pg_catalog.=) c.oid) \
     AND (NOT EXISTS (SELECT FROM locked) OR NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r \
     JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
     AND d.objid OPERATOR(pg_catalog.=) r.oid \
     LEFT JOIN pg_catalog.pg_proc f ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
     AND f.oid OPERATOR(pg_catalog.=) d.refobjid \
     JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) (CASE \
     WHEN d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass THEN d.refobjid ELSE f.prorettype END) \
     LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) y.typelem \
     JOIN locked ON locked.relation OPERATOR(pg_catalog.=) y.typrelid OR locked.relation OPERATOR(pg_catalog.=) e.typrelid \
     WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid))";

/// Definitions of the system's own views are left out: what is behind them (statistics, activity) counts as unknown.
const DEFINITION: &str = "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.\"char\"[]) \
     AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[]) AND {unlocked} \
     THEN pg_catalog.pg_get_viewdef(c.oid) END";

/// Definitions of the views that the session's own transaction made or replaced, or that read what it gave another name. Of
/// others the shared catalog knows them. A subtransaction's number is its own, and greater than that of the transaction that it
/// is part of: what is at most as old as that may be its work. What of it cannot be read is empty, which is no definition: the
/// one that others see is another.
const OWN_DEFINITION: &str = "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.\"char\"[]) \
     AND (EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid \
     AND least(pg_catalog.age(r.xmin), pg_catalog.age(c.xmin)) OPERATOR(pg_catalog.<=) {transaction}) \
     OR c.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT r.ev_class FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) d.objid \
     WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.refobjid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT k.oid FROM pg_catalog.pg_class k \
     JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) k.relnamespace \
     WHERE least(pg_catalog.age(k.xmin), pg_catalog.age(s.xmin)) OPERATOR(pg_catalog.<=) {transaction} \
     UNION ALL SELECT a.attrelid FROM pg_catalog.pg_attribute a \
     WHERE pg_catalog.age(a.xmin) OPERATOR(pg_catalog.<=) {transaction}))))) \
     THEN CASE WHEN {unlocked} THEN pg_catalog.pg_get_viewdef(c.oid) ELSE '' END END";

/// How old the session's own transaction is.
const TRANSACTION: &str = "pg_catalog.age(pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.xid)";

/// Columns: relation, number, name, type, and the columns that a generated one is made from. Its expression would wait for locks.
/// Up to PostgreSQL 14 a generated column depended on others itself, since then its expression does.
const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, \
     CASE WHEN a.attgenerated OPERATOR(pg_catalog.<>) '' THEN pg_catalog.concat((\
     SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s.attname::pg_catalog.text), ', ') FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_attribute s ON s.attrelid OPERATOR(pg_catalog.=) d.refobjid AND s.attnum OPERATOR(pg_catalog.=) d.refobjsubid \
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.refobjid OPERATOR(pg_catalog.=) a.attrelid AND s.attnum OPERATOR(pg_catalog.<>) a.attnum \
     AND (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
     AND d.objid OPERATOR(pg_catalog.=) (SELECT e.oid FROM pg_catalog.pg_attrdef e \
     WHERE e.adrelid OPERATOR(pg_catalog.=) a.attrelid AND e.adnum OPERATOR(pg_catalog.=) a.attnum) \
     OR d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.objid OPERATOR(pg_catalog.=) a.attrelid AND d.objsubid OPERATOR(pg_catalog.=) a.attnum))) END \
     FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid \
     WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,c}'::pg_catalog.\"char\"[]) {where} \
     ORDER BY a.attrelid, a.attnum";

/// Children and parents (`i`), relations whose rows follow those of another by a foreign key (`f`), the columns by which they do
/// when a key is updated (`u`), and the constraints and unique indexes of relations, by their names (`c`).
const PARENTS: &str = "SELECT inhrelid, inhparent, 'i', NULL FROM pg_catalog.pg_inherits \
     UNION ALL SELECT conrelid, 0::pg_catalog.oid, 'c', conname FROM pg_catalog.pg_constraint \
     WHERE conrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     UNION ALL SELECT i.indrelid, 0::pg_catalog.oid, 'c', c.relname FROM pg_catalog.pg_index i \
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
     WHERE i.indisunique AND i.indrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     UNION ALL SELECT conrelid, confrelid, 'f', NULL FROM pg_catalog.pg_constraint WHERE contype OPERATOR(pg_catalog.=) 'f' \
     AND (confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[]) \
     OR confupdtype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[])) \
     UNION ALL SELECT conrelid, confrelid, 'u', pg_catalog.concat(follower, ' ', key) FROM pg_catalog.pg_constraint, \
     LATERAL ROWS FROM (pg_catalog.unnest(conkey), pg_catalog.unnest(confkey)) pair(follower, key) \
     WHERE contype OPERATOR(pg_catalog.=) 'f' AND confupdtype OPERATOR(pg_catalog.=) 'c'";

/// Types that are not built in: OID, kind, category, base of a domain, element of an array, subtype of a range, name, and the
/// relation that has the columns of a composite one.
const TYPES: &str = "SELECT t.oid, t.typtype, t.typcategory, t.typbasetype, t.typelem, \
     (SELECT r.rngsubtype FROM pg_catalog.pg_range r \
      WHERE r.rngtypid OPERATOR(pg_catalog.=) t.oid OR r.rngmultitypid OPERATOR(pg_catalog.=) t.oid LIMIT 1), t.typname, t.typrelid \
     FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.>=) 16384";

/// Expressions that run where no text names them: what they belong to, in what way (`w`: written, `p`: a policy for its rows,
/// `t`: a domain), the expression unless that would wait for a lock, whether it calls a function or an operator of users,
/// which version of which object it is, and the types that it names or casts to. pg_depend does not list PostgreSQL's own.
///
/// Within a relation, the text of one expression costs the square of the number of columns, and a table with a check for each of
/// them more than anybody waits for: trees that hold nothing that could call a function are left alone. A default names no column,
/// so its text needs no relation.
const EXPRESSIONS: &str = "{locked} SELECT x.owner, x.way, \
     CASE WHEN pg_catalog.concat(x.one, x.other) OPERATOR(pg_catalog.!~) '[{](?!({quiet}) )' THEN '' \
     WHEN NOT EXISTS (SELECT FROM locked WHERE locked.relation OPERATOR(pg_catalog.=) x.relation) THEN pg_catalog.concat_ws(', ', \
     pg_catalog.pg_get_expr(x.one, x.relation), pg_catalog.pg_get_expr(x.other, x.relation)) END, EXISTS (SELECT FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) d.refobjid WHERE d.classid OPERATOR(pg_catalog.=) x.class \
     AND d.objid OPERATOR(pg_catalog.=) x.object \
     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND {ours}) \
     OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) d.refobjid \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) p.oprcode WHERE d.classid OPERATOR(pg_catalog.=) x.class \
     AND d.objid OPERATOR(pg_catalog.=) x.object \
     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass AND ({ours} OR NOT {extended})), \
     x.class, x.object, x.version::pg_catalog.text, \
     (SELECT pg_catalog.string_agg(pg_catalog.concat(d.refobjid), ' ') FROM pg_catalog.pg_depend d \
     WHERE d.classid OPERATOR(pg_catalog.=) x.class AND d.objid OPERATOR(pg_catalog.=) x.object \
     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass) FROM (\
     SELECT adrelid, 'w', CASE WHEN attgenerated OPERATOR(pg_catalog.=) '' THEN 0::pg_catalog.oid ELSE adrelid END, adbin, \
     NULL::pg_catalog.pg_node_tree, 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid, e.oid, e.xmin \
     FROM pg_catalog.pg_attrdef e LEFT JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) adrelid \
     AND attnum OPERATOR(pg_catalog.=) adnum \
     UNION ALL SELECT CASE WHEN contypid OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN conrelid ELSE contypid END, \
     CASE WHEN contypid OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'w' ELSE 't' END, conrelid, conbin, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid, oid, xmin FROM pg_catalog.pg_constraint \
     WHERE contype OPERATOR(pg_catalog.=) 'c' \
     UNION ALL SELECT polrelid, 'p', polrelid, polqual, polwithcheck, 'pg_catalog.pg_policy'::pg_catalog.regclass::pg_catalog.oid, \
     oid, xmin FROM pg_catalog.pg_policy \
     UNION ALL SELECT indrelid, 'w', indrelid, indexprs, indpred, \
     'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, indexrelid, xmin \
     FROM pg_catalog.pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL \
     UNION ALL SELECT stxrelid, 'w', stxrelid, stxexprs, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, oid, xmin FROM pg_catalog.pg_statistic_ext \
     WHERE stxexprs IS NOT NULL \
     UNION ALL SELECT partrelid, 'w', partrelid, partexprs, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, partrelid, xmin FROM pg_catalog.pg_partitioned_table \
     WHERE partexprs IS NOT NULL \
     UNION ALL SELECT oid, 't', 0::pg_catalog.oid, typdefaultbin, NULL::pg_catalog.pg_node_tree, 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, \
     oid, xmin FROM pg_catalog.pg_type WHERE typdefaultbin IS NOT NULL\
     ) x(owner, way, relation, one, other, class, object, version) \
     WHERE x.object OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid";

/// Nodes of an expression's tree that call no function by its name, as PostgreSQL 15 and later call them. What is not listed may.
const QUIET: &str = "CONST|VAR|OPEXPR|BOOLEXPR|NULLTEST|BOOLEANTEST|RELABELTYPE|SCALARARRAYOPEXPR|ARRAY|ARRAYEXPR|ARRAYCOERCEEXPR|\
     CASETESTEXPR|COERCETODOMAINVALUE";

/// What can be taken for PostgreSQL's own and is code of users: `f` a function, `o` an operator, `F` and `O` those in pg_catalog,
/// `e` an event trigger; and `t`, by OID, the types whose casts run such code, or whose order or distances are made by it, or that a
/// cast to text could mean: a check of theirs would tell of a value. `c` is whatever may be called by one value, as if it were a
/// field: none that takes `cstring` or `internal`.
///
/// Every function of users is named: which names count as PostgreSQL's own, this server's version does not say. Those of
/// temporary schemas are left out, where PostgreSQL looks no function up by a name without a schema.
const NAMESAKES: &str = "SELECT 'f', f.proname, 0::pg_catalog.oid FROM pg_catalog.pg_proc f WHERE {ours} \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) f.pronamespace \
     AND pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')) \
     UNION SELECT 'F', f.proname, 0::pg_catalog.oid FROM pg_catalog.pg_proc f WHERE {ours} \
     AND f.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace \
     UNION SELECT 'e', e.evtname, 0::pg_catalog.oid FROM pg_catalog.pg_event_trigger e \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) e.evtfoid \
     WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D'::pg_catalog.\"char\" \
     AND e.evtevent OPERATOR(pg_catalog.<>) 'login'::pg_catalog.name AND {ours} \
     UNION SELECT kind.letter, p.oprname, 0::pg_catalog.oid FROM pg_catalog.pg_operator p \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) p.oprcode \
     JOIN (VALUES ('o'), ('O')) kind(letter) ON kind.letter OPERATOR(pg_catalog.=) 'o'::pg_catalog.text \
     OR p.oprnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace \
     WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND ({ours} OR NOT {extended}) \
     UNION SELECT 't', '', unnest.t FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) c.castfunc, \
     LATERAL (VALUES (c.castsource), (c.casttarget)) unnest(t) \
     WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours} \
     UNION SELECT 't', y.typname, y.oid FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) c.castfunc \
     JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) c.castsource OR y.oid OPERATOR(pg_catalog.=) c.casttarget \
     WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours} \
     AND c.castsource OPERATOR(pg_catalog.<) 16384::pg_catalog.oid AND c.casttarget OPERATOR(pg_catalog.<) 16384::pg_catalog.oid \
     UNION SELECT 't', '', o.opcintype FROM pg_catalog.pg_opclass o \
     JOIN pg_catalog.pg_amproc a ON a.amprocfamily OPERATOR(pg_catalog.=) o.opcfamily \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) a.amproc \
     WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours} \
     UNION SELECT 't', '', o.opcintype FROM pg_catalog.pg_opclass o \
     JOIN pg_catalog.pg_amop m ON m.amopfamily OPERATOR(pg_catalog.=) o.opcfamily \
     JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) m.amopopr \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) p.oprcode \
     WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours} \
     UNION SELECT 't', '', unnest.t FROM pg_catalog.pg_range r JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) r.rngsubdiff, \
     LATERAL (VALUES (r.rngtypid), (r.rngmultitypid)) unnest(t) WHERE {ours} \
     UNION SELECT 'c', f.proname, 0::pg_catalog.oid FROM pg_catalog.pg_proc f WHERE f.prokind OPERATOR(pg_catalog.=) 'f' \
     AND f.pronargs OPERATOR(pg_catalog.>) 0::pg_catalog.int2 \
     AND (f.pronargs OPERATOR(pg_catalog.-) f.pronargdefaults) OPERATOR(pg_catalog.<=) 1::pg_catalog.int2 \
     AND f.proargtypes[0] OPERATOR(pg_catalog.<>) ALL ('{2275,2281}'::pg_catalog.oid[]) \
     UNION SELECT 't', '', y.oid FROM pg_catalog.pg_type y WHERE y.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND y.typname OPERATOR(pg_catalog.=) ANY ('{text,varchar}'::pg_catalog.name[])";

/// Functions `f` of users, in a language of users. An aggregate's language says nothing: it is in an extension, or a user's.
const OURS: &str = "(f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_language l WHERE l.oid OPERATOR(pg_catalog.=) f.prolang \
     AND l.lanname OPERATOR(pg_catalog.=) ANY ('{c,internal}'::pg_catalog.name[]) AND f.prokind OPERATOR(pg_catalog.<>) 'a') \
     AND NOT (f.prokind OPERATOR(pg_catalog.=) 'a' AND EXISTS (SELECT FROM pg_catalog.pg_depend e \
     WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid OPERATOR(pg_catalog.=) f.oid \
     AND e.deptype OPERATOR(pg_catalog.=) 'e')))";

/// Whether an operator `p` came with an extension: what else an extension has in C may be anything under its name.
const EXTENDED: &str = "EXISTS (SELECT FROM pg_catalog.pg_depend e \
     WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass AND e.objid OPERATOR(pg_catalog.=) p.oid \
     AND e.deptype OPERATOR(pg_catalog.=) 'e')";

/// Rows that the target's statistics count. ANALYZE changes them in place, so that the digest does not move with them.
pub(super) const STATISTICS: &str = "SELECT oid, reltuples::pg_catalog.int8 FROM pg_catalog.pg_class \
     WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,m,f}'::pg_catalog.\"char\"[]) \
     AND reltuples OPERATOR(pg_catalog.>=) 0::pg_catalog.float4 AND oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid";

/// Schemas that unqualified names are looked up in, the session's temporary schema, and whether it is another role now.
const PATH: &str = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))";
const TEMP: &str =
    "SELECT nspname FROM pg_catalog.pg_namespace WHERE oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()";
const PREPARED: &str = "SELECT name, statement FROM pg_catalog.pg_prepared_statements WHERE from_sql";
const ISOLATION: &str = "SELECT pg_catalog.current_setting('transaction_isolation')";
/// Definitions are written for an empty path, with every name qualified. Going back to the savepoint gives the path back as
/// it was, and the locks that reading a definition takes.
const QUALIFIED: &str = "SAVEPOINT sallyport_catalog; SET LOCAL search_path = ''";
const AS_IT_WAS: &str = "ROLLBACK TO SAVEPOINT sallyport_catalog; RELEASE SAVEPOINT sallyport_catalog";
/// What belongs to the session's temporary schema.
const OWN_TEMP: &str = "AND pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()";

/// What was not made when the database was ([`own_objects`]): most databases hold more of the system's own, which stays as it is.
const OWN_RELATIONS: &str = "AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid";
/// What was.
const BUILT_IN: &str = "AND c.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid";

/// No relations and no columns.
const NO_RELATIONS: &str = "SELECT 0 LIMIT 0; SELECT 0 LIMIT 0";

/// No parents, types and code: none that the shared catalog does not hold.
const NOTHING_MORE: &str = "SELECT 0 LIMIT 0; SELECT 0 LIMIT 0; SELECT 0 LIMIT 0; SELECT 0 LIMIT 0";

/// The relations and columns that a server has of its own.
pub(super) fn built_in() -> String {
    relations(DEFINITION, BUILT_IN)
}

/// All the rest of a catalog, as of one moment.
pub(super) fn snapshot() -> String {
    let shared = format!("{OWN_RELATIONS} {}", temporary::shared_relations());
    let (relations, types, code) = (relations(DEFINITION, &shared), temporary::shared_types(), code());
    format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {relations}; {PARENTS}; {TYPES} {types}; {code}; COMMIT")
}

/// How much a session's own backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Path, temporary schema, statements prepared by SQL. Enough where there is no temporary schema.
    Names,
    /// And the relations of the temporary schema, with what belongs to them.
    Temporary,
    /// And all relations but the system's own: after uncommitted DDL of its own.
    All,
}

/// The session's own knowledge. All relations are asked for within a transaction only.
pub(super) fn own(depth: Depth) -> String {
    let more = match depth {
        // Planning a question about relations takes longer than all the rest.
        Depth::Names => format!("{NO_RELATIONS}; {NOTHING_MORE}"),
        // What is committed, the shared catalog knows the definition of.
        Depth::Temporary => format!("{}; {}", relations("NULL", OWN_TEMP), temporary::more()),
        Depth::All => format!(
            "{QUALIFIED}; {}; {PARENTS}; {TYPES}; {}; {AS_IT_WAS}",
            relations(OWN_DEFINITION, OWN_RELATIONS),
            code()
        ),
    };
    format!("{PATH}; {TEMP}; {PREPARED}; {ISOLATION}; {more}")
}

fn code() -> String {
    format!("{}; {}", filled(EXPRESSIONS), filled(NAMESAKES))
}

fn filled(text: &str) -> String {
    let text = text.replace("{locked}", LOCKED).replace("{ours}", OURS);
    text.replace("{extended}", EXTENDED).replace("{quiet}", QUIET)
}

fn relations(definition: &str, filter: &str) -> String {
    let definition = definition
        .replace("{unlocked}", UNLOCKED)
        .replace("{transaction}", TRANSACTION);
    let relations = RELATIONS
        .replace("{locked}", LOCKED)
        .replace("{definition}", &definition);
    let relations = relations.replace("{where}", filter);
    let columns = COLUMNS.replace("{where}", filter);
    format!("{relations}; {columns}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_users_is_named_and_none_that_no_name_finds() {
        for asked in [snapshot(), own(Depth::All)] {
            let functions = asked
                .split("SELECT 'f'")
                .nth(1)
                .and_then(|rest| rest.split("UNION").next());
            let functions = functions.unwrap();
            // What a newer PostgreSQL has, users of an older one may have made.
            assert!(!functions.contains("o.proname"), "{functions}");
            assert!(functions.contains("'pg_temp_'"), "{functions}");
        }
    }

    #[test]
    fn what_a_prepared_transaction_locks_is_left_alone() {
        for asked in [snapshot(), own(Depth::All)] {
            assert_eq!(asked.matches("pg_locks l").count(), 2, "{asked}");
            assert_eq!(asked.matches("(l.pid IS NULL OR l.pid ").count(), 2, "{asked}");
        }
    }
}
