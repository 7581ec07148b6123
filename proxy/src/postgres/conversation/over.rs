//! Why a session ends.

use sallyport_audit::record::EndCause;

use crate::command::Gone;
use crate::postgres::errors::{Said, sqlstate};
use crate::postgres::frame::{self, FrameError};
use crate::postgres::relay::Broken;
use crate::session::Ended;

/// Why a session ends, and what the client is told.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) cause: EndCause,
    pub(super) said: Option<Box<Said>>,
    /// Bytes of the message that ends it, where it stands first of what has arrived and most of it is still to come.
    pub(super) announced: usize,
}

// === impl Over ===

impl Over {
    pub(super) fn quietly(cause: EndCause) -> Self {
        Self {
            cause,
            said: None,
            announced: 0,
        }
    }

    pub(super) fn saying(cause: EndCause, code: &'static str, words: &str) -> Self {
        Self {
            cause,
            said: Some(Box::new(Said::fatal(code, words))),
            announced: 0,
        }
    }

    /// What cannot be taken stands first of what has arrived.
    pub(super) fn client_broke(error: FrameError) -> Self {
        let violation = EndCause::ProtocolViolation;
        let FrameError::Length { tag, length } = error else {
            let words = format!("the client broke the protocol: {error}");
            return Self::saying(violation, sqlstate::PROTOCOL, &words);
        };
        let said = match frame::client_cap(tag) {
            Some(frame::CLIENT_CAP) if length as usize > frame::CLIENT_CAP => {
                let words = format!(
                    "a message of {length} bytes is longer than this door takes ({} MiB)",
                    frame::CLIENT_CAP >> 20
                );
                Said::fatal(sqlstate::LIMIT, words).hint("COPY … FROM STDIN takes longer values.")
            }
            _ => Said::fatal(sqlstate::PROTOCOL, format!("the client broke the protocol: {error}")),
        };
        Self {
            cause: violation,
            said: Some(Box::new(said)),
            announced: 1 + length as usize,
        }
    }

    /// There is no room for what stands first of what arrives.
    pub(super) fn crowded(announced: usize) -> Self {
        let words = "this door holds as much of large messages as it takes, or of yours";
        let said = Said::fatal(sqlstate::NO_ROOM, words).hint("Try again, or send less at once.");
        Self {
            cause: EndCause::ProtocolViolation,
            said: Some(Box::new(said)),
            announced,
        }
    }

    /// What of it can be said of a command that waits.
    pub(super) fn gone(&self) -> Gone {
        match self.cause {
            EndCause::ClientClosed | EndCause::ClientLost => Gone::Client,
            EndCause::Expired => Gone::Expired,
            EndCause::Revoked => Gone::Revoked,
            EndCause::Shutdown => Gone::Shutdown,
            EndCause::EvidenceLost => Gone::Evidence,
            _ => Gone::Target,
        }
    }

    pub(super) fn target_lost() -> Self {
        Self::saying(
            EndCause::TargetLost,
            sqlstate::SHUTDOWN,
            "the target closed the connection",
        )
    }
}

impl From<&Ended> for Over {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Grant(revoked) => Self::saying(
                EndCause::Revoked,
                sqlstate::SHUTDOWN,
                &format!(
                    "this session ends: {} (AccessRequest {})",
                    revoked.words, revoked.request.name
                ),
            ),
            Ended::Revoked | Ended::Shut(_) => Gone::Revoked.into(),
        }
    }
}

impl From<Broken> for Over {
    fn from(broken: Broken) -> Self {
        // Nobody broke the protocol.
        if matches!(broken, Broken::Meanwhile | Broken::Another) {
            return Self::saying(EndCause::Revoked, sqlstate::SHUTDOWN, &broken.to_string());
        }
        crate::metrics::get().target_failed("protocol");
        Self::saying(EndCause::ProtocolViolation, sqlstate::PROTOCOL, &broken.to_string())
    }
}

impl From<Gone> for Over {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Cancelled | Gone::Client => Self::quietly(EndCause::ClientLost),
            Gone::ClientBroke => Self::saying(
                EndCause::ProtocolViolation,
                sqlstate::PROTOCOL,
                "the client broke the protocol",
            ),
            Gone::Target => Self::target_lost(),
            Gone::Expired => Self::saying(EndCause::Expired, sqlstate::SHUTDOWN, "the session's time is over"),
            Gone::Token => Self::saying(
                EndCause::Revoked,
                sqlstate::SHUTDOWN,
                "the token of this session is no longer valid",
            ),
            Gone::Revoked => Self::saying(
                EndCause::Revoked,
                sqlstate::SHUTDOWN,
                "this session may not go on under the present rules of the connection",
            ),
            Gone::GrantRevoked => Self::saying(
                EndCause::Revoked,
                sqlstate::SHUTDOWN,
                "a grant by which this session worked was revoked",
            ),
            Gone::Shutdown => Self::saying(EndCause::Shutdown, sqlstate::SHUTDOWN, "the door shuts down"),
            Gone::Evidence => Self::saying(
                EndCause::EvidenceLost,
                sqlstate::NO_EVIDENCE,
                "evidence cannot be written any more",
            ),
        }
    }
}
