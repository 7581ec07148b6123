//! Tokens of services: GitHub, Stripe, and JSON Web Tokens of anybody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::piece::{ahead, is_base64, is_token, is_word, stands_alone};
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut};

pub(super) const GITHUB: Detector = Detector {
    kind: Kind::GithubToken,
    name: "GITHUB_TOKEN",
    aliases: &[],
    score: 90,
    words: &[],
    validates: "`ghp_`, `gho_`, `ghu_`, `ghs_` or `ghr_` and 36 letters and digits, or `github_pat_`, 22 of them, an \
                underscore and 59 more; standing alone.",
    min_bytes: 40,
    find: Find::Signs(b"_", github),
};

pub(super) const STRIPE: Detector = Detector {
    kind: Kind::StripeApiKey,
    name: "STRIPE_API_KEY",
    aliases: &[],
    score: 90,
    words: &[],
    validates: "`sk_` or `rk_`, `live_` or `test_`, and 16 letters and digits or more; `whsec_` and 32 characters of \
                base64 or more, which others who send webhooks have, too; standing alone. Publishable keys are public.",
    min_bytes: 24,
    find: Find::Signs(b"_", stripe),
};

pub(super) const JWT: Detector = Detector {
    kind: Kind::JsonWebToken,
    name: "JSON_WEB_TOKEN",
    aliases: &["JWT"],
    score: 100,
    words: &[],
    validates: "Three parts of base64url with dots between them (RFC 7519; the last may be empty), the first a JSON \
                object with `alg`; five parts where it has `enc`, too.",
    min_bytes: 20,
    find: Find::Signs(b"J", jwt),
};

/// The longest header and the longest other part of a token that are looked at.
const HEADER: usize = 2_048;
const PART: usize = 65_536;

/// Offered every underscore: the first of a token counts.
fn github(text: &[u8], low_line: usize, _: &Context<'_>) -> Option<Span> {
    let fine_grained = low_line
        .checked_sub(6)
        .filter(|start| cut(text, *start, low_line) == b"github");
    let (start, end) = match fine_grained {
        Some(start) => {
            let body = cut(text, low_line, low_line.checked_add(87)?);
            let valid = body.starts_with(b"_pat_") && at(body, 27) == b'_' && body.iter().all(|b| is_word(*b));
            (start, low_line.checked_add(87).filter(|_| valid && body.len() == 87)?)
        }
        None => {
            let start = low_line.checked_sub(3)?;
            let kind = cut(text, start, low_line);
            matches!(kind, b"ghp" | b"gho" | b"ghu" | b"ghs" | b"ghr").then_some(())?;
            let from = low_line.checked_add(1)?;
            let length = ahead(text, from, 37, |b| b.is_ascii_alphanumeric());
            (start, from.checked_add(length).filter(|_| length == 36)?)
        }
    };
    let span = Span::new(start, end)?;
    stands_alone(text, span).then_some(span)
}

/// Offered every underscore: the first of a key counts.
fn stripe(text: &[u8], low_line: usize, _: &Context<'_>) -> Option<Span> {
    let span = api_key(text, low_line).or_else(|| webhook_secret(text, low_line))?;
    stands_alone(text, span).then_some(span)
}

fn api_key(text: &[u8], low_line: usize) -> Option<Span> {
    let start = low_line.checked_sub(2)?;
    let kind = cut(text, start, low_line);
    let from = low_line.checked_add(6)?;
    let mode = cut(text, low_line, from);
    let length = ahead(text, from, 256, |b| b.is_ascii_alphanumeric());
    let valid = matches!(kind, b"sk" | b"rk") && matches!(mode, b"_live_" | b"_test_") && length >= 16;
    let end = from.checked_add(length)?;
    Span::new(start, end).filter(|_| valid)
}

fn webhook_secret(text: &[u8], low_line: usize) -> Option<Span> {
    let start = low_line.checked_sub(5)?;
    let from = low_line.checked_add(1)?;
    let named = cut(text, start, from) == b"whsec_";
    let length = if named { ahead(text, from, 256, is_base64) } else { 0 };
    let end = from.checked_add(length)?;
    Span::new(start, end).filter(|_| length >= 32)
}

/// Offered every J: `{"` is `eyJ` in base64.
fn jwt(text: &[u8], letter: usize, _: &Context<'_>) -> Option<Span> {
    let start = letter
        .checked_sub(2)
        .filter(|start| cut(text, *start, letter) == b"ey")?;
    if start.checked_sub(1).is_some_and(|i| is_token(at(text, i))) {
        return None;
    }
    let header = ahead(text, start, HEADER, is_token);
    let payload_at = start.checked_add(header)?.checked_add(1)?;
    let payload = ahead(text, payload_at, PART, is_token);
    let signature_at = payload_at.checked_add(payload)?.checked_add(1)?;
    let dotted = at(text, payload_at.saturating_sub(1)) == b'.' && at(text, signature_at.saturating_sub(1)) == b'.';
    if !dotted {
        return None;
    }
    let decoded = URL_SAFE_NO_PAD
        .decode(cut(text, start, start.checked_add(header)?))
        .ok()?;
    let object: serde_json::Value = serde_json::from_slice(&decoded).ok()?;
    object.get("alg")?;
    let encrypted = object.get("enc").is_some();
    if payload == 0 && !encrypted {
        return None;
    }
    let signature = ahead(text, signature_at, PART, is_token);
    let mut end = signature_at.checked_add(signature)?;
    // An encrypted one goes on with what is encrypted and its tag (RFC 7516).
    if encrypted {
        for _ in 0..2 {
            let from = end.checked_add(usize::from(at(text, end) == b'.'))?;
            end = from.checked_add(ahead(text, from, PART, |b| from > end && is_token(b)))?;
        }
    }
    Span::new(start, end)
}
