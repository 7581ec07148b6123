//! All matches of one pattern in a text, in time linear in the text.
//!
//! To find one match takes time linear in what is read for it, but that may be all of the text: `[0-9]+X|[0-9]` reads all
//! digits that follow before it takes one, and reads them again for the next. So the bytes read are counted, and a text that
//! would take too many of them is given up: one value must not hold up everybody else's.

use std::sync::{Mutex, PoisonError};

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::hybrid::regex as lazy;
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::{PatternError, SIZE_LIMIT, last_line};

/// Memory of one counted search, in bytes.
const CACHE_SIZE: usize = 4 << 20;
/// How often that may be full: then a step costs as much as the pattern is large, and the text is given up, too.
const CACHE_CLEARS: usize = 16;
/// Steps that a text may take besides two for each byte: sixteen for each, within these bounds.
const SPARE: usize = 16;
const LEAST_SPARE: usize = 4 << 10;
const MOST_SPARE: usize = 16 << 20;
/// Steps that a match counts for besides those that found it, since all of them are kept until the value is written.
const MATCH: usize = 16;

/// A text takes more steps than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mask::detect) struct Spent;

/// A pattern's automata.
#[derive(Debug)]
pub(super) struct Search {
    quick: Regex,
    /// The same pattern, by automata whose steps can be counted.
    counted: lazy::Regex,
    /// What counted searches work in, one for each that is under way.
    caches: Mutex<Vec<lazy::Cache>>,
}

// === impl Search ===

impl Search {
    /// Compiles what [`screen`](super::screen) has translated.
    pub(super) fn new(source: &str) -> Result<Self, PatternError> {
        let quick = RegexBuilder::new(source)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                error => PatternError::Syntax(last_line(&error)),
            })?;
        let bounded = DFA::config()
            .cache_capacity(CACHE_SIZE)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(CACHE_CLEARS));
        let counted = lazy::Regex::builder()
            .syntax(syntax::Config::new().utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .dfa(bounded)
            .build(source)
            .map_err(|_| PatternError::TooLarge)?;
        Ok(Self {
            quick,
            counted,
            caches: Mutex::default(),
        })
    }

    /// Whether each of these texts, repeated until it has `length` bytes, has a match.
    pub(super) fn match_all(&self, texts: &[&str], length: usize) -> bool {
        let repeated = |text: &str| {
            let times = length.checked_div(text.len()).unwrap_or_default().saturating_add(1);
            vec![text; times].join(" ")
        };
        texts.iter().all(|text| self.quick.is_match(repeated(text).as_bytes()))
    }

    /// Tells `found` start and end of each match. On an error there are more.
    pub(super) fn all(&self, text: &[u8], found: &mut impl FnMut(usize, usize)) -> Result<(), Spent> {
        let mut steps = allowed(text.len());
        // So many matches may read all of the text and are within what is allowed: nothing is counted for them.
        let free = steps.checked_div(text.len()).unwrap_or_default();
        let (mut taken, mut from) = (0usize, 0usize);
        for m in self.quick.find_iter(text).take(free) {
            found(m.start(), m.end());
            from = m.end();
            taken = taken.saturating_add(1);
        }
        if taken < free {
            return Ok(());
        }
        let cached = self.caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut cache = cached.unwrap_or_else(|| self.counted.create_cache());
        let result = self.rest(&mut cache, text, from, &mut steps, found);
        // How often it was full is counted for each text.
        if cache.forward().clear_count() == 0 && cache.reverse().clear_count() == 0 {
            self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
        }
        result
    }

    /// The matches from `from` on.
    fn rest(
        &self,
        cache: &mut lazy::Cache,
        text: &[u8],
        mut from: usize,
        steps: &mut usize,
        found: &mut impl FnMut(usize, usize),
    ) -> Result<(), Spent> {
        while from < text.len() {
            let (forward, reverse) = cache.as_parts_mut();
            let Some(end) = self.end(forward, text, from, steps)? else {
                break;
            };
            // The way back is no longer than the way there.
            let back = Input::new(text).span(from..end).anchored(Anchored::Yes);
            let start = self.counted.reverse().try_search_rev(reverse, &back);
            let start = start.ok().flatten().ok_or(Spent)?.offset();
            *steps = steps.checked_sub(MATCH).ok_or(Spent)?;
            found(start, end);
            from = end.max(from.saturating_add(1));
        }
        Ok(())
    }

    /// The end of the first match from `from` on.
    fn end(&self, cache: &mut dfa::Cache, text: &[u8], from: usize, steps: &mut usize) -> Result<Option<usize>, Spent> {
        let automaton = self.counted.forward();
        let input = Input::new(text).span(from..text.len());
        let mut state = automaton.start_state_forward(cache, &input).map_err(|_| Spent)?;
        let mut end = None;
        for (i, byte) in text.iter().enumerate().skip(from) {
            *steps = steps.checked_sub(1).ok_or(Spent)?;
            state = automaton.next_state(cache, state, *byte).map_err(|_| Spent)?;
            // A state is a match one byte behind the match's end, and dead where no longer one can come.
            if state.is_match() {
                end = Some(i);
            } else if state.is_dead() {
                return Ok(end);
            }
        }
        let last = automaton.next_eoi_state(cache, state).map_err(|_| Spent)?;
        Ok(if last.is_match() { Some(text.len()) } else { end })
    }
}

/// Steps that a text of so many bytes may take.
fn allowed(bytes: usize) -> usize {
    let spare = bytes.saturating_mul(SPARE).clamp(LEAST_SPARE, MOST_SPARE);
    bytes.saturating_mul(2).saturating_add(spare)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATTERNS: [&str; 7] = [
        "[0-9]+X|[0-9]",
        "EMP-[0-9]{3}",
        r"(?-u:\b)[a-b]+(?:-[0-9]+)?",
        "(?i)ab|b[^a]*",
        "(?s)a.*?b|a",
        "é+|[^a]é",
        "a$|^b",
    ];

    fn all(search: &Search, text: &[u8]) -> (Result<(), Spent>, Vec<(usize, usize)>) {
        let mut spans = Vec::new();
        let result = search.all(text, &mut |start, end| spans.push((start, end)));
        (result, spans)
    }

    fn uncounted(search: &Search, text: &[u8]) -> Vec<(usize, usize)> {
        search.quick.find_iter(text).map(|m| (m.start(), m.end())).collect()
    }

    #[test]
    fn a_text_of_a_megabyte_in_which_each_match_reads_all_that_follows_is_given_up() {
        let search = Search::new("[0-9]+X|[0-9]").unwrap();
        for length in [4 << 10, 1 << 20, 8 << 20] {
            assert_eq!(all(&search, &vec![b'7'; length]).0, Err(Spent), "{length}");
        }
        // One for each pair of bytes, none of which reads on.
        let search = Search::new("77").unwrap();
        let (result, spans) = all(&search, &vec![b'7'; 1 << 20]);
        assert_eq!((result, spans.len()), (Ok(()), 1 << 19));
    }

    #[test]
    fn short_texts_are_never_given_up() {
        for pattern in PATTERNS {
            let search = Search::new(pattern).unwrap();
            for length in 0..=64 {
                for text in ["7".repeat(length), "ab-7".repeat(length / 4), "aé".repeat(length / 3)] {
                    let (result, spans) = all(&search, text.as_bytes());
                    assert_eq!(result, Ok(()), "{pattern} {text}");
                    assert_eq!(spans, uncounted(&search, text.as_bytes()), "{pattern} {text}");
                }
            }
        }
    }

    #[test]
    fn long_texts_with_many_matches_are_searched_whole() {
        let search = Search::new("EMP-[0-9]{3}(?:-[0-9]+)?").unwrap();
        let text = "EMP-123 and EMP-456-7, ".repeat(50_000);
        let (result, spans) = all(&search, text.as_bytes());
        assert_eq!((result, spans.len()), (Ok(()), 100_000));
        assert_eq!(spans, uncounted(&search, text.as_bytes()));
    }

    proptest! {
        #[test]
        fn a_counted_search_finds_the_same(text in "[abAB7X\\-éEMP\n ]{0,80}", pattern in 0..PATTERNS.len()) {
            let search = Search::new(PATTERNS[pattern]).unwrap();
            let mut spans = Vec::new();
            let mut cache = search.counted.create_cache();
            let mut steps = usize::MAX;
            let result = search.rest(&mut cache, text.as_bytes(), 0, &mut steps, &mut |start, end| {
                spans.push((start, end));
            });
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(spans, uncounted(&search, text.as_bytes()));
        }

        #[test]
        fn what_is_found_before_it_is_given_up_is_right(text in "[abAB7X\\-é\n ]{0,4000}", pattern in 0..PATTERNS.len()) {
            let search = Search::new(PATTERNS[pattern]).unwrap();
            let (result, spans) = all(&search, text.as_bytes());
            let whole = uncounted(&search, text.as_bytes());
            prop_assert!(whole.starts_with(&spans));
            prop_assert!(result.is_err() || whole.len() == spans.len());
        }
    }
}
