//! A volume as the first version left it: its process was killed while a session was open, and the newest records stand in the
//! write-ahead file alone. Nobody but this test trusts its key.

use super::*;
use crate::log::disk::put;

const FILES: [(&str, &[u8]); 7] = [
    ("key.pkcs8", include_bytes!("../../../testdata/volume-v1/key.pkcs8")),
    ("origin", include_bytes!("../../../testdata/volume-v1/origin")),
    ("state.json", include_bytes!("../../../testdata/volume-v1/state.json")),
    (
        "log/checkpoint",
        include_bytes!("../../../testdata/volume-v1/log/checkpoint"),
    ),
    (
        "log/tile/0/000.p/9",
        include_bytes!("../../../testdata/volume-v1/log/tile/0/000.p/9"),
    ),
    (
        "log/tile/entries/000.p/9",
        include_bytes!("../../../testdata/volume-v1/log/tile/entries/000.p/9"),
    ),
    (
        "wal/00000000000000000000",
        include_bytes!("../../../testdata/volume-v1/wal/00000000000000000000"),
    ),
];

#[test]
fn a_log_of_the_first_version_goes_on_and_is_proven_whole() {
    let disk = Arc::new(MemoryDisk::default());
    for (path, bytes) in FILES {
        put(disk.as_ref(), path, bytes).unwrap();
    }
    let sink = ObjectRef {
        name: "evidence".into(),
        namespace: "evidence".into(),
        uid: "local-508dcad0ace8ac30b6722c6c".into(),
    };
    let config = Config {
        sink,
        grace: Duration::from_millis(30),
        ..config()
    };
    let log = Log::open(disk.clone(), config).unwrap();
    assert!(log.key().to_string().contains("+2edde6d0+"), "{}", log.key());
    // Whose session was open does not come back.
    wait_for("its end record", || {
        log.status().borrow().sessions == 0 && log.status().borrow().size >= 13
    });
    close(&log);
    assert_eq!(
        kinds(&log),
        [
            "logStart",
            "loginRefused",
            "loginRefused",
            "loginRefused",
            "sessionStart",
            "command",
            "logStart",
            "sessionEnd",
            "loginRefused",
            "sessionStart",
            "command",
            "logStart",
            "sessionEnd",
            "logEnd"
        ]
    );
}
