//! Runs of digits, found 64 bytes at a time. No sum is near overflow: all are places in a text, or a few bytes behind its end.

use super::lane::{BLOCK, Lane, mask};
use super::summary::Masks;

/// The runs of ASCII digits of one text, in order.
pub(super) struct Runs<'a> {
    text: &'a [u8],
    first: &'a Masks,
    /// Where the 64 bytes begin that `here` tells of.
    base: usize,
    here: u64,
    /// Of the 64 bytes behind those.
    ahead: u64,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Where its first digit stands.
    pub(super) start: usize,
    /// How many digits it has.
    pub(super) length: usize,
    /// Which of the 64 bytes from there on are digits.
    pub(super) window: u64,
}

// === impl Runs ===

impl<'a> Runs<'a> {
    /// `first` tells which of the first bytes are digits.
    #[inline]
    pub(super) fn new(text: &'a [u8], first: &'a Masks) -> Self {
        let [here, ahead, ..] = *first;
        Self {
            text,
            first,
            base: 0,
            here,
            ahead,
        }
    }

    #[inline]
    fn look_ahead(&mut self) {
        let from = self.base.wrapping_add(BLOCK);
        self.ahead = match self.first.get(from / BLOCK) {
            Some(known) => *known,
            None if from < self.text.len() => mask(self.text, from, Lane::is_digit),
            None => 0,
        };
    }

    /// The first one at `from` or behind it; `from` never decreases. Where it stands within a run, that begins there.
    #[inline]
    pub(super) fn next(&mut self, from: usize) -> Option<Found> {
        loop {
            let skip = from.saturating_sub(self.base);
            let left = if skip < BLOCK { self.here >> skip << skip } else { 0 };
            if left != 0 {
                let skip = left.trailing_zeros();
                let window = (self.here >> skip) | (self.ahead << 1 << 63_u32.wrapping_sub(skip));
                let start = self.base.wrapping_add(skip as usize);
                let length = (!window).trailing_zeros() as usize;
                return Some(Found {
                    start,
                    length: if length < BLOCK { length } else { self.count(start) },
                    window,
                });
            }
            self.base = self.base.wrapping_add(BLOCK);
            if self.base >= self.text.len() {
                return None;
            }
            self.here = self.ahead;
            self.look_ahead();
        }
    }

    /// How many digits there are, of which 64 are known.
    #[cold]
    fn count(&self, start: usize) -> usize {
        let mut count = BLOCK;
        loop {
            let more = (!mask(self.text, start.wrapping_add(count), Lane::is_digit)).trailing_zeros() as usize;
            count = count.wrapping_add(more);
            if more < BLOCK {
                return count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::summary::Summary;
    use super::*;

    proptest! {
        #[test]
        fn runs_are_those_found_one_by_one(text in "[/0-9:\u{0}a\u{e9}]{0,20}([0-9]{0,150}[/0-9:a]{0,80}){0,3}", skip in 0..9_usize) {
            let text = text.as_bytes();
            let first = Summary::of(text).first_digits;
            let mut runs = Runs::new(text, &first);
            let mut from = 0;
            loop {
                let start = text.iter().skip(from).position(u8::is_ascii_digit).map(|at| from + at);
                let found = runs.next(from);
                prop_assert_eq!(found.map(|found| found.start), start);
                let Some(found) = found else { break };
                let rest = &text[found.start..];
                prop_assert_eq!(found.length, rest.iter().take_while(|b| b.is_ascii_digit()).count());
                prop_assert_eq!(found.window, mask(rest, 0, Lane::is_digit));
                from = found.start + found.length + skip;
            }
        }
    }
}
