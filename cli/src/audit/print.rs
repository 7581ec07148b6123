//! A record in a line, for people. Text that somebody else composed is escaped: a terminal must not obey it.

use std::collections::BTreeMap;

use sallyport_audit::record::{
    Approver, Command, Event, Fate, LoginRefused, NotRun, Outcome, Person, PolicyChange, Record, RequestRef, RuleRef,
};

use super::filter::action;
use crate::visible::visible;

/// Longer texts are cut in a line; `-o json` has all of it.
const TEXT: usize = 2000;

/// `TIME  #INDEX  CONNECTION  PERSON  KIND  …`
pub fn line(index: u64, record: &Record, person: Option<&Person>) -> String {
    let time = record.time.to_string();
    let time = time.split_once('.').map_or(time.as_str(), |(seconds, _)| seconds);
    let connection = record
        .source
        .connection
        .as_ref()
        .map_or("-", |connection| connection.name.as_str());
    let person = person.map_or_else(|| "-".to_owned(), |person| plain(&person.username));
    format!(
        "{time}Z  #{index:<5} {connection:<10} {person:<14} {:<14} {}",
        record.event.kind(),
        what(&record.event)
    )
}

/// What a record tells, without when and who.
pub fn what(event: &Event) -> String {
    match event {
        Event::SessionStart(start) => {
            let agents: Vec<String> = start.agents.iter().map(|agent| plain(agent.name())).collect();
            let by = if agents.is_empty() {
                String::new()
            } else {
                format!(" by {}", agents.join(" for "))
            };
            let elsewhere = start.token_elsewhere.as_deref().map_or_else(String::new, |address| {
                format!(", with a token that is in use from {} as well", plain(address))
            });
            format!(
                "from {}{by}, database {}{elsewhere}",
                plain(&start.client),
                plain(start.claims.database.as_deref().unwrap_or("-"))
            )
        }
        Event::Attested(attested) => plain(&super::attested::words(attested)),
        Event::LoginRefused(refused) => login_refused(refused),
        Event::Command(command) => self::command(command),
        Event::CommandPart(part) => format!("command {} goes on (part {})", part.command, part.part),
        Event::Hold(hold) => {
            let how = if hold.waits { "waits for" } else { "was refused until" };
            format!("command {} {how} {}", hold.command, request(&hold.request))
        }
        // Nobody waited: the request's name says all that this door knows.
        Event::Approved(approved) if approved.command == 0 => {
            format!("by {} ({})", people(&approved.approvers), request(&approved.request))
        }
        Event::Denied(denied) if denied.command == 0 => {
            format!("by {} ({})", people(&denied.deniers), request(&denied.request))
        }
        Event::Withdrawn(closed) | Event::Expired(closed) | Event::Revoked(closed) if closed.command == 0 => {
            format!("{} ({})", plain(&closed.reason), request(&closed.request))
        }
        Event::Reviewed(reviewed) => {
            format!("by {} ({})", people(&reviewed.reviewers), request(&reviewed.request))
        }
        Event::Approved(approved) => {
            let waited = approved.waited_us / 1_000_000;
            format!(
                "command {} by {} after {waited} s ({})",
                approved.command,
                people(&approved.approvers),
                request(&approved.request)
            )
        }
        Event::Denied(denied) => format!(
            "command {} by {} ({})",
            denied.command,
            people(&denied.deniers),
            request(&denied.request)
        ),
        Event::Withdrawn(closed) | Event::Expired(closed) | Event::Revoked(closed) => {
            format!(
                "command {}: {} ({})",
                closed.command,
                plain(&closed.reason),
                request(&closed.request)
            )
        }
        Event::Claimed(claimed) => {
            format!(
                "command {} uses the grant of {} ({})",
                claimed.command,
                people(&claimed.approvers),
                request(&claimed.request)
            )
        }
        Event::BreakGlass(glass) => format!(
            "command {} without approval: {} ({}, to be reviewed)",
            glass.command,
            plain(&glass.reason),
            request(&glass.request)
        ),
        Event::Outcome(outcome) => self::outcome(outcome),
        Event::TransactionEnd(end) => format!("transaction {}: {}", end.transaction, word(&end.fate)),
        Event::SessionEnd(end) => format!("{} after {} commands", word(&end.cause), end.commands),
        Event::LogStart(start) => format!("{} with {} records", plain(&start.origin), start.size),
        Event::LogEnd(end) => plain(&end.reason),
        Event::Pruned(pruned) => format!(
            "the {} records before this place were kept for {} days and removed",
            pruned.before,
            pruned.kept_secs / 86_400
        ),
        Event::PolicyChange(change) => policy_change(change),
    }
}

fn policy_change(change: &PolicyChange) -> String {
    let by = |keys: &BTreeMap<String, String>, does: &str| -> String {
        let told = |(rule, key): (&String, &String)| format!(", {} {does} by key {}", plain(rule), plain(key));
        keys.iter().map(told).collect()
    };
    let hashes = by(&change.hash_keys, "hashes");
    let tokens = by(&change.token_keys, "makes tokens");
    format!("policy revision {}{hashes}{tokens}", change.to)
}

fn login_refused(refused: &LoginRefused) -> String {
    format!(
        "{} from {}: {}",
        word(&refused.reason),
        plain(&refused.client),
        plain(&refused.detail)
    )
}

fn command(command: &Command) -> String {
    let verdict = &command.verdict;
    let rules: Vec<String> = verdict.rules.iter().map(rule).collect();
    let rules = if rules.is_empty() {
        "no rule".to_owned()
    } else {
        rules.join(", ")
    };
    let more = if command.parts > 0 {
        format!(" … and {} more parts", command.parts)
    } else {
        String::new()
    };
    let params = match command.params.len() {
        0 => String::new(),
        n => format!(" with {n} parameters"),
    };
    format!(
        "{} {} ({rules}, risk {}): {}{params}{more}",
        command.command,
        action(verdict.action),
        verdict.risk,
        plain(&command.text)
    )
}

fn outcome(outcome: &Outcome) -> String {
    if outcome.fate == Fate::NotRun {
        return format!("command {} did not run{}", outcome.command, not_run(outcome.why));
    }
    let mut out = format!(
        "command {} {}, {} rows",
        outcome.command,
        word(&outcome.fate),
        outcome.rows
    );
    if outcome.unread {
        out += " of more that were left unread";
    }
    if let Some(sqlstate) = &outcome.sqlstate {
        out += &format!(", SQLSTATE {}", plain(sqlstate));
    }
    let masked: Vec<String> = outcome
        .masked
        .iter()
        .map(|(by, count)| format!("{} {count}", plain(by)))
        .collect();
    if !masked.is_empty() {
        out += &format!(", masked {}", masked.join(", "));
    }
    out
}

/// Why, as the end of a sentence.
pub fn not_run(why: Option<NotRun>) -> &'static str {
    match why {
        Some(NotRun::SentWithRefused) => ": it was sent together with a command that was refused",
        Some(NotRun::EarlierFailed) => ": an earlier command of the same unit failed",
        Some(NotRun::NotRecordedInTime) => ": it could not be recorded in time, and was refused",
        Some(NotRun::JudgedAgain) => ": the target's catalog changed meanwhile, and it was judged again",
        Some(NotRun::NeverExecuted) => ": its client bound it and never had it executed",
        None => "",
    }
}

fn rule(rule: &RuleRef) -> String {
    plain(&format!("{}/{}", rule.policy, rule.rule))
}

fn request(request: &RequestRef) -> String {
    plain(&format!("{}/{}", request.namespace, request.name))
}

fn people(people: &[Approver]) -> String {
    let names: Vec<String> = people
        .iter()
        .map(|person| match &person.reason {
            Some(reason) => format!("{} \"{}\"", plain(&person.username), plain(reason)),
            None => plain(&person.username),
        })
        .collect();
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(" and ")
    }
}

/// A closed enum as its JSON name.
pub fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Line breaks, control and bidirectional characters become visible; long texts are cut.
pub fn plain(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => visible(text.get(..end).unwrap_or_default()) + "…",
        None => visible(text),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_terminal_has_nothing_to_obey() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(plain("naïve 'x'"), "naïve 'x'");
        assert_eq!(plain(&"x".repeat(3000)).chars().count(), 2001);
    }
}
