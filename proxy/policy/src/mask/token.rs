//! Tokens: values of the same format, by FF1 of NIST SP 800-38G r1.

use std::fmt;
use std::sync::Arc;

use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::hmac;
use fpe::ff1::{FF1, FlexibleNumeralString};
use sallyport_crds::masking_rule::Alphabet;

use super::action::{Tokens, is_separator};
use super::hash::key_id;

/// Fewest values that a token may be one of (SP 800-38G r1, section 5.1). FF1 holds texts to it; numbers have fewer lawful ones.
const MIN_DOMAIN: u128 = 1_000_000;
/// Most characters that are encrypted: the work grows with their square, and a value may be long.
const MAX_LENGTH: usize = 128;
/// How often a number is encrypted until it is lawful. One in 28 is at least, so that more is needed once in 10^15.
const MAX_WALK: usize = 1_000;

/// A key for [`Action::Tokenize`](super::action::Action::Tokenize): of AES-128, AES-192 or AES-256 (FIPS 197), by its length.
///
/// Whoever has the key can undo every token: it is a secret like the values themselves.
#[derive(Clone)]
pub struct TokenKey(Arc<[u8]>);

/// Makes the tokens of one rule.
pub(crate) struct Tokenizer {
    cipher: Cipher,
    /// The characters, by the numeral that each stands for.
    alphabet: &'static [u8],
    keep_first: usize,
    keep_last: usize,
    tweak: Box<[u8]>,
}

/// FF1 under one key and radix.
enum Cipher {
    Aes128(FF1<Aes128>),
    Aes192(FF1<Aes192>),
    Aes256(FF1<Aes256>),
}

// === impl TokenKey ===

impl TokenKey {
    /// Lengths accepted, in bytes.
    pub const BYTES: [usize; 3] = [16, 24, 32];

    /// A key from secret bytes; `None` when their number is none of [`TokenKey::BYTES`].
    pub fn new(secret: &[u8]) -> Option<Self> {
        Self::BYTES.contains(&secret.len()).then(|| Self(secret.into()))
    }

    /// What tells the key from others in records, as [`HashKey::id`](super::HashKey::id).
    pub fn id(&self) -> String {
        key_id(&hmac::Key::new(hmac::HMAC_SHA256, &self.0))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

// === impl Tokenizer ===

impl Tokenizer {
    /// `None`: no cipher takes the key, which [`TokenKey::new`] sees to.
    pub(super) fn new(tokens: &Tokens, key: &TokenKey) -> Option<Self> {
        let alphabet = characters(tokens.alphabet);
        Some(Self {
            cipher: Cipher::new(key, alphabet.len())?,
            alphabet,
            keep_first: tokens.keep_first,
            keep_last: tokens.keep_last,
            tweak: tokens.tweak.as_bytes().into(),
        })
    }

    /// Whether tokens of numbers are numbers.
    pub(crate) fn is_decimal(&self) -> bool {
        self.alphabet == characters(Alphabet::Digits)
    }

    /// The token of a text, separators in their places. `None`: there is none.
    pub(crate) fn text(&self, value: &[u8]) -> Option<Vec<u8>> {
        let separator = |b: &u8| is_separator(std::slice::from_ref(b));
        let characters: Vec<u8> = value.iter().copied().filter(|b| !separator(b)).collect();
        let mut token = self.token(&characters, |_| true)?.into_iter();
        let shown = value.iter().map(|b| if separator(b) { Some(*b) } else { token.next() });
        shown.collect()
    }

    /// The token of a whole number that is not negative, in decimal: one of as many digits, without a zero in front, and `max`
    /// at most. `None`: there is none.
    pub(crate) fn number(&self, number: &str, max: Option<u64>) -> Option<String> {
        if self.numbers(number.as_bytes(), max)? < MIN_DOMAIN {
            return None;
        }
        let max = max.map(|max| max.to_string());
        let token = self.token(number.as_bytes(), |token| {
            // Of as many digits, the greater number is the greater text.
            let fits = |max: &String| token.len() < max.len() || token <= max.as_bytes();
            token.first() != Some(&b'0') && max.as_ref().is_none_or(fits)
        })?;
        String::from_utf8(token).ok()
    }

    /// The token of characters without separators.
    ///
    /// What is kept is part of the tweak (SP 800-38G, appendix C): else the six digits amid two cards would have one token where
    /// they are the same, and a table of a million rows would undo them all. What is not lawful is encrypted again, which permutes
    /// what is lawful, of which `value` is one.
    fn token(&self, value: &[u8], lawful: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        // Also what is kept has to be of the alphabet: of a name in a column of numbers nothing is shown.
        if !value.iter().all(|b| self.alphabet.contains(b)) {
            return None;
        }
        let (first, middle, last) = self.parts(value)?;
        if middle.len() > MAX_LENGTH {
            return None;
        }
        let tweak = [&*self.tweak, first, last].concat();
        let mut numerals: Vec<u16> = middle.iter().map(|b| self.numeral(*b)).collect::<Option<_>>()?;
        for _ in 0..MAX_WALK {
            numerals = self.cipher.encrypt(&tweak, numerals)?;
            let middle: Option<Vec<u8>> = numerals.iter().map(|n| self.character(*n)).collect();
            let token = [first, middle?.as_slice(), last].concat();
            if lawful(&token) {
                return Some(token);
            }
        }
        None
    }

    /// How many numbers without a zero in front could stand in the place of one, with what is kept of it.
    fn numbers(&self, digits: &[u8], max: Option<u64>) -> Option<u128> {
        let (first, middle, last) = self.parts(digits)?;
        let all = power(middle);
        let least = if first.is_empty() { all / 10 } else { 0 };
        let below = max.map_or(all, |max| {
            let greatest = u128::from(max).saturating_sub(decimal(last)) / power(last);
            let greatest = greatest.saturating_sub(decimal(first).saturating_mul(all));
            greatest.saturating_add(1).min(all)
        });
        Some(below.saturating_sub(least))
    }

    /// What is kept at the start, what is encrypted, what is kept at the end.
    fn parts<'v>(&self, value: &'v [u8]) -> Option<(&'v [u8], &'v [u8], &'v [u8])> {
        let (first, rest) = value.split_at_checked(self.keep_first)?;
        let (middle, last) = rest.split_at_checked(rest.len().checked_sub(self.keep_last)?)?;
        Some((first, middle, last))
    }

    fn numeral(&self, character: u8) -> Option<u16> {
        let place = self.alphabet.iter().position(|c| *c == character)?;
        u16::try_from(place).ok()
    }

    fn character(&self, numeral: u16) -> Option<u8> {
        self.alphabet.get(usize::from(numeral)).copied()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}

// === impl Cipher ===

impl Cipher {
    fn new(key: &TokenKey, radix: usize) -> Option<Self> {
        let radix = u32::try_from(radix).ok()?;
        // FF1::new panics on a key of any other length.
        Some(match key.0.len() {
            16 => Self::Aes128(FF1::new(&key.0, radix).ok()?),
            24 => Self::Aes192(FF1::new(&key.0, radix).ok()?),
            32 => Self::Aes256(FF1::new(&key.0, radix).ok()?),
            _ => return None,
        })
    }

    /// `None`: fewer than a million strings are as long.
    fn encrypt(&self, tweak: &[u8], numerals: Vec<u16>) -> Option<Vec<u16>> {
        let numerals = FlexibleNumeralString::from(numerals);
        let encrypted = match self {
            Self::Aes128(ff1) => ff1.encrypt(tweak, &numerals),
            Self::Aes192(ff1) => ff1.encrypt(tweak, &numerals),
            Self::Aes256(ff1) => ff1.encrypt(tweak, &numerals),
        };
        encrypted.ok().map(Vec::from)
    }
}

fn characters(alphabet: Alphabet) -> &'static [u8] {
    match alphabet {
        Alphabet::Digits => b"0123456789",
        Alphabet::AlphanumericLower => b"0123456789abcdefghijklmnopqrstuvwxyz",
        Alphabet::AlphanumericUpper => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        Alphabet::Alphanumeric => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    }
}

/// How many strings of digits are as long.
fn power(digits: &[u8]) -> u128 {
    10u128.saturating_pow(u32::try_from(digits.len()).unwrap_or(u32::MAX))
}

fn decimal(digits: &[u8]) -> u128 {
    digits.iter().fold(0u128, |n, b| {
        n.saturating_mul(10).saturating_add(u128::from(b.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests;
