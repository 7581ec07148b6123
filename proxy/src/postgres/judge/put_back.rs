//! Masked values that come back.

use memchr::memmem;
use sallyport_policy::decide::DeniedBy;
use sallyport_policy::sql::Verb;

use super::Context;
use super::understand::reject;
use crate::command::{Asked, Kind};

/// What stands in the place of a value that was read is no value: a program that saves whole rows would write it over the one
/// that it was not shown. `holds`: whether that stands in the statement's literals, or in its parameters.
pub(super) fn put_back(context: &Context<'_>, asked: &mut Asked, holds: impl Fn(&memmem::Finder<'_>) -> bool) {
    if !(context.masker.has_detectors() && asked.command.verbs.any(&[Verb::Update, Verb::Merge])) {
        return;
    }
    for (rule, shown) in context.policy.shown_to(context.subject) {
        if holds(&memmem::Finder::new(shown)) {
            let words = format!(
                "{shown} stands for values that are hidden from you, and would be written over them: send only the columns that change"
            );
            reject(asked, Kind::Denied, DeniedBy::Mask(rule.to_owned()), words);
        }
    }
}
