//! How much of a text makes its tree, and what that weighs while it is parsed: all of it counts but what stands within quoted
//! literals, each of which is one node however long it is.
//!
//! What counts too little would let a text make a tree that nobody bounded. So only `'…'` and `E'…'` count for less than they
//! are, and everything counts from where on it is hard to say what a literal is.

use super::parser::Backslash;

/// What a text takes before it is known what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Bytes that do not stand within a quoted literal. A text with a literal that never ends counts whole.
    pub(super) outside: usize,
    /// What the parser's structures for it weigh at most, in KiB or a little more. They have room for four in every list of names,
    /// and every place takes as much as the largest node: that is 4 KiB for a column, 3 for an operator and 2 for a constant, beside
    /// what they stand in. The memory of a door says so that reads such texts: 1.8 for each constant in rows of ten, 3.8 for a column or
    /// a row of one, 6.1 for a sum of two, 7 for a call.
    pub(super) weight: usize,
}

/// Weights, in KiB: a name or a word of the grammar, a sign, a number or literal, and what opens a list.
const WORD: usize = 4;
const SIGN: usize = 3;
const VALUE: usize = 2;
const LIST: usize = 2;

/// Words that are values: one node, and no list of names.
const CONSTANTS: [&str; 4] = ["null", "true", "false", "default"];

/// What a text takes, as one of its readings has it.
pub(super) fn taken(text: &str, reading: Backslash) -> Taken {
    let bytes = text.as_bytes();
    // How far everything is read, where the word begins that may reach up to there, the bytes within literals, and how far what
    // stands outside of them was weighed.
    let (mut at, mut word, mut within, mut weighed) = (0, 0, 0, 0);
    let mut weight = 0;
    while let Some([byte, rest @ ..]) = bytes.get(at..) {
        match (byte, rest) {
            // Dollar quotes, names with a dollar and comments, in which quotes mean something else.
            (b'$', _) | (b'-', [b'-', ..]) | (b'/', [b'*', ..]) => break,
            (b'"', _) => {
                let Some(name) = memchr::memchr(b'"', rest) else { break };
                weight += outside(bytes.get(weighed..at)) + WORD;
                at += name + 2;
                (word, weighed) = (at, at);
            }
            (b'\'', _) => {
                let Some(escapes) = escapes(bytes.get(..at), bytes.get(word..at), reading) else {
                    break;
                };
                let Some(body) = body(rest, escapes) else {
                    (within, weighed, weight) = (0, 0, 0);
                    break;
                };
                weight += outside(bytes.get(weighed..at)) + VALUE;
                within += body;
                at += body + 2;
                (word, weighed) = (at, at);
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
    Taken {
        outside: text.len() - within,
        weight: weight + outside(bytes.get(weighed..)),
    }
}

/// What the longer, and the heavier, of the two readings takes.
pub(super) fn taken_at_most(text: &str) -> Taken {
    let one = taken(text, Backslash::Literal);
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return one;
    }
    let other = taken(text, Backslash::Escape);
    Taken {
        outside: one.outside.max(other.outside),
        weight: one.weight.max(other.weight),
    }
}

/// What a byte outside of literals is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Word,
    Number,
    Sign,
    Nothing,
}

/// What stands outside of literals weighs. A plus or a minus is a sign of its own wherever it stands, but that of a number that is a
/// whole value, and the sign of a parameter: the grammar makes one node of both.
fn outside(bytes: Option<&[u8]>) -> usize {
    let bytes = bytes.unwrap_or_default();
    let (mut before, mut begins, mut weight) = (Part::Nothing, false, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let rest = bytes.get(at..).unwrap_or_default();
        let part = match byte {
            b'0'..=b'9' if before != Part::Word => Part::Number,
            // Of a number and a word without anything between them there is one.
            byte if is_word(*byte) && before == Part::Number => Part::Number,
            byte if is_word(*byte) => Part::Word,
            b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|'
            | b'`' | b'?' | b':' | b'$' => Part::Sign,
            _ => Part::Nothing,
        };
        weight += match (part, byte) {
            (Part::Sign, b'-') if begins && is_negative(rest) => 0,
            (Part::Sign, b'$') if rest.get(1).is_some_and(u8::is_ascii_digit) => 0,
            (Part::Sign, b'+' | b'-') => SIGN,
            (Part::Nothing, b'(' | b'[') => LIST,
            _ if part == before => 0,
            (Part::Word, _) => word(rest),
            (Part::Number, _) => VALUE,
            (Part::Sign, _) => SIGN,
            (Part::Nothing, _) => 0,
        };
        before = part;
        begins = matches!(byte, b'(' | b'[' | b',') || begins && byte.is_ascii_whitespace();
    }
    weight
}

/// Whether these bytes begin with a negative number that is a whole value. Casts and powers go before its sign, which is an operator
/// of theirs then.
fn is_negative(bytes: &[u8]) -> bool {
    let Some([first, rest @ ..]) = bytes.get(1..) else {
        return false;
    };
    let mut behind = rest.iter().skip_while(|byte| is_word(**byte) || **byte == b'.');
    let next = behind.find(|byte| !byte.is_ascii_whitespace());
    first.is_ascii_digit() && next.is_none_or(|byte| matches!(byte, b',' | b')' | b']'))
}

/// What the word weighs with which these bytes begin.
fn word(bytes: &[u8]) -> usize {
    let length = bytes.iter().position(|byte| !is_word(*byte)).unwrap_or(bytes.len());
    let word = bytes.get(..length).unwrap_or_default();
    let is_constant = CONSTANTS.iter().any(|one| word.eq_ignore_ascii_case(one.as_bytes()));
    if is_constant { VALUE } else { WORD }
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
            assert_eq!(taken(text, Backslash::Literal).outside, literal, "{text}");
            assert_eq!(taken(text, Backslash::Escape).outside, escape, "{text}");
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
                assert_eq!(taken(text, reading).outside, text.len(), "{text}");
            }
        }
        // What stands before it is known.
        assert_eq!(taken("'ab' /* 'cd' */", Backslash::Literal).outside, 13);
        for space in [" ", "\n", "\r", "\u{b}", "\u{c}"] {
            let text = format!("E'ab'{space}'\\' || 'cd'");
            assert_eq!(taken(&text, Backslash::Literal).outside, text.len() - 2, "{text:?}");
        }
    }

    #[test]
    fn a_text_weighs_what_it_is_made_of() {
        for (text, weight) in [
            ("", 0),
            ("a", 4),
            ("a1,_b, größe", 12),
            ("\"a b\".c", 8),
            ("1, 23.5e7, 0x1F", 8),
            ("'abc def', E'a'", 8),
            ("a+-b", 14),
            ("a<=b", 11),
            ("a::b[1]", 15),
            ("((1),(2))", 10),
            ("null, TRUE, falsehood, default", 10),
            // One constant, or something that is done with it.
            ("(-1, -2.5)", 8),
            ("$1, $23", 4),
            ("(a-1, 3 -1, -a)", 25),
            ("(-1::int, -2^2, - 1)", 29),
            // As if it were code.
            ("/* a b", 11),
            ("'open a b", 12),
            ("$$a b$$", 14),
        ] {
            assert_eq!(taken(text, Backslash::Literal).weight, weight, "{text}");
        }
        let text = "'\\', a, b, ' || c || '";
        let (literal, escape) = (taken(text, Backslash::Literal), taken(text, Backslash::Escape));
        assert_ne!(literal.weight, escape.weight);
        assert_eq!(taken_at_most(text).weight, literal.weight.max(escape.weight));
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
                let within = text.len() - taken(text, reading).outside;
                // Escapes are longer as they are written.
                assert!(within >= read && within <= read + 4, "{text}: {within}, {read}");
            }
        }
    }
}
