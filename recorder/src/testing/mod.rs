//! What the tests of this crate share: a disk that forgets, and a door's records.

mod disk;
mod pki;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::record::{
    Action, Batch, Claims, Command, EndCause, Event, Instance, ObjectRef, Origin, Person, PodRef, Record, Seal,
    SessionEnd, SessionId, SessionStart, Token, Verdict, Writer,
};
use sallyport_audit::store::Store;
use sallyport_audit::tiles::{Kind, Tile, WIDTH, entries, read_tile};
use sallyport_audit::wire::{Hello, PROTOCOL};
use sallyport_audit::{Digest, Time};

pub(crate) use disk::MemoryDisk;
pub(crate) use pki::Pki;

use crate::log::disk::Disk;
use crate::log::{Checked, Config, Log};
use crate::metrics::LogMetrics;
use crate::server::Door;

pub(crate) fn sink() -> ObjectRef {
    ObjectRef {
        name: "main".into(),
        namespace: "evidence".into(),
        uid: "0b-5".into(),
    }
}

pub(crate) fn door(pod: &str) -> Door {
    let connection = ObjectRef {
        name: "bank".into(),
        namespace: "doors".into(),
        uid: "1a-2".into(),
    };
    Door {
        connection,
        pod: PodRef {
            name: pod.into(),
            uid: format!("{pod}-uid"),
        },
    }
}

/// How the door in the Pod `a` greets.
pub(crate) fn hello(instance: &Instance) -> Hello {
    let Door { connection, pod } = door("a");
    Hello {
        connection,
        head: None,
        instance: instance.clone(),
        permit: None,
        pod,
        version: PROTOCOL,
    }
}

pub(crate) fn config() -> Config {
    Config {
        sink: sink(),
        pod: PodRef {
            name: "recorder-main-0".into(),
            uid: "3c".into(),
        },
        checkpoint_every: Duration::from_millis(20),
        grace: Duration::from_secs(60),
        witness: None,
        retention: None,
        metrics: LogMetrics::unregistered().unwrap(),
    }
}

pub(crate) fn open(disk: &Arc<MemoryDisk>) -> Log {
    Log::open(Arc::clone(disk) as Arc<dyn Disk>, config()).unwrap()
}

pub(crate) fn start() -> Event {
    Event::SessionStart(Box::new(SessionStart {
        agents: Vec::new(),
        claims: Claims::default(),
        client: "10.0.0.7:5".into(),
        groups: Vec::new(),
        groups_omitted: 0,
        person: person(),
        policy_revision: 1,
        protocol: "postgres".into(),
        target: "pg:5432".into(),
        token: Token::default(),
        token_elsewhere: None,
    }))
}

pub(crate) fn person() -> Person {
    Person {
        issuer: "https://idp".into(),
        subject: "1".into(),
        username: "oidc:alice".into(),
    }
}

pub(crate) fn command(number: u64, text: &str) -> Event {
    Event::Command(Box::new(Command {
        agents: Vec::new(),
        binding: None,
        command: number,
        digest: Digest::of(text.as_bytes()),
        params: Vec::new(),
        parts: 0,
        person: person().into(),
        request: None,
        tables: Vec::new(),
        tables_omitted: 0,
        text: text.into(),
        unit: number,
        verbs: vec!["select".into()],
        verdict: Verdict {
            action: Action::Allow,
            observed: Vec::new(),
            policy_revision: 1,
            read_only: false,
            reason: None,
            risk: 0,
            rules: Vec::new(),
        },
    }))
}

pub(crate) fn end() -> Event {
    Event::SessionEnd(SessionEnd {
        cause: EndCause::ClientClosed,
        commands: 1,
        duration_us: 1,
    })
}

/// A door that writes records by hand.
pub(crate) struct Pen {
    pub(crate) origin: Origin,
    pub(crate) session: SessionId,
    next: u64,
}

impl Pen {
    pub(crate) fn new(door: &Door) -> Self {
        let origin = Origin {
            connection: Some(door.connection.clone().into()),
            instance: Instance::random().unwrap(),
            pod: door.pod.clone().into(),
            writer: Writer::Proxy,
        };
        Self {
            origin,
            session: SessionId::random().unwrap(),
            next: 1,
        }
    }

    /// The next record.
    pub(crate) fn write(&mut self, event: Event) -> Vec<u8> {
        let leaf = self.at(self.next, event);
        self.next += 1;
        leaf
    }

    /// A record with a number of its own.
    pub(crate) fn at(&self, seq: u64, event: Event) -> Vec<u8> {
        let batch = Batch::of(Time::now(), Some(&self.session), event).unwrap();
        Seal::new(&self.origin).unwrap().seal(&batch.drafts()[0], seq).unwrap()
    }
}

pub(crate) fn checked(leaf: &[u8]) -> Vec<Checked> {
    vec![Checked::new(leaf.to_vec()).unwrap()]
}

/// The published log's records, its checkpoint checked by the log's key.
pub(crate) fn read(log: &Log) -> Vec<Vec<u8>> {
    let store = log.published();
    let note = store.read("checkpoint").unwrap().unwrap();
    let checkpoint = Checkpoint::open(&String::from_utf8(note).unwrap(), log.key()).unwrap();
    let mut records = Vec::new();
    let mut frontier = sallyport_audit::merkle::Frontier::new();
    for index in 0..checkpoint.size.div_ceil(WIDTH) {
        let bundle = read_tile(&store, Tile::at(Kind::Entries, index, checkpoint.size).unwrap()).unwrap();
        for entry in entries(&bundle) {
            let entry = entry.unwrap();
            frontier.push(sallyport_audit::merkle::leaf_hash(entry));
            records.push(entry.to_vec());
        }
    }
    assert_eq!(
        (frontier.size(), frontier.root()),
        (checkpoint.size, checkpoint.root),
        "bundles fit the checkpoint"
    );
    records
}

/// The kinds of the published records, in order.
pub(crate) fn kinds(log: &Log) -> Vec<&'static str> {
    read(log)
        .iter()
        .map(|leaf| Record::parse(leaf).unwrap().event.kind())
        .collect()
}

/// How long anything may take before a test fails: whoever else works on the machine may take it for many seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// An address on which nobody listens, of a port below those that whoever dials is given: none of these takes it before it is listened
/// on, or while who listens there is started again. Within this process it is given once.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));
    loop {
        let port = 12_000 + u16::try_from(NEXT.fetch_add(1, Ordering::Relaxed) % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Waits for a level, never for a time.
pub(crate) fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
