//! A case: what is sent, and what has to come of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One case. `{database}`, `{ssn}`, `{nine}` and `{card}` in texts stand for the database's name and its protected values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub id: String,
    pub kind: String,
    /// Major versions that it is about; all where none is named.
    #[serde(default)]
    pub versions: Vec<u8>,
    /// What is run before, past the door, as the superuser.
    #[serde(default)]
    pub before: Vec<String>,
    /// What somebody who sees everything runs before, through the door.
    #[serde(default)]
    pub exempt: Vec<String>,
    /// What another session, past the door, runs before, and stays.
    #[serde(default)]
    pub beside: Vec<String>,
    /// What another session through the door runs before; what it hears counts.
    #[serde(default)]
    pub listener: Vec<String>,
    /// Startup parameters.
    #[serde(default)]
    pub startup: BTreeMap<String, String>,
    /// Query strings, or statements of the extended protocol.
    #[serde(default)]
    pub sql: Vec<String>,
    #[serde(default)]
    pub mode: Mode,
    /// Messages, where the case is about them.
    #[serde(default)]
    pub wire: Vec<Step>,
    /// What several sessions do, one after another, where the case is about their order.
    #[serde(default)]
    pub acts: Vec<Act>,
    /// What another session through the door runs afterwards; its answers count.
    #[serde(default)]
    pub other: Vec<String>,
    /// What is run at the end, past the door.
    #[serde(default)]
    pub after: Vec<String>,
    /// Whether it changes the database, and so needs one of its own.
    #[serde(default)]
    pub fresh: bool,
    /// Whether the number of its rows hangs on who else is connected.
    #[serde(default)]
    pub crowd: bool,
    /// Whether its rows come as they are: nothing in them is hidden from anybody.
    #[serde(default)]
    pub whole: bool,
    /// By what the leak is seen without the door.
    #[serde(default)]
    pub seen: Seen,
    pub standard: Expected,
    pub strict: Expected,
}

/// How statements are sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As Query.
    #[default]
    Simple,
    /// As Parse, Bind, Describe, Execute.
    Extended,
    /// The same with binary results.
    Binary,
    /// Without Describe.
    Blind,
    /// Without Describe, with binary results.
    Blindbinary,
    /// All statements in one pipeline, without Describe.
    Pipeline,
    /// All statements with Flush in the place of Sync, but for the last.
    Flushed,
}

/// One message, or a few that belong together.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Query(String),
    /// Name and text.
    Parse(String, String),
    /// Portal, statement, text parameters, format of results.
    Bind(String, String, Vec<String>, i16),
    /// `S` or `P`, and name.
    Describe(char, String),
    /// Portal and number of rows.
    Execute(String, i32),
    Close(char, String),
    /// Function and its arguments as int4.
    Call(u32, Vec<i32>),
    Flush,
    Sync,
    /// A Query that is a COPY from the client, and its data.
    CopyIn(String, String),
}

/// What one of several sessions does. The first word of its name says who that is: `alice` and `bob` come through the door,
/// `direct` past it as the superuser. What the sessions of `alice` hear counts; what the others do has to succeed.
#[derive(Clone, Debug, Deserialize)]
pub struct Act(pub String, pub Move);

/// What it does.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Move {
    /// Something of several sessions.
    Together(Together),
    /// A message or a few, and their answer.
    Alone(Step),
}

/// What only one of several sessions can do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Together {
    /// A Query whose answer is awaited by `Hear`.
    Send(String),
    /// What was put together is sent with a Sync; its answer is awaited by `Hear`.
    SendSync,
    /// Until the answer is there.
    Hear,
    /// Until so many sessions of the database wait for a lock, or what was sent is answered already; of a door, with a refusal.
    Waits(usize),
    /// A Query again and again until it succeeds.
    Until(String),
}

/// By what a leak is seen without the door.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// The answers of the two databases differ.
    #[default]
    Values,
    /// The value itself is in the answer, which differs anyway.
    Marks,
    /// It takes longer.
    Time,
    /// PostgreSQL does it without a word.
    Done,
    /// It is no leak.
    No,
}

/// What has to come of it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Expected {
    #[serde(rename = "mask")]
    Mask,
    #[serde(rename = "deny")]
    Deny,
    #[serde(rename = "mask|deny")]
    Either,
    /// Masked or refused, or the session is ended in the middle of its answer.
    #[serde(rename = "mask|deny|end")]
    Hidden,
    #[serde(rename = "documented")]
    Documented,
    #[serde(rename = "any")]
    Any,
}

impl Case {
    /// All cases.
    pub fn all(text: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let case: Self = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(
                cases.iter().all(|other| other.id != case.id),
                "{} is there twice",
                case.id
            );
            cases.push(case);
        }
        cases
    }

    pub fn runs_on(&self, major: u8) -> bool {
        self.versions.is_empty() || self.versions.contains(&major)
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
