//! One session's life, for every protocol: accept → identify → admit → dial → serve → close.
//!
//! Each step takes what only the step before it can make. [`admit`] alone makes an [`Admitted`], which alone gives up the
//! [`Permit`] that [`Protocol::dial`] consumes: no connection to a target without a person who may have one. Protocols
//! supply wording and framing; the order of things, the records and the one end record are here.

mod admitted;
mod end;
mod grants;
mod news;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::record::{Batch, Claims, EndCause, Event, LoginRefused, Person, Refusal, SessionId, SessionStart};
use sallyport_audit::wire::{Present, Token};
use sallyport_identity::Place;
use sallyport_recorder::client::EvidenceError;
use tokio::net::TcpStream;

use crate::door::{Credential, Door, Identity, Network, Open, Rules, Secret, Slot, TargetTrust};
use crate::metrics;

pub use admitted::{Admitted, Ended, Permit, Session, Stir};
pub use end::End;
pub use grants::{Grant, Revoked};

/// Until a client is known and the target reached: TLS, startup, token, dial.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// What a protocol supplies.
pub trait Protocol {
    /// Its name in records and metrics.
    const NAME: &'static str;
    /// A client whose transport is protected.
    type Client;
    /// A target that has let the door in.
    type Target;

    /// Protects the transport and reads what the client claims. `None`: it was no session (a cancel, a probe).
    fn accept(&self, stream: TcpStream) -> impl Future<Output = Result<Option<Self::Client>, Turned>>;

    /// What the client claims of itself. Recorded; decides nothing but what is asked for.
    fn claims(&self, client: &Self::Client) -> Claims;

    /// Asks for the token. `None`: the client left before it presented one.
    fn token(&self, client: &mut Self::Client) -> impl Future<Output = Result<Option<Secret>, Turned>>;

    /// Whether the Connection offers what the client asks for (a database, an account).
    fn offers(&self, client: &Self::Client, open: &Open) -> bool;

    /// Reaches the target. The permit says which, with what credential.
    fn dial(&self, permit: Permit, client: &Self::Client) -> impl Future<Output = Result<Self::Target, Turned>>;

    /// Serves commands until the session ends.
    fn serve(
        &self,
        session: &mut Session,
        client: Self::Client,
        target: Self::Target,
    ) -> impl Future<Output = EndCause>;

    /// Turns a client away, in the protocol's words.
    fn refuse(&self, client: Self::Client, turned: &Turned) -> impl Future<Output = ()>;
}

/// Somebody is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Why.
    pub reason: Refusal,
    /// For the examiner.
    pub detail: String,
    /// For the client, who is told no more than helps the entitled.
    pub told: String,
    /// The protocol's own word for it, where that says more than the reason does.
    pub code: Option<&'static str>,
    /// What the client claimed, as far as it was read.
    pub claims: Claims,
    /// Who it was, where that is known.
    pub person: Option<Person>,
}

/// One target, with everything that reaching it takes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The door's own credential there.
    pub credential: Arc<Credential>,
    /// How its certificate is checked; `None` where the Connection says in so many words that there is no TLS.
    pub trust: Option<TargetTrust>,
    /// Where it may not be.
    pub denied: Arc<[Network]>,
}

/// Runs one session from its first byte to its end record. `stranger`: its place among those of whom nobody is known.
pub async fn run<P: Protocol>(protocol: &P, door: &Door, stream: TcpStream, peer: SocketAddr, stranger: Place<IpAddr>) {
    match tokio::time::timeout(HANDSHAKE, enter(protocol, door, stream, peer)).await {
        Ok(Some((mut session, client, target))) => {
            drop(stranger);
            let cause = protocol.serve(&mut session, client, target).await;
            session.close(cause);
        }
        Ok(None) => {}
        Err(_) => turned_away(door, peer, &Turned::new(Refusal::Limit, "the handshake took too long")),
    }
}

/// Accept, identify, admit, dial.
async fn enter<P: Protocol>(
    protocol: &P,
    door: &Door,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Session, P::Client, P::Target)> {
    let mut client = match protocol.accept(stream).await {
        Ok(accepted) => accepted?,
        Err(turned) => {
            turned_away(door, peer, &turned);
            return None;
        }
    };
    let known = match identify(protocol, door, &mut client).await {
        Ok(known) => known?,
        Err(turned) => {
            let turned = turned.claiming(protocol.claims(&client));
            turned_away(door, peer, &turned);
            protocol.refuse(client, &turned).await;
            return None;
        }
    };
    let admitted = match admit(protocol, door, &client, known, peer).await {
        Ok(admitted) => admitted,
        Err(turned) => {
            let turned = turned.claiming(protocol.claims(&client));
            turned_away(door, peer, &turned);
            protocol.refuse(client, &turned).await;
            return None;
        }
    };
    let (session, permit) = admitted.into_parts();
    match protocol.dial(permit, &client).await {
        Ok(target) => Some((session, client, target)),
        Err(turned) => {
            let turned = turned.claiming(protocol.claims(&client)).by(session.identity());
            session.refused(peer, &turned);
            session.close(EndCause::TargetLost);
            protocol.refuse(client, &turned).await;
            None
        }
    }
}

/// Who is it? `None`: the client left before it said so.
async fn identify<P: Protocol>(
    protocol: &P,
    door: &Door,
    client: &mut P::Client,
) -> Result<Option<(Identity, Secret)>, Turned> {
    let Some(token) = protocol.token(client).await? else {
        return Ok(None);
    };
    let refused = match door.verifier.verify(token.expose(), Time::now()).await {
        Ok(identity) => return Ok(Some((identity, token))),
        Err(refused) => refused,
    };
    let mut turned =
        Turned::new(refused.reason, refused.detail).told("the token was refused: it is expired, or not for this door");
    turned.person = refused.person;
    Err(turned)
}

/// May they come in? The start record is on disk before anything is dialled.
async fn admit<P: Protocol>(
    protocol: &P,
    door: &Door,
    client: &P::Client,
    (identity, token): (Identity, Secret),
    peer: SocketAddr,
) -> Result<Admitted, Turned> {
    let refused = |reason, detail: &str| Turned::new(reason, detail).by(&identity);
    if door.drain.begun.is_cancelled() {
        return Err(refused(Refusal::DoorShut, "this door is shutting down"));
    }
    let open = match &*door.rules.borrow() {
        Rules::Open(open) => Arc::clone(open),
        Rules::Shut(why) => return Err(refused(Refusal::DoorShut, why).told("this door is shut")),
    };
    // A forbidden target and an unknown one look the same from outside.
    let outside = "you are not admitted to this connection";
    if !open.policy.admits(&admitted::subject(&identity)) {
        return Err(refused(Refusal::NotAdmitted, "not among the subjects of the Connection").told(outside));
    }
    if !protocol.offers(client, &open) {
        return Err(refused(
            Refusal::NotAdmitted,
            "what was asked for is not offered by the Connection",
        )
        .told(outside));
    }
    let target = Target::of(&open).map_err(|why| refused(Refusal::DoorShut, why).told("this door is shut"))?;
    let limits = &open.spec.limits;
    let (max, own) = (usize_of(limits.max_sessions), usize_of(limits.max_sessions_per_person));
    let mut slot = door
        .sessions
        .enter(&identity.person, open.revision, max, own)
        .map_err(|crowded| refused(Refusal::Limit, &crowded.to_string()))?;
    let id = SessionId::random().map_err(|error| refused(Refusal::DoorShut, &error.to_string()))?;
    let here = slot.came_by(token.expose(), peer.ip());
    let (presented, elsewhere) = tokio::join!(present(door, &id, &identity, &token), elsewhere(door, &slot, here));
    if elsewhere.is_some() {
        metrics::get().token_elsewhere();
    }
    presented?;
    let start = SessionStart {
        agents: identity.agents.clone(),
        claims: protocol.claims(client),
        client: peer.to_string(),
        groups: identity.groups.clone(),
        groups_omitted: 0,
        person: identity.person.clone(),
        policy_revision: open.revision,
        protocol: P::NAME.to_owned(),
        target: format!("{}:{}", target.host, target.port),
        token: identity.token.clone(),
        token_elsewhere: elsewhere.map(|address| address.to_string()),
    };
    let batch =
        Batch::of(Time::now(), Some(&id), Event::SessionStart(Box::new(start))).map_err(|error| unrecorded(&error))?;
    // From here on there is a start record, perhaps, and so there will be an end record, certainly.
    let end = End::new(door.evidence.clone(), id);
    match door.evidence.append(batch).await {
        Ok(_durable) => Ok(Admitted::new(door.clone(), open, identity, token, slot, end, target)),
        Err(error) => {
            end.close(EndCause::EvidenceLost);
            Err(unrecorded(&error))
        }
    }
}

/// Another address by which the token is in use: at this process, or else at another replica, which clients are led to by their
/// address.
async fn elsewhere(door: &Door, slot: &Slot, here: Option<IpAddr>) -> Option<IpAddr> {
    match (here, slot.token()) {
        (None, Some((token, from))) => door.peers.elsewhere(token, from).await,
        _ => here,
    }
}

/// Shows the token to the recorders, which check it by themselves: whom this door states is not taken on its word alone.
async fn present(door: &Door, session: &SessionId, identity: &Identity, token: &Secret) -> Result<(), Turned> {
    let refused = |reason, detail: String| Turned::new(reason, detail).by(identity);
    let told = "the token was refused by the recorder, which checks it as well";
    let Some(token) = Token::new(token.expose()) else {
        return Err(refused(Refusal::BadToken, "what was presented is no text".to_owned()).told(told));
    };
    let present = Present {
        agents: identity.agents.clone(),
        person: identity.person.clone(),
        session: session.clone(),
        token,
    };
    match door.evidence.present(present).await {
        Ok(()) => Ok(()),
        Err(error @ EvidenceError::Unvouched { later: true, .. }) => {
            let told = "the recorder cannot check the token now; try again";
            Err(refused(Refusal::IssuerUnavailable, error.to_string()).told(told))
        }
        Err(error @ EvidenceError::Unvouched { .. }) => Err(refused(Refusal::BadToken, error.to_string()).told(told)),
        Err(error) => Err(unrecorded(&error)),
    }
}

fn unrecorded(error: &dyn std::fmt::Display) -> Turned {
    Turned::new(Refusal::DoorShut, format!("the session cannot be recorded: {error}"))
        .told("this door is shut: no evidence can be written")
}

/// Records a refused login. Nobody waits for it: there is nothing to hold back, and a flood must cost little.
pub(crate) fn turned_away(door: &Door, peer: SocketAddr, turned: &Turned) {
    metrics::get().refused(turned.reason);
    let event = Event::LoginRefused(Box::new(turned.record(peer)));
    let sent = Batch::of(Time::now(), None, event).map_err(|error| error.to_string());
    if let Err(error) = sent.and_then(|batch| door.evidence.send(batch).map_err(|error| error.to_string())) {
        metrics::get().evidence_failed();
        tracing::warn!(%error, "a refused login could not be recorded");
    }
}

fn usize_of(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

// === impl Turned ===

impl Turned {
    /// Turned away for a reason. The client is told the same words; see [`Turned::told`].
    pub fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            reason,
            told: detail.clone(),
            code: None,
            detail,
            claims: Claims::default(),
            person: None,
        }
    }

    /// What the client is told instead.
    #[must_use]
    pub fn told(mut self, words: impl Into<String>) -> Self {
        self.told = words.into();
        self
    }

    /// The protocol's own word for it.
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What the client claimed.
    #[must_use]
    pub fn claiming(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// Who it was.
    #[must_use]
    pub fn by(mut self, identity: &Identity) -> Self {
        self.person = Some(identity.person.clone());
        self
    }

    pub(super) fn record(&self, peer: SocketAddr) -> LoginRefused {
        LoginRefused {
            claims: self.claims.clone(),
            client: peer.to_string(),
            detail: self.detail.clone(),
            person: self.person.clone(),
            reason: self.reason,
        }
    }
}

// === impl Target ===

impl Target {
    fn of(open: &Open) -> Result<Self, &'static str> {
        let credential = open
            .credential
            .clone()
            .ok_or("the target's credential is missing or not for this host")?;
        let port = u16::try_from(open.spec.target.port).map_err(|_| "the target's port is out of range")?;
        let host = open.spec.target.host.clone();
        Ok(Self {
            host,
            port,
            credential,
            trust: open.trust.clone(),
            denied: Arc::clone(&open.denied_networks),
        })
    }

    /// The target in one word, as its columns are known by it, too.
    #[must_use]
    pub fn name(&self) -> String {
        sallyport_policy::columns::target(&self.host, self.port)
    }

    /// Whether the installation allows an address that the host name gave.
    #[must_use]
    pub fn may_dial(&self, address: IpAddr) -> bool {
        !self.denied.iter().any(|network| network.contains(address))
    }
}
