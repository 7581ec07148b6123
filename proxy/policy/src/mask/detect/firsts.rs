//! Where the words that make a number mean something cannot stand: seen by how words begin.

use std::sync::LazyLock;

use super::DETECTORS;
use super::lane::{BLOCK, masks, places};
use crate::mask::bytes::at;

/// With which letters words begin: enough to see that most texts hold none, in a fifth of the time that a search takes.
///
/// A word begins with letters, or with a byte that no letter is. Of the former are known here the first two, and how many there are: they
/// have to stand alone.
pub(super) struct Firsts {
    /// By the first letter, and by the second one (or [`NO_LETTER`]): a bit for each number of letters.
    lengths: [[u64; 27]; 26],
}

/// Stands for a second letter where there is none.
const NO_LETTER: usize = 26;

pub(super) static FIRSTS: LazyLock<Firsts> = LazyLock::new(|| {
    let mut lengths = [[0; 27]; 26];
    for word in DETECTORS.iter().flat_map(|one| one.words) {
        let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
        let of = |i: usize| letter(at(word.as_bytes(), i));
        let slot = lengths.get_mut(of(0)).and_then(|seconds| seconds.get_mut(of(1)));
        if let (Some(slot), Some(last)) = (slot, letters.checked_sub(1)) {
            *slot |= 1 << last.min(63);
        }
    }
    Firsts { lengths }
});

/// Its number in the alphabet, or [`NO_LETTER`].
#[inline]
fn letter(b: u8) -> usize {
    usize::from(b.to_ascii_lowercase().wrapping_sub(b'a')).min(NO_LETTER)
}

// === impl Firsts ===

impl Firsts {
    /// False where no word stands in a text. No sum is near overflow: places in 64 bytes.
    pub(super) fn may_stand_in(&self, text: &[u8]) -> bool {
        if text.len() > BLOCK {
            return true;
        }
        let [letters, capitals, others] = masks(text, text.len(), |lane| {
            [
                lane.lower().is_within(b'a', 25),
                lane.is_within(b'A', 25),
                lane.is(b'*') | lane.is_within(0x80, 0x7F),
            ]
        });
        if others != 0 {
            return true;
        }
        // Letters end where `homePhone` is parted, too.
        let parted = letters & !capitals & (capitals >> 1);
        let lasts = (letters & !(letters >> 1)) | parted;
        let begins = letters & !((letters & !parted) << 1);
        places(begins, 0).any(|begin| {
            let lengths = self.lengths.get(letter(at(text, begin)));
            let lengths = lengths.and_then(|seconds| seconds.get(letter(at(text, begin.wrapping_add(1)))));
            let from_here = letters >> begin;
            let together = from_here & !from_here.wrapping_add(1);
            lengths.is_some_and(|lengths| lengths & (lasts >> begin) & together != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::detect::context::Named;

    fn words() -> impl Iterator<Item = &'static str> {
        DETECTORS.iter().flat_map(|one| one.words.iter().copied())
    }

    #[test]
    fn words_begin_with_what_is_looked_for() {
        for word in words() {
            let first = word.as_bytes()[0];
            assert!(
                first.is_ascii_lowercase() || first == b'*' || !first.is_ascii(),
                "{word}"
            );
            assert!(FIRSTS.may_stand_in(word.as_bytes()), "{word}");
        }
        assert!(!FIRSTS.may_stand_in(b"Called about invoice "));
    }

    proptest! {
        #[test]
        fn no_word_is_passed_over(
            before in "[ a-cA-C_.é]{0,12}",
            word in prop::sample::select(words().collect::<Vec<_>>()),
            capitals in prop::collection::vec(any::<bool>(), 24),
            after in "[ a-cA-C_.1]{0,12}",
        ) {
            let mixed = word.chars().zip(capitals.iter().cycle());
            let mixed: String = mixed.map(|(c, capital)| if *capital { c.to_ascii_uppercase() } else { c }).collect();
            let text = format!("{before}{mixed}{after}");
            prop_assert!(FIRSTS.may_stand_in(text.as_bytes()) || Named::found_in(text.as_bytes()) == Named::default());
        }
    }
}
