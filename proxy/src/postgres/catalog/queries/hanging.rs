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
/// say what owns a sequence, `{keys}` and `{triggers}` which constraints and triggers. Many columns of one relation are one row before
/// anything is looked up.
const HANGING: &str = "SELECT h.one, h.other, 'h', pg_catalog.concat(h.part, ' ', h.columns) FROM (SELECT \
     (CASE WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN coalesce(x.indrelid, d.objid) \
     ELSE coalesce(r.ev_class, o.conrelid, a.adrelid, p.polrelid, t.tgrelid, s.stxrelid, 0::pg_catalog.oid) END), \
     (CASE WHEN d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.refobjid \
     WHEN d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN k.conrelid \
     ELSE greatest(y.typrelid, e.typrelid) END), \
     (CASE WHEN r.rulename OPERATOR(pg_catalog.=) '_RETURN'::pg_catalog.name THEN (CASE WHEN k.oid IS NULL THEN 'w' ELSE 'g' END) \
     WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN (CASE WHEN x.indrelid IS NOT NULL THEN 'p' \
     WHEN d.objsubid OPERATOR(pg_catalog.<>) 0 THEN pg_catalog.concat('c', d.objsubid) ELSE 'w' END) \
     WHEN a.oid IS NOT NULL THEN (CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute g \
     WHERE g.attrelid OPERATOR(pg_catalog.=) a.adrelid AND g.attnum OPERATOR(pg_catalog.=) a.adnum \
     AND g.attgenerated OPERATOR(pg_catalog.<>) '') THEN pg_catalog.concat('c', a.adnum) ELSE 'p' END) \
     WHEN coalesce(r.ev_class, o.conrelid, p.polrelid, t.tgrelid, s.stxrelid, 0::pg_catalog.oid) \
     OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'x' ELSE 'p' END), \
     (CASE WHEN d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.columns \
     WHEN k.oid IS NULL THEN '0' ELSE pg_catalog.concat(pg_catalog.array_to_string(k.conkey, ' '), ' ', ki.indkey) END) \
     FROM (SELECT classid, objid, objsubid, refclassid, refobjid, pg_catalog.string_agg(pg_catalog.concat(refobjsubid), ' ') \
     FROM pg_catalog.pg_depend WHERE deptype OPERATOR(pg_catalog.=) 'n' AND refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND refclassid OPERATOR(pg_catalog.=) ANY ('{pg_catalog.pg_class,pg_catalog.pg_type,pg_catalog.pg_constraint}'::pg_catalog.regclass[]) \
     AND classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_publication_rel'::pg_catalog.regclass {rows} \
     GROUP BY classid, objid, objsubid, refclassid, refobjid) d(classid, objid, objsubid, refclassid, refobjid, columns) \
     LEFT JOIN pg_catalog.pg_rewrite r ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
     AND r.oid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_constraint o ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass \
     AND o.oid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_attrdef a ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
     AND a.oid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_policy p ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass \
     AND p.oid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_trigger t ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass \
     AND t.oid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_statistic_ext s ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass \
     AND s.oid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_index x ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND x.indexrelid OPERATOR(pg_catalog.=) d.objid \
     LEFT JOIN pg_catalog.pg_type y ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
     AND y.oid OPERATOR(pg_catalog.=) d.refobjid \
     LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) y.typelem \
     LEFT JOIN pg_catalog.pg_constraint k ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass \
     AND k.oid OPERATOR(pg_catalog.=) d.refobjid \
     LEFT JOIN pg_catalog.pg_index ki ON ki.indexrelid OPERATOR(pg_catalog.=) k.conindid \
     WHERE o.contype IS NULL OR o.contype OPERATOR(pg_catalog.<>) 'f') h(one, other, part, columns) \
     WHERE h.other OPERATOR(pg_catalog.>) 0::pg_catalog.oid AND h.one OPERATOR(pg_catalog.<>) h.other \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) h.one AND h.part OPERATOR(pg_catalog.=) 'p'::pg_catalog.text \
     AND c.relpersistence OPERATOR(pg_catalog.=) 't') \
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
     AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e'";

/// What may stand in it.
const PLACES: [&str; 4] = ["{rows}", "{owned}", "{triggers}", "{keys}"];

/// What is told of relations beside their columns.
pub(super) fn parents() -> String {
    format!("{PARENTS} UNION ALL {}", within([""; 4].map(str::to_owned)))
}

/// What hangs on the relations among these.
pub(super) fn on(relations: &str) -> String {
    let types = format!(
        "SELECT y.oid FROM pg_catalog.pg_type y WHERE y.typrelid OPERATOR(pg_catalog.=) ANY (ARRAY({relations})) \
         UNION ALL SELECT y.typarray FROM pg_catalog.pg_type y WHERE y.typrelid OPERATOR(pg_catalog.=) ANY (ARRAY({relations}))"
    );
    let keys = format!(
        "SELECT o.oid FROM pg_catalog.pg_constraint o WHERE o.conrelid OPERATOR(pg_catalog.=) ANY (ARRAY({relations}))"
    );
    let among = |column: &str, those: &str| format!("AND {column} OPERATOR(pg_catalog.=) ANY (ARRAY({those}))");
    within([
        among("refobjid", &format!("{relations} UNION ALL {types} UNION ALL {keys}")),
        among("d.refobjid", relations),
        among("t.tgconstrrelid", relations),
        among("o.confrelid", relations),
    ])
}

fn within(conditions: [String; 4]) -> String {
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
