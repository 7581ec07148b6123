//! Every way in which a token does not open the door.

use sallyport_audit::record::{Person, Refusal};

use super::names::Fault;
use crate::LoginRefused;

/// Why a token does not serve. The text is for records and examiners and holds no part of the token but names of claims,
/// keys' ids and algorithms; clients hear [`Refused::FOR_CLIENTS`] whatever it was, so that nobody can feel their way in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not three base64url parts of JSON.
    #[error("what was presented is not a signed JSON web token")]
    Malformed,
    /// Longer than any real token.
    #[error("the token is longer than {} bytes", super::token::MAX_TOKEN)]
    TooLong,
    /// `none`, a symmetric algorithm, or one that is not known.
    #[error("the token's algorithm is none, symmetric or unknown; only asymmetric signatures are taken")]
    Algorithm,
    /// `crit` names extensions, or `typ` says that it is something else than an access or ID token.
    #[error("the token's header asks for what is not supported (crit, or a typ that is no access token)")]
    Header,
    /// No issuer of this Connection.
    #[error("the token's issuer is none of this connection's")]
    UnknownIssuer,
    /// No key of that id and kind, also after asking the issuer again.
    #[error("the issuer has no key of the token's id and kind")]
    UnknownKey,
    /// The issuer's keys cannot be had, and those known are too old.
    #[error("the issuer's keys cannot be fetched: {0}")]
    KeysUnavailable(&'static str),
    /// The signature is wrong.
    #[error("the token's signature does not verify")]
    Signature,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is yet to come.
    #[error("the token is not valid yet; compare the clocks of issuer and door")]
    NotYetValid,
    /// A claim that must be there is not, or is not of its type.
    #[error("the token has no usable claim {0}")]
    Claim(String),
    /// `aud` names none of ours.
    #[error("the token is not for this connection (aud)")]
    Audience,
    /// `aud` names the API server too.
    #[error("the token is also good for the API server (aud); ask the issuer for one that is for this door alone")]
    ApiAudience,
    /// `iat` is too long ago.
    #[error("the token was issued longer ago than this connection allows (maxTokenAge); log in again")]
    TooOld,
    /// A claim does not have the value that the configuration asks for.
    #[error("the claim {0} does not have the value that the issuer's configuration asks for")]
    RequiredValue(String),
    /// A name or group that could deceive.
    #[error("{what} {fault}")]
    Name {
        /// `the user name` or `a group`.
        what: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The user name is an address that the provider has not verified.
    #[error("the user name is an e-mail address and the token does not say that it was verified")]
    EmailNotVerified,
    /// The chain of agents is too long or cannot be read.
    #[error(
        "the token's chain of agents (act) cannot be read or is longer than {}",
        super::claims::MAX_AGENTS
    )]
    Agents,
    /// An agent without a name, whose `sub` or client id could be taken for one.
    #[error(
        "an agent's sub or client id begins as the user names of an issuer do, with {0}: rules would take it for such a name"
    )]
    AgentName(String),
    /// More tokens than a person's and an agent's, or an agent's that is itself about a chain.
    #[error("present one token, or a person's and their agent's own with a comma between them")]
    Pair,
    /// Nobody says that this agent acts for this person.
    #[error(
        "neither the person's token (act, may_act) nor the connection's agents say that this agent acts for the person"
    )]
    AgentNotAllowed,
    /// The Connection takes only members of certain groups from this issuer.
    #[error("the person is in none of the groups that this connection takes from the issuer")]
    Groups,
    /// The API server does not know the token.
    #[error("the API server does not accept the ServiceAccount token for this connection")]
    NotReviewed,
    /// The API server cannot be asked.
    #[error("the API server cannot be asked about the ServiceAccount token: {0}")]
    ReviewUnavailable(&'static str),
    /// Too many logins wait for the API server or an issuer.
    #[error("too many logins are being checked; try again")]
    Busy,
}

// === impl Refused ===

impl Refused {
    /// All that a client hears.
    pub const FOR_CLIENTS: &'static str = "the token was not accepted";

    /// The closed reason for records and metrics.
    pub fn reason(&self) -> Refusal {
        match self {
            Self::Groups | Self::AgentNotAllowed => Refusal::NotAdmitted,
            Self::Busy => Refusal::Limit,
            Self::KeysUnavailable(_) | Self::ReviewUnavailable(_) => Refusal::IssuerUnavailable,
            _ => Refusal::BadToken,
        }
    }

    /// As the session takes it; `person` only where the signature verified.
    pub(super) fn into_login(self, person: Option<Person>) -> LoginRefused {
        LoginRefused {
            reason: self.reason(),
            detail: self.to_string(),
            person,
        }
    }
}
