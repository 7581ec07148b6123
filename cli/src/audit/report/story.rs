//! What the records tell, put together: sessions with their commands, and what is not part of any.

use std::collections::BTreeMap;

use sallyport_audit::Time;
use sallyport_audit::record::{
    Action, Approver, Attested, Command, EndCause, Event, Finding, LoginRefused, Outcome, Person, Record, RequestRef,
    SessionId, SessionStart, Writer,
};

/// Everything that was told.
#[derive(Default)]
pub struct Story {
    /// In the order of their first record.
    pub sessions: Vec<Session>,
    places: BTreeMap<SessionId, usize>,
    /// Who was turned away, and when.
    pub refused: Vec<(Told, LoginRefused)>,
    /// Starts and ends of recorders, changes of policy: place, kind, and words.
    pub log: Vec<(Told, &'static str, String)>,
    /// Time of the first and the last record.
    pub period: Option<(Time, Time)>,
}

/// Where and when a record stands.
#[derive(Clone)]
pub struct Told {
    /// Its place in the log.
    pub index: u64,
    /// When, by its writer.
    pub time: Time,
    /// The Connection.
    pub connection: String,
}

/// One session.
pub struct Session {
    pub id: SessionId,
    pub first: Told,
    pub person: Option<Person>,
    pub start: Option<SessionStart>,
    /// What the recorder itself found of the person.
    pub attested: Option<Attested>,
    /// It has commands of somebody else than its start states, or began twice: its door does not tell the truth.
    pub mixed: bool,
    pub end: Option<(Time, EndCause)>,
    pub commands: BTreeMap<u64, Asked>,
}

/// One command and what came of it.
#[derive(Default)]
pub struct Asked {
    pub told: Option<Told>,
    pub command: Option<Command>,
    pub outcome: Option<Outcome>,
    pub answers: Vec<Answer>,
}

/// What second people, or the lack of them, did.
pub struct Answer {
    pub told: Told,
    pub kind: &'static str,
    pub people: Vec<Approver>,
    pub words: String,
    pub request: Option<RequestRef>,
}

impl Story {
    /// Takes the next record.
    pub fn tell(&mut self, index: u64, record: Record, person: Option<Person>) {
        let connection = record.source.connection.as_ref();
        let told = Told {
            index,
            time: record.time,
            connection: connection.map_or_else(String::new, |found| format!("{}/{}", found.namespace, found.name)),
        };
        let (from, to) = self.period.unwrap_or((told.time, told.time));
        self.period = Some((from.min(told.time), to.max(told.time)));
        let kind = record.event.kind();
        match (record.session, record.event) {
            // What a door says of itself confirms nothing.
            (_, Event::Attested(_)) if record.source.writer != Writer::Recorder => {}
            (_, Event::LoginRefused(refused)) => self.refused.push((told, *refused)),
            (Some(session), event) => self.session(session, told, person).take(index, event, record.time),
            (None, event) if answered(&event).is_some() => self.later(told, kind, &event),
            (None, event) => {
                let words = crate::audit::print::what(&event);
                self.log.push((told, kind, words));
            }
        }
    }

    /// An answer that no session waited for belongs to the command that was held for the same request. It may be told
    /// more than once.
    fn later(&mut self, told: Told, kind: &'static str, event: &Event) {
        let Some((request, people, words)) = answered(event) else {
            return;
        };
        let about = |answer: &Answer| answer.request.as_ref().is_some_and(|one| one.uid == request.uid);
        let mut commands = self
            .sessions
            .iter_mut()
            .flat_map(|session| session.commands.values_mut());
        let Some(asked) = commands.find(|asked| asked.answers.iter().any(about)) else {
            let words = crate::audit::print::what(event);
            return self.log.push((told, kind, words));
        };
        if !asked.answers.iter().any(|answer| answer.kind == kind && about(answer)) {
            asked.answers.push(Answer {
                told,
                kind,
                people,
                words,
                request: Some(request),
            });
        }
    }

    fn session(&mut self, id: SessionId, told: Told, person: Option<Person>) -> &mut Session {
        let next = self.sessions.len();
        let at = *self.places.entry(id.clone()).or_insert(next);
        if at == next {
            self.sessions.push(Session {
                id,
                first: told,
                person: None,
                start: None,
                attested: None,
                mixed: false,
                end: None,
                commands: BTreeMap::new(),
            });
        }
        let at = at.min(self.sessions.len().saturating_sub(1));
        #[expect(clippy::indexing_slicing, reason = "a session was pushed where there was none")]
        let session = &mut self.sessions[at];
        if session.person.is_none() {
            session.person = person;
        }
        session
    }

    /// Every command, with its session.
    pub fn commands(&self) -> impl Iterator<Item = (&Session, &Asked)> {
        self.sessions
            .iter()
            .flat_map(|session| session.commands.values().map(move |asked| (session, asked)))
    }

    /// Masked fields by rule and kind.
    pub fn masked(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for outcome in self.commands().filter_map(|(_, asked)| asked.outcome.as_ref()) {
            for (by, count) in &outcome.masked {
                *all.entry(by.clone()).or_default() += count;
            }
        }
        all
    }

    /// How many commands got this verdict.
    pub fn verdicts(&self, action: Action) -> usize {
        let is = |(_, asked): &(&Session, &Asked)| asked.action() == Some(action);
        self.commands().filter(is).count()
    }
}

/// What an answer says: about which request, who gave it, in what words.
fn answered(event: &Event) -> Option<(RequestRef, Vec<Approver>, String)> {
    Some(match event {
        Event::Approved(one) => (one.request.clone(), one.approvers.clone(), String::new()),
        Event::Denied(one) => (one.request.clone(), one.deniers.clone(), String::new()),
        Event::Reviewed(one) => (one.request.clone(), one.reviewers.clone(), String::new()),
        Event::Withdrawn(one) | Event::Expired(one) | Event::Revoked(one) => {
            (one.request.clone(), Vec::new(), one.reason.clone())
        }
        _ => return None,
    })
}

impl Session {
    fn take(&mut self, index: u64, event: Event, time: Time) {
        let told = Told {
            index,
            time,
            connection: self.first.connection.clone(),
        };
        let answer = |kind, people, words: &str, request| Answer {
            told: told.clone(),
            kind,
            people,
            words: words.to_owned(),
            request: Some(request),
        };
        match event {
            Event::SessionStart(start) => {
                self.mixed |= self.start.is_some();
                self.start = Some(*start);
            }
            Event::Attested(attested) => self.attested = Some(*attested),
            Event::SessionEnd(end) => self.end = Some((time, end.cause)),
            Event::Command(command) => {
                let by = |start: &SessionStart| start.person == *command.person && start.agents == command.agents;
                self.mixed |= !self.start.as_ref().is_none_or(by);
                let asked = self.commands.entry(command.command).or_default();
                asked.told = Some(told);
                asked.command = Some(*command);
            }
            Event::CommandPart(part) => {
                let asked = self.commands.entry(part.command).or_default();
                if let Some(command) = &mut asked.command {
                    command.text.push_str(&part.text);
                }
            }
            Event::Outcome(outcome) => {
                let asked = self.commands.entry(outcome.command).or_default();
                asked.outcome = Some(outcome);
            }
            Event::Hold(hold) => {
                let words = if hold.waits {
                    "the client waits"
                } else {
                    "refused until it is approved"
                };
                self.answered(hold.command, answer("held", Vec::new(), words, hold.request));
            }
            Event::Approved(approved) => {
                let words = format!("after {} s", approved.waited_us / 1_000_000);
                self.answered(
                    approved.command,
                    answer("approved", approved.approvers, &words, approved.request),
                );
            }
            Event::Denied(denied) => {
                self.answered(denied.command, answer("denied", denied.deniers, "", denied.request));
            }
            Event::Withdrawn(closed) => {
                self.answered(
                    closed.command,
                    answer("withdrawn", Vec::new(), &closed.reason, closed.request),
                );
            }
            Event::Expired(closed) => {
                self.answered(
                    closed.command,
                    answer("expired", Vec::new(), &closed.reason, closed.request),
                );
            }
            Event::Revoked(closed) => {
                self.answered(
                    closed.command,
                    answer("revoked", Vec::new(), &closed.reason, closed.request),
                );
            }
            Event::BreakGlass(glass) => {
                self.answered(
                    glass.command,
                    answer("break-glass", Vec::new(), &glass.reason, glass.request),
                );
            }
            Event::Claimed(claimed) => {
                self.answered(
                    claimed.command,
                    answer("grant used", claimed.approvers, "", claimed.request),
                );
            }
            Event::Reviewed(_)
            | Event::TransactionEnd(_)
            | Event::LoginRefused(_)
            | Event::LogStart(_)
            | Event::LogEnd(_)
            | Event::Pruned(_)
            | Event::PolicyChange(_) => {}
        }
    }

    fn answered(&mut self, command: u64, answer: Answer) {
        self.commands.entry(command).or_default().answers.push(answer);
    }

    /// Whether the person is more than the door's word.
    pub fn confirmed(&self) -> bool {
        let proved = |attested: &Attested| attested.finding == Finding::Proved;
        !self.mixed && self.attested.as_ref().is_some_and(proved)
    }

    /// The person's name.
    pub fn name(&self) -> &str {
        self.person
            .as_ref()
            .map_or("unknown", |person| person.username.as_str())
    }
}

impl Asked {
    /// The verdict.
    pub fn action(&self) -> Option<Action> {
        self.command.as_ref().map(|command| command.verdict.action)
    }
}
