//! Ranges and multiranges in binary (`range_send`, `multirange_send`): their bounds.

use crate::mask::bytes::Reader;

/// Bits of a range's first byte.
const EMPTY: u8 = 0x01;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;
/// A bound that is NULL, which only old dumps have, stands for infinite.
const LOWER_NULL: u8 = 0x20;
const UPPER_NULL: u8 = 0x40;

/// Calls `bound` with every bound of a range. `None`: not a range.
pub(crate) fn bounds(value: &[u8], bound: &mut dyn FnMut(&[u8])) -> Option<()> {
    let mut reader = Reader::new(value);
    let flags = reader.u8()?;
    for absent in [EMPTY | LOWER_INFINITE | LOWER_NULL, EMPTY | UPPER_INFINITE | UPPER_NULL] {
        if flags & absent == 0 {
            bound(reader.value()??);
        }
    }
    reader.is_empty().then_some(())
}

/// The same for a multirange: a count, then ranges.
pub(crate) fn multi_bounds(value: &[u8], bound: &mut dyn FnMut(&[u8])) -> Option<()> {
    let mut reader = Reader::new(value);
    for _ in 0..reader.u32()? {
        bounds(reader.value()??, bound)?;
    }
    reader.is_empty().then_some(())
}
