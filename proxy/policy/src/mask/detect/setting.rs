//! Passwords that stand in settings, in PostgreSQL's password file and in statements.

use super::connection::{KEYS, LONGEST, REACH, closing, is_connection, is_secret, key, may_follow};
use super::piece::{ahead, behind, ends_with, is_word};
use super::{Context, Span};
use crate::mask::bytes::{at, cut, tail};

/// What forms, schemas and settings say about a password instead of it.
const WORDS: [&[u8]; 10] = [
    b"null",
    b"none",
    b"true",
    b"false",
    b"yes",
    b"no",
    b"required",
    b"optional",
    b"string",
    b"password",
];

/// Behind a colon: in quotes, as JSON has them, or in a line of YAML.
pub(super) fn value(text: &[u8], colon: usize, context: &Context<'_>) -> Option<Span> {
    // Some write `"key" : "value"`.
    let apart = behind(text, colon, 2, |b| b == b' ');
    let key_end = colon.checked_sub(apart)?;
    let quotes = behind(text, key_end, 2, |b| matches!(b, b'"' | b'\'' | b'\\'));
    if apart > 0 && quotes == 0 {
        return None;
    }
    let key_start = key(text, key_end.checked_sub(quotes)?)?;
    may_follow(text, key_start, context).then_some(())?;
    let from = colon.checked_add(1)?;
    let blanks = ahead(text, from, 8, |b| b == b' ');
    let from = from.checked_add(blanks)?;
    let escape = usize::from(at(text, from) == b'\\' && at(text, from.saturating_add(1)) == b'"');
    let quote = at(text, from.checked_add(escape)?);
    let (start, length) = if matches!(quote, b'"' | b'\'') {
        let start = from.checked_add(escape)?.checked_add(1)?;
        let rest = tail(text, start);
        (start, closing(rest.get(..LONGEST).unwrap_or(rest), quote, escape))
    } else if quotes == 0 && blanks > 0 && begins_line(text, key_start) {
        (from, plain(text, from)?)
    } else {
        return None;
    };
    let end = start.checked_add(length)?;
    let password = cut(text, start, end);
    let said = WORDS.iter().any(|word| password.eq_ignore_ascii_case(word));
    let connects = || is_connection(text, key_start, end, context) || is_named(text, key_start, password);
    Span::new(start, end).filter(|_| !said && is_secret(password) && connects())
}

/// Whether the key that begins there says by itself whose password it is (`PGPASSWORD`, `DB_PASSWORD`,
/// `spring.datasource.password`), and its value is no word of a language, flag or call.
pub(super) fn is_named(text: &[u8], key: usize, password: &[u8]) -> bool {
    names_itself(text, key) && is_mixed(password)
}

/// Whether a longer key ends with the one that begins there, or it is one that only libpq knows.
pub(super) fn names_itself(text: &[u8], key: usize) -> bool {
    let before = |n: usize| key.checked_sub(n).map_or(0, |i| at(text, i));
    let part = matches!(before(1), b'_' | b'.') && before(2).is_ascii_alphanumeric();
    let own = cut(text, key, key.saturating_add(OWN.len())).eq_ignore_ascii_case(OWN);
    part || own
}

/// All of a value, as strings of JSON are looked at: its name ends with the word, and is not `password_changed`.
pub(super) fn whole(text: &[u8], name: &[u8]) -> Option<Span> {
    let ends = KEYS.iter().any(|key| ends_with(name, name.len(), key));
    let alone = !text.iter().any(u8::is_ascii_whitespace);
    Span::new(0, text.len()).filter(|_| ends && text.len() <= LONGEST && alone && is_mixed(text) && is_secret(text))
}

/// Whether it is of some length, has letters and digits, and is no call.
fn is_mixed(password: &[u8]) -> bool {
    let mixed = password.iter().any(u8::is_ascii_digit) && password.iter().any(u8::is_ascii_alphabetic);
    mixed && password.len() >= SHORTEST && !password.contains(&b'(')
}

/// What libpq takes from the environment.
const OWN: &[u8] = b"PGPASSWORD";
/// The shortest password that needs no other key beside its own.
const SHORTEST: usize = 6;

/// Whether nothing but blanks, the hyphen of a list and the rest of the key stands before it in its line.
fn begins_line(text: &[u8], key: usize) -> bool {
    let name = behind(text, key, 64, |b| is_word(b) || matches!(b, b'.' | b'-'));
    let name_at = key.saturating_sub(name);
    let indent = behind(text, name_at, 64, |b| matches!(b, b' ' | b'-'));
    name_at
        .saturating_sub(indent)
        .checked_sub(1)
        .is_none_or(|i| at(text, i) == b'\n')
}

/// How long a value of YAML without quotes is: one word, to the end of the line or a comment. Tags, anchors and blocks begin with
/// other signs.
fn plain(text: &[u8], from: usize) -> Option<usize> {
    let length = ahead(text, from, LONGEST, |b| !b.is_ascii_whitespace());
    let end = from.checked_add(length)?;
    let rest = end.checked_add(ahead(text, end, 64, |b| matches!(b, b' ' | b'\r')))?;
    let alone = matches!(at(text, rest), 0 | b'\n' | b'#');
    (alone
        && !matches!(
            at(text, from),
            b'!' | b'&' | b'*' | b'|' | b'>' | b'[' | b'{' | b'#' | b'~'
        ))
    .then_some(length)
}

/// The fifth field of a line `host:port:database:user:password`, told by the colon behind the host.
pub(super) fn pgpass(text: &[u8], colon: usize) -> Option<Span> {
    let name = |b: u8| is_word(b) || matches!(b, b'.' | b'-' | b'*');
    let field = |from: usize| {
        let end = from
            .checked_add(ahead(text, from, 63, name))
            .filter(|end| *end > from)?;
        (at(text, end) == b':').then_some(end)
    };
    // Most colons have no port behind them: what stands before them is not looked at.
    let port_at = colon.checked_add(1)?;
    let port_end = field(port_at)?;
    if !matches!(
        cut(text, port_at, port_end),
        [b'*'] | [b'5', b'4', b'3', _] | [b'6', b'4', b'3', _]
    ) {
        return None;
    }
    let host = behind(text, colon, 255, name);
    let host_at = colon.checked_sub(host).filter(|_| host > 0)?;
    if host_at.checked_sub(1).is_some_and(|i| at(text, i) != b'\n') {
        return None;
    }
    let user_end = field(field(port_end.checked_add(1)?)?.checked_add(1)?)?;
    let start = user_end.checked_add(1)?;
    let length = ahead(text, start, LONGEST, |b| !b.is_ascii_whitespace());
    let end = start.checked_add(length)?;
    Span::new(start, end).filter(|_| matches!(at(text, end), 0 | b'\r' | b'\n') && is_secret(cut(text, start, end)))
}

/// Behind `PASSWORD` in a statement about a role or user, or behind `IDENTIFIED BY`, as `'…'` or `E'…'`; offered every apostrophe.
pub(super) fn declared(text: &[u8], quote: usize) -> Option<Span> {
    let escapes = usize::from(matches!(at(text, quote.wrapping_sub(1)), b'E' | b'e'));
    let opening = quote.checked_sub(escapes)?;
    let blanks = behind(text, opening, 8, |b| b.is_ascii_whitespace());
    let end = opening.checked_sub(blanks).filter(|_| blanks > 0)?;
    if !ends_with(text, end, b"identified by") {
        let start = end
            .checked_sub(b"password".len())
            .filter(|_| ends_with(text, end, b"password"))?;
        let before = cut(text, start.saturating_sub(REACH), start);
        let whose = |word: &[u8]| word.eq_ignore_ascii_case(b"role") || word.eq_ignore_ascii_case(b"user");
        if before.last().is_some_and(|b| is_word(*b)) || !before.split(|b| !is_word(*b)).any(whose) {
            return None;
        }
    }
    let start = quote.checked_add(1)?;
    let rest = tail(text, start);
    let end = start.checked_add(string(rest.get(..LONGEST).unwrap_or(rest), escapes > 0))?;
    Span::new(start, end).filter(|_| is_secret(cut(text, start, end)))
}

/// How long a string of SQL is, up to the apostrophe that ends it: two of them, or one behind a backslash, are a part of it. Where the
/// string is not said to have escapes, a backslash may as well stand for itself before two.
fn string(rest: &[u8], escapes: bool) -> usize {
    let mut doubled = false;
    for place in memchr::memchr_iter(b'\'', rest) {
        let twice = at(rest, place.saturating_add(1)) == b'\'';
        if std::mem::take(&mut doubled) {
            continue;
        }
        let backslashes = behind(rest, place, rest.len(), |b| b == b'\\');
        if backslashes > 0 {
            // Of two of them, one escapes the other.
            let escaped = escapes && backslashes % 2 == 1;
            doubled = twice && !escaped;
        } else if twice {
            doubled = true;
        } else {
            return place;
        }
    }
    rest.len()
}
