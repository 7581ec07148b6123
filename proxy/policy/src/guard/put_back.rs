//! Masked values that come back.

use memchr::memmem::Finder;

use crate::decide::{Command, Denial, DeniedBy};
use crate::sql::{Given, Statement, Verb, any_literal};

use super::Guard;

impl Guard<'_> {
    /// Why a statement is refused whose text holds what stands in the place of hidden values. `text`: as the client sent it.
    #[must_use]
    pub fn put_back(&self, statements: &[&Statement], text: &str, command: &Command) -> Option<Denial> {
        self.put_back_by(
            statements,
            command,
            |shown| {
                let holds = |part: &str| shown.find(part.as_bytes()).is_some();
                // Names and comments are not written anywhere, and a mask may show a word.
                holds(text) && any_literal(text, holds)
            },
            |shown, given| matches!(given, Given::Text(text) if shown.find(text.as_bytes()).is_some()),
        )
    }

    /// The same of the values that are bound to it, in order; `None` for NULL.
    #[must_use]
    pub fn bound_back(&self, statements: &[&Statement], values: &[Option<&[u8]>], command: &Command) -> Option<Denial> {
        let held = |shown: &Finder<'_>, number: u32| {
            let mut numbered = (1_u32..).zip(values.iter().copied());
            numbered.any(|(place, value)| place == number && value.is_some_and(|value| shown.find(value).is_some()))
        };
        self.put_back_by(
            statements,
            command,
            |shown| values.iter().flatten().any(|value| shown.find(value).is_some()),
            |shown, given| matches!(given, Given::Parameter(number) if held(shown, number)),
        )
    }

    /// What stands in the place of a value that was read is no value: a program that saves whole rows would write it over the one
    /// that it was not shown. `holds`: whether that stands in the statement's literals, or in its parameters. `is_one`: whether it
    /// stands in this one.
    fn put_back_by(
        &self,
        statements: &[&Statement],
        command: &Command,
        holds: impl Fn(&Finder<'_>) -> bool,
        is_one: impl Fn(&Finder<'_>, Given<'_>) -> bool,
    ) -> Option<Denial> {
        if !(self.masker.has_detectors() && command.verbs.any(&[Verb::Update, Verb::Merge])) {
            return None;
        }
        let seen = command.opaque.is_empty();
        let shown = self.policy.shown_to(self.subject);
        shown.into_iter().find_map(|(rule, shown)| {
            let finder = Finder::new(shown);
            let overwrites = |one: &&Statement| one.overwrites(seen, |given| is_one(&finder, given));
            let back = holds(&finder) && statements.iter().any(overwrites);
            back.then(|| Denial {
                by: DeniedBy::Mask(rule.to_owned()),
                reason: format!(
                    "{shown} stands for values that are hidden from you, and would be written over them: send only the columns that change"
                ),
            })
        })
    }
}
