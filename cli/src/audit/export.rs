//! `audit export`: records for other programs.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use sallyport_audit::record::{Event, Person, Record};
use sallyport_audit::verify::Verdict;

use super::filter::{Filter, People, action};
use super::ocsf::Ocsf;
use super::reader::Reader;
use super::trust::{Copying, Flags};
use super::verify;
use crate::visible::{visible, visible_json};
use crate::{cluster, output};

/// Flags of `audit export`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: Flags,
    #[command(flatten)]
    filter: Filter,
    /// JSON: the records themselves, one a line. CSV: one row a record, with the columns that a spreadsheet wants; a
    /// cell that it would take for a formula has a quote in front, and a terminal is shown control characters as escapes. OCSF:
    /// one event of OCSF 1.3.0 a line, as SIEMs ingest it.
    #[arg(long, value_parser = ["json", "csv", "ocsf"], default_value = "json")]
    format: String,
}

const COLUMNS: &str = "index,time,namespace,connection,session,person,issuer,subject,kind,command,verdict,rules,risk,text,fate,rows,sqlstate,masked,approvers";

pub async fn run(cluster: &cluster::Flags, args: Args) -> Result<ExitCode> {
    let known = args.from.resolve(cluster, Copying::default()).await?;
    let (csv, as_ocsf) = (args.format == "csv", args.format == "ocsf");
    let origin = known
        .trust
        .as_ref()
        .map(|trust| trust.key().name().to_owned())
        .unwrap_or_default();
    let mut ocsf = Ocsf::default();
    let mut people = People::default();
    let mut lines = Vec::new();
    if csv {
        lines.push(COLUMNS.to_owned());
    }
    let mut reader = Reader::default();
    let report = verify::prove(&known, |index, leaf| {
        let Some(record) = reader.read(index, leaf) else { return };
        let person = people.of(&record);
        // Events join records that came before, wanted or not.
        let event = as_ocsf.then(|| ocsf.event(&origin, index, &record, leaf, person.as_ref()));
        if args.filter.takes(&record, person.as_ref()) {
            lines.push(if let Some(event) = event {
                event.to_string()
            } else if csv {
                row(index, &record, person.as_ref())
            } else {
                String::from_utf8_lossy(leaf).into_owned()
            });
        }
    })?;
    let obeyed = std::io::stdout().is_terminal();
    let printed = output::lines(lines.iter().map(|line| shown(line, csv, obeyed)));
    // Whoever has seen enough of the records is still told what they are worth.
    output::aside(verify::text(&report, &known.from).trim_end());
    if report.verdict() == Verdict::Refuted {
        return Ok(verify::exit(&report));
    }
    printed?;
    reader.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn row(index: u64, record: &Record, person: Option<&Person>) -> String {
    let connection = record.source.connection.as_ref();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let mut cells = vec![
        index.to_string(),
        record.time.to_string(),
        text(connection.map(|connection| connection.namespace.as_str())),
        text(connection.map(|connection| connection.name.as_str())),
        text(record.session.as_ref().map(|session| session.as_str())),
        text(person.map(|person| person.username.as_str())),
        text(person.map(|person| person.issuer.as_str())),
        text(person.map(|person| person.subject.as_str())),
        record.event.kind().to_owned(),
    ];
    cells.extend(details(&record.event));
    cells.iter().map(|cell| quote(cell)).collect::<Vec<_>>().join(",")
}

/// The columns from `command` on.
fn details(event: &Event) -> [String; 10] {
    let mut cells: [String; 10] = Default::default();
    let [
        number,
        verdict,
        rules,
        risk,
        text,
        fate,
        rows,
        sqlstate,
        masked,
        approvers,
    ] = &mut cells;
    match event {
        Event::Command(command) => {
            *number = command.command.to_string();
            *verdict = action(command.verdict.action).to_owned();
            *rules = command
                .verdict
                .rules
                .iter()
                .map(|rule| format!("{}/{}", rule.policy, rule.rule))
                .collect::<Vec<_>>()
                .join(" ");
            *risk = command.verdict.risk.to_string();
            *text = command.text.clone();
        }
        Event::Outcome(outcome) => {
            *number = outcome.command.to_string();
            *fate = serde_json::to_value(outcome.fate)
                .ok()
                .and_then(|fate| fate.as_str().map(str::to_owned))
                .unwrap_or_default();
            *rows = outcome.rows.to_string();
            *sqlstate = outcome.sqlstate.clone().unwrap_or_default();
            *masked = outcome
                .masked
                .iter()
                .map(|(by, count)| format!("{by}={count}"))
                .collect::<Vec<_>>()
                .join(" ");
        }
        Event::Approved(approved) => {
            *number = approved.command.to_string();
            *approvers = approved
                .approvers
                .iter()
                .map(|approver| approver.username.as_str())
                .collect::<Vec<_>>()
                .join(" ");
        }
        Event::Denied(denied) => {
            *number = denied.command.to_string();
            *approvers = denied
                .deniers
                .iter()
                .map(|denier| denier.username.as_str())
                .collect::<Vec<_>>()
                .join(" ");
        }
        Event::LoginRefused(refused) => *text = refused.detail.clone(),
        _ => {}
    }
    cells
}

/// A line as it is, unless a terminal would have what stands in it `obeyed`. JSON has escapes that programs read, CSV has none.
pub fn shown(line: &str, csv: bool, obeyed: bool) -> Cow<'_, str> {
    match (obeyed, csv) {
        (false, _) => line.into(),
        (true, true) => visible(line).into(),
        (true, false) => visible_json(line).into(),
    }
}

/// RFC 4180; a cell that a spreadsheet would take for a formula gets a quote in front.
fn quote(cell: &str) -> String {
    let guarded = match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::{quote, shown};

    #[test]
    fn cells_stay_cells() {
        for (cell, quoted) in [
            ("a", "a"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("=1+1", "'=1+1"),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(quote(cell), quoted);
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_and_a_file_gets_every_byte() {
        let line = quote("select '\u{1b}]0;x\u{7}\u{9b}2J\u{202e}',\n1");
        assert_eq!(shown(&line, true, false), line);
        assert_eq!(
            shown(&line, false, true),
            r#""select '\u001b]0;x\u0007\u009b2J\u202e',\u000a1""#
        );
        assert_eq!(
            shown(&line, true, true),
            r#""select '\u{1b}]0;x\u{7}\u{9b}2J\u{202e}',\n1""#
        );
    }
}
