//! What a text of SQL does, as far as a parse tree can tell: verbs, relations, functions, and what cannot be seen.
//!
//! [`parse`] reads a text with PostgreSQL's own grammar and gives a [`Script`] of [`Statement`]s. Every node of every
//! tree is visited, not the first word: the DELETE inside a CTE, the SELECT INTO, the function in a default. What hides
//! behind names (views, triggers, function bodies) is not in a parse tree: [`lineage`] and the caller resolve names with
//! the catalog, and functions that nobody vouches for make a statement *opaque*.
//!
//! Scripts are immutable and may be shared and cached by text; verdicts on them may not, since the same bytes mean other
//! things under another search path, role or policy.

mod beyond;
mod body;
mod choice;
mod columns;
mod cover;
mod defined;
mod denied;
mod effect;
mod encoding;
mod error;
mod extensions;
mod facts;
mod fingerprint;
mod folded;
mod functions;
mod grammar;
mod length;
pub mod lineage;
mod names;
mod parser;
mod pinned;
mod pour;
mod secrets;
mod shape;
mod statement;
mod tree;
mod verb;
mod written;

pub(crate) use beyond::{CASCADES, NOT_FOLLOWED, SAMPLED};
pub(crate) use choice::chooses_rows;
pub use cover::Cover;
pub use denied::Denied;
pub use effect::{CopyDirection, CopyFormat, Effect, Setting, Transaction};
pub use encoding::{is_utf8, other_encoding, unreadable_copy};
pub use error::SyntaxError;
pub use extensions::{EXTENSIONS, Extension};
pub use fingerprint::Digest;
pub use folded::is_folded_expression;
pub(crate) use functions::only_tells;
pub use functions::{Safety, safety};
pub use lineage::{Flow, Lineage, Output, lineage};
pub use names::{Access, FunctionRef, RelationRef};
pub(crate) use pinned::SETTINGS;
pub use secrets::{secret_parameters, value_without_secrets, without_secrets};
pub use shape::Shapes;
pub use statement::{Script, Statement};
pub use verb::{Verb, Verbs};
pub use written::Given;

use parser::Backslash;
use secrets::{Piece, pieces};

/// The most bytes of a text outside of its quoted literals: they make its tree. Parsing takes about a second per MiB of them in
/// the worst shapes.
pub const MAX_TEXT: usize = 1 << 20;
/// The longest text, literals included: these are one node each, and are read, searched, copied and recorded whole.
pub const MAX_WHOLE: usize = 8 << 20;

/// What the parser's structures for a text may weigh, in KiB of them: a name takes 4, a sign 3, a value 2. They take up to two thousand
/// times the bytes of a text, for as long as its tree is made. Programs write rows of constants in one statement: 10,000 rows of fifteen
/// columns fit.
const MAX_WEIGHT: usize = 3 << 17;
/// Texts that take turns, and are weighed: no shorter one weighs too much.
const LONG: usize = 64 * 1024;

/// Whether an expression, as `pg_get_expr` writes it under an empty path, runs what nobody can see into, or changes a setting where
/// no text says so. Functions of other schemas are left to whoever knows what they are written in.
pub fn is_opaque_expression(expression: &str) -> bool {
    let own = |function: &FunctionRef| {
        let named = function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
        let unseen = matches!(safety(None, &function.name), Safety::Telling | Safety::Opaque);
        named && (unseen || function.name == "set_config")
    };
    let Ok(script) = parse(&format!("SELECT {expression}")) else {
        return true;
    };
    let mut readings = script.readings().flatten();
    readings.any(|statement| statement.functions.iter().any(own))
}

/// Whether a string literal of a text holds something, whichever way its backslashes are read.
pub fn any_literal(text: &str, holds: impl Fn(&str) -> bool) -> bool {
    let is_one = |piece: Piece<'_>| matches!(piece, Piece::Literal(literal) if holds(&literal.text()));
    let mut readings = [Backslash::Literal, Backslash::Escape].into_iter();
    readings.any(|reading| pieces(text, reading).any(&is_one))
}

/// Reads a text of any number of statements.
///
/// A plain literal with a backslash reads differently under `standard_conforming_strings` on and off, and which of the two
/// holds at the server cannot be known in a pipeline. So such a text is read both ways, and where the two trees differ both
/// are kept ([`Script::readings`]): the worse verdict holds. If only one reading parses, the server would refuse the other.
pub fn parse(text: &str) -> Result<Script, SyntaxError> {
    check_length(text)?;
    let literal = read(text, Backslash::Literal);
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return literal.map(|statements| Script::new(statements, None));
    }
    match (literal, read(text, Backslash::Escape)) {
        (Ok(literal), Ok(escape)) => {
            let same =
                literal.len() == escape.len() && literal.iter().zip(&escape).all(|(a, b)| a.digest() == b.digest());
            Ok(Script::new(literal, (!same).then_some(escape)))
        }
        (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(Script::new(only, None)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// Nobody knows yet which reading is the server's: the one that takes more counts.
fn check_length(text: &str) -> Result<(), SyntaxError> {
    if text.len() > MAX_WHOLE {
        return Err(SyntaxError::too_large(MAX_WHOLE, ""));
    }
    if text.len() <= LONG {
        return Ok(());
    }
    let taken = length::taken_at_most(text);
    if taken.outside > MAX_TEXT {
        return Err(SyntaxError::too_large(MAX_TEXT, " outside of its quoted values"));
    }
    if taken.weight > MAX_WEIGHT {
        return Err(SyntaxError::too_heavy());
    }
    Ok(())
}

fn read(text: &str, reading: Backslash) -> Result<Vec<Statement>, SyntaxError> {
    let raws = parser::parse(text, reading)?;
    Ok(raws.into_iter().filter_map(|raw| Statement::of(raw, text)).collect())
}

#[cfg(test)]
mod tests;
