//! Recorders of a newer version, while an upgrade goes on or is taken back.

use std::sync::atomic::{AtomicBool, Ordering};

use sallyport_audit::wire::Frame;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;
use crate::client::road::{Dial, Stream};
use crate::frames::FrameReader;

/// How it refuses: by a code that this version does not know.
const REFUSAL: &[u8] = br#"{"code":"quota","reason":"the month's records are used up","since":7}"#;

/// Hears who comes, and refuses.
async fn refuse(far: DuplexStream) {
    let (read, mut out) = tokio::io::split(far);
    let hello = FrameReader::new(read).next().await;
    assert!(matches!(hello, Ok(Frame::Hello(_))), "{hello:?}");
    let len = u32::try_from(REFUSAL.len() + 1).unwrap().to_be_bytes();
    // A door that is gone hears nothing.
    let _ = out.write_all(&[&len[..], &[5], REFUSAL].concat()).await;
}

/// The way to a recorder that is the newer one while `newer` says so; streams of before end with `first`.
fn way(log: &Log, newer: &Arc<AtomicBool>, first: &CancellationToken) -> Evidence {
    let (log, newer, first) = (log.clone(), Arc::clone(newer), first.clone());
    let dial: Dial = Arc::new(move || {
        let (near, far) = tokio::io::duplex(64 * 1024);
        if newer.load(Ordering::SeqCst) {
            tokio::spawn(refuse(far));
        } else {
            let end = if first.is_cancelled() {
                CancellationToken::new()
            } else {
                first.clone()
            };
            let shared = Shared::new(log.clone(), server::Limits::default(), end);
            tokio::spawn(server::serve_stream(far, door("a"), shared));
        }
        Box::pin(async move { Ok(Box::new(near) as Box<dyn Stream>) })
    });
    let Door { connection, pod } = door("a");
    let origin = task::origin(&connection, &pod).unwrap();
    let (durability, limits) = (Durability::BeforeExecution, Limits::default());
    Evidence::one(Sink::start(origin, Road::Stream(dial), limits, durability, &Handle::current()).unwrap())
}

#[tokio::test]
async fn one_that_refuses_by_an_unknown_code_is_heard_in_its_words_and_nothing_is_lost() {
    let log = testing::open(&Arc::default());
    let (newer, first) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let evidence = way(&log, &newer, &first);
    let session = SessionId::random().unwrap();
    evidence.append(one(&session, start())).await.unwrap();
    evidence.append(one(&session, command(1, "ran"))).await.unwrap();

    newer.store(true, Ordering::SeqCst);
    first.cancel();
    evidence.send(one(&session, outcome(1))).unwrap();
    until("the newer recorder to be heard", || {
        evidence.states()[0].borrow().problem.contains("used up")
    })
    .await;
    let refused = evidence.append(one(&session, command(2, "refused"))).await.unwrap_err();
    assert!(
        matches!(&refused, EvidenceError::Refused(reason) if reason.contains("used up")),
        "{refused}"
    );
    assert!(!evidence.is_connected());

    newer.store(false, Ordering::SeqCst);
    until("the older recorder to be back", || evidence.is_connected()).await;
    evidence.append(one(&session, command(3, "later"))).await.unwrap();
    evidence.send(one(&session, end())).unwrap();
    evidence.close(Duration::from_secs(10)).await;
    log.close("test").await;
    assert_eq!(
        kinds(&log)[1..],
        [
            "sessionStart",
            "command",
            "outcome",
            "command",
            "command",
            "sessionEnd",
            "logEnd"
        ]
    );
    assert_eq!(texts(&log), ["ran", "refused", "later"]);
}
