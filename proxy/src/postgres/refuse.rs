//! Refusals that behave as PostgreSQL's own errors.
//!
//! A door that merely answers would let `BEGIN; debit; credit (refused); COMMIT` commit half. So what is refused is
//! replaced by something that is certain to fail at the target, and the target's one ErrorResponse is rewritten into
//! ours: order, skipping to Sync, the state of the transaction and ReadyForQuery are then the target's own.

use super::errors::{Said, sqlstate};
use super::frame;
use super::message::Transaction;
use crate::command::{Kind, Refused};

/// A Query string that no version of the grammar takes.
pub const FAILING_QUERY: &str = "refused at the door";
/// Its SQLSTATE: syntax_error.
pub const QUERY_FAILS_WITH: &str = "42601";
/// A portal that nobody can have made: names that begin so are refused to clients.
const FAILING_PORTAL: &str = RESERVED;
/// What the failing Execute fails with: invalid_cursor_name.
pub const EXECUTE_FAILS_WITH: &str = "34000";
/// The beginning of names that are the door's own.
pub const RESERVED: &str = "\u{1}sallyport";

/// Appends a Query that is certain to fail.
pub fn put_failing_query(out: &mut Vec<u8>) {
    super::ask::put_query(out, FAILING_QUERY);
}

/// Appends an Execute that is certain to fail.
pub fn put_failing_execute(out: &mut Vec<u8>) {
    frame::put(out, b'E', |out| {
        frame::put_cstr(out, FAILING_PORTAL);
        out.extend_from_slice(&0i32.to_be_bytes());
    });
}

/// A refusal in PostgreSQL's words.
#[must_use]
pub fn said(refused: &Refused) -> Said {
    let code = match refused.kind {
        Kind::Denied | Kind::Pending | Kind::NotApproved => sqlstate::DENIED,
        // Drivers count class 57 as the server's state, this one as a state that passes, and 42501 as one that nothing mends.
        Kind::Unavailable => sqlstate::UNAVAILABLE,
        Kind::Setting => sqlstate::BAD_SETTING,
        Kind::Unknown => sqlstate::NO_STATEMENT,
        Kind::Withdrawn => sqlstate::CANCELED,
        Kind::NoEvidence => sqlstate::NO_EVIDENCE,
    };
    Said {
        detail: refused.detail.clone(),
        hint: refused.hint.clone(),
        ..Said::error(code, refused.message.clone())
    }
}

/// A refusal as it is said in this state of a transaction. One that failed can be asked nothing, so that more is refused there,
/// and what it was refused for is not what the person has to mend.
#[must_use]
pub fn amid(transaction: Transaction, said: Said) -> Said {
    if transaction == Transaction::Failed && said.hint.is_none() {
        return said.hint("The transaction failed before and takes nothing but ROLLBACK: send that first.");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_failed_before_is_told_of() {
        let said = Said::error(sqlstate::DENIED, "words");
        assert_eq!(amid(Transaction::Open, said.clone()), said);
        let told = amid(Transaction::Failed, said.clone()).hint.unwrap();
        assert!(told.contains("ROLLBACK"), "{told}");
        let hinted = said.hint("another");
        assert_eq!(amid(Transaction::Failed, hinted.clone()), hinted);
    }

    #[test]
    fn what_passes_by_itself_is_no_denial() {
        for (kind, code) in [
            (Kind::Denied, "42501"),
            (Kind::Pending, "42501"),
            (Kind::NotApproved, "42501"),
            (Kind::Unavailable, "57P03"),
            (Kind::NoEvidence, "58030"),
        ] {
            assert_eq!(said(&Refused::new(kind, "words")).code, code, "{kind:?}");
        }
    }
}
