//! The words of a body.

use crate::sql::parser::Backslash;
use crate::sql::secrets::{Literal, Piece, pieces};

/// One word of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'t> {
    /// A keyword or name, in lower case.
    Name(String),
    /// A name in quotes, in lower case all the same; `folded`: it was not written so.
    Quoted {
        name: String,
        folded: bool,
    },
    /// A name in Unicode escapes.
    Escaped,
    Literal(Literal<'t>),
    Sign(char),
}

/// The words of a text.
pub(super) fn words(text: &str, reading: Backslash) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for piece in pieces(text, reading) {
        match piece {
            Piece::Code(code) => code_words(code, &mut words),
            Piece::Comment(_) => {}
            Piece::Literal(literal) => words.push(Word::Literal(literal)),
        }
    }
    words
}

fn code_words(code: &str, words: &mut Vec<Word<'_>>) {
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let len = if c == '"' {
            let name = quoted_name(rest);
            let written = name.trim_matches('"').replace("\"\"", "\"");
            let lower = written.to_lowercase();
            words.push(Word::Quoted {
                folded: lower != written,
                name: lower,
            });
            name.len()
        } else if rest.starts_with("u&\"") || rest.starts_with("U&\"") {
            words.push(Word::Escaped);
            2 + rest.get(2..).map_or(0, |name| quoted_name(name).len())
        } else if is_word(c) {
            let name = rest.split(|c| !is_word(c)).next().unwrap_or_default();
            words.push(Word::Name(name.to_lowercase()));
            name.len()
        } else {
            if !c.is_whitespace() {
                words.push(Word::Sign(c));
            }
            c.len_utf8()
        };
        rest = rest.get(len..).unwrap_or_default();
    }
}

/// The quoted name that a text begins with; one that is never closed goes to the end.
fn quoted_name(text: &str) -> &str {
    let mut end = 1;
    while let Some(at) = text.get(end..).and_then(|rest| rest.find('"')) {
        end += at + 1;
        match text.get(end..).is_some_and(|rest| rest.starts_with('"')) {
            true => end += 1,
            false => return text.get(..end).unwrap_or(text),
        }
    }
    text
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

// === impl Word ===

impl<'t> Word<'t> {
    pub(super) fn is(&self, word: &str) -> bool {
        self.name() == Some(word)
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) | Self::Quoted { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether it is what gives a role back: `NONE` and `DEFAULT`, which in quotes are roles, but for `"none"`.
    pub(super) fn is_no_role(&self) -> bool {
        match self {
            Self::Name(name) => matches!(name.as_str(), "none" | "default"),
            Self::Quoted { name, folded } => name == "none" && !folded,
            _ => false,
        }
    }

    pub(super) fn literal(&self) -> Option<&Literal<'t>> {
        match self {
            Self::Literal(literal) => Some(literal),
            _ => None,
        }
    }
}
