//! Rows, and COPY in both directions.

use std::sync::Arc;

use sallyport_policy::mask::copy::{CopyError, CopyMasker};
use sallyport_policy::mask::{Counts, RowOutcome};

use super::describe::as_it_holds;
use super::{Broken, State};
use crate::postgres::copy::{self, CopyIn, CopyOut};
use crate::postgres::expect::Expect;
use crate::postgres::frame::{self, Body, HEADER};
use crate::postgres::message;

/// DataRow: rewritten by the plan of the answer that is under way. Without a plan there is no row.
pub(super) fn data_row(state: &mut State, body: Body<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let start = out.len();
    // Room for the header comes first; where the row passes as it is, it takes the whole frame's place.
    out.extend_from_slice(bytes.get(..HEADER).unwrap_or_default());
    match masked(state, body, out) {
        Ok(RowOutcome::Unchanged) => {
            out.truncate(start);
            out.extend_from_slice(bytes);
        }
        Ok(RowOutcome::Written) => {
            let length = u32::try_from(out.len().saturating_sub(start + 1)).unwrap_or(u32::MAX);
            if let Some(slot) = out.get_mut(start + 1..).and_then(|tail| tail.first_chunk_mut::<4>()) {
                *slot = length.to_be_bytes();
            }
        }
        Err(error) => {
            out.truncate(start);
            return Err(error);
        }
    }
    let sent = (out.len() - start) as u64;
    state.with_running(|running, _| running.row(sent));
    Ok(())
}

/// The row's body by the plan of the answer that is under way.
fn masked(state: &mut State, body: Body<'_>, out: &mut Vec<u8>) -> Result<RowOutcome, Broken> {
    let outcome = match state.expected.front() {
        Some(Expect::Query(query)) if !query.failed => {
            let plan = query.plan.as_ref().ok_or(Broken::Unasked(b'D'))?;
            plan.row(body.rest(), out, &mut state.counts)
        }
        Some(Expect::Execute { portal, .. }) => {
            let plan = portal.plan.borrow();
            let plan = plan.as_ref().ok_or(Broken::Unasked(b'D'))?;
            plan.row(body.rest(), out, &mut state.counts)
        }
        _ => return Err(Broken::Unasked(b'D')),
    };
    Ok(outcome?)
}

/// CopyOutResponse, CopyData and CopyDone from the target.
pub(super) fn copy_out(
    state: &mut State,
    tag: u8,
    body: Body<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    match (tag, state.copy_out.as_mut()) {
        (b'H', None) if state.copy_in.is_none() => {
            let (_, formats) = message::copy_response(body)?;
            let copy = match state.expected.front() {
                Some(Expect::Query(query)) if !query.failed => {
                    let part = query.parts.front().ok_or(Broken::Unasked(b'H'))?;
                    let stated = Some(&part.stated);
                    query.planned_by = Some(Arc::clone(&state.known));
                    copy::out(
                        &as_it_holds(&part.view, stated, &state.known, false, state.astir),
                        stated,
                        &formats,
                    )
                }
                Some(Expect::Execute { portal, .. }) => {
                    let stated = portal.stated.as_ref();
                    *portal.planned_by.borrow_mut() = Some(Arc::clone(&state.known));
                    copy::out(
                        &as_it_holds(&portal.view, stated, &state.known, false, state.astir),
                        stated,
                        &formats,
                    )
                }
                _ => return Err(Broken::Unasked(b'H')),
            };
            let copy = copy.ok_or(Broken::CopyOptions)?;
            if let Some(warning) = &copy.warning {
                warning.put(out);
            }
            state.copy_out = Some(copy);
            out.extend_from_slice(bytes);
        }
        (b'd', Some(_)) => copy_data(state, body.rest(), out)?,
        (b'c', Some(_)) => {
            put_copied(state, out, |masker, out, counts| masker.finish(out, counts))?;
            let copy = state.copy_out.take();
            out.extend_from_slice(bytes);
            if let Some(warning) = copy.as_ref().and_then(CopyOut::too_long) {
                warning.put(out);
            }
            let copied = copy.map(|copy| copy.tally.copied());
            state.with_running(|running, _| running.copied = copied);
        }
        (tag, _) => return Err(Broken::Unasked(tag)),
    }
    Ok(())
}

/// The content of one CopyData, or a part of it: where messages end means nothing in a COPY.
pub(super) fn copy_data(state: &mut State, data: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    put_copied(state, out, |masker, out, counts| masker.push(data, out, counts))
}

/// Passes on what the mask makes of a COPY. Counted and hashed is what the client gets: a hash of what it may not see would
/// tell a value to whoever tries them all.
fn put_copied(
    state: &mut State,
    out: &mut Vec<u8>,
    make: impl FnOnce(&mut CopyMasker, &mut Vec<u8>, &mut Counts) -> Result<(), CopyError>,
) -> Result<(), Broken> {
    let copy = state.copy_out.as_mut().ok_or(Broken::Unasked(b'd'))?;
    let mut made = Ok(());
    let start = out.len();
    frame::put(out, b'd', |out| made = make(&mut copy.masker, out, &mut state.counts));
    // A row that is not complete yet is held back whole.
    if out.len() == start + HEADER {
        out.truncate(start);
    }
    copy.tally.add(out.get(start + HEADER..).unwrap_or_default());
    let sent = (out.len() - start) as u64;
    state.with_running(|running, _| running.bytes += sent);
    // The rows in front of the one that cannot be passed are sent, and so counted, all the same.
    made.map_err(Broken::from)
}

/// CopyInResponse: from here on the client's CopyData goes to the target.
pub(super) fn copy_in(state: &mut State, body: Body<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    message::copy_response(body)?;
    // One at a time: what has been sent is counted until it ends.
    if state.copy_in.is_some() || state.copy_out.is_some() {
        return Err(Broken::Unasked(b'G'));
    }
    let asks = copy::is_from_client;
    let extended = match state.expected.front() {
        Some(Expect::Query(query)) if !query.failed && query.parts.front().is_some_and(|part| asks(&part.stated)) => {
            false
        }
        Some(Expect::Execute { portal, .. }) if portal.stated.as_ref().is_some_and(asks) => {
            state.expected.drop_syncs();
            state.unsynced = true;
            true
        }
        _ => return Err(Broken::Unasked(b'G')),
    };
    state.copy_in = Some(CopyIn::new(extended));
    out.extend_from_slice(bytes);
    Ok(())
}
