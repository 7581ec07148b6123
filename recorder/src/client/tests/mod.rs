mod tokens;
mod versions;
mod volumes;

use std::net::SocketAddr;

use sallyport_audit::Time;
use sallyport_audit::record::{Event, Fate, Outcome, Record, SessionId};
use sallyport_runtime::PeerIdentity;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::attest::People;
use crate::log::Config;
use crate::server::{self, Shared};
use crate::testing::{self, MemoryDisk, Pki, command, config, door, kinds, read, start};

/// A recorder on a port of its own, to be stopped and started again on the same volume.
struct Recorder {
    pki: Pki,
    disk: Arc<MemoryDisk>,
    config: Config,
    people: People,
    address: SocketAddr,
    running: Option<(Log, CancellationToken, JoinHandle<()>)>,
}

impl Recorder {
    async fn new(config: Config) -> Self {
        Self {
            pki: Pki::new(),
            disk: Arc::new(MemoryDisk::default()),
            config,
            people: People::Door,
            address: testing::free_address(),
            running: None,
        }
    }

    async fn start(&mut self) -> Log {
        let log = Log::open(self.disk.clone(), self.config.clone()).unwrap();
        let listener = TcpListener::bind(self.address).await.unwrap();
        let end = CancellationToken::new();
        let shared = Shared::new(log.clone(), server::Limits::default(), end.clone());
        let shared = shared.attesting(self.people.clone());
        let credential = self.pki.recorder();
        let task = tokio::spawn(async move { server::serve(listener, &credential, shared).await.unwrap() });
        self.running = Some((log.clone(), end, task));
        log
    }

    async fn stop(&mut self) -> Log {
        let (log, end, task) = self.running.take().unwrap();
        end.cancel();
        task.await.unwrap();
        log.close("test").await;
        log
    }

    /// Power off once nobody hears it any more: what was not synced is gone.
    async fn crash(&mut self) {
        let (log, end, task) = self.running.take().unwrap();
        end.cancel();
        task.await.unwrap();
        self.disk = Arc::new(self.disk.crash(100));
        drop(log);
    }

    fn link(&self, door: &Door, durability: Durability) -> Link {
        let credential = self.pki.door(door);
        let recorder: sallyport_runtime::tls::Accept = Arc::new(|identity| matches!(identity, PeerIdentity::Sink(_)));
        let config = credential.client_config(recorder).unwrap();
        Link {
            endpoint: self.address.to_string(),
            server_name: "recorder".into(),
            tls: Arc::new(move || Arc::clone(&config)),
            connection: door.connection.clone(),
            pod: door.pod.clone(),
            durability,
            limits: Limits::default(),
        }
    }

    fn evidence(&self) -> Evidence {
        Evidence::connect(self.link(&door("a"), Durability::BeforeExecution), &Handle::current()).unwrap()
    }
}

fn one(session: &SessionId, event: Event) -> Batch {
    Batch::of(Time::now(), Some(session), event).unwrap()
}

fn outcome(number: u64) -> Event {
    Event::Outcome(Outcome {
        bytes: 0,
        command: number,
        copy: None,
        duration_us: 1,
        fate: Fate::Executed,
        masked: Default::default(),
        rows: 1,
        sqlstate: None,
        transaction: None,
        unread: false,
        why: None,
    })
}

fn end() -> Event {
    testing::end()
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let reaching = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(testing::PATIENCE, reaching)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"));
}

fn texts(log: &Log) -> Vec<String> {
    let records = read(log);
    let command = |leaf: &Vec<u8>| match Record::parse(leaf).unwrap().event {
        Event::Command(command) => Some(command.text),
        _ => None,
    };
    records.iter().filter_map(command).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_durable_when_append_says_so() {
    let mut recorder = Recorder::new(config()).await;
    let log = recorder.start().await;
    let evidence = recorder.evidence();
    let session = SessionId::random().unwrap();
    evidence.append(one(&session, start())).await.unwrap();
    for n in 1..=50 {
        let durable = evidence.append(one(&session, command(n, "select 1"))).await.unwrap();
        assert!(durable.on_disk());
        assert!(log.append(Vec::new(), None).await.unwrap().unwrap().head.size > n);
    }
    evidence.send(one(&session, end())).unwrap();
    evidence.close(Duration::from_secs(10)).await;
    assert!(matches!(
        evidence.append(one(&session, start())).await,
        Err(EvidenceError::Closed)
    ));
    let log = recorder.stop().await;
    let kinds = kinds(&log);
    assert_eq!(kinds.len(), 54);
    assert_eq!(
        [kinds[1], kinds[51], kinds[52], kinds[53]],
        ["sessionStart", "command", "sessionEnd", "logEnd"]
    );
    assert_eq!(evidence.standings()[0].records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_restarts_under_load_makes_statements_wait_and_loses_or_doubles_none() {
    let mut recorder = Recorder::new(config()).await;
    recorder.start().await;
    let evidence = recorder.evidence();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let evidence = evidence.clone();
            tokio::spawn(async move {
                let session = SessionId::random().unwrap();
                evidence.append(one(&session, start())).await.unwrap();
                for n in 1..=200 {
                    evidence
                        .append(one(&session, command(n, &format!("{worker}/{n}"))))
                        .await
                        .unwrap();
                }
                evidence.append(one(&session, end())).await.unwrap();
            })
        })
        .collect();
    for round in 0..4 {
        let running = recorder.running.as_ref().unwrap().0.status();
        let size = running.borrow().size;
        until("load", || {
            running.borrow().size > size + 20 || workers.iter().all(JoinHandle::is_finished)
        })
        .await;
        if round % 2 == 0 {
            drop(recorder.stop().await)
        } else {
            recorder.crash().await
        }
        recorder.start().await;
    }
    for worker in workers {
        worker.await.unwrap();
    }
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    let texts = texts(&log);
    assert_eq!(texts.len(), 1600, "none lost, none doubled");
    for worker in 0..8 {
        let own: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(&format!("{worker}/")))
            .cloned()
            .collect();
        assert_eq!(
            own,
            (1..=200).map(|n| format!("{worker}/{n}")).collect::<Vec<_>>(),
            "in order"
        );
    }
    let ends = kinds(&log).iter().filter(|kind| **kind == "sessionEnd").count();
    assert_eq!(ends, 8, "exactly one end record each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_stays_away_is_refused_in_words_and_the_queue_is_bounded() {
    let recorder = Recorder::new(config()).await;
    let mut link = recorder.link(&door("a"), Durability::BeforeExecution);
    link.limits = Limits {
        accept_within: Duration::from_millis(30),
        max_records: 3,
        max_bytes: 1 << 20,
        ..Limits::default()
    };
    let evidence = Evidence::connect(link, &Handle::current()).unwrap();
    let session = SessionId::random().unwrap();
    for event in [start(), command(1, "x"), command(2, "y")] {
        let error = evidence.append(one(&session, event)).await.unwrap_err();
        assert!(matches!(error, EvidenceError::Unavailable { .. }), "{error}");
    }
    assert!(matches!(
        evidence.append(one(&session, end())).await,
        Err(EvidenceError::Full { records: 3 })
    ));
    let standing = evidence.standings()[0];
    assert_eq!((standing.connected, standing.records), (false, 3));
    assert!(
        standing.oldest >= Duration::from_millis(60),
        "two waits after it: {standing:?}"
    );
    assert!(!evidence.is_connected() && !evidence.ended());
    until("the problem in words", || {
        !evidence.states()[0].borrow().problem.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn async_does_not_wait_and_delivers_once_the_recorder_is_there() {
    let mut recorder = Recorder::new(config()).await;
    let evidence = Evidence::connect(recorder.link(&door("a"), Durability::Async), &Handle::current()).unwrap();
    let session = SessionId::random().unwrap();
    for event in [start(), command(1, "x")] {
        assert!(!evidence.append(one(&session, event)).await.unwrap().on_disk());
    }
    recorder.start().await;
    let delivered = Standing {
        connected: true,
        records: 0,
        oldest: Duration::ZERO,
    };
    until("delivery", || evidence.standings() == [delivered]).await;
    evidence.close(Duration::from_secs(10)).await;
    until("the end", || evidence.ended()).await;
    assert_eq!(texts(&recorder.stop().await), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_speaks_for_its_own_connection_only() {
    let mut recorder = Recorder::new(config()).await;
    let log = recorder.start().await;
    let mut link = recorder.link(&door("a"), Durability::BeforeExecution);
    // The certificate says `a`, the records say `b`.
    link.pod = door("b").pod;
    let evidence = Evidence::connect(link, &Handle::current()).unwrap();
    let session = SessionId::random().unwrap();
    let error = evidence.append(one(&session, start())).await.unwrap_err();
    assert!(
        matches!(&error, EvidenceError::Refused(reason) if reason.contains("certificate")),
        "{error}"
    );
    // Who is no door does not get past the handshake.
    let mut link = recorder.link(&door("a"), Durability::BeforeExecution);
    let accept: sallyport_runtime::tls::Accept = Arc::new(|_| true);
    let config = recorder
        .pki
        .credential(&PeerIdentity::Operator)
        .client_config(accept)
        .unwrap();
    link.tls = Arc::new(move || Arc::clone(&config));
    link.limits.accept_within = Duration::from_millis(300);
    let operator = Evidence::connect(link, &Handle::current()).unwrap();
    assert!(operator.append(one(&session, start())).await.is_err());
    assert_eq!(log.status().borrow().sessions, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_was_away_for_too_long_goes_on_as_a_new_instance() {
    let quick = Config {
        grace: Duration::from_millis(50),
        ..config()
    };
    let mut recorder = Recorder::new(quick).await;
    recorder.start().await;
    let evidence = recorder.evidence();
    let session = SessionId::random().unwrap();
    evidence.append(one(&session, start())).await.unwrap();
    evidence.append(one(&session, command(1, "before"))).await.unwrap();
    // A proxy between them goes silent: the recorder is up, the door cannot reach it. Here: the door is paused by a recorder
    // that listens nowhere while its log runs out of patience.
    recorder.stop().await;
    let log = Log::open(recorder.disk.clone(), recorder.config.clone()).unwrap();
    until("the end record", || {
        log.status().borrow().sessions == 0 && log.status().borrow().size > 5
    })
    .await;
    log.close("test").await;
    evidence.send(one(&session, outcome(1))).unwrap();
    let waiting = evidence.append(one(&session, command(2, "after")));
    recorder.start().await;
    let error = waiting.await.unwrap_err();
    assert!(matches!(error, EvidenceError::SessionOver), "{error}");
    // The old session is over for good, a new one begins, and what came of the earlier command is still recorded.
    assert!(matches!(
        evidence.append(one(&session, command(3, "late"))).await,
        Err(EvidenceError::SessionOver)
    ));
    let next = SessionId::random().unwrap();
    evidence.append(one(&next, start())).await.unwrap();
    evidence.append(one(&next, end())).await.unwrap();
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    assert_eq!(texts(&log), ["before"]);
    let kinds = kinds(&log);
    assert_eq!(kinds.iter().filter(|kind| **kind == "outcome").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == "sessionEnd").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_declared_over_runs_nothing_where_records_may_be_lost_either() {
    let quick = Config {
        grace: Duration::from_millis(50),
        ..config()
    };
    let mut recorder = Recorder::new(quick).await;
    recorder.start().await;
    let evidence = Evidence::connect(recorder.link(&door("a"), Durability::Async), &Handle::current()).unwrap();
    let session = SessionId::random().unwrap();
    for event in [start(), command(1, "before")] {
        evidence.append(one(&session, event)).await.unwrap();
    }
    until("delivery", || evidence.standings()[0].records == 0).await;
    recorder.stop().await;
    until("the stream to be gone", || !evidence.is_connected()).await;
    let log = Log::open(recorder.disk.clone(), recorder.config.clone()).unwrap();
    until("the end record", || {
        log.status().borrow().sessions == 0 && log.status().borrow().size > 5
    })
    .await;
    log.close("test").await;
    recorder.start().await;
    until("the stream to be back", || evidence.is_connected()).await;
    // It waits for no answer, and has to hear of its end all the same.
    let late = evidence.append(one(&session, command(2, "late"))).await;
    assert!(matches!(late, Err(EvidenceError::SessionOver)), "{late:?}");
    evidence.send(one(&session, end())).unwrap();
    let next = SessionId::random().unwrap();
    for event in [start(), command(1, "next"), end()] {
        evidence.append(one(&next, event)).await.unwrap();
    }
    evidence.close(Duration::from_secs(10)).await;
    assert_eq!(texts(&recorder.stop().await), ["before", "next"]);
}

/// The way to a log in this process.
fn beside(log: &Log) -> Evidence {
    let (durability, limits) = (Durability::BeforeExecution, Limits::default());
    Evidence::local(log.clone(), door("a"), durability, limits, &Handle::current()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sinks_must_all_accept() {
    let (one_log, other_log) = (testing::open(&Arc::default()), testing::open(&Arc::default()));
    let both = Evidence::all(&[beside(&one_log), beside(&other_log)]);
    let session = SessionId::random().unwrap();
    both.append(one(&session, start())).await.unwrap();
    for log in [&one_log, &other_log] {
        log.close("test").await;
        assert!(kinds(log).contains(&"sessionStart"));
    }
    assert!(both.append(one(&session, command(1, "x"))).await.is_err());
    assert!(matches!(
        Evidence::all(&[]).append(one(&session, start())).await,
        Err(EvidenceError::Closed)
    ));
}

#[tokio::test]
async fn an_async_sink_refuses_when_a_record_is_on_its_way_for_too_long() {
    let mut recorder = Recorder::new(config()).await;
    let lag = Duration::from_millis(100);
    let mut link = recorder.link(&door("a"), Durability::Async);
    link.limits.max_lag = lag;
    // Nobody is there yet.
    let evidence = Evidence::connect(link, &Handle::current()).unwrap();
    let session = SessionId::random().unwrap();
    assert!(!evidence.append(one(&session, start())).await.unwrap().on_disk());
    let began = std::time::Instant::now();
    let mut number = 0;
    let refused = loop {
        number += 1;
        match evidence.append(one(&session, command(number, "x"))).await {
            Ok(durable) => assert!(!durable.on_disk()),
            Err(refused) => break refused,
        }
        assert!(began.elapsed() < testing::PATIENCE, "in vain: the lag's bound");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(
        matches!(refused, EvidenceError::Lagging { lag: found } if found > lag),
        "{refused}"
    );
    recorder.start().await;
    until("the queue to be empty", || evidence.standings()[0].records == 0).await;
    until("records to be accepted", || evidence.send(one(&session, end())).is_ok()).await;
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    assert_eq!(texts(&log).len() as u64, number - 1, "what was accepted is there, once");
}
