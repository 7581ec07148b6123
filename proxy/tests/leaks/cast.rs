//! Several sessions that act one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::JoinHandle;

use super::case::{Act, Move, Step, Together};
use super::common::eventually;
use super::common::wire::{Client, tags};
use super::heard::Heard;
use super::play::{Stage, Through, until_ready};
use sallyport_proxy::postgres::frame::put_cstr;

/// Whose answers count.
const HEARD: &str = "alice";
/// Who comes past the door.
const DIRECT: &str = "direct";

/// The sessions of one case, by name; each begins when it first acts.
pub struct Cast<'a> {
    stage: &'a Stage<'a>,
    case: &'a str,
    sessions: BTreeMap<&'a str, Session>,
}

enum Session {
    Idle(Client),
    /// Reads the answer of what was sent.
    Busy(JoinHandle<(Client, Heard)>),
    /// Has read it, and it was not asked for yet.
    Answered(Client, Heard),
}

impl<'a> Cast<'a> {
    pub fn new(stage: &'a Stage<'a>, case: &'a str) -> Self {
        Self {
            stage,
            case,
            sessions: BTreeMap::new(),
        }
    }

    /// Lets them act in turn.
    pub fn play(mut self, acts: &'a [Act], heard: &mut Heard) {
        let mut ended = BTreeSet::new();
        for Act(name, act) in acts {
            // Nothing more can be sent there.
            if ended.contains(name) {
                continue;
            }
            let told = match act {
                Move::Alone(step) => self.step(name, step),
                Move::Together(Together::Send(sql)) => {
                    let sql = self.stage.fill(sql);
                    self.send(name, |client| client.put(b'Q', |out| put_cstr(out, &sql)).send())
                }
                Move::Together(Together::SendSync) => self.send(name, |client| _ = client.sync()),
                Move::Together(Together::Hear) => self.hear(name),
                Move::Together(Together::Waits(sessions)) => self.waits(*sessions),
                Move::Together(Together::Until(sql)) => self.until(name, sql),
            };
            if told.broken {
                ended.insert(name);
            }
            if person(name) == HEARD {
                heard.messages.extend(told.messages);
                heard.broken |= told.broken;
            } else {
                let failed = told.messages.iter().find(|message| message.tag == 'E');
                let failed = failed.map(|message| message.text());
                assert!(
                    failed.is_none() && !told.broken,
                    "{}: {name} {act:?}: {failed:?}",
                    self.case
                );
            }
        }
    }

    /// The session, which has heard all that it asked for.
    fn idle(&mut self, name: &'a str) -> Client {
        match self.sessions.remove(name) {
            Some(Session::Idle(client)) => client,
            Some(Session::Busy(_) | Session::Answered(..)) => panic!("{}: {name} has not heard its answer", self.case),
            None => match person(name) {
                DIRECT => Client::direct(self.stage.server, self.stage.database, &[]).unwrap(),
                person => self.stage.client(person, &[]).unwrap(),
            },
        }
    }

    fn step(&mut self, name: &'a str, step: &Step) -> Heard {
        let (mut client, mut heard) = (self.idle(name), Heard::default());
        self.stage.run(&mut client, step, &mut heard);
        self.sessions.insert(name, Session::Idle(client));
        heard
    }

    fn send(&mut self, name: &'a str, send: impl FnOnce(&mut Client)) -> Heard {
        let mut client = self.idle(name);
        send(&mut client);
        let hears = std::thread::spawn(move || {
            let mut heard = Heard::default();
            until_ready(&mut client, "", &mut heard);
            (client, heard)
        });
        self.sessions.insert(name, Session::Busy(hears));
        Heard::default()
    }

    fn hear(&mut self, name: &'a str) -> Heard {
        let (client, heard) = self.answer(name);
        self.sessions.insert(name, Session::Idle(client));
        heard
    }

    /// All that a session heard of what it sent.
    fn answer(&mut self, name: &'a str) -> (Client, Heard) {
        match self.sessions.remove(name) {
            Some(Session::Busy(hears)) => hears.join().unwrap(),
            Some(Session::Answered(client, heard)) => (client, heard),
            _ => panic!("{}: {name} has sent nothing", self.case),
        }
    }

    fn waits(&mut self, sessions: usize) -> Heard {
        eventually(&format!("{}: {sessions} wait for a lock", self.case), || {
            let waiting = self.stage.server.waiting(self.stage.database);
            (waiting >= sessions || self.sessions.values().any(is_answered)).then_some(())
        });
        if let Through::Door(_) = self.stage.through {
            self.refused_at_most();
        }
        Heard::default()
    }

    /// Whose answers count has been refused, if they were answered: an answer that waited for nothing is the same in both databases,
    /// whatever the door makes of one that did.
    fn refused_at_most(&mut self) {
        let answered = self.sessions.iter();
        let answered = answered.filter(|(name, session)| person(name) == HEARD && is_answered(session));
        let answered: Vec<&'a str> = answered.map(|(name, _)| *name).collect();
        for name in answered {
            let (client, heard) = self.answer(name);
            let refused = heard.broken || heard.messages.iter().any(|message| message.tag == 'E');
            let tags = tags(&heard.messages);
            assert!(refused, "{}: {name} was answered and did not wait: {tags}", self.case);
            self.sessions.insert(name, Session::Answered(client, heard));
        }
    }

    fn until(&mut self, name: &'a str, sql: &str) -> Heard {
        let step = Step::Query(sql.to_owned());
        eventually(&format!("{}: {sql}", self.case), || {
            let heard = self.step(name, &step);
            heard.messages.iter().all(|message| message.tag != 'E').then_some(heard)
        })
    }
}

fn is_answered(session: &Session) -> bool {
    match session {
        Session::Idle(_) => false,
        Session::Busy(hears) => hears.is_finished(),
        Session::Answered(..) => true,
    }
}

fn person(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}
