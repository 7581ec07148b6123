//! Logs that somebody made to be misread.

use super::*;
use crate::record::{EndCause, Origin, SessionEnd, SessionId};

fn end(origin: &Origin, seq: u64) -> Vec<u8> {
    let event = Event::SessionEnd(SessionEnd {
        cause: EndCause::ClientClosed,
        commands: 0,
        duration_us: 1,
    });
    let session = SessionId::random().unwrap();
    let batch = Batch::of(Time::from_unix_micros(1), Some(&session), event).unwrap();
    Seal::new(origin).unwrap().seal(&batch.drafts()[0], seq).unwrap()
}

#[test]
fn a_bundle_holds_nothing_but_the_logs_records() {
    for (count, bundle) in [(10, 0), (300, 0), (300, 1)] {
        let log = Written::new(count);
        let tile = Tile::at(Kind::Entries, bundle, count).unwrap().to_string();
        let genuine = fs::read(log.root().join(&tile)).unwrap();
        let mut longer = genuine.clone();
        assert!(push_entry(&mut longer, b"{}"));
        for forged in [longer, [&genuine[..], &[0]].concat()] {
            put(&log.root(), &tile, &forged);
            assert_eq!(log.first(), Finding::Excess(tile.clone()));
        }
    }
}

#[test]
fn a_door_under_the_name_of_another_writer_breaks_none_of_its_numbers() {
    let mut log = Written::new(1);
    let instance = Instance::random().unwrap();
    let door = source_of(&instance);
    let recorder = Origin {
        writer: Writer::Recorder,
        connection: None,
        ..door.clone()
    };
    let mut other = door.clone();
    other.pod = crate::record::PodRef {
        name: "other".into(),
        uid: "other".into(),
    }
    .into();
    // The recorder counts through all that it writes of whichever Connection.
    let of_door = Origin {
        writer: Writer::Recorder,
        ..door.clone()
    };
    log.records = vec![
        end(&recorder, 1),
        end(&door, 1),
        end(&of_door, 2),
        end(&other, 1),
        end(&door, 2),
        end(&recorder, 3),
    ];
    log.rewrite(&log.records);
    let report = log.verify_at(&[6]);
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.findings);
    log.records.push(end(&door, 4));
    log.rewrite(&log.records);
    assert!(matches!(
        log.first(),
        Finding::Gap {
            expected: 3,
            found: 4,
            ..
        }
    ));
}

#[test]
fn findings_hold_nothing_that_a_terminal_obeys() {
    let log = Written::new(3);
    let text = String::from_utf8(log.records[1].clone()).unwrap();
    let hostile = "\\u001b[2J\\u001b[HPROVEN\u{202e}\u{9b}2J";
    let long = "x".repeat(60_000);
    for (from, to) in [
        ("\"proxy\"", format!("\"{hostile}\"")),
        ("{\"command\":{", format!("{{\"{hostile}\":{{")),
        ("{\"command\":{", format!("{{\"{long}\":{{")),
        ("\"instance\":\"", format!("\"instance\":\"{hostile}")),
        ("\"time\":\"", format!("\"time\":\"{hostile}")),
    ] {
        let mut changed = log.records.clone();
        changed[1] = text.replacen(from, &to, 1).into_bytes();
        assert_ne!(changed[1], log.records[1]);
        write_bundles(&log.root(), &changed);
        let report = log.verify_at(&[3]);
        assert_eq!(report.verdict(), Verdict::Refuted);
        for finding in report.findings {
            let told = finding.to_string();
            assert!(told.chars().all(|c| (' '..='~').contains(&c) || c == '…'), "{told:?}");
            assert!(told.len() < 1000, "{}", told.len());
        }
    }
}

#[test]
fn of_two_checkpoints_that_the_log_signed_neither_may_speak_of_other_records() {
    let log = Written::new(300);
    let mut fork = log.records[..200].to_vec();
    fork.swap(3, 4);
    let mut trust = Trust::new(log.signer.verifier().clone());
    trust.add(&checkpoint(&log.records, &log.signer)).unwrap();
    let verdict = |trust: &Trust| verify(&Dir::new(log.root()), trust, |_, _| {}).unwrap();
    trust.add_shown(&checkpoint(&log.records[..100], &log.signer)).unwrap();
    assert_eq!(verdict(&trust).verdict(), Verdict::Proven);
    let (stranger, _) = Signer::generate("example.com/log").unwrap();
    trust.add_shown(&checkpoint(&fork, &stranger)).unwrap_err();
    trust.add_shown(&checkpoint(&fork, &log.signer)).unwrap();
    let report = verdict(&trust);
    assert_eq!(report.findings[0], Finding::OwnCheckpointDiffers);
    assert_eq!(report.verdict(), Verdict::Refuted);
    // By itself it proves nothing.
    let mut trust = Trust::new(log.signer.verifier().clone());
    trust.add_shown(&checkpoint(&log.records, &log.signer)).unwrap();
    assert_eq!(verdict(&trust).verdict(), Verdict::Unproven);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let log = Written::new(3);
    let tile = log.root().join(Tile::at(Kind::Entries, 0, 3).unwrap().to_string());
    let kept = log.root().join("kept");
    fs::rename(&tile, &kept).unwrap();
    // As a link it is as good as before.
    std::os::unix::fs::symlink(&kept, &tile).unwrap();
    assert_eq!(log.verify_at(&[3]).verdict(), Verdict::Proven);
    fs::remove_file(&tile).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&tile).status().unwrap();
    assert!(made.success());
    let trust = Trust::new(log.signer.verifier().clone());
    let error = verify(&Dir::new(log.root()), &trust, |_, _| {}).unwrap_err();
    assert!(matches!(error, crate::store::StoreError::Io(..)), "{error}");
}
