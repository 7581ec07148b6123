//! What stands in the cells of more than one table.

use sallyport_audit::Time;

use super::markup::Page;
use crate::audit::report::story::{Asked, Told};

/// Where and when a record stands, in two cells.
pub fn place(page: &mut Page, told: &Told) {
    page.number(&told.index.to_string()).number(&seconds(told.time));
}

/// The rules that a command was judged by.
pub fn rules(asked: &Asked) -> String {
    let rules = asked.command.iter().flat_map(|command| &command.verdict.rules);
    let names: Vec<String> = rules.map(|rule| format!("{}/{}", rule.policy, rule.rule)).collect();
    if names.is_empty() {
        "no rule".to_owned()
    } else {
        names.join(", ")
    }
}

/// A time to the second.
pub fn seconds(time: Time) -> String {
    let text = time.to_string();
    text.split_once('.')
        .map_or(text.clone(), |(seconds, _)| format!("{}Z", seconds.replace('T', " ")))
}
