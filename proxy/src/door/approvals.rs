//! How a session asks a second person.

use std::time::Duration;

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
    /// Set: the person goes ahead without waiting, for this reason and at most this long.
    pub break_glass: Option<(String, Duration)>,
}

/// What a session looks for among the requests of its Connection.
#[derive(Clone, Debug)]
pub struct GrantSought {
    /// What the grant is bound to.
    pub digest: String,
    /// What would be granted.
    pub scope: GrantScope,
    /// Which policies and rules ask.
    pub asked_by: Vec<RuleIdentity>,
    /// Host and port of the session's target.
    pub target: String,
}

/// Whether every rule that asks `now` is among those that asked `then`, when people answered. In which generation does not
/// matter: their answers are counted by the present one.
#[must_use]
pub fn all_asked(now: &[RuleIdentity], then: &[RuleIdentity]) -> bool {
    let asked = |rule: &RuleIdentity| then.iter().any(|one| (&one.uid, &one.rule) == (&rule.uid, &rule.rule));
    now.iter().all(asked)
}

/// How a person stands to breaking glass.
#[derive(Debug)]
pub enum Glass {
    /// They have not, or it was reviewed; or only where other rules ask.
    Whole,
    /// They have, and the use is not over.
    Broken(Held),
    /// They have, the use is over, and nobody has reviewed it: another is not possible before.
    Locked(RequestRef),
    /// It cannot be seen whether they have, nor whether a use was taken back; in words.
    Unseen(String),
}

/// An open question.
#[derive(Debug)]
pub struct Held {
    /// Namespace, name and uid of the AccessRequest.
    pub request: RequestRef,
    /// When it can no longer be answered; `None` where that is not known.
    pub expires: Option<Time>,
    /// Whether one session waits for it, and it ends with that one's patience; or the asker comes again for it, and it stays open.
    pub on_hold: OnHold,
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
    /// A grant was given and taken back: what it allowed ends at once. In words.
    Revoked(String),
    /// Withdrawn, used or deleted; in words.
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
    /// The API server is away.
    #[error("approvals are not available: {0}")]
    Unavailable(String),
    /// There is no cluster.
    #[error("this door runs without a cluster (--manifests), so nobody can be asked")]
    NoCluster,
    /// The API server refused the object, in its words.
    #[error("the request was refused: {0}")]
    Refused(String),
    /// The person has as many open requests as the Connection allows.
    #[error("{open} requests are open already; withdraw one or wait")]
    TooMany {
        /// How many.
        open: usize,
    },
    /// The person asked and took back, or let time run out, as often as the Connection allows for now.
    #[error(
        "{in_vain} requests of yours were taken back or ran out of time a short while ago; try again in some minutes"
    )]
    TooOften {
        /// How many.
        in_vain: usize,
    },
    /// The Connection has as many open requests as it allows.
    #[error(
        "{open} requests are open on this connection already, of all people together; wait until some are answered"
    )]
    Crowded {
        /// How many.
        open: usize,
    },
    /// The open requests of the Connection hold as many bytes as it allows.
    #[error(
        "open requests of this connection hold {held} bytes already, and this one does not fit; wait until some are answered"
    )]
    TooMuch {
        /// How many bytes.
        held: usize,
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
    /// Grants that fit: requests of this person and agent chain on this Connection with this digest that are approved and
    /// not spent, and windows that the person asked for beforehand and that cover the rules that ask. Answers from the
    /// watch, without a round trip. After them requests that wait: their state is `Waiting`. A retry joins the question for which
    /// the asker comes again ([`Held::on_hold`]) instead of asking it twice. The newest of each come first.
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held>;

    /// How a person stands to breaking glass where these rules ask: a use that is under way is one for rules whose reviewers
    /// will see it. Answers from the watch, without a round trip.
    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass;

    /// Creates an AccessRequest.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>>;

    /// Spends a grant by compare-and-swap on `status.consumed`, and reads the own nonce back. For scopes that last, records
    /// a use instead. A grant that says it fits another digest, person or Connection is `Gone`.
    fn claim<'a>(
        &'a self,
        identity: &'a Identity,
        sought: &'a GrantSought,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>>;

    /// Withdraws a request whose asker cancelled or left. Queued, delivered in the background, never blocks.
    fn withdraw(&self, request: &RequestRef, reason: &str);
}
