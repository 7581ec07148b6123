//! Which process serves the door: by that, PostgreSQL is told from a connection pooler.

use super::DialError;
use crate::postgres::ask::{AskError, called, put_call};
use crate::postgres::errors;
use crate::postgres::stream::TargetStream;
use crate::postgres::wire::Wire;

/// `pg_backend_pid`, by its OID, which no schema of a search path can stand before.
const BACKEND_PID: u32 = 2026;

/// Appends the question.
pub(super) fn ask(out: &mut Vec<u8>) {
    put_call(out, BACKEND_PID);
}

/// Whether the process that the target named is the one that answers what was asked.
pub(super) async fn answers(wire: &mut Wire<TargetStream>, pid: i32) -> Result<(), DialError> {
    let backend = called(wire).await.map_err(unasked)?;
    if backend.is_none_or(|backend| backend != pid.to_string()) {
        return Err(DialError::Pooler);
    }
    Ok(())
}

/// Why nobody said which process serves the door: it has been let in, so that it is no login that was refused.
fn unasked(error: AskError) -> DialError {
    match error {
        AskError::Refused(code) if code == errors::sqlstate::DENIED => DialError::Unasked,
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_ask_for_its_process_was_let_in() {
        let error = |code: &str| unasked(AskError::Refused(code.to_owned()));
        assert_eq!(error("42501").kind(), "unsupported");
        assert!(
            error("42501")
                .to_string()
                .contains("GRANT EXECUTE ON FUNCTION pg_catalog.pg_backend_pid()")
        );
        assert!(matches!(error("57P01"), DialError::Refused(_)));
    }
}
