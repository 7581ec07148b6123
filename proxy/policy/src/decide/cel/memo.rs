//! Answers that were given before.
//!
//! An expression is a function of the facts that it reads, and the facts of most commands come again and again: the same
//! verbs on the same tables by the same people. Writing them down costs a tenth of running the expression.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::values::{Facts, Needs};

/// Answers that one thread keeps.
const MAX_ANSWERS: usize = 4_096;
/// Facts that take more bytes than this seldom come twice.
const MAX_FACTS: usize = 1_024;

static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ANSWERS: RefCell<HashMap<Box<[u8]>, bool>> = RefCell::default();
}

/// The name of one expression, which no other ever has in this process.
#[derive(Debug)]
pub(super) struct Name(u64);

/// What an answer hangs on.
pub(super) struct Question(Box<[u8]>);

// === impl Name ===

impl Name {
    pub(super) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The expression and everything that it reads; `None` where that is not worth keeping.
    pub(super) fn question(&self, facts: &Facts<'_>, needs: &Needs) -> Option<Question> {
        // Texts differ from one command to the next, and so do values.
        if needs.command.iter().any(|field| ["text", "parameters"].contains(field)) {
            return None;
        }
        let mut bytes = self.0.to_be_bytes().to_vec();
        facts.write_down(needs, &mut bytes);
        (bytes.len() <= MAX_FACTS).then(|| Question(bytes.into()))
    }
}

// === impl Question ===

impl Question {
    pub(super) fn answer(&self) -> Option<bool> {
        ANSWERS.with_borrow(|answers| answers.get(&self.0).copied())
    }

    pub(super) fn keep(self, answer: bool) {
        ANSWERS.with_borrow_mut(|answers| {
            if answers.len() >= MAX_ANSWERS {
                answers.clear();
            }
            answers.insert(self.0, answer);
        });
    }
}
