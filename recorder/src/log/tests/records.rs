//! What is taken, of whom, and that it is there after a restart.

use super::*;

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
    // The recorder's own, which every door sees in its permit.
    let peer = door("a");
    let own = block_on(log.attach(log.boot().clone(), peer.connection, peer.pod, None, None));
    assert_eq!(own.unwrap_err().code, RefuseCode::Identity);
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
    let source = leaf
        .split_once("\"source\":")
        .unwrap()
        .1
        .split_once(",\"time\"")
        .unwrap()
        .0
        .to_owned();
    let json: serde_json::Value = serde_json::from_str(&source).unwrap();
    let listed = format!(
        "[{},{},{},1,\"proxy\"]",
        json["connection"], json["instance"], json["pod"]
    );
    for bad in [
        leaf.replace("\"v\":1", "\"v\": 1"),
        leaf.replace("\"seq\":1,", ""),
        // Lists where others read objects.
        format!(
            "[{{\"sessionStart\":[]}},\"{}\",{source},\"2026-11-23T21:34:05.120000Z\",1]",
            pen.session
        ),
        leaf.replace("{\"sessionStart\":{", "{\"sessionStart\":[{")
            .replacen("}},\"session\":", "}]},\"session\":", 1),
        leaf.replace(&source, &listed),
        String::new(),
        "{}".to_owned(),
    ] {
        assert_eq!(Checked::new(bad.into_bytes()).unwrap_err().code, RefuseCode::Record);
    }
}
