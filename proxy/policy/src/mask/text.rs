//! Text and what is recognised in it: hits are replaced, the rest stays. Also the door's free text: error and notice
//! fields, notification payloads, parameter status.

use std::borrow::Cow;

use super::action::{Action, Partial, REDACTED};
use super::bytes::{cut, tail};
use super::count::Counts;
use super::detect::{Context, Hit, Scanner};
use super::masker::Masker;
use super::plan::Outcome;

/// What happens to the part of a text that a detector recognised. The stronger of two is the lesser, as of [`Action`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SpanAction {
    /// The whole value becomes NULL.
    Null,
    /// [`REDACTED`] stands instead.
    Redact,
    /// A fixed text stands instead.
    Replace(Box<str>),
    /// Some characters stay.
    Partial(Partial),
}

/// What surrounds the text, and so what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surroundings {
    /// A value of its own: any text, or NULL.
    Value,
    /// A message: any text, but no NULL.
    Message,
    /// The text form of a row or of an unknown type: NULL, or text that needs no quoting in any of them.
    Literal,
    /// XML content: NULL, or text without markup.
    Xml,
}

// === impl SpanAction ===

impl SpanAction {
    pub(super) fn new(action: &Action) -> Self {
        match action {
            Action::Null => Self::Null,
            // A hit may come from a literal or parameter: hashing it would hand out a dictionary (POSTGRES.md 17).
            Action::Redact | Action::Tokenize(_) | Action::Hash { .. } | Action::Generalize(_) => Self::Redact,
            Action::Replace { with } => Self::Replace(with.as_str().into()),
            Action::Partial(partial) => Self::Partial(*partial),
        }
    }

    /// What happens to a text in which there are hits at places that nobody knows: nothing of it stays.
    pub(super) fn whole(self) -> Self {
        match self {
            Self::Partial(_) => Self::Redact,
            action => action,
        }
    }
}

// === impl Masker ===

impl Masker {
    /// Masks text that stands outside of rows: a field of an error or notice, a notification's payload or channel, a
    /// parameter's value, a column's name. Detectors and patterns only; whether the statement behind it touched protected
    /// columns is for the caller to know (POSTGRES.md 19).
    pub fn free_text<'t>(&self, text: &'t str, counts: &mut Counts) -> Cow<'t, str> {
        let mut out = Vec::new();
        let context = Context::value(&[]);
        match self.rewrite_text(
            &self.text,
            text.as_bytes(),
            context,
            Surroundings::Message,
            &mut out,
            counts,
        ) {
            Outcome::Unchanged => Cow::Borrowed(text),
            // Hits begin and end between characters; should one ever not, nothing of the text is shown.
            Outcome::Written => Cow::Owned(String::from_utf8(out).unwrap_or_else(|_| REDACTED.to_owned())),
            Outcome::Null => Cow::Borrowed(REDACTED),
        }
    }

    /// [`Masker::free_text`] for bytes that need not be UTF-8.
    pub fn free_bytes<'t>(&self, text: &'t [u8], counts: &mut Counts) -> Cow<'t, [u8]> {
        let mut out = Vec::new();
        let context = Context::value(&[]);
        match self.rewrite_text(&self.text, text, context, Surroundings::Message, &mut out, counts) {
            Outcome::Unchanged => Cow::Borrowed(text),
            Outcome::Written => Cow::Owned(out),
            Outcome::Null => Cow::Borrowed(REDACTED.as_bytes()),
        }
    }

    /// Looks for hits in `text` and writes it without them.
    pub(super) fn rewrite_text(
        &self,
        scanner: &Scanner,
        text: &[u8],
        context: Context<'_>,
        surroundings: Surroundings,
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Outcome {
        if !Self::recognises(scanner, text, text, context, counts) {
            return Outcome::Unchanged;
        }
        let (outcome, done) = self.replace(text, 0, surroundings, out, counts);
        if outcome == Outcome::Written {
            out.extend_from_slice(tail(text, done));
        }
        outcome
    }

    /// Looks for hits in `text`, behind which more may stand in `room`. What is found stays in the counters until the next look.
    #[inline]
    pub(super) fn recognises(
        scanner: &Scanner,
        text: &[u8],
        room: &[u8],
        context: Context<'_>,
        counts: &mut Counts,
    ) -> bool {
        counts.hits.clear();
        scanner.scan_within(text, room, context, &mut counts.hits);
        !counts.hits.is_empty()
    }

    /// Whether some acting rule recognises anything in `text`.
    pub(super) fn finds(&self, scanner: &Scanner, text: &[u8], context: Context<'_>, counts: &mut Counts) -> bool {
        Self::recognises(scanner, text, text, context, counts);
        self.count(counts);
        counts.hits.iter().any(|hit| self.action(hit).is_some())
    }

    /// Counts what was recognised.
    fn count(&self, counts: &mut Counts) {
        counts.add_hits(|hit| self.entry(hit.entry).map(|entry| entry.slots.iter()));
    }

    fn action(&self, hit: &Hit) -> Option<&SpanAction> {
        self.entry(hit.entry)?.action.as_ref()
    }

    /// Writes `text` up to the last hit that [`Masker::recognises`] found just before in the value that begins at `value`, and
    /// something else for the hits. Up to where that is, is told with the outcome; what was written counts only with
    /// [`Outcome::Written`].
    pub(super) fn replace(
        &self,
        text: &[u8],
        value: usize,
        surroundings: Surroundings,
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> (Outcome, usize) {
        self.count(counts);
        // No sum is near overflow: places in the text.
        let (mut hits, mut done) = (counts.hits.iter().peekable(), 0_usize);
        while let Some(hit) = hits.next() {
            let Some(mut action) = self.action(hit) else { continue };
            let mut end = hit.end;
            // Overlapping hits are one, under the strongest of their actions.
            while let Some(other) = hits.next_if(|other| other.start < end) {
                if let Some(other_action) = self.action(other) {
                    end = end.max(other.end);
                    action = action.min(other_action);
                }
            }
            let (start, end) = (value.wrapping_add(hit.start), value.wrapping_add(end));
            out.extend_from_slice(cut(text, done, start));
            if !write_span(action, cut(text, start, end), surroundings, out) {
                return (Outcome::Null, done);
            }
            done = end;
        }
        let changed = done > value;
        (if changed { Outcome::Written } else { Outcome::Unchanged }, done)
    }
}

/// Writes what stands instead of a hit; false where the whole value has to become NULL.
fn write_span(action: &SpanAction, hit: &[u8], surroundings: Surroundings, out: &mut Vec<u8>) -> bool {
    match action {
        SpanAction::Null if surroundings == Surroundings::Message => out.extend_from_slice(REDACTED.as_bytes()),
        SpanAction::Null => return false,
        SpanAction::Replace(text) if fits(text, surroundings) => out.extend_from_slice(text.as_bytes()),
        SpanAction::Redact | SpanAction::Replace(_) => out.extend_from_slice(REDACTED.as_bytes()),
        SpanAction::Partial(partial) => {
            let start = out.len();
            partial.write(hit, out);
            // The mask character may be one that the surroundings give a meaning to.
            if !std::str::from_utf8(tail(out, start)).is_ok_and(|text| fits(text, surroundings)) {
                out.truncate(start);
                out.extend_from_slice(REDACTED.as_bytes());
            }
        }
    }
    true
}

/// Whether a text can stand there without quoting.
fn fits(text: &str, surroundings: Surroundings) -> bool {
    match surroundings {
        Surroundings::Value | Surroundings::Message => true,
        Surroundings::Literal => !text.is_empty() && !text.contains(['"', '\\', ',', '(', ')', '{', '}', '\'', ';']),
        Surroundings::Xml => !text.contains(['<', '>', '&', '"', '\'']),
    }
}

#[cfg(test)]
mod tests;
