//! The page itself.

mod cells;
mod markup;
mod proof;
mod sessions;
mod tables;

use sallyport_audit::record::Action;

use super::story::Story;
use cells::seconds;
use markup::Page;
pub use proof::Proof;

const STYLE: &str = include_str!("style.css");
/// Nothing may be loaded or run, whatever stands on the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The whole page.
pub fn render(story: &Story, proof: &Proof<'_>) -> String {
    let mut page = Page::default();
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
    proof::proved(&mut page, proof);
    tables::approvals(&mut page, story);
    tables::blocks(&mut page, story);
    tables::masks(&mut page, story);
    tables::refused(&mut page, story);
    sessions::sessions(&mut page, story);
    tables::log(&mut page, story);
    page.raw("</main></body></html>\n");
    page.done()
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
