//! A door in this process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sallyport_audit::Time;
use sallyport_audit::record::{Event, ObjectRef, Person, PodRef, Record, Refusal, Token};
use sallyport_audit::verify::{Trust, verify};
use sallyport_crds::reference::SecretKeyReference;
use sallyport_policy::Policy;
use sallyport_policy::carrier::Carrier;
use sallyport_policy::columns::ByRule;
use sallyport_policy::mask::{HashKey, Keys};
use sallyport_proxy::door::{
    Approvals, Credential as TargetCredential, Door, Identity, LoginRefused, Open, Rules, Secret, Sessions,
    TargetTrust, Verifier,
};
use sallyport_proxy::drain::Drain;
use sallyport_proxy::listener::{Entrance, Shared as Listening, serve};
use sallyport_proxy::peers::{self, Hear, Way, hear};
use sallyport_proxy::postgres::{Postgres as Protocol, Shared};
use sallyport_recorder::attest::People as Recorder;
use sallyport_recorder::client::{Durability, Evidence, Limits};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Config, Log};
use sallyport_recorder::metrics::LogMetrics;
use sallyport_recorder::server::{Limits as PortLimits, Shared as Port};
use sallyport_runtime::vitals::Vitals;
use sallyport_runtime::workload::Credential;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::approvals::People;
use super::columns::Replicas;
use super::eventually;
use super::postgres::{PASSWORD, Postgres, ROLE};
use super::replicas::Others;
use super::runtime;

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

/// Masking rules and approval policies as they stand in manifests: name and spec.
#[derive(Clone)]
pub struct Given {
    /// MaskingRules.
    pub masks: Vec<(&'static str, Value)>,
    /// ApprovalPolicies.
    pub policies: Vec<(&'static str, Value)>,
    /// Changes to the Connection's spec.
    pub connection: Value,
    /// Whether the sink wants command texts masked.
    pub masked_records: bool,
    /// Columns that stay protected, by database.
    pub columns: BTreeMap<String, ByRule>,
    /// Keys of MaskingRules.
    pub keys: Keys,
}

impl Given {
    /// Everything is allowed, nothing masked.
    pub fn open() -> Self {
        let rules = json!([{"name": "all", "match": {"any": true}, "action": "Allow"}]);
        Self {
            masks: Vec::new(),
            policies: vec![("all", json!({"rules": rules}))],
            connection: json!({}),
            masked_records: false,
            columns: BTreeMap::new(),
            keys: Keys::default(),
        }
    }

    /// The rules that the leak cases name: two columns, two detectors, everything allowed.
    pub fn cases() -> Self {
        Self::cases_under("Standard")
    }

    /// The same with another profile for the columns. `bob` sees everything.
    pub fn cases_under(profile: &str) -> Self {
        let exempt = json!([{"kind": "Group", "name": "oidc:dba"}]);
        let columns = json!({"columns": ["public.customers.ssn", "public.customers.ssn_num"]});
        let detectors = json!({"detectors": ["US_SSN", "CREDIT_CARD"]});
        Self::open()
            .mask(
                "columns",
                json!({"match": columns, "profile": profile, "exemptSubjects": exempt}),
            )
            .mask("detectors", json!({"match": detectors, "exemptSubjects": exempt}))
    }

    /// Columns of two tables that are shown as hashes under one key and may be compared, one under another key, and one that
    /// is redacted; all under Strict. `bob` sees everything.
    pub fn cases_of_equality() -> Self {
        let exempt = json!([{"kind": "Group", "name": "oidc:dba"}]);
        let strict = |columns: &[&str], action: Value, equality: bool| {
            json!({"match": {"columns": columns}, "profile": "Strict", "action": action, "allowEquality": equality,
                "exemptSubjects": exempt})
        };
        let hash = |key: &str| json!({"type": "Hash", "hash": {"keySecretRef": {"name": "hash-key", "key": key}, "length": 32}});
        let own = ["public.customers.ssn", "public.ledger.ssn", "public.ledger.ssn_num"];
        let mut given = Self::open()
            .mask("hashed", strict(&own, hash("own"), true))
            .mask(
                "hashed-otherwise",
                strict(&["public.customers.ssn_num"], hash("another"), true),
            )
            .mask(
                "redacted",
                strict(&["public.customers.card"], json!({"type": "Redact"}), false),
            );
        let key = |key: &str, byte: u8| {
            let name = "hash-key".to_owned();
            let at = SecretKeyReference { name, key: key.into() };
            (at, HashKey::new(&[byte; 32]).unwrap())
        };
        given.keys.hash = [key("own", 1), key("another", 2)].into();
        given
    }

    /// Adds a MaskingRule that redacts, if it says nothing else.
    #[must_use]
    pub fn mask(mut self, name: &'static str, spec: Value) -> Self {
        let base = json!({"profile": "Standard", "action": {"type": "Redact"}});
        self.masks.push((name, merged(base, spec)));
        self
    }

    /// Puts one ApprovalPolicy in the place of all.
    #[must_use]
    pub fn policy(mut self, rules: Value) -> Self {
        self.policies = vec![("changes", json!({"rules": rules}))];
        self
    }

    /// Changes the Connection's spec.
    #[must_use]
    pub fn connection(mut self, spec: Value) -> Self {
        self.connection = merged(self.connection, spec);
        self
    }

    /// The carrier.
    pub fn carrier(&self, revision: u64, port: u16) -> Carrier {
        let selector = json!({"matchLabels": {"data": "customer"}});
        let rule = |index: usize, name: &str, spec: &Value| {
            let spec = merged(json!({"connectionSelector": selector}), spec.clone());
            json!({"name": name, "uid": format!("uid-{index}-{name}"), "generation": 1, "spec": spec})
        };
        let masks: Vec<Value> = self
            .masks
            .iter()
            .enumerate()
            .map(|(i, (name, spec))| rule(i, name, spec))
            .collect();
        let policies: Vec<Value> = self
            .policies
            .iter()
            .enumerate()
            .map(|(i, (name, spec))| rule(i, name, spec))
            .collect();
        let spec = json!({
            "protocol": "PostgreSQL",
            "target": {"host": "127.0.0.1", "port": port, "tls": {"mode": "VerifyFull", "serverName": "localhost"}},
            "credentialsRef": {"name": "target"},
            "subjects": [{"kind": "Group", "name": "oidc:engineers"}, {"kind": "Group", "name": "oidc:dba"}],
            "requires": {"none": true},
            "sinks": [{"name": "evidence"}],
            "identity": {"issuers": [{"name": "test"}]},
        });
        let carrier = json!({
            "format": 1,
            "revision": revision,
            "connection": {"namespace": "doors", "name": "bank", "uid": "uid-bank", "generation": 1,
                "labels": {"data": "customer"}, "spec": merged(spec, self.connection.clone())},
            "maskingRules": masks,
            "approvalPolicies": policies,
            "sinks": [],
            "issuers": [],
            "settings": {},
            "columns": self.columns,
        });
        serde_json::from_value(carrier).unwrap()
    }

    /// What a door enforces under these rules.
    pub fn rules(&self, revision: u64, server: &Postgres) -> Rules {
        self.rules_at(revision, server.port, &server.ca)
    }

    /// The same for a server that another process started: its port and CA.
    pub fn rules_at(&self, revision: u64, port: u16, ca: &str) -> Rules {
        let carrier = self.carrier(revision, port);
        let policy = Policy::with_keys(&carrier, self.keys.clone()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
            .unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"binding key of this test, 32 byte");
        Rules::Open(Arc::new(Open {
            revision,
            connection: bank(),
            spec: carrier.connection.spec,
            policy: Arc::new(policy),
            mask_command_text: self.masked_records,
            credential: Some(Arc::new(TargetCredential {
                username: ROLE.into(),
                password: Some(Secret::new(PASSWORD.into())),
                certificate: None,
            })),
            trust: Some(TargetTrust {
                config: Arc::new(config),
                server_name: ServerName::try_from("localhost").unwrap(),
            }),
            denied_networks: Arc::new([]),
            binding_key: Arc::new(key),
        }))
    }
}

fn merged(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        for (key, value) in over {
            base.insert(key, value);
        }
    }
    base
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
        let directory = tempfile::tempdir().unwrap();
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
        let hearing = hear(listener, credential, &bank(), Arc::clone(&self.heard)).unwrap();
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

/// A log of a test's own, and a door's way to it.
pub fn evidence(directory: &std::path::Path, runtime: &tokio::runtime::Runtime, recorder: Recorder) -> (Log, Evidence) {
    let log = log(directory, runtime);
    let pod = PodRef {
        name: "door".into(),
        uid: "uid-pod".into(),
    };
    let speaker = sallyport_recorder::server::Door {
        connection: bank(),
        pod,
    };
    let (durability, limits) = (Durability::BeforeExecution, Limits::default());
    let evidence = match recorder {
        Recorder::SameProcess => Evidence::local(log.clone(), speaker, durability, limits, runtime.handle()),
        asked => {
            let port = Port::new(log.clone(), PortLimits::default(), CancellationToken::new()).attesting(asked);
            Evidence::piped(port, speaker, durability, limits, runtime.handle())
        }
    };
    (log, evidence.unwrap())
}

fn log(directory: &std::path::Path, runtime: &tokio::runtime::Runtime) -> Log {
    let _guard = runtime.enter();
    let config = Config {
        sink: ObjectRef {
            name: "evidence".into(),
            namespace: "doors".into(),
            uid: "uid-sink".into(),
        },
        pod: PodRef {
            name: "recorder".into(),
            uid: "uid-recorder".into(),
        },
        checkpoint_every: Duration::from_millis(20),
        grace: Duration::from_secs(1),
        witness: None,
        retention: None,
        metrics: LogMetrics::unregistered().unwrap(),
    };
    Log::open(
        Arc::new(Folder::claim(directory.join("log"), std::time::Duration::ZERO).unwrap()),
        config,
    )
    .unwrap()
}

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
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
