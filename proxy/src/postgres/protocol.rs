//! PostgreSQL as one of the protocols of a door.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::Authentication;
use sallyport_audit::record::{Claims, EndCause, Refusal};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::auth;
use super::cancel::{Cancellable, Cancels, Looked};
use super::catalog::Catalogs;
use super::conversation::{Beginning, Conversation};
use super::dial::{self, Asking, DialError, Reached};
use super::errors::{Said, sqlstate};
use super::frame;
use super::lookout::Lookout;
use super::refused;
use super::role;
use super::room::Room;
use super::settings::Login;
use super::startup::{self, ALPN, CancelKey, First, Minor, Opening, Startup};
use super::turned::{GOODBYE, ill_chosen, is_absent, lost, said, say, say_why, turned, unavailable};
use super::wire::Wire;
use crate::door::{Door, Open, Rules, Secret};
use crate::metrics;
use crate::peers::Hear;
use crate::session::{Permit, Protocol, Session, Target, Turned};

/// The newest minor version that is spoken, as NegotiateProtocolVersion states it.
const NEWEST: u32 = 0x0003_0002;
const OLDEST: u32 = 0x0003_0000;
/// Until a client has agreed on TLS and said what it wants. Nobody has to type anything for that.
const OPENING: Duration = Duration::from_secs(10);
/// What the client is told where it named no program.
const APPLICATION: &str = "";

/// What all sessions of a process share.
#[derive(Clone)]
pub struct Shared {
    cancels: Cancels,
    catalogs: Catalogs,
    lookout: Lookout,
    room: Room,
}

/// The protocol for one connection of one door.
pub struct Postgres {
    door: Door,
    shared: Shared,
}

/// A client inside TLS that has said what it wants.
pub struct Client {
    wire: Wire<TlsStream<TcpStream>>,
    startup: Startup,
}

/// A target that has let the door in, with what the session needs to know of it.
pub struct Dialled {
    reached: Reached,
    target: Target,
    cancellable: Cancellable,
}

// === impl Shared ===

impl Shared {
    /// Nothing yet. Side connections live on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            cancels: Cancels::default(),
            catalogs: Catalogs::new(runtime.clone()),
            lookout: Lookout::new(runtime),
            room: Room::default(),
        }
    }

    /// Takes the cancels that other replicas do not know.
    #[must_use]
    pub fn hear(&self) -> Hear {
        let cancels = self.cancels.clone();
        Arc::new(move |key| cancels.heard(key))
    }
}

// === impl Postgres ===

impl Postgres {
    /// For one connection.
    #[must_use]
    pub fn new(door: Door, shared: Shared) -> Self {
        Self { door, shared }
    }

    /// TLS, by either road; the stream inside, or nothing where it was a cancel.
    async fn secured(&self, mut stream: TcpStream, from: IpAddr) -> Result<Option<TlsStream<TcpStream>>, Turned> {
        stream.set_nodelay(true).map_err(|error| lost(&error))?;
        let direct = match startup::open(&mut stream).await {
            Ok(Opening::Tls) => false,
            Ok(Opening::DirectTls) => true,
            Ok(Opening::Cancel(key)) => {
                self.cancel(&key, from).await;
                return Ok(None);
            }
            Err(error) => {
                say_why(Wire::new(stream), &error).await;
                return Err(turned(&error));
            }
        };
        let Some(config) = self.door.tls.load().as_ref().clone() else {
            return Err(Turned::new(Refusal::DoorShut, "the door has no certificate"));
        };
        let tls = TlsAcceptor::from(config)
            .accept(stream)
            .await
            .map_err(|error| lost(&error))?;
        // Without ALPN, TLS from the first byte could be anybody's: another protocol's client must not be led here.
        if direct && tls.get_ref().1.alpn_protocol() != Some(ALPN) {
            let words = "direct TLS needs the ALPN name postgresql";
            say(Wire::new(tls), &Said::fatal(sqlstate::PROTOCOL, words)).await;
            return Err(Turned::new(Refusal::BadStartup, words));
        }
        Ok(Some(tls))
    }

    /// TLS and the startup message.
    async fn opened(&self, stream: TcpStream) -> Result<Option<Client>, Turned> {
        let from = stream.peer_addr().map_err(|error| lost(&error))?.ip();
        let Some(mut tls) = self.secured(stream, from).await? else {
            return Ok(None);
        };
        match startup::first(&mut tls).await {
            Ok(First::Startup(startup)) => {
                let mut wire = Wire::new(tls);
                if startup.negotiate {
                    negotiate(&startup, &mut wire.out);
                }
                Ok(Some(Client { wire, startup }))
            }
            Ok(First::Cancel(key)) => {
                self.cancel(&key, from).await;
                // libpq takes an end without TLS's own goodbye for a cancel that failed.
                Wire::new(tls).close(GOODBYE).await;
                Ok(None)
            }
            Err(error) => {
                say_why(Wire::new(tls), &error).await;
                Err(turned(&error))
            }
        }
    }

    /// Cancels here, or else at the other replicas. The connection stays open meanwhile: a client that waits for its end
    /// sends nothing that this cancel could hit.
    async fn cancel(&self, key: &CancelKey, from: IpAddr) {
        // Also where one replica is asked for: another drains while it is replaced.
        if self.shared.cancels.cancel(key, from) == Looked::Unknown {
            self.door.peers.cancel(key.to_bytes()).await;
        }
    }

    /// Notes what the Connection's owner has to mend, unless something else would be shown by now.
    fn note(&self, error: &DialError, target: &Target, database: &str) {
        if is_absent(error) {
            self.door.sessions.no_database(&target.name(), database);
        }
        let rules = self.door.rules.borrow();
        if let Some(open) = showing(&rules, target)
            && let Some(refusal) = refused::told(error, open, &target.credential.username, database)
        {
            self.door.sessions.target_refused(database, refusal);
        }
    }

    /// Notes that the target takes what it was shown, unless something else would be by now: of that it says nothing.
    fn note_let_in(&self, target: &Target, database: &str) {
        let rules = self.door.rules.borrow();
        if showing(&rules, target).is_some() {
            self.door.sessions.target_let_in(database);
        }
    }
}

impl Protocol for Postgres {
    const NAME: &'static str = "postgres";
    type Client = Client;
    type Target = Dialled;

    async fn accept(&self, stream: TcpStream) -> Result<Option<Client>, Turned> {
        match tokio::time::timeout(OPENING, self.opened(stream)).await {
            Ok(opened) => opened,
            Err(_) => Err(Turned::new(Refusal::Limit, "TLS and startup took too long")),
        }
    }

    fn claims(&self, client: &Client) -> Claims {
        let wanted = &client.startup.wanted;
        Claims {
            application: wanted.application.as_deref().map(shown),
            database: Some(shown(&wanted.database)),
            user: Some(shown(&wanted.user)),
        }
    }

    async fn token(&self, client: &mut Client) -> Result<Option<Secret>, Turned> {
        let configuration = self.door.verifier.configuration();
        let login = client.startup.wanted.login;
        auth::token(&mut client.wire, login, configuration.as_deref())
            .await
            .map_err(|error| Turned::new(Refusal::BadStartup, format!("no token was presented: {error}")))
    }

    fn offers(&self, client: &Client, open: &Open) -> bool {
        let databases = open
            .spec
            .postgresql
            .as_ref()
            .map(|postgresql| postgresql.databases.as_slice())
            .unwrap_or_default();
        databases.is_empty() || databases.contains(&client.startup.wanted.database)
    }

    async fn dial(&self, permit: Permit, client: &Client) -> Result<Dialled, Turned> {
        let target = permit.into_target();
        let wanted = &client.startup.wanted;
        let asking = Asking {
            database: &wanted.database,
            application: wanted.application.as_deref().unwrap_or(APPLICATION),
            settings: &wanted.settings,
        };
        let reached = dial::dial(&target, &asking).await.map_err(|error| {
            // What the client asked for is no fault of the target.
            ill_chosen(&error, &asking).unwrap_or_else(|| {
                metrics::get().target_failed(error.kind());
                self.note(&error, &target, &wanted.database);
                unavailable(&error)
            })
        })?;
        self.note_let_in(&target, &wanted.database);
        // What else the role may do, the lookout asks: no session waits for that, and it alone takes back what was found.
        if let Some(caveat) = role::told(&reached) {
            self.door.sessions.found(Some(caveat));
        }
        self.shared.lookout.keep(&self.door, &target, &wanted.database);
        let cancellable = self
            .shared
            .cancels
            .enter(reached.pid, client.startup.minor)
            .map_err(|error| Turned::new(Refusal::DoorShut, error.to_string()))?;
        Ok(Dialled {
            reached,
            target,
            cancellable,
        })
    }

    async fn serve(&self, session: &mut Session, client: Client, dialled: Dialled) -> EndCause {
        let Client { mut wire, startup } = client;
        let Dialled {
            reached,
            target,
            cancellable,
        } = dialled;
        greet(&reached, &cancellable, &mut wire.out);
        let beginning = Beginning {
            client: wire,
            reached,
            cancellable,
            sends: self.shared.room.place(&session.identity().person),
            reads: self.shared.room.place(&session.identity().person),
            dialled: target,
            database: startup.wanted.database,
            catalogs: self.shared.catalogs.clone(),
            on_hold: startup.wanted.on_hold,
            break_glass: startup.wanted.break_glass.clone(),
        };
        Conversation::new(session, beginning).serve(session).await
    }

    async fn refuse(&self, mut client: Client, turned: &Turned) {
        if turned.reason == Refusal::BadToken && client.startup.wanted.login == Login::OAuth {
            let configuration = self.door.verifier.configuration();
            let told = auth::failed(&mut client.wire, configuration.as_deref());
            // Whether it listened or not: it is turned away.
            let _ = tokio::time::timeout(GOODBYE, told).await;
        }
        say(client.wire, &said(turned)).await;
    }
}

/// What is in force, if the target would be shown what it was.
fn showing<'a>(rules: &'a Rules, target: &Target) -> Option<&'a Open> {
    let Rules::Open(open) = rules else { return None };
    let shown = open.credential.as_ref()?;
    Arc::ptr_eq(shown, &target.credential).then_some(&**open)
}

/// What the client gets when it is in: the target's own parameters, the backend's process, a secret of the door.
fn greet(reached: &Reached, cancellable: &Cancellable, out: &mut Vec<u8>) {
    auth::put(out, &Authentication::Ok);
    for (name, value) in &reached.parameters {
        frame::put(out, b'S', |out| {
            frame::put_cstr(out, name);
            frame::put_cstr(out, value);
        });
    }
    let key = cancellable.key();
    frame::put(out, b'K', |out| {
        out.extend_from_slice(&key.pid.to_be_bytes());
        out.extend_from_slice(&key.secret);
    });
    auth::put(out, &ReadyForQuery::new(TransactionStatus::Idle));
}

/// NegotiateProtocolVersion: the newest minor version that is not above what was asked for, and the options that are not known.
fn negotiate(startup: &Startup, out: &mut Vec<u8>) {
    let version = if startup.minor == Minor::V2 { NEWEST } else { OLDEST };
    frame::put(out, b'v', |out| {
        out.extend_from_slice(&version.to_be_bytes());
        let unknown = &startup.wanted.unknown;
        out.extend_from_slice(&u32::try_from(unknown.len()).unwrap_or(u32::MAX).to_be_bytes());
        unknown.iter().for_each(|name| frame::put_cstr(out, name));
    });
}

/// A client's own words, cut and without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}
