//! Where it is not known what names mean, profile Strict lets nothing through.

use super::Context;
use super::understand::refuse;
use crate::command::Asked;

/// Why a statement is refused whose names may mean anything, and what to do. A transaction that goes on with an older snapshot does not
/// tell what it finds behind definitions of its own.
pub(super) const NAMELESS: &str = "what its names mean is not known here, behind changes of the same unit or of a transaction under REPEATABLE READ or SERIALIZABLE, \
     or since it was prepared: send it on its own, prepared anew, or define things before that transaction begins";

/// Where it is not known what names mean, none can be shown to be safe.
pub(super) fn nameless(context: &Context<'_>, asked: &mut Asked) {
    refuse(asked, context.guard().nameless(NAMELESS));
}
