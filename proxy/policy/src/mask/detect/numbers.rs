//! The finders of numbers over one text.

use super::digits::Runs;
use super::run::{MAX_DIGITS, Run};
use super::scanner::{Active, Hit};
use super::summary::Masks;
use super::{Context, Detector, Find, FindDigits, month};
use crate::mask::bytes::at;

/// The finders of numbers, each known by its [`Kind`]: sets of them have a bit for each.
#[derive(Debug)]
pub(super) struct Numbers {
    finders: [Option<Active<FindDigits>>; u32::BITS as usize],
    /// Who takes what by the length of the first group; what is longer than the last of them comes under that.
    by_length: [u32; LENGTHS],
    /// The same by how many digits there are in all.
    by_total: [u32; MAX_DIGITS + 1],
    /// Those whose hits have to be named by one of their words.
    worded: u32,
    /// Fewest digits of a cell with a hit.
    pub(super) least: usize,
}

/// Lengths of a first group that are told apart.
const LENGTHS: usize = 32;

// === impl Numbers ===

impl Default for Numbers {
    fn default() -> Self {
        Self {
            finders: [None; u32::BITS as usize],
            by_length: [0; LENGTHS],
            by_total: [0; MAX_DIGITS + 1],
            worded: 0,
            least: usize::MAX,
        }
    }
}

impl Numbers {
    /// Whether none is on.
    pub(super) fn is_empty(&self) -> bool {
        self.least == usize::MAX
    }

    /// Takes one more, if it is a detector of numbers.
    pub(super) fn add(&mut self, detector: &Detector, entry: u16, enforced: bool) {
        let Find::Digits {
            lengths,
            least,
            cell,
            needs_word,
            find,
        } = detector.find
        else {
            return;
        };
        let one = detector.kind.bit();
        if let Some(slot) = self.finders.get_mut(detector.kind as usize) {
            *slot = Some(Active { entry, enforced, find });
        }
        for (length, kinds) in self.by_length.iter_mut().enumerate() {
            *kinds |= if lengths >> length & 1 == 1 { one } else { 0 };
        }
        self.by_total.iter_mut().skip(least).for_each(|kinds| *kinds |= one);
        self.worded |= if needs_word { one } else { 0 };
        self.least = self.least.min(cell);
    }

    /// Appends all numbers in `text`, in which the first bytes are digits as `first` tells.
    pub(super) fn scan(&self, text: &[u8], context: &Context<'_>, first: &Masks, hits: &mut Vec<Hit>) {
        let (mut runs, mut run, mut from) = (Runs::new(text, first), Run::new(text, context), 0_usize);
        while let Some(found) = runs.next(from) {
            from = found.start.wrapping_add(found.length);
            if found.length < 3 && !may_be_short(text, found.start, found.length) {
                continue;
            }
            run.read(found);
            let by_length = self.by_length.get(found.length.min(LENGTHS - 1));
            let by_total = self.by_total.get(run.total().min(MAX_DIGITS));
            let mut kinds = by_length.unwrap_or(&0) & by_total.unwrap_or(&0);
            if kinds & self.worded != 0
                && let Some(named) = run.named_at_once()
            {
                kinds &= !self.worded | named.bits();
            }
            while kinds != 0 {
                let finder = self.finders.get(kinds.trailing_zeros() as usize);
                kinds &= kinds.wrapping_sub(1);
                if let Some(Some(active)) = finder
                    && let Some(span) = (active.find)(&run)
                {
                    hits.push(active.hit(span));
                    if active.enforced {
                        from = from.max(span.end());
                    }
                }
            }
        }
    }
}

/// Whether a number that a detector knows can begin with a group of one or two digits: an IBAN after its country, an
/// international number after its plus sign or with 00, a national one with 0 or a short area code, a North American one with
/// a leading 1, an employer's (2-7), and a date.
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
        || (length == 2
            && joint == b' '
            && after(3).is_ascii_digit()
            && [6, 7, 8].iter().any(|n| matches!(after(*n), b' ' | b'-')))
        || month::short(text, start.wrapping_add(length)).is_some()
        || (length == 2 && before(1).is_ascii_alphabetic() && before(2).is_ascii_alphabetic())
        || (length == 2 && joint == b' ' && before(1) == b' ' && before(2).is_ascii_uppercase())
}
