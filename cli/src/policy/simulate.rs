//! `simulate`: what would proposed manifests have said to what people really ran?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use sallyport_audit::record::{Action, Agent, Command, Encoding, Event, Param, Record, SessionId, SessionStart};
use sallyport_audit::verify::Verdict as Proof;
use sallyport_policy::decide::{self, Parameter, Verdict, risk};
use sallyport_policy::subject::{Agent as Acting, login};
use sallyport_policy::{Policy, Subject};

use super::judge::{Asked, Tables, action, deciders, judge, rules, strictest};
use super::manifests::Manifests;
use crate::audit::{Copying, Flags as LogFlags, Period, Reader, exit, prove, text};
use crate::cluster::Flags;
use crate::output;
use crate::visible::visible;

/// Examples of one change that are shown.
const EXAMPLES: usize = 3;

/// What rules can ask about a command that has tables, and no record tells.
const UNRECORDED: [&str; 3] = ["rows", "columns", "in_transaction"];

/// What a door may have seen in a command that its text does not show: something that only tells, and something that may do
/// anything.
const UNSEEN: [&str; 2] = ["triggers of what it touches", "code behind what it touches"];

/// From so many rows on the risk counts them.
const MANY_ROWS: u64 = 1_000;

/// Flags of simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    period: Period,
    /// Directory with the proposed manifests.
    #[arg(long, value_name = "DIR")]
    manifests: PathBuf,
}

/// Commands that would fare otherwise in one way.
#[derive(Default)]
struct Change {
    count: usize,
    examples: Vec<String>,
}

/// By what was said then, and what would be said now.
type Changes = BTreeMap<(String, String), Change>;

/// What was found.
#[derive(Default)]
struct Found {
    judged: usize,
    /// Commands that cannot be judged again, by the reason.
    passed_over: BTreeMap<String, usize>,
    /// Those that would get another verdict.
    changes: Changes,
    /// Those that would get the same by other rules, which run or stay refused as they did.
    by_others: Changes,
}

/// What a command would get.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Now {
    /// The verdict, in the word that manifests use.
    word: String,
    /// With its rules, as a record tells it; `None` where these hang on what the log does not hold.
    recorded: Option<String>,
    /// The same as people read it.
    told: String,
}

/// Judges every command of a log by other manifests, and lists the verdicts that would change, grouped. Exit status 1 if
/// there is one, 4 if the log is refuted.
///
/// # Errors
/// When the log or the manifests cannot be read.
pub async fn run(cluster: &Flags, args: Args) -> Result<ExitCode> {
    let manifests = Manifests::read(&args.manifests)?;
    let known = args.log.resolve(cluster, Copying::default()).await?;
    let mut sessions: BTreeMap<SessionId, SessionStart> = BTreeMap::new();
    let mut policies: BTreeMap<String, Result<Policy, String>> = BTreeMap::new();
    let mut found = Found::default();
    let mut reader = Reader::default();
    let report = prove(&known, |index, leaf| {
        let Some(record) = reader.read(index, leaf) else { return };
        match (&record.event, &record.session) {
            (Event::SessionStart(start), Some(session)) => {
                sessions.insert(session.clone(), (**start).clone());
            }
            (Event::SessionEnd(_), Some(session)) => {
                sessions.remove(session);
            }
            (Event::Command(command), session) if args.period.holds(record.time) => {
                let start = session.as_ref().and_then(|session| sessions.get(session));
                let Some(connection) = &record.source.connection else {
                    return;
                };
                let name = format!("{}/{}", connection.namespace, connection.name);
                let policy = policies
                    .entry(name.clone())
                    .or_insert_with(|| manifests.compile(&name).map_err(|error| format!("{error:#}")));
                found.take(index, &record, command, start, policy);
            }
            _ => {}
        }
    })?;
    // What stands in a refuted log is not what people ran: that nothing would change says nothing.
    if report.verdict() == Proof::Refuted {
        output::aside(text(&report, &known.from).trim_end());
        return Ok(exit(&report));
    }
    reader.finish()?;
    output::text(found.told())?;
    output::aside(report.verdict());
    Ok(if found.changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

// === impl Found ===

impl Found {
    fn take(
        &mut self,
        index: u64,
        record: &Record,
        command: &Command,
        start: Option<&SessionStart>,
        policy: &Result<Policy, String>,
    ) {
        match again(record, command, start, policy) {
            Ok(now) => {
                self.judged += 1;
                let then = told_then(command);
                let others = now.recorded.as_ref().is_some_and(|recorded| *recorded != then);
                let changes = match (word_then(command) == now.word, others) {
                    (false, _) => &mut self.changes,
                    (true, true) => &mut self.by_others,
                    (true, false) => return,
                };
                changes.entry((then, now.told)).or_default().add(index, command);
            }
            Err(why) => *self.passed_over.entry(why).or_default() += 1,
        }
    }

    fn told(&self) -> String {
        let mut out = format!(
            "{} commands judged again, {} would get another verdict\n",
            self.judged,
            count(&self.changes)
        );
        list(&mut out, &self.changes);
        if !self.by_others.is_empty() {
            let others = count(&self.by_others);
            out += &format!("\n{others} would get the same verdict by other rules\n");
            list(&mut out, &self.by_others);
        }
        for (why, count) in &self.passed_over {
            out += &format!("\n{count} could not be judged again: {why}\n");
        }
        out
    }
}

// === impl Change ===

impl Change {
    fn add(&mut self, index: u64, command: &Command) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            let text: String = command
                .text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(100)
                .collect();
            let example = format!("record {index}, {}: {text}", command.person.username);
            self.examples.push(visible(&example));
        }
    }
}

fn count(changes: &Changes) -> usize {
    changes.values().map(|change| change.count).sum()
}

fn list(out: &mut String, changes: &Changes) {
    for ((then, now), change) in changes {
        *out += &format!("\n{} times: {then}\n  would be: {now}\n", change.count);
        let examples = change.examples.iter();
        out.extend(examples.map(|example| format!("    {example}\n")));
    }
}

fn told_then(command: &Command) -> String {
    let mut by: Vec<String> = command
        .verdict
        .rules
        .iter()
        .map(|rule| format!("{}/{}", rule.policy, rule.rule))
        .collect();
    by.sort();
    by.dedup();
    said(word_then(command), &by)
}

fn word_then(command: &Command) -> &'static str {
    match command.verdict.action {
        Action::Allow => "Allow",
        Action::Deny => "Deny",
        Action::Hold => "RequireApproval",
    }
}

fn said(word: &str, by: &[String]) -> String {
    match by {
        [] => format!("{word} by no rule"),
        by => format!("{word} by {}", by.join(", ")),
    }
}

/// What it would get.
fn again(
    record: &Record,
    command: &Command,
    start: Option<&SessionStart>,
    policy: &Result<Policy, String>,
) -> Result<Now, String> {
    let policy = policy.as_ref().map_err(Clone::clone)?;
    if command.parts > 0 {
        return Err("the text is longer than one record".to_owned());
    }
    let start = start.ok_or("the session's start is not in the log")?;
    let subject = subject(command, start);
    if let Some(why) = withheld(policy, &subject, command) {
        return Err(why);
    }
    let parameters: Vec<Parameter> = command.params.iter().map(parameter).collect();
    let asked = Asked {
        policy,
        subject: &subject,
        tables: &Tables::new(),
        // What its names meant then is in the record.
        recorded: Some(&command.tables),
        database: &start.claims.database.clone().unwrap_or_default(),
        parameters: &parameters,
        at: record.time.unix_micros().div_euclid(1_000_000),
    };
    let judged = judge(&asked, &command.text).map_err(|error| format!("{error:#}"))?;
    let one = strictest(&judged).ok_or("it is empty")?;
    let seen = &one.command;
    let masker = policy.masker(&subject);
    let refuses = masker.is_strict() || overwrites(command) && masker.acts();
    if refuses && one.reaches_more && one.refused.is_none() {
        return Err(
            "it reaches tables by way of others, where masking rules may refuse what the log does not hold".to_owned(),
        );
    }
    let told_now = |command: &decide::Command| {
        let refused = match command.opaque.len() > seen.opaque.len() {
            true => &one.refused_unseen,
            false => &one.refused,
        };
        let verdict = match refused {
            Some(denial) => Verdict::Deny(denial.clone()),
            None => policy.decide(&subject, command).verdict,
        };
        let word = format!("{:?}", action(&verdict));
        Now {
            // That a masking rule refuses is on record by its words alone.
            recorded: Some(said(&word, &rules(&verdict))),
            told: said(&word, &deciders(&verdict)),
            word,
        }
    };
    let possible = possible(seen, command.verdict.risk);
    let verdicts: BTreeSet<Now> = possible.iter().map(told_now).collect();
    match one_of(verdicts) {
        Some(verdict) => verdict,
        None if !policy.reads("risk") => Ok(told_now(seen)),
        None => Err("a rule looks at the risk, and that of then does not come of what the log holds".to_owned()),
    }
}

/// What all of these come to; `None` if there are none. Where the verdict is one and its rules are not, it is known all the same.
fn one_of(possible: BTreeSet<Now>) -> Option<Result<Now, String>> {
    let mut possible = possible.into_iter();
    let mut one = possible.next()?;
    for other in possible {
        if other.word != one.word {
            return Some(Err(
                "it hangs on what the door saw then and the log does not hold".to_owned()
            ));
        }
        one.recorded = None;
        one.told += &format!(", or {}", other.told);
    }
    Some(Ok(one))
}

/// Why the log does not hold what the verdict on a command hangs on.
fn withheld(policy: &Policy, subject: &Subject, command: &Command) -> Option<String> {
    if command.tables_omitted > 0 {
        return Some("it touches more tables than one record holds".to_owned());
    }
    if let Some(field) = UNRECORDED.into_iter().find(|field| policy.reads(field))
        && !command.tables.is_empty()
    {
        return Some(format!("a rule looks at command.{field}, which the log does not hold"));
    }
    let mut shown = policy.shown_to(subject).into_iter();
    let masked = overwrites(command) && shown.any(|(_, shown)| command.text.contains(shown));
    masked.then(|| "its text holds what masks show, and the record may have put it there".to_owned())
}

/// Whether it changes rows that are there, so that what is masked could be overwritten.
fn overwrites(command: &Command) -> bool {
    command.verbs.iter().any(|verb| verb == "update" || verb == "merge")
}

/// Everything that a command may have been to the door, as far as the log tells: how many rows the statistics counted, what could
/// not be seen into and what is written by way of a view or a partition is not recorded, and the risk that came of it is.
fn possible(seen: &decide::Command, recorded: u8) -> Vec<decide::Command> {
    // What its own text hides is known; code beside that changes nothing.
    let unseen: &[&str] = if seen.opaque.is_empty() { &UNSEEN } else { &[] };
    let counted: &[Option<u64>] = match seen.tables.is_empty() {
        true => &[None],
        false => &[None, Some(MANY_ROWS)],
    };
    let mut all = Vec::new();
    for &rows in counted {
        for opaque in std::iter::once(None).chain(unseen.iter().map(Some)) {
            for written in [&seen.written, &seen.tables] {
                // What changes nothing changes nothing by way of a view.
                let written = if seen.written.is_empty() {
                    &seen.written
                } else {
                    written
                };
                let mut command = decide::Command {
                    rows,
                    written: written.clone(),
                    ..seen.clone()
                };
                if let Some(what) = opaque {
                    command.opaque.push((*what).to_owned());
                    command.read_only = false;
                }
                if risk(&command) == recorded {
                    all.push(command);
                }
            }
        }
    }
    all
}

/// A value that is recorded cut, masked or in binary form is not the one that was sent.
fn parameter(recorded: &Param) -> Parameter {
    match recorded.encoding {
        Encoding::Null => Parameter::Null,
        Encoding::Text if recorded.bytes == recorded.value.len() as u64 => Parameter::Text(recorded.value.clone()),
        Encoding::Text | Encoding::Hex | Encoding::Hidden => Parameter::Unreadable,
    }
}

fn subject(command: &Command, start: &SessionStart) -> Subject {
    let agent = |agent: &Agent| Acting {
        username: agent.name().to_owned(),
        issuer: agent.issuer.clone().unwrap_or_default(),
        subject: agent.subject.clone(),
        groups: Vec::new(),
    };
    let login = login(&command.person.username, start.token.auth_time, start.token.issued);
    Subject {
        username: command.person.username.clone(),
        groups: start.groups.clone(),
        issuer: command.person.issuer.clone(),
        subject: command.person.subject.clone(),
        email: None,
        agents: command.agents.iter().map(agent).collect(),
        authenticated_at: login.map(|time| time.unix_micros().div_euclid(1_000_000)),
        source: start
            .client
            .parse::<std::net::SocketAddr>()
            .ok()
            .map(|client| client.ip().to_canonical().to_string()),
    }
}

#[cfg(test)]
mod tests;
