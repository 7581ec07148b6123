//! Client → target: what was decided and recorded, and nothing else.

mod own;

use std::rc::Rc;

use sallyport_audit::record::NotRun;

use super::after::After;
use super::ask::put_query;
use super::errors::{Said, sqlstate};
use super::expect::{Expect, Part, Query};
use super::frame;
use super::judge::{Act, Plan, Step};
use super::message::Transaction;
use super::names::{Change, Stated};
use super::precondition;
use super::readonly::{self, Guard, Spliced};
use super::refuse::{self, EXECUTE_FAILS_WITH, QUERY_FAILS_WITH};
use super::relay::State;
use super::unit::End;
use crate::command::{Recorded, Refused};

pub use own::{Pin, fail_opened, go_on, own, own_sync, pin, pin_all};

/// Appends a Query string, or what is certain to fail in its place. `position`: its precondition.
pub fn query(
    state: &mut State,
    plan: Plan,
    recorded: &mut Option<Recorded>,
    bytes: &[u8],
    position: Option<&str>,
    out: &mut Vec<u8>,
) {
    let Some(Step { act, .. }) = plan.steps.into_iter().next() else {
        return;
    };
    if let Some((_, refused)) = recorded.as_ref().and_then(Recorded::refused) {
        return refuse_query(state, refuse::said(refused), out);
    }
    let parts = match act {
        Act::Query(parts) => parts,
        Act::Fail(said) => return refuse_query(state, *said, out),
        _ => return,
    };
    let parts = parts.into_iter().map(|part| Part {
        running: recorded.as_mut().and_then(Recorded::next_running),
        view: part.view,
        stated: part.stated,
        after: part.after,
        change: part.change,
        own: false,
        precondition: false,
    });
    let parts: Vec<Part> = parts.collect();
    for part in &parts {
        state.starts(&part.view);
        may_run_bound(state, &part.stated, &part.after);
    }
    let guarded: Vec<(&Stated, bool)> = parts.iter().map(|part| (&part.stated, part.is_guarded())).collect();
    let spliced = match parts.first() {
        Some(first) => {
            let leading = position.map(|position| {
                precondition::prepare(state, position, out);
                precondition::LEADING
            });
            let explicit = state.transaction == Transaction::Open;
            readonly::splice(&first.stated.text, &guarded, explicit, leading)
        }
        None => Ok(None),
    };
    match spliced {
        Ok(None) => {
            state.expected.push(Expect::Query(Query::new(parts)));
            out.extend_from_slice(bytes);
        }
        Ok(Some(spliced)) => spliced_query(state, parts, spliced, position.is_some(), out),
        Err(readonly::Ambiguous) => {
            let owed = parts.into_iter().filter_map(|part| part.running);
            owed.for_each(|running| running.not_run(NotRun::SentWithRefused));
            refuse_query(state, ambiguous(), out);
        }
    }
}

/// A Query string with the door's own statements in it, whose answers the client does not see.
/// `led`: the first of them is the precondition.
fn spliced_query(state: &mut State, parts: Vec<Part>, spliced: Spliced, led: bool, out: &mut Vec<u8>) {
    let Some((view, stated)) = parts.first().map(|part| (Rc::clone(&part.view), part.stated.clone())) else {
        return;
    };
    let own = || Part {
        running: None,
        view: Rc::clone(&view),
        stated: stated.clone(),
        after: After::default(),
        change: None,
        own: true,
        precondition: false,
    };
    let mut clients = parts.into_iter();
    let all = spliced
        .clients
        .iter()
        .filter_map(|is_clients| if *is_clients { clients.next() } else { Some(own()) });
    let mut query = Query::new(all.collect::<Vec<_>>());
    if let Some(first) = query.parts.front_mut() {
        first.precondition = led;
    }
    query.shifts = spliced.shifts;
    state.expected.push(Expect::Query(query));
    put_query(out, &spliced.text);
}

fn ambiguous() -> Said {
    Said::error(
        sqlstate::DENIED,
        "a rule runs this read-only, and where its statements end depends on standard_conforming_strings",
    )
    .hint("Write literals with a backslash as E'…', or send the statements one by one.")
}

/// A Query string that is refused: one that fails goes in its place.
pub fn refuse_query(state: &mut State, said: Said, out: &mut Vec<u8>) {
    refuse::put_failing_query(out);
    let said = Box::new(refuse::amid(state.transaction, said));
    state.expected.push(Expect::Refusal {
        said,
        code: QUERY_FAILS_WITH,
        query: true,
        met: false,
    });
}

/// Appends a pipeline's messages, up to the one that is refused.
pub fn pipeline(
    state: &mut State,
    plan: Plan,
    recorded: &mut Option<Recorded>,
    bytes: &[u8],
    end: End,
    out: &mut Vec<u8>,
) {
    let refused = recorded.as_ref().and_then(|recorded| recorded.refused().cloned());
    let mut at = 0;
    let mut refusal = None;
    let mut guard = Guard::new(state.transaction == Transaction::Open);
    let begins = plan
        .steps
        .iter()
        .any(|step| !matches!(step.act, Act::Sync | Act::Flush));
    for step in plan.steps {
        let frame = bytes.get(at..at + step.head.len).unwrap_or_default();
        at += step.head.len;
        if let Some(said) = refuses(&step, refused.as_ref()) {
            refusal = Some(said);
            break;
        }
        forward(state, step.act, frame, recorded.as_mut(), &mut guard, out);
    }
    match refusal {
        Some(said) => refuse_rest(state, said, out),
        None => guard.put_end(state, out),
    }
    finish(state, end, begins, out);
}

/// A pipeline that is refused from its first message on.
pub fn refuse_pipeline(state: &mut State, refused: &Refused, end: End, out: &mut Vec<u8>) {
    refuse_rest(state, refuse::said(refused), out);
    finish(state, end, true, out);
}

/// What is said in place of a message, if it is refused.
fn refuses(step: &Step, refused: Option<&(usize, Refused)>) -> Option<Said> {
    if let Act::Fail(said) = &step.act {
        return Some((**said).clone());
    }
    let (from, refused) = refused?;
    (step.command? >= *from).then(|| refuse::said(refused))
}

fn refuse_rest(state: &mut State, said: Said, out: &mut Vec<u8>) {
    refuse::put_failing_execute(out);
    let said = Box::new(refuse::amid(state.transaction, said));
    state.expected.push(Expect::Refusal {
        said,
        code: EXECUTE_FAILS_WITH,
        query: false,
        met: false,
    });
}

/// The end of a unit: with Sync the target answers ReadyForQuery; without, it is asked to answer what it has. `begins`: whether
/// anything else stands in it. A Flush alone, as clients send it behind a Sync, begins nothing that a Sync would have to end.
fn finish(state: &mut State, end: End, begins: bool, out: &mut Vec<u8>) {
    match end {
        End::Sync => {
            frame::put(out, b'S', |_| {});
            state.expected.push(Expect::Sync);
        }
        End::Flush | End::Cut | End::Bound => {
            frame::put(out, b'H', |_| {});
            state.unsynced |= begins;
        }
    }
}

fn forward(
    state: &mut State,
    act: Act,
    frame: &[u8],
    recorded: Option<&mut Recorded>,
    guard: &mut Guard,
    out: &mut Vec<u8>,
) {
    let expect = match act {
        Act::Parse {
            change,
            guarded,
            view,
            runs,
        } => {
            if guarded {
                guard.put_before(true, state, out);
            }
            let ran = runs.and_then(|(view, after)| {
                state.starts(&view);
                Some((recorded?.next_running()?, after))
            });
            Expect::Parse(change, view, ran)
        }
        Act::Close(change) => Expect::Close(change),
        Act::Bind(name, portal) => {
            state.starts(&portal.view);
            if let Some(stated) = &portal.stated {
                may_run_bound(state, stated, &portal.after);
                let mut running = recorded.and_then(Recorded::next_running);
                if let Some(running) = &mut running {
                    running.bound = true;
                }
                let read_only = running.as_ref().is_some_and(|running| running.read_only);
                portal.read_only.set(read_only && readonly::runs_code(stated));
                portal.held.set(running.as_ref().is_some_and(|running| running.held));
                *portal.running.borrow_mut() = running;
            }
            guard.put_before(portal.read_only.get(), state, out);
            Expect::Bind(Change::Bind(name, portal))
        }
        Act::DescribeStatement(view) => Expect::DescribeStatement {
            view,
            parameters: false,
        },
        Act::DescribePortal(portal) => Expect::DescribePortal { portal, own: false },
        Act::Execute {
            portal,
            describe,
            after,
            change,
        } => {
            state.executed = true;
            portal.runs();
            if let Some(stated) = &portal.stated {
                may_run_bound(state, stated, &after);
            }
            // A portal that was suspended goes on as it began.
            guard.put_before(portal.read_only.get(), state, out);
            guard.executed(portal.stated.as_ref());
            if let Some(name) = describe {
                // A client that skips Describe gives no layout: the door asks for it, and keeps the answer to itself.
                frame::put(out, b'D', |out| {
                    out.push(b'P');
                    frame::put_cstr(out, &name);
                });
                state.expected.push(Expect::DescribePortal {
                    portal: Rc::clone(&portal),
                    own: true,
                });
            }
            Expect::Execute { portal, after, change }
        }
        // Written by `finish`, whatever the client's own were.
        Act::Sync | Act::Flush | Act::Query(_) | Act::Fail(_) => return,
    };
    out.extend_from_slice(frame);
    state.expected.push(expect);
}

/// Takes note of a statement that is about to be sent and may run what others bound: FETCH does, and so may code that nobody sees
/// into, even while it is planned.
fn may_run_bound(state: &State, stated: &Stated, after: &After) {
    let unseen = after.stale.names || stated.readings().any(|one| !one.executes.is_empty());
    let names = |name: &str| {
        stated
            .readings()
            .any(|one| one.cursors.iter().any(|cursor| cursor == name))
    };
    if !unseen && stated.readings().all(|one| one.cursors.is_empty()) {
        return;
    }
    for (name, portal) in state.names.portals().chain(state.expected.bound()) {
        if unseen || names(name) {
            portal.runs();
        }
    }
}

/// What a client is told about a function call by the fast path that is none of large objects: it carries no name to be judged
/// by.
#[must_use]
pub fn no_fast_path() -> Said {
    Said::error(
        sqlstate::UNSUPPORTED,
        "function calls by the fast path are refused at this door, but for those of large objects",
    )
    .hint("Call the function in a SELECT.")
}
