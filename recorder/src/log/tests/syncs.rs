//! An answer means that the disk has it.

use super::*;

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
    disk.slow_syncs(Duration::from_millis(20));
    let took = |round: usize| {
        let mut pens: Vec<Pen> = (0..50).map(|n| Pen::new(&door(&format!("p{round}-{n}")))).collect();
        let began = std::time::Instant::now();
        let answers: Vec<_> = pens
            .iter_mut()
            .map(|pen| log.append(checked(&pen.write(start())), None))
            .collect();
        for answer in answers {
            answer.blocking_recv().unwrap().unwrap();
        }
        began.elapsed()
    };
    // A machine that has something else to do may need another try.
    let all: Vec<Duration> = (0..5)
        .map(took)
        .take_while(|took| *took >= Duration::from_millis(20 * 25))
        .collect();
    assert!(all.len() < 5, "50 records in fewer than 25 syncs: {all:?}");
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
