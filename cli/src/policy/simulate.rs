//! `simulate`: what would proposed manifests have said to what people really ran?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use sallyport_audit::record::{Action, Agent, Command, Encoding, Event, Param, Record, SessionId, SessionStart};
use sallyport_policy::decide::{Parameter, Verdict};
use sallyport_policy::subject::{Agent as Acting, login};
use sallyport_policy::{Policy, Subject};

use super::judge::{Asked, Tables, action, deciders, judge, rules, strictest};
use super::manifests::Manifests;
use crate::audit::{Copying, Flags as LogFlags, Reader, prove};
use crate::cluster::Flags;
use crate::visible::visible;

/// Examples of one change that are shown.
const EXAMPLES: usize = 3;

/// Flags of simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    log: LogFlags,
    /// Directory with the proposed manifests.
    #[arg(long, value_name = "DIR")]
    manifests: PathBuf,
}

/// Verdicts that would change in one way.
#[derive(Default)]
struct Change {
    count: usize,
    examples: Vec<String>,
}

/// What was found.
#[derive(Default)]
struct Found {
    judged: usize,
    /// Commands that cannot be judged again, by the reason.
    passed_over: BTreeMap<String, usize>,
    changes: BTreeMap<(String, String), Change>,
}

/// Judges every command of a log by other manifests, and lists the verdicts that would change, grouped. Exit status 1 if
/// there is one.
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
            (Event::Command(command), session) => {
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
    reader.finish()?;
    print!("{}", found.told());
    eprintln!("{}", report.verdict());
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
            Ok(verdict) => {
                self.judged += 1;
                let then = told_then(command);
                let word = format!("{:?}", action(&verdict));
                // That a masking rule refuses is on record by its words alone.
                if then == said(&word, &rules(&verdict)) {
                    return;
                }
                let now = said(&word, &deciders(&verdict));
                let change = self.changes.entry((then, now)).or_default();
                change.count += 1;
                if change.examples.len() < EXAMPLES {
                    let text: String = command
                        .text
                        .chars()
                        .map(|c| if c.is_control() { ' ' } else { c })
                        .take(100)
                        .collect();
                    let example = format!("record {index}, {}: {text}", command.person.username);
                    change.examples.push(visible(&example));
                }
            }
            Err(why) => *self.passed_over.entry(why).or_default() += 1,
        }
    }

    fn told(&self) -> String {
        let changed: usize = self.changes.values().map(|change| change.count).sum();
        let mut out = format!(
            "{} commands judged again, {changed} would get another verdict\n",
            self.judged
        );
        for ((then, now), change) in &self.changes {
            out += &format!("\n{} times: {then}\n  would be: {now}\n", change.count);
            change
                .examples
                .iter()
                .for_each(|example| out += &format!("    {example}\n"));
        }
        if !self.changes.is_empty() {
            out += "\nWhat is named is taken for tables, without views, triggers, rules, row policies and partitions: a door that finds\nothers may be stricter.\n";
        }
        for (why, count) in &self.passed_over {
            out += &format!("\n{count} could not be judged again: {why}\n");
        }
        out
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
    let word = match command.verdict.action {
        Action::Allow => "Allow",
        Action::Deny => "Deny",
        Action::Hold => "RequireApproval",
    };
    said(word, &by)
}

fn said(word: &str, by: &[String]) -> String {
    match by {
        [] => format!("{word} by no rule"),
        by => format!("{word} by {}", by.join(", ")),
    }
}

fn again(
    record: &Record,
    command: &Command,
    start: Option<&SessionStart>,
    policy: &Result<Policy, String>,
) -> Result<Verdict, String> {
    let policy = policy.as_ref().map_err(Clone::clone)?;
    if command.parts > 0 {
        return Err("the text is longer than one record".to_owned());
    }
    let start = start.ok_or("the session's start is not in the log")?;
    let subject = subject(command, start);
    let changes = command.verbs.iter().any(|verb| verb == "update" || verb == "merge");
    let mut shown = policy.shown_to(&subject).into_iter();
    if changes && shown.any(|(_, shown)| command.text.contains(shown)) {
        return Err("its text holds what masks show, and the record may have put it there".to_owned());
    }
    // What its names meant then is in the record.
    let tables: Tables = command.tables.iter().map(|table| (table.clone(), Vec::new())).collect();
    let parameters: Vec<Parameter> = command.params.iter().map(parameter).collect();
    let asked = Asked {
        policy,
        subject: &subject,
        tables: &tables,
        database: &start.claims.database.clone().unwrap_or_default(),
        parameters: &parameters,
        at: record.time.unix_micros().div_euclid(1_000_000),
    };
    let judged = judge(&asked, &command.text).map_err(|error| format!("{error:#}"))?;
    let strictest = strictest(&judged).ok_or("it is empty")?;
    Ok(strictest.decision.verdict.clone())
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
mod tests {
    use super::*;
    use crate::audit::samples;

    const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");

    #[test]
    fn verdicts_that_would_change_are_grouped_and_others_are_not_listed() {
        let manifests = Manifests::read(DIRECTORY.as_ref()).unwrap();
        let policy = manifests.compile("doors/bank").map_err(|error| format!("{error:#}"));
        let session = SessionId::random().unwrap();
        let Event::SessionStart(start) = samples::start("alice") else {
            panic!("no start")
        };
        let start: SessionStart = *start;
        let mut found = Found::default();
        let mut ran = |action: Action, rule: &str, text: &str, start: Option<&SessionStart>| {
            let mut event = samples::command(1, "alice", "delete", action, text);
            let Event::Command(command) = &mut event else {
                panic!("no command")
            };
            command.verdict.rules[0].rule = rule.into();
            let command = (**command).clone();
            let record = samples::record(7, &session, event);
            found.take(7, &record, &command, start, &policy);
        };
        let delete = "DELETE FROM accounts WHERE id = 7";
        ran(Action::Allow, "everything-else", "SELECT 1", Some(&start));
        ran(Action::Hold, "delete-needs-a-dba", delete, Some(&start));
        ran(Action::Allow, "everything-else", delete, Some(&start));
        ran(
            Action::Allow,
            "everything-else",
            "DELETE FROM accounts\nWHERE id = 8",
            Some(&start),
        );
        ran(Action::Allow, "everything-else", delete, None);
        let told = found.told();
        assert_eq!(
            told,
            "4 commands judged again, 2 would get another verdict\n\n\
             2 times: Allow by changes/everything-else\n  \
             would be: RequireApproval by changes/delete-needs-a-dba\n    \
             record 7, oidc:alice: DELETE FROM accounts WHERE id = 7\n    \
             record 7, oidc:alice: DELETE FROM accounts WHERE id = 8\n\n\
             What is named is taken for tables, without views, triggers, rules, row policies and partitions: a door that finds\n\
             others may be stricter.\n\n\
             1 could not be judged again: the session's start is not in the log\n"
        );
    }
    #[test]
    fn what_a_mask_refuses_changes_and_what_a_record_masks_is_passed_over() {
        let manifests = Manifests::read(DIRECTORY.as_ref()).unwrap();
        let policy = manifests.compile("doors/bank").map_err(|error| format!("{error:#}"));
        let session = SessionId::random().unwrap();
        let Event::SessionStart(start) = samples::start("alice") else {
            panic!("no start")
        };
        let start: SessionStart = *start;
        let mut found = Found::default();
        let mut ran = |action: Action, rules: &[&str], text: &str| {
            let mut event = samples::command(1, "alice", "update", action, text);
            let Event::Command(command) = &mut event else {
                panic!("no command")
            };
            command.verdict.rules.truncate(rules.len());
            for (known, rule) in command.verdict.rules.iter_mut().zip(rules) {
                known.rule = (*rule).into();
            }
            let command = (**command).clone();
            let record = samples::record(7, &session, event);
            found.take(7, &record, &command, Some(&start), &policy);
        };
        let update = "UPDATE customers SET ssn = 'x' WHERE id = 7";
        ran(Action::Allow, &["everything-else"], update);
        ran(Action::Deny, &[], update);
        ran(
            Action::Allow,
            &["everything-else"],
            "UPDATE customers SET name = '[REDACTED]' WHERE id = 7",
        );
        let told = found.told();
        for words in [
            "2 commands judged again, 1 would get another verdict\n",
            "1 times: Allow by changes/everything-else\n  would be: Deny by customer-numbers\n",
            "1 could not be judged again: its text holds what masks show",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
