//! Why a target cannot be used.

use super::PATIENCE;
use crate::postgres::ask::AskError;
use crate::postgres::frame::FrameError;
use crate::postgres::wire::WireError;

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Its name or address.
    #[error("the target's name does not resolve to an address that may be dialled")]
    Address,
    /// No connection.
    #[error("the target cannot be reached: {0}")]
    Connect(std::io::Error),
    /// Not in time.
    #[error("the target did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// It does not offer TLS.
    #[error("the target offers no TLS")]
    NoTls,
    /// Its certificate does not stand.
    #[error("the target's TLS does not stand: {0}")]
    Tls(std::io::Error),
    /// It asks for something weaker than SCRAM-SHA-256.
    #[error("the target asks for {0}; only SCRAM-SHA-256 or a certificate is given")]
    Weak(&'static str),
    /// It asks for a password where the door has a certificate alone.
    #[error(
        "the target asks for a password and the door has a certificate alone; \
         add password to its Secret, or let the target's pg_hba.conf say `cert`"
    )]
    NoPassword,
    /// It left after it had seen the door's certificate.
    #[error(
        "the target left when it had seen the door's certificate, which most often means that it does not take it: {0}"
    )]
    Certificate(WireError),
    /// SCRAM failed. What the target says about it is not repeated.
    #[error("the target's SCRAM does not stand: it does not know the password, or not this one")]
    Scram,
    /// It refused, with this SQLSTATE. Its words may name the role and are not repeated.
    #[error("the target refused the door: SQLSTATE {0}")]
    Refused(String),
    /// Its version.
    #[error("the target runs PostgreSQL {0}; versions 15 to 18 are supported")]
    Version(String),
    /// It reports another encoding than asked for.
    #[error("the target did not take client_encoding UTF8")]
    Encoding,
    /// The database keeps its text in another encoding: there the target folds and cuts names otherwise than the door does.
    #[error(
        "the target's database is encoded in {0}; only UTF8 is supported, since names in another encoding mean other columns \
         to PostgreSQL than to this door; restore it into a database made WITH ENCODING 'UTF8'"
    )]
    ServerEncoding(String),
    /// Another process answers than the one that it named. One that pools by transaction keeps no session, and no other that
    /// hides its backends can be told from it.
    #[error(
        "a connection pooler stands before the target: what a session sets may be another's with the next transaction; \
         point the Connection at PostgreSQL itself"
    )]
    Pooler,
    /// The door's role may not ask which process serves it.
    #[error(
        "the door's role may not call pg_backend_pid at the target, which tells PostgreSQL from a connection pooler; \
         GRANT EXECUTE ON FUNCTION pg_catalog.pg_backend_pid() to it"
    )]
    Unasked,
    /// It broke the protocol.
    #[error("the target broke the protocol: {0}")]
    Wire(#[from] WireError),
}

// === impl DialError ===

impl DialError {
    /// Its kind, for a metric's label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connect(_) => "connect",
            Self::Slow => "slow",
            Self::NoTls | Self::Tls(_) => "tls",
            Self::Weak(_) | Self::NoPassword | Self::Certificate(_) | Self::Scram | Self::Refused(_) => "login",
            Self::Version(_) | Self::Encoding | Self::ServerEncoding(_) | Self::Pooler | Self::Unasked => "unsupported",
            Self::Wire(_) => "protocol",
        }
    }
}

impl From<AskError> for DialError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Wire(error) => Self::Wire(error),
            AskError::Refused(code) => Self::Refused(code),
            AskError::TooLarge => WireError::from(FrameError::Malformed).into(),
        }
    }
}
