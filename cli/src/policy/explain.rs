//! `explain`: what would this command get, by which rule, and why.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use sallyport_crds::subject::some_of;
use sallyport_policy::decide::{Explanation, Parameter, Requirement, Verdict};
use sallyport_policy::subject::Agent;
use sallyport_policy::{Policy, Subject};

use super::judge::{Asked, Judged, Tables, action, deciders, judge, kept_out};
use super::manifests::Manifests;
use crate::cluster::Flags;
use crate::output;

/// Flags of explain.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Connection, as NAME or NAMESPACE/NAME.
    #[arg(long, value_name = "CONNECTION")]
    connection: String,
    /// Who asks, as the API server would name them, such as oidc:alice.
    #[arg(long = "as", value_name = "USER")]
    user: String,
    /// A group of theirs. May be given several times.
    #[arg(long = "as-group", value_name = "GROUP")]
    groups: Vec<String>,
    /// An agent that acts for them, nearest to the door first. May be given several times.
    #[arg(long = "agent", value_name = "AGENT")]
    agents: Vec<String>,
    /// The address that they come from, for rules that look at it.
    #[arg(long = "from", value_name = "ADDRESS")]
    source: Option<String>,
    /// The objects of this directory instead of the cluster's.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// A table of the target with its columns, such as public.customers=id,name,ssn. May be given several times.
    #[arg(long = "table", value_name = "SCHEMA.TABLE=COLUMN,…")]
    tables: Vec<Table>,
    /// The database.
    #[arg(long, default_value = "")]
    database: String,
    /// What would be bound as its next parameter, as text. May be given several times.
    #[arg(long = "parameter", value_name = "TEXT")]
    parameters: Vec<String>,
    /// The text that would be sent.
    statement: String,
}

/// A table as it is given on the command line.
#[derive(Clone, Debug)]
struct Table(String, Vec<String>);

/// Says what every statement of the text would get. Nothing is run, and no target is asked.
///
/// # Errors
/// When the objects cannot be read, or the text does not parse.
pub async fn run(flags: &Flags, args: Args) -> Result<ExitCode> {
    let manifests = match &args.manifests {
        Some(directory) => Manifests::read(directory)?,
        None => {
            let (client, namespace) = flags.client().await?;
            let home = args
                .connection
                .split_once('/')
                .map_or(namespace.as_str(), |(home, _)| home);
            Manifests::of_cluster(&client, home).await?
        }
    };
    let notes = manifests.not_in_force();
    output::text(explained(&manifests, args)?)?;
    notes
        .iter()
        .for_each(|note| output::aside(format_args!("note: {note}")));
    Ok(ExitCode::SUCCESS)
}

/// What it says, under these objects.
fn explained(manifests: &Manifests, args: Args) -> Result<String> {
    let policy = manifests.compile(&args.connection)?;
    let now = jiff::Timestamp::now().as_second();
    let subject = Subject {
        username: args.user,
        groups: args.groups,
        agents: args.agents.into_iter().map(agent).collect(),
        authenticated_at: Some(now),
        source: args.source,
        ..Subject::default()
    };
    let tables: Tables = args
        .tables
        .into_iter()
        .map(|Table(name, columns)| (name, columns))
        .collect();
    let parameters: Vec<Parameter> = args.parameters.into_iter().map(Parameter::Text).collect();
    let asked = Asked {
        policy: &policy,
        subject: &subject,
        tables: &tables,
        recorded: None,
        database: &args.database,
        parameters: &parameters,
        at: now,
    };
    let mut out = kept_out(&policy, &subject, false)
        .map(|why| why + "\n\n")
        .unwrap_or_default();
    for one in judge(&asked, &args.statement)? {
        out += &told(&one);
    }
    out += &contested(&policy, &subject);
    Ok(out)
}

fn agent(name: String) -> Agent {
    Agent {
        subject: name.clone(),
        username: name,
        ..Agent::default()
    }
}

/// One statement's verdict in words.
fn told(judged: &Judged) -> String {
    let Judged {
        command,
        decision,
        explanations,
        masked,
        provided,
        ..
    } = judged;
    let mut out = String::new();
    let verbs: Vec<&str> = command.verbs.iter().map(|verb| verb.name()).collect();
    let _ = writeln!(out, "{}", command.text);
    let _ = writeln!(
        out,
        "  does: {}; touches: {}; risk {}",
        list(&verbs),
        list(&command.tables),
        decision.risk
    );
    if !command.opaque.is_empty() {
        let _ = writeln!(out, "  cannot be seen into: {}", list(&command.opaque));
    }
    for explanation in explanations {
        let _ = writeln!(out, "  {}", policy(explanation));
    }
    let by = deciders(&decision.verdict);
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(" by {}", by.join(", "))
    };
    // What is found otherwise may have a door refuse, and no more than that.
    let hangs_on: &[String] = match decision.verdict {
        Verdict::Deny(_) => &[],
        Verdict::Allow(_) | Verdict::Hold(_) => provided,
    };
    let that = if hangs_on.is_empty() { "" } else { ", provided that" };
    let _ = writeln!(out, "  verdict: {:?}{by}{that}", action(&decision.verdict));
    for one in hangs_on {
        let _ = writeln!(out, "    {one}");
    }
    let _ = write!(out, "{}", consequences(&decision.verdict));
    for (column, rules) in masked {
        let _ = writeln!(out, "  column {column} is masked by {}", winner(rules));
    }
    out.push('\n');
    out
}

/// What rules disagree about wherever they find it.
fn contested(policy: &Policy, subject: &Subject) -> String {
    let mut out = String::new();
    for one in policy.masks().contested(&policy.exempt(subject)) {
        let rules = one
            .rules
            .iter()
            .map(|(name, action)| format!("{name} ({})", action.name()));
        let rules: Vec<String> = rules.collect();
        let _ = writeln!(out, "{} in any value is masked by {}", one.what, winner(&rules));
    }
    out
}

/// The rule that acts on something, and those that it wins over.
fn winner(rules: &[String]) -> String {
    match rules {
        [first, others @ ..] if !others.is_empty() => format!("{first}, which wins over {}", others.join(", ")),
        rules => rules.join(", "),
    }
}

fn policy(explanation: &Explanation) -> String {
    let observes = if explanation.observe { " (only observes)" } else { "" };
    if !explanation.applies {
        return format!("policy {}{observes}: not about this person", explanation.policy);
    }
    let tried = explanation.tried.iter().map(|(rule, outcome)| match outcome {
        Ok(true) => format!("{rule} matches"),
        Ok(false) => format!("{rule} does not"),
        Err(error) => format!("{rule} cannot be evaluated, which denies: {error}"),
    });
    let says = match explanation.says {
        Some(says) => format!("{says:?}"),
        None => "nothing".to_owned(),
    };
    let hidden = match explanation.hidden.as_slice() {
        [] => String::new(),
        rules => format!("; for what cannot be seen into: {}", rules.join(", ")),
    };
    format!(
        "policy {}{observes} says {says}: {}{hidden}",
        explanation.policy,
        tried.collect::<Vec<_>>().join(", ")
    )
}

fn consequences(verdict: &Verdict) -> String {
    let mut out = String::new();
    if verdict.read_only() {
        out += "  it would run in a read-only transaction\n";
    }
    match verdict {
        Verdict::Allow(_) => {}
        Verdict::Deny(denial) => {
            let _ = writeln!(out, "  because: {}", denial.reason);
        }
        Verdict::Hold(hold) => {
            for requirement in &hold.requirements {
                let _ = writeln!(out, "  needs {}", needs(requirement));
            }
            let _ = writeln!(
                out,
                "  an approval allows {:?}{}; the client {}",
                hold.scope(),
                hold.valid_for()
                    .map(|time| format!(" for {time:?}"))
                    .unwrap_or_default(),
                match hold.on_hold() {
                    sallyport_crds::approval_policy::OnHold::Wait => format!("waits up to {:?}", hold.wait(false)),
                    sallyport_crds::approval_policy::OnHold::Refuse => "is refused and comes again".to_owned(),
                }
            );
            if hold.break_glass.is_some() {
                out += "  or goes ahead at once by sallyport.break_glass, to be reviewed\n";
            }
        }
    }
    out
}

fn needs(requirement: &Requirement) -> String {
    let who = some_of(requirement.required, &requirement.approvers);
    match &requirement.message {
        Some(message) => format!("{who} ({message})"),
        None => who,
    }
}

fn list(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    }
}

impl std::str::FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?}: write SCHEMA.TABLE=COLUMN,COLUMN");
        let (name, columns) = text.split_once('=').ok_or_else(form)?;
        if name.split('.').count() != 2 {
            return Err(form());
        }
        Ok(Self(name.to_owned(), columns.split(',').map(str::to_owned).collect()))
    }
}

#[cfg(test)]
mod masked;
#[cfg(test)]
mod tests;
