//! Tokens that go ahead of their sessions.

use sallyport_audit::Digest;
use sallyport_audit::wire::Token;
use sallyport_identity::{Pace, Trusted};

use super::*;
use crate::attest::Attestor;

fn present(session: &SessionId) -> Present {
    Present {
        agents: Vec::new(),
        person: testing::person(),
        session: session.clone(),
        token: Token::new(b"a.b.c").unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_ahead_of_its_session_to_a_recorder_that_checks_it() {
    let mut recorder = Recorder::new(config()).await;
    let attestor = Arc::new(Attestor::new(Handle::current(), None, Pace::default()));
    recorder.people = People::Checked(Arc::clone(&attestor));
    let evidence = recorder.evidence();
    let (session, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
    // Nobody is there yet.
    let presented = tokio::spawn(evidence.present(present(&session)));
    recorder.start().await;
    presented.await.unwrap().unwrap();
    evidence.append(one(&session, start())).await.unwrap();
    attestor.trust(&Trusted::default(), Digest::of(b"nobody's"));
    let refused = evidence.present(present(&other)).await.unwrap_err();
    assert!(
        matches!(&refused, EvidenceError::Unvouched { later: false, reason } if reason.contains("not a signed")),
        "{refused}"
    );
    // That ends nobody else's session.
    evidence.append(one(&session, command(1, "x"))).await.unwrap();
    evidence.send(one(&session, end())).unwrap();
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    assert_eq!(
        kinds(&log)[1..],
        [
            "sessionStart",
            "attested",
            "attested",
            "command",
            "sessionEnd",
            "logEnd"
        ]
    );
}

#[tokio::test]
async fn a_start_that_a_new_recorder_was_shown_no_token_of_is_not_sent_to_it() {
    for (people, goes_on) in [
        (People::Door, true),
        (
            People::Checked(Arc::new(Attestor::new(Handle::current(), None, Pace::default()))),
            false,
        ),
    ] {
        let mut recorder = Recorder::new(config()).await;
        recorder.people = people;
        recorder.start().await;
        let evidence = recorder.evidence();
        let (session, before) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        for one_of in [&session, &before] {
            evidence.present(present(one_of)).await.unwrap();
        }
        evidence.append(one(&before, start())).await.unwrap();
        recorder.stop().await;
        until("the stream to be gone", || !evidence.is_connected()).await;
        let started = evidence.append(one(&session, start()));
        let ran = evidence.append(one(&before, command(1, "x")));
        recorder.start().await;
        assert_eq!(started.await.is_ok(), goes_on);
        ran.await.expect("who was in already goes on");
        evidence.close(Duration::from_secs(10)).await;
        recorder.stop().await;
    }
}

#[tokio::test]
async fn a_recorder_that_takes_no_tokens_is_shown_none() {
    let mut recorder = Recorder::new(config()).await;
    recorder.start().await;
    let evidence = recorder.evidence();
    let session = SessionId::random().unwrap();
    evidence.present(present(&session)).await.unwrap();
    evidence.append(one(&session, start())).await.unwrap();
    evidence.send(one(&session, end())).unwrap();
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    assert_eq!(kinds(&log)[1..], ["sessionStart", "sessionEnd", "logEnd"]);
    let log = testing::open(&Arc::default());
    beside(&log).append(one(&session, start())).await.unwrap();
    log.close("test").await;
    assert!(
        kinds(&log).contains(&"attested"),
        "its own process says what it is worth"
    );
}

#[tokio::test]
async fn records_that_may_be_lost_wait_for_no_recorder_and_neither_do_their_tokens() {
    let recorder = Recorder::new(config()).await;
    let evidence = Evidence::connect(recorder.link(&door("a"), Durability::Async), &Handle::current()).unwrap();
    let session = SessionId::random().unwrap();
    evidence.present(present(&session)).await.unwrap();
    let long = Present {
        token: Token::new("\u{b}".repeat(65_535).as_bytes()).unwrap(),
        ..present(&session)
    };
    let refused = evidence.present(long).await.unwrap_err();
    assert!(
        matches!(refused, EvidenceError::Unvouched { later: false, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn what_began_before_the_recorder_became_strict_stands_in_nobody_elses_way() {
    let mut recorder = Recorder::new(config()).await;
    let attestor = || Attestor::new(Handle::current(), None, Pace::default());
    recorder.people = People::Checked(Arc::new(attestor()));
    recorder.start().await;
    let evidence = Evidence::connect(recorder.link(&door("a"), Durability::Async), &Handle::current()).unwrap();
    let (known, unknown) = (SessionId::random().unwrap(), SessionId::random().unwrap());
    evidence.present(present(&known)).await.unwrap();
    evidence.append(one(&known, start())).await.unwrap();
    until("delivery", || evidence.standings()[0].records == 0).await;
    recorder.stop().await;
    until("the stream to be gone", || !evidence.is_connected()).await;
    for event in [start(), command(1, "nobody's"), outcome(1)] {
        evidence.append(one(&unknown, event)).await.unwrap();
    }
    evidence.append(one(&known, command(1, "x"))).await.unwrap();
    // The sink is edited: `unconfirmed: Refuse`, with a durability that the ways of before do not have.
    recorder.people = People::Checked(Arc::new(attestor().requiring(true)));
    recorder.start().await;
    until("delivery", || evidence.standings()[0].records == 0).await;
    let more = evidence.append(one(&unknown, command(2, "more"))).await;
    assert!(matches!(more, Err(EvidenceError::SessionOver)), "{more:?}");
    evidence.append(one(&known, command(2, "y"))).await.unwrap();
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    assert_eq!(texts(&log), ["x", "y"]);
    let told = kinds(&log);
    let times = |kind: &str| told.iter().filter(|told| **told == kind).count();
    assert_eq!((times("outcome"), times("attested")), (1, 2), "{told:?}");
}

#[tokio::test]
async fn a_start_that_is_not_taken_stands_in_nobody_elses_way() {
    let mut recorder = Recorder::new(config()).await;
    let attestor = Attestor::new(Handle::current(), None, Pace::default());
    recorder.people = People::Checked(Arc::new(attestor));
    recorder.start().await;
    let evidence = recorder.evidence();
    let (session, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
    for one_of in [&session, &other] {
        evidence.present(present(one_of)).await.unwrap();
    }
    evidence.append(one(&session, start())).await.unwrap();
    let Event::SessionStart(mut another) = start() else {
        panic!("a start")
    };
    another.person.username = "oidc:bob".into();
    let refused = evidence.append(one(&other, Event::SessionStart(another))).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, EvidenceError::Refused(reason) if reason.contains("no token proves")),
        "{refused}"
    );
    let ran = evidence.append(one(&session, command(1, "x"))).await;
    ran.expect("who is in goes on");
    let unknown = evidence.append(one(&other, command(1, "y"))).await.unwrap_err();
    assert!(matches!(unknown, EvidenceError::SessionOver), "{unknown}");
    evidence.close(Duration::from_secs(10)).await;
    assert_eq!(texts(&recorder.stop().await), ["x"]);
}
