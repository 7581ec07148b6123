//! Client → target: what was decided and recorded, and nothing else.

use std::rc::Rc;

use super::ask::{Answer, put_query};
use super::errors::{Said, sqlstate};
use super::expect::{Expect, Part, Query};
use super::frame;
use super::judge::{Act, Plan, Step};
use super::names::Change;
use super::refuse::{self, EXECUTE_FAILS_WITH, QUERY_FAILS_WITH};
use super::relay::State;
use super::unit::End;
use crate::command::{Recorded, Refused};

/// Appends a Query string, or what is certain to fail in its place.
pub fn query(state: &mut State, plan: Plan, recorded: Option<Recorded>, bytes: &[u8], out: &mut Vec<u8>) {
    let Some(Step { act, .. }) = plan.steps.into_iter().next() else {
        return;
    };
    let mut recorded = recorded;
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
    });
    state.expected.push(Expect::Query(Query {
        parts: parts.collect(),
        plan: None,
        failed: false,
    }));
    out.extend_from_slice(bytes);
}

/// A Query string that is refused: one that fails goes in its place.
pub fn refuse_query(state: &mut State, said: Said, out: &mut Vec<u8>) {
    refuse::put_failing_query(out);
    let said = Box::new(said);
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
    mut recorded: Option<Recorded>,
    bytes: &[u8],
    end: End,
    out: &mut Vec<u8>,
) {
    let refused = recorded.as_ref().and_then(|recorded| recorded.refused().cloned());
    let mut at = 0;
    let mut refusal = None;
    for step in plan.steps {
        let frame = bytes.get(at..at + step.head.len).unwrap_or_default();
        at += step.head.len;
        if let Some(said) = refuses(&step, refused.as_ref()) {
            refusal = Some(said);
            break;
        }
        forward(state, step.act, frame, recorded.as_mut(), out);
    }
    if let Some(said) = refusal {
        refuse_rest(state, said, out);
    }
    finish(state, end, out);
}

/// A pipeline that is refused from its first message on.
pub fn refuse_pipeline(state: &mut State, refused: &Refused, end: End, out: &mut Vec<u8>) {
    refuse_rest(state, refuse::said(refused), out);
    finish(state, end, out);
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
    let said = Box::new(said);
    state.expected.push(Expect::Refusal {
        said,
        code: EXECUTE_FAILS_WITH,
        query: false,
        met: false,
    });
}

/// The end of a unit: with Sync the target answers ReadyForQuery; without, it is asked to answer what it has.
fn finish(state: &mut State, end: End, out: &mut Vec<u8>) {
    match end {
        End::Sync => {
            frame::put(out, b'S', |_| {});
            state.expected.push(Expect::Sync);
        }
        End::Flush | End::Cut | End::Bound => {
            frame::put(out, b'H', |_| {});
            state.unsynced = true;
        }
    }
}

fn forward(state: &mut State, act: Act, frame: &[u8], recorded: Option<&mut Recorded>, out: &mut Vec<u8>) {
    let expect = match act {
        Act::Parse(change) => Expect::Parse(change),
        Act::Close(change) => Expect::Close(change),
        Act::Bind(name, portal) => {
            if portal.stated.is_some() {
                *portal.running.borrow_mut() = recorded.and_then(Recorded::next_running);
            }
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

/// Appends a question of the door's own.
pub fn own(state: &mut State, sql: &str, out: &mut Vec<u8>) {
    put_query(out, sql);
    state.answered = None;
    state.expected.push(Expect::Own(Answer::default()));
}

/// What a client is told about a function call by the fast path, which carries no name to be judged by.
#[must_use]
pub fn no_fast_path() -> Said {
    Said::error(
        sqlstate::UNSUPPORTED,
        "function calls by the fast path are refused at this door",
    )
    .hint("Call the function in a SELECT.")
}
