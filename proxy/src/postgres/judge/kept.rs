//! Statements that were prepared earlier, and may go on with relations that their names no longer mean.

use super::Context;
use super::hazard::Hazard;
use super::unfold::Unfolding;
use crate::postgres::names::{Change, Names, Prepared, Stated};

/// Behind these nobody knows what the target finds.
const UNSURE: [Hazard; 5] = [
    Hazard::Names,
    Hazard::Path,
    Hazard::Meaning,
    Hazard::Undone,
    Hazard::Kept,
];

/// Takes note that the target may look the names of a prepared statement up behind `before`. Whether it may go on with others.
pub(super) fn looks_up(context: &Context<'_>, prepared: &Prepared, before: &Unfolding) -> bool {
    let Some(stated) = &prepared.stated else { return false };
    if UNSURE.into_iter().any(|hazard| before.has(hazard)) {
        prepared.meant.lose();
    }
    prepared.meant.look_up(stated, &context.known.snapshot, context.path)
}

/// The same for all that a statement executes.
pub(super) fn any_looks_up(context: &Context<'_>, names: &Names, stated: &Stated, before: &Unfolding) -> bool {
    let executed = stated.readings().flat_map(|statement| &statement.executes);
    let mut keeps = false;
    for prepared in executed.filter_map(|name| names.statement(name)) {
        keeps |= looks_up(context, &prepared, before);
    }
    keeps
}

/// The same for what SQL prepares.
pub(super) fn prepares(context: &Context<'_>, change: Option<&Change>, before: &Unfolding) {
    if let Some(Change::Prepare(_, prepared)) = change {
        looks_up(context, prepared, before);
    }
}
