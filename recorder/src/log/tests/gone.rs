//! Doors that go, with or without a goodbye.

use sallyport_audit::record::{EndCause, Event, Record};

use super::*;

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
fn a_door_of_which_nothing_is_on_record_is_forgotten_when_it_goes() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk);
    let (idle, mut busy) = (Pen::new(&door("a")), Pen::new(&door("b")));
    standing(&log, &idle, None).unwrap();
    standing(&log, &busy, None).unwrap();
    submit(&log, &busy.write(start())).unwrap();
    log.detach(idle.origin.instance.clone(), false);
    log.detach(busy.origin.instance.clone(), false);
    close(&log);
    let state = String::from_utf8(disk.files()["state.json"].clone()).unwrap();
    assert!(state.contains(busy.origin.instance.as_str()) && !state.contains(idle.origin.instance.as_str()));
}
