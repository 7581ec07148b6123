//! What the door itself has the target do, between units and in front of them.

use std::rc::Rc;

use sallyport_policy::sql::{self, Script};

use crate::postgres::ask::{Answer, put_query};
use crate::postgres::expect::Expect;
use crate::postgres::frame;
use crate::postgres::names::Stated;
use crate::postgres::refuse;
use crate::postgres::relay::State;
use crate::postgres::rows::View;

/// Name of the statement and portal of a question. It begins as [`RESERVED`](refuse::RESERVED) does, which is refused to clients and
/// is that of what is pinned: nothing may have that when something is.
const NAME: &str = "\u{1}sallyport question";

/// Appends a question of the door's own.
pub fn own(state: &mut State, sql: &str, out: &mut Vec<u8>) {
    go_on(state, out);
    // Programs prepare and describe without a name, and bind in their next unit: a Query would take that away from them.
    let script = state.names.any_unnamed().then(|| sql::parse(sql).ok()).flatten();
    match script {
        Some(script) => put_named(&script, sql, out),
        None => put_query(out, sql),
    }
    state.answered = None;
    state.expected.push(Expect::Own(Answer::default()));
}

/// A text's statements one by one, under the door's own name. One that failed left that behind, so it is taken away first.
fn put_named(script: &Script, text: &str, out: &mut Vec<u8>) {
    let put_closes = |out: &mut Vec<u8>| [b'P', b'S'].iter().for_each(|kind| put_close(*kind, NAME, out));
    for statement in &script.statements {
        put_closes(out);
        put_parse(NAME, statement.text(text), &[], out);
        frame::put(out, b'B', |out| {
            frame::put_cstr(out, NAME);
            frame::put_cstr(out, NAME);
            // No parameters, and results as text.
            out.extend_from_slice(&[0; 6]);
        });
        frame::put(out, b'E', |out| {
            frame::put_cstr(out, NAME);
            out.extend_from_slice(&[0; 4]);
        });
    }
    put_closes(out);
    frame::put(out, b'S', |_| {});
}

/// A command that the target parses before it runs.
pub struct Pin {
    text: String,
    types: Vec<u32>,
    command: usize,
    stated: Stated,
    view: Rc<View>,
}

// === impl Pin ===

impl Pin {
    /// Of a statement that is understood so, and is that command of its unit. `text` is its own alone, `types` are stated for its
    /// parameters.
    #[must_use]
    pub fn new(text: String, types: Vec<u32>, command: usize, stated: &Stated, view: &Rc<View>) -> Self {
        Self {
            text,
            types,
            command,
            stated: stated.clone(),
            view: Rc::clone(view),
        }
    }
}

/// Has to stand in front of what is sent while the target waits for the rest of something: its time may run out then, and the error
/// that it says of that must not be taken for the answer to what follows, which runs all the same.
pub fn go_on(state: &mut State, out: &mut Vec<u8>) {
    if state.unsynced || state.pinned {
        put_close(b'S', refuse::RESERVED, out);
        state.expected.push(Expect::GoesOn);
    }
}

/// Has the target parse a text, and forget it: what it names stays locked until its transaction ends.
pub fn pin(state: &mut State, text: &str, types: &[u32], out: &mut Vec<u8>) {
    go_on(state, out);
    put_pin(text, types, out);
    frame::put(out, b'H', |_| {});
    state.pinning = true;
    state.pinned = true;
    state.expected.push(Expect::Quiet(b'1'));
    state.expected.push(Expect::Quiet(b'3'));
}

/// The same for commands whose intent is on record: an error is their answer.
pub fn pin_all(state: &mut State, pins: Vec<Pin>, out: &mut Vec<u8>) {
    go_on(state, out);
    state.pinned = true;
    for pin in pins {
        put_pin(&pin.text, &pin.types, out);
        state.pins.push(Rc::clone(&pin.view));
        state.expected.push(Expect::Pin {
            view: pin.view,
            stated: pin.stated,
            command: pin.command,
        });
        state.expected.push(Expect::Quiet(b'3'));
    }
    frame::put(out, b'H', |_| {});
}

fn put_pin(text: &str, types: &[u32], out: &mut Vec<u8>) {
    put_parse(refuse::RESERVED, text, types, out);
    put_close(b'S', refuse::RESERVED, out);
}

/// Prepares a statement of the door's own.
fn put_parse(name: &str, text: &str, types: &[u32], out: &mut Vec<u8>) {
    frame::put(out, b'P', |out| {
        frame::put_cstr(out, name);
        frame::put_cstr(out, text);
        out.extend_from_slice(&u16::try_from(types.len()).unwrap_or(u16::MAX).to_be_bytes());
        types.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    });
}

/// Forgets a statement (`S`) or portal (`P`) of the door's own, if there is one.
fn put_close(kind: u8, name: &str, out: &mut Vec<u8>) {
    frame::put(out, b'C', |out| {
        out.push(kind);
        frame::put_cstr(out, name);
    });
}

/// Appends a Sync of the door's own.
pub fn own_sync(state: &mut State, out: &mut Vec<u8>) {
    frame::put(out, b'S', |_| {});
    state.pinned = false;
    state.answered = None;
    state.expected.push(Expect::Own(Answer::default()));
}

/// Opens a transaction that has failed, where all that a unit did is undone but its BEGIN. The client hears nothing of that.
pub fn fail_opened(state: &mut State, out: &mut Vec<u8>) {
    own_sync(state, out);
    own(state, "BEGIN", out);
    own(state, refuse::FAILING_QUERY, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::frame::client_cap;

    #[test]
    fn a_question_takes_away_what_one_that_failed_left_behind() {
        let (text, mut out) = ("SELECT 1; SELECT 2", Vec::new());
        put_named(&sql::parse(text).unwrap(), text, &mut out);
        let (mut tags, mut rest) = (String::new(), out.as_slice());
        while let Ok(Some(head)) = frame::head(rest, client_cap) {
            tags.push(char::from(head.tag));
            rest = &rest[head.len..];
        }
        assert_eq!(tags, "CCPBECCPBECCS");
        assert!(NAME.starts_with(refuse::RESERVED) && NAME != refuse::RESERVED);
    }
}
