//! `audit verify`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use sallyport_audit::store::Dir;
use sallyport_audit::verify::{Report, Trust, Verdict, verify};

use super::attested::Tally;
use super::trust::{Copying, Flags, Known};
use crate::{cluster, output};

/// Flags of `audit verify`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: Flags,
    /// Keep the copy that is made of a remote log in this directory.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// How many seconds to wait until the operator has cosigned everything that the recorder had when it was asked.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    wait: u64,
    /// Print the report as one JSON object.
    #[arg(short, long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

/// Exit status of an unproven log.
const UNPROVEN: u8 = 3;
/// Exit status of a refuted log.
const REFUTED: u8 = 4;

pub async fn run(cluster: &cluster::Flags, args: Args) -> Result<ExitCode> {
    let copying = Copying {
        save: args.save.as_deref(),
        wait: Duration::from_secs(args.wait),
    };
    let known = args.from.resolve(cluster, copying).await?;
    let mut people = Tally::default();
    let report = prove(&known, |_, leaf| people.take(leaf))?;
    // What a refuted log says of people is worth nothing.
    let people = (report.verdict() != Verdict::Refuted).then_some(people);
    if args.output == "json" {
        output::line(json(&report, &known.from, people))?;
    } else {
        let people = people.map(|people| people.text()).unwrap_or_default();
        output::text(format_args!("{}{people}", text(&report, &known.from)))?;
        if let Some(dir) = &args.save {
            output::line(format_args!("copy kept in {}", dir.display()))?;
        }
    }
    Ok(exit(&report))
}

/// Verifies a log, with or without anything to hold it against.
pub fn prove(known: &Known, visit: impl FnMut(u64, &[u8])) -> Result<Report> {
    let Some(trust) = &known.trust else {
        anyhow::bail!("no key is known from outside the log: give --key, or --sink whose status has one");
    };
    Ok(verify(&Dir::new(&known.dir), trust as &Trust, visit)?)
}

/// The exit status that says it.
pub fn exit(report: &Report) -> ExitCode {
    match report.verdict() {
        Verdict::Proven => ExitCode::SUCCESS,
        Verdict::Unproven => ExitCode::from(UNPROVEN),
        Verdict::Refuted => ExitCode::from(REFUTED),
    }
}

/// The report for people.
pub fn text(report: &Report, from: &str) -> String {
    let mut out = format!("{}  {}\n", report.verdict(), report.origin);
    for finding in &report.findings {
        out += &format!("  - {finding}\n");
    }
    if report.proven == 0 && report.findings.is_empty() {
        out += &format!(
            "{} records, none of them vouched for from outside (by {from})\n",
            report.records
        );
    } else {
        out += &format!("{} of {} records are proven by {from}\n", report.proven, report.records);
    }
    if report.findings.is_empty()
        && let Some(words) = pruned(report)
    {
        out += &words;
        out.push('\n');
    }
    if report.proven > 0 && report.unproven() > 0 && report.findings.is_empty() {
        out += &format!(
            "{} newer ones are signed by the log's own key and follow the proven ones unchanged, but nobody outside has seen them yet\n",
            report.unproven()
        );
    }
    out
}

/// What the log says of records that are gone; nothing where none are.
pub fn pruned(report: &Report) -> Option<String> {
    let by = report.pruned_by.filter(|_| report.pruned > 0)?;
    let kept = match report.pruned_after.unwrap_or_default() {
        secs if secs >= 2 * 86_400 => format!("{} days", secs / 86_400),
        secs => format!("{secs} s"),
    };
    let whose = if report.pruning_proven() {
        ""
    } else {
        ", which nobody outside has seen yet"
    };
    Some(format!(
        "of the first {} only the hashes are left: they were kept for {kept} and removed, as the log says in record {by}{whose}",
        report.pruned
    ))
}

/// `people`: nothing is said of them where the log is refuted.
fn json(report: &Report, from: &str, people: Option<Tally>) -> String {
    let verdict = report.verdict().to_string().to_lowercase();
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "verdict": verdict, "origin": report.origin, "records": report.records, "proven": report.proven,
        "unproven": report.unproven(), "provenBy": from, "findings": findings,
        "removed": report.pruned, "removedAfterSeconds": report.pruned_after, "removalProven": report.pruning_proven(),
        "sessions": people.as_ref().map(|people| people.sessions),
        "confirmedByRecorder": people.as_ref().map(|people| people.proved),
        "notTakenByRecorder": people.as_ref().map(|people| people.refused),
        "commandsOfOthers": people.as_ref().map(|people| people.strangers),
        "recordsNotRead": people.as_ref().map(|people| people.unread),
    })
    .to_string()
}
