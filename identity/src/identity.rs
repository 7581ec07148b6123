//! Who presents a token.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_audit::record::{Agent, Person, Refusal, Token};

/// A person, and the agents that act for them, as a token that was checked just now states them.
///
/// Names and groups carry the issuer's prefix (`oidc:alice`), as the API server would know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The person. Sameness is (issuer, subject), never the name.
    pub person: Person,
    /// Groups after prefixing.
    pub groups: Vec<String>,
    /// Who acts for the person, nearest first; empty when the person acts.
    pub agents: Vec<Agent>,
    /// The person's e-mail address, where the token says that it was verified.
    pub email: Option<String>,
    /// What is kept of the token: `auth_time` answers a rule's `maxLoginAge`.
    pub token: Token,
}

/// A token that does not open this door.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct LoginRefused {
    /// The closed reason, for the record and the metric.
    pub reason: Refusal,
    /// In words, for the examiner; holds no part of the token. The client is told less.
    pub detail: String,
    /// The person, where the signature verified and yet the token does not serve (age, group…).
    pub person: Option<Person>,
}

/// Says who presents a token, now.
pub trait Verifier: Send + Sync {
    /// Checks signature, issuer, audience, expiry and age of a token against the issuers of the Connection.
    ///
    /// Callable from any runtime and any number of sessions at once; the future must be dropped without harm, and answers
    /// within its own time limit even when an issuer is away.
    fn verify<'a>(&'a self, token: &'a [u8], now: Time) -> BoxFuture<'a, Result<Identity, LoginRefused>>;

    /// How often the token of a session under way is checked again; `None` for one that stands until its session ends.
    ///
    /// A ServiceAccount's is bound to objects that may be deleted, and only the API server knows.
    fn again(&self, identity: &Identity) -> Option<Duration> {
        const EVERY: Duration = Duration::from_secs(60);
        let account = |name: &str| name.starts_with("system:serviceaccount:");
        let agent = || identity.agents.iter().any(|agent| account(&agent.subject));
        (account(&identity.person.username) || agent()).then_some(EVERY)
    }

    /// Whether what a session came with still stands; true also where nobody can be asked, which ends no session.
    fn still<'a>(&'a self, token: &'a [u8], person: &'a Person, now: Time) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match self.verify(token, now).await {
                Ok(identity) => {
                    let new = &identity.person;
                    (&new.issuer, &new.subject) == (&person.issuer, &person.subject)
                }
                Err(refused) => refused.reason == Refusal::IssuerUnavailable,
            }
        })
    }

    /// Where the identity provider that people log in at describes itself (OpenID Connect Discovery), for clients that fetch
    /// tokens by themselves.
    fn configuration(&self) -> Option<String> {
        None
    }
}

impl fmt::Debug for LoginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.reason, self.detail)
    }
}
