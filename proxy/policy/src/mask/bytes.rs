//! Checked access to byte slices: what lies outside is absent, never a panic.

/// The byte at `i`, or 0 past the end; 0 belongs to no class that a detector looks for.
#[inline]
pub(crate) fn at(bytes: &[u8], i: usize) -> u8 {
    bytes.get(i).copied().unwrap_or(0)
}

/// `bytes[start..end]`, or nothing where the bounds lie.
#[inline]
pub(crate) fn cut(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end).unwrap_or(&[])
}

/// `bytes[start..]`, or nothing.
#[inline]
pub(crate) fn tail(bytes: &[u8], start: usize) -> &[u8] {
    bytes.get(start..).unwrap_or(&[])
}

/// The eight bytes from `i` on as one number, the first byte the lowest; zeros stand for those past the end.
#[inline]
pub(crate) fn eight(bytes: &[u8], i: usize) -> u64 {
    let rest = tail(bytes, i);
    if let Some(eight) = rest.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    match bytes.last_chunk() {
        // What stands before `i` is shifted out; no more than 64 bits are. No product is near overflow.
        Some(eight) => u64::from_le_bytes(*eight)
            .checked_shr(64_u32.wrapping_sub((rest.len() as u32).wrapping_mul(8)))
            .unwrap_or(0),
        None => fewer(rest),
    }
}

/// The same of fewer than eight bytes: what is read twice is the same twice.
fn fewer(bytes: &[u8]) -> u64 {
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return bytes.iter().rev().fold(0, |word, b| (word << 8) | u64::from(*b));
    };
    let behind = (bytes.len().wrapping_sub(4) as u32).wrapping_mul(8);
    u64::from(u32::from_le_bytes(*first)) | (u64::from(u32::from_le_bytes(*last)) << behind)
}

/// Reads big-endian fields off the front of a slice; every step is `None` when too little is left.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length-prefixed value as PostgreSQL sends it: `Some(None)` is NULL (length -1); any other negative length, or
    /// one that reaches past the end, is `None`.
    pub(crate) fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let len = self.i32()?;
        if len == -1 {
            return Some(None);
        }
        self.take(usize::try_from(len).ok()?).map(Some)
    }
}

/// Appends a length-prefixed value whose bytes `write` produces; `write` returning false means NULL.
pub(crate) fn put_value(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = write(out);
    let len = out.len().saturating_sub(at).saturating_sub(4);
    let prefix = match (written, i32::try_from(len)) {
        (true, Ok(len)) => len,
        _ => {
            out.truncate(at.saturating_add(4));
            -1
        }
    };
    if let Some(slot) = out.get_mut(at..).and_then(|s| s.first_chunk_mut::<4>()) {
        *slot = prefix.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_bytes_are_those_read_one_by_one(bytes in prop::collection::vec(any::<u8>(), 0..20), i in 0..24_usize) {
            let one_by_one: Vec<u8> = (i..i + 8).map(|i| at(&bytes, i)).collect();
            prop_assert_eq!(eight(&bytes, i).to_le_bytes().to_vec(), one_by_one);
        }
    }
}
