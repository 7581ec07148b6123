//! A run of digits with the groups that follow it: the shape that number detectors judge.

use std::cell::OnceCell;

use super::context::{Named, names};
use super::digits::Found;
use super::{Context, Kind};
use crate::mask::bytes::{at, eight};

/// Most digits that are collected: one more than the longest number that any detector knows (a card has 19).
pub(super) const MAX_DIGITS: usize = 20;
/// Most groups: a card of 19 digits in fives and fours has five, a phone number rarely more than seven.
const MAX_GROUPS: usize = 8;

/// Digits that are read at once.
const WORD: usize = 8;
/// So many of them, all `0`.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Bytes of a UUID.
const UUID: usize = 36;

/// Bytes before a run in which words are looked for at once.
const NEAR: usize = 8;

/// Digits of the lower word.
const LOW: usize = 16;

/// Digits that belong together, and what stands after them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    /// Digits in this group.
    pub(super) len: usize,
    /// Byte after its last digit.
    pub(super) end: usize,
    /// Separator to the next group: one of ` -.`, `)` for `) ` and the like, `(` for `(` and ` (`; 0 when none follows.
    pub(super) separator: u8,
}

/// Digits as numbers 0 to 9, a byte each and the first one lowest; behind the last one they are 0. Held in words, and not as bytes in
/// memory: to read as one what was just written in parts takes longer than all that is done with it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Digits {
    /// The first sixteen.
    low: u128,
    /// Those behind them.
    high: u64,
}

/// The digits from `start` on, across single separators, up to 20 digits or 8 groups. It is read anew for each run of a text: that
/// takes less than to make one.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    context: &'a Context<'a>,
    digits: Digits,
    total: usize,
    groups: [Group; MAX_GROUPS],
    count: usize,
    /// Whose words stand near, once somebody has asked.
    named: OnceCell<Named>,
}

impl<'a> Run<'a> {
    /// None yet.
    #[inline]
    pub(super) fn new(text: &'a [u8], context: &'a Context<'a>) -> Self {
        Self {
            text,
            start: 0,
            context,
            digits: Digits::default(),
            total: 0,
            groups: [Group::default(); MAX_GROUPS],
            count: 0,
            named: OnceCell::new(),
        }
    }

    /// Reads the run that begins there.
    #[inline]
    pub(super) fn read(&mut self, found: Found) {
        (self.start, self.named) = (found.start, OnceCell::new());
        let (mut from, mut len, mut window) = (found.start, found.length, found.window);
        let (mut digits, mut total, mut count) = (Digits::default(), 0_usize, 0_usize);
        // A number with more digits than any detector knows is not cut into one that they know. No sum is near overflow: all of
        // them are places in the text, or a few bytes behind it, and what lies outside is absent. Nor does the window end before
        // the run does: so many digits and twice as many separators as stand between so many groups are fewer than its 64 bytes.
        while total.wrapping_add(len) <= MAX_DIGITS
            && let Some(slot) = self.groups.get_mut(count)
        {
            let end = from.wrapping_add(len);
            window >>= len;
            let (separator, width) = separator(self.text, end, window);
            *slot = Group { len, end, separator };
            digits.put(total, self.text, from, len);
            total = total.wrapping_add(len);
            count = count.wrapping_add(1);
            if separator == 0 {
                break;
            }
            from = end.wrapping_add(width);
            window >>= width;
            len = (!window).trailing_zeros() as usize;
        }
        (self.digits, self.total, self.count) = (digits, total, count);
    }

    /// Digits of all groups.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The groups in order.
    pub(super) fn groups(&self) -> &[Group] {
        self.groups.get(..self.count).unwrap_or(&[])
    }

    /// The first digit, as it is written.
    pub(super) fn first(&self) -> u8 {
        at(self.text, self.start)
    }

    /// The first `n` digits as numbers 0–9; none where there are fewer. Behind them there are zeros.
    pub(super) fn digits(&self, n: usize) -> Option<Digits> {
        (n <= self.total).then(|| self.digits.first(n))
    }

    /// The number of digits `from..to` read as one decimal number, eight of them at most.
    #[inline]
    pub(super) fn number(&self, from: usize, to: usize) -> u32 {
        decimal(self.digits.eight(from), to.wrapping_sub(from))
    }

    /// The byte before the run; 0 at the start of the text.
    pub(super) fn before(&self) -> u8 {
        self.start.checked_sub(1).map_or(0, |i| at(self.text, i))
    }

    /// Whether the first group, blanks around it aside, is the whole value.
    pub(super) fn is_whole(&self) -> bool {
        let end = self.groups.first().map_or(0, |g| g.end);
        self.context.whole
            && self.text.get(..self.start).is_some_and(|b| b.trim_ascii().is_empty())
            && self.text.get(end..).is_some_and(|b| b.trim_ascii().is_empty())
    }

    /// Whether one of a detector's words stands in the label or shortly before the run.
    pub(super) fn has_context(&self, of: Kind) -> bool {
        self.named().has(of)
    }

    /// Whether a word that is no detector's own stands in the label.
    pub(super) fn is_called(&self, word: &[u8]) -> bool {
        names(self.context.label, word)
    }

    /// Whose words stand near, where it takes no long look to see.
    pub(super) fn named_at_once(&self) -> Option<Named> {
        (self.start <= NEAR).then(|| self.named())
    }

    fn named(&self) -> Named {
        *self
            .named
            .get_or_init(|| Named::near(self.text, self.start, self.context))
    }

    /// Whether the bytes `self.start..end` are part of a decimal fraction, such as the tail of `3.14159265`. A comma parts
    /// values where another one follows, or more than a digit stands before it.
    pub(super) fn in_fraction(&self, end: usize) -> bool {
        let before = |n: usize| self.start.checked_sub(n).map_or(0, |i| at(self.text, i));
        let behind_point = match before(1) {
            b'.' => before(2).is_ascii_digit(),
            b',' => before(2).is_ascii_digit() && !before(3).is_ascii_digit() && at(self.text, end) != b',',
            _ => false,
        };
        behind_point || (at(self.text, end) == b'.' && at(self.text, end.saturating_add(1)).is_ascii_digit())
    }

    /// Whether the bytes `self.start..end` lie within a longer hexadecimal token: a UUID, or a hash of 24 digits or more.
    pub(super) fn in_hex_token(&self, end: usize) -> bool {
        if self.text.len() < 24 {
            return false;
        }
        let token = self.hex_token(end);
        is_uuid(token) || (token.len() >= 24 && !token.contains(&b'-') && token.iter().any(u8::is_ascii_alphabetic))
    }

    /// Whether the bytes `self.start..end` lie within a UUID.
    pub(super) fn in_uuid(&self, end: usize) -> bool {
        self.text.len() >= UUID && is_uuid(self.hex_token(end))
    }

    /// The bytes `self.start..end` with the hexadecimal digits and hyphens around them.
    fn hex_token(&self, end: usize) -> &[u8] {
        let hex = |b: u8| b.is_ascii_hexdigit() || b == b'-';
        let back = self
            .text
            .get(..self.start)
            .unwrap_or(&[])
            .iter()
            .rev()
            .take(64)
            .take_while(|b| hex(**b))
            .count();
        let forth = self
            .text
            .get(end..)
            .unwrap_or(&[])
            .iter()
            .take(64)
            .take_while(|b| hex(**b))
            .count();
        let (from, to) = (self.start.saturating_sub(back), end.saturating_add(forth));
        self.text.get(from..to).unwrap_or(&[])
    }
}

// === impl Digits ===

impl Digits {
    /// Puts a group of digits behind the first `filled` of them, eight at a time. No sum is near overflow: there are twenty at most.
    #[inline]
    fn put(&mut self, filled: usize, text: &[u8], from: usize, len: usize) {
        let (mut from, mut filled, mut left) = (from, filled, len);
        while left > 0 {
            let taken = left.min(WORD);
            // What of the eight bytes is none of the group is 0.
            let word = (eight(text, from) ^ ZEROS) & (u64::MAX >> unused_bits(taken));
            match filled.checked_sub(LOW) {
                Some(above) => self.high |= word << bits(above),
                None => {
                    self.low |= u128::from(word) << bits(filled);
                    self.high |= word.checked_shr(bits(LOW.wrapping_sub(filled))).unwrap_or(0);
                }
            }
            from = from.wrapping_add(taken);
            filled = filled.wrapping_add(taken);
            left = left.wrapping_sub(taken);
        }
    }

    /// Those of a text that has no others.
    #[cfg(test)]
    pub(super) fn of(text: &[u8]) -> Self {
        let mut digits = Self::default();
        digits.put(0, text, 0, text.len());
        digits
    }

    /// Eight of them, from one on.
    #[inline]
    fn eight(self, from: usize) -> u64 {
        match from.checked_sub(LOW) {
            Some(above) => self.high.checked_shr(bits(above)).unwrap_or(0),
            None => {
                let low = (self.low >> bits(from)) as u64;
                low | self.high.checked_shl(bits(LOW.wrapping_sub(from))).unwrap_or(0)
            }
        }
    }

    /// The first ones; the others become zeros.
    fn first(self, n: usize) -> Self {
        let below = |digits: usize| bits(digits.min(LOW));
        Self {
            low: self.low & 1_u128.checked_shl(below(n)).unwrap_or(0).wrapping_sub(1),
            high: self.high
                & 1_u64
                    .checked_shl(below(n.saturating_sub(LOW)))
                    .unwrap_or(0)
                    .wrapping_sub(1),
        }
    }

    /// Eight to a word, the first one lowest.
    pub(super) fn words(self) -> [u64; 3] {
        [self.low as u64, (self.low >> 64) as u64, self.high]
    }

    /// One after another.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> {
        self.words().into_iter().flat_map(u64::to_le_bytes)
    }
}

/// Bits of as many digits.
#[inline]
fn bits(digits: usize) -> u32 {
    (digits as u32).wrapping_mul(8)
}

/// The number that the first `digits` bytes of a word form, numbers 0 to 9 each: of two digits, of four, and of all, each in the
/// bytes of the word that they have. What is missing of eight digits are zeros in front.
#[inline]
fn decimal(word: u64, digits: usize) -> u32 {
    let word = word << unused_bits(digits);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    let all = fours.wrapping_mul(10_000).wrapping_add(fours >> 32);
    (all & 0xFFFF_FFFF) as u32
}

/// Bits of a word behind its first bytes, one of them at least.
#[inline]
fn unused_bits(bytes: usize) -> u32 {
    (WORD.wrapping_sub(bytes).wrapping_mul(8) & 63) as u32
}

/// Whether hexadecimal digits and hyphens have the shape of a UUID (RFC 9562).
fn is_uuid(token: &[u8]) -> bool {
    token.len() == UUID && [8, 13, 18, 23].iter().all(|i| at(token, *i) == b'-')
}

/// The separator at `i`, and how many bytes it takes; (0, 0) when no group follows. The window tells which bytes from there on
/// are digits.
#[inline]
fn separator(text: &[u8], i: usize, window: u64) -> (u8, usize) {
    let ahead = |n: usize| at(text, i.wrapping_add(n));
    let first = ahead(0);
    if window & 0b110 == 0 || !matches!(first, b' ' | b'-' | b'.' | b')' | b'(') {
        return (0, 0);
    }
    let next_is_digit = window & 0b10 != 0;
    match (first, ahead(1)) {
        (c @ (b' ' | b'-' | b'.' | b')'), _) if next_is_digit => (c, 1),
        (b'(', _) if next_is_digit => (b'(', 1),
        // The digit is the third byte then.
        (b')', b' ' | b'-' | b'.') => (b')', 2),
        (b' ' | b'-', b'(') => (b'(', 2),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::digits::Runs;
    use super::super::summary::Summary;
    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_read_one_by_one(text in "[a-z]{0,9}[0-9]{1,12}([ .-][0-9]{1,9}){0,9}[a-z]{0,9}") {
            let first = Summary::of(text.as_bytes()).first_digits;
            let found = Runs::new(text.as_bytes(), &first).next(0).unwrap();
            let context = Context::default();
            let mut run = Run::new(text.as_bytes(), &context);
            // What an earlier one leaves behind is none of it.
            run.read(Runs::new(b"99 999 99999", &Summary::of(b"99 999 99999").first_digits).next(0).unwrap());
            run.read(found);
            let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').take(run.total()).collect();
            prop_assert_eq!(run.total(), run.groups().iter().map(|group| group.len).sum::<usize>());
            prop_assert_eq!(run.digits(run.total()).unwrap().bytes().take(run.total()).collect::<Vec<_>>(), digits.clone());
            prop_assert!(run.digits(run.total() + 1).is_none());
            for n in 0..=run.total() {
                let first = (0..24).map(|i| if i < n { digits[i] } else { 0 });
                prop_assert!(run.digits(n).unwrap().bytes().eq(first));
            }
            for (from, to) in (0..MAX_DIGITS).flat_map(|from| (from + 1..=from + WORD).map(move |to| (from, to))) {
                let digits = (from..to).map(|i| digits.get(i).copied().unwrap_or(0));
                prop_assert_eq!(run.number(from, to), digits.fold(0, |n, digit| n * 10 + u32::from(digit)));
            }
        }
    }
}
