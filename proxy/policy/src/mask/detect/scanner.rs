//! The scanner of one masker: its detectors and patterns over one text.

use regex::bytes::RegexSet;

use super::connection::OtherKeys;
use super::hex::{Spelled, hex_runs};
use super::lane::{BLOCK, mask, places};
use super::listed::{LEAST, byte_lists};
use super::numbers::Numbers;
use super::pattern::{self, Pattern, Spent};
use super::piece::{ahead, behind};
use super::summary::{Signs, Summary, is_sign};
use super::{Context, DETECTORS, Detector, Find, FindSign, Kind, Span, fold};
use crate::mask::bytes::at;

/// Bytes `start..end` of a text that detector or pattern `entry` recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The number that was given to [`Scanner::new`].
    pub(crate) entry: u16,
}

/// One detector as a scanner runs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active<F> {
    pub(super) entry: u16,
    /// Some rule acts on its hits; otherwise they are only counted, and must not hide what lies inside them.
    pub(super) enforced: bool,
    pub(super) find: F,
}

/// Who is offered the text at each place of one sign, with the fewest bytes that a text with a hit has.
#[derive(Debug)]
struct Sign {
    sign: u8,
    /// In which texts it is looked for.
    group: Signs,
    finders: Vec<(usize, Active<FindSign>)>,
}

/// A pattern as a scanner runs it.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) pattern: Pattern,
    /// The number of its matches.
    pub(crate) entry: u16,
    /// The number of a text that is a hit as a whole, since to find all matches in it would take too long.
    pub(crate) whole: u16,
}

/// Detectors and patterns that are on.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    numbers: Numbers,
    signs: Vec<Sign>,
    /// For each byte the number of its sign; that of none for those that are none.
    sign_of: Vec<u8>,
    /// All of their groups.
    groups: Signs,
    /// Those of the signs that are also offered a value as a whole, if one of their words names it.
    named: Vec<(Kind, Active<FindSign>)>,
    has_iban: bool,
    min_bytes: usize,
    patterns: Vec<Own>,
    set: Option<RegexSet>,
}

impl Scanner {
    /// A scanner for `kinds` (with entry number, and whether some rule acts on it) and `patterns`.
    pub(crate) fn new(kinds: &[(Kind, u16, bool)], patterns: Vec<Own>) -> Self {
        let mut scanner = Self {
            min_bytes: usize::MAX,
            ..Self::default()
        };
        scanner.sign_of.resize(256, u8::MAX);
        for detector in DETECTORS {
            let Some((kind, entry, enforced)) = kinds.iter().copied().find(|(k, ..)| *k == detector.kind) else {
                continue;
            };
            scanner.add(detector, entry, enforced);
            scanner.has_iban |= kind == Kind::IbanCode;
            scanner.min_bytes = scanner.min_bytes.min(detector.min_bytes);
        }
        if !patterns.is_empty() {
            scanner.min_bytes = 1;
            scanner.set = pattern::set(patterns.iter().map(|own| &own.pattern));
        }
        scanner.patterns = patterns;
        scanner
    }

    fn add(&mut self, detector: &Detector, entry: u16, enforced: bool) {
        match detector.find {
            Find::Digits { .. } => self.numbers.add(detector, entry, enforced),
            Find::Signs(signs, find) => self.add_signs(signs, detector.min_bytes, Active { entry, enforced, find }),
            Find::Named(signs, find) => {
                self.named.push((detector.kind, Active { entry, enforced, find }));
                self.add_signs(signs, detector.min_bytes, Active { entry, enforced, find });
            }
        }
    }

    fn add_signs(&mut self, signs: &[u8], min_bytes: usize, active: Active<FindSign>) {
        for sign in signs {
            self.groups = self.groups.or(Signs::of(*sign));
            let finder = (min_bytes, active);
            match self.signs.iter_mut().find(|known| known.sign == *sign) {
                Some(known) => known.finders.push(finder),
                None => {
                    if let (Some(slot), Ok(number)) =
                        (self.sign_of.get_mut(usize::from(*sign)), self.signs.len().try_into())
                    {
                        *slot = number;
                    }
                    self.signs.push(Sign {
                        sign: *sign,
                        group: Signs::of(*sign),
                        finders: vec![finder],
                    });
                }
            }
        }
    }

    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.signs.is_empty() && self.patterns.is_empty()
    }

    /// Whether nothing in `text` can be a hit, not even in disguise: a quick look before a costly walk. A key that names a value
    /// within it has a colon behind it, which is a sign of whoever is offered values by name.
    pub(crate) fn is_quiet(&self, text: &[u8], context: Context<'_>) -> bool {
        let summary = Summary::of(text);
        self.patterns.is_empty()
            && !self.names_some(context)
            && summary.digits < 2
            && !summary.may_hold(
                Signs::AT
                    .or(Signs::PERCENT)
                    .or(Signs::BACKSLASH)
                    .or(Signs::NON_ASCII)
                    .or(Signs::AMPERSAND)
                    .or(self.groups),
            )
    }

    /// Whether a name alone may make a hit of a text.
    fn names_some(&self, context: Context<'_>) -> bool {
        if self.named.is_empty() {
            return false;
        }
        let named = context.named();
        self.named.iter().any(|(kind, _)| named.has(*kind))
    }

    #[cfg(test)]
    pub(crate) fn scan(&self, text: &[u8], context: Context<'_>, hits: &mut Vec<Hit>) {
        self.scan_within(text, text, context, hits);
    }

    /// Appends all hits in `text`, in order of their start. Hits may overlap. The text is what `room` begins with: what stands
    /// behind it is not looked at, and lets it be read faster.
    #[inline]
    pub(crate) fn scan_within(&self, text: &[u8], room: &[u8], context: Context<'_>, hits: &mut Vec<Hit>) {
        if text.len() >= self.min_bytes {
            self.scan_all(text, &Summary::within(text, room), context, hits);
        }
    }

    fn scan_all(&self, text: &[u8], summary: &Summary, context: Context<'_>, hits: &mut Vec<Hit>) {
        let before = hits.len();
        self.scan_plain(text, context, summary, hits);
        if summary.may_hold(Signs::DISGUISES) {
            let others: [(Signs, fn(&[u8]) -> Option<fold::Folded>); 3] = [
                (Signs::NON_ASCII, fold::fold),
                (Signs::PERCENT.or(Signs::PLUS), fold::decoded),
                (Signs::AMPERSAND.or(Signs::BACKSLASH), fold::shown),
            ];
            // One after another: each takes several times the memory of the text.
            for (_, other) in others.into_iter().filter(|(class, _)| summary.may_hold(*class)) {
                let Some(other) = other(text) else { continue };
                let mut inner = Vec::new();
                self.scan_plain(&other.text, context, &Summary::of(&other.text), &mut inner);
                hits.extend(inner.into_iter().map(|hit| other.place(hit)));
            }
        }
        // Eighteen hexadecimal digits make the nine bytes of the shortest number.
        if text.len() >= 18 && summary.may_hold(Signs::BACKSLASH) {
            self.scan_spelled(hex_runs(text), context, hits);
        }
        // A list has a digit or more for each byte, and `:constvalue` before it.
        if summary.digits >= LEAST && summary.may_hold(Signs::COLON) {
            self.scan_spelled(byte_lists(text), context, hits);
        }
        if summary.may_hold(Signs::NON_ASCII) {
            widen(text, hits.get_mut(before..).unwrap_or_default());
        }
        if hits.len() > 1 {
            hits.sort_unstable_by_key(|hit| (hit.start, hit.end, hit.entry));
            hits.dedup();
        }
    }

    fn scan_plain(&self, text: &[u8], context: Context<'_>, summary: &Summary, hits: &mut Vec<Hit>) {
        let other_keys = OtherKeys::default();
        let context = context.remembering(&other_keys);
        if summary.digits >= self.numbers.least || (self.has_iban && summary.digits >= 2 && text.len() >= 15) {
            self.numbers.scan(text, &context, &summary.first_digits, hits);
        }
        if summary.may_hold(self.groups) {
            self.scan_signs(text, &context, summary, hits);
        }
        if context.whole && !self.named.is_empty() {
            let named = context.named();
            for (kind, active) in &self.named {
                if named.has(*kind)
                    && let Some(span) = (active.find)(text, text.len(), &context)
                {
                    hits.push(active.hit(span));
                }
            }
        }
        if !self.patterns.is_empty() {
            self.scan_patterns(text, hits);
        }
    }

    fn scan_signs(&self, text: &[u8], context: &Context<'_>, summary: &Summary, hits: &mut Vec<Hit>) {
        let mut from = 0_usize;
        while from < text.len() {
            let known = summary.first_signs.get(from / BLOCK).copied();
            let signs = known.unwrap_or_else(|| mask(text, from, is_sign));
            for place in places(signs, from) {
                let number = self.sign_of.get(usize::from(at(text, place)));
                let sign = number.and_then(|number| self.signs.get(usize::from(*number)));
                let Some(sign) = sign.filter(|sign| summary.may_hold(sign.group)) else {
                    continue;
                };
                // Most cells are shorter than any key or token.
                for (_, active) in sign.finders.iter().filter(|(least, _)| *least <= text.len()) {
                    if let Some(span) = (active.find)(text, place, context) {
                        hits.push(active.hit(span));
                    }
                }
            }
            // No sum is near overflow: places in a text.
            from = from.wrapping_add(BLOCK);
        }
    }

    fn scan_patterns(&self, text: &[u8], hits: &mut Vec<Hit>) {
        let mut scan = |own: &Own| {
            let mark = hits.len();
            let entry = own.entry;
            let found = own
                .pattern
                .find(text, |start, end| hits.push(Hit { start, end, entry }));
            if found == Err(Spent) {
                hits.truncate(mark);
                hits.push(Hit {
                    start: 0,
                    end: text.len(),
                    entry: own.whole,
                });
            }
        };
        match &self.set {
            // One search for all patterns says which of them match; only those are run for their places. Each is run by
            // itself, since a combined search would let a match of one hide an overlapping match of another.
            Some(set) => {
                for i in &set.matches(text) {
                    if let Some(own) = self.patterns.get(i) {
                        scan(own);
                    }
                }
            }
            None => self.patterns.iter().for_each(scan),
        }
    }

    /// Looks through bytes that are spelled out, as in hexadecimal bytea (`\x3533362d…`): a hit inside hides all of them.
    fn scan_spelled(&self, runs: impl Iterator<Item = Spelled>, context: Context<'_>, hits: &mut Vec<Hit>) {
        for run in runs {
            let mut inner = Vec::new();
            self.scan_plain(&run.bytes, context, &Summary::of(&run.bytes), &mut inner);
            inner.sort_unstable_by_key(|hit| hit.entry);
            inner.dedup_by_key(|hit| hit.entry);
            hits.extend(inner.into_iter().map(|hit| Hit {
                start: run.start,
                end: run.end,
                ..hit
            }));
        }
    }
}

/// Takes in the whole of a character that a hit begins or ends within: what a finder looks at is cut after so many bytes.
fn widen(text: &[u8], hits: &mut [Hit]) {
    let goes_on = |b: u8| b & 0b1100_0000 == 0b1000_0000;
    let within = |place: usize| goes_on(at(text, place));
    if !hits.iter().any(|hit| within(hit.start) || within(hit.end)) || std::str::from_utf8(text).is_err() {
        return;
    }
    for hit in hits {
        let back = behind(text, hit.start.saturating_add(1), 3, goes_on);
        hit.start = hit.start.saturating_sub(back);
        hit.end = hit.end.saturating_add(ahead(text, hit.end, 3, goes_on));
    }
}

// === impl Active ===

impl<F> Active<F> {
    #[inline]
    pub(super) fn hit(&self, span: Span) -> Hit {
        Hit {
            start: span.start,
            end: span.end(),
            entry: self.entry,
        }
    }
}
