//! Business Identifier Codes (ISO 9362), which banks call SWIFT codes.

use super::context::Named;
use super::piece::{ahead, behind, is_word, stands_alone};
use super::{Context, Detector, Find, Kind, Span};
use crate::mask::bytes::{at, cut};

pub(super) const DETECTOR: Detector = Detector {
    kind: Kind::SwiftCode,
    name: "SWIFT_CODE",
    aliases: &["BIC"],
    score: 90,
    words: WORDS,
    validates: "Six capital letters, the last two a country of ISO 3166, and two or five capital letters or digits, \
                standing alone: where `bic` or `swift` names the column or JSON key and the code is the whole value, \
                or `BIC` or `SWIFT` in capitals stands shortly before it, or either word in any case in the key that a \
                colon or an equals sign ends before it, or one of the tags `:51A:` to `:58A:`. Without all that eight \
                capital letters are a word.",
    min_bytes: 8,
    find: Find::Named(b"I:=", code),
};

/// How far behind BIC or SWIFT the code may begin.
const REACH: usize = 24;
/// How much of a key is looked at.
const KEY: usize = 24;

const WORDS: &[&str] = &[
    "bic",
    "swift",
    "bic_code",
    "swift_code",
    "swift_bic",
    "bank_identifier_code",
];

/// ISO 3166-1, two letters each, and Kosovo as banks write it.
const COUNTRIES: &str = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICK\
                         CLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGS\
                         GTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULV\
                         LYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPM\
                         PNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTR\
                         TTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

/// Offered every I, which stands in BIC and in SWIFT, what ends a key, and a value as a whole.
fn code(text: &[u8], place: usize, _: &Context<'_>) -> Option<Span> {
    if place == text.len() {
        return whole(text);
    }
    if matches!(at(text, place), b':' | b'=') {
        return keyed(text, place);
    }
    let word_end = if place
        .checked_sub(1)
        .is_some_and(|start| cut(text, start, start.saturating_add(3)) == b"BIC")
    {
        place.checked_add(2)?
    } else if place
        .checked_sub(2)
        .is_some_and(|start| cut(text, start, start.saturating_add(5)) == b"SWIFT")
    {
        place.checked_add(3)?
    } else {
        return None;
    };
    (0..REACH)
        .map(|skip| word_end.saturating_add(skip))
        .filter(|start| at(text, *start).is_ascii_uppercase() && !is_word(at(text, start.wrapping_sub(1))))
        .find_map(|start| at_place(text, start))
}

/// `"bic": "…"`, `swift code=…`.
fn keyed(text: &[u8], sign: usize) -> Option<Span> {
    let key_end = sign.checked_sub(behind(text, sign, 2, is_quote_or_blank))?;
    let key = behind(text, key_end, KEY, |b| is_word(b) || matches!(b, b' ' | b'/' | b'-'));
    let label = cut(text, key_end.checked_sub(key)?, key_end);
    let from = sign.checked_add(1)?;
    let start = from.checked_add(ahead(text, from, 2, is_quote_or_blank))?;
    let span = at_place(text, start)?;
    (is_party(text, sign) || Named::within(label).has(Kind::SwiftCode)).then_some(span)
}

/// Whether a colon ends the tag of a bank in a message of SWIFT: `:57A:` and the like, with option A.
fn is_party(text: &[u8], sign: usize) -> bool {
    let tag = cut(text, sign.saturating_sub(4), sign);
    at(text, sign) == b':' && matches!(tag, [b':', b'5', b'1'..=b'8', b'A'])
}

fn is_quote_or_blank(b: u8) -> bool {
    matches!(b, b' ' | b'"' | b'\'')
}

fn whole(text: &[u8]) -> Option<Span> {
    let value = text.trim_ascii();
    if !matches!(value.len(), 8 | 11) {
        return None;
    }
    let start = text.len().checked_sub(text.trim_ascii_start().len())?;
    at_place(text, start).filter(|span| span.end() == start.saturating_add(value.len()))
}

fn at_place(text: &[u8], start: usize) -> Option<Span> {
    let length = ahead(text, start, 12, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let span = Span::new(start, start.checked_add(length)?)?;
    if !matches!(length, 8 | 11) || !stands_alone(text, span) {
        return None;
    }
    let letters = cut(text, start, start.checked_add(6)?);
    let country = letters.get(4..)?;
    let known = || COUNTRIES.as_bytes().chunks_exact(2).any(|known| known == country);
    (letters.iter().all(u8::is_ascii_uppercase) && known()).then_some(span)
}
