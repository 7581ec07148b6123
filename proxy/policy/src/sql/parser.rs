//! The one call into PostgreSQL's grammar.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use pg_query::{Error, ParserOptions, protobuf};

use super::error::SyntaxError;
use super::pour::pour;
use super::tree::Tree;

/// How plain string literals are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backslash {
    /// `standard_conforming_strings = on`: a backslash is a character like any other.
    Literal,
    /// `standard_conforming_strings = off`: a backslash escapes.
    Escape,
}

/// One raw statement: its tree and the bytes it was made from.
pub(super) struct Raw {
    pub(super) tree: Tree,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// libpg_query swaps the process's standard error for a pipe while it parses and puts it back afterwards. Two threads
/// doing that at once would leave the process with a dead standard error for good.
static PARSER: Mutex<()> = Mutex::new(());

/// Parses a text of any number of statements.
pub(super) fn parse(text: &str, reading: Backslash) -> Result<Vec<Raw>, SyntaxError> {
    let parsed = call(text, reading).map_err(|failure| match failure {
        Failure::Refused(error) => SyntaxError::of(&error, text, |prefix| message(prefix, reading)),
        Failure::Broken => SyntaxError::internal(),
    })?;
    parsed
        .stmts
        .iter()
        .map(|statement| raw(statement, text.len()))
        .collect()
}

enum Failure {
    Refused(Error),
    Broken,
}

fn call(text: &str, reading: Backslash) -> Result<protobuf::ParseResult, Failure> {
    let options = match reading {
        Backslash::Literal => ParserOptions::DEFAULT,
        Backslash::Escape => ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
    };
    let _alone = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    // The binding makes a summary of its own of each tree and asserts about its shape while doing so. A tree that it did
    // not expect must end this statement, not the process.
    match catch_unwind(AssertUnwindSafe(|| pg_query::parse(text, options))) {
        Ok(Ok(parsed)) => Ok(parsed.protobuf),
        Ok(Err(error)) => Err(Failure::Refused(error)),
        Err(_) => Err(Failure::Broken),
    }
}

/// The error message that a prefix of the text gives, or `None` if it parses.
fn message(prefix: &str, reading: Backslash) -> Option<String> {
    match call(prefix, reading) {
        Err(Failure::Refused(Error::Parse(message))) => Some(message),
        _ => None,
    }
}

fn raw(statement: &protobuf::RawStmt, length: usize) -> Result<Raw, SyntaxError> {
    let start = usize::try_from(statement.stmt_location).unwrap_or(0).min(length);
    let end = match usize::try_from(statement.stmt_len) {
        Ok(len) if len > 0 => start.saturating_add(len).min(length),
        // Zero means the rest of the text.
        _ => length,
    };
    let tree = pour(statement).map_err(|_| SyntaxError::internal())?;
    Ok(Raw { tree, start, end })
}
