//! Which files stay, and for how long.

use sallyport_audit::record::Record;

use super::*;

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

#[test]
fn who_has_not_the_key_makes_no_record_older_than_it_is() {
    let disk = Arc::new(MemoryDisk::default());
    let brief = Config {
        retention: Some(Duration::from_secs(3600)),
        ..config()
    };
    let log = Log::open(disk.clone(), brief.clone()).unwrap();
    let mut pen = Pen::new(&door("a"));
    submit(&log, &pen.write(start())).unwrap();
    for n in 1..=300 {
        submit(&log, &pen.write(command(n, "select 1"))).unwrap();
    }
    close(&log);
    let state = |disk: &MemoryDisk| serde_json::from_slice::<serde_json::Value>(&disk.files()["state.json"]).unwrap();
    let marks = state(&disk)["ages"]["marks"].clone();
    assert!(!marks.as_array().unwrap().is_empty());
    // As it is, it is believed.
    let log = Log::open(disk.clone(), brief.clone()).unwrap();
    close(&log);
    assert_eq!(state(&disk)["ages"]["marks"][0], marks[0]);
    disk.tamper("state.json", |bytes| {
        let mut state: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        state["ages"]["marks"] = serde_json::json!([[0, 300]]);
        *bytes = serde_json::to_vec(&state).unwrap();
    });
    let log = Log::open(disk.clone(), brief).unwrap();
    submit(&log, &pen.write(command(301, "select 2"))).unwrap();
    wait_for("a look around", || {
        log.status().borrow().published == log.status().borrow().size
    });
    close(&log);
    assert!(!kinds(&log).contains(&"pruned"), "{:?}", kinds(&log));
    assert_eq!(read(&log).len() as u64, log.status().borrow().size);
}
