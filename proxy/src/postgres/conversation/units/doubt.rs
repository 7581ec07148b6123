//! Whether what waited is still what profile Strict let through.

use crate::postgres::catalog::Known;
use crate::postgres::conversation::Conversation;
use crate::postgres::judge;
use crate::session::Session;

impl Conversation {
    /// Whether the next message, of this type, tells of what profile Strict would refuse by what its names mean by now, or may have meant
    /// for a moment. The catalog was just read.
    pub(in crate::postgres::conversation) fn is_another(&mut self, session: &Session, tag: u8) -> bool {
        let Some(doubt) = self.state.doubt(tag) else {
            return false;
        };
        let (known, masker) = (&self.state.known, &self.state.masker);
        let strict = |known: &Known| masker.strict_rule(&known.protected.all()).is_some();
        if doubt.holds(known) || !(strict(known) || strict(&doubt.view.known)) {
            return false;
        }
        let now = judge::understand_alone(&self.context(session), &self.state.names, &doubt.stated);
        // What came to be protected of what the unit itself made holds what the unit put there.
        let own = doubt.view.reads_unmade() && doubt.view.is_as_protected(known);
        let refused = now.asked.refused.is_some() || now.view.nameless;
        refused && !own || doubt.was_another(known, &self.state.defined)
    }
}
