//! Texts and their trees. Trees are cached, verdicts are not: the same bytes mean other things under another search path,
//! role, prepared name, person or policy.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use sallyport_policy::sql::{self, Script, Shapes, SyntaxError};

use super::errors::Said;

/// Texts that one worker keeps.
const MAX_ENTRIES: usize = 2_048;
/// Nodes of their trees together.
const MAX_NODES: usize = 100_000;
/// Longer texts are not kept: they seldom come twice.
const MAX_TEXT: usize = 8 * 1024;

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
    static SHAPES: RefCell<Shapes> = RefCell::default();
}

/// Texts as they were sent, with their trees.
#[derive(Default)]
struct Cache {
    scripts: HashMap<Arc<str>, Arc<Script>>,
    nodes: usize,
}

/// A text and what it says.
#[derive(Clone, Debug)]
pub struct Text {
    /// The text as sent.
    pub text: Arc<str>,
    /// Its tree.
    pub script: Arc<Script>,
}

/// Reads a text.
///
/// # Errors
/// PostgreSQL's own, where it does not parse.
pub fn read(text: &str) -> Result<Text, SyntaxError> {
    let known = CACHE.with_borrow(|cache| {
        cache
            .scripts
            .get_key_value(text)
            .map(|(text, script)| (Arc::clone(text), Arc::clone(script)))
    });
    if let Some((text, script)) = known {
        return Ok(Text { text, script });
    }
    if let Some(script) = SHAPES.with_borrow(|shapes| shapes.read(text)) {
        let text = text.into();
        return Ok(Text { text, script });
    }
    let script = Arc::new(sql::parse(text)?);
    SHAPES.with_borrow_mut(|shapes| shapes.note(text));
    let text: Arc<str> = text.into();
    if text.len() <= MAX_TEXT {
        CACHE.with_borrow_mut(|cache| cache.keep(&text, &script));
    }
    Ok(Text { text, script })
}

// === impl Cache ===

impl Cache {
    fn keep(&mut self, text: &Arc<str>, script: &Arc<Script>) {
        let nodes = script.size();
        self.nodes += nodes;
        if self.scripts.len() >= MAX_ENTRIES || self.nodes > MAX_NODES {
            self.scripts.clear();
            self.nodes = nodes;
        }
        self.scripts.insert(Arc::clone(text), Arc::clone(script));
    }
}

/// A text that does not parse, as PostgreSQL itself would put it.
#[must_use]
pub fn said(error: &SyntaxError) -> Said {
    let mut said = Said::error(error.sqlstate, error.message.clone());
    said.position = error.position;
    said
}
