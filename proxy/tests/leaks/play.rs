//! Runs a case and listens.

use std::time::Instant;

use super::case::{Case, Mode, Step};
use super::cast::Cast;
use super::common::door::TestDoor;
use super::common::postgres::Postgres;
use super::common::wire::{Client, Message};
use super::databases::Secrets;
use super::heard::Heard;
use sallyport_proxy::postgres::frame::put_cstr;

/// What stands between client and server.
#[derive(Clone, Copy)]
pub enum Through<'a> {
    Nothing,
    Door(&'a TestDoor),
}

/// Where a case is played.
pub struct Stage<'a> {
    pub server: &'a Postgres,
    pub database: &'a str,
    /// Who plays it without a door.
    pub role: &'a str,
    pub secrets: Secrets,
    pub through: Through<'a>,
}

impl Stage<'_> {
    /// Plays a case.
    pub fn play(&self, case: &Case) -> Heard {
        for sql in &case.before {
            self.prepare(&self.fill(sql));
        }
        self.exempt(case);
        let _beside = (!case.beside.is_empty()).then(|| self.beside(case));
        let mut heard = Heard {
            database: self.database.to_owned(),
            ..Heard::default()
        };
        let mut listener = (!case.listener.is_empty()).then(|| self.client("alice", &[]).unwrap());
        if let Some(listener) = &mut listener {
            for sql in &case.listener {
                self.run(listener, &Step::Query(sql.clone()), &mut heard);
            }
        }
        match case.acts.as_slice() {
            [] => self.alone(case, &mut heard),
            acts => Cast::new(self, &case.id).play(acts, &mut heard),
        }
        if let Some(listener) = &mut listener {
            self.run(listener, &Step::Query("select 'heard'".to_owned()), &mut heard);
        }
        if !case.other.is_empty() {
            let mut other = self.client("alice", &[]).unwrap();
            for sql in &case.other {
                self.run(&mut other, &Step::Query(sql.clone()), &mut heard);
            }
        }
        for sql in &case.after {
            self.server.sql(self.database, &self.fill(sql));
        }
        heard
    }

    /// What one session does.
    fn alone(&self, case: &Case, heard: &mut Heard) {
        let startup: Vec<(&str, &str)> = case.startup.iter().map(|(key, value)| (&**key, &**value)).collect();
        match self.client("alice", &startup) {
            Ok(mut client) => {
                let began = Instant::now();
                for step in steps(case) {
                    self.run(&mut client, &step, heard);
                }
                heard.took = began.elapsed();
            }
            Err(messages) => heard.messages.extend(messages),
        }
    }

    /// Runs what comes before, as whoever plays the case if that role may.
    fn prepare(&self, sql: &str) {
        if self.role == "postgres" || self.server.sql_as(self.role, self.database, sql).is_err() {
            self.server.sql(self.database, sql);
        }
    }

    fn exempt(&self, case: &Case) {
        if case.exempt.is_empty() {
            return;
        }
        let mut client = self.client("bob", &[]).unwrap();
        for sql in &case.exempt {
            let answer = client.query(&self.fill(sql));
            let failed = answer.iter().find(|message| message.tag == 'E');
            assert!(failed.is_none(), "{}: {sql}: {:?}", case.id, failed.map(Message::text));
        }
    }

    /// Somebody past the door, who stays for as long as the session is kept.
    fn beside(&self, case: &Case) -> Client {
        let mut beside = Client::direct(self.server, self.database, &[]).unwrap();
        for sql in &case.beside {
            beside.query(&self.fill(sql));
        }
        beside
    }

    /// A text with its placeholders filled in.
    pub fn fill(&self, text: &str) -> String {
        self.secrets.fill(text, self.database)
    }

    /// Logs in as one of the case's people.
    pub fn client(&self, user: &str, startup: &[(&str, &str)]) -> Result<Client, Vec<Message>> {
        match self.through {
            Through::Nothing => Client::direct_as(self.role, self.server, self.database, startup),
            Through::Door(door) => {
                let own = [("database", self.database)];
                let pairs: Vec<_> = own.into_iter().chain(startup.iter().copied()).collect();
                Client::login(door, user, &pairs)
            }
        }
    }

    /// One step, and what is heard of it.
    pub fn run(&self, client: &mut Client, step: &Step, heard: &mut Heard) {
        if heard.broken {
            return;
        }
        match step {
            Step::Query(sql) => {
                client.put(b'Q', |out| put_cstr(out, &self.fill(sql))).send();
                until_ready(client, "", heard);
            }
            Step::CopyIn(sql, data) => {
                client.put(b'Q', |out| put_cstr(out, &self.fill(sql))).send();
                until_ready(client, &self.fill(data), heard);
            }
            Step::Parse(name, sql) => _ = client.parse(name, &self.fill(sql)),
            Step::Bind(portal, statement, values, format) => {
                let values: Vec<String> = values.iter().map(|value| self.fill(value)).collect();
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                client.bind(portal, statement, &values, *format);
            }
            Step::Describe(kind, name) => _ = client.describe(*kind as u8, name),
            Step::Execute(portal, rows) => _ = client.execute(portal, *rows),
            Step::Close(kind, name) => {
                client.put(b'C', |out| {
                    out.push(*kind as u8);
                    put_cstr(out, name);
                });
            }
            Step::Call(function, arguments) => {
                call(client, *function, arguments);
                until_ready(client, "", heard);
            }
            Step::Flush => client.put(b'H', |_| {}).send(),
            Step::Sync => {
                client.sync();
                until_ready(client, "", heard);
            }
        }
    }
}

/// A function call by the fast path, everything binary.
fn call(client: &mut Client, function: u32, arguments: &[i32]) {
    let count = i16::try_from(arguments.len()).unwrap().to_be_bytes();
    client.put(b'F', |out| {
        out.extend(function.to_be_bytes());
        out.extend([0, 1, 0, 1]);
        out.extend(count);
        for argument in arguments {
            out.extend(4i32.to_be_bytes());
            out.extend(argument.to_be_bytes());
        }
        out.extend([0, 1]);
    });
    client.send();
}

/// Everything up to ReadyForQuery, or the end of the session; a COPY from the client gets this data.
pub fn until_ready(client: &mut Client, data: &str, heard: &mut Heard) {
    loop {
        let Ok(message) = client.try_read() else {
            heard.broken = true;
            return;
        };
        let tag = message.tag;
        heard.messages.push(message);
        match tag {
            'Z' => return,
            'G' => {
                client.put(b'd', |out| out.extend_from_slice(data.as_bytes()));
                client.put(b'c', |_| {}).send();
            }
            _ => {}
        }
    }
}

/// The messages of a case.
fn steps(case: &Case) -> Vec<Step> {
    if !case.wire.is_empty() {
        return case.wire.clone();
    }
    let empty = String::new;
    let extended = |sql: &String, describes: bool, format: i16| {
        let mut steps = vec![
            Step::Parse(empty(), sql.clone()),
            Step::Bind(empty(), empty(), Vec::new(), format),
        ];
        if describes {
            steps.push(Step::Describe('P', empty()));
        }
        steps.push(Step::Execute(empty(), 0));
        steps
    };
    let synced = |describes: bool, format: i16| {
        let each = case.sql.iter().flat_map(move |sql| {
            let mut steps = extended(sql, describes, format);
            steps.push(Step::Sync);
            steps
        });
        each.collect()
    };
    match case.mode {
        Mode::Simple => case.sql.iter().cloned().map(Step::Query).collect(),
        Mode::Extended => synced(true, 0),
        Mode::Binary => synced(true, 1),
        Mode::Blind => synced(false, 0),
        Mode::Blindbinary => synced(false, 1),
        Mode::Pipeline | Mode::Flushed => {
            let mut steps = Vec::new();
            for sql in &case.sql {
                steps.extend(extended(sql, false, 0));
                if case.mode == Mode::Flushed {
                    steps.push(Step::Flush);
                }
            }
            steps.push(Step::Sync);
            steps
        }
    }
}
