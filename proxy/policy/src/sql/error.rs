//! Why a text is not judged: PostgreSQL's own answer to it.

use pg_query::Error;

/// A text that PostgreSQL's grammar refuses, or that is too much for this door.
///
/// The message quotes the text itself and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// SQLSTATE: 42601 unless PostgreSQL has a better one.
    pub sqlstate: &'static str,
    /// PostgreSQL's own message.
    pub message: String,
    /// Where in the text, in characters from 1, as the field `P` of an ErrorResponse has it.
    pub position: Option<usize>,
}

const SYNTAX_ERROR: &str = "42601";
const TOO_COMPLEX: &str = "54001";
const TOO_LARGE: &str = "54000";
const INTERNAL: &str = "XX000";

/// Messages of the grammar that have a SQLSTATE of their own, by how they begin.
const OTHER_STATES: [(&str, &str); 8] = [
    ("stack depth limit exceeded", TOO_COMPLEX),
    ("parse tree is nested too deeply", TOO_COMPLEX),
    ("memory exhausted", TOO_COMPLEX),
    ("unsafe use of \\'", "22P06"),
    ("invalid Unicode", "22025"),
    ("invalid byte sequence", "22021"),
    ("invalid hexadecimal", "22025"),
    ("unsafe use of string constant with Unicode escapes", "0A000"),
];

// === impl SyntaxError ===

impl SyntaxError {
    /// The refusal of a text that is longer than this door reads. `what`: which of its bytes count.
    pub(super) fn too_large(limit: usize, what: &str) -> Self {
        let message = format!(
            "statement text is longer than {limit} bytes{what}: bind its values as parameters, send it in parts, or load rows with COPY"
        );
        Self {
            sqlstate: TOO_LARGE,
            message,
            position: None,
        }
    }

    /// The refusal of a text that says more than this door has room for while it reads it.
    pub(super) fn too_heavy() -> Self {
        Self {
            sqlstate: TOO_LARGE,
            message: "statement text has more names, signs and values than this door reads at once: bind its values as parameters, send it in \
                      parts, or load rows with COPY"
                .to_owned(),
            position: None,
        }
    }

    /// The refusal of a text that the parser could not give a usable tree for.
    pub(super) fn internal() -> Self {
        let message = "the statement could not be read".to_owned();
        Self {
            sqlstate: INTERNAL,
            message,
            position: None,
        }
    }

    /// From the parser's error. `again` gives the message for a prefix of the text.
    pub(super) fn of(error: &Error, text: &str, again: impl Fn(&str) -> Option<String>) -> Self {
        match error {
            Error::Parse(message) => {
                let known = OTHER_STATES.iter().find(|(start, _)| message.starts_with(start));
                let sqlstate = known.map_or(SYNTAX_ERROR, |(_, state)| *state);
                let position = locate(message, text, again).map(|byte| characters(text, byte) + 1);
                Self {
                    sqlstate,
                    message: message.clone(),
                    position,
                }
            }
            // The tree is read by recursion, which is bounded: what overflowed the stack would end the door for everybody.
            Error::Decode(_) => Self {
                sqlstate: TOO_COMPLEX,
                message: "statement is nested too deeply to be judged (some 45 operators or joins in a chain, 90 branches of a \
                          UNION): bracket the chain in pairs, as in (a || b) || (c || d), use concat(), or send it in parts"
                    .to_owned(),
                position: None,
            },
            Error::Conversion(_) => Self {
                sqlstate: "22021",
                message: "invalid byte sequence for encoding \"UTF8\": 0x00".to_owned(),
                position: None,
            },
            _ => Self::internal(),
        }
    }
}

/// Finds the byte an error speaks of. The binding drops the parser's cursor position, so it is found again: the grammar
/// refuses the first token that cannot follow, hence the shortest prefix that ends with that token and is refused with
/// the same words ends where the error is.
fn locate(message: &str, text: &str, again: impl Fn(&str) -> Option<String>) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(text.len());
    }
    let (_, quoted) = message.split_once(" at or near \"")?;
    let token = quoted.strip_suffix('"')?;
    let whole = |at: &usize| is_whole(text, *at, at + token.len());
    let starts = text.match_indices(token).map(|(at, _)| at).filter(whole);
    let ends: Vec<usize> = starts.map(|at| at + token.len()).collect();
    let refused = |end: &usize| text.get(..*end).and_then(&again).is_some_and(|found| found == message);
    // An unterminated literal quotes all the rest of the text: only the last match can be meant.
    let found = match ends.as_slice() {
        [.., last] if *last == text.len() && ends.len() == 1 => Some(last),
        _ => ends.get(ends.partition_point(|end| !refused(end))),
    };
    found.map(|end| end - token.len())
}

/// Whether a match is a token of its own: `selec` in `select` is not.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let inside = text.get(start..end).unwrap_or_default();
    let before = text.get(..start).and_then(|before| before.chars().next_back());
    let after = text.get(end..).and_then(|after| after.chars().next());
    let joins = |a: Option<char>, b: Option<char>| a.is_some_and(word) && b.is_some_and(word);
    !joins(before, inside.chars().next()) && !joins(inside.chars().next_back(), after)
}

fn characters(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(0, |before| before.chars().count())
}
