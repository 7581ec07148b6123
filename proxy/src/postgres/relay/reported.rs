//! Settings that the target reports (ParameterStatus).
//!
//! Code can put anything into a setting that takes any text, and a number into one that takes numbers. While something
//! guarded runs, such a setting is told only if its value is one that the client was told before, or wrote itself; of one that
//! takes a few words, these; and none that PostgreSQL does not report.

use std::collections::HashMap;

use sallyport_policy::sql::is_utf8;

use crate::postgres::names::Stated;

/// Settings that take one of a few words.
const WORDS: [(&str, &[&str]); 8] = [
    ("DateStyle", &["ISO", "Postgres", "SQL", "German", "MDY", "DMY", "YMD"]),
    (
        "IntervalStyle",
        &["postgres", "postgres_verbose", "sql_standard", "iso_8601"],
    ),
    ("default_transaction_read_only", SWITCH),
    ("in_hot_standby", SWITCH),
    ("integer_datetimes", SWITCH),
    ("is_superuser", SWITCH),
    ("standard_conforming_strings", SWITCH),
    ("transaction_read_only", SWITCH),
];
const SWITCH: &[&str] = &["on", "off"];
/// Settings that take anything, or that no session can change.
const OTHERS: [&str; 7] = [
    "application_name",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "TimeZone",
];
/// Values of one setting that are remembered.
const MAX_VALUES: usize = 32;
/// Settings that are remembered.
const MAX_NAMES: usize = 64;

/// What may be told of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its name and value.
    Whole,
    /// That it has another value.
    Name,
    /// Nothing: no setting that PostgreSQL reports has that name.
    Nothing,
}

/// What a client knows of its settings.
#[derive(Default)]
pub struct Reported {
    known: HashMap<String, Vec<String>>,
}

// === impl Reported ===

impl Reported {
    /// What may be told. `guarded`: whether code may have put the value there.
    pub fn tells(&mut self, name: &str, value: &str, guarded: bool) -> Told {
        let words = WORDS.iter().find(|(known, _)| *known == name).map(|(_, words)| *words);
        let whole = if let Some(words) = words {
            !guarded || value.split(", ").all(|word| words.contains(&word))
        } else if name == "client_encoding" {
            !guarded || is_utf8(value)
        } else if guarded {
            if !OTHERS.contains(&name) {
                return Told::Nothing;
            }
            let known = self.known.get(&name.to_ascii_lowercase());
            known.is_some_and(|values| values.contains(&plain(value)))
        } else {
            self.learn(name, value);
            true
        };
        if whole { Told::Whole } else { Told::Name }
    }

    /// Remembers the values that a client's statement writes itself.
    pub fn stated(&mut self, stated: &Stated) {
        for setting in stated.readings().flat_map(|statement| &statement.settings) {
            if let (Some(name), Some(value)) = (&setting.name, &setting.value) {
                self.learn(name, value);
            }
        }
    }

    fn learn(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if self.known.len() >= MAX_NAMES && !self.known.contains_key(&name) {
            return;
        }
        let (values, value) = (self.known.entry(name).or_default(), plain(value));
        if !values.contains(&value) {
            if values.len() >= MAX_VALUES {
                values.remove(0);
            }
            values.push(value);
        }
    }
}

/// Without what PostgreSQL changes when it reports a value: case, quotes, blanks.
fn plain(value: &str) -> String {
    let kept = value.chars().filter(|c| !matches!(c, '"' | '\'' | ' '));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_code_may_have_made_is_not_told() {
        let mut reported = Reported::default();
        for (name, value, guarded, told) in [
            ("TimeZone", "Europe/Berlin", false, Told::Whole),
            ("TimeZone", "<536904399>+0", true, Told::Name),
            // As it was before.
            ("TimeZone", "Europe/Berlin", true, Told::Whole),
            ("DateStyle", "ISO, MDY", true, Told::Whole),
            ("DateStyle", "536-90-4399", true, Told::Name),
            ("IntervalStyle", "iso_8601", true, Told::Whole),
            ("is_superuser", "off", true, Told::Whole),
            ("is_superuser", "Ada", true, Told::Name),
            ("client_encoding", "UTF8", true, Told::Whole),
            ("server_version", "536.90", true, Told::Name),
            ("scram_iterations", "536904399", true, Told::Name),
            ("536-90-4399", "on", true, Told::Nothing),
            ("of_an_extension", "on", false, Told::Whole),
        ] {
            assert_eq!(reported.tells(name, value, guarded), told, "{name}: {value}");
        }
    }

    #[test]
    fn what_the_client_wrote_itself_is_told() {
        let mut reported = Reported::default();
        let text = crate::postgres::script::read("set search_path to \"A\", public; set timezone = 'utc'").unwrap();
        for index in 0..2 {
            reported.stated(&Stated {
                text: text.text.clone(),
                script: text.script.clone(),
                index,
            });
        }
        assert_eq!(reported.tells("TimeZone", "UTC", true), Told::Whole);
        assert_eq!(reported.tells("search_path", "\"A\", public", true), Told::Whole);
        assert_eq!(reported.tells("application_name", "UTC", true), Told::Name);
    }
}
