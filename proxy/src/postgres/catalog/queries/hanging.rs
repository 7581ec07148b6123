//! What hangs on relations from outside of them, which is what CASCADE takes along: relation by relation, with the columns that it
//! hangs on.
//!
//! `pg_depend` says which object hangs on which. Of what hangs on a relation, its row type, arrays of that or its keys, the
//! relation is told that it is or is part of, if it is another one: what belongs to the relation itself goes with it in any case.
//! Where it is neither (a function, a domain, a cast), and where the relation is part of an extension, that is all that is told.
//!
//! All of it moves with the rows that a catalog is told by in any case, but for which column owns a sequence and what is part
//! of an extension: those rows of `pg_depend` count beside them.

use super::PARENTS;

/// Rows as those of [`PARENTS`]: what hangs, on what, and how. `{rows}` says which rows of `pg_depend`, `{owned}` which of those that
/// say what owns a sequence, `{keys}` and `{triggers}` which constraints and triggers, `{members}` which
/// parts of extensions.
///
/// Many columns of one relation are one row before anything is looked up. Each is then found by its index: to plan joins for all
/// kinds of objects would take longer than most answers. Foreign keys stand by themselves below. Defaults of temporary tables are nobody else's matter.
const HANGING: &str = "SELECT h.one, h.other, 'h', pg_catalog.concat((CASE \
     WHEN h.one OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'x' \
     WHEN h.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN (CASE WHEN h.one OPERATOR(pg_catalog.<>) h.objid THEN 'p' \
     WHEN h.objsubid OPERATOR(pg_catalog.<>) 0 THEN pg_catalog.concat('c', h.objsubid) ELSE 'w' END) \
     WHEN h.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN (SELECT CASE WHEN r.rulename OPERATOR(pg_catalog.<>) '_RETURN'::pg_catalog.name THEN 'p' ELSE 'w' END FROM pg_catalog.pg_rewrite r WHERE r.oid OPERATOR(pg_catalog.=) h.objid) \
     WHEN h.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN coalesce((SELECT pg_catalog.concat('c', a.adnum) FROM pg_catalog.pg_attrdef a \
     JOIN pg_catalog.pg_attribute g ON g.attrelid OPERATOR(pg_catalog.=) a.adrelid AND g.attnum OPERATOR(pg_catalog.=) a.adnum \
     AND g.attgenerated OPERATOR(pg_catalog.<>) '' WHERE a.oid OPERATOR(pg_catalog.=) h.objid), 'p') ELSE 'p' END), \
     (CASE WHEN h.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN 'k' END), ' ', \
     (CASE WHEN h.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN h.columns WHEN h.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN \
     (SELECT pg_catalog.concat(pg_catalog.array_to_string(k.conkey, ' '), ' ', i.indkey) FROM pg_catalog.pg_constraint k \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) k.conindid WHERE k.oid OPERATOR(pg_catalog.=) h.refobjid) ELSE '0' END)) \
     FROM (SELECT d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.columns, (CASE \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN coalesce((SELECT x.indrelid FROM pg_catalog.pg_index x WHERE x.indexrelid OPERATOR(pg_catalog.=) d.objid), d.objid) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN (SELECT o.ev_class FROM pg_catalog.pg_rewrite o WHERE o.oid OPERATOR(pg_catalog.=) d.objid) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN (SELECT CASE WHEN o.contype OPERATOR(pg_catalog.=) 'f' \
     THEN d.refobjid ELSE o.conrelid END FROM pg_catalog.pg_constraint o WHERE o.oid OPERATOR(pg_catalog.=) d.objid) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN (SELECT o.adrelid FROM pg_catalog.pg_attrdef o WHERE o.oid OPERATOR(pg_catalog.=) d.objid) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass THEN (SELECT o.polrelid FROM pg_catalog.pg_policy o WHERE o.oid OPERATOR(pg_catalog.=) d.objid) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN (SELECT o.tgrelid FROM pg_catalog.pg_trigger o WHERE o.oid OPERATOR(pg_catalog.=) d.objid) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass THEN (SELECT o.stxrelid FROM pg_catalog.pg_statistic_ext o WHERE o.oid OPERATOR(pg_catalog.=) d.objid) \
     ELSE 0::pg_catalog.oid END), (CASE WHEN d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.refobjid \
     WHEN d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN (SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.oid OPERATOR(pg_catalog.=) d.refobjid) \
     ELSE (SELECT greatest(y.typrelid, e.typrelid) FROM pg_catalog.pg_type y \
     LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) y.typelem WHERE y.oid OPERATOR(pg_catalog.=) d.refobjid) END) \
     FROM (SELECT classid, objid, objsubid, refclassid, refobjid, pg_catalog.string_agg(pg_catalog.concat(refobjsubid), ' ') \
     FROM pg_catalog.pg_depend WHERE deptype OPERATOR(pg_catalog.=) 'n' AND refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND refclassid OPERATOR(pg_catalog.=) ANY ('{pg_catalog.pg_class,pg_catalog.pg_type,pg_catalog.pg_constraint}'::pg_catalog.regclass[]) \
     AND classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_publication_rel'::pg_catalog.regclass {rows} \
     GROUP BY classid, objid, objsubid, refclassid, refobjid) d(classid, objid, objsubid, refclassid, refobjid, columns) OFFSET 0) \
     h(classid, objid, objsubid, refclassid, refobjid, columns, one, other) \
     WHERE h.other OPERATOR(pg_catalog.>) 0::pg_catalog.oid AND h.one OPERATOR(pg_catalog.<>) h.other \
     AND NOT (h.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) h.one \
     AND c.relpersistence OPERATOR(pg_catalog.=) 't')) \
     UNION ALL SELECT d.objid, d.refobjid, 'h', pg_catalog.concat('w ', d.refobjsubid) FROM pg_catalog.pg_sequence q \
     JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.objid OPERATOR(pg_catalog.=) q.seqrelid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.deptype OPERATOR(pg_catalog.=) ANY ('{a,i}'::pg_catalog.\"char\"[]) {owned} \
     UNION ALL SELECT t.tgrelid, t.tgconstrrelid, 'h', 'p 0' FROM pg_catalog.pg_trigger t \
     WHERE t.tgconstrrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND NOT t.tgisinternal \
     AND t.tgconstrrelid OPERATOR(pg_catalog.<>) t.tgrelid {triggers} \
     UNION ALL SELECT o.conrelid, o.confrelid, 'h', pg_catalog.concat('k ', pg_catalog.array_to_string(o.confkey, ' '), ' ', i.indkey) \
     FROM pg_catalog.pg_constraint o LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) o.conindid \
     WHERE o.contype OPERATOR(pg_catalog.=) 'f' AND o.conrelid OPERATOR(pg_catalog.<>) o.confrelid {keys} \
     UNION ALL SELECT 0::pg_catalog.oid, d.objid, 'h', 'x 0' FROM pg_catalog.pg_depend d \
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
     AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e' {members}";

/// What may stand in it.
const PLACES: [&str; 5] = ["{rows}", "{owned}", "{triggers}", "{keys}", "{members}"];

/// What is told of relations beside their columns.
pub(super) fn parents() -> String {
    format!("{PARENTS} UNION ALL {}", within([""; 5].map(str::to_owned)))
}

/// What hangs on the temporary relations among these.
pub(super) fn on(relations: &str) -> String {
    let types = format!(
        "SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY({relations})) \
         UNION ALL SELECT y.typarray FROM pg_catalog.pg_class c JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) c.reltype \
         WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY({relations}))"
    );
    let keys = format!(
        "SELECT o.oid FROM pg_catalog.pg_constraint o WHERE o.conrelid OPERATOR(pg_catalog.=) ANY (ARRAY({relations}))"
    );
    let among = |column: &str, those: &str| format!("AND {column} OPERATOR(pg_catalog.=) ANY (ARRAY({those}))");
    within([
        among("refobjid", &format!("{relations} UNION ALL {types} UNION ALL {keys}")),
        among("d.refobjid", relations),
        among("t.tgconstrrelid", relations),
        // What refers to a temporary table is one.
        among("o.conrelid", relations),
        among("d.objid", relations),
    ])
}

fn within(conditions: [String; 5]) -> String {
    let each = PLACES.iter().zip(conditions);
    each.fold(HANGING.to_owned(), |text, (place, condition)| {
        text.replace(place, &condition)
    })
}

/// Rows of `pg_depend` that no other row moves with: which column owns a sequence, and what is part of an extension.
pub(super) const ALONE: &str = "pg_depend WHERE (classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND objid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT q.seqrelid FROM pg_catalog.pg_sequence q)) \
     AND NOT EXISTS (SELECT FROM relations one WHERE one.oid OPERATOR(pg_catalog.=) pg_depend.objid) \
     OR refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass)";
