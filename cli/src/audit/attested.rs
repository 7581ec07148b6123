//! Whom the recorder itself confirmed: how many of those who came in, and in words.

use std::collections::HashMap;

use sallyport_audit::record::{Agent, Attested, Event, Finding, Person, Record, SessionId, Writer};
use serde::Deserialize;

/// How canonical records begin that say nothing before what happened, as doors write them.
const EVENT: &[u8] = b"{\"event\":{\"";
/// Of those, how these kinds begin: all others need not be read.
const BEGINNINGS: [&[u8]; 3] = [
    b"{\"event\":{\"sessionStart\":",
    b"{\"event\":{\"attested\":",
    b"{\"event\":{\"sessionEnd\":",
];
/// The most frequent kind, of which only whose it is is read.
const COMMAND: &[u8] = b"{\"event\":{\"command\":";

/// Sessions of a log, by what its recorder found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that started.
    pub sessions: u64,
    /// Of them, those whose token the recorder found to prove the person.
    pub proved: u64,
    /// Those of which no token was presented.
    pub not_presented: u64,
    /// Those that it could not check.
    pub not_checked: u64,
    /// Those recorded in the door's own process.
    pub same_process: u64,
    /// Sessions that it did not take.
    pub refused: u64,
    /// Commands of somebody else than their session's start states. A recorder compares starts with tokens, and not these.
    pub strangers: u64,
    /// Records that may be about these and could not be read.
    pub unread: u64,
    /// Whom the starts of open sessions state.
    open: HashMap<SessionId, (Person, Vec<Agent>)>,
}

/// Whose command it is.
#[derive(Deserialize)]
struct Said {
    event: OfCommand,
    session: SessionId,
}

#[derive(Deserialize)]
struct OfCommand {
    command: By,
}

#[derive(Deserialize)]
struct By {
    #[serde(default)]
    agents: Vec<Agent>,
    person: Person,
}

// === impl Tally ===

impl Tally {
    /// Takes the next record.
    pub fn take(&mut self, leaf: &[u8]) {
        if leaf.starts_with(COMMAND) {
            return self.command(leaf);
        }
        // What begins in another way is read whole: a door that does not tell the truth would hide by it.
        if leaf.starts_with(EVENT) && !BEGINNINGS.iter().any(|beginning| leaf.starts_with(beginning)) {
            return;
        }
        let Ok(record) = Record::parse(leaf) else {
            self.unread += 1;
            return;
        };
        match record.event {
            Event::SessionStart(start) => {
                self.sessions += 1;
                if let Some(session) = record.session {
                    self.open.insert(session, (start.person, start.agents));
                }
            }
            Event::SessionEnd(_) => {
                if let Some(session) = record.session {
                    self.open.remove(&session);
                }
            }
            // What a door says of itself confirms nothing.
            Event::Attested(attested) if record.source.writer == Writer::Recorder => {
                *match attested.finding {
                    Finding::Proved => &mut self.proved,
                    Finding::NotPresented => &mut self.not_presented,
                    Finding::NotChecked => &mut self.not_checked,
                    Finding::SameProcess => &mut self.same_process,
                    Finding::Refused => &mut self.refused,
                } += 1;
            }
            Event::Command(command) => {
                if let Some(session) = record.session {
                    self.stated(&session, Person::clone(&command.person), command.agents);
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, leaf: &[u8]) {
        match serde_json::from_slice::<Said>(leaf) {
            Ok(Said { event, session }) => {
                let By { agents, person } = event.command;
                self.stated(&session, person, agents);
            }
            Err(_) => self.unread += 1,
        }
    }

    fn stated(&mut self, session: &SessionId, person: Person, agents: Vec<Agent>) {
        // Of a session whose start was removed with old records nothing is known.
        let strange = self.open.get(session).is_some_and(|known| *known != (person, agents));
        self.strangers += u64::from(strange);
    }

    /// Sessions whose person is the door's word alone.
    pub fn unconfirmed(&self) -> u64 {
        self.sessions.saturating_sub(self.proved)
    }

    /// For people; nothing where nobody came in.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.sessions > 0 {
            out += &format!(
                "the recorder itself confirmed the person of {} of {} sessions",
                self.proved, self.sessions
            );
            let told = self.not_presented + self.not_checked + self.same_process;
            let parts = [
                (self.not_presented, "no token was presented"),
                (self.not_checked, "it could not check the token"),
                (self.same_process, "it ran in the door's own process"),
                (self.unconfirmed().saturating_sub(told), "it checked none"),
            ];
            for (count, why) in parts.into_iter().filter(|(count, _)| *count > 0) {
                out += &format!("; of {count} {why}");
            }
            out.push('\n');
        }
        if self.strangers > 0 {
            out += &format!(
                "{} commands state somebody else than the start of their session: their door does not tell the truth\n",
                self.strangers
            );
        }
        if self.unread > 0 {
            out += &format!(
                "{} records could not be read, and may state persons that are not counted here\n",
                self.unread
            );
        }
        if self.refused > 0 {
            out += &format!(
                "{} sessions it did not take: their tokens do not prove whom the door stated (audit show --kind attested)\n",
                self.refused
            );
        }
        out
    }
}

/// What a recorder found of one session, in words.
pub fn words(attested: &Attested) -> String {
    let detail = attested.detail.as_deref().unwrap_or("it says no more");
    match attested.finding {
        Finding::Proved => "the recorder checked the token itself, and it proves the person".to_owned(),
        Finding::NotPresented => "not confirmed by the recorder: no token was presented to it".to_owned(),
        Finding::NotChecked => format!("not confirmed by the recorder: {detail}"),
        Finding::SameProcess => "not confirmed: the recorder runs in the door's own process".to_owned(),
        Finding::Refused => format!("not taken by the recorder: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use sallyport_audit::record::Action;

    use super::*;
    use crate::audit::samples;

    #[test]
    fn the_recorders_word_counts_and_a_doors_does_not() {
        let session = SessionId::parse(&"ab".repeat(16)).unwrap();
        let mut tally = Tally::default();
        let mut take = |event, writer| {
            let mut record = samples::record(1, &session, event);
            record.source.writer = writer;
            tally.take(&serde_json::to_vec(&record).unwrap());
        };
        let found = |finding| Event::Attested(Box::new(Attested::new(finding)));
        for _ in 0..4 {
            take(samples::start("alice"), Writer::Proxy);
        }
        take(found(Finding::Proved), Writer::Recorder);
        take(found(Finding::NotPresented), Writer::Recorder);
        take(found(Finding::Refused), Writer::Recorder);
        take(found(Finding::Proved), Writer::Proxy);
        take(samples::end(), Writer::Proxy);
        tally.take(b"{\"event\":{\"sessionStart\":");
        assert_eq!((tally.sessions, tally.proved, tally.unconfirmed()), (4, 1, 3));
        assert_eq!(tally.strangers, 0);
        let text = tally.text();
        assert!(
            text.contains("1 of 4 sessions; of 1 no token was presented; of 2 it checked none"),
            "{text}"
        );
        assert!(text.contains("1 sessions it did not take"), "{text}");
        assert_eq!(Tally::default().text(), "");
    }

    #[test]
    fn commands_of_somebody_else_than_came_in_are_told() {
        let session = SessionId::parse(&"ab".repeat(16)).unwrap();
        let command = |name: &str| samples::command(1, name, "select", Action::Allow, "select 1");
        let mut tally = Tally::default();
        let mut take = |event| {
            let record = samples::record(1, &session, event);
            tally.take(&serde_json::to_vec(&record).unwrap());
        };
        take(command("bob"));
        take(samples::start("alice"));
        take(command("alice"));
        take(command("bob"));
        take(samples::end());
        take(command("bob"));
        assert_eq!(tally.strangers, 1, "what was before and after is not known");
        // Spelled in another way, it is not passed over.
        let hidden = |event| {
            let json = serde_json::to_string(&samples::record(1, &session, event)).unwrap();
            json.replacen("{\"event\"", "{\"a\":0,\"event\"", 1).into_bytes()
        };
        tally.take(&hidden(samples::start("alice")));
        tally.take(&hidden(command("bob")));
        assert_eq!((tally.sessions, tally.strangers, tally.unread), (2, 2, 0));
        tally.take(b"{\"event\":{\"command\":[1]}}");
        assert_eq!(tally.unread, 1);
        tally.strangers = 1;
        assert!(
            tally.text().contains("1 commands state somebody else"),
            "{}",
            tally.text()
        );
    }
}
