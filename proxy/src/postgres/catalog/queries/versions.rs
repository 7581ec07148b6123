//! Which versions of its rows a catalog has: of all of them, or of those that one statement hangs on.

use std::collections::BTreeSet;

use sallyport_policy::catalog::Oid;

use super::{hanging, temporary};
use crate::postgres::catalog::FIRST_NORMAL;

/// A digest over every row version that a snapshot is made of: it moves when any of them is replaced.
///
/// Rows of the system's own objects are left out, which keeps it cheap: their columns and types cannot change while a server
/// runs, and what their views are defined as counts as unknown in any case. So are those of [temporary tables](temporary) that
/// are their session's own matter.
///
/// Rows of pg_class count by [what they say](CLASSES). The first column is that of schemas alone.
pub(in crate::postgres::catalog) fn digest() -> String {
    let by_oid = [
        "pg_namespace",
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
        "pg_amop",
        "pg_amproc",
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
    each.push(digest_of(
        hanging::ALONE,
        "objid::pg_catalog.int8",
        "refobjid::pg_catalog.int8",
    ));
    each.push(CLASSES.replace("{rows}", &digested("pg_class", "oid")));
    format!("{} SELECT {}", temporary::known_to_one(), each.join(", "))
}

/// All that is read of rows of pg_class: TRUNCATE, REFRESH, GRANT and others replace them and change nothing of it. Names are
/// whatever people like, so no two texts may have one digest. Nothing is converted, which a name could resist.
const CLASSES: &str = "(SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(pg_catalog.concat(oid, ' ', \
     relnamespace, ' ', relkind, relpersistence, relhasrules, relhastriggers, relhassubclass, relrowsecurity, ' ', reltoastrelid, ' ', \
     pg_catalog.octet_length(relname::pg_catalog.text), ' ', relname), ',' ORDER BY oid), pg_catalog.getdatabaseencoding())) \
     FROM pg_catalog.{rows})";

/// The rows of a catalog that count.
fn digested(table: &str, column: &str) -> String {
    format!("{table} {} {}", own_objects(table, column), temporary::besides(table))
}

/// Not the system's own: the first OID that is given to anything else. Of schemas all, since "public" has a number below, and its
/// owner may call it something else.
fn own_objects(table: &str, column: &str) -> String {
    let first = if table == "pg_namespace" { 0 } else { FIRST_NORMAL };
    format!("WHERE {column} OPERATOR(pg_catalog.>=) {first}::pg_catalog.oid")
}

/// Number and sum of hashes over the rows of one catalog; a row version is its key and the transaction that wrote it.
pub(super) fn digest_of(table: &str, key: &str, seed: &str) -> String {
    format!(
        "(SELECT pg_catalog.array_agg(v)::pg_catalog.text FROM (SELECT pg_catalog.count(*)::pg_catalog.numeric AS n, \
         pg_catalog.sum(pg_catalog.hashint8extended({key}, pg_catalog.hashint8extended({seed}, \
         xmin::pg_catalog.text::pg_catalog.int8))) AS s FROM pg_catalog.{table}) d, \
         LATERAL (VALUES (d.n), (d.s)) AS pair(v))"
    )
}

/// What is not the system's own, by number.
const OWN: &str = "oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid";

/// Where the [questions for code](super::NAMESAKES) look: catalogs, the rows of each that tell, and what tells these apart.
const TELLING: [(&str, &str, &str, &str); 13] = [
    (
        "pg_namespace",
        "nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_[0-9]+$'",
        "oid",
        "0",
    ),
    ("pg_proc", OWN, "oid", "0"),
    ("pg_operator", OWN, "oid", "0"),
    ("pg_cast", OWN, "oid", "0"),
    ("pg_opclass", OWN, "oid", "0"),
    ("pg_amop", OWN, "oid", "0"),
    ("pg_amproc", OWN, "oid", "0"),
    ("pg_event_trigger", OWN, "oid", "0"),
    ("pg_extension", "true", "oid", "0"),
    ("pg_language", "true", "oid", "0"),
    (
        "pg_range",
        "rngtypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
        "rngtypid",
        "0",
    ),
    (
        "pg_depend",
        "refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass",
        "objid",
        "classid::pg_catalog.int8",
    ),
    (
        "pg_type",
        "oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND typname OPERATOR(pg_catalog.=) ANY ('{text,varchar}'::pg_catalog.name[])",
        "oid",
        "0",
    ),
];

/// A digest over all that the [questions for code](super::NAMESAKES) are answered by, but for expressions. While it is the same, so are
/// the names that they give, and what an expression calls that has not changed itself.
pub(super) fn code_versions() -> String {
    let each = TELLING.map(|(table, rows, key, seed)| {
        digest_of(
            &format!("{table} WHERE {rows}"),
            &format!("{key}::pg_catalog.int8"),
            seed,
        )
    });
    format!(
        "SELECT {}, (SELECT pg_catalog.string_agg(pg_catalog.concat(o.oid), ' ' ORDER BY o.oid) FROM pg_catalog.pg_roles o \
         WHERE o.rolsuper)",
        each.join(", ")
    )
}

/// One row among namesakes, `m`, where the session's own transaction wrote any of that: `{transaction}` is how old it is. What it
/// took away is known as it was: code of users that is not there any more.
pub(super) fn own_code(transaction: &str) -> String {
    let each = TELLING.map(|(table, rows, ..)| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{table} WHERE {rows} AND pg_catalog.age(xmin) OPERATOR(pg_catalog.<=) {transaction})"
        )
    });
    format!("SELECT 'm', '', 0 WHERE {}", each.join(" OR "))
}

/// The name of the question for [`footprint`]s.
const FOOTPRINT: &str = "sallyport_footprint";

/// Prepares the question for the row versions that names ($1) and relations ($2) have in the catalogs of [`digest`], found by
/// index. What is few, and no name leads to, is looked at whole: schemas, operators, casts, and checks of domains.
pub(in crate::postgres::catalog) fn footprint_prepared() -> String {
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
            format!("{table} {}", own_objects(table, "oid")),
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
        whole("pg_amop"),
        whole("pg_amproc"),
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
pub(in crate::postgres::catalog) fn footprint(names: &BTreeSet<&str>, relations: &BTreeSet<Oid>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let relations: Vec<String> = relations.iter().map(Oid::to_string).collect();
    format!(
        "EXECUTE {FOOTPRINT}('{{{}}}', '{{{}}}')",
        names.join(","),
        relations.join(",")
    )
}
