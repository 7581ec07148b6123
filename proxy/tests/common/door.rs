//! A door in this process.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use sallyport_audit::Time;
use sallyport_audit::record::{Event, ObjectRef, Person, Record, Refusal, Token};
use sallyport_audit::verify::{Trust, verify};
use sallyport_proxy::door::{Approvals, Door, Identity, LoginRefused, Open, Rules, Sessions, Verifier};
use sallyport_proxy::drain::Drain;
use sallyport_proxy::listener::{Entrance, Shared as Listening, serve};
use sallyport_proxy::peers::{self, Hear, Way, hear};
use sallyport_proxy::postgres::{Postgres as Protocol, Shared};
use sallyport_recorder::attest::People as Recorder;
use sallyport_recorder::log::Log;
use sallyport_runtime::vitals::Vitals;
use sallyport_runtime::workload::Credential;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub use super::given::Given;

use super::approvals::People;
use super::columns::Replicas;
use super::postgres::Postgres;
use super::recorder::evidence;
use super::replicas::Others;
use super::{eventually, runtime, scratch};

/// A door, its recorder, and what tests turn.
pub struct TestDoor {
    /// Where clients dial.
    pub address: SocketAddr,
    /// PEM file of the CA that clients trust.
    pub ca: tempfile::NamedTempFile,
    /// The database behind it.
    pub database: String,
    /// Second people.
    pub people: People,
    /// What other replicas say to columns that stay protected.
    pub replicas: Replicas,
    /// Other replicas, for cancels.
    pub others: Others,
    /// What is enforced.
    pub rules: watch::Sender<Rules>,
    /// Ends it.
    pub drain: Drain,
    /// The door's own certificate.
    pub tls: Arc<ArcSwap<Option<Arc<rustls::ServerConfig>>>>,
    /// Its sessions.
    pub sessions: TaskTracker,
    /// What it knows of them.
    pub alive: Sessions,
    heard: Hear,
    log: Log,
    server: Arc<Postgres>,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
    _doors: watch::Sender<Option<Door>>,
}

/// `alice` is an engineer, `bob` a DBA, `mallory` in no group; everything else is no token.
pub struct Names;

impl Verifier for Names {
    fn verify<'a>(&'a self, token: &'a [u8], _: Time) -> BoxFuture<'a, Result<Identity, LoginRefused>> {
        let name = String::from_utf8_lossy(token).into_owned();
        let groups = match name.as_str() {
            "alice" => vec!["oidc:engineers".to_owned()],
            "bob" => vec!["oidc:dba".to_owned()],
            "mallory" => Vec::new(),
            _ => {
                let detail = "not a token of this test".to_owned();
                return Box::pin(async {
                    Err(LoginRefused {
                        reason: Refusal::BadToken,
                        detail,
                        person: None,
                    })
                });
            }
        };
        let person = Person {
            issuer: "https://idp.test".into(),
            subject: format!("sub-{name}"),
            username: format!("oidc:{name}"),
        };
        let token = Token {
            auth_time: Some(Time::now()),
            ..Token::default()
        };
        Box::pin(async {
            Ok(Identity {
                person,
                groups,
                agents: Vec::new(),
                email: None,
                token,
            })
        })
    }
}

/// The Connection.
pub fn bank() -> ObjectRef {
    ObjectRef {
        name: "bank".into(),
        namespace: "doors".into(),
        uid: "uid-bank".into(),
    }
}

impl TestDoor {
    /// A door before a fresh database in which `sql` was run.
    pub fn new(given: &Given, sql: &str) -> Self {
        let server = super::postgres::server();
        let database = server.database(sql);
        Self::before(given, server, database)
    }

    /// A door before a server.
    pub fn before(given: &Given, server: Arc<Postgres>, database: String) -> Self {
        Self::known_to(given, server, database, Arc::new(Names))
    }

    /// A door that asks others than the test's own people.
    pub fn asking(
        given: &Given,
        server: Arc<Postgres>,
        database: String,
        approvals: impl FnOnce(&People) -> Arc<dyn Approvals>,
    ) -> Self {
        Self::with(
            given,
            server,
            database,
            Arc::new(Names),
            Recorder::SameProcess,
            approvals,
        )
    }

    /// A door at which somebody else says who people are.
    pub fn known_to(given: &Given, server: Arc<Postgres>, database: String, verifier: Arc<dyn Verifier>) -> Self {
        Self::confirmed_by(given, server, database, verifier, Recorder::SameProcess)
    }

    /// A door whose recorder says it, too.
    pub fn confirmed_by(
        given: &Given,
        server: Arc<Postgres>,
        database: String,
        verifier: Arc<dyn Verifier>,
        recorder: Recorder,
    ) -> Self {
        Self::with(given, server, database, verifier, recorder, |people| {
            Arc::new(people.clone())
        })
    }

    fn with(
        given: &Given,
        server: Arc<Postgres>,
        database: String,
        verifier: Arc<dyn Verifier>,
        recorder: Recorder,
        approvals: impl FnOnce(&People) -> Arc<dyn Approvals>,
    ) -> Self {
        sallyport_runtime::crypto::install();
        let runtime = runtime();
        let directory = scratch();
        let (log, evidence) = evidence(directory.path(), &runtime, recorder);
        let (rules, listening) = watch::channel(given.rules(1, &server));
        let (ca, tls) = certificate();
        let (people, drain) = (People::default(), Drain::default());
        let tls = Arc::new(ArcSwap::from_pointee(Some(Arc::new(tls))));
        let (sessions, alive) = (TaskTracker::new(), Sessions::default());
        let (replicas, others) = (Replicas::default(), Others::default());
        let door = Door {
            rules: listening,
            tls: Arc::clone(&tls),
            verifier,
            approvals: approvals(&people),
            columns: Arc::new(replicas.clone()),
            peers: Arc::new(others.clone()),
            evidence,
            sessions: alive.clone(),
            drain: drain.clone(),
        };
        let (keep, doors) = watch::channel(Some(door));
        let listening = Listening {
            drain: drain.closed.clone(),
            sessions: sessions.clone(),
            slots: Arc::new(tokio::sync::Semaphore::new(100)),
            strangers: sallyport_identity::Shares::new(100),
            vitals: Vitals::default(),
        };
        let shared = Shared::new(runtime.handle().clone());
        let heard = shared.hear();
        let make = move |door: &Door| Protocol::new(door.clone(), shared.clone());
        // A port that was free may be somebody's by now.
        let served = (0..10).find_map(|_| {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let doors = doors.clone();
            match serve(&[Entrance { address, doors }], 1, &listening, make.clone()) {
                Ok(threads) => Some((address, threads)),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => None,
                Err(error) => panic!("the door does not listen: {error}"),
            }
        });
        let (address, _threads) = served.expect("a free port");
        Self {
            address,
            ca,
            database,
            people,
            replicas,
            others,
            rules,
            drain,
            tls,
            sessions,
            alive,
            heard,
            log,
            server,
            runtime,
            _directory: directory,
            _doors: keep,
        }
    }

    /// Hears other replicas under this certificate; gives the port.
    pub fn hears(&self, credential: &Credential) -> u16 {
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let hearing = hear(
            listener,
            credential,
            &bank(),
            Arc::clone(&self.heard),
            self.alive.clone(),
        )
        .unwrap();
        self.runtime.spawn(hearing);
        port
    }

    /// Tells the replica that hears on a port of what it does not know itself.
    pub fn tells(&self, credential: &Credential, port: u16) {
        let way = Way {
            host: "127.0.0.1".into(),
            port,
            own: None,
        };
        let others = peers::Replicas::new(credential, &bank(), way, self.runtime.handle().clone()).unwrap();
        self.others.are(Arc::new(others));
    }

    /// The server behind it, for another door.
    pub fn shared_server(&self) -> Arc<Postgres> {
        Arc::clone(&self.server)
    }

    /// The server behind it.
    pub fn server(&self) -> &Postgres {
        &self.server
    }

    /// Changes what is enforced now.
    pub fn change(&self, change: impl FnOnce(&mut Open)) {
        let Rules::Open(open) = self.rules.borrow().clone() else {
            panic!("the door is shut")
        };
        let mut open = (*open).clone();
        change(&mut open);
        open.revision += 1;
        self.rules.send_replace(Rules::Open(Arc::new(open)));
    }

    /// SQL past the door.
    pub fn direct(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql)
    }

    /// The same, with errors and notices in what is given.
    pub fn direct_lossy(&self, sql: &str) -> String {
        self.server.sql_lossy(&self.database, sql)
    }

    /// Puts other rules in force.
    pub fn enforce(&self, given: &Given, revision: u64) {
        self.rules.send_replace(given.rules(revision, &self.server));
    }

    /// The log's records so far, each read from the published log, which verifies.
    pub fn records(&self) -> Vec<Record> {
        let size = self.log.status().borrow().size;
        // Before the first record there is nothing to publish.
        if size == 0 {
            return Vec::new();
        }
        eventually("the log to be published", || {
            (self.log.status().borrow().published >= size).then_some(())
        });
        let store = self.log.published();
        let mut trust = Trust::new(self.log.key().clone());
        let note = sallyport_audit::store::Store::read(&store, "checkpoint")
            .unwrap()
            .unwrap();
        trust.add(&String::from_utf8(note).unwrap()).unwrap();
        let mut records = Vec::new();
        let report = verify(&store, &trust, |_, leaf| records.push(Record::parse(leaf).unwrap())).unwrap();
        assert!(records.len() as u64 >= size, "{report:?}");
        records
    }

    /// Waits until a record says so.
    pub fn recorded<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        eventually(what, || self.records().iter().find_map(|record| pick(&record.event)))
    }

    /// Waits until as many records say so.
    pub fn recorded_times(&self, what: &str, times: usize, pick: impl Fn(&Event) -> bool) {
        eventually(what, || {
            let count = self.records().iter().filter(|record| pick(&record.event)).count();
            assert!(count <= times, "{what}: {count} records, wanted {times}");
            (count == times).then_some(())
        });
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.records().into_iter().map(|record| record.event).collect()
    }
}

impl Drop for TestDoor {
    fn drop(&mut self) {
        self.drain.begun.cancel();
        self.drain.closed.cancel();
    }
}

/// A port that nobody has just now, below those that whoever dials is given: none of these takes it before it is listened on, or while
/// who listens there is started again. Within this process it is given once.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));
    loop {
        let port = 12_000 + u16::try_from(NEXT.fetch_add(1, Ordering::Relaxed) % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The door's certificate, and a file with the CA that signed it.
pub fn certificate() -> (tempfile::NamedTempFile, rustls::ServerConfig) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "CA of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], private)
        .unwrap();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca.pem()).unwrap();
    (file, config)
}
