//! The page itself.

use sallyport_audit::Time;
use sallyport_audit::record::{Action, Fate};
use sallyport_audit::verify::{Report, Verdict};

use super::story::{Answer, Asked, Session, Story, Told};
use crate::audit::attested::words;
use crate::audit::filter::action;
use crate::audit::print::{not_run, plain, word};

const STYLE: &str = include_str!("style.css");
/// Nothing may be loaded or run, whatever stands on the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/// Commands that are listed; more are counted, and `audit export` has all of them.
const LISTED: usize = 20_000;

/// What the page says about the log itself.
pub struct Proof<'a> {
    /// What verification came to.
    pub report: &'a Report,
    /// What it was held against.
    pub from: &'a str,
    /// The log's key.
    pub key: String,
    /// The operator's key.
    pub witness: Option<String>,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
    /// When the page was made.
    pub made: Time,
    /// What was asked for, in words.
    pub asked: String,
}

/// A page as it grows.
struct Page(String);

impl Page {
    /// Markup of our own.
    fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of anybody's: the only way that anything but our own markup gets onto the page.
    fn text(&mut self, text: &str) -> &mut Self {
        for c in plain(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    fn cell(&mut self, text: &str) -> &mut Self {
        self.raw("<td>").text(text).raw("</td>")
    }

    fn number(&mut self, text: &str) -> &mut Self {
        self.raw("<td class=n>").text(text).raw("</td>")
    }

    fn code(&mut self, text: &str) -> &mut Self {
        self.raw("<td><code>").text(text).raw("</code></td>")
    }

    /// A word of a closed set, coloured by what it is.
    fn tag(&mut self, word: &'static str) -> &mut Self {
        self.raw("<span class=\"tag ")
            .raw(word)
            .raw("\">")
            .raw(word)
            .raw("</span>")
    }

    fn heads(&mut self, names: &[&str]) -> &mut Self {
        self.raw("<div class=wide><table><thead><tr>");
        for name in names {
            self.raw("<th>").raw(name).raw("</th>");
        }
        self.raw("</tr></thead><tbody>")
    }

    fn end_table(&mut self) -> &mut Self {
        self.raw("</tbody></table></div>")
    }
}

/// The whole page.
pub fn render(story: &Story, proof: &Proof<'_>) -> String {
    let mut page = Page(String::new());
    page.raw("<!doctype html>\n<html lang=en><head><meta charset=utf-8>");
    page.raw("<meta http-equiv=Content-Security-Policy content=\"")
        .raw(POLICY)
        .raw("\">");
    page.raw(
        "<meta name=referrer content=no-referrer><meta name=viewport content=\"width=device-width,initial-scale=1\">",
    );
    page.raw("<title>Evidence: ")
        .text(&proof.report.origin)
        .raw("</title><style>")
        .raw(STYLE);
    page.raw("</style></head><body><main>");
    head(&mut page, story, proof);
    proved(&mut page, proof);
    approvals(&mut page, story);
    blocks(&mut page, story);
    masks(&mut page, story);
    refused(&mut page, story);
    sessions(&mut page, story);
    log(&mut page, story);
    page.raw("</main></body></html>\n");
    page.0
}

fn head(page: &mut Page, story: &Story, proof: &Proof<'_>) {
    page.raw("<h1>Evidence of privileged access</h1><p class=soft>")
        .text(&proof.report.origin);
    if let Some((from, to)) = story.period {
        page.raw("<br>records from ")
            .text(&seconds(from))
            .raw(" to ")
            .text(&seconds(to));
    }
    page.raw("; page made ")
        .text(&seconds(proof.made))
        .raw("<br>")
        .text(&proof.asked)
        .raw("</p><div class=cards>");
    let answers = |kind: &str| {
        let all = story.commands().flat_map(|(_, asked)| &asked.answers);
        all.filter(|answer| answer.kind == kind).count()
    };
    let unconfirmed = story.sessions.iter().filter(|session| !session.confirmed());
    let cards: [(&str, u64); 9] = [
        ("sessions", story.sessions.len() as u64),
        ("by the door's word alone", unconfirmed.count() as u64),
        ("commands", story.commands().count() as u64),
        ("denied by rule", story.verdicts(Action::Deny) as u64),
        ("held for a second person", story.verdicts(Action::Hold) as u64),
        ("approved", answers("approved") as u64),
        ("break-glass", answers("break-glass") as u64),
        ("fields masked", story.masked().values().sum()),
        ("logins refused", story.refused.len() as u64),
    ];
    for (name, count) in cards {
        page.raw("<div><b>")
            .text(&count.to_string())
            .raw("</b>")
            .raw(name)
            .raw("</div>");
    }
    page.raw("</div>");
}

fn proved(page: &mut Page, proof: &Proof<'_>) {
    let report = proof.report;
    let (class, words) = match report.verdict() {
        Verdict::Proven => (
            "proven",
            "Proven: no record up to the checkpoint was added, changed, moved or removed.",
        ),
        Verdict::Unproven => (
            "unproven",
            "Unproven: nothing is wrong with the log, and nobody outside it vouches for it.",
        ),
        Verdict::Refuted => ("refuted", "Refuted: this log is not the one that was written."),
    };
    page.raw("<h2>The proof</h2><section class=\"proof ")
        .raw(class)
        .raw("\"><p class=verdict>")
        .raw(words)
        .raw("</p><p>");
    page.text(&format!(
        "{} of {} records are proven by {}.",
        report.proven, report.records, proof.from
    ));
    if report.unproven() > 0 && report.findings.is_empty() {
        page.text(&format!(
            " {} newer ones are signed by the log's own key and follow the proven ones unchanged; nobody outside has seen them yet.",
            report.unproven()
        ));
    }
    page.raw("</p>");
    if !report.findings.is_empty() {
        page.raw("<ul>");
        for finding in &report.findings {
            page.raw("<li>").text(&finding.to_string()).raw("</li>");
        }
        page.raw("</ul>");
    }
    page.raw("<p class=soft>Records are leaves of an RFC 6962 Merkle tree in C2SP tlog-tiles form; the checkpoint is a C2SP signed note. Any such tool can check it, with keys that were kept elsewhere:</p><pre>");
    for line in proof.checkpoint.lines() {
        page.text(line).raw("\n");
    }
    page.raw("</pre><p class=soft>log key <code>")
        .text(&proof.key)
        .raw("</code>");
    if let Some(witness) = &proof.witness {
        page.raw("<br>operator's key for cosignatures <code>")
            .text(witness)
            .raw("</code>");
    }
    page.raw("</p></section>");
}

fn approvals(page: &mut Page, story: &Story) {
    page.raw("<h2>Second people</h2>");
    let all: Vec<(&Session, &Asked, &Answer)> = story
        .commands()
        .flat_map(|(session, asked)| asked.answers.iter().map(move |answer| (session, asked, answer)))
        .collect();
    if all.is_empty() {
        page.raw("<p class=soft>Nobody was asked.</p>");
        return;
    }
    page.raw("<section>").heads(&[
        "#",
        "time",
        "who asked",
        "command",
        "what happened",
        "by whom",
        "request",
    ]);
    for (session, asked, answer) in all {
        page.raw("<tr>");
        place(page, &answer.told);
        page.cell(session.name());
        page.code(asked.command.as_ref().map_or("", |command| command.text.as_str()));
        page.raw("<td>")
            .tag(answer.kind)
            .raw(" ")
            .text(&answer.words)
            .raw("</td><td>");
        for person in &answer.people {
            page.text(&person.username);
            if let Some(reason) = &person.reason {
                page.raw(": ").text(reason);
            }
            page.raw("<br>");
        }
        page.raw("</td>");
        page.cell(answer.request.as_ref().map_or("", |request| request.name.as_str()));
        page.raw("</tr>");
    }
    page.end_table().raw("</section>");
}

fn blocks(page: &mut Page, story: &Story) {
    page.raw("<h2>Blocked</h2>");
    let denied = |(_, asked): &(&Session, &Asked)| asked.action() == Some(Action::Deny);
    if !story.commands().any(|found| denied(&found)) {
        page.raw("<p class=soft>No command was denied.</p>");
        return;
    }
    page.raw("<section>")
        .heads(&["#", "time", "who", "command", "why", "rule"]);
    for (session, asked) in story.commands().filter(denied) {
        let (Some(command), Some(told)) = (&asked.command, &asked.told) else {
            continue;
        };
        page.raw("<tr>");
        place(page, told);
        page.cell(session.name()).code(&command.text);
        page.cell(command.verdict.reason.as_deref().unwrap_or(""));
        page.cell(&rules(asked)).raw("</tr>");
    }
    page.end_table().raw("</section>");
}

fn masks(page: &mut Page, story: &Story) {
    page.raw("<h2>Masked</h2>");
    let masked = story.masked();
    if masked.is_empty() {
        page.raw("<p class=soft>No field was masked.</p>");
        return;
    }
    page.raw("<section>").heads(&["rule / what was recognised", "fields"]);
    for (by, count) in masked {
        page.raw("<tr>").cell(&by).number(&count.to_string()).raw("</tr>");
    }
    page.end_table().raw("</section>");
}

fn refused(page: &mut Page, story: &Story) {
    page.raw("<h2>Logins refused</h2>");
    if story.refused.is_empty() {
        page.raw("<p class=soft>Nobody was turned away.</p>");
        return;
    }
    page.raw("<section>")
        .heads(&["#", "time", "connection", "who", "from", "why"]);
    for (told, refused) in &story.refused {
        page.raw("<tr>");
        place(page, told);
        page.cell(&told.connection);
        let claimed = || format!("unknown, said {}", refused.claims.user.as_deref().unwrap_or("nothing"));
        page.cell(
            &refused
                .person
                .as_ref()
                .map_or_else(claimed, |person| person.username.clone()),
        );
        page.cell(&refused.client);
        page.cell(&format!("{}: {}", word(&refused.reason), refused.detail))
            .raw("</tr>");
    }
    page.end_table().raw("</section>");
}

fn sessions(page: &mut Page, story: &Story) {
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

fn log(page: &mut Page, story: &Story) {
    page.raw("<h2>The log itself</h2>");
    if story.log.is_empty() {
        page.raw("<p class=soft>Nothing is told of it in this selection.</p>");
        return;
    }
    page.raw("<section>").heads(&["#", "time", "what", ""]);
    for (told, kind, words) in &story.log {
        page.raw("<tr>");
        place(page, told);
        page.cell(kind).cell(words).raw("</tr>");
    }
    page.end_table().raw("</section>");
}

fn place(page: &mut Page, told: &Told) {
    page.number(&told.index.to_string()).number(&seconds(told.time));
}

fn rules(asked: &Asked) -> String {
    let rules = asked.command.iter().flat_map(|command| &command.verdict.rules);
    let names: Vec<String> = rules.map(|rule| format!("{}/{}", rule.policy, rule.rule)).collect();
    if names.is_empty() {
        "no rule".to_owned()
    } else {
        names.join(", ")
    }
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Executed => "executed",
        Fate::Failed => "failed",
        Fate::NotRun => "did not run",
        Fate::Unknown => "unknown",
    }
}

/// A time to the second.
fn seconds(time: Time) -> String {
    let text = time.to_string();
    text.split_once('.')
        .map_or(text.clone(), |(seconds, _)| format!("{}Z", seconds.replace('T', " ")))
}
