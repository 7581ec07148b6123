use std::collections::BTreeSet;

use proptest::prelude::*;
use sallyport_audit::merkle::root_at;
use sallyport_audit::record::{EndCause, Event, Record};
use sallyport_audit::tiles::TileHashes;

use super::*;
use crate::testing::{
    MemoryDisk, Pen, block_on, checked, command, config, door, end, kinds, open, read, start, wait_for,
};

fn submit(log: &Log, leaf: &[u8]) -> Result<Receipt, LogError> {
    log.append(checked(leaf), None).blocking_recv().unwrap()
}

fn close(log: &Log) {
    block_on(log.close("test"));
}

fn standing(log: &Log, pen: &Pen, echo: Option<Head>) -> Result<Standing, LogError> {
    let (connection, pod) = (pen.origin.connection.clone().unwrap(), pen.origin.pod.clone());
    block_on(log.attach(pen.origin.instance.clone(), connection, pod, echo, None))
}

#[test]
fn a_log_is_written_published_and_goes_on_after_a_restart() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    let mut leaves = vec![pen.write(start())];
    leaves.extend((1..=600).map(|n| pen.write(command(n, "select 1"))));
    for leaf in &leaves {
        submit(&log, leaf).unwrap();
    }
    close(&log);
    assert_eq!(read(&log)[1..=leaves.len()], leaves[..]);

    let again = open(&disk);
    let leaf = pen.write(end());
    let receipt = submit(&again, &leaf).unwrap();
    assert_eq!(receipt.up_to, 602);
    assert!(receipt.head.verifies(again.key()));
    close(&again);
    let kinds = kinds(&again);
    assert_eq!(kinds[..2], ["logStart", "sessionStart"]);
    assert_eq!(kinds[602..], ["logEnd", "logStart", "sessionEnd", "logEnd"]);
    assert_eq!(log.key(), again.key());
}

#[test]
fn only_a_partial_tile_of_the_newest_checkpoint_stays() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    for n in 1..=300 {
        submit(&log, &pen.write(command(n, "x"))).unwrap();
    }
    close(&log);
    let files = disk.files();
    let partial: Vec<_> = files.keys().filter(|name| name.contains(".p/")).collect();
    assert_eq!(
        partial,
        ["log/tile/0/001.p/47", "log/tile/1/000.p/1", "log/tile/entries/001.p/47"]
    );
    assert!(files.contains_key("log/tile/0/000") && files.contains_key("log/tile/entries/000"));
    assert!(
        !files.keys().any(|name| name.ends_with(".new")),
        "{files:?}",
        files = files.keys()
    );
}

#[test]
fn repeats_are_passed_over_and_gaps_refused() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    let first = pen.write(start());
    let second = pen.write(command(1, "x"));
    let third = pen.write(command(2, "y"));
    submit(&log, &first).unwrap();
    assert_eq!(submit(&log, &third).unwrap_err().code, RefuseCode::Sequence);
    submit(&log, &second).unwrap();
    let head = submit(&log, &third).unwrap().head;
    for repeat in [&first, &second, &third] {
        assert_eq!(submit(&log, repeat).unwrap().head, head);
    }
    // After a restart too.
    close(&log);
    let log = open(&disk);
    submit(&log, &second).unwrap();
    assert_eq!(standing(&log, &pen, None).unwrap().acked, 3);
    assert_eq!(
        submit(&log, &pen.at(9, command(9, "z"))).unwrap_err().code,
        RefuseCode::Sequence
    );
    let mut stranger = Pen::new(&door("b"));
    stranger.write(start());
    assert_eq!(
        submit(&log, &stranger.write(command(1, "x"))).unwrap_err().code,
        RefuseCode::Sequence
    );
    close(&log);
    assert_eq!(kinds(&log).iter().filter(|kind| **kind == "command").count(), 2);
}

#[test]
fn an_instance_is_one_doors_and_nobody_elses() {
    let log = open(&Arc::new(MemoryDisk::default()));
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    let attach = |pod: &str| {
        let peer = door(pod);
        block_on(log.attach(pen.origin.instance.clone(), peer.connection, peer.pod, None, None))
    };
    assert_eq!(attach("b").unwrap_err().code, RefuseCode::Identity);
    assert_eq!(attach("a").unwrap().acked, 1);
}

#[test]
fn records_belong_to_open_sessions() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    let refused = |leaf: &[u8]| assert_eq!(submit(&log, leaf).unwrap_err().code, RefuseCode::Record);
    refused(&pen.at(1, command(1, "x")));
    refused(&pen.at(1, end()));
    submit(&log, &pen.write(start())).unwrap();
    refused(&pen.at(2, start()));
    submit(&log, &pen.write(end())).unwrap();
    refused(&pen.at(3, command(1, "x")));
    refused(&pen.at(3, end()));
    wait_for("both records to be told", || log.status().borrow().size == 3);
    assert_eq!(log.status().borrow().sessions, 0);
}

#[test]
fn what_is_not_canonical_is_no_record() {
    let mut pen = Pen::new(&door("a"));
    let leaf = String::from_utf8(pen.write(start())).unwrap();
    assert!(Checked::new(leaf.clone().into_bytes()).is_ok());
    for bad in [
        leaf.replace("\"v\":1", "\"v\": 1"),
        leaf.replace("\"seq\":1,", ""),
        String::new(),
        "{}".to_owned(),
    ] {
        assert_eq!(Checked::new(bad.into_bytes()).unwrap_err().code, RefuseCode::Record);
    }
}

#[test]
fn a_vanished_door_gets_its_end_records_once() {
    let disk = Arc::new(MemoryDisk::default());
    let quick = Config {
        grace: Duration::from_millis(30),
        ..config()
    };
    let log = Log::open(disk.clone(), quick.clone()).unwrap();
    let (mut gone, mut here) = (Pen::new(&door("a")), Pen::new(&door("b")));
    for pen in [&mut gone, &mut here] {
        standing(&log, pen, None).unwrap();
        let leaf = pen.write(start());
        submit(&log, &leaf).unwrap();
    }
    log.detach(gone.origin.instance.clone(), false);
    wait_for("the end record", || {
        log.status().borrow().size == 4 && log.status().borrow().sessions == 1
    });
    let back = standing(&log, &gone, None).unwrap();
    assert!(back.fenced);
    assert_eq!(back.acked, 1);
    // What came of an earlier command is still taken, a new command is not.
    assert_eq!(
        submit(&log, &gone.at(2, command(1, "x"))).unwrap_err().code,
        RefuseCode::Record
    );
    assert!(!standing(&log, &here, None).unwrap().fenced);
    close(&log);

    // A restart within the grace gives the other door time to come back; then it is ended as well, and nothing twice.
    let log = Log::open(disk.clone(), quick).unwrap();
    wait_for("the other end record", || {
        log.status().borrow().sessions == 0 && log.status().borrow().size >= 6
    });
    close(&log);
    let ends: Vec<_> = read(&log)
        .iter()
        .map(|leaf| Record::parse(leaf).unwrap())
        .filter_map(|record| match record.event {
            Event::SessionEnd(end) => Some((record.session.unwrap(), end.cause, record.source.connection)),
            _ => None,
        })
        .collect::<Vec<_>>();
    let connection = gone.origin.connection.clone();
    assert_eq!(
        ends,
        [
            (gone.session, EndCause::DoorVanished, connection.clone()),
            (here.session, EndCause::DoorVanished, connection)
        ]
    );
}

#[test]
fn a_goodbye_ends_what_was_left_open_at_once() {
    let log = open(&Arc::new(MemoryDisk::default()));
    let mut pen = Pen::new(&door("a"));
    standing(&log, &pen, None).unwrap();
    submit(&log, &pen.write(start())).unwrap();
    log.detach(pen.origin.instance.clone(), true);
    wait_for("the end record, long before the grace", || {
        log.status().borrow().size == 3 && log.status().borrow().sessions == 0
    });
}

#[test]
fn a_full_volume_refuses_in_words_and_loses_nothing() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    disk.set_room(Some(100));
    let second = pen.write(command(1, "select 1"));
    let error = submit(&log, &second).unwrap_err();
    assert_eq!(error.code, RefuseCode::Storage);
    assert!(error.reason.contains("takes no more"), "{error}");
    wait_for("the problem to be told", || log.status().borrow().problem.is_some());
    disk.set_room(None);
    submit(&log, &second).unwrap();
    submit(&log, &pen.write(command(2, "select 2"))).unwrap();
    wait_for("the problem to be over", || log.status().borrow().problem.is_none());
    close(&log);
    assert_eq!(
        kinds(&log),
        ["logStart", "sessionStart", "command", "command", "logEnd"]
    );
    close(&open(&disk));
}

#[test]
fn a_volume_that_runs_out_still_takes_what_ends_things() {
    const MIB: u64 = 1024 * 1024;
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    submit(&log, &pen.write(command(1, "select 1"))).unwrap();
    disk.set_volume(Some((MIB / 2, 16 * MIB)));
    wait_for("the problem to be told", || log.status().borrow().problem.is_some());
    let refused = submit(&log, &pen.at(3, command(2, "select 2"))).unwrap_err();
    assert_eq!(refused.code, RefuseCode::Storage);
    assert!(refused.reason.contains("the volume is full: 1 MiB of 16"), "{refused}");
    submit(&log, &pen.write(end())).unwrap();
    disk.set_volume(Some((8 * MIB, 16 * MIB)));
    wait_for("the problem to be over", || log.status().borrow().problem.is_none());
    let mut next = Pen::new(&door("a"));
    submit(&log, &next.write(start())).unwrap();
    close(&log);
    assert_eq!(
        kinds(&log)[1..5],
        ["sessionStart", "command", "sessionEnd", "sessionStart"]
    );
}

#[test]
fn a_small_volume_is_not_filled_by_what_is_published_already() {
    let disk = Arc::new(MemoryDisk::default());
    disk.set_volume(Some((1 << 30, 4 << 20)));
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    for n in 1..3000 {
        submit(&log, &pen.write(command(n, "select 1"))).unwrap();
    }
    close(&log);
    let ahead: usize = disk
        .files()
        .iter()
        .filter(|(name, _)| name.starts_with("wal/"))
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert!(ahead < 512 * 1024, "{ahead} bytes are still written ahead");
    close(&open(&disk));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    let first = pen.write(start());
    submit(&log, &first).unwrap();
    disk.fail_syncs();
    let second = pen.write(command(1, "x"));
    assert_eq!(submit(&log, &second).unwrap_err().code, RefuseCode::Storage);
    assert_eq!(submit(&log, &second).unwrap_err().code, RefuseCode::Storage);
    wait_for("the break to be told", || log.status().borrow().broken.is_some());
    let restarted = Arc::new(disk.crash(0));
    let log = open(&restarted);
    assert_eq!(standing(&log, &pen, None).unwrap().acked, 1);
    submit(&log, &second).unwrap();
}

#[test]
fn a_writer_that_panicked_is_gone_for_whoever_still_holds_the_log() {
    for here in [false, true] {
        let disk = Arc::new(MemoryDisk::default());
        let log = open(&disk);
        let mut pen = Pen::new(&door("a"));
        submit(&log, &pen.write(start())).unwrap();
        let status = log.status();
        disk.defect();
        if here {
            // Whoever appends beside it may be the one who finds the defect, or comes too late.
            let (log, records) = (log.clone(), checked(&pen.write(command(1, "x"))));
            let written = std::thread::spawn(move || log.append_here(records).is_ok());
            assert!(!written.join().unwrap_or(false));
        }
        wait_for("the end of the writer to be told", || status.has_changed().is_err());
        let refused = log.append_here(checked(&pen.write(command(2, "y")))).unwrap_err();
        assert_eq!(refused.code, RefuseCode::Stopping);
    }
}

#[test]
fn an_answer_waits_for_the_disk() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    let slow = Duration::from_millis(500);
    disk.slow_syncs(slow);
    let began = std::time::Instant::now();
    submit(&log, &pen.write(command(1, "x"))).unwrap();
    assert!(began.elapsed() >= slow);
    disk.slow_syncs(Duration::ZERO);
}

#[test]
fn one_sync_covers_what_arrived_during_the_one_before() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pens: Vec<Pen> = (0..50).map(|n| Pen::new(&door(&format!("p{n}")))).collect();
    disk.slow_syncs(Duration::from_millis(20));
    let began = std::time::Instant::now();
    let answers: Vec<_> = pens
        .iter_mut()
        .map(|pen| log.append(checked(&pen.write(start())), None))
        .collect();
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    assert!(
        began.elapsed() < Duration::from_millis(20 * 25),
        "50 records in fewer than 25 syncs"
    );
}

#[test]
fn a_volume_that_was_rolled_back_is_noticed_by_a_surviving_door() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    let old = Arc::new(disk.crash(255));
    let seen = submit(&log, &pen.write(command(1, "x"))).unwrap().head;
    assert!(standing(&log, &pen, Some(seen)).is_ok());
    close(&log);
    // A restart on the true volume knows the head from its tiles.
    let log = open(&disk);
    assert!(standing(&log, &pen, Some(seen)).is_ok());
    close(&log);

    let rolled_back = open(&old);
    assert_eq!(
        standing(&rolled_back, &pen, Some(seen)).unwrap_err().code,
        RefuseCode::RolledBack
    );
    // Grown past that size with other records, it still does not contain that head.
    let mut other = Pen::new(&door("b"));
    submit(&rolled_back, &other.write(start())).unwrap();
    submit(&rolled_back, &other.write(command(1, "y"))).unwrap();
    let status = rolled_back.status();
    wait_for("publication", || status.borrow().published >= seen.size);
    assert_eq!(
        standing(&rolled_back, &pen, Some(seen)).unwrap_err().code,
        RefuseCode::RolledBack
    );
    let echoed = rolled_back
        .append(checked(&other.write(command(2, "z"))), Some(seen))
        .blocking_recv()
        .unwrap();
    assert_eq!(echoed.unwrap_err().code, RefuseCode::RolledBack);
    // And nobody stops a log with a head that it never signed.
    let invented = Head {
        size: 1_000_000,
        ..seen
    };
    assert_eq!(
        standing(&rolled_back, &pen, Some(invented)).unwrap_err().code,
        RefuseCode::Record
    );
}

#[test]
fn a_volume_that_is_not_whole_is_not_opened() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    for n in 1..300 {
        submit(&log, &pen.write(command(n, "x"))).unwrap();
    }
    close(&log);
    let segment = disk.files().into_keys().find(|name| name.starts_with("wal/")).unwrap();
    let reopen = |change: &dyn Fn(&MemoryDisk)| {
        let copy = Arc::new(disk.crash(255));
        change(&copy);
        Log::open(copy, config()).map(|log| close(&log))
    };
    assert!(reopen(&|_| {}).is_ok());
    assert!(matches!(
        reopen(&|disk| disk.remove("key.pkcs8").unwrap()),
        Err(OpenError::Damaged(_))
    ));
    assert!(matches!(
        reopen(&|disk| disk.remove(&segment).unwrap()),
        Err(OpenError::Damaged(_))
    ));
    assert!(matches!(
        reopen(&|disk| disk.tamper(&segment, |bytes| bytes.truncate(2000))),
        Err(OpenError::Damaged(_))
    ));
    let flip = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 50;
        bytes[at] ^= 1;
    };
    assert!(matches!(
        reopen(&|disk| disk.tamper(&segment, flip)),
        Err(OpenError::Damaged(_))
    ));
    assert!(reopen(&|disk| disk.tamper("state.json", |bytes| bytes.truncate(5))).is_err());
    assert!(reopen(&|disk| disk.tamper("log/tile/1/000.p/1", |bytes| bytes[7] ^= 1)).is_err());
    let other = ObjectRef {
        uid: "another".into(),
        ..crate::testing::sink()
    };
    let opened = Log::open(
        Arc::new(disk.crash(255)),
        Config {
            sink: other,
            ..config()
        },
    );
    assert!(matches!(opened.map(drop), Err(OpenError::OtherLog { .. })));
}

#[test]
fn old_records_are_removed_once_the_log_says_so_and_the_rest_is_still_proven() {
    let disk = Arc::new(MemoryDisk::default());
    let brief = Config {
        retention: Some(Duration::from_millis(300)),
        ..config()
    };
    let log = Log::open(disk.clone(), brief.clone()).unwrap();
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    for n in 1..=600 {
        submit(&log, &pen.write(command(n, "select 1"))).unwrap();
    }
    let bundles = |disk: &MemoryDisk| {
        disk.files()
            .into_keys()
            .filter(|name| name.contains("tile/entries/"))
            .count()
    };
    wait_for("old bundles to go", || bundles(&disk) == 1);
    submit(&log, &pen.write(command(601, "select 2"))).unwrap();
    close(&log);
    // A restart reads what is left, and goes on.
    let log = Log::open(disk.clone(), brief).unwrap();
    submit(&log, &pen.write(end())).unwrap();
    close(&log);
    let store = log.published();
    let note = sallyport_audit::store::Store::read(&store, "checkpoint")
        .unwrap()
        .unwrap();
    let mut trust = sallyport_audit::verify::Trust::new(log.key().clone());
    trust.add(&String::from_utf8(note).unwrap()).unwrap();
    let mut kinds = Vec::new();
    let report = sallyport_audit::verify::verify(&store, &trust, |_, leaf| {
        kinds.push(Record::parse(leaf).unwrap().event.kind());
    })
    .unwrap();
    assert_eq!(
        report.verdict(),
        sallyport_audit::verify::Verdict::Proven,
        "{:?}",
        report.findings
    );
    assert!(
        report.pruned >= 512 && kinds.contains(&"pruned") && kinds.contains(&"sessionEnd"),
        "{report:?}"
    );
}

/// A door of the crash test: what it sent, and what was acknowledged.
struct Sender {
    pen: Pen,
    sent: Vec<Vec<u8>>,
    acked: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    /// Whenever the power is cut, everything that was acknowledged is there, once, in its door's order, under a tree that
    /// contains every head that was ever answered.
    #[test]
    fn no_acknowledged_record_is_lost(rounds in proptest::collection::vec((1_usize..200, any::<u8>(), any::<u8>()), 1..5)) {
        let mut disk = Arc::new(MemoryDisk::default());
        let mut senders: Vec<Sender> = (0..3).map(|n| Sender { pen: Pen::new(&door(&format!("p{n}"))), sent: Vec::new(), acked: 0 }).collect();
        for sender in &mut senders {
            let first = sender.pen.write(start());
            sender.sent.push(first);
        }
        let mut heads = Vec::new();
        for (count, unanswered, torn) in rounds {
            let log = open(&disk);
            let mut answers = Vec::new();
            for n in 0..count {
                let at = n % 3;
                let sender = &mut senders[at];
                if n >= 3 {
                    let text = format!("select {n}");
                    sender.sent.push(sender.pen.write(command(n as u64, &text)));
                }
                // As a door does after a break: again from what was acknowledged.
                let rest: Vec<Checked> = sender.sent[sender.acked..].iter().map(|leaf| Checked::new(leaf.clone()).unwrap()).collect();
                if rest.is_empty() {
                    continue;
                }
                let upto = sender.sent.len();
                answers.push((at, upto, log.append(rest, None)));
                if answers.len() > usize::from(unanswered) {
                    let (at, upto, answer) = answers.remove(0);
                    let receipt = answer.blocking_recv().unwrap().unwrap();
                    prop_assert_eq!(receipt.up_to, upto as u64);
                    heads.push(receipt.head);
                    senders[at].acked = senders[at].acked.max(upto);
                }
            }
            disk = Arc::new(disk.crash(torn));
        }
        let log = open(&disk);
        close(&log);
        let records = read(&log);
        let store = log.published();
        for head in heads {
            prop_assert!(head.verifies(log.key()));
            let root = root_at(head.size, &mut TileHashes::new(&store, records.len() as u64)).unwrap();
            prop_assert_eq!(root, head.root);
        }
        for sender in &senders {
            let own: Vec<_> = records.iter().filter(|leaf| Record::parse(leaf).unwrap().source.instance == sender.pen.origin.instance).collect();
            prop_assert!(own.len() >= sender.acked);
            prop_assert!(own.iter().zip(&sender.sent).all(|(found, sent)| *found == sent));
        }
        let distinct: BTreeSet<_> = records.iter().collect();
        prop_assert_eq!(distinct.len(), records.len());
    }
}
