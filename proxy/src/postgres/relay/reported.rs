//! Settings that the target reports (ParameterStatus).
//!
//! Code can put anything into a setting that takes any text, and a number into one that takes numbers. While something
//! guarded runs, such a setting is told only if its value is one that the client was told before, or wrote itself.

use std::collections::HashMap;

use crate::postgres::names::Stated;

/// Settings that take one of a few words, or that no session can change.
const FIXED: [&str; 11] = [
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "standard_conforming_strings",
    "transaction_read_only",
];
/// Values of one setting that are remembered.
const MAX_VALUES: usize = 32;
/// Settings that are remembered.
const MAX_NAMES: usize = 64;

/// What a client knows of its settings.
#[derive(Default)]
pub struct Reported {
    known: HashMap<String, Vec<String>>,
}

// === impl Reported ===

impl Reported {
    /// Whether a value may be told. `guarded`: whether code may have put it there.
    pub fn tells(&mut self, name: &str, value: &str, guarded: bool) -> bool {
        if FIXED.contains(&name) {
            return true;
        }
        if guarded {
            let known = self.known.get(&name.to_ascii_lowercase());
            return known.is_some_and(|values| values.contains(&plain(value)));
        }
        self.learn(name, value);
        true
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
        assert!(reported.tells("TimeZone", "Europe/Berlin", false));
        assert!(!reported.tells("TimeZone", "<536904399>+0", true));
        assert!(reported.tells("TimeZone", "Europe/Berlin", true), "as it was before");
        assert!(reported.tells("DateStyle", "ISO, MDY", true));
        assert!(!reported.tells("scram_iterations", "536904399", true));
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
        assert!(reported.tells("TimeZone", "UTC", true));
        assert!(reported.tells("search_path", "\"A\", public", true));
        assert!(!reported.tells("application_name", "UTC", true));
    }
}
