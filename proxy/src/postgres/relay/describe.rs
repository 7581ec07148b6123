//! Descriptions: what columns the rows to come have.

use std::rc::Rc;
use std::sync::Arc;

use super::{Awaiting, Broken, State, Step};
use crate::postgres::catalog::Known;
use crate::postgres::expect::Expect;
use crate::postgres::frame::{self, Body};
use crate::postgres::message::{self, Field};
use crate::postgres::names::Stated;
use crate::postgres::rows::{View, calls_anew, may_call};

/// ParameterDescription, RowDescription, NoData.
pub(super) fn describe(
    state: &mut State,
    tag: u8,
    body: Body<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, Broken> {
    match (tag, state.expected.front()) {
        (b't', Some(Expect::DescribeStatement { parameters, .. })) if !*parameters => {
            message::parameter_description(body)?;
            *parameters = true;
            out.extend_from_slice(bytes);
            Ok(Step::Taken)
        }
        (b'n', Some(Expect::DescribeStatement { parameters: true, .. })) => {
            out.extend_from_slice(bytes);
            state.expected.pop();
            Ok(Step::Taken)
        }
        (b'n', Some(Expect::DescribePortal { portal, own })) => {
            *portal.plan.borrow_mut() = Some(Rc::new(portal.view.masker.plan(&[])));
            if !*own {
                out.extend_from_slice(bytes);
            }
            state.expected.pop();
            Ok(Step::Taken)
        }
        (b'T', Some(Expect::DescribeStatement { parameters: true, .. })) => {
            let fields = message::row_description(body)?;
            put_fields(state, &fields, bytes, out);
            state.expected.pop();
            Ok(Step::Taken)
        }
        (b'T', Some(Expect::DescribePortal { .. })) => portal(state, body, bytes, out),
        // It answers with rows that have no columns, and with none of them.
        (b'T', Some(Expect::Query(query))) if query.parts.front().is_some_and(|part| part.precondition) => {
            Ok(Step::Taken)
        }
        (b'T', Some(Expect::Query(query))) if query.plan.is_none() && !query.failed => rows(state, body, bytes, out),
        (tag, _) => Err(Broken::Unasked(tag)),
    }
}

/// How an answer to what is `stated` is masked: as it was understood, or, if its names have come to mean something else before the target
/// looked them up, by all that is protected anywhere. `described`: the target says which columns it has, each of which is one unless
/// code goes by its name. `astir`: the unit copied other values than was known, and no catalog tells yet what is in what it makes.
pub(super) fn as_it_holds(
    view: &Rc<View>,
    stated: Option<&Stated>,
    known: &Known,
    described: bool,
    astir: bool,
) -> Rc<View> {
    let called = stated.is_some_and(|stated| calls_anew(stated, &view.known, known));
    let described = || described && stated.is_some_and(|stated| !may_call(stated, known));
    let unsure = astir && view.reads_unmade();
    if !called && !unsure && view.masks_alike(known, described) {
        Rc::clone(view)
    } else {
        Rc::new(view.lost())
    }
}

/// RowDescription of a portal: the plan stays with it, also when it is resumed.
fn portal(state: &mut State, body: Body<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step, Broken> {
    let fields = message::row_description(body)?;
    let Some(Expect::DescribePortal { portal, own }) = state.expected.front() else {
        return Err(Broken::Unasked(b'T'));
    };
    let formats = Some(portal.formats.as_slice());
    let view = as_it_holds(&portal.view, portal.stated.as_ref(), &state.known, true, state.astir);
    let plan = match view.planned(&state.known, bytes, &fields, formats) {
        Ok(plan) => plan,
        Err(_) if state.strangers => Rc::new(view.plan_with_strangers(&state.known, &fields, formats)),
        Err(_) => return Ok(Step::Fresh(Awaiting::Plan)),
    };
    *portal.plan.borrow_mut() = Some(plan);
    *portal.planned_by.borrow_mut() = Some(Arc::clone(&state.known));
    if !*own {
        put_fields(state, &fields, bytes, out);
    }
    state.expected.pop();
    Ok(Step::Taken)
}

/// RowDescription within a Query string.
fn rows(state: &mut State, body: Body<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step, Broken> {
    let fields = message::row_description(body)?;
    let Some(Expect::Query(query)) = state.expected.front() else {
        return Err(Broken::Unasked(b'T'));
    };
    // Rows of a statement that nobody sent.
    let part = query.parts.front().ok_or(Broken::Unasked(b'T'))?;
    let view = as_it_holds(&part.view, Some(&part.stated), &state.known, true, state.astir);
    let plan = match view.planned(&state.known, bytes, &fields, None) {
        Ok(plan) => plan,
        Err(_) if state.strangers => Rc::new(view.plan_with_strangers(&state.known, &fields, None)),
        Err(_) => return Ok(Step::Fresh(Awaiting::Plan)),
    };
    query.plan = Some(plan);
    query.planned_by = Some(Arc::clone(&state.known));
    put_fields(state, &fields, bytes, out);
    Ok(Step::Taken)
}

/// A RowDescription as the client may see it: types and formats as they are, names through the detectors, since code can
/// make a name of a value.
fn put_fields(state: &mut State, fields: &[Field<'_>], bytes: &[u8], out: &mut Vec<u8>) {
    let masker = &state.masker;
    let names: Vec<_> = fields
        .iter()
        .map(|field| masker.free_bytes(field.name, &mut state.counts))
        .collect();
    if names.iter().all(|name| matches!(name, std::borrow::Cow::Borrowed(_))) {
        out.extend_from_slice(bytes);
        return;
    }
    frame::put(out, b'T', |out| {
        out.extend_from_slice(&u16::try_from(fields.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (field, name) in fields.iter().zip(&names) {
            out.extend(name.iter().filter(|byte| **byte != 0));
            out.push(0);
            out.extend_from_slice(&field.table.to_be_bytes());
            out.extend_from_slice(&field.column.to_be_bytes());
            out.extend_from_slice(&field.type_oid.to_be_bytes());
            out.extend_from_slice(&field.type_len.to_be_bytes());
            out.extend_from_slice(&field.type_mod.to_be_bytes());
            out.extend_from_slice(&field.format.to_be_bytes());
        }
    });
}
