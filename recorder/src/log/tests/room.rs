//! Volumes that are full, or small.

use super::*;

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

/// A volume of 4 MiB, filled by long commands until it takes no more. Gives how many it took.
fn filled(disk: &Arc<MemoryDisk>, log: &Log, pen: &mut Pen) -> u64 {
    disk.set_total(Some(4 << 20));
    submit(log, &pen.write(start())).unwrap();
    let long = "x".repeat(60_000);
    for taken in 0.. {
        let leaf = pen.at(taken + 2, command(taken + 1, &long));
        if let Err(error) = submit(log, &leaf) {
            assert_eq!(error.code, RefuseCode::Storage);
            assert!(error.reason.contains("the volume is full"), "{error}");
            return taken;
        }
    }
    0
}

#[test]
fn what_a_small_volume_took_is_published_although_nothing_new_is_taken() {
    for every in [5, 400] {
        let disk = Arc::new(MemoryDisk::default());
        let config = Config {
            checkpoint_every: Duration::from_millis(every),
            ..config()
        };
        let log = Log::open(Arc::clone(&disk) as Arc<dyn Disk>, config).unwrap();
        let mut pen = Pen::new(&door("a"));
        let taken = filled(&disk, &log, &mut pen);
        assert!(taken > 8, "{taken}");
        wait_for("all of it to be published", || {
            let status = log.status().borrow().clone();
            status.published == status.size && status.size >= taken + 2
        });
        // Publishing makes no room, so that nothing new is taken now and refused again a moment later.
        let refused = submit(&log, &pen.at(taken + 2, command(taken + 1, "select 1"))).unwrap_err();
        assert_eq!(refused.code, RefuseCode::Storage, "{refused}");
        wait_for("the problem to be told", || log.status().borrow().problem.is_some());
        submit(&log, &pen.at(taken + 2, end())).unwrap();
        close(&log);
        let kinds = kinds(&log);
        assert_eq!(kinds[kinds.len() - 2..], ["sessionEnd", "logEnd"]);
        assert_eq!(kinds.len() as u64, taken + 4);
    }
}

#[test]
fn half_a_file_holds_no_room() {
    let disk = MemoryDisk::default();
    disk.set_total(Some(100));
    disk::put(&disk, "small", &[1; 10]).unwrap();
    disk::put(&disk, "large", &[1; 200]).unwrap_err();
    assert_eq!(disk.files().into_keys().collect::<Vec<_>>(), ["small"]);
}

#[test]
fn whoever_stopped_waiting_for_a_publication_is_not_waited_for() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    wait_for("the start to be published", || log.status().borrow().published == 2);
    disk.set_room(Some(1000));
    submit(&log, &pen.write(command(1, "select 1"))).unwrap();
    for _ in 0..3 {
        let waited = async { tokio::time::timeout(Duration::from_millis(10), log.publish()).await };
        assert!(block_on(waited).is_err(), "the volume takes no tiles");
    }
    wait_for("nobody to be waited for", || {
        let desk = log.writer.lock().unwrap();
        desk.as_ref().is_some_and(|writer| writer.asked() == 0)
    });
    disk.set_room(None);
    close(&log);
}
