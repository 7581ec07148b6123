//! Keys of clouds: Amazon Web Services, Google Cloud, Azure.

use super::piece::{ahead, behind, ends_with, is_base64, is_token, stands_alone};
use super::sas;
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut};

pub(super) const AWS: Detector = Detector {
    kind: Kind::AwsCredentials,
    name: "AWS_CREDENTIALS",
    aliases: &["AWS_ACCESS_KEY"],
    score: 90,
    words: &[],
    validates: "An access key: `AKIA` or `ASIA` and 16 capital letters or digits 2 to 7, standing alone. A secret \
                key: 40 characters of base64, not hexadecimal digits alone, that are the value of `secret_access_key`, \
                `SecretAccessKey`, `secret_key` or `SecretKey`, blanks and escaped quotes between them or not.",
    min_bytes: 20,
    find: Find::Signs(b"I=:", aws),
};

pub(super) const GCP: Detector = Detector {
    kind: Kind::GcpApiKey,
    name: "GCP_API_KEY",
    aliases: &[],
    score: 90,
    words: &[],
    validates: "An API key: `AIza` and 35 letters, digits, hyphens or underscores, standing alone. The secret of an OAuth \
                client: `GOCSPX-` and 28 of them.",
    min_bytes: 35,
    find: Find::Signs(b"IX", gcp),
};

pub(super) const AZURE: Detector = Detector {
    kind: Kind::AzureAuthToken,
    name: "AZURE_AUTH_TOKEN",
    aliases: &["AZURE_STORAGE_KEY"],
    score: 90,
    words: &[],
    validates: "The value of `AccountKey` or `SharedAccessKey` in a connection string, JSON or YAML: 43 to 88 \
                characters of base64 whose length its padding makes a multiple of four. The value of `sig` in the URL \
                or token of a shared access signature, beside `sv`, `se` or `skn`: 43 characters of base64, \
                percent-encoded or not, and what fills them up. The secret of an application: three characters, a \
                digit, `Q~` and 31 to 34 characters, standing alone.",
    min_bytes: 37,
    find: Find::Signs(b"=:~", azure),
};

const AWS_KEY: usize = 20;
const AWS_SECRET: usize = 40;
const GCP_KEY: usize = 39;
const OAUTH_SECRET: usize = 35;
/// How much may stand between a key, its sign and its value.
const BETWEEN: usize = 24;

fn aws(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    if at(text, sign) != b'I' {
        return aws_secret(text, sign);
    }
    let start = sign.checked_sub(2)?;
    let span = Span::new(start, start.checked_add(AWS_KEY)?)?;
    let (kind, id) = cut(text, start, span.end()).split_at_checked(4)?;
    let valid = id.iter().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
    (matches!(kind, b"AKIA" | b"ASIA") && valid && stands_alone(text, span)).then_some(span)
}

fn aws_secret(text: &[u8], sign: usize) -> Option<Span> {
    let start = value_of(
        text,
        sign,
        &[b"secret_access_key", b"secretaccesskey", b"secret_key", b"secretkey"],
    )?;
    let end = start.checked_add(ahead(text, start, AWS_SECRET.saturating_add(1), is_base64))?;
    let secret = cut(text, start, end);
    // Other programs sign by a hash under such a name.
    let hash = secret.iter().all(u8::is_ascii_hexdigit);
    Span::new(start, end).filter(|_| secret.len() == AWS_SECRET && !hash)
}

/// Offered every I, of which that of `AIza` counts, and every X: that of `GOCSPX-` counts.
fn gcp(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    let (prefix, before, length) = match at(text, sign) {
        b'X' => (b"GOCSPX-".as_slice(), 5, OAUTH_SECRET),
        _ => (b"AIza".as_slice(), 1, GCP_KEY),
    };
    let start = sign.checked_sub(before)?;
    let end = start.checked_add(length)?;
    let key = cut(text, start, end);
    let valid = key.starts_with(prefix) && key.iter().all(|b| is_token(*b)) && !is_token(at(text, end));
    let span = Span::new(start, end)?;
    (valid && stands_alone(text, span)).then_some(span)
}

fn azure(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    if at(text, sign) == b'~' {
        return azure_secret(text, sign);
    }
    let Some(start) = value_of(text, sign, &[b"accountkey", b"sharedaccesskey"]) else {
        return sas::signature(text, sign);
    };
    let length = ahead(text, start, 89, is_base64);
    Span::new(start, start.checked_add(length)?).filter(|_| (43..=88).contains(&length) && length.is_multiple_of(4))
}

/// What Entra ID gives an application to log in by.
fn azure_secret(text: &[u8], tilde: usize) -> Option<Span> {
    let start = tilde.checked_sub(5)?;
    let [first @ .., b'0'..=b'9', b'Q'] = cut(text, start, tilde) else {
        return None;
    };
    let from = tilde.checked_add(1)?;
    let length = ahead(text, from, 35, is_secret);
    // A full stop may end the sentence.
    let stop = usize::from(at(text, from.saturating_add(length).saturating_sub(1)) == b'.');
    let length = length.saturating_sub(stop);
    let end = from.checked_add(length)?;
    let alone = start.checked_sub(1).is_none_or(|i| !is_secret(at(text, i)));
    Span::new(start, end).filter(|_| {
        first.iter().all(|b| is_secret(*b)) && (31..=34).contains(&length) && alone && !is_token(at(text, end))
    })
}

/// What such a secret is made of.
fn is_secret(b: u8) -> bool {
    is_token(b) || matches!(b, b'.' | b'~')
}

/// Where the value begins behind an equals sign or a colon (JSON, YAML), if one of these keys stands before it.
fn value_of(text: &[u8], sign: usize, keys: &[&[u8]]) -> Option<usize> {
    let key_end = sign.checked_sub(behind(text, sign, BETWEEN, is_between))?;
    keys.iter().find(|key| ends_with(text, key_end, key))?;
    let from = sign.checked_add(1)?;
    from.checked_add(ahead(text, from, BETWEEN, is_between))
}

/// Quotes, which are escaped where JSON stands in JSON, and blanks, by which settings are written in columns.
fn is_between(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'"' | b'\'' | b'\\')
}
