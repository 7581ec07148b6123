//! Which functions and operators can be vouched for by name.
//!
//! A name is all that a parse tree has. An unqualified `lower(x)` is PostgreSQL's own unless somebody who may create
//! functions in a schema of the search path made a better match; a grant therefore binds the definitions that were called.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::verb::Verb;

/// What can be said of a function by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// PostgreSQL's own; reads no table, writes nothing, runs no text given to it.
    Safe,
    /// PostgreSQL's own, with an effect that has a verb.
    Effect(Verb),
    /// PostgreSQL's own; changes nothing and runs no text given to it, and may answer with anything.
    Telling,
    /// Nobody knows: it may write, and may answer with anything.
    Opaque,
}

static SAFE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("safe_functions.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
});

/// PostgreSQL's own operators.
static OPERATORS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "!! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> << <<= <<| <= <> <@ \
     <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~ ~~ ~~* !="
        .split_whitespace()
        .collect()
});

const SYSTEM: &str = "pg_catalog";

/// Functions of pg_catalog that only tell (PostgreSQL 15 to 18): of the server, of sessions, of catalogs.
const TELLING: [&str; 44] = [
    "current_query",
    "pg_available_extension_versions",
    "pg_available_extensions",
    "pg_available_wal_summaries",
    "pg_column_toast_chunk_id",
    "pg_config",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_current_logfile",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_cursor",
    "pg_extension_update_paths",
    "pg_get_aios",
    "pg_get_backend_memory_contexts",
    "pg_get_loaded_modules",
    "pg_get_multixact_members",
    "pg_get_object_address",
    "pg_get_publication_tables",
    "pg_get_replication_slots",
    "pg_get_sequence_data",
    "pg_get_shmem_allocations",
    "pg_get_shmem_allocations_numa",
    "pg_get_wait_events",
    "pg_isolation_test_session_is_blocked",
    "pg_last_committed_xact",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_listening_channels",
    "pg_lock_status",
    "pg_mcv_list_items",
    "pg_notification_queue_usage",
    "pg_prepared_statement",
    "pg_prepared_xact",
    "pg_safe_snapshot_blocking_pids",
    "pg_stat_have_stats",
    "pg_stat_clear_snapshot",
    "pg_tablespace_databases",
    "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin",
    "to_regtypemod",
];

/// How the functions begin that read a counter of the server's statistics.
const COUNTERS: &str = "pg_stat_get_";

/// The one function of information_schema that clients call: drivers take keys and indexes apart with it. It reads nothing but
/// its array, and only a superuser may replace it.
const EXPANDS: (&str, &str) = ("information_schema", "_pg_expandarray");

/// Functions that run a text which they are given. Of [`RUN_WHATEVER_BEGINS`] all do that begin so.
const RUN_TEXTS: [&str; 5] = [
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
];
/// See [`RUN_TEXTS`].
const RUN_WHATEVER_BEGINS: [&str; 2] = ["crosstab", "dblink"];

/// Whether a function runs a text that it is given. Schemas do not matter, as where calls are refused.
pub(super) fn runs_texts(name: &str) -> bool {
    RUN_TEXTS.contains(&name) || RUN_WHATEVER_BEGINS.iter().any(|begins| name.starts_with(begins))
}

/// What can be said of a function, by schema (if written) and name.
pub fn safety(schema: Option<&str>, name: &str) -> Safety {
    if schema.is_some_and(|schema| (schema, name) == EXPANDS) {
        return Safety::Safe;
    }
    if schema.is_some_and(|schema| schema != SYSTEM) {
        return Safety::Opaque;
    }
    if SAFE.contains(name) {
        return Safety::Safe;
    }
    match name {
        // Says which moment its transaction sees; the file that others find it by goes with the transaction.
        "pg_export_snapshot" => Safety::Safe,
        "set_config" => Safety::Effect(Verb::Set),
        "pg_notify" => Safety::Effect(Verb::Notify),
        "nextval" | "setval" => Safety::Effect(Verb::Update),
        "pg_cancel_backend" | "pg_terminate_backend" => Safety::Effect(Verb::Utility),
        _ if TELLING.contains(&name) || name.starts_with(COUNTERS) => Safety::Telling,
        _ if name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_") => Safety::Effect(Verb::Lock),
        _ => Safety::Opaque,
    }
}

/// Whether something that cannot be seen into is a view of PostgreSQL's own or a function of [`Safety::Telling`]: it may answer with
/// anything, and changes nothing. Views of users are told in other words.
pub(crate) fn only_tells(opaque: &str) -> bool {
    ["view ", "system function "]
        .iter()
        .any(|kind| opaque.starts_with(kind))
}

/// Whether an operator is PostgreSQL's own.
pub(super) fn is_own_operator(schema: Option<&str>, name: &str) -> bool {
    schema.is_none_or(|schema| schema == SYSTEM) && OPERATORS.contains(name)
}
