//! The questions. Every name is qualified: a temporary table called pg_class would shadow the
//! catalog, and an operator `=` of a schema before pg_catalog in the path would stand for PostgreSQL's own.

mod code;
mod hanging;
#[cfg(test)]
mod qualified;
mod since;
mod temporary;
mod versions;

use std::collections::BTreeSet;

use sallyport_policy::catalog::Oid;

use self::code::{EXPRESSIONS, NAMESAKES, filled};
pub(super) use self::since::{ENDED, Since};
use self::since::{IS_CHANGED, IS_MOVED, IS_NEW, aged, array};
use self::versions::{code_versions, digest_of, own_code};
pub(super) use self::versions::{digest, footprint, footprint_prepared};

/// Where the write-ahead log stands, and whose work can be seen: while neither has moved, no catalog has changed. A commit is
/// in the log before anybody sees it, for as long as it waits for the disk and for standbys. A standby has replayed a commit
/// before it says so.
///
/// Nothing here is a cast, which a database may have of its own.
pub const POSITION: &str = "(CASE WHEN pg_catalog.pg_is_in_recovery() \
     THEN pg_catalog.concat(pg_catalog.pg_last_wal_replay_lsn()) \
     ELSE pg_catalog.concat(pg_catalog.pg_current_wal_insert_lsn(), ' ', pg_catalog.pg_current_snapshot()) END)";

/// What decides, beside a statement's own text and names, what the target would do: role, settings by which text and
/// values are read, and [the code](code_digest) that it could call, as the session's transaction sees it. How it sees comes first,
/// and last, where there are some, settings of users with their values. No list of PostgreSQL's has those.
pub(super) fn circumstances(own: &BTreeSet<String>) -> String {
    let settings = [
        "role",
        "standard_conforming_strings",
        "search_path",
        "datestyle",
        "intervalstyle",
        "timezone",
        "timezone_abbreviations",
        "transform_null_equals",
        "array_nulls",
        "row_security",
        "session_replication_role",
        "xmloption",
        "xmlbinary",
        "lc_monetary",
        "lc_numeric",
        "lc_time",
        "bytea_output",
        "extra_float_digits",
        "default_text_search_config",
        "default_transaction_read_only",
    ];
    let value = |name: &str| format!("pg_catalog.current_setting('{name}', true)");
    let settings: Vec<String> = settings.into_iter().map(value).collect();
    let own: Vec<String> = own
        .iter()
        .map(|name| format!("'{name}'::pg_catalog.text, {}", value(name)))
        .collect();
    let own = match own.is_empty() {
        true => String::new(),
        false => format!("; SELECT {}", own.join(", ")),
    };
    format!(
        "{ISOLATION}; SELECT current_user::pg_catalog.text, session_user::pg_catalog.text, {}; {}{own}",
        settings.join(", "),
        code_digest()
    )
}

/// A digest over all code that a statement could call. Code may call other code, so all of it counts.
pub(super) fn code_digest() -> String {
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
        "pg_enum",
    ];
    let code: Vec<String> = code
        .iter()
        .map(|table| digest_of(table, "oid::pg_catalog.int8", "0"))
        .collect();
    format!("SELECT {}, {GUARDED}", code.join(", "))
}

/// Tables of which policies choose the rows. Their own rows change with much else, such as GRANT and TRUNCATE.
const GUARDED: &str = "(SELECT pg_catalog.hashtextextended(pg_catalog.string_agg(pg_catalog.concat(oid, relforcerowsecurity), ' ' \
     ORDER BY oid), 0::pg_catalog.int8) FROM pg_catalog.pg_class WHERE relrowsecurity)";

/// Relations that somebody else has locked, or waits to, so that reading what is defined over them would wait, too. The locks of
/// a prepared transaction are no backend's, and last until somebody ends it.
const LOCKED: &str = "WITH locked AS MATERIALIZED (SELECT l.relation FROM pg_catalog.pg_locks l \
     WHERE l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.locktype OPERATOR(pg_catalog.=) 'relation' \
     AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()) AND l.database OPERATOR(pg_catalog.=) \
     (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))";

/// Relations: OID, schema, name, kind, whether it has rules or triggers, the definition of a view, whether it has rules, the
/// columns of its primary key, the types of its triggers as one, whether columns and definition are left out because they are
/// known, the versions of the rows that its columns and its rules have, with the same exception, and that of its type, which ALTER
/// TABLE … RENAME and SET SCHEMA write anew, while TRUNCATE, REFRESH and GRANT do not.
///
/// `{definition}` says how views are read; `{where}` restricts them.
const RELATIONS: &str = "{locked}{since} SELECT c.oid, n.nspname, c.relname, c.relkind, \
     (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal) \
      OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid \
      AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name)), {definition}, \
     EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid \
      AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name), \
     (SELECT k.indkey::pg_catalog.text FROM pg_catalog.pg_index k \
      WHERE k.indrelid OPERATOR(pg_catalog.=) c.oid AND k.indisprimary LIMIT 1), \
     (SELECT pg_catalog.bit_or(t.tgtype) FROM pg_catalog.pg_trigger t \
      WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal), NOT {changed}, NOT {moved}, \
     CASE WHEN {moved} THEN pg_catalog.concat((SELECT pg_catalog.sum(pg_catalog.hashint8extended(a.attnum::pg_catalog.int8, \
      a.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid \
      AND a.attnum OPERATOR(pg_catalog.>) 0), ' ', (SELECT pg_catalog.sum(pg_catalog.hashint8extended(r.oid::pg_catalog.int8, \
      r.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid)) END, \
     (SELECT y.xmin::pg_catalog.text FROM pg_catalog.pg_type y WHERE y.oid OPERATOR(pg_catalog.=) c.reltype) \
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
     AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[]) AND {moved} AND {unlocked} \
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
const COLUMNS: &str = "{since}SELECT a.attrelid, a.attnum, a.attname, a.atttypid, \
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
     WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,c}'::pg_catalog.\"char\"[]) AND {changed} {where} \
     ORDER BY a.attrelid, a.attnum";

/// Children and parents (`i`), relations whose rows follow those of another by a foreign key (`f`, with what it does), the columns
/// by which they do when a key is updated (`u`), the constraints and unique indexes of relations, by their names (`c`), and what the
/// policies for a relation's rows look at (`g`): of a row as a whole pg_depend names no columns.
const PARENTS: &str = "SELECT inhrelid, inhparent, 'i', NULL FROM pg_catalog.pg_inherits \
     UNION ALL SELECT conrelid, 0::pg_catalog.oid, 'c', conname FROM pg_catalog.pg_constraint \
     WHERE conrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     UNION ALL SELECT i.indrelid, 0::pg_catalog.oid, 'c', c.relname FROM pg_catalog.pg_index i \
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
     WHERE i.indisunique AND i.indrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     UNION ALL SELECT p.polrelid, d.refobjid, 'g', NULL FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d \
     ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid \
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     UNION ALL SELECT conrelid, confrelid, 'f', pg_catalog.concat(confdeltype, confupdtype) FROM pg_catalog.pg_constraint WHERE contype OPERATOR(pg_catalog.=) 'f' \
     AND (confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[]) \
     OR confupdtype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[])) \
     UNION ALL SELECT conrelid, confrelid, 'u', pg_catalog.concat(follower, ' ', key) FROM pg_catalog.pg_constraint, \
     LATERAL ROWS FROM (pg_catalog.unnest(conkey), pg_catalog.unnest(confkey)) pair(follower, key) \
     WHERE contype OPERATOR(pg_catalog.=) 'f' AND confupdtype OPERATOR(pg_catalog.=) 'c'";

/// Types that are not built in: OID, kind, category, base of a domain, element of an array, subtype of a range, name, the
/// relation that has the columns of a composite one, and the range that a multirange is made of.
const TYPES: &str = "SELECT t.oid, t.typtype, t.typcategory, t.typbasetype, t.typelem, \
     (SELECT r.rngsubtype FROM pg_catalog.pg_range r \
      WHERE r.rngtypid OPERATOR(pg_catalog.=) t.oid OR r.rngmultitypid OPERATOR(pg_catalog.=) t.oid LIMIT 1), t.typname, t.typrelid, \
     (SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid OPERATOR(pg_catalog.=) t.oid LIMIT 1) \
     FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.>=) 16384";

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
/// Definitions are written with every name qualified but those of the system's own, as the shared catalog has them: without being
/// named the temporary schema would come first, and what is there go without its own. Going back to the savepoint gives the path
/// back as it was, and the locks that reading a definition takes. To compile what is asked once takes longer than to run it.
const QUALIFIED: &str = "SAVEPOINT sallyport_catalog; SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), pg_catalog.set_config('jit', 'off', true)";
const AS_IT_WAS: &str = "ROLLBACK TO SAVEPOINT sallyport_catalog; RELEASE SAVEPOINT sallyport_catalog";
/// What belongs to the session's temporary schema.
const OWN_TEMP: &str = "AND pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()";

/// What was not made when the database was (as `versions::own_objects` says): most databases hold more of the system's own, which stays as it is.
const OWN_RELATIONS: &str = "AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid";
/// What was.
const BUILT_IN: &str = "AND c.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid";

/// No rows.
const NOTHING: &str = "SELECT 0 LIMIT 0";

/// As of one moment.
const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The relations and columns that a server has of its own.
pub(super) fn built_in() -> String {
    relations(DEFINITION, BUILT_IN, false).join("; ")
}

/// All the rest of a catalog, and the [versions](code_versions) of what its code is told by.
pub(super) fn snapshot() -> String {
    let [relations, columns] = relations(DEFINITION, &shared_relations(), false);
    let (parents, code, versions) = (hanging::parents(), code(), code_versions());
    let types = format!("{TYPES} {}", temporary::shared_types());
    format!("{ONE_MOMENT}; {relations}; {columns}; {parents}; {types}; {code}; {versions}; COMMIT")
}

/// Prepares the questions of [`rest`]: planning them takes longer than most answers.
pub(super) fn rest_prepared() -> String {
    let [relations, columns] = relations(DEFINITION, &shared_relations(), true);
    let expressions = filled(EXPRESSIONS);
    let each = [
        ("relations(pg_catalog.xid, pg_catalog.oid[])", relations),
        ("columns(pg_catalog.xid)", columns),
        ("parents", hanging::parents()),
        ("types", format!("{TYPES} {}", temporary::shared_types())),
        (
            "expressions(pg_catalog.xid, pg_catalog.oid[])",
            format!("{expressions} {}", aged(IS_NEW)),
        ),
        ("all_expressions", expressions),
        ("namesakes", filled(NAMESAKES)),
        ("code", code_versions()),
    ];
    let each = each.map(|(name, question)| format!("PREPARE sallyport_{name} AS {question}"));
    each.join("; ")
}

/// What of a catalog is not known from before, in the form of [`snapshot`]. `watched`: the expressions that are read each time, where
/// the code is taken for what it was: then its names are left out, and expressions that are neither new nor watched.
pub(super) fn rest(since: &Since, watched: Option<&[Oid]>) -> String {
    let [ended, undefined] = since.values();
    let code = match watched {
        Some(watched) => format!("EXECUTE sallyport_expressions({ended}, {}); {NOTHING}", array(watched)),
        None => "EXECUTE sallyport_all_expressions; EXECUTE sallyport_namesakes".to_owned(),
    };
    format!(
        "{ONE_MOMENT}; EXECUTE sallyport_relations({ended}, {undefined}); EXECUTE sallyport_columns({ended}); \
         EXECUTE sallyport_parents; EXECUTE sallyport_types; {code}; EXECUTE sallyport_code; COMMIT"
    )
}

fn shared_relations() -> String {
    format!("{OWN_RELATIONS} {}", temporary::shared_relations())
}

/// How much a session's own backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Path, temporary schema, statements prepared by SQL. Enough where there is no temporary schema.
    Names,
    /// And the relations of the temporary schema, with what belongs to them.
    Temporary,
    /// And all relations but the system's own, after uncommitted DDL of its own. Of code only the expressions that are its work or
    /// its temporary relations', and whether it wrote any other.
    Relations,
    /// And all code.
    All,
}

/// The session's own knowledge. All relations are asked for within a transaction only.
pub(super) fn own(depth: Depth) -> String {
    let all = |code: &str| {
        let [relations, columns] = relations(OWN_DEFINITION, OWN_RELATIONS, false);
        let parents = hanging::parents();
        format!("{QUALIFIED}; {relations}; {columns}; {parents}; {TYPES}; {code}; {AS_IT_WAS}")
    };
    let more = match depth {
        // Planning a question about relations takes longer than all the rest.
        Depth::Names => [NOTHING; 6].join("; "),
        // What is committed, the shared catalog knows the definition of.
        Depth::Temporary => format!(
            "{}; {}",
            relations("NULL", OWN_TEMP, false).join("; "),
            temporary::more()
        ),
        Depth::Relations => {
            let expressions = filled(EXPRESSIONS);
            let temporary = temporary::owned("x.owner");
            let own = format!("(pg_catalog.age(x.version) OPERATOR(pg_catalog.<=) {TRANSACTION} OR {temporary})");
            all(&format!("{expressions} AND {own}; {}", own_code(TRANSACTION)))
        }
        Depth::All => all(&code()),
    };
    format!("{PATH}; {TEMP}; {PREPARED}; {ISOLATION}; {more}")
}

/// Expressions, and what can be taken for PostgreSQL's own and is not.
fn code() -> String {
    format!("{}; {}", filled(EXPRESSIONS), filled(NAMESAKES))
}

/// Relations, and their columns. `rest`: those alone that are not known from before, and definitions.
fn relations(definition: &str, filter: &str, rest: bool) -> [String; 2] {
    let (parts, changed) = match rest {
        true => (format!(", {}", since::parts()), format!("WITH {} ", since::changed())),
        false => Default::default(),
    };
    let (is_changed, is_moved) = if rest { (IS_CHANGED, IS_MOVED) } else { ("true", "true") };
    let known = |text: &str| {
        let text = text.replace("{changed}", is_changed);
        text.replace("{moved}", is_moved).replace("{where}", filter)
    };
    let definition = definition
        .replace("{unlocked}", UNLOCKED)
        .replace("{transaction}", TRANSACTION);
    let relations = RELATIONS
        .replace("{locked}", LOCKED)
        .replace("{since}", &parts)
        .replace("{definition}", &definition);
    [known(&relations), known(&COLUMNS.replace("{since}", &changed))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_users_is_named_and_none_that_no_name_finds() {
        for asked in [snapshot(), rest_prepared(), own(Depth::All)] {
            let functions = asked
                .split("SELECT 'f', f.proname")
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
        for (asked, times) in [
            (snapshot(), 2),
            (rest_prepared(), 3),
            (own(Depth::Relations), 2),
            (own(Depth::All), 2),
        ] {
            assert_eq!(asked.matches("pg_locks l").count(), times, "{asked}");
            assert_eq!(asked.matches("(l.pid IS NULL OR l.pid ").count(), times, "{asked}");
        }
    }
}
