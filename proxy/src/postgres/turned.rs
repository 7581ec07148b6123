//! Whoever is turned away, and what they are told: no more than helps the entitled, and nothing of the target's own words, which may be
//! any.

use std::collections::BTreeSet;
use std::time::Duration;

use sallyport_audit::record::Refusal;

use super::dial::{Asking, DialError};
use super::errors::{Said, sqlstate};
use super::refused;
use super::startup::StartupError;
use super::wire::Wire;
use crate::session::Turned;

/// How long a client that is turned away, or that cancelled, may take to hear it.
pub(super) const GOODBYE: Duration = Duration::from_secs(3);

/// The same in the protocol's words.
pub(super) fn said(turned: &Turned) -> Said {
    let by_reason = match turned.reason {
        Refusal::BadToken | Refusal::NotAdmitted | Refusal::IssuerUnavailable => sqlstate::BAD_LOGIN,
        Refusal::BadStartup => sqlstate::PROTOCOL,
        Refusal::DoorShut | Refusal::TargetUnavailable => sqlstate::UNAVAILABLE,
        Refusal::Limit => sqlstate::TOO_MANY,
    };
    let said = Said::fatal(turned.code.unwrap_or(by_reason), turned.told.clone());
    if turned.reason == Refusal::BadToken {
        return said
            .hint("The password is a token of your identity provider: kubectl sallyport token prints a fresh one.");
    }
    said
}

pub(super) async fn say<S>(mut wire: Wire<S>, said: &Said)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    said.put(&mut wire.out);
    wire.dismiss(0, GOODBYE).await;
}

/// Says why a startup goes no further, to whoever may still listen.
pub(super) async fn say_why<S>(wire: Wire<S>, error: &StartupError)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    match error {
        StartupError::Refused(said) => say(wire, said).await,
        StartupError::Malformed => say(wire, &Said::fatal(sqlstate::PROTOCOL, error.to_string())).await,
        StartupError::Lost(_) => {}
    }
}

pub(super) fn turned(error: &StartupError) -> Turned {
    Turned::new(Refusal::BadStartup, error.to_string())
}

pub(super) fn lost(error: &std::io::Error) -> Turned {
    Turned::new(Refusal::BadStartup, format!("TLS did not come about: {error}"))
}

/// The target refused a setting that the client chose. Its words are not repeated, they could be any.
pub(super) fn ill_chosen(error: &DialError, asking: &Asking<'_>) -> Option<Turned> {
    let DialError::Refused(refused) = error else {
        return None;
    };
    let code = [sqlstate::BAD_SETTING, sqlstate::NO_SETTING]
        .into_iter()
        .find(|code| code == refused)?;
    let chosen: BTreeSet<&str> = asking.settings.iter().map(|(name, _)| name.as_str()).collect();
    if chosen.is_empty() {
        return None;
    }
    let names: Vec<&str> = chosen.into_iter().collect();
    let words = format!(
        "the target does not take what was chosen at startup for {}",
        names.join(", ")
    );
    let detail = format!("{words}: SQLSTATE {code}");
    Some(Turned::new(Refusal::BadStartup, detail).told(words).coded(code))
}

/// Whether the target has no such database. PostgreSQL says so only to a role that has proven itself.
pub(super) fn is_absent(error: &DialError) -> bool {
    matches!(error, DialError::Refused(code) if code == sqlstate::NO_DATABASE)
}

pub(super) fn unavailable(error: &DialError) -> Turned {
    let absent = is_absent(error);
    let told = match error {
        _ if absent => "the database does not exist, or is not open to you",
        DialError::Pooler => "a connection pooler stands before the target, and this door needs PostgreSQL itself",
        DialError::Version(_) => "the target's version is not supported by this door: PostgreSQL 15 to 18 are",
        DialError::ServerEncoding(_) => {
            "the target's database is not encoded in UTF8, and this door supports no other encoding"
        }
        error if refused::is_of_credential(error) => {
            "the target refuses this door's credentials; whoever owns the connection has to mend them"
        }
        _ => "the target cannot be reached through this door at present",
    };
    let turned = Turned::new(Refusal::TargetUnavailable, error.to_string()).told(told);
    if absent {
        turned.coded(sqlstate::NO_DATABASE)
    } else {
        turned
    }
}
