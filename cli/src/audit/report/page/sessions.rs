//! Who did what: sessions, and the commands of each.

use sallyport_audit::record::{Action, Fate};

use super::cells::{place, rules, seconds};
use super::markup::Page;
use crate::audit::attested::words;
use crate::audit::filter::action;
use crate::audit::print::{not_run, word};
use crate::audit::report::story::{Asked, Session, Story};

/// Commands that are listed; more are counted, and `audit export` has all of them.
const LISTED: usize = 20_000;

/// Every session with its commands.
pub fn sessions(page: &mut Page, story: &Story) {
    page.raw("<h2>Who did what</h2>");
    let mut room = LISTED;
    for session in &story.sessions {
        session_of(page, session, &mut room);
    }
    if story.sessions.is_empty() {
        page.raw("<p class=soft>No session.</p>");
    }
}

fn session_of(page: &mut Page, session: &Session, room: &mut usize) {
    page.raw("<details class=session")
        .raw(if session.commands.len() <= 50 { " open" } else { "" });
    page.raw("><summary>")
        .text(session.name())
        .raw(" <span>at ")
        .text(&session.first.connection);
    page.raw(", ").text(&seconds(session.first.time));
    match &session.end {
        Some((time, cause)) => page.raw(" to ").text(&seconds(*time)).raw(", ").text(&word(cause)),
        None => page.raw(", still open here"),
    };
    page.text(&format!(", {} commands", session.commands.len()))
        .raw("</span></summary><p class=soft>session ");
    page.text(session.id.as_str());
    if let Some(start) = &session.start {
        let database = start.claims.database.as_deref().unwrap_or("-");
        page.text(&format!(
            " from {} to {} (database {database})",
            start.client, start.target
        ));
        page.text(&format!(
            "; subject {} of {}",
            start.person.subject, start.person.issuer
        ));
        if !start.groups.is_empty() {
            page.text(&format!("; groups {}", start.groups.join(", ")));
        }
        for agent in &start.agents {
            page.text(&format!("; acted for by {}", agent.name()));
        }
    }
    page.text("; ").text(&match &session.attested {
        Some(attested) => words(attested),
        None => "not confirmed: the recorder checked no token".to_owned(),
    });
    if session.mixed {
        page.text("; it has commands of somebody else, or began twice: its door does not tell the truth");
    }
    page.raw("</p>");
    if session.commands.is_empty() {
        page.raw("</details>");
        return;
    }
    page.heads(&[
        "#",
        "time",
        "verdict",
        "risk",
        "rule",
        "command",
        "what came of it",
        "rows",
        "masked",
    ]);
    for asked in session.commands.values() {
        let Some(left) = room.checked_sub(1) else { break };
        *room = left;
        asked_of(page, asked);
    }
    page.end_table();
    if *room == 0 {
        page.raw("<p class=soft>More commands are counted than listed here: `kubectl sallyport audit export` has all of them.</p>");
    }
    page.raw("</details>");
}

fn asked_of(page: &mut Page, asked: &Asked) {
    let (Some(command), Some(told)) = (&asked.command, &asked.told) else {
        return;
    };
    page.raw("<tr>");
    place(page, told);
    page.raw("<td>").tag(action(command.verdict.action)).raw("</td>");
    page.number(&command.verdict.risk.to_string()).cell(&rules(asked));
    page.code(&command.text).raw("<td>");
    match &asked.outcome {
        Some(outcome) => {
            page.tag(fate(outcome.fate)).text(not_run(outcome.why));
            if let Some(sqlstate) = &outcome.sqlstate {
                page.raw(" SQLSTATE ").text(sqlstate);
            }
            let masked: Vec<String> = outcome
                .masked
                .iter()
                .map(|(by, count)| format!("{by} {count}"))
                .collect();
            page.raw("</td>")
                .number(&outcome.rows.to_string())
                .cell(&masked.join(", "));
        }
        None => {
            let words = if command.verdict.action == Action::Deny {
                "refused"
            } else {
                "no outcome on record"
            };
            page.raw(words).raw("</td><td></td><td></td>");
        }
    }
    page.raw("</tr>");
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Executed => "executed",
        Fate::Failed => "failed",
        Fate::NotRun => "did not run",
        Fate::Unknown => "unknown",
    }
}
