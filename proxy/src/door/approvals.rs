//! How a session asks a second person.

use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_audit::record::{Approver, RequestRef, SessionId};
use sallyport_crds::access_request::{CommandView, RuleIdentity};
use sallyport_crds::approval_policy::{GrantScope, OnHold};
use tokio::sync::watch;

use super::Identity;

/// One question. Its answer fits one person, one agent chain, one Connection and one `digest`.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks; `spec.requester` and `spec.agents` are made from it.
    pub identity: Identity,
    /// The session that holds the command.
    pub session: SessionId,
    /// What would be granted.
    pub scope: GrantScope,
    /// The command as a person may see it. Its `digest` is what the grant is bound to and looked up by.
    pub command: CommandView,
    /// Which policies and rules ask.
    pub asked_by: Vec<RuleIdentity>,
    /// When the question can no longer be answered.
    pub expires: Time,
    /// Whether the client waits or comes again.
    pub on_hold: OnHold,
}

/// An open question.
#[derive(Debug)]
pub struct Held {
    /// Namespace, name and uid of the AccessRequest.
    pub request: RequestRef,
    /// How it stands; the first value is there at once. When the sender is dropped, it counts as [`HoldState::Unavailable`].
    pub state: watch::Receiver<HoldState>,
}

/// How a question stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// Nobody, or too few people, have answered. `progress` is the request's own, such as `1/2`; empty at first.
    Waiting {
        /// Approvals so far of approvals needed.
        progress: String,
    },
    /// The operator says Approved. Not yet claimed: that is [`Approvals::claim`].
    Approved {
        /// Everybody whose approval counts.
        approvers: Vec<Approver>,
    },
    /// Somebody said no.
    Denied {
        /// Who, with their reason.
        deniers: Vec<Approver>,
    },
    /// Time ran out.
    Expired,
    /// Withdrawn, revoked, deleted, or admission changed; in words.
    Closed(String),
    /// The API server is away: nothing can be granted; in words.
    Unavailable(String),
}

/// A spent grant: the claim was read back with this process's own nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The request that it spends.
    pub request: RequestRef,
    /// The nonce that was read back.
    pub nonce: String,
    /// Everybody whose approval is used.
    pub approvers: Vec<Approver>,
}

/// Why a question cannot be asked, or a grant not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalsError {
    /// There is no cluster, or the API server is away.
    #[error("approvals are not available: {0}")]
    Unavailable(String),
    /// The API server refused the object, in its words.
    #[error("the request was refused: {0}")]
    Refused(String),
    /// The person has as many open requests as the Connection allows.
    #[error("{open} requests are open already; withdraw one or wait")]
    TooMany {
        /// How many.
        open: usize,
    },
    /// The grant is gone: used, revoked or expired.
    #[error("the grant cannot be used: {0}")]
    Gone(String),
}

/// Asks second people through AccessRequests.
///
/// Callable from any runtime; a dropped future may leave a request behind, which then expires or is withdrawn with its
/// session by [`Approvals::withdraw`].
pub trait Approvals: Send + Sync {
    /// A grant that fits: a request of this person and agent chain on this Connection with this digest that is approved and
    /// not spent. Answers from the watch, without a round trip. Also finds requests that wait, so that a retry joins the
    /// question that is already there instead of asking it twice: then the state is `Waiting`.
    fn find(&self, identity: &Identity, digest: &str) -> Option<Held>;

    /// Creates an AccessRequest.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>>;

    /// Spends a grant by compare-and-swap on `status.consumed`, and reads the own nonce back. For scopes that last, records
    /// a use instead. A grant that says it fits another digest, person or Connection is `Gone`.
    fn claim<'a>(
        &'a self,
        identity: &'a Identity,
        digest: &'a str,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>>;

    /// Withdraws a request whose asker cancelled or left. Queued, delivered in the background, never blocks.
    fn withdraw(&self, request: &RequestRef, reason: &str);
}
