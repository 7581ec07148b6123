//! Where it is not known what names mean, profile Strict lets nothing through.

use super::Context;
use super::understand::refuse;
use crate::command::Asked;

/// Why a statement is refused whose names may mean anything.
pub(super) const NAMELESS: &str = "what its names mean is not known here, behind changes of the same unit or since it was prepared: send it on its own, prepared anew";

/// Where it is not known what names mean, none can be shown to be safe.
pub(super) fn nameless(context: &Context<'_>, asked: &mut Asked) {
    refuse(asked, context.guard().nameless(NAMELESS));
}
