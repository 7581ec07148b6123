//! `audit show`: records in their order, and how far they are proven.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use sallyport_audit::verify::Verdict;

use super::export::shown;
use super::filter::{Filter, People};
use super::reader::Reader;
use super::trust::{Copying, Flags};
use super::{print, verify};
use crate::{cluster, output};

/// Flags of `audit show`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: Flags,
    #[command(flatten)]
    filter: Filter,
    /// One line a record for people, or the records themselves, one JSON object a line.
    #[arg(short, long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

pub async fn run(cluster: &cluster::Flags, args: Args) -> Result<ExitCode> {
    let known = args.from.resolve(cluster, Copying::default()).await?;
    let json = args.output == "json";
    let mut people = People::default();
    let mut lines = Vec::new();
    let mut reader = Reader::default();
    let report = verify::prove(&known, |index, leaf| {
        let Some(record) = reader.read(index, leaf) else { return };
        let person = people.of(&record);
        if args.filter.takes(&record, person.as_ref()) {
            let line = if json {
                String::from_utf8_lossy(leaf).into_owned()
            } else {
                print::line(index, &record, person.as_ref())
            };
            lines.push(line);
        }
    })?;
    let obeyed = json && std::io::stdout().is_terminal();
    let mut printed = output::lines(lines.iter().map(|line| shown(line, false, obeyed)));
    // The proof is part of the answer: on standard output for people; aside for programs, whoever reads them and has seen enough.
    let proof = verify::text(&report, &known.from);
    if json {
        output::aside(proof.trim_end());
    } else {
        printed = printed.and_then(|()| output::text(format_args!("\n{proof}")));
    }
    if report.verdict() == Verdict::Refuted && (json || printed.is_ok()) {
        return Ok(verify::exit(&report));
    }
    printed?;
    reader.finish()?;
    Ok(ExitCode::SUCCESS)
}
