//! Code of users that no text names, or that has a name of PostgreSQL's own.

use sallyport_policy::sql::EXTENSIONS;

use super::LOCKED;

/// Expressions that run where no text names them: what they belong to, in what way (`w`: written, `p`: a policy for its rows,
/// `t`: a domain), the expression unless that would wait for a lock, whether it calls a function or an operator of users,
/// which version of which object it is, and the types that it names or casts to. pg_depend does not list PostgreSQL's own.
///
/// Within a relation, the text of one expression costs the square of the number of columns, and a table with a check for each of
/// them more than anybody waits for: trees that hold nothing that could call a function are left alone. A default names no column,
/// so its text needs no relation.
pub(super) const EXPRESSIONS: &str = "{locked}, ordering(class) AS MATERIALIZED ({ordering}) SELECT x.owner, x.way, \
     CASE WHEN pg_catalog.concat(x.one, x.other) OPERATOR(pg_catalog.!~) '[{](?!({quiet}) )' THEN '' \
     WHEN NOT EXISTS (SELECT FROM locked WHERE locked.relation OPERATOR(pg_catalog.=) x.relation) THEN pg_catalog.concat_ws(', ', \
     pg_catalog.pg_get_expr(x.one, x.relation), pg_catalog.pg_get_expr(x.other, x.relation)) END, EXISTS (SELECT FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) d.refobjid WHERE d.classid OPERATOR(pg_catalog.=) x.class \
     AND d.objid OPERATOR(pg_catalog.=) x.object \
     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND {ours}) \
     OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) d.refobjid \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) p.oprcode WHERE d.classid OPERATOR(pg_catalog.=) x.class \
     AND d.objid OPERATOR(pg_catalog.=) x.object \
     AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass AND ({ours} OR NOT {extended})) \
     OR x.class OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND x.object OPERATOR(pg_catalog.=) ANY (\
     ARRAY(SELECT indexrelid FROM pg_catalog.pg_index WHERE {ordered} \
     UNION ALL SELECT partrelid FROM pg_catalog.pg_partitioned_table WHERE {parted})), \
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
     FROM pg_catalog.pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL OR {ordered} \
     UNION ALL SELECT indrelid, 'p', indrelid, NULL::pg_catalog.pg_node_tree, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, indexrelid, xmin FROM pg_catalog.pg_index WHERE {ordered} \
     UNION ALL SELECT stxrelid, 'w', stxrelid, stxexprs, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, oid, xmin FROM pg_catalog.pg_statistic_ext \
     WHERE stxexprs IS NOT NULL \
     UNION ALL SELECT partrelid, 'w', partrelid, partexprs, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, partrelid, xmin FROM pg_catalog.pg_partitioned_table \
     WHERE partexprs IS NOT NULL OR {parted} \
     UNION ALL SELECT partrelid, 'p', partrelid, NULL::pg_catalog.pg_node_tree, NULL::pg_catalog.pg_node_tree, \
     'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, partrelid, xmin FROM pg_catalog.pg_partitioned_table WHERE {parted} \
     UNION ALL SELECT oid, 't', 0::pg_catalog.oid, typdefaultbin, NULL::pg_catalog.pg_node_tree, 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, \
     oid, xmin FROM pg_catalog.pg_type WHERE typdefaultbin IS NOT NULL\
     ) x(owner, way, relation, one, other, class, object, version) \
     WHERE x.object OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid";

/// Operator classes by which code of users puts values in order, or tells which are equal: functions or operators of theirs in the
/// family. An extension has them in C.
const ORDERING: &str = "SELECT o.oid FROM pg_catalog.pg_opclass o \
     JOIN pg_catalog.pg_amproc a ON a.amprocfamily OPERATOR(pg_catalog.=) o.opcfamily \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) a.amproc WHERE a.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours} \
     UNION SELECT o.oid FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_amop m ON m.amopfamily OPERATOR(pg_catalog.=) o.opcfamily \
     JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) m.amopopr \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) p.oprcode WHERE m.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours}";

/// Whether what is in an index is put in order by code of users, and so are partitions: then it runs wherever that is written, read or
/// made anew, whatever its types.
const ORDERED: &str = "indclass::pg_catalog.oid[] OPERATOR(pg_catalog.&&) ARRAY(SELECT ordering.class FROM ordering)";

/// Nodes of an expression's tree that call no function by its name, as PostgreSQL 15 and later call them. What is not listed may.
const QUIET: &str = "CONST|VAR|OPEXPR|BOOLEXPR|NULLTEST|BOOLEANTEST|RELABELTYPE|SCALARARRAYOPEXPR|ARRAY|ARRAYEXPR|ARRAYCOERCEEXPR|\
     CASETESTEXPR|COERCETODOMAINVALUE";

/// What can be taken for PostgreSQL's own and is code of users: `f` a function, `o` an operator, `F` and `O` those in pg_catalog,
/// `e` an event trigger, `d` a foreign data wrapper whose validator is such code; and `t`, by OID, the types whose casts run such
/// code, or whose order, bounds or distances are made by it, or that a cast to text could mean: a check of theirs would tell of a
/// value. `c` is whatever may be called by one value, as if it were a field: none that takes `cstring` or `internal`.
///
/// What is known: `v` a function of a [known extension](EXTENSIONS), `k` one whose body names operators that are looked up when it
/// runs, `w` an operator that runs one. `x`, by OID, is any other function by the name of one, `y` any other operator.
///
/// `in_range` stands for whatever says which rows are in a frame of values (`RANGE … PRECEDING`), and `default order` for what a type of
/// PostgreSQL's own is put in order by that has none of PostgreSQL's, or has operators that are in none: no text names them. `operator class`
/// says that there is one by which code of users puts values in order: which of them a text names, hangs on the path.
///
/// Every function of users is named: which names count as PostgreSQL's own, this server's version does not say. Those of
/// temporary schemas are left out, where PostgreSQL looks no function up by a name without a schema.
pub(super) const NAMESAKES: &str = "WITH known(oid, name, named) AS MATERIALIZED ({known}) SELECT 'f', f.proname, 0::pg_catalog.oid \
     FROM pg_catalog.pg_proc f WHERE {ours} AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) f.pronamespace \
     AND pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')) \
     AND NOT f.oid OPERATOR(pg_catalog.=) ANY (SELECT known.oid FROM known) \
     UNION SELECT CASE WHEN known.named THEN 'k' ELSE 'v' END, known.name, 0::pg_catalog.oid FROM known \
     UNION SELECT 'x', f.proname, f.oid FROM pg_catalog.pg_proc f WHERE NOT {ours} \
     AND f.proname OPERATOR(pg_catalog.=) ANY (SELECT known.name FROM known) \
     AND NOT f.oid OPERATOR(pg_catalog.=) ANY (SELECT known.oid FROM known) \
     UNION SELECT CASE WHEN {extended} AND p.oprcode::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (SELECT known.oid FROM known \
     WHERE NOT known.named) THEN 'w' ELSE 'y' END, p.oprname, 0::pg_catalog.oid FROM pg_catalog.pg_operator p \
     WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     UNION SELECT 'F', f.proname, 0::pg_catalog.oid FROM pg_catalog.pg_proc f WHERE {ours} \
     AND f.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace \
     UNION SELECT 'e', e.evtname, 0::pg_catalog.oid FROM pg_catalog.pg_event_trigger e \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) e.evtfoid \
     WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D'::pg_catalog.\"char\" \
     AND e.evtevent OPERATOR(pg_catalog.<>) 'login'::pg_catalog.name AND {ours} \
     UNION SELECT 'd', w.fdwname, 0::pg_catalog.oid FROM pg_catalog.pg_foreign_data_wrapper w \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) w.fdwvalidator WHERE {ours} \
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
     UNION SELECT 't', '', unnest.t FROM pg_catalog.pg_range r JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) r.rngsubdiff \
     OR f.oid OPERATOR(pg_catalog.=) r.rngcanonical, \
     LATERAL (VALUES (r.rngtypid), (r.rngmultitypid)) unnest(t) WHERE {ours} \
     UNION SELECT 't', '', unnest.t FROM pg_catalog.pg_range r, LATERAL (VALUES (r.rngtypid), (r.rngmultitypid)) unnest(t) \
     WHERE r.rngsubopc OPERATOR(pg_catalog.=) ANY (ARRAY({ordering})) \
     UNION SELECT 'f', 'default order'::pg_catalog.name, 0::pg_catalog.oid FROM pg_catalog.pg_opclass c \
     WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND c.opcdefault AND c.opcintype OPERATOR(pg_catalog.<) 16384::pg_catalog.oid \
     AND c.oid OPERATOR(pg_catalog.=) ANY (ARRAY({ordering})) \
     UNION SELECT 'f', 'default order'::pg_catalog.name, 0::pg_catalog.oid FROM pg_catalog.pg_amop m \
     JOIN pg_catalog.pg_amproc a ON a.amprocfamily OPERATOR(pg_catalog.=) m.amopfamily \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) a.amproc WHERE m.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND {ours} \
     AND m.amopopr OPERATOR(pg_catalog.<) 16384::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_amop b \
     WHERE b.amopopr OPERATOR(pg_catalog.=) m.amopopr AND b.amopmethod OPERATOR(pg_catalog.=) m.amopmethod \
     AND b.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid) \
     UNION SELECT 'f', 'operator class'::pg_catalog.name, 0::pg_catalog.oid FROM pg_catalog.pg_opclass c \
     WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY({ordering})) \
     UNION SELECT 'f', 'in_range'::pg_catalog.name, 0::pg_catalog.oid FROM pg_catalog.pg_amproc a \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) a.amproc \
     WHERE a.amprocnum OPERATOR(pg_catalog.=) 3::pg_catalog.int2 AND {ours} \
     UNION SELECT 'c', f.proname, 0::pg_catalog.oid FROM pg_catalog.pg_proc f WHERE f.prokind OPERATOR(pg_catalog.=) 'f' \
     AND f.pronargs OPERATOR(pg_catalog.>) 0::pg_catalog.int2 \
     AND (f.pronargs OPERATOR(pg_catalog.-) f.pronargdefaults) OPERATOR(pg_catalog.<=) 1::pg_catalog.int2 \
     AND f.proargtypes[0] OPERATOR(pg_catalog.<>) ALL ('{2275,2281}'::pg_catalog.oid[]) \
     UNION SELECT 't', '', y.oid FROM pg_catalog.pg_type y WHERE y.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND y.typname OPERATOR(pg_catalog.=) ANY ('{text,varchar}'::pg_catalog.name[])";

/// Functions `f` of users, in a language of users. An aggregate's language says nothing: it came with an extension, or is a user's.
const OURS: &str = "(f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_language l WHERE l.oid OPERATOR(pg_catalog.=) f.prolang \
     AND l.lanname OPERATOR(pg_catalog.=) ANY ('{c,internal}'::pg_catalog.name[]) AND f.prokind OPERATOR(pg_catalog.<>) 'a') \
     AND NOT (f.prokind OPERATOR(pg_catalog.=) 'a' AND EXISTS (SELECT FROM pg_catalog.pg_depend e \
     WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid OPERATOR(pg_catalog.=) f.oid \
     AND e.deptype OPERATOR(pg_catalog.=) 'e' AND {untouched}) AND EXISTS (SELECT FROM pg_catalog.pg_roles o \
     WHERE o.oid OPERATOR(pg_catalog.=) f.proowner AND o.rolsuper)))";

/// Functions that came with a [known extension](EXTENSIONS) and that a text can call (none takes `internal`), with their names, and
/// whether what stands in the body is looked up when they run: so it is in citext's `replace`, `split_part` and others before
/// PostgreSQL 18, which are code like any other without this.
///
/// Whoever made the extension may not be a superuser, and may add to it what they own; its own script runs as one. So what counts
/// belongs to a superuser: who else replaces, renames or adds a function is its owner. And nobody else makes one in C.
const KNOWN: &str = "SELECT f.oid, f.proname, l.lanname OPERATOR(pg_catalog.=) 'sql'::pg_catalog.name AND f.prosqlbody IS NULL \
     FROM (VALUES {extensions}) v(extension, library, besides) \
     JOIN pg_catalog.pg_extension x ON x.extname OPERATOR(pg_catalog.=) v.extension \
     JOIN pg_catalog.pg_depend e ON e.refobjid OPERATOR(pg_catalog.=) x.oid AND e.deptype OPERATOR(pg_catalog.=) 'e' \
     AND e.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
     AND e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
     JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) e.objid \
     JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) f.prolang \
     JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) f.proowner AND o.rolsuper \
     WHERE f.proname OPERATOR(pg_catalog.<>) ALL (v.besides) \
     AND 2281::pg_catalog.oid OPERATOR(pg_catalog.<>) ALL (f.proargtypes) \
     AND (l.lanname OPERATOR(pg_catalog.=) 'c'::pg_catalog.name AND f.probin OPERATOR(pg_catalog.=) v.library \
     OR l.lanname OPERATOR(pg_catalog.=) 'internal'::pg_catalog.name \
     AND (f.prokind OPERATOR(pg_catalog.<>) 'a'::pg_catalog.\"char\" OR {untouched}) \
     OR l.lanname OPERATOR(pg_catalog.=) 'sql'::pg_catalog.name AND {untouched} \
     AND (f.prosqlbody IS NOT NULL OR x.extname OPERATOR(pg_catalog.=) 'citext'::pg_catalog.name))";

/// Whether a function `f` is the one with which its extension was made, as `e` tells: where sessions are a superuser's, anybody may
/// replace one, and it stays what belongs to the extension. Only what is made of other functions, or in SQL, can be replaced here.
const UNTOUCHED: &str = "(f.xmin OPERATOR(pg_catalog.=) e.xmin AND EXISTS (SELECT FROM pg_catalog.pg_extension made \
     WHERE made.oid OPERATOR(pg_catalog.=) e.refobjid AND made.xmin OPERATOR(pg_catalog.=) f.xmin) \
     OR NOT EXISTS (SELECT FROM pg_catalog.pg_roles own WHERE own.rolname OPERATOR(pg_catalog.=) SESSION_USER AND own.rolsuper))";

/// Whether an operator `p` came with an extension: what else an extension has in C may be anything under its name. One that
/// somebody else than a superuser has is one that they added: it may apply any function of PostgreSQL's own.
const EXTENDED: &str = "(EXISTS (SELECT FROM pg_catalog.pg_depend e \
     WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass AND e.objid OPERATOR(pg_catalog.=) p.oid \
     AND e.deptype OPERATOR(pg_catalog.=) 'e') AND EXISTS (SELECT FROM pg_catalog.pg_roles o \
     WHERE o.oid OPERATOR(pg_catalog.=) p.oprowner AND o.rolsuper))";

pub(super) fn filled(text: &str) -> String {
    let text = text
        .replace("{locked}", LOCKED)
        .replace("{ordering}", ORDERING)
        .replace("{ours}", OURS)
        .replace("{known}", KNOWN)
        .replace("{untouched}", UNTOUCHED)
        .replace("{extensions}", &extensions());
    text.replace("{extended}", EXTENDED)
        .replace("{quiet}", QUIET)
        .replace("{ordered}", ORDERED)
        .replace("{parted}", &ORDERED.replace("indclass", "partclass"))
}

/// The rows of [`EXTENSIONS`], none of which has a quote in it.
fn extensions() -> String {
    let each = EXTENSIONS.map(|extension| {
        format!(
            "('{}'::pg_catalog.name, '{}'::pg_catalog.text, '{{{}}}'::pg_catalog.name[])",
            extension.name,
            extension.library,
            extension.besides.join(",")
        )
    });
    each.join(", ")
}
