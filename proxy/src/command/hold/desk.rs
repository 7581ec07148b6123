//! What a protocol supplies to a hold.

use std::time::Duration;

use sallyport_audit::Time;
use sallyport_crds::approval_policy::OnHold;

use crate::command::Asked;
use crate::session::Session;

/// What a protocol supplies to a hold: words on the client's screen, and notice of a client that leaves.
pub trait Desk {
    /// What the client itself asked for at a hold.
    fn on_hold(&self) -> Option<OnHold>;

    /// Why the client would go ahead without waiting, if it asked for that.
    fn break_glass(&self) -> Option<String>;

    /// Whether the session has a transaction open, whose locks stop others while it waits.
    fn in_transaction(&self) -> bool;

    /// How long the target at most lets the session or its open transaction wait for people, before it ends the session; `None`
    /// where it sets no end, or cannot be asked now.
    fn target_waits(&mut self, session: &mut Session) -> impl Future<Output = Result<Option<Duration>, Gone>>;

    /// Puts lines on the client's screen: they are sent while [`Desk::gone`] waits.
    fn tell(&mut self, lines: &Waiting);

    /// Puts on the client's screen that it went ahead by break-glass. Only there: what runs without it is answered as ever.
    fn went_ahead(&mut self, glass: &WentAhead);

    /// Waits until the client cancels or leaves, or the target does. May be cancelled.
    fn gone(&mut self) -> impl Future<Output = Gone>;

    /// Everything beside the unit itself that decides at the target what it would do: role, settings by which text is read,
    /// code that it may call. `None` where that cannot be known now; then nobody is asked.
    fn circumstances(&mut self, session: &mut Session) -> impl Future<Output = Result<Option<Vec<u8>>, Gone>>;

    /// Does what has to be done before it may run and takes long: the last look comes after that. What fails here is done again,
    /// and said, when it is about to run.
    fn ready(&mut self, session: &mut Session) -> impl Future<Output = ()>;

    /// Understands the unit once more, with fresh knowledge: what a name means may have changed while it waited.
    fn again(&mut self, session: &mut Session) -> impl Future<Output = Result<Vec<Asked>, Gone>>;

    /// The same for the last time before it runs: what it names has to stay what it is until then, as far as the target can
    /// see to that.
    fn finally(&mut self, session: &mut Session) -> impl Future<Output = Result<Vec<Asked>, Gone>>;
}

/// Why nothing is waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The client took the command back; the session goes on.
    Cancelled,
    /// The client is gone.
    Client,
    /// The client broke the protocol.
    ClientBroke,
    /// The target is gone.
    Target,
    /// The session's time is over.
    Expired,
    /// The session may not go on under the present rules.
    Revoked,
    /// The session's token does not stand any more.
    Token,
    /// A grant by which something of the session ran was revoked.
    GrantRevoked,
    /// The door shuts down.
    Shutdown,
    /// Evidence cannot be written any more.
    Evidence,
}

/// What is said to a person who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Namespace of the request.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Approvals so far of approvals needed; empty at first.
    pub progress: String,
    /// Why a second person is asked: the rules' own messages.
    pub reasons: Vec<String>,
    /// Who can approve, and how many of them it takes, in words; one line for each policy that asks.
    pub needs: Vec<String>,
    /// How long the command still waits.
    pub left: Duration,
    /// Whether this is the first word.
    pub first: bool,
}

/// What is said to a person who goes ahead by break-glass, once a session for each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WentAhead {
    /// Namespace of the request that stands for the use.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When the use is over; `None` where that is not known.
    pub until: Option<Time>,
    /// Who reviews it, in words.
    pub reviewers: String,
}

// === impl Gone ===

impl Gone {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Cancelled => "the asker cancelled the command",
            Self::Client | Self::ClientBroke => "the asker left",
            Self::Target => "the target closed the connection",
            Self::Expired => "the session's time is over",
            Self::Revoked => "the session may not go on under the present rules",
            Self::Token => "the session's token is no longer valid",
            Self::GrantRevoked => "a grant of the session was revoked",
            Self::Shutdown => "the door shuts down",
            Self::Evidence => "evidence cannot be written",
        }
    }
}
