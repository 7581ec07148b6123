//! What a cell holds at all, found in one pass without branches.

/// Enough to decide which scanners a cell needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) digits: usize,
    seen: Signs,
}

/// Which bytes that detectors ask for are there: seven bits for each class of them, of which one is set where one is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs(u64);

/// Hyphens of the shortest hit that is found by them.
const HYPHENS: u64 = 5;

/// Where hyphens are counted.
const HYPHEN: u32 = 7;

/// What one byte adds to a sum of eight counters, each a byte of which one bit stays free. Cells are short, and there one
/// addition per byte beats a vector that has to be filled and folded.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u64; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'0'..=b'9' => 1,
            b'@' | b'%' => 1 << 8,
            b'\\' => 1 << 16,
            0x80.. => 1 << 24,
            b'.' => 1 << 32,
            b':' | b'=' => 1 << 40,
            b'_' | b'I' | b'J' | b'~' => 1 << 48,
            b'-' => 1 << (8 * HYPHEN),
            _ => 0,
        };
        b += 1;
    }
    table
};

/// Bytes whose counters do not overflow.
const CHUNK: usize = 120;

// === impl Summary ===

impl Summary {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        let (mut digits, mut hyphens, mut seen) = (0usize, 0u64, Signs::UNTOLD.0);
        for chunk in text.chunks(CHUNK) {
            let sum = sum(chunk);
            let [tens, ..] = sum.to_le_bytes();
            digits = digits.saturating_add(usize::from(tens));
            hyphens = hyphens.saturating_add(sum >> (8 * HYPHEN));
            seen |= sum;
        }
        if hyphens >= HYPHENS {
            seen |= Signs::HYPHENS.0;
        }
        Self {
            digits,
            seen: Signs(seen),
        }
    }

    /// Whether a sign of these classes may be there.
    #[inline]
    pub(super) fn may_hold(&self, signs: Signs) -> bool {
        self.seen.0 & signs.0 != 0
    }
}

// === impl Signs ===

impl Signs {
    /// `@`, or a percent sign that may write it.
    pub(super) const AT: Self = Self::class(1);
    pub(super) const BACKSLASH: Self = Self::class(2);
    pub(super) const NON_ASCII: Self = Self::class(3);
    /// No class: such a sign may always be there. The bit that the count of digits leaves free.
    const UNTOLD: Self = Self(1 << 7);
    /// As many hyphens as a hit has.
    const HYPHENS: Self = Self(1 << 15);

    const fn class(counter: u32) -> Self {
        Self(0x7F << (8 * counter))
    }

    /// The class of a sign, as [`CLASSES`] counts them.
    pub(super) fn of(sign: u8) -> Self {
        match sign {
            b'.' => Self::class(4),
            b':' | b'=' => Self::class(5),
            b'_' | b'I' | b'J' | b'~' => Self::class(6),
            // Whoever looks for these looks for a hyphen soon after: most texts have none.
            b'x' | b'X' => Self::class(HYPHEN),
            b'-' => Self::HYPHENS,
            _ => Self::UNTOLD,
        }
    }

    /// Either's.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[inline]
fn sum(chunk: &[u8]) -> u64 {
    let (blocks, rest) = chunk.as_chunks::<8>();
    let (mut even, mut odd) = (0u64, 0u64);
    for [a, b, c, d, e, f, g, h] in blocks {
        even = even.wrapping_add(class(*a)).wrapping_add(class(*c));
        odd = odd.wrapping_add(class(*b)).wrapping_add(class(*d));
        even = even.wrapping_add(class(*e)).wrapping_add(class(*g));
        odd = odd.wrapping_add(class(*f)).wrapping_add(class(*h));
    }
    rest.iter()
        .fold(even.wrapping_add(odd), |sum, b| sum.wrapping_add(class(*b)))
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn class(b: u8) -> u64 {
    CLASSES[usize::from(b)]
}
