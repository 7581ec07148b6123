//! Which records are wanted, and whose they are: most records name a session, and the session's first record names the person.

use std::collections::HashMap;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use sallyport_audit::Time;
use sallyport_audit::record::{Action, Event, Person, Record, SessionId};

/// From when to when; all of the log if neither is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Period {
    /// Records from this time on: RFC 3339, or a duration back from now (90s, 15m, 8h, 30d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Time>,
    /// Records before this time, given likewise.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Time>,
}

/// Which records are wanted; all that are given must hold.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    /// Records of this person, by name (oidc:alice).
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Records of this Connection, as NAME or NAMESPACE/NAME.
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
    /// Records of this session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    period: Period,
    /// Commands with this verdict.
    #[arg(long, value_parser = ["allow", "deny", "hold"])]
    verdict: Option<String>,
    /// Records of this kind. May be given several times.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(Event::KINDS))]
    kind: Vec<String>,
}

/// Who came in, by session.
#[derive(Debug, Default)]
pub struct People(HashMap<SessionId, Person>);

impl People {
    /// The person that a record is about, where the log tells. Records must come in order.
    pub fn of(&mut self, record: &Record) -> Option<Person> {
        match (&record.event, &record.session) {
            (Event::SessionStart(start), Some(session)) => {
                self.0.insert(session.clone(), start.person.clone());
                Some(start.person.clone())
            }
            (Event::Command(command), _) => Some(Person::clone(&command.person)),
            (Event::LoginRefused(refused), _) => refused.person.clone(),
            // Nobody came in: whose token it was is all there is.
            (Event::Attested(attested), None) => attested.person.clone(),
            (Event::SessionEnd(_), Some(session)) => self.0.remove(session),
            // What came of a command may follow its session's end; then the session is all there is.
            (_, Some(session)) => self.0.get(session).cloned(),
            (_, None) => None,
        }
    }
}

impl Period {
    /// Whether a time lies in it.
    pub fn holds(&self, time: Time) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

impl Filter {
    /// What was asked for, in words.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        let named = [
            ("person", &self.person),
            ("Connection", &self.connection),
            ("session", &self.session),
            ("verdict", &self.verdict),
        ];
        for (name, value) in named {
            words.extend(value.as_ref().map(|value| format!("{name} {value}")));
        }
        words.extend(self.period.since.map(|since| format!("since {since}")));
        words.extend(self.period.until.map(|until| format!("until {until}")));
        if !self.kind.is_empty() {
            words.push(format!("kinds {}", self.kind.join(", ")));
        }
        if words.is_empty() {
            "all records of the log".to_owned()
        } else {
            format!("records of {}", words.join(", "))
        }
    }

    /// Whether a record is wanted.
    pub fn takes(&self, record: &Record, person: Option<&Person>) -> bool {
        let connection = record.source.connection.as_deref();
        let is = |wanted: &Option<String>, found: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(found);
        is(&self.person, &|name| {
            person.is_some_and(|person| person.username == name)
        }) && is(&self.connection, &|name| {
            connection.is_some_and(|found| found.name == name || format!("{}/{}", found.namespace, found.name) == name)
        }) && is(&self.session, &|id| {
            record.session.as_ref().is_some_and(|session| session.as_str() == id)
        }) && is(
            &self.verdict,
            &|verdict| matches!(&record.event, Event::Command(command) if action(command.verdict.action) == verdict),
        ) && self.period.holds(record.time)
            && (self.kind.is_empty() || self.kind.iter().any(|kind| kind == record.event.kind()))
    }
}

/// A verdict as people type it.
pub fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Hold => "hold",
    }
}

/// A time, or one so long ago.
fn moment(text: &str) -> Result<Time> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        _ => anyhow::bail!("neither a time (2026-11-23T21:00:00Z) nor a duration (90s, 15m, 8h, 30d)"),
    };
    let count: i64 = digits.parse().context("a number before the unit")?;
    let back = count.saturating_mul(unit).saturating_mul(1_000_000);
    Ok(Time::from_unix_micros(Time::now().unix_micros().saturating_sub(back)))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Asked {
        #[command(flatten)]
        filter: Filter,
    }

    #[test]
    fn a_kind_that_no_record_has_is_refused_with_those_that_there_are() {
        for &kind in Event::KINDS {
            let asked = Asked::try_parse_from(["show", "--kind", kind, "--kind", "hold"]).unwrap();
            assert_eq!(asked.filter.kind, [kind, "hold"]);
        }
        for typed in ["nonsense", "Hold", "holds"] {
            let error = Asked::try_parse_from(["show", "--kind", typed]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{typed}");
            let told = error.to_string();
            assert!(Event::KINDS.iter().all(|kind| told.contains(kind)), "{told}");
        }
    }

    #[test]
    fn reads_times_and_durations() {
        assert_eq!(
            moment("2026-11-23T21:00:00Z").unwrap().to_string(),
            "2026-11-23T21:00:00.000000Z"
        );
        let hour = Time::now().unix_micros() - moment("1h").unwrap().unix_micros();
        assert!((3_599_000_000..3_601_000_000).contains(&hour));
        for bad in ["", "h", "1w", "-", "yesterday", "1.5h"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_period_begins_with_its_first_moment_and_ends_before_its_last() {
        let at = |second: i64| Time::from_unix_micros(second * 1_000_000);
        let held = |since: Option<i64>, until: Option<i64>| -> Vec<i64> {
            let period = Period {
                since: since.map(at),
                until: until.map(at),
            };
            (0..5).filter(|second| period.holds(at(*second))).collect()
        };
        assert_eq!(held(None, None), [0, 1, 2, 3, 4]);
        assert_eq!(held(Some(2), None), [2, 3, 4]);
        assert_eq!(held(None, Some(2)), [0, 1]);
        assert_eq!(held(Some(1), Some(3)), [1, 2]);
    }
}
