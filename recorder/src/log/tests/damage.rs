//! Writers that panic, and volumes that are not what was written.

use super::*;

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
fn what_a_newer_recorder_wrote_is_told_by_its_format_and_left_as_it_is() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    for n in 1..300 {
        submit(&log, &pen.write(command(n, "x"))).unwrap();
    }
    close(&log);
    let segment = disk.files().into_keys().find(|name| name.starts_with("wal/")).unwrap();
    let written = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        assert!(text.contains(from), "{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    };
    let told = |file: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let copy = Arc::new(disk.crash(255));
        copy.tamper(file, change);
        let before = copy.files();
        let error = Log::open(copy.clone(), config()).map(drop).unwrap_err();
        assert!(
            matches!(&error, OpenError::Newer { file: newer, format: 2 } if newer == file),
            "{error}"
        );
        let words = error.to_string();
        assert!(
            words.contains("format 2, which this version does not know") && words.contains("run the recorder"),
            "{words}"
        );
        assert_eq!(copy.files(), before, "{file}");
    };
    told(&segment, &|bytes| bytes[5] = 2);
    told("state.json", &|bytes| written(bytes, "\"format\":1", "\"format\":2"));
    // A state of the first version, which said nothing of its format, is read; so is what a later one added.
    for (from, to) in [("\"format\":1,", ""), ("\"format\":1,", "\"format\":1,\"more\":[1],")] {
        let copy = Arc::new(disk.crash(255));
        copy.tamper("state.json", |bytes| written(bytes, from, to));
        close(&open(&copy));
    }
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
