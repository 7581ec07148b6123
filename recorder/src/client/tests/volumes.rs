//! Volumes that are full.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_is_refused_in_words_and_goes_on_when_there_is_room() {
    let disk = Arc::new(MemoryDisk::default());
    let log = testing::open(&disk);
    let evidence = beside(&log);
    let session = SessionId::random().unwrap();
    evidence.append(one(&session, start())).await.unwrap();
    disk.set_room(Some(10));
    let error = evidence.append(one(&session, command(1, "x"))).await.unwrap_err();
    assert!(
        matches!(&error, EvidenceError::Refused(reason) if reason.contains("takes no more")),
        "{error}"
    );
    disk.set_room(None);
    evidence.append(one(&session, command(2, "y"))).await.unwrap();
    evidence.close(Duration::from_secs(10)).await;
    log.close("test").await;
    // What was refused did not run, and is not sent again: outcomes must not wait behind it.
    assert_eq!(texts(&log), ["y"]);
}

#[tokio::test]
async fn what_ran_is_recorded_though_the_volume_has_no_room_for_anything_new() {
    const MIB: u64 = 1024 * 1024;
    let mut recorder = Recorder::new(config()).await;
    let log = recorder.start().await;
    let evidence = recorder.evidence();
    let (session, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
    evidence.append(one(&session, start())).await.unwrap();
    evidence.append(one(&session, command(1, "ran"))).await.unwrap();
    recorder.disk.set_volume(Some((0, 16 * MIB)));
    until("the volume to be full", || log.status().borrow().problem.is_some()).await;
    // Handed over before the outcome, and refused: the outcome does not wait behind them.
    let intents = [
        evidence.append(one(&other, start())),
        evidence.append(one(&session, command(2, "refused"))),
    ];
    evidence.send(one(&session, outcome(1))).unwrap();
    for intent in intents {
        let refused = intent.await.unwrap_err();
        assert!(refused.to_string().contains("the volume is full"), "{refused}");
    }
    until("the outcome to be recorded", || evidence.standings()[0].records == 0).await;
    // The recorder has welcomed the door again and taken that: neither makes it one that takes records.
    let state = evidence.states()[0].borrow().clone();
    assert!(
        !state.connected && state.problem.contains("the volume is full"),
        "{state:?}"
    );
    assert!(!evidence.is_connected() && !evidence.standings()[0].connected);
    recorder.disk.set_volume(None);
    until("room", || log.status().borrow().problem.is_none()).await;
    evidence.append(one(&session, command(3, "later"))).await.unwrap();
    until("the recorder to be one that takes records", || evidence.is_connected()).await;
    assert!(evidence.states()[0].borrow().problem.is_empty());
    evidence.send(one(&session, end())).unwrap();
    evidence.close(Duration::from_secs(10)).await;
    let log = recorder.stop().await;
    assert_eq!(
        kinds(&log)[1..],
        ["sessionStart", "command", "outcome", "command", "sessionEnd", "logEnd"]
    );
    assert_eq!(texts(&log), ["ran", "later"]);
}
