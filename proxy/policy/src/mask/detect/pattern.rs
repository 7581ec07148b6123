//! Patterns of one's own: compiled only when RE2 and Rust's regex agree about them.
//!
//! The API server checks a rule's pattern with RE2 and the door runs it with Rust's `regex`. The two differ in syntax and
//! in what some of the common syntax means, so a pattern is screened twice: what only one of them takes is refused, and
//! what they read differently (`\d`, `\w`, `\s`, `\b` are ASCII in RE2) is translated to RE2's meaning.

mod screen;
mod search;

use std::sync::Arc;

use regex::bytes::{RegexSet, RegexSetBuilder};
use search::Search;
pub(super) use search::Spent;

/// Upper bound on a compiled pattern, in bytes; counted repeats of classes grow quickly.
const SIZE_LIMIT: usize = 1 << 20;
/// The same for all patterns of a masker together.
const SET_SIZE_LIMIT: usize = 16 << 20;

/// Texts that have nothing in common but that they are short, or long, or written by somebody: what recognises something in all
/// texts of a row recognises it in nearly every value of that kind.
static ORDINARY: [[&str; 3]; 3] = [
    ["paid", "ABCD", "2026"],
    [
        "the customer asked for a second invoice",
        "NEW YORK OFFICE ACCOUNTS RECEIVABLE",
        "2026-11-28 07:16:16.123456+00",
    ],
    [
        "the customer asked for a second invoice",
        "Ann Lee, 41 Elm Street",
        "Order 2026-114 was sent by post",
    ],
];

/// A pattern that can be run, in time linear in the text.
#[derive(Clone, Debug)]
pub struct Pattern {
    name: String,
    /// The translated text.
    source: String,
    search: Arc<Search>,
    max_length: usize,
}

/// Why a pattern is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Rust's regex does not compile it.
    #[error("regex does not compile: {0}")]
    Syntax(String),
    /// RE2 does not take it, or reads it differently.
    #[error("regex uses {0}, which RE2 does not take or reads differently")]
    NotPortable(&'static str),
    /// It matches the empty text, and so everywhere.
    #[error("regex matches the empty text: make at least one part of it mandatory")]
    Empty,
    /// It matches ordinary texts alike, or them and numbers: these, for example.
    #[error(
        "regex matches nearly every value ({} among them): say what the values have in common, or protect columns by name",
        .0.join(", ")
    )]
    Everything(&'static [&'static str; 3]),
    /// Every match is longer than `maxLength`.
    #[error("regex matches at least {shortest} bytes, but maxLength is {max_length}")]
    TooShort {
        /// Length of the shortest match.
        shortest: usize,
        /// What the rule says.
        max_length: usize,
    },
    /// The compiled form is too large.
    #[error("regex is too large when compiled: use fewer or smaller counted repeats")]
    TooLarge,
}

// === impl Pattern ===

impl Pattern {
    /// Screens and compiles a pattern. `max_length` is the longest match, in bytes, that a rule counts on; within a value,
    /// which is always looked at whole, longer matches are masked too.
    pub fn compile(name: &str, regex: &str, max_length: usize) -> Result<Self, PatternError> {
        let source = screen::translate(regex)?;
        let shortest = shortest_match(&source)?;
        if shortest == 0 {
            return Err(PatternError::Empty);
        }
        if shortest > max_length {
            return Err(PatternError::TooShort { shortest, max_length });
        }
        let search = Search::new(&source)?;
        if let Some(texts) = ORDINARY
            .iter()
            .find(|texts| search.match_all(texts.as_slice(), shortest))
        {
            return Err(PatternError::Everything(texts));
        }
        Ok(Self {
            name: name.to_owned(),
            source,
            search: Arc::new(search),
            max_length,
        })
    }

    /// Whether it finds the same as another.
    pub(in crate::mask) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// The pattern's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The longest match, in bytes, that a rule counts on.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Tells `found` start and end of each match. An error: to find them all would take more time than a text of this length
    /// may, and all of it has to be hidden.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize)) -> Result<(), Spent> {
        self.search.all(text, &mut found)
    }
}

/// All patterns as one search that says which of them match; `None` where together they are too large.
pub(super) fn set<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Option<RegexSet> {
    RegexSetBuilder::new(patterns.map(|p| &p.source))
        .size_limit(SET_SIZE_LIMIT)
        .build()
        .ok()
}

fn shortest_match(source: &str) -> Result<usize, PatternError> {
    let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(source);
    let hir = hir.map_err(|error| PatternError::Syntax(last_line(&error)))?;
    Ok(hir.properties().minimum_len().unwrap_or(0))
}

/// The message of a syntax error without the drawing of the pattern above it.
fn last_line(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests;
