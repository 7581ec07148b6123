//! Names and groups that could deceive a reader or impersonate a part of Kubernetes are refused, not cleaned: two spellings
//! of one name must never both be let in.

use std::fmt;

use sallyport_policy::subject::is_deceptive;
use unicode_normalization::is_nfc;

/// As long as the AccessRequest's schema takes them.
const MAX: usize = 512;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing in it.
    Empty,
    /// Longer than any real name.
    TooLong,
    /// Begins with `system:` after prefixing: the API server's own people and groups.
    System,
    /// Not in Unicode normal form C: looks like another name and is not.
    NotNormal,
    /// Control characters, line or paragraph separators, or characters that turn the direction of writing or are not seen.
    Deceptive,
}

/// Checks a name or group after prefixing.
pub(super) fn check(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::Empty);
    }
    if name.len() > MAX {
        return Err(Fault::TooLong);
    }
    if name.starts_with("system:") {
        return Err(Fault::System);
    }
    if name.chars().any(is_deceptive) {
        return Err(Fault::Deceptive);
    }
    if !is_nfc(name) {
        return Err(Fault::NotNormal);
    }
    Ok(())
}

/// A text that somebody else composed, as a terminal may be given it.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_deceptive(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 512 bytes",
            Self::System => "begins with system: after prefixing",
            Self::NotNormal => "is not in Unicode normal form C",
            Self::Deceptive => "holds control, invisible or direction-changing characters",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_refuses_deceptions() {
        for name in [
            "oidc:alice",
            "alice@bank.example",
            "J\u{fc}rgen",
            "\u{5f20}\u{4f1f}",
            "System:x",
            "oidc:system:masters",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let long = "a".repeat(513);
        let table = [
            ("", Fault::Empty),
            (long.as_str(), Fault::TooLong),
            ("system:masters", Fault::System),
            ("oidc:Ju\u{308}rgen", Fault::NotNormal),
            ("oidc:alice\n", Fault::Deceptive),
            ("oidc:\u{202e}ecila", Fault::Deceptive),
            ("oidc:al\u{200b}ice", Fault::Deceptive),
            ("oidc:alice\u{7f}", Fault::Deceptive),
            ("oidc:a\u{2066}b", Fault::Deceptive),
        ];
        for (name, fault) in table {
            assert_eq!(check(name), Err(fault), "{name:?}");
        }
    }
}
