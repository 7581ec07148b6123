//! `audit report`: one page of HTML for an examiner, with everything in it.
//!
//! The page loads nothing and runs nothing: no script, no image, no address outside itself, and a policy in its head that
//! forbids them. Whatever a client or an approver wrote is escaped by the one function that puts text on the page.

mod page;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use sallyport_audit::Time;
use sallyport_audit::verify::Verdict;

use super::filter::{Filter, People};
use super::reader::Reader;
use super::trust::{Copying, Flags};
use super::verify;
use crate::{cluster, output};
use page::Proof;
use story::Story;

/// Flags of `audit report`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: Flags,
    #[command(flatten)]
    filter: Filter,
    /// How many seconds to wait until the operator has cosigned everything that the recorder had when it was asked.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    wait: u64,
    /// Where the page goes; - for standard output.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
}

pub async fn run(cluster: &cluster::Flags, args: Args) -> Result<ExitCode> {
    let copying = Copying {
        save: None,
        wait: Duration::from_secs(args.wait),
    };
    let known = args.from.resolve(cluster, copying).await?;
    let (mut people, mut story) = (People::default(), Story::default());
    let mut reader = Reader::default();
    let report = verify::prove(&known, |index, leaf| {
        let Some(record) = reader.read(index, leaf) else { return };
        let person = people.of(&record);
        if args.filter.takes(&record, person.as_ref()) {
            story.tell(index, record, person);
        }
    })?;
    let checkpoint = std::fs::read_to_string(known.dir.join("checkpoint")).unwrap_or_default();
    let proof = Proof {
        report: &report,
        from: &known.from,
        key: known
            .trust
            .as_ref()
            .map(|trust| trust.key().to_string())
            .unwrap_or_default(),
        witness: known
            .trust
            .as_ref()
            .and_then(|trust| Some(trust.witness()?.to_string())),
        checkpoint,
        made: Time::now(),
        asked: [Some(args.filter.words()), reader.words()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; "),
    };
    let html = page::render(&story, &proof);
    if args.output.as_os_str() == "-" {
        output::text(html)?;
    } else {
        std::fs::write(&args.output, html).with_context(|| args.output.display().to_string())?;
        output::aside(format_args!("{} written", args.output.display()));
    }
    output::aside(verify::text(&report, &known.from).trim_end());
    // A refuted log is told as such by the status, too: a record that nobody can read must not hide that.
    if report.verdict() != Verdict::Refuted {
        reader.finish()?;
    }
    Ok(verify::exit(&report))
}

#[cfg(test)]
mod tests;
