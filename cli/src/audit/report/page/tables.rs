//! What an examiner looks for first, each in one table.

use sallyport_audit::record::Action;

use super::cells::{place, rules};
use super::markup::Page;
use crate::audit::print::word;
use crate::audit::report::story::{Answer, Asked, Session, Story};

/// Who was asked, and what they said.
pub fn approvals(page: &mut Page, story: &Story) {
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

/// Commands that were denied.
pub fn blocks(page: &mut Page, story: &Story) {
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

/// How many fields were masked, by what.
pub fn masks(page: &mut Page, story: &Story) {
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

/// Who was turned away.
pub fn refused(page: &mut Page, story: &Story) {
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

/// What is told of recorders and policy.
pub fn log(page: &mut Page, story: &Story) {
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
