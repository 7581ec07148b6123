//! Doors that tell the truth and doors that do not, and an identity provider that is real in all but its people.

mod issuers;
#[allow(dead_code, reason = "tokens at the door need more of it")]
#[path = "../../../../identity/src/tests/provider.rs"]
mod provider;

use std::time::Duration;

use sallyport_audit::record::SessionId;
use sallyport_audit::wire::{Batch, Frame, Refuse, Token};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use self::provider::{Provider, SigningKey, with};
use super::*;
use crate::frames::{FrameReader, write};
use crate::server::{Limits, Shared, serve_stream};
use crate::testing::{self, MemoryDisk, Pen, command, door, hello, read};

const HOUR: Duration = Duration::from_secs(3_600);

struct Stage {
    provider: Provider,
    key: SigningKey,
    attestor: Arc<Attestor>,
    log: Log,
}

/// A door's stream, by hand.
struct Peer {
    reader: FrameReader<ReadHalf<DuplexStream>>,
    out: WriteHalf<DuplexStream>,
}

impl Stage {
    async fn new() -> Self {
        Self::reviewed_by(None).await
    }

    async fn reviewed_by(reviewer: Option<Arc<dyn Reviewer>>) -> Self {
        let key = SigningKey::new("k1");
        let provider = Provider::start(&[&key]).await;
        let pace = Pace {
            refresh: HOUR,
            at_most: Duration::ZERO,
            stale: HOUR,
        };
        let attestor = Attestor::new(Handle::current(), reviewer, pace);
        attestor.trust(&trusted(vec![provider.issuer()]), Digest::of(b"first"));
        Self {
            provider,
            key,
            attestor: Arc::new(attestor),
            log: testing::open(&Arc::new(MemoryDisk::default())),
        }
    }

    /// A stream of this door, greeted.
    async fn door(&self, pen: &Pen) -> Peer {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let people = People::Checked(Arc::clone(&self.attestor));
        let shared = Shared::new(self.log.clone(), Limits::default(), CancellationToken::new()).attesting(people);
        tokio::spawn(serve_stream(far, door("a"), shared));
        let (read, out) = tokio::io::split(near);
        let mut peer = Peer {
            reader: FrameReader::new(read),
            out,
        };
        peer.say(Frame::Hello(hello(&pen.origin.instance))).await;
        let Frame::Welcome(welcome) = peer.hear().await else {
            panic!("a welcome")
        };
        assert!(welcome.tokens, "tokens are wanted");
        peer
    }

    fn token(&self, changes: Value) -> String {
        self.key.sign(&with(&self.provider.claims(), changes))
    }

    fn alice(&self) -> Person {
        Person {
            issuer: self.provider.url.clone(),
            subject: "a-1".into(),
            username: "oidc:alice".into(),
        }
    }

    /// The log's records but for those of its start.
    async fn records(&self) -> Vec<Record> {
        self.log.publish().await.unwrap();
        let records = read(&self.log);
        records
            .iter()
            .skip(1)
            .map(|leaf| Record::parse(leaf).unwrap())
            .collect()
    }

    async fn attested(&self) -> Vec<(Option<SessionId>, Attested)> {
        let records = self.records().await.into_iter();
        let attested = records.filter_map(|record| match record.event {
            Event::Attested(attested) => Some((record.session, *attested)),
            _ => None,
        });
        attested.collect()
    }
}

impl Peer {
    async fn say(&mut self, frame: Frame) {
        write(&mut self.out, &[frame]).await.unwrap();
    }

    async fn hear(&mut self) -> Frame {
        self.reader.next().await.unwrap()
    }

    /// Presents a token; gives why it is not taken.
    async fn present(&mut self, pen: &Pen, person: Person, agents: Vec<Agent>, token: &str) -> Option<Unvouched> {
        let present = Present {
            agents,
            person,
            session: pen.session.clone(),
            token: Token::new(token.as_bytes()).unwrap(),
        };
        self.say(Frame::Present(present)).await;
        match self.hear().await {
            Frame::Vouched(vouched) => {
                assert_eq!(vouched.session, pen.session);
                vouched.refused
            }
            other => panic!("{other:?}"),
        }
    }

    async fn record(&mut self, first: u64, record: Vec<u8>) -> Frame {
        let records = vec![record];
        let head = None;
        self.say(Frame::Batch(Batch { first, head, records })).await;
        self.hear().await
    }
}

fn trusted(issuers: Vec<sallyport_identity::Issuer>) -> Trusted {
    Trusted {
        api_server_audiences: vec!["kubernetes".to_owned()],
        issuers,
    }
}

fn start_of(person: Person, agents: Vec<Agent>) -> Event {
    let Event::SessionStart(start) = testing::start() else {
        panic!("a start")
    };
    Event::SessionStart(Box::new(sallyport_audit::record::SessionStart {
        agents,
        person,
        ..*start
    }))
}

fn is_refused(frame: &Frame, code: RefuseCode) -> bool {
    matches!(frame, Frame::Refuse(Refuse { code: found, .. }) if *found == code)
}

#[tokio::test]
async fn what_the_token_proves_is_told_right_after_the_start() {
    let stage = Stage::new().await;
    let mut pen = Pen::new(&door("a"));
    let mut peer = stage.door(&pen).await;
    let bot = Agent {
        issuer: Some(stage.provider.url.clone()),
        subject: "bot".into(),
        username: None,
    };
    let token = stage.token(json!({ "act": { "sub": "bot" } }));
    let agents = || vec![bot.clone()];
    assert_eq!(peer.present(&pen, stage.alice(), agents(), &token).await, None);
    let start = pen.write(start_of(stage.alice(), agents()));
    assert!(matches!(peer.record(1, start.clone()).await, Frame::Ack(ack) if ack.up_to == 1));
    assert!(matches!(
        peer.record(2, pen.write(command(1, "x"))).await,
        Frame::Ack(_)
    ));
    // A stream that broke before its answer came: nothing is told twice.
    let mut again = stage.door(&pen).await;
    assert!(matches!(again.record(1, start).await, Frame::Ack(_)));
    let records = stage.records().await;
    let kinds: Vec<_> = records.iter().map(|record| record.event.kind()).collect();
    assert_eq!(kinds, ["sessionStart", "attested", "command"]);
    let told = &records[1];
    assert_eq!(
        (&told.session, &told.source.connection),
        (&records[0].session, &records[0].source.connection)
    );
    assert_eq!(
        (told.source.writer, told.source.seq),
        (sallyport_audit::record::Writer::Recorder, 2)
    );
    let expected = Attested {
        person: Some(stage.alice()),
        ..Attested::new(Finding::Proved)
    };
    assert_eq!(told.event, Event::Attested(Box::new(expected)));
}

#[tokio::test]
async fn a_door_that_states_another_than_its_token_proves_is_refused() {
    let stage = Stage::new().await;
    let now = jiff::Timestamp::now().as_second();
    let bob = || Person {
        subject: "b-1".into(),
        username: "oidc:bob".into(),
        ..stage.alice()
    };
    let named = || Person {
        username: "oidc:bob".into(),
        ..stage.alice()
    };
    let bot = || {
        vec![Agent {
            issuer: None,
            subject: "bot".into(),
            username: None,
        }]
    };
    let good = stage.token(json!({}));
    let foreign = SigningKey::new("k1").sign(&stage.provider.claims());
    let table = [
        ("another person", bob(), Vec::new(), good.clone(), "proves oidc:alice"),
        ("another name", named(), Vec::new(), good.clone(), "and not oidc:bob"),
        (
            "an agent of the door's making",
            stage.alice(),
            bot(),
            good,
            "another agent",
        ),
        (
            "nobody's signature",
            stage.alice(),
            Vec::new(),
            foreign,
            "does not verify",
        ),
        (
            "expired",
            stage.alice(),
            Vec::new(),
            stage.token(json!({ "exp": now - 60 })),
            "expired",
        ),
        (
            "for somebody else",
            stage.alice(),
            Vec::new(),
            stage.token(json!({ "aud": "other" })),
            "aud",
        ),
        (
            "for the API server too",
            stage.alice(),
            Vec::new(),
            stage.token(json!({ "aud": ["sallyport", "kubernetes"] })),
            "API server",
        ),
        (
            "an issuer of the door's making",
            stage.alice(),
            Vec::new(),
            stage.token(json!({ "iss": "https://rogue" })),
            "issuer",
        ),
        (
            "no token",
            stage.alice(),
            Vec::new(),
            "postgres".to_owned(),
            "not a signed",
        ),
    ];
    for (count, (what, person, agents, token, words)) in (1..).zip(table) {
        let mut pen = Pen::new(&door("a"));
        let mut peer = stage.door(&pen).await;
        let refused = peer.present(&pen, person.clone(), agents.clone(), &token).await;
        let refused = refused.unwrap_or_else(|| panic!("{what} is taken"));
        assert!(!refused.later && refused.reason.contains(words), "{what}: {refused:?}");
        assert!(!refused.reason.contains(&token), "{what}");
        // It goes on as if nothing had been said.
        let answer = peer.record(1, pen.write(start_of(person, agents))).await;
        assert!(is_refused(&answer, RefuseCode::Identity), "{what}: {answer:?}");
        let attested = stage.attested().await;
        assert_eq!(attested.len(), count, "{what}: told once");
        let (session, last) = attested.last().unwrap();
        assert_eq!((session, last.finding), (&None, Finding::Refused), "{what}");
        assert_eq!(last.detail.as_ref(), Some(&refused.reason), "{what}");
    }
    let records = stage.records().await;
    assert!(
        records.iter().all(|record| record.event.kind() == "attested"),
        "nobody came in"
    );
}

#[tokio::test]
async fn a_door_that_shows_a_token_again_and_again_gets_one_record() {
    let stage = Stage::new().await;
    let pen = Pen::new(&door("a"));
    let mut peer = stage.door(&pen).await;
    let good = stage.token(json!({}));
    for (count, token) in ["postgres", "postgres", good.as_str()].into_iter().enumerate() {
        let refused = peer.present(&pen, stage.alice(), Vec::new(), token).await;
        let refused = refused.expect("what was refused stays so");
        assert_eq!(refused.reason.contains("refused before"), count > 0, "{refused:?}");
    }
    assert_eq!(stage.attested().await.len(), 1);
}

#[tokio::test]
async fn a_door_that_hears_no_answers_is_not_read_on() {
    let stage = Stage::new().await;
    let pen = Pen::new(&door("a"));
    let mut peer = stage.door(&pen).await;
    let showing = async {
        for _ in 0..10_000 {
            let present = Present {
                agents: Vec::new(),
                person: stage.alice(),
                session: SessionId::random().unwrap(),
                token: Token::new(b"postgres").unwrap(),
            };
            peer.say(Frame::Present(present)).await;
        }
    };
    let patience = async {
        for _ in 0..100_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = showing => panic!("all of it is kept for a door that hears nothing"),
        () = patience => {}
    }
}

#[tokio::test]
async fn a_start_of_another_than_was_presented_is_refused_for_good() {
    let stage = Stage::new().await;
    let pen = Pen::new(&door("a"));
    let token = stage.token(json!({}));
    let mut peer = stage.door(&pen).await;
    assert_eq!(peer.present(&pen, stage.alice(), Vec::new(), &token).await, None);
    let bob = Person {
        username: "oidc:bob".into(),
        ..stage.alice()
    };
    let answer = peer.record(1, pen.at(1, start_of(bob, Vec::new()))).await;
    assert!(is_refused(&answer, RefuseCode::Identity), "{answer:?}");
    let mut again = stage.door(&pen).await;
    let _ = again.present(&pen, stage.alice(), Vec::new(), &token).await;
    let answer = again.record(1, pen.at(1, start_of(stage.alice(), Vec::new()))).await;
    assert!(is_refused(&answer, RefuseCode::Identity), "{answer:?}");
    let attested = stage.attested().await;
    let told: Vec<_> = attested
        .iter()
        .map(|(_, one)| (one.finding, one.person.clone()))
        .collect();
    assert_eq!(told, [(Finding::Refused, Some(stage.alice()))]);
}

#[tokio::test]
async fn a_door_that_presents_nothing_comes_in_and_is_told_of() {
    let stage = Stage::new().await;
    let mut pen = Pen::new(&door("a"));
    let mut peer = stage.door(&pen).await;
    assert!(matches!(
        peer.record(1, pen.write(testing::start())).await,
        Frame::Ack(_)
    ));
    let attested = stage.attested().await;
    assert_eq!(
        attested,
        [(Some(pen.session.clone()), Attested::new(Finding::NotPresented))]
    );
    // It cannot say it for the recorder.
    let forged = Event::Attested(Box::new(Attested::new(Finding::Proved)));
    let answer = peer.record(2, pen.write(forged)).await;
    assert!(is_refused(&answer, RefuseCode::Identity), "{answer:?}");
}

#[tokio::test]
async fn where_tokens_are_required_nobody_comes_in_without() {
    let stage = Stage::new().await;
    let mute = Attestor::new(Handle::current(), None, Pace::default()).requiring(true);
    let stage = Stage {
        attestor: Arc::new(mute),
        ..stage
    };
    let pen = Pen::new(&door("a"));
    for _ in 0..2 {
        let mut peer = stage.door(&pen).await;
        let answer = peer.record(1, pen.at(1, testing::start())).await;
        assert!(is_refused(&answer, RefuseCode::Identity), "{answer:?}");
    }
    let attested = stage.attested().await;
    assert_eq!(attested.len(), 1, "told once");
    assert_eq!((&attested[0].0, attested[0].1.finding), (&None, Finding::Refused));
    // Nor while the operator has said nothing.
    let other = Pen::new(&door("a"));
    let mut peer = stage.door(&other).await;
    let refused = peer.present(&other, stage.alice(), Vec::new(), "any").await.unwrap();
    assert!(refused.later && refused.reason.contains("operator"), "{refused:?}");
    stage
        .attestor
        .trust(&trusted(vec![stage.provider.issuer()]), Digest::of(b"first"));
    let third = Pen::new(&door("a"));
    let token = stage.token(json!({}));
    assert_eq!(peer.present(&third, stage.alice(), Vec::new(), &token).await, None);
}
