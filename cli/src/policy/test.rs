//! `test`: declared cases against manifests, without a cluster, for a pipeline.
//!
//! Cases stand in YAML documents without a kind, beside the manifests or below them:
//!
//! ```yaml
//! tables: {public.customers: [id, name, ssn]}
//! cases:
//!   - name: deleting needs a second person
//!     connection: bank
//!     as: {user: "oidc:alice", groups: ["oidc:engineers"]}
//!     statement: DELETE FROM accounts WHERE id = 7
//!     expect: {verdict: RequireApproval, rule: changes/delete-needs-a-dba}
//! ```

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use sallyport_crds::Duration;
use sallyport_crds::approval_policy::RuleAction;
use sallyport_policy::Subject;
use sallyport_policy::decide::Parameter;
use sallyport_policy::subject::Agent;
use serde::Deserialize;

use super::judge::{Asked, Tables, action, deciders, judge, kept_out, strictest};
use super::manifests::Manifests;
use crate::output;

/// Flags of test.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory with manifests and cases.
    directory: PathBuf,
    /// Write the results as JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A document of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    /// Columns of tables, for masks and for rules that look at columns.
    #[serde(default)]
    tables: Tables,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    connection: String,
    r#as: Person,
    statement: String,
    #[serde(default)]
    parameters: Bound,
    #[serde(default)]
    database: String,
    /// When it is asked; now if left out.
    #[serde(default)]
    at: Option<jiff::Timestamp>,
    expect: Expected,
}

/// What is bound: the values as text (or null), or how many there are of which nobody says more.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Bound {
    Count(usize),
    Values(Vec<Option<String>>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Person {
    user: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    agents: Vec<String>,
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    email: Option<String>,
    /// Whether their own token names the agents (`act`, `may_act`): then nobody asks `spec.agents` of the Connection.
    #[serde(default)]
    token_names_agents: bool,
    /// How long ago they logged in; just now if left out.
    #[serde(default)]
    login_age: Option<Duration>,
    /// The address that they come from.
    #[serde(default)]
    source: Option<String>,
}

/// What is not named is not looked at; something is, or the case could not fail.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    verdict: Option<RuleAction>,
    /// `policy/rule`, one of those that decided, or the name of the MaskingRule that refuses; empty text for none.
    #[serde(default)]
    rule: Option<String>,
    /// Output columns that are masked, all of them.
    #[serde(default)]
    masked: Option<Vec<String>>,
    #[serde(default)]
    read_only: Option<bool>,
    #[serde(default)]
    admitted: Option<bool>,
    #[serde(default)]
    risk: Option<u8>,
}

/// A case that was tried.
struct Tried {
    file: String,
    name: String,
    /// What is otherwise than expected.
    failures: Vec<String>,
    /// Why what was tried would never be asked, where the case does not say itself whether it would.
    note: Option<String>,
}

/// Tries all cases. Exit status 1 if any is otherwise than expected.
///
/// # Errors
/// When a file cannot be read, or there is no case.
pub fn run(args: &Args) -> Result<ExitCode> {
    let tried = try_all(&Manifests::read(&args.directory)?)?;
    let failed = tried.iter().filter(|one| !one.failures.is_empty()).count();
    let mut lines = Vec::new();
    for one in &tried {
        let word = if one.failures.is_empty() { "ok  " } else { "FAIL" };
        lines.push(format!("{word}  {}: {}", one.file, one.name));
        let told = one.failures.iter().chain(&one.note);
        lines.extend(told.map(|told| format!("      {told}")));
    }
    lines.push(format!("{} cases, {failed} failed", tried.len()));
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&tried)).with_context(|| file.display().to_string())?;
    }
    output::lines(lines)?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn try_all(manifests: &Manifests) -> Result<Vec<Tried>> {
    let mut tried = Vec::new();
    for (path, document) in manifests
        .others
        .iter()
        .filter(|(_, value)| value.get("cases").is_some())
    {
        let cases: Cases =
            serde_json::from_value(document.clone()).with_context(|| format!("cases in {}", path.display()))?;
        for case in &cases.cases {
            let (failures, note) = match compared(manifests, &cases.tables, case) {
                Ok(compared) => compared,
                Err(error) => (vec![format!("{error:#}")], None),
            };
            tried.push(Tried {
                file: path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                name: case.name.clone(),
                failures,
                note,
            });
        }
    }
    if tried.is_empty() {
        bail!("no cases were found: they stand in YAML documents with a list `cases`");
    }
    Ok(tried)
}

/// What is otherwise than expected, and why it would never be asked.
fn compared(manifests: &Manifests, tables: &Tables, case: &Case) -> Result<(Vec<String>, Option<String>)> {
    ensure!(
        case.expect != Expected::default(),
        "expect names nothing, so that the case could not fail"
    );
    let policy = manifests.compile(&case.connection)?;
    let at = case.at.unwrap_or_else(jiff::Timestamp::now).as_second();
    let subject = subject(&case.r#as, at);
    let parameters = case.parameters.parameters();
    let asked = Asked {
        policy: &policy,
        subject: &subject,
        tables,
        recorded: None,
        database: &case.database,
        parameters: &parameters,
        at,
    };
    let judged = judge(&asked, &case.statement)?;
    let decisive = strictest(&judged).context("there is no statement in it")?;
    let verdict = &decisive.decision.verdict;
    let mut failures = Vec::new();
    let mut compare = |what: &str, wanted: Option<String>, got: String| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != got) {
            failures.push(format!("{what}: wanted {wanted}, got {got}"));
        }
    };
    let expected = &case.expect;
    compare(
        "verdict",
        expected.verdict.map(|wanted| format!("{wanted:?}")),
        format!("{:?}", action(verdict)),
    );
    let by = deciders(verdict);
    let wanted = expected.rule.clone().filter(|wanted| !by.contains(wanted));
    compare("rule", wanted, by.join(", "));
    let masked = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        names.join(", ")
    };
    let got = judged
        .iter()
        .flat_map(|one| &one.masked)
        .map(|(name, _)| name.clone())
        .collect();
    compare("masked", expected.masked.clone().map(masked), masked(got));
    let flag = |flag: bool| flag.to_string();
    compare("readOnly", expected.read_only.map(flag), flag(verdict.read_only()));
    let kept_out = kept_out(&policy, &subject, case.r#as.token_names_agents);
    compare("admitted", expected.admitted.map(flag), flag(kept_out.is_none()));
    let risk = decisive.decision.risk;
    compare("risk", expected.risk.map(|risk| risk.to_string()), risk.to_string());
    let note = kept_out.filter(|_| expected.admitted.is_none());
    Ok((failures, note))
}

// === impl Bound ===

impl Bound {
    fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Count(count) => vec![Parameter::Unreadable; *count],
            Self::Values(values) => {
                let each = values.iter().cloned();
                each.map(|value| value.map_or(Parameter::Null, Parameter::Text))
                    .collect()
            }
        }
    }
}

impl Default for Bound {
    fn default() -> Self {
        Self::Count(0)
    }
}

fn subject(person: &Person, at: i64) -> Subject {
    let age = person.login_age.map_or(0, |age| age.get().as_secs());
    let agent = |name: &String| Agent {
        username: name.clone(),
        subject: name.clone(),
        ..Agent::default()
    };
    Subject {
        username: person.user.clone(),
        groups: person.groups.clone(),
        issuer: person.issuer.clone(),
        subject: person.user.clone(),
        email: person.email.clone(),
        agents: person.agents.iter().map(agent).collect(),
        authenticated_at: at.checked_sub(i64::try_from(age).unwrap_or(i64::MAX)),
        source: person.source.clone(),
    }
}

/// The results in the form that pipelines read.
fn junit(tried: &[Tried]) -> String {
    let failed = tried.iter().filter(|one| !one.failures.is_empty()).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"sallyport policies\" tests=\"{}\" failures=\"{failed}\">",
        tried.len()
    );
    for one in tried {
        let _ = write!(
            out,
            "  <testcase classname=\"{}\" name=\"{}\"",
            escaped(&one.file),
            escaped(&one.name)
        );
        match one.failures.as_slice() {
            [] => out += "/>\n",
            failures => {
                let _ = writeln!(
                    out,
                    "><failure message=\"{}\"/></testcase>",
                    escaped(&failures.join("; "))
                );
            }
        }
    }
    out + "</testsuite>\n"
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            // XML 1.0 has no way to write them.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
