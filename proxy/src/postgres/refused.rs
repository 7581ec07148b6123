//! What a target refuses who the door is by, in the words of a condition: which Secret and which key its owner has to mend. Nothing
//! of the target's own words, which may be any, but the SQLSTATE; and nothing of the Secret but a role that the target has let in: what
//! stands under `username` before that may be a password under the wrong key.

use sallyport_crds::Reason;

use super::dial::DialError;
use super::errors::sqlstate;
use super::role;
use crate::control::Lack;
use crate::door::{Open, Refusal, Scope};

/// The target takes no such role, or not by this password (`invalid_password`).
const BAD_PASSWORD: &str = "28P01";
/// What it refuses for other reasons that have to do with who comes begins so (class 28, `invalid_authorization_specification`).
const BAD_LOGIN: &str = "28";

/// Whether the target does not take who the door is: trying again does not help, and the client can do nothing about it.
pub(super) fn is_of_credential(error: &DialError) -> bool {
    match error {
        DialError::Refused(code) => code.starts_with(BAD_LOGIN),
        DialError::Weak(_) | DialError::NoPassword | DialError::Certificate(_) | DialError::Scram => true,
        _ => false,
    }
}

/// What the Connection's owner has to mend where a target does not let the door in; None where it is not for them, or may come right
/// by itself.
pub(super) fn told(error: &DialError, open: &Open, role: &str, database: &str) -> Option<Refusal> {
    let offered = open.spec.postgresql.as_ref();
    let is_offered = offered.is_some_and(|postgresql| postgresql.databases.iter().any(|name| name == database));
    let secret = &open.spec.credentials_ref.name;
    let (message, scope) = match error {
        DialError::Refused(code) if code == BAD_PASSWORD => (
            format!(
                "the target answers SQLSTATE {code}: it does not have the role that Secret {secret} names, or has another password for \
                 it; mend the keys username and password there, or the role at the target"
            ),
            Scope::Credential,
        ),
        DialError::Refused(code) if code.starts_with(BAD_LOGIN) => (
            format!(
                "the target answers SQLSTATE {code}: it does not let the role that Secret {secret} names in from here; mend its \
                 pg_hba.conf, the role there (LOGIN), or the Secret"
            ),
            if is_offered { Scope::Offered } else { Scope::Asked },
        ),
        // What nobody but the client named is the client's. PostgreSQL says so only to a role that has proven itself.
        DialError::Refused(code) if is_offered && (code == sqlstate::NO_DATABASE || code == sqlstate::DENIED) => (
            format!(
                "the target answers SQLSTATE {code} to role {} for database {}, which postgresql.databases names: make it there, let the \
                 role CONNECT to it, or take it out of the list",
                role::shown(role),
                role::shown(database)
            ),
            Scope::Offered,
        ),
        DialError::Certificate(_) => (
            format!(
                "the target left when it had seen the door's certificate, which most often means that it does not take it; mend the \
                 keys tls.crt and tls.key of Secret {secret}, or the CA that the target goes by"
            ),
            Scope::Credential,
        ),
        // Their own words hold nothing of the target's.
        DialError::Weak(_) | DialError::NoPassword | DialError::Scram => {
            // What a target asks for is said by a line of its pg_hba.conf, which may be about one database.
            let scope = match error {
                DialError::Weak(_) | DialError::NoPassword if !is_offered => Scope::Asked,
                _ => Scope::Credential,
            };
            (format!("{error} (Secret {secret})"), scope)
        }
        _ => return None,
    };
    Some(Refusal {
        lack: Lack::new(Reason::TargetRefused, message),
        scope,
        // One that a target loses as it fails over ends so, too.
        sure: !matches!(error, DialError::Certificate(_)),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::control::opening::{Reach, open};
    use crate::manifests::sample;
    use crate::postgres::wire::WireError;

    fn opened(databases: &[&str]) -> Open {
        let (mut carrier, secrets) = sample();
        let postgresql = serde_json::json!({ "databases": databases });
        carrier.connection.spec.postgresql = Some(serde_json::from_value(postgresql).unwrap());
        open(&carrier, &secrets, Reach::Cluster).unwrap().open
    }

    fn refused(code: &str) -> DialError {
        DialError::Refused(code.to_owned())
    }

    #[test]
    fn what_is_told_names_the_code_and_the_secret_and_says_what_to_mend() {
        let open = opened(&["bank"]);
        let lost = || WireError::Lost(io::Error::other("536-90-4399"));
        for (error, database, words, scope) in [
            (
                refused("28P01"),
                "bank",
                "SQLSTATE 28P01: it does not have the role",
                Scope::Credential,
            ),
            (
                refused("28P01"),
                "any",
                "the keys username and password",
                Scope::Credential,
            ),
            (refused("28000"), "bank", "pg_hba.conf", Scope::Offered),
            (refused("28000"), "any", "SQLSTATE 28000: it does not let", Scope::Asked),
            (refused("3D000"), "bank", "for database bank", Scope::Offered),
            (refused("42501"), "bank", "let the role CONNECT", Scope::Offered),
            (DialError::Weak("MD5"), "bank", "asks for MD5", Scope::Credential),
            (DialError::Weak("MD5"), "any", "asks for MD5", Scope::Asked),
            (DialError::NoPassword, "bank", "a certificate alone", Scope::Credential),
            (DialError::NoPassword, "any", "a certificate alone", Scope::Asked),
            (DialError::Scram, "bank", "SCRAM does not stand", Scope::Credential),
            (
                DialError::Certificate(lost()),
                "bank",
                "tls.crt and tls.key",
                Scope::Credential,
            ),
        ] {
            let refusal = told(&error, &open, "role-of-the-door", database).expect(words);
            let message = &refusal.lack.message;
            assert_eq!(
                (refusal.lack.reason, refusal.scope, refusal.sure),
                (Reason::TargetRefused, scope, !words.contains("tls.crt")),
                "{words}"
            );
            assert!(message.contains(words), "{message}");
            let proven = matches!(&error, DialError::Refused(code) if !code.starts_with(BAD_LOGIN));
            assert_eq!(
                message.contains("role-of-the-door"),
                proven,
                "it may be a password under the wrong key: {message}"
            );
            assert!(
                message.contains("bank-credentials") || scope == Scope::Offered,
                "{message}"
            );
            assert!(
                !message.contains("not-to-be-seen") && !message.contains("536"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_the_clients_or_comes_right_by_itself_is_not_told() {
        for (error, databases) in [
            (refused("3D000"), &["bank"][..]),
            (refused("3D000"), &[][..]),
            (refused("42501"), &[][..]),
            (refused("53300"), &["any"][..]),
            (refused("57P03"), &["any"][..]),
            (DialError::Slow, &["any"][..]),
            (DialError::Address, &["any"][..]),
            (DialError::Pooler, &["any"][..]),
        ] {
            assert_eq!(told(&error, &opened(databases), "app", "any"), None, "{error}");
        }
    }

    #[test]
    fn a_role_in_the_secrets_own_words_steers_no_terminal() {
        let refusal = told(&refused("3D000"), &opened(&["any"]), "\u{1b}[2J\n", "any").unwrap();
        assert!(
            refusal.lack.message.contains(r"to role \u{1b}[2J\n for database any,"),
            "{refusal:?}"
        );
    }
}
