//! Which doors write to the log, how far each has come, and which sessions are open: what makes a repeated record harmless,
//! a missing one visible, and an end record certain.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sallyport_audit::Time;
use sallyport_audit::record::{Header, Instance, Kind, ObjectRef, PodRef, SessionId, Writer};
use sallyport_audit::wire::RefuseCode;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::LogError;

/// Doors that are gone and owe nothing are remembered this many records long, so that a late repeat is still known.
const REMEMBER: u64 = 1_000_000;

/// One start of one door.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Door {
    pub(super) connection: ObjectRef,
    pub(super) pod: PodRef,
    /// Its last record's running number.
    pub(super) last: u64,
    /// Sessions that started and did not end.
    #[serde(deserialize_with = "sessions")]
    pub(super) sessions: BTreeMap<SessionId, Began>,
    /// The recorder has written the end records: no session may start in this instance any more.
    pub(super) fenced: bool,
    /// The log's size at its last record.
    pub(super) seen: u64,
    #[serde(skip)]
    streams: u32,
    #[serde(skip)]
    alone_since: Option<Instant>,
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Began {
    /// When it started, by the door's clock.
    pub(super) at: Time,
    /// Commands on record.
    pub(super) commands: u64,
    /// The time of its newest record.
    pub(super) seen: Time,
}

/// Sessions as they stand in a state; an earlier version knew their names alone.
fn sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<SessionId, Began>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Known(BTreeMap<SessionId, Began>),
        Names(Vec<SessionId>),
    }
    let unknown = Began {
        at: Time::from_unix_micros(0),
        commands: 0,
        seen: Time::from_unix_micros(0),
    };
    Ok(match Either::deserialize(deserializer)? {
        Either::Known(sessions) => sessions,
        Either::Names(names) => names.into_iter().map(|name| (name, unknown.clone())).collect(),
    })
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Doors(BTreeMap<Instance, Door>);

/// How to take one record back, if its group did not reach the disk.
pub(super) struct Undo {
    instance: Instance,
    before: Option<u64>,
    session: Option<(SessionId, Change)>,
}

enum Change {
    Opened,
    Ended(Began),
    /// It was like this before.
    Went(Began),
}

/// A door whose time to come back is over.
pub(super) struct Vanished {
    pub(super) instance: Instance,
    pub(super) connection: ObjectRef,
    pub(super) sessions: BTreeMap<SessionId, Began>,
}

impl Door {
    /// One of which nothing is on record yet.
    fn new(connection: &ObjectRef, pod: &PodRef, size: u64) -> Self {
        Self {
            connection: connection.clone(),
            pod: pod.clone(),
            last: 0,
            sessions: BTreeMap::new(),
            fenced: false,
            seen: size,
            streams: 0,
            alone_since: None,
        }
    }
}

impl Doors {
    /// Number of the instance's last record, and whether it is fenced.
    pub(super) fn standing(&self, instance: &Instance) -> (u64, bool) {
        self.0.get(instance).map_or((0, false), |door| (door.last, door.fenced))
    }

    /// Doors that have a stream, and sessions that are open.
    pub(super) fn counts(&self) -> (usize, usize) {
        let streams = self.0.values().filter(|door| door.streams > 0).count();
        (streams, self.0.values().map(|door| door.sessions.len()).sum())
    }

    /// Takes the next record of a door. Records of the recorder itself pass.
    pub(super) fn apply(&mut self, header: &Header, size: u64) -> Result<Option<Undo>, LogError> {
        let source = &header.source;
        if source.writer == Writer::Recorder {
            return Ok(None);
        }
        let Some(connection) = &source.connection else {
            return Err(LogError::new(
                RefuseCode::Record,
                "a door's record without its Connection",
            ));
        };
        let known = self.0.get(&source.instance);
        let last = known.map_or(0, |door| door.last);
        if source.seq != last + 1 {
            let reason = format!(
                "record {} of instance {} follows {last}: there is a gap",
                source.seq, source.instance
            );
            return Err(LogError::new(RefuseCode::Sequence, reason));
        }
        let change = change(known, header)?;
        let before = known.map(|door| door.last);
        let door = self
            .0
            .entry(source.instance.clone())
            .or_insert_with(|| Door::new(connection, &source.pod, size));
        door.last = source.seq;
        door.seen = size;
        match &change {
            Some((session, Change::Opened)) => {
                let began = Began {
                    at: header.time,
                    commands: 0,
                    seen: header.time,
                };
                door.sessions.insert(session.clone(), began);
            }
            Some((session, Change::Ended(_))) => _ = door.sessions.remove(session),
            Some((session, Change::Went(_))) => {
                if let Some(began) = door.sessions.get_mut(session) {
                    began.seen = header.time;
                    began.commands += u64::from(header.kind.as_str() == Kind::COMMAND);
                }
            }
            None => {}
        }
        Ok(Some(Undo {
            instance: source.instance.clone(),
            before,
            session: change,
        }))
    }

    /// Takes back what [`Doors::apply`] did, the newest first.
    pub(super) fn undo(&mut self, undo: Undo) {
        let Some(door) = self.0.get_mut(&undo.instance) else {
            return;
        };
        match undo.session {
            Some((session, Change::Opened)) => _ = door.sessions.remove(&session),
            Some((session, Change::Ended(before) | Change::Went(before))) => _ = door.sessions.insert(session, before),
            None => {}
        }
        match undo.before {
            Some(last) => door.last = last,
            // Its stream stays attached: the door is there, only its first record is not.
            None => door.last = 0,
        }
    }

    /// Whether it is an instance of another door: whoever took its numbers, or said its goodbye, would have records of that
    /// door passed over.
    pub(super) fn is_of_another(&self, instance: &Instance, connection: &ObjectRef, pod: &PodRef) -> bool {
        let known = self.0.get(instance);
        known.is_some_and(|door| (&door.connection, &door.pod) != (connection, pod))
    }

    /// A stream of this door is up.
    pub(super) fn attach(&mut self, instance: &Instance, connection: &ObjectRef, pod: &PodRef, size: u64) {
        let door = self
            .0
            .entry(instance.clone())
            .or_insert_with(|| Door::new(connection, pod, size));
        door.streams += 1;
        door.alone_since = None;
    }

    /// A stream of this door is gone; with `goodbye` it will not come back.
    pub(super) fn detach(&mut self, instance: &Instance, goodbye: bool, now: Instant, grace: Duration) {
        let Some(door) = self.0.get_mut(instance) else { return };
        door.streams = door.streams.saturating_sub(1);
        // Nothing of it is on record: one that comes again and again under other names would fill the memory.
        if door.streams == 0 && door.last == 0 {
            self.0.remove(instance);
            return;
        }
        if door.streams == 0 {
            let since = if goodbye {
                now.checked_sub(grace).unwrap_or(now)
            } else {
                now
            };
            door.alone_since = Some(since);
        }
    }

    /// After a start nobody has a stream: the grace runs from now.
    pub(super) fn all_alone(&mut self, now: Instant) {
        for door in self.0.values_mut() {
            door.alone_since = Some(now);
        }
    }

    /// The doors whose time to come back is over and that still owe end records.
    pub(super) fn vanished(&self, now: Instant, grace: Duration) -> Vec<Vanished> {
        self.0
            .iter()
            .filter(|(_, door)| {
                !door.fenced && door.alone_since.is_some_and(|since| now.duration_since(since) >= grace)
            })
            .map(|(instance, door)| Vanished {
                instance: instance.clone(),
                connection: door.connection.clone(),
                sessions: door.sessions.clone(),
            })
            .collect()
    }

    /// The end records of this door are on disk.
    pub(super) fn fence(&mut self, instance: &Instance) {
        if let Some(door) = self.0.get_mut(instance) {
            door.sessions.clear();
            door.fenced = true;
        }
    }

    /// A recorder's own end record, read back at start.
    pub(super) fn ended_by_recorder(&mut self, session: &SessionId) {
        for door in self.0.values_mut() {
            if door.sessions.remove(session).is_some() {
                door.fenced = true;
            }
        }
    }

    /// Forgets doors that owe nothing and are long gone.
    pub(super) fn forget(&mut self, size: u64) {
        self.0
            .retain(|_, door| door.streams > 0 || !door.fenced || size.saturating_sub(door.seen) < REMEMBER);
    }
}

/// What a record does to the door's sessions, or why it may not.
fn change(door: Option<&Door>, header: &Header) -> Result<Option<(SessionId, Change)>, LogError> {
    let refuse = |reason: String| Err(LogError::new(RefuseCode::Record, reason));
    let kind = header.kind.as_str();
    let Some(session) = &header.session else {
        return match kind {
            Kind::SESSION_START | Kind::SESSION_END | Kind::COMMAND => {
                refuse(format!("a {kind} record without a session"))
            }
            _ => Ok(None),
        };
    };
    let began = door.and_then(|door| door.sessions.get(session));
    let open = began.is_some();
    let fenced = door.is_some_and(|door| door.fenced);
    match kind {
        Kind::SESSION_START if open => refuse(format!("session {session} starts twice")),
        Kind::SESSION_START if fenced => refuse(format!(
            "session {session} starts in an instance that was declared over"
        )),
        Kind::SESSION_START => Ok(Some((session.clone(), Change::Opened))),
        Kind::SESSION_END if open => Ok(began.map(|began| (session.clone(), Change::Ended(began.clone())))),
        _ if open => Ok(began.map(|began| (session.clone(), Change::Went(began.clone())))),
        // What came of something that ran is evidence even when the session was already declared over.
        Kind::OUTCOME | Kind::TRANSACTION_END => Ok(None),
        _ => refuse(format!("a {kind} record of session {session}, which is not open")),
    }
}
