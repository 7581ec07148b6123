//! Long commands: a log entry holds at most 65,535 bytes, a statement may be larger.

use super::batch::{DRAFT_BUDGET, RecordError};
use super::{Command, CommandPart, Event, MAX_PARAM, Param};

/// Room for the envelope around an event: keys, session, time.
const ENVELOPE: usize = 512;
/// What lists of names (tables, groups) may take of a record.
const NAMES: usize = 16 * 1024;

/// Cuts lists of names to what a record may hold of them.
pub(super) fn cut(event: &mut Event) {
    match event {
        Event::Command(command) => {
            let omitted = cut_names(&mut command.tables);
            command.tables_omitted = command.tables_omitted.saturating_add(omitted);
        }
        Event::SessionStart(start) => {
            let omitted = cut_names(&mut start.groups);
            start.groups_omitted = start.groups_omitted.saturating_add(omitted);
        }
        _ => {}
    }
}

/// Whether an event is surely longer than one log entry, which is cheaper to see than to find out by writing it.
pub(super) fn is_long(event: &Event) -> bool {
    matches!(event, Event::Command(command) if command.text.len() > DRAFT_BUDGET)
}

/// An event that is too long for one log entry as the events that fit into one each.
pub(super) fn split(event: Event) -> Result<Vec<Event>, RecordError> {
    match event {
        Event::Command(command) => split_command(*command),
        other => Err(RecordError::TooLong(other.kind())),
    }
}

/// The longest prefix of at most `limit` bytes that ends at a character, never more than [`MAX_PARAM`] would need.
pub(super) fn prefix(text: &str, limit: usize) -> &str {
    let end = floor(text, limit.min(MAX_PARAM));
    text.get(..end).unwrap_or_default()
}

/// Keeps the names that fit into [`NAMES`] bytes; returns how many went.
fn cut_names(names: &mut Vec<String>) -> u32 {
    let mut room = NAMES;
    let fit = names
        .iter()
        .take_while(|name| match room.checked_sub(escaped_len(name) + 3) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        })
        .count();
    let omitted = names.len() - fit;
    names.truncate(fit);
    u32::try_from(omitted).unwrap_or(u32::MAX)
}

fn split_command(mut command: Command) -> Result<Vec<Event>, RecordError> {
    let text = std::mem::take(&mut command.text);
    let params = std::mem::take(&mut command.params);
    // Ten digits stand for the count of parts, which is known only afterwards.
    command.parts = u32::MAX;
    let frame = serde_json::to_string(&command)?.len() + ENVELOPE;
    let first = DRAFT_BUDGET.checked_sub(frame).ok_or(RecordError::TooLong("command"))?;
    let mut pieces = pieces(&text, params, first, DRAFT_BUDGET - ENVELOPE)?.into_iter();
    if let Some(piece) = pieces.next() {
        command.text = piece.text;
        command.params = piece.params;
    }
    command.parts = u32::try_from(pieces.len()).map_err(|_| RecordError::TooLong("command"))?;
    let number = command.command;
    let mut events = vec![Event::Command(Box::new(command))];
    events.extend((1..).zip(pieces).map(|(part, Piece { text, params, .. })| {
        Event::CommandPart(CommandPart {
            command: number,
            params,
            part,
            text,
        })
    }));
    Ok(events)
}

struct Piece {
    text: String,
    params: Vec<Param>,
    room: usize,
}

impl Piece {
    fn new(room: usize) -> Self {
        Self {
            text: String::new(),
            params: Vec::new(),
            room,
        }
    }
}

/// Cuts text, then parameters, into pieces of at most `first`, then `next` bytes of JSON.
fn pieces(text: &str, params: Vec<Param>, first: usize, next: usize) -> Result<Vec<Piece>, RecordError> {
    let mut done = Vec::new();
    let mut piece = Piece::new(first);
    let mut rest = text;
    loop {
        let end = fitting(rest, piece.room);
        let (now, later) = rest.split_at_checked(end).unwrap_or((rest, ""));
        piece.room -= escaped_len(now).min(piece.room);
        piece.text = now.to_owned();
        rest = later;
        if rest.is_empty() {
            break;
        }
        done.push(std::mem::replace(&mut piece, Piece::new(next)));
    }
    for param in params {
        let len = serde_json::to_string(&param)?.len() + 1;
        if len > next {
            return Err(RecordError::TooLong("parameter"));
        }
        if len > piece.room {
            done.push(std::mem::replace(&mut piece, Piece::new(next)));
        }
        piece.room -= len;
        piece.params.push(param);
    }
    done.push(piece);
    Ok(done)
}

/// Bytes of `text` inside a JSON string.
fn escaped_len(text: &str) -> usize {
    text.bytes().map(escaped_byte).sum()
}

fn escaped_byte(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..=0x1f => 6,
        _ => 1,
    }
}

/// The longest prefix of `text` (in bytes, ending at a character) that takes at most `room` bytes of JSON.
fn fitting(text: &str, room: usize) -> usize {
    let mut used = 0;
    let end = text.bytes().position(|byte| {
        used += escaped_byte(byte);
        used > room
    });
    end.map_or(text.len(), |end| floor(text, end))
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut end = at.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}
