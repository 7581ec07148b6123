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

/// What can be said of a function, by schema (if written) and name.
pub fn safety(schema: Option<&str>, name: &str) -> Safety {
    if schema.is_some_and(|schema| schema != SYSTEM) {
        return Safety::Opaque;
    }
    if SAFE.contains(name) {
        return Safety::Safe;
    }
    match name {
        "set_config" => Safety::Effect(Verb::Set),
        "pg_notify" => Safety::Effect(Verb::Notify),
        "nextval" | "setval" => Safety::Effect(Verb::Update),
        "pg_cancel_backend" | "pg_terminate_backend" => Safety::Effect(Verb::Utility),
        _ if name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_") => Safety::Effect(Verb::Lock),
        _ => Safety::Opaque,
    }
}

/// Whether an operator is PostgreSQL's own.
pub(super) fn is_own_operator(schema: Option<&str>, name: &str) -> bool {
    schema.is_none_or(|schema| schema == SYSTEM) && OPERATORS.contains(name)
}
