//! The scanner of one masker: its detectors and patterns over one text.

use regex::bytes::RegexSet;

use super::hex::hex_runs;
use super::pattern::{self, Pattern, Spent};
use super::summary::{Signs, Summary};
use super::{Context, DETECTORS, Detector, Find, FindAt, FindDigits, FindSign, Kind, Run, Span, digits, fold, month};
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
struct Active<F> {
    entry: u16,
    /// Some rule acts on its hits; otherwise they are only counted, and must not hide what lies inside them.
    enforced: bool,
    find: F,
}

/// A finder of numbers.
#[derive(Clone, Copy, Debug)]
struct Number {
    /// Fewest digits of a run that it is offered.
    least: usize,
    /// By whose words a hit has to be named.
    word_of: Option<Kind>,
    active: Active<FindDigits>,
}

/// Lengths of a first group that are told apart.
const LENGTHS: usize = 32;

/// Who is offered the text at each place of one sign, with the fewest bytes that a text with a hit has.
#[derive(Debug)]
struct Sign {
    sign: u8,
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
    /// By the length of the first group; what is longer than the last of them comes under that.
    digits: [Vec<Number>; LENGTHS],
    ats: Vec<Active<FindAt>>,
    /// By the sign.
    signs: Vec<Sign>,
    /// All of their groups.
    groups: Signs,
    /// Those of the signs that are also offered a value as a whole.
    named: Vec<Active<FindSign>>,
    has_iban: bool,
    min_digits: usize,
    min_bytes: usize,
    patterns: Vec<Own>,
    set: Option<RegexSet>,
}

impl Scanner {
    /// A scanner for `kinds` (with entry number, and whether some rule acts on it) and `patterns`.
    pub(crate) fn new(kinds: &[(Kind, u16, bool)], patterns: Vec<Own>) -> Self {
        let mut scanner = Self {
            min_digits: usize::MAX,
            min_bytes: usize::MAX,
            ..Self::default()
        };
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
            Find::Digits {
                lengths,
                least,
                cell,
                needs_word,
                find,
            } => {
                self.min_digits = self.min_digits.min(cell);
                let number = Number {
                    least,
                    word_of: needs_word.then_some(detector.kind),
                    active: Active { entry, enforced, find },
                };
                self.add_digits(lengths, number);
            }
            Find::At(find) => self.ats.push(Active { entry, enforced, find }),
            Find::Signs(signs, find) => self.add_signs(signs, detector.min_bytes, Active { entry, enforced, find }),
            Find::Named(signs, find) => {
                self.named.push(Active { entry, enforced, find });
                self.add_signs(signs, detector.min_bytes, Active { entry, enforced, find });
            }
        }
    }

    fn add_digits(&mut self, lengths: u32, number: Number) {
        for (length, finders) in self.digits.iter_mut().enumerate() {
            if lengths >> length & 1 == 1 {
                finders.push(number);
            }
        }
    }

    fn add_signs(&mut self, signs: &[u8], min_bytes: usize, active: Active<FindSign>) {
        for sign in signs {
            self.groups = self.groups.or(Signs::of(*sign));
            let finder = (min_bytes, active);
            match self.signs.iter_mut().find(|known| known.sign == *sign) {
                Some(known) => known.finders.push(finder),
                None => self.signs.push(Sign {
                    sign: *sign,
                    group: Signs::of(*sign),
                    finders: vec![finder],
                }),
            }
        }
    }

    fn has_digits(&self) -> bool {
        self.min_digits < usize::MAX
    }

    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_digits() && self.ats.is_empty() && self.signs.is_empty() && self.patterns.is_empty()
    }

    /// Whether nothing in `text` can be a hit, not even in disguise: a quick look before a costly walk.
    pub(crate) fn is_quiet(&self, text: &[u8]) -> bool {
        let summary = Summary::of(text);
        self.patterns.is_empty()
            && self.named.is_empty()
            && summary.digits < 2
            && !summary.may_hold(Signs::AT.or(Signs::BACKSLASH).or(Signs::NON_ASCII).or(self.groups))
    }

    /// Appends all hits in `text`, in order of their start. Hits may overlap.
    #[inline]
    pub(crate) fn scan(&self, text: &[u8], context: Context<'_>, hits: &mut Vec<Hit>) {
        if text.len() >= self.min_bytes {
            self.scan_all(text, context, hits);
        }
    }

    fn scan_all(&self, text: &[u8], context: Context<'_>, hits: &mut Vec<Hit>) {
        let summary = Summary::of(text);
        self.scan_plain(text, context, &summary, hits);
        // Percent signs are counted with `@`.
        if summary.may_hold(Signs::NON_ASCII.or(Signs::AT)) {
            let of = |class: Signs, other: fn(&[u8]) -> Option<fold::Folded>| {
                summary.may_hold(class).then(|| other(text)).flatten()
            };
            let folded = of(Signs::NON_ASCII, fold::fold);
            let decoded = of(Signs::AT, fold::decoded);
            for other in [folded, decoded].into_iter().flatten() {
                let mut inner = Vec::new();
                self.scan_plain(&other.text, context, &Summary::of(&other.text), &mut inner);
                hits.extend(inner.into_iter().map(|hit| other.place(hit)));
            }
        }
        // Eighteen hexadecimal digits make the nine bytes of the shortest number.
        if text.len() >= 18 && summary.may_hold(Signs::BACKSLASH) {
            self.scan_hex(text, context, hits);
        }
        if hits.len() > 1 {
            hits.sort_unstable_by_key(|hit| (hit.start, hit.end, hit.entry));
            hits.dedup();
        }
    }

    fn scan_plain(&self, text: &[u8], context: Context<'_>, summary: &Summary, hits: &mut Vec<Hit>) {
        let numbers = summary.digits >= self.min_digits || (self.has_iban && summary.digits >= 2 && text.len() >= 15);
        if numbers && self.has_digits() {
            self.scan_digits(text, context, hits);
        }
        if summary.may_hold(Signs::AT) {
            self.scan_ats(text, hits);
        }
        if summary.may_hold(self.groups) {
            self.scan_signs(text, context, summary, hits);
        }
        for active in self.named.iter().filter(|_| context.whole) {
            let found = (active.find)(text, text.len(), &context);
            hits.extend(found.map(|span| active.hit(span)));
        }
        if !self.patterns.is_empty() {
            self.scan_patterns(text, hits);
        }
    }

    fn scan_signs(&self, text: &[u8], context: Context<'_>, summary: &Summary, hits: &mut Vec<Hit>) {
        for sign in self.signs.iter().filter(|sign| summary.may_hold(sign.group)) {
            for at in memchr::memchr_iter(sign.sign, text) {
                // Most cells are shorter than any key or token.
                for (_, active) in sign.finders.iter().filter(|(least, _)| *least <= text.len()) {
                    let found = (active.find)(text, at, &context);
                    hits.extend(found.map(|span| active.hit(span)));
                }
            }
        }
    }

    fn scan_digits(&self, text: &[u8], context: Context<'_>, hits: &mut Vec<Hit>) {
        let mut from = 0usize;
        while let Some(start) = digits::next(text, from) {
            let length = digits::count(text, start, usize::MAX);
            from = start.wrapping_add(length);
            if length < 3 && !may_be_short(text, start, length) {
                continue;
            }
            let run = Run::read(text, start, length, context);
            for number in self.digits.get(length.min(LENGTHS - 1)).into_iter().flatten() {
                let active = &number.active;
                if run.total() < number.least || number.word_of.is_some_and(|kind| run.lacks_context(kind)) {
                    continue;
                }
                if let Some(span) = (active.find)(&run) {
                    hits.push(active.hit(span));
                    if active.enforced {
                        from = from.max(span.end);
                    }
                }
            }
        }
    }

    fn scan_ats(&self, text: &[u8], hits: &mut Vec<Hit>) {
        for position in memchr::memchr2_iter(b'@', b'%', text) {
            for active in &self.ats {
                let found = (active.find)(text, position);
                hits.extend(found.map(|span| active.hit(span)));
            }
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

    /// Looks through hexadecimal bytea (`\x3533362d…`): a hit inside hides the whole run of hexadecimal digits.
    fn scan_hex(&self, text: &[u8], context: Context<'_>, hits: &mut Vec<Hit>) {
        for run in hex_runs(text) {
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

// === impl Active ===

impl<F> Active<F> {
    fn hit(&self, Span { start, end }: Span) -> Hit {
        Hit {
            start,
            end,
            entry: self.entry,
        }
    }
}

/// Whether a number that a detector knows can begin with a group of one or two digits: an IBAN after its country, an
/// international number after its plus sign or with 00, a national one with 0, a North American one with a leading 1, an
/// employer's (2-7), and a date.
fn may_be_short(text: &[u8], start: usize, length: usize) -> bool {
    let before = |n: usize| start.checked_sub(n).map_or(0, |i| at(text, i));
    let after = |n: usize| at(text, start.wrapping_add(n));
    let joint = after(length);
    let again = [2, 3].iter().any(|n| after(length.wrapping_add(*n)) == joint);
    matches!(before(1), b'+' | b'(')
        || joint == b'/'
        || (matches!(joint, b'-' | b'.') && again)
        || (length == 2 && matches!(after(2), b'-' | b'.') && after(9).is_ascii_digit())
        || (length == 1 && at(text, start) == b'1')
        || (length == 2 && joint == b' ' && at(text, start) == b'0')
        || month::short(text, start.wrapping_add(length)).is_some()
        || (length == 2 && before(1).is_ascii_alphabetic() && before(2).is_ascii_alphabetic())
        || (length == 2 && joint == b' ' && before(1) == b' ' && before(2).is_ascii_uppercase())
}
