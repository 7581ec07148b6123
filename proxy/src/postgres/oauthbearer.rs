//! OAUTHBEARER (RFC 7628): a token by SASL, as clients of PostgreSQL 18 send it by themselves.
//!
//! A client asks for it by `options='-c sallyport.login=oauth'`: the server speaks first, and which way a client can log in
//! shows in nothing else that it sends. A client without a token yet sends an empty one to learn which provider to ask.

use serde_json::json;

use super::frame::{Body, FrameError};

/// The mechanism's name.
pub const MECHANISM: &str = "OAUTHBEARER";
/// What separates the parts of a message; alone, the answer to a failure.
const SEPARATOR: u8 = 1;

/// What a client presents.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// A token.
    Token(&'a [u8]),
    /// None yet: it asks where to get one.
    Nothing,
}

/// Reads a SASLInitialResponse.
///
/// # Errors
/// When it is another mechanism's, asks to act as somebody else, or is no message of this one.
pub fn initial(mut body: Body<'_>) -> Result<Presented<'_>, FrameError> {
    if body.text()? != MECHANISM {
        return Err(FrameError::Malformed);
    }
    let message = body.value()?.ok_or(FrameError::Malformed)?;
    body.end()?;
    presented(message).ok_or(FrameError::Malformed)
}

/// `n,,` or `y,,` (no channel binding, nobody to act for), then `key=value` parts, then an empty one.
fn presented(message: &[u8]) -> Option<Presented<'_>> {
    let rest = message.strip_prefix(b"n,,").or_else(|| message.strip_prefix(b"y,,"))?;
    let rest = rest.strip_prefix(&[SEPARATOR])?.strip_suffix(&[SEPARATOR, SEPARATOR])?;
    let mut found = None;
    for part in rest.split(|byte| *byte == SEPARATOR) {
        let equals = part.iter().position(|byte| *byte == b'=')?;
        let (key, value) = part.split_at_checked(equals)?;
        if key == b"auth" && found.replace(value.get(1..)?).is_some() {
            return None;
        }
    }
    let value = found?;
    if value.is_empty() {
        return Some(Presented::Nothing);
    }
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    let lawful = scheme.eq_ignore_ascii_case(b"Bearer ")
        && !token.is_empty()
        && token
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=,".contains(byte));
    lawful.then_some(Presented::Token(token))
}

/// Reads the answer to a failure.
///
/// # Errors
/// When it is anything else.
pub fn acknowledged(body: Body<'_>) -> Result<(), FrameError> {
    match body.rest() {
        [SEPARATOR] => Ok(()),
        _ => Err(FrameError::Malformed),
    }
}

/// What a client without a token that serves is told: where the provider describes itself, and what to ask it for.
#[must_use]
pub fn failure(configuration: Option<&str>) -> String {
    let mut status = json!({"status": "invalid_token", "scope": "openid"});
    if let (Some(url), Some(object)) = (configuration, status.as_object_mut()) {
        object.insert("openid-configuration".to_owned(), url.into());
    }
    status.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_rfc_or_refused() {
        let cases: [(&[u8], Option<Presented<'_>>); 14] = [
            (b"n,,\x01auth=Bearer a.b.c\x01\x01", Some(Presented::Token(b"a.b.c"))),
            (
                b"y,,\x01host=h\x01port=5432\x01auth=bearer a-._~+/=\x01\x01",
                Some(Presented::Token(b"a-._~+/=")),
            ),
            (b"n,,\x01auth=\x01\x01", Some(Presented::Nothing)),
            (b"n,a=root,\x01auth=Bearer a\x01\x01", None),
            (b"p=tls-exporter,,\x01auth=Bearer a\x01\x01", None),
            (b"n,,\x01auth=Basic a\x01\x01", None),
            (b"n,,\x01auth=Bearer \x01\x01", None),
            (b"n,,\x01auth=Bearer a b\x01\x01", None),
            (b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", None),
            (b"n,,\x01host=h\x01\x01", None),
            (b"n,,\x01auth=Bearer a\x01", None),
            (b"n,,auth=Bearer a\x01\x01", None),
            (b"n,,\x01noequals\x01\x01", None),
            (b"", None),
        ];
        for (message, want) in cases {
            assert_eq!(presented(message), want, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn another_mechanism_is_refused() {
        let message = b"n,,\x01auth=Bearer a\x01\x01";
        let with = |name: &str, length: i32| {
            let mut body = name.as_bytes().to_vec();
            body.push(0);
            body.extend(length.to_be_bytes());
            body.extend(message);
            body
        };
        let length = i32::try_from(message.len()).unwrap();
        assert_eq!(initial(Body::new(&with(MECHANISM, length))), Ok(Presented::Token(b"a")));
        for (name, length) in [
            ("SCRAM-SHA-256", length),
            (MECHANISM, length - 1),
            (MECHANISM, length + 1),
            (MECHANISM, -1),
        ] {
            assert_eq!(
                initial(Body::new(&with(name, length))),
                Err(FrameError::Malformed),
                "{name} {length}"
            );
        }
    }
}
