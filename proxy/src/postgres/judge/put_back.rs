//! Masked values that come back.

use memchr::memmem::Finder;
use sallyport_policy::decide::DeniedBy;
use sallyport_policy::sql::{Given, Verb};

use super::Context;
use super::understand::reject;
use crate::command::{Asked, Kind};
use crate::postgres::names::Stated;

/// What stands in the place of a value that was read is no value: a program that saves whole rows would write it over the one
/// that it was not shown. `holds`: whether that stands in the statement's literals, or in its parameters. `is_one`: whether it
/// stands in this one.
pub(super) fn put_back(
    context: &Context<'_>,
    stated: &Stated,
    asked: &mut Asked,
    holds: impl Fn(&Finder<'_>) -> bool,
    is_one: impl Fn(&Finder<'_>, Given<'_>) -> bool,
) {
    if !(context.masker.has_detectors() && asked.command.verbs.any(&[Verb::Update, Verb::Merge])) {
        return;
    }
    let seen = asked.command.opaque.is_empty();
    for (rule, shown) in context.policy.shown_to(context.subject) {
        let finder = Finder::new(shown);
        let mut readings = stated.readings();
        if holds(&finder) && readings.any(|one| one.overwrites(seen, |given| is_one(&finder, given))) {
            let words = format!(
                "{shown} stands for values that are hidden from you, and would be written over them: send only the columns that change"
            );
            reject(asked, Kind::Denied, DeniedBy::Mask(rule.to_owned()), words);
        }
    }
}
