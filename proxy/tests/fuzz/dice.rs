//! Inputs near to those that somebody thought of, the same in every run.

pub use super::common::dice::Dice;

/// The longest input.
const MAX: usize = 4_096;

/// Bytes near to those of a seed.
pub fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(24)).min(bytes.len());
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = *dice.pick(&[0, 1, 0x7f, 0x80, 0xff, b'\\', b'"', b'\'', b'\n']),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let other = dice.pick(seeds);
                let from = dice.below(other.len() + 1);
                bytes.extend_from_slice(&other[from..]);
            }
            6 if at + 4 <= bytes.len() => {
                let number = *dice.pick(&[
                    0u32,
                    1,
                    3,
                    4,
                    0xff,
                    0xffff,
                    0x7fff_ffff,
                    0x8000_0000,
                    0xffff_fffe,
                    0xffff_ffff,
                ]);
                bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => bytes.insert(at, u8::try_from(dice.below(256)).unwrap()),
        }
    }
    bytes.truncate(MAX);
    bytes
}
