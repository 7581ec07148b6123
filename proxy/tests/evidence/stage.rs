//! Real processes: a door, the recorder's program, PostgreSQL. The first two are this test binary started again, so that they
//! can be killed as processes are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Parser;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::record::{PodRef, Record};
use sallyport_audit::store::Dir;
use sallyport_audit::verify::{Report, Trust, verify};
use sallyport_proxy::door::{Door, Sessions, ThisProcess};
use sallyport_proxy::drain::Drain;
use sallyport_proxy::listener::{Entrance, Shared as Listening, serve};
use sallyport_proxy::postgres::{Postgres as Protocol, Shared};
use sallyport_recorder::args::Args;
use sallyport_recorder::client::{Durability, Evidence, Limits, Link};
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::vitals::Vitals;
use sallyport_runtime::workload::Credential;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::common::approvals::People;
use crate::common::columns::Replicas;
use crate::common::door::{Given, Names, bank, certificate, free_port};
use crate::common::eventually;
use crate::common::postgres::Postgres;
use crate::common::replicas::Authority;

/// Which process this binary is to be.
const ROLE: &str = "SALLYPORT_TEST_ROLE";
const POD: &str = "door-bank-0";

/// A door and a recorder on one machine, and what each needs to be started again.
pub struct Stage {
    pub server: Arc<Postgres>,
    pub database: String,
    /// The recorder's volume.
    pub volume: PathBuf,
    directory: tempfile::TempDir,
    accept: Duration,
    grace: Duration,
    preload: Option<PathBuf>,
    door: SocketAddr,
    evidence: SocketAddr,
    loopback: SocketAddr,
    running: BTreeMap<&'static str, Child>,
    trust: Option<Trust>,
    /// By mark: how far PostgreSQL's log was read, and what stood there.
    executed: RefCell<BTreeMap<&'static str, (u64, Executed)>>,
}

/// Statements, and how often each was sent.
pub type Executed = Arc<BTreeMap<String, usize>>;

impl Stage {
    /// A fresh database, a fresh volume; nothing runs yet. Statements wait `accept` for the recorder.
    pub fn new(accept: Duration) -> Self {
        let server = crate::common::postgres::server();
        let database = server.database("create table t (n int)");
        server.sql(
            "postgres",
            &format!("alter database {database} set log_statement = 'all'"),
        );
        let directory = tempfile::tempdir().unwrap();
        pki(directory.path());
        std::fs::write(directory.path().join("target-ca.pem"), &server.ca).unwrap();
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self {
            server,
            database,
            volume: directory.path().join("volume"),
            directory,
            accept,
            grace: Duration::from_millis(1500),
            preload: None,
            door: local(),
            evidence: local(),
            loopback: local(),
            running: BTreeMap::new(),
            trust: None,
            executed: RefCell::default(),
        }
    }

    /// How long the recorder waits for a door that went before it declares its sessions over: where the door lives, longer than that
    /// pauses between two tries.
    pub fn grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// Puts a library in front of the recorder's C library.
    pub fn preload(&mut self, library: PathBuf) {
        self.preload = Some(library);
    }

    /// A file of this stage.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&mut self, role: &'static str) {
        let output = std::fs::File::create(self.file(&format!("{role}.out"))).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env("STAGE", self.directory.path());
        command.env("VOLUME", &self.volume).env("DOOR", self.door.to_string());
        command.env("EVIDENCE", self.evidence.to_string());
        command.env("LOOPBACK", self.loopback.to_string());
        command.env("TARGET", self.server.port.to_string());
        command.env("ACCEPT_MS", self.accept.as_millis().to_string());
        command.env("GRACE_MS", self.grace.as_millis().to_string());
        if let (Some(library), "recorder") = (&self.preload, role) {
            command.env("LD_PRELOAD", library);
        }
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let before = self.running.insert(role, command.spawn().unwrap());
        assert!(before.is_none(), "one {role} at a time");
    }

    /// Starts the recorder and waits until it takes records.
    pub fn start_recorder(&mut self) {
        self.spawn("recorder");
        let (address, evidence) = (self.loopback, self.evidence);
        let key = eventually("the recorder to answer", || {
            TcpStream::connect(evidence).ok()?;
            let answer = get(address, "/v1/checkpoint?from=0")?;
            let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
            Some(answer["vkey"].as_str()?.to_owned())
        });
        let key: VerifierKey = key.parse().unwrap();
        let trust = self.trust.get_or_insert_with(|| Trust::new(key.clone()));
        assert_eq!(*trust.key(), key, "the log keeps its key");
    }

    /// Starts the door and waits until it listens.
    pub fn start_door(&mut self) {
        self.spawn("door");
        let address = self.door;
        eventually("the door to listen", || TcpStream::connect(address).ok());
    }

    /// Ends a process at once, as a power cut would.
    pub fn kill(&mut self, role: &'static str) {
        let mut child = self.running.remove(role).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends a process in order.
    pub fn stop(&mut self, role: &'static str) {
        let mut child = self.running.remove(role).unwrap();
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.unwrap().success());
        eventually("an orderly end", || child.try_wait().unwrap());
    }

    /// Keeps the log's present checkpoint outside of it.
    pub fn keep_checkpoint(&mut self) {
        let Some(note) = get(self.loopback, "/checkpoint") else {
            return;
        };
        self.trust.as_mut().unwrap().add(&note).unwrap();
    }

    /// Why the recorder takes no records now, as it tells the operator and readers.
    pub fn problem(&self) -> Option<String> {
        let answer = get(self.loopback, "/v1/checkpoint?from=0")?;
        let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
        Some(answer["problem"].as_str()?.to_owned())
    }

    /// How clients connect.
    pub fn conninfo(&self) -> String {
        format!(
            "host=127.0.0.1 port={} dbname={} user=alice password=alice sslmode=require connect_timeout=60",
            self.door.port(),
            self.database
        )
    }

    /// psql through the door, reading what is written to it.
    pub fn psql(&self, more: &[&str]) -> Child {
        Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "VERBOSITY=verbose",
                "-d",
                &self.conninfo(),
            ])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// How often PostgreSQL was sent each statement that holds `mark`, by its own log: the text from the mark on, up to a quote. It
    /// is asked for again and again while the log grows, so only what is new there is read.
    pub fn executed(&self, mark: &'static str) -> Executed {
        let mut executed = self.executed.borrow_mut();
        let (read, found) = executed.entry(mark).or_default();
        let log = self.server.log_from(*read);
        // The last line may not stand there whole.
        let lines = log.rfind('\n').map_or("", |end| &log[..=end]);
        *read += lines.len() as u64;
        for line in lines.lines() {
            let told = line.contains("statement: ") || line.contains("execute ");
            let text = line.split_once(mark).and_then(|(_, rest)| rest.split_once('\''));
            if let (true, Some((rest, _))) = (told, text) {
                *Arc::make_mut(found).entry(format!("{mark}{rest}")).or_default() += 1;
            }
        }
        Arc::clone(found)
    }

    /// Waits until every session is over, ends what runs, and reads the log as an outsider.
    pub fn close(&mut self) -> (Report, Vec<Record>) {
        if self.running.contains_key("door") {
            self.stop("door");
        }
        let loopback = self.loopback;
        if self.running.contains_key("recorder") {
            let size = || Some(get(loopback, "/v1/checkpoint?from=0")?.len());
            eventually("the recorder's last word", size);
            self.keep_checkpoint();
            self.stop("recorder");
        }
        let mut records = Vec::new();
        let log = Dir::new(self.volume.join("log"));
        let report = verify(&log, self.trust.as_ref().unwrap(), |_, leaf| {
            records.push(Record::parse(leaf).unwrap());
        });
        (report.unwrap(), records)
    }

    /// What a process said.
    pub fn said(&self, role: &str) -> String {
        std::fs::read_to_string(self.file(&format!("{role}.out"))).unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for role in ["door", "recorder"] {
                eprintln!("--- {role}:\n{}", self.said(role));
            }
        }
    }
}

/// One file over plain HTTP; `None` when it is not there.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: recorder\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

fn workload(name: &str, pod: &str) -> Workload {
    Workload {
        namespace: "doors".into(),
        name: name.into(),
        uid: if name == "bank" { bank().uid } else { "uid-sink".into() },
        pod: pod.into(),
        pod_uid: "uid-pod".into(),
    }
}

/// A workload CA and the certificates of door and recorder, in files.
fn pki(directory: &Path) {
    let authority = Authority::new();
    std::fs::write(directory.join("ca.pem"), &authority.ca).unwrap();
    let door = PeerIdentity::Connection(workload("bank", POD));
    let recorder = PeerIdentity::Sink(workload("evidence", "recorder-evidence-0"));
    for (file, identity) in [("door", door), ("recorder", recorder)] {
        let (certificate, key) = authority.issue(&identity);
        std::fs::write(directory.join(format!("{file}.crt")), certificate).unwrap();
        std::fs::write(directory.join(format!("{file}.key")), key).unwrap();
    }
}

// === the processes themselves ===

/// Becomes the process that the environment names, if it names one.
pub fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    sallyport_runtime::crypto::install();
    sallyport_runtime::logs::init(&recorder().logs);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    match role.as_str() {
        "recorder" => runtime.block_on(sallyport_recorder::run::run(recorder())).unwrap(),
        "door" => runtime.block_on(door()),
        other => panic!("no such role: {other}"),
    }
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn stage_file(name: &str) -> String {
    format!("{}/{name}", var("STAGE"))
}

fn recorder() -> Args {
    let own = [
        ("--namespace", "doors".to_owned()),
        ("--sink", "evidence".to_owned()),
        ("--sink-uid", "uid-sink".to_owned()),
        ("--sink-namespaces", "doors".to_owned()),
        ("--pod-name", "recorder-evidence-0".to_owned()),
        ("--pod-uid", "uid-recorder".to_owned()),
        ("--data", var("VOLUME")),
        ("--evidence-listen", var("EVIDENCE")),
        ("--read-listen", "127.0.0.1:0".to_owned()),
        ("--loopback-listen", var("LOOPBACK")),
        ("--admin-listen", "127.0.0.1:0".to_owned()),
        ("--checkpoint-every-ms", "50".to_owned()),
        ("--grace-ms", var("GRACE_MS")),
        ("--tls-cert", stage_file("recorder.crt")),
        ("--tls-key", stage_file("recorder.key")),
        ("--client-ca", stage_file("ca.pem")),
    ];
    let words = own.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    Args::parse_from(std::iter::once("sallyport-recorder".to_owned()).chain(words))
}

async fn door() {
    let read = |name: &str| std::fs::read(stage_file(name)).unwrap();
    let credential = Credential::from_pem(&read("door.crt"), &read("door.key"), &read("ca.pem")).unwrap();
    let config = credential
        .client_config(Arc::new(|peer| matches!(peer, PeerIdentity::Sink(_))))
        .unwrap();
    let accept = Duration::from_millis(var("ACCEPT_MS").parse().unwrap());
    let link = Link {
        endpoint: var("EVIDENCE"),
        server_name: "recorder".into(),
        tls: Arc::new(move || Arc::clone(&config)),
        connection: bank(),
        pod: PodRef {
            name: POD.into(),
            uid: "uid-pod".into(),
        },
        durability: Durability::BeforeExecution,
        limits: Limits {
            accept_within: accept,
            ..Limits::default()
        },
    };
    let handle = tokio::runtime::Handle::current();
    let evidence = Evidence::connect(link, &handle).unwrap();
    let ca = String::from_utf8(read("target-ca.pem")).unwrap();
    let (_rules, listening) = watch::channel(Given::open().rules_at(1, var("TARGET").parse().unwrap(), &ca));
    let (_ca, tls) = certificate();
    let drain = Drain::at(sallyport_runtime::shutdown::on_signals().unwrap());
    let door = Door {
        rules: listening,
        tls: Arc::new(ArcSwap::from_pointee(Some(Arc::new(tls)))),
        verifier: Arc::new(Names),
        approvals: Arc::new(People::default()),
        columns: Arc::new(Replicas::default()),
        peers: Arc::new(ThisProcess),
        evidence: evidence.clone(),
        sessions: Sessions::default(),
        drain: drain.clone(),
    };
    let (_keep, doors) = watch::channel(Some(door));
    let tracker = TaskTracker::new();
    let listening = Listening {
        drain: drain.closed.clone(),
        sessions: tracker.clone(),
        slots: Arc::new(tokio::sync::Semaphore::new(100)),
        strangers: sallyport_identity::Shares::new(100),
        vitals: Vitals::default(),
    };
    let shared = Shared::new(handle);
    let make = move |door: &Door| Protocol::new(door.clone(), shared.clone());
    let address = var("DOOR").parse().unwrap();
    let _threads = serve(&[Entrance { address, doors }], 1, &listening, make).unwrap();
    // Whoever is in a transaction has three seconds, and five to be told.
    drain.follow(&tracker, Duration::ZERO, Duration::from_secs(8)).await;
    evidence.close(Duration::from_secs(5)).await;
}
