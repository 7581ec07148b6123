//! The one call into PostgreSQL's grammar.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pg_query::{Error, ParserOptions, protobuf};

use super::LONG;
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
#[derive(Clone, PartialEq)]
pub(super) struct Raw {
    pub(super) tree: Tree,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Held for a thread's first call: libpg_query then sets itself up for that thread, by way of one variable for all of them.
static SETTING_UP: Mutex<()> = Mutex::new(());

thread_local! {
    static SET_UP: Cell<bool> = const { Cell::new(false) };
}

fn set_up() -> Option<MutexGuard<'static, ()>> {
    let first = !SET_UP.replace(true);
    first.then(|| SETTING_UP.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Held while a long text is parsed: the parser's structures take so much that one thread has them at a time.
static LONG_ONE: Mutex<()> = Mutex::new(());

/// Parses a text of any number of statements.
pub(super) fn parse(text: &str, reading: Backslash) -> Result<Vec<Raw>, SyntaxError> {
    let _turn = (text.len() > LONG).then(|| LONG_ONE.lock().unwrap_or_else(PoisonError::into_inner));
    let parsed = call(text, reading).map_err(|failure| match failure {
        Failure::Refused(error) => SyntaxError::of(&error, text, |prefix| message(prefix, reading)),
        Failure::Broken => SyntaxError::internal(),
    })?;
    // Of each statement they go as soon as it has its tree.
    let statements = parsed.stmts.into_iter();
    statements.map(|statement| raw(&statement, text.len())).collect()
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
    let _alone = set_up();
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Builds of libpg_query that are not for debugging swap the process's standard error for a pipe while they parse: with
    /// one of those, threads would have to take turns.
    #[test]
    fn threads_parse_at_once_and_leave_standard_error_alone() {
        let inode = || {
            let error = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
            std::fs::File::from(error).metadata().unwrap().ino()
        };
        let (before, done) = (inode(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let parsers: Vec<_> = (0..8)
                .map(|thread| {
                    scope.spawn(move || {
                        for n in 0..300 {
                            let text = format!("SELECT a + {n} FROM t{thread} WHERE b = 'x'");
                            assert_eq!(parse(&text, Backslash::Literal).unwrap().len(), 1);
                            assert!(parse("SELECT FROM WHERE", Backslash::Literal).is_err());
                        }
                    })
                })
                .collect();
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(inode(), before);
                }
            });
            let ended: Vec<_> = parsers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
    }
}
