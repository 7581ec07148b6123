//! What the log says of numbered statements: which were let through, which ran, and in whose answers something was masked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What the log says of the statements of one mark, by their numbers.
#[derive(Default)]
pub(super) struct Log {
    /// How often each statement was let through.
    intents: BTreeMap<usize, usize>,
    /// How often it then did not run, since the catalog that it was judged by had changed: it was judged again, as another command.
    judged_again: BTreeMap<usize, usize>,
    executed: BTreeSet<usize>,
    /// Of those that were executed and in whose answer fields were masked: how many.
    masked: BTreeMap<usize, u64>,
}

// === impl Log ===

impl Log {
    /// Of the statements to whose texts `numbered` gives a number.
    pub(super) fn of(records: &[Value], numbered: impl Fn(&str) -> Option<usize>) -> Self {
        let mut log = Self::default();
        // Which statement a session's command with that number is.
        let mut commands = BTreeMap::new();
        for record in records {
            let session = record.get("session").and_then(Value::as_str).unwrap_or_default();
            let text = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let number = |path: &str| record.pointer(path).and_then(Value::as_u64);
            if let Some(n) = numbered(text("/event/command/text"))
                && text("/event/command/verdict/action") == "allow"
            {
                *log.intents.entry(n).or_default() += 1;
                commands.insert((session, number("/event/command/command")), n);
            }
            if let Some(n) = commands.get(&(session, number("/event/outcome/command"))) {
                if text("/event/outcome/fate") == "executed" {
                    log.executed.insert(*n);
                    let masked = record.pointer("/event/outcome/masked").and_then(Value::as_object);
                    let fields: u64 = masked
                        .into_iter()
                        .flatten()
                        .filter_map(|(_, fields)| fields.as_u64())
                        .sum();
                    *log.masked.entry(*n).or_default() += fields;
                } else if text("/event/outcome/why") == "judgedAgain" {
                    *log.judged_again.entry(*n).or_default() += 1;
                }
            }
        }
        log
    }

    pub(super) fn intents(&self, n: usize) -> usize {
        self.intents.get(&n).copied().unwrap_or_default()
    }

    /// The same without those that were judged again.
    pub(super) fn let_through(&self, n: usize) -> usize {
        let again = self.judged_again.get(&n).copied().unwrap_or_default();
        self.intents(n).saturating_sub(again)
    }

    /// Those that were let through more than once, and not because they were judged again.
    pub(super) fn doubled(&self) -> Vec<usize> {
        let numbers = self.intents.keys().copied();
        numbers.filter(|n| self.let_through(*n) > 1).collect()
    }

    pub(super) fn executed(&self) -> BTreeSet<usize> {
        self.executed.clone()
    }

    /// How many fields of the answer were masked.
    pub(super) fn masked(&self, n: usize) -> u64 {
        self.masked.get(&n).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_masked_is_told_of_what_was_executed() {
        let command = |text: &str, number: u64| {
            json!({"session": "s", "event": {"command": {
                "text": text, "command": number, "verdict": {"action": "allow"}}}})
        };
        let outcome = |number: u64, more: &Value| {
            let mut outcome = json!({"command": number});
            outcome
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({"session": "s", "event": {"outcome": outcome}})
        };
        let records = [
            command("3", 1),
            outcome(1, &json!({"fate": "notRun", "why": "judgedAgain"})),
            command("3", 2),
            outcome(2, &json!({"fate": "executed", "masked": {"rule:a": 1, "US_SSN": 2}})),
            command("4", 3),
            outcome(3, &json!({"fate": "executed"})),
            command("4", 4),
            command("none of them", 5),
        ];
        let log = Log::of(&records, |text| text.parse().ok());
        assert_eq!((log.intents(3), log.let_through(3), log.masked(3)), (2, 1, 3));
        assert_eq!((log.intents(4), log.let_through(4), log.masked(4)), (2, 2, 0));
        assert_eq!(log.executed(), BTreeSet::from([3, 4]));
        assert_eq!(log.doubled(), [4]);
        assert_eq!((log.intents(5), log.masked(5)), (0, 0));
    }
}
