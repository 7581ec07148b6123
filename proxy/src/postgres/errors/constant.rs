//! What PostgreSQL says in words that tell nothing of what is stored.

use super::Field;

/// What PostgreSQL says in the same words whatever is stored. People search for them, and programs tell by them what to do.
pub(super) const CONSTANT: [(&str, &str); 45] = [
    ("0A000", "cached plan must not change result type"),
    ("0A000", "cannot alter type of a column used by a view or rule"),
    ("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time"),
    (
        "21000",
        "more than one row returned by a subquery used as an expression",
    ),
    ("22003", "bigint out of range"),
    ("22003", "integer out of range"),
    ("22003", "numeric field overflow"),
    ("22003", "smallint out of range"),
    ("22012", "division by zero"),
    (
        "25001",
        "CREATE INDEX CONCURRENTLY cannot run inside a transaction block",
    ),
    ("25001", "DROP INDEX CONCURRENTLY cannot run inside a transaction block"),
    ("25001", "REINDEX CONCURRENTLY cannot run inside a transaction block"),
    ("25001", "VACUUM cannot run inside a transaction block"),
    ("25006", "cannot execute DELETE in a read-only transaction"),
    ("25006", "cannot execute INSERT in a read-only transaction"),
    ("25006", "cannot execute MERGE in a read-only transaction"),
    ("25006", "cannot execute SELECT FOR UPDATE in a read-only transaction"),
    ("25006", "cannot execute UPDATE in a read-only transaction"),
    ("25006", "cannot execute nextval() in a read-only transaction"),
    ("25P01", "DECLARE CURSOR can only be used in transaction blocks"),
    (
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
    ),
    ("25P03", "terminating connection due to idle-in-transaction timeout"),
    ("25P04", "terminating connection due to transaction timeout"),
    (
        "2BP01",
        "cannot drop desired object(s) because other objects depend on them",
    ),
    ("40001", "canceling statement due to conflict with recovery"),
    ("40001", "could not serialize access due to concurrent delete"),
    ("40001", "could not serialize access due to concurrent update"),
    (
        "40001",
        "could not serialize access due to read/write dependencies among transactions",
    ),
    ("40P01", "deadlock detected"),
    ("42601", "INSERT has more expressions than target columns"),
    ("42601", "INSERT has more target columns than expressions"),
    ("42601", "each EXCEPT query must have the same number of columns"),
    ("42601", "each INTERSECT query must have the same number of columns"),
    ("42601", "each UNION query must have the same number of columns"),
    ("42601", "subquery has too many columns"),
    ("42601", "subquery must return only one column"),
    (
        "42P10",
        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
    ),
    (
        "42P10",
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    ),
    (
        "42P10",
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    ),
    ("53200", "out of shared memory"),
    ("55P03", "canceling statement due to lock timeout"),
    ("57014", "canceling statement due to statement timeout"),
    ("57014", "canceling statement due to user request"),
    ("57P01", "terminating connection due to administrator command"),
    ("57P05", "terminating connection due to idle-session timeout"),
];

/// Functions of PostgreSQL's by which programs tell that a statement has only to be prepared anew (asyncpg, pgjdbc), as a table has
/// another column by now. Where the words are PostgreSQL's own, so is this.
const ROUTINES: [&str; 1] = ["RevalidateCachedQuery"];

/// PostgreSQL's own words for a SQLSTATE, if these are some that are always the same.
pub(super) fn constant(state: &str, said: &[u8]) -> Option<&'static str> {
    let mut each = CONSTANT.iter();
    let found = each.find(|(code, words)| *code == state && words.as_bytes() == said);
    found.map(|(_, words)| *words)
}

/// Whether programs tell by the source function of an error what to do.
pub(super) fn is_told_by(routine: &Field<'_>, all: &[Field<'_>], state: &str) -> bool {
    let mut words = all.iter().filter(|field| field.code == b'M');
    ROUTINES.iter().any(|known| known.as_bytes() == routine.text)
        && words.any(|field| constant(state, field.text).is_some())
}
