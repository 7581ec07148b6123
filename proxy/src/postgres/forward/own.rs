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

/// A text's statements one by one, under the door's own name.
fn put_named(script: &Script, text: &str, out: &mut Vec<u8>) {
    for statement in &script.statements {
        put_parse(statement.text(text), &[], out);
        frame::put(out, b'B', |out| {
            frame::put_cstr(out, refuse::RESERVED);
            frame::put_cstr(out, refuse::RESERVED);
            // No parameters, and results as text.
            out.extend_from_slice(&[0; 6]);
        });
        frame::put(out, b'E', |out| {
            frame::put_cstr(out, refuse::RESERVED);
            out.extend_from_slice(&[0; 4]);
        });
        // A refusal counts on it that no portal has this name.
        put_close(b'P', out);
        put_close(b'S', out);
    }
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
        put_close(b'S', out);
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
    put_parse(text, types, out);
    put_close(b'S', out);
}

/// Prepares the door's own statement.
fn put_parse(text: &str, types: &[u32], out: &mut Vec<u8>) {
    frame::put(out, b'P', |out| {
        frame::put_cstr(out, refuse::RESERVED);
        frame::put_cstr(out, text);
        out.extend_from_slice(&u16::try_from(types.len()).unwrap_or(u16::MAX).to_be_bytes());
        types.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    });
}

/// Forgets the door's own statement (`S`) or portal (`P`), if there is one.
fn put_close(kind: u8, out: &mut Vec<u8>) {
    frame::put(out, b'C', |out| {
        out.push(kind);
        frame::put_cstr(out, refuse::RESERVED);
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
