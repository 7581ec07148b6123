//! Digits and separators in disguise: characters that read the same, characters that do not show at all, and what URLs, forms,
//! HTML and JSON encode.

use super::hex::pair;
use super::piece::ahead;
use super::scanner::Hit;
use crate::mask::bytes::{at, tail};

/// A text with look-alikes replaced by ASCII and invisible characters left out, or with what was encoded decoded.
pub(super) struct Folded {
    pub(super) text: Vec<u8>,
    /// Where each byte of `text` came from; one more at the end.
    origin: Vec<usize>,
}

impl Folded {
    /// A hit in the folded text as a hit in the original.
    pub(super) fn place(&self, hit: Hit) -> Hit {
        let place = |i: usize| {
            self.origin
                .get(i)
                .copied()
                .unwrap_or_else(|| self.origin.last().copied().unwrap_or(0))
        };
        Hit {
            start: place(hit.start),
            end: place(hit.end),
            entry: hit.entry,
        }
    }
}

/// Folds `text`; `None` where nothing in it needed folding, or it is not UTF-8.
pub(super) fn fold(text: &[u8]) -> Option<Folded> {
    // Every character below begins with one of these bytes; most non-ASCII text has none of them.
    text.iter()
        .any(|b| matches!(b, 0xC2 | 0xCD | 0xD8 | 0xD9 | 0xDB | 0xE0..=0xE3 | 0xEF))
        .then_some(())?;
    let source = std::str::from_utf8(text).ok()?;
    let mut folded = Folded {
        text: Vec::with_capacity(text.len()),
        origin: Vec::with_capacity(text.len()),
    };
    let mut changed = false;
    for (start, c) in source.char_indices() {
        let mut buffer = [0; 4];
        let bytes = match ascii(c) {
            Folding::Same => c.encode_utf8(&mut buffer).as_bytes(),
            Folding::To(b) => {
                changed = true;
                buffer = [b, 0, 0, 0];
                buffer.get(..1).unwrap_or(&[])
            }
            Folding::Gone => {
                changed = true;
                continue;
            }
        };
        folded.text.extend_from_slice(bytes);
        folded.origin.extend((0..bytes.len()).map(|i| start.saturating_add(i)));
    }
    folded.origin.push(text.len());
    changed.then_some(folded)
}

/// A text as it was before it was percent-encoded (RFC 3986, 2.1), however often, or written as a form; `None` where nothing in
/// it is encoded.
pub(super) fn decoded(text: &[u8]) -> Option<Folded> {
    memchr::memchr2_iter(b'%', b'=', text).find(|place| {
        let rest = tail(text, *place);
        encoded(rest).is_some() || filled_in(rest).is_some()
    })?;
    let mut folded = Folded {
        text: Vec::with_capacity(text.len()),
        origin: Vec::with_capacity(text.len()),
    };
    let (mut place, mut blanks) = (0usize, 0usize);
    while place < text.len() {
        let rest = tail(text, place);
        if let Some(length) = filled_in(rest) {
            blanks = place.saturating_add(length);
        }
        let (byte, length) = match rest {
            // That of a telephone number stands first.
            [b'+', ..] if place < blanks && at(text, place.saturating_sub(1)) != b'=' => (b' ', 1),
            _ => encoded(rest).unwrap_or((at(text, place), 1)),
        };
        folded.text.push(byte);
        folded.origin.push(place);
        place = place.saturating_add(length);
    }
    folded.origin.push(text.len());
    Some(folded)
}

/// A text as it is shown: references to characters of HTML (13.5) and escapes of JSON (RFC 8259, 7) as the ASCII that they stand
/// for or read like; `None` where it has none.
pub(super) fn shown(text: &[u8]) -> Option<Folded> {
    memchr::memchr2_iter(b'&', b'\\', text).find(|place| reference(tail(text, *place)).is_some())?;
    let mut folded = Folded {
        text: Vec::with_capacity(text.len()),
        origin: Vec::with_capacity(text.len()),
    };
    let mut place = 0usize;
    while place < text.len() {
        let (byte, length) = reference(tail(text, place)).unwrap_or((Some(at(text, place)), 1));
        if let Some(byte) = byte {
            folded.text.push(byte);
            folded.origin.push(place);
        }
        place = place.saturating_add(length);
    }
    folded.origin.push(text.len());
    Some(folded)
}

/// The character that a reference at the start of a text stands for, `None` for one that does not show, and the reference's
/// length. No detector hangs on those that are not here.
fn reference(text: &[u8]) -> Option<(Option<u8>, usize)> {
    // Programs escape the slashes of dates and URLs.
    if text.starts_with(b"\\/") {
        return Some((Some(b'/'), 2));
    }
    if let Some(digits) = text.strip_prefix(b"\\u") {
        let c = u32::from_str_radix(std::str::from_utf8(digits.get(..4)?).ok()?, 16).ok()?;
        return Some((read_as(c)?, 6));
    }
    let body = text.strip_prefix(b"&")?;
    let length = body.iter().take(LONGEST).position(|b| *b == b';')?;
    let body = body.get(..length)?;
    let c = match body {
        [b'#', b'x' | b'X', digits @ ..] => u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        name => u32::from(REFERENCES.iter().find(|(known, _)| *known == name)?.1),
    };
    Some((read_as(c)?, length.saturating_add(2)))
}

/// The ASCII that a character is or reads like, if there is one; `Some(None)` for what does not show.
fn read_as(c: u32) -> Option<Option<u8>> {
    let c = char::from_u32(c)?;
    match (u8::try_from(c), ascii(c)) {
        (Ok(b @ b' '..=b'~'), _) | (_, Folding::To(b)) => Some(Some(b)),
        (_, Folding::Gone) => Some(None),
        _ => None,
    }
}

/// The longest reference between its ampersand and its semicolon.
const LONGEST: usize = 8;

/// Names of what detectors hang on, and of what takes its place.
const REFERENCES: &[(&[u8], char)] = &[
    (b"nbsp", ' '),
    (b"ensp", ' '),
    (b"emsp", ' '),
    (b"thinsp", ' '),
    (b"hyphen", '-'),
    (b"dash", '-'),
    (b"ndash", '-'),
    (b"minus", '-'),
    (b"commat", '@'),
    (b"period", '.'),
    (b"colon", ':'),
    (b"sol", '/'),
    (b"plus", '+'),
    (b"lpar", '('),
    (b"rpar", ')'),
    (b"equals", '='),
    (b"quot", '"'),
    (b"apos", '\''),
    (b"amp", '&'),
    (b"lt", '<'),
    (b"gt", '>'),
    (b"shy", '\u{AD}'),
    (b"zwj", '\u{200D}'),
    (b"zwnj", '\u{200C}'),
];

/// How long a form's value is with the equals sign before it, if there is one at the start of a text: groups of letters, digits and
/// what is encoded (`%2B`), with a plus sign for each blank. Others have these signs in base64, and are longer, or end with others.
fn filled_in(text: &[u8]) -> Option<usize> {
    let value = text.strip_prefix(b"=")?;
    let length = ahead(value, 0, FIELD, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'+' | b'%')
    });
    let (value, rest) = value.split_at_checked(length)?;
    let last = matches!(
        rest.first(),
        None | Some(b'&' | b';' | b',' | b')' | b'<' | b' ' | b'"' | b'\'' | b'\r' | b'\n')
    );
    let ends = length < FIELD && last;
    (ends && memchr::memchr_iter(b'+', value).count() >= 2).then_some(length.saturating_add(1))
}

/// One more than an IBAN has in groups of four.
const FIELD: usize = 43;

/// The character of ASCII that is encoded at the start of a text, and the length of that: `%40`, or `%2540` where the percent
/// sign was encoded once more. No detector hangs on others, and `%DB_NAME%` is no encoding.
fn encoded(text: &[u8]) -> Option<(u8, usize)> {
    let mut digits = text.strip_prefix(b"%")?;
    while let Some(again) = digits.strip_prefix(b"25")
        && again.get(..2).and_then(pair).is_some()
    {
        digits = again;
    }
    let byte = digits.get(..2).and_then(pair).filter(|b| matches!(b, b' '..=b'~'))?;
    let length = text.len().saturating_sub(digits.len()).saturating_add(2);
    Some((byte, length))
}

enum Folding {
    Same,
    To(u8),
    Gone,
}

fn ascii(c: char) -> Folding {
    let digit = |zero: u32| {
        let n = u32::from(c).wrapping_sub(zero);
        u8::try_from(n).map_or(Folding::Same, |n| Folding::To(b'0'.wrapping_add(n)))
    };
    match c {
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, zero-width space to right-to-left mark,
        // embeddings, word joiner and invisible operators, isolates, variation selectors, byte order mark.
        '\u{AD}'
        | '\u{34F}'
        | '\u{61C}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2069}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' => Folding::Gone,
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => Folding::To(b' '),
        // What other scripts end a sentence with; names of hosts are typed with it (RFC 3490, 3.1).
        '\u{3002}' | '\u{FF61}' => Folding::To(b'.'),
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => Folding::To(b'-'),
        // Arabic, Persian, Thai, Lao, Tibetan, Burmese, Khmer.
        '\u{660}'..='\u{669}'
        | '\u{6F0}'..='\u{6F9}'
        | '\u{E50}'..='\u{E59}'
        | '\u{ED0}'..='\u{ED9}'
        | '\u{F20}'..='\u{F29}'
        | '\u{1040}'..='\u{1049}'
        | '\u{17E0}'..='\u{17E9}' => digit(u32::from(c) & !0xF),
        // Devanagari, Bengali, Gurmukhi, Gujarati, Odia, Tamil, Telugu, Kannada, Malayalam.
        '\u{966}'..='\u{96F}'
        | '\u{9E6}'..='\u{9EF}'
        | '\u{A66}'..='\u{A6F}'
        | '\u{AE6}'..='\u{AEF}'
        | '\u{B66}'..='\u{B6F}'
        | '\u{BE6}'..='\u{BEF}'
        | '\u{C66}'..='\u{C6F}'
        | '\u{CE6}'..='\u{CEF}'
        | '\u{D66}'..='\u{D6F}' => digit((u32::from(c) & !0xF) | 6),
        // Fullwidth forms stand in the order of ASCII.
        '\u{FF01}'..='\u{FF5E}' => u8::try_from(u32::from(c).wrapping_sub(0xFEE0)).map_or(Folding::Same, Folding::To),
        _ => Folding::Same,
    }
}
