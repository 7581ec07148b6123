//! Tokens and webhooks of Slack.

use std::ops::RangeInclusive;

use super::piece::{ahead, is_base64, is_token, stands_alone};
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut, tail};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::SlackToken,
    name: "SLACK_TOKEN",
    aliases: &[],
    score: 90,
    words: &[],
    validates: "`xox` with one of `abceoprs`, a hyphen, a number of 8 to 13 digits, and 20 characters or more in all. An \
                app's: `xapp-`, a version, the app, a number of 8 to 13 digits, and 32 letters and digits or more. One \
                that is rotated: `xoxe-`, `xoxe.xoxb-` or `xoxe.xoxp-`, a version, and 64 letters and digits or more. The \
                cookie beside `xoxc`: `xoxd-` and 40 characters of base64 or more, percent-encoded or not. A \
                webhook: `hooks.slack.com`, `services`, `workflows` or `triggers`, a team, and 20 letters and digits or \
                more that are not all the same. All of them stand alone.",
    min_bytes: 20,
    find: Find::Signs(b"x.", slack),
};

/// The longest secret or path that is looked at.
const LONGEST: usize = 2_048;
/// The longest token with a number in front. Those of Slack have 255 characters at most; a text may consist of their beginnings, each
/// of which is read this far.
const NUMBERED: usize = 512;
/// That of everybody, and that of the government of the United States.
const HOSTS: [&[u8]; 2] = [b".slack.com/", b".slack-gov.com/"];

/// Offered every x, of which the first of a token counts, and every dot: the first of a webhook's host counts.
fn slack(text: &[u8], sign: usize, _: &Context<'_>) -> Option<Span> {
    let span = match at(text, sign) {
        b'.' => webhook(text, sign)?,
        _ => Span::new(sign, token(text, sign)?)?,
    };
    stands_alone(text, span).then_some(span)
}

/// Where the token ends that begins at `start`.
fn token(text: &[u8], start: usize) -> Option<usize> {
    let from = start.checked_add(5)?;
    match cut(text, start, from) {
        b"xapp-" => app(text, from),
        b"xoxd-" => cookie(text, from),
        b"xoxe-" => numbered(text, from).or_else(|| rotated(text, from)),
        b"xoxe." => {
            let version_at = from.checked_add(5)?;
            matches!(cut(text, from, version_at), b"xoxb-" | b"xoxp-").then_some(())?;
            rotated(text, version_at)
        }
        [b'x', b'o', b'x', kind, b'-'] if b"abceoprs".contains(kind) => numbered(text, from),
        _ => None,
    }
}

/// The number of a team or a bot, and what follows it.
fn numbered(text: &[u8], from: usize) -> Option<usize> {
    let digits = ahead(text, from, 14, |b| b.is_ascii_digit());
    (8..=13).contains(&digits).then_some(())?;
    let length = ahead(text, from, NUMBERED, is_token);
    (length >= 15).then_some(from.checked_add(length)?)
}

/// What a browser's session is known by. Documents show rows of the same letter.
fn cookie(text: &[u8], from: usize) -> Option<usize> {
    let end = from.checked_add(ahead(text, from, LONGEST, |b| is_base64(b) || b == b'%'))?;
    let secret = cut(text, from, end);
    let telling = secret.iter().any(|b| Some(b) != secret.first());
    (secret.len() >= 40 && telling).then_some(end)
}

/// A version and a secret.
fn rotated(text: &[u8], from: usize) -> Option<usize> {
    let secret_at = from.checked_add(2)?;
    let [b'0'..=b'9', b'-'] = cut(text, from, secret_at) else {
        return None;
    };
    let length = ahead(text, secret_at, LONGEST, |b| b.is_ascii_alphanumeric());
    let end = secret_at.checked_add(length)?;
    (length >= 64).then_some(end)
}

/// A version, an app, a number and a secret.
fn app(text: &[u8], from: usize) -> Option<usize> {
    let app_at = from.checked_add(2)?;
    let [b'0'..=b'9', b'-'] = cut(text, from, app_at) else {
        return None;
    };
    let part = |from: usize, lengths: RangeInclusive<usize>, class: fn(u8) -> bool| {
        let length = ahead(text, from, lengths.end().saturating_add(1), class);
        lengths.contains(&length).then_some(from.checked_add(length)?)
    };
    let next = |end: usize| end.checked_add(1).filter(|_| at(text, end) == b'-');
    let number_at = next(part(app_at, 9..=12, is_id)?).filter(|_| at(text, app_at) == b'A')?;
    let secret_at = next(part(number_at, 8..=13, |b| b.is_ascii_digit())?)?;
    let end = part(secret_at, 32..=LONGEST, |b| b.is_ascii_alphanumeric())?;
    (!is_token(at(text, end))).then_some(end)
}

/// Whoever has the URL may write to a channel. Documents show one whose secret is a row of the same letter.
fn webhook(text: &[u8], dot: usize) -> Option<Span> {
    let start = dot.checked_sub(5).filter(|start| cut(text, *start, dot) == b"hooks")?;
    let host = HOSTS.iter().find(|host| tail(text, dot).starts_with(host))?;
    let path_at = dot.checked_add(host.len())?;
    let length = ahead(text, path_at, LONGEST, |b| b.is_ascii_alphanumeric() || b == b'/');
    let end = path_at.checked_add(length)?;
    let mut parts = cut(text, path_at, end).split(|b| *b == b'/');
    let (kind, team, secret) = (parts.next()?, parts.next()?, parts.next_back()?);
    let valid = matches!(kind, b"services" | b"workflows" | b"triggers")
        && matches!(team.first(), Some(b'T' | b'E'))
        && team.len() >= 8
        && team.iter().all(|b| is_id(*b))
        && secret.len() >= 20
        && secret.iter().any(|b| Some(b) != secret.first());
    Span::new(start, end).filter(|_| valid)
}

/// What ids of teams and apps are made of.
fn is_id(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}
