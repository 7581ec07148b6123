//! Credentials in what programs connect by: URLs and connection strings.

use std::cell::OnceCell;

use super::piece::{ahead, behind, ends_with, is_word};
use super::setting;
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const URL: Detector = Detector {
    kind: Kind::UrlWithCredentials,
    name: "URL_WITH_CREDENTIALS",
    aliases: &["BASIC_AUTH_URL"],
    score: 90,
    words: &[],
    validates: "`scheme://user:password@host` (RFC 3986): a scheme of 2 to 20 letters, digits, `+`, `-` or `.`, a user \
                that may be empty, a password that may not. User and password are the hit; a placeholder such as \
                `${…}`, `$NAME`, `%s`, `<…>` or `****` is none.",
    min_bytes: 8,
    find: Find::Signs(b":", url),
};

pub(super) const PASSWORD: Detector = Detector {
    kind: Kind::Password,
    name: "PASSWORD",
    aliases: &[],
    score: 70,
    words: &["password", "passwd", "pwd", "pgpassword"],
    validates: "The value of `password`, `passwd`, `pass`, `pwd` or `PGPASSWORD` in a connection string (`key=value` \
                with blanks, semicolons or `&` between them), or in settings (`\"key\": \"value\"` of JSON, a line \
                `key: value` of YAML), that also names a host, server, database, user, login or e-mail address. Without \
                that of `PGPASSWORD` or a longer key (`DB_PASSWORD`, `spring.datasource.password`), six characters or \
                more, letters and digits among them; so also all of a value without blanks whose column or JSON key \
                ends with a word as below. The last field of a line of `.pgpass` whose port is 5430 to 5439, \
                6430 to 6439 or any; what SQL gives a role behind `PASSWORD` or `IDENTIFIED BY`. A placeholder such as \
                `${…}`, `$NAME`, `%s`, `<…>` or `****` is none.",
    min_bytes: 6,
    find: Find::Named(b"=:'", password),
};

/// The longest user and password that are looked for.
pub(super) const LONGEST: usize = 512;
/// How far on either side the other keys of a connection string are looked for.
pub(super) const REACH: usize = 512;

/// The longer before those that it ends with.
pub(super) const KEYS: [&[u8]; 5] = [b"pgpassword", b"password", b"passwd", b"pass", b"pwd"];
/// How far behind the beginning of its key a password may end.
const FARTHEST: usize = LONGEST + 32;
const OTHERS: [&[u8]; 12] = [
    b"host",
    b"hostaddr",
    b"server",
    b"data source",
    b"database",
    b"dbname",
    b"user",
    b"username",
    b"user id",
    b"uid",
    b"login",
    b"email",
];

/// Where in one text the other keys of connection strings, or of settings, end: they are looked for once, however many passwords
/// may stand there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OtherKeys(OnceCell<Vec<usize>>);

/// Offered every colon: that of a scheme counts.
fn url(text: &[u8], colon: usize, _: &Context<'_>) -> Option<Span> {
    if !tail(text, colon).starts_with(b"://") {
        return None;
    }
    let scheme = behind(text, colon, 21, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')
    });
    let start = colon.checked_add(3)?;
    let length = ahead(text, start, LONGEST, |b| {
        !b.is_ascii_whitespace() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>')
    });
    let authority = cut(text, start, start.checked_add(length)?);
    let user_info = authority.get(..memchr::memrchr(b'@', authority)?)?;
    let (_, password) = user_info.split_at_checked(memchr::memchr(b':', user_info)?.checked_add(1)?)?;
    // What follows the tag of an image is its digest.
    let image = cut(authority, user_info.len(), authority.len()).starts_with(b"@sha256:");
    Span::new(start, start.checked_add(user_info.len())?)
        .filter(|_| (2..=20).contains(&scheme) && is_secret(password) && !image)
}

/// Offered every equals sign, colon and apostrophe, and a value as a whole.
fn password(text: &[u8], sign: usize, context: &Context<'_>) -> Option<Span> {
    if sign == text.len() {
        return setting::whole(text, context.label);
    }
    match at(text, sign) {
        b'=' => assigned(text, sign, context),
        b':' => setting::value(text, sign, context).or_else(|| setting::pgpass(text, sign)),
        _ => setting::declared(text, sign),
    }
}

fn assigned(text: &[u8], equals: usize, context: &Context<'_>) -> Option<Span> {
    let blanks = behind(text, equals, 2, |b| b == b' ');
    let key_end = equals.checked_sub(blanks)?;
    let key_start = key(text, key_end)?;
    may_follow(text, key_start, context).then_some(())?;
    let from = equals.checked_add(1)?;
    let from = from.checked_add(ahead(text, from, 2, |b| b == b' '))?;
    // Within a string of JSON the quotes themselves are escaped.
    let escape = usize::from(at(text, from) == b'\\' && at(text, from.saturating_add(1)) == b'"');
    let from = from.checked_add(escape)?;
    let quote = Some(at(text, from)).filter(|b| matches!(b, b'\'' | b'"'));
    let (start, length) = match quote {
        Some(quote) => {
            let start = from.checked_add(1)?;
            let rest = tail(text, start);
            let rest = rest.get(..LONGEST).unwrap_or(rest);
            (start, closing(rest, quote, escape))
        }
        None => {
            let ends = |b: u8| b.is_ascii_whitespace() || matches!(b, b';' | b'&' | b'"' | b'\'');
            (
                from,
                tail(text, from).iter().take(LONGEST).take_while(|b| !ends(**b)).count(),
            )
        }
    };
    let end = start.checked_add(length)?;
    let password = cut(text, start, end);
    let connects = || is_connection(text, key_start, end, context) || setting::is_named(text, key_start, password);
    Span::new(start, end).filter(|_| is_secret(password) && connects())
}

/// Where the word begins that says that a password follows, if one ends there.
pub(super) fn key(text: &[u8], end: usize) -> Option<usize> {
    // Most words before a colon end with another letter than those.
    let last = end.checked_sub(1).map_or(0, |i| at(text, i)).to_ascii_lowercase();
    matches!(last, b'd' | b's').then_some(())?;
    let key = KEYS.iter().find(|key| ends_with(text, end, key))?;
    let start = end.checked_sub(key.len())?;
    let before = start.checked_sub(1).map_or(0, |i| at(text, i));
    (!before.is_ascii_alphanumeric()).then_some(start)
}

/// Whether the key that begins there is one of a connection string or of settings, or says by itself whose password it is. What
/// follows is looked at only then: it may be long, and of others like it.
pub(super) fn may_follow(text: &[u8], key: usize, context: &Context<'_>) -> bool {
    is_connection(text, key, key.saturating_add(FARTHEST), context) || setting::names_itself(text, key)
}

/// Whether another key of a connection string, or of settings, stands near.
pub(super) fn is_connection(text: &[u8], start: usize, end: usize, context: &Context<'_>) -> bool {
    let near = |keys: &OtherKeys| keys.near(text, start, end);
    context.other_keys.map_or_else(|| near(&OtherKeys::default()), near)
}

/// Where the password before its closing quote ends; an escaped quote is part of it, unless that is how it was opened.
pub(super) fn closing(rest: &[u8], quote: u8, escape: usize) -> usize {
    memchr::memchr_iter(quote, rest)
        .map(|place| (place, behind(rest, place, 1, |b| b == b'\\')))
        .find(|(_, escaped)| *escaped == escape)
        .map_or(rest.len(), |(place, _)| place.saturating_sub(escape))
}

/// Whether a password is one, not what stands for it.
pub(super) fn is_secret(password: &[u8]) -> bool {
    let hidden = password.iter().all(|b| matches!(b, b'*' | b'x' | b'X' | b'.'));
    !password.is_empty() && !hidden && !is_placeholder(password)
}

/// Passwords may begin with the same signs: a name is of one case, and what is to be formatted is short or closed.
fn is_placeholder(password: &[u8]) -> bool {
    match password {
        [b'<' | b'{', ..] | [b'$', b'{' | b'(', ..] => true,
        [b'$', name @ ..] => {
            let length = ahead(name, 0, name.len(), is_word);
            let (name, rest) = name.split_at(length);
            let upper = name.iter().all(|b| !b.is_ascii_lowercase());
            let lower = name.iter().all(|b| b.is_ascii_lowercase() || *b == b'_');
            (upper || lower) && matches!(rest.first(), None | Some(b',' | b')' | b'.' | b'\\'))
        }
        [b'%', b'(', ..] | [b'%', _] => true,
        [b'%', name @ .., b'%'] => name.iter().all(|b| is_word(*b)),
        _ => false,
    }
}

// === impl OtherKeys ===

impl OtherKeys {
    /// Whether one ends near `start..end`.
    fn near(&self, text: &[u8], start: usize, end: usize) -> bool {
        let keys = self.0.get_or_init(|| {
            memchr::memchr2_iter(b'=', b':', text)
                .filter(|sign| ends_other(text, *sign))
                .collect()
        });
        let (from, to) = (start.saturating_sub(REACH), end.saturating_add(REACH));
        let first = keys.partition_point(|sign| *sign < from);
        keys.get(first).is_some_and(|sign| *sign < to)
    }
}

/// Whether a sign has one of the other keys before it.
fn ends_other(text: &[u8], sign: usize) -> bool {
    let between = |b: u8| b == b' ' || (at(text, sign) == b':' && matches!(b, b'"' | b'\'' | b'\\'));
    let key_end = sign.saturating_sub(behind(text, sign, 3, between));
    OTHERS.iter().any(|key| ends_with(text, key_end, key))
}
