//! How much of a text makes its tree: all of it but what stands within quoted literals, each of which is one node however long
//! it is.
//!
//! What counts too little would let a text make a tree that nobody bounded. So only `'…'` and `E'…'` count for less than they
//! are, and everything counts from where on it is hard to say what a literal is.

use super::parser::Backslash;

/// The bytes of a text that do not stand within a quoted literal, as one of its readings has them. A text with a literal that
/// never ends counts whole.
pub(super) fn outside_literals(text: &str, reading: Backslash) -> usize {
    let bytes = text.as_bytes();
    // How far everything is read, where the word begins that may reach up to there, and the bytes within literals.
    let (mut at, mut word, mut within) = (0, 0, 0);
    while let Some([byte, rest @ ..]) = bytes.get(at..) {
        match (byte, rest) {
            // Dollar quotes, names with a dollar and comments, in which quotes mean something else.
            (b'$', _) | (b'-', [b'-', ..]) | (b'/', [b'*', ..]) => break,
            (b'"', _) => {
                let Some(name) = memchr::memchr(b'"', rest) else { break };
                at += name + 2;
                word = at;
            }
            (b'\'', _) => {
                let Some(escapes) = escapes(bytes.get(..at), bytes.get(word..at), reading) else {
                    break;
                };
                let Some(body) = body(rest, escapes) else {
                    return text.len();
                };
                within += body;
                at += body + 2;
                word = at;
                if is_continued(bytes.get(at..).unwrap_or_default()) {
                    break;
                }
            }
            (byte, _) => {
                at += 1;
                if !is_word(*byte) {
                    word = at;
                }
            }
        }
    }
    text.len() - within
}

/// Whether a backslash escapes in the literal that begins behind `before`, whose last `word` is its prefix; `None` for literals
/// of other kinds.
fn escapes(before: Option<&[u8]>, word: Option<&[u8]>, reading: Backslash) -> Option<bool> {
    match word? {
        // `U&'…'`
        b"" if before?.ends_with(b"&") => None,
        b"" => Some(reading == Backslash::Escape),
        b"e" | b"E" => Some(true),
        _ => None,
    }
}

/// The length of a literal's body, with which `text` begins; `None` where it never ends.
fn body(text: &[u8], escapes: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'\'', b'\\', text.get(at..)?)?;
        match text.get(at..)? {
            [b'\\', ..] => at += 1 + usize::from(escapes),
            [b'\'', b'\'', ..] => at += 2,
            _ => return Some(at),
        }
    }
}

/// Whether another quote follows behind a literal: it may go on with it, by the rules of its first part.
fn is_continued(rest: &[u8]) -> bool {
    let mut bytes = rest.iter().copied();
    bytes.find(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')) == Some(b'\'')
}

/// Bytes of names and numbers.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_quotes_does_not_count() {
        for (text, literal, escape) in [
            ("select 1", 8, 8),
            ("'abc'", 2, 2),
            ("'a''c', 'ab'", 6, 6),
            ("E'a\\'c'", 3, 3),
            ("e'\\\\', 'b'", 7, 7),
            // Two literals, or one and what follows it.
            ("'\\', 'ab'", 6, 5),
            ("'\\', 'ab'''", 6, 7),
            ("'größe'", 2, 2),
            ("\"it's\" = 'x'", 11, 11),
            ("\"a\"E'\\''", 6, 6),
        ] {
            assert_eq!(outside_literals(text, Backslash::Literal), literal, "{text}");
            assert_eq!(outside_literals(text, Backslash::Escape), escape, "{text}");
        }
    }

    #[test]
    fn everything_counts_where_literals_are_hard_to_tell() {
        for text in [
            "'open",
            "E'open\\'",
            "$$'$$ 'x'",
            "a$e'x'",
            "-- it's\r 'x'",
            "/* ' */ 'x'",
            "n'x'",
            "b'1''0'",
            "u&'x'",
            "u&\"x\" uescape$'x'",
            "1e'x'",
            "date'2026-01-01'",
            "\"open 'x'",
        ] {
            for reading in [Backslash::Literal, Backslash::Escape] {
                assert_eq!(outside_literals(text, reading), text.len(), "{text}");
            }
        }
        // What stands before it is known.
        assert_eq!(outside_literals("'ab' /* 'cd' */", Backslash::Literal), 13);
        for space in [" ", "\n", "\r", "\u{b}", "\u{c}"] {
            let text = format!("E'ab'{space}'\\' || 'cd'");
            assert_eq!(outside_literals(&text, Backslash::Literal), text.len() - 2, "{text:?}");
        }
    }

    /// What this takes for code has to hold all that the grammar takes for code: here each literal is one constant, and what is
    /// outside of them has no other.
    #[test]
    fn the_grammar_finds_the_same_literals() {
        for text in [
            "select 'a''b', E'a\\'b', \"it's\", 'c' from \"t\" where x='\\' and y='z'",
            "insert into t values ('', E'', e'\\\\', 'größe'), ('\\', 'a', '--', '/*')",
            "select 'a'::text||'b'||x.e||E'\\n'",
        ] {
            for reading in [Backslash::Literal, Backslash::Escape] {
                let Ok(raws) = super::super::parser::parse(text, reading) else {
                    continue;
                };
                let nodes = raws.iter().flat_map(|raw| raw.tree.nodes());
                let values = nodes
                    .filter(|node| node.is("AConst"))
                    .filter_map(|node| node.node("val"));
                let read: usize = values.map(|value| value.text("sval").len()).sum();
                let within = text.len() - outside_literals(text, reading);
                // Escapes are longer as they are written.
                assert!(within >= read && within <= read + 4, "{text}: {within}, {read}");
            }
        }
    }
}
