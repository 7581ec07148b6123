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
