//! `audit verify` and `audit report` as an auditor runs them: what they say of a forged log, and by which exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::merkle::{Frontier, leaf_hash};
use sallyport_audit::note::{Note, Signer};
use sallyport_audit::record::{EndCause, Instance, Origin, PodRef, Seal, SessionEnd, SessionId, Writer};
use sallyport_audit::tiles::{Kind, Tile, push_entry};
use sallyport_audit::{Batch, Event, Time};

const PROVEN: i32 = 0;
const NOT_LOOKED_AT: i32 = 1;
const UNPROVEN: i32 = 3;
const REFUTED: i32 = 4;

/// The log, and what is known of it from outside.
const KNOWN: [&str; 6] = ["--log", "log", "--key", "key", "--checkpoint", "kept"];

/// A directory with a log, its key, and a checkpoint that was kept outside it.
struct Drawer {
    dir: tempfile::TempDir,
    signer: Signer,
    seal: Seal,
}

impl Drawer {
    /// With a genuine log of ten records, all of which the checkpoint is over.
    fn new() -> Self {
        let pod = PodRef {
            name: "door".into(),
            uid: "1".into(),
        };
        let origin = Origin {
            connection: None,
            instance: Instance::random().unwrap(),
            pod: pod.into(),
            writer: Writer::Proxy,
        };
        let drawer = Self {
            dir: tempfile::tempdir().unwrap(),
            signer: Signer::generate("example.com/log").unwrap().0,
            seal: Seal::new(&origin).unwrap(),
        };
        let genuine = drawer.records(10, None);
        drawer.write(&genuine);
        fs::write(drawer.dir.path().join("kept"), drawer.checkpoint(&genuine)).unwrap();
        fs::write(drawer.dir.path().join("key"), drawer.signer.verifier().to_string()).unwrap();
        drawer
    }

    /// Ends of sessions, numbered by their writer. The one at `forged` tells of other commands than the genuine one.
    fn records(&self, count: u64, forged: Option<u64>) -> Vec<Vec<u8>> {
        let session = SessionId::parse(&"ab".repeat(16)).unwrap();
        let record = |number: u64| {
            let event = Event::SessionEnd(SessionEnd {
                cause: EndCause::ClientClosed,
                commands: if forged == Some(number) { 0 } else { 7 },
                duration_us: 9_000_000,
            });
            let time = Time::from_unix_micros(1_764_000_000_000_000);
            let batch = Batch::of(time, Some(&session), event).unwrap();
            self.seal.seal(&batch.drafts()[0], number).unwrap()
        };
        (1..=count).map(record).collect()
    }

    fn checkpoint(&self, records: &[Vec<u8>]) -> String {
        let mut frontier = Frontier::new();
        records.iter().for_each(|record| frontier.push(leaf_hash(record)));
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size: frontier.size(),
            root: frontier.root(),
        };
        checkpoint.sign(&self.signer)
    }

    /// The log as whoever holds its key would write it: records, hashes and checkpoint fit each other.
    fn write(&self, records: &[Vec<u8>]) {
        let log = self.dir.path().join("log");
        let _ = fs::remove_dir_all(&log);
        let (mut bundle, mut row) = (Vec::new(), Vec::new());
        for record in records {
            assert!(push_entry(&mut bundle, record));
            row.extend_from_slice(leaf_hash(record).as_bytes());
        }
        for (kind, bytes) in [(Kind::Entries, bundle), (Kind::Hashes(0), row)] {
            let tile = Tile::at(kind, 0, records.len() as u64).unwrap();
            let path = log.join(tile.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::write(log.join("checkpoint"), self.checkpoint(records)).unwrap();
    }

    /// Exit status and everything that was said.
    fn audit(&self, command: &str, arguments: &[&str]) -> (i32, String) {
        self.run(&["audit", command], arguments)
    }

    fn run(&self, command: &[&str], arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-sallyport"))
            .current_dir(self.dir.path())
            .env("NO_PROXY", "127.0.0.1")
            .args(command)
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    /// Every way to look at the log says so, with this finding.
    fn is_refuted(&self, finding: &str) {
        let (status, said) = self.audit("verify", &KNOWN);
        assert_eq!(status, REFUTED, "{said}");
        assert!(said.starts_with("REFUTED  example.com/log\n"), "{said}");
        assert!(said.contains(finding), "{finding:?} is not told: {said}");

        let (status, said) = self.audit("verify", &[&KNOWN[..], &["-o", "json"]].concat());
        assert_eq!(status, REFUTED, "{said}");
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(json["verdict"], "refuted");
        let findings = json["findings"].as_array().unwrap();
        let told = |told: &serde_json::Value| told.as_str().is_some_and(|told| told.contains(finding));
        assert!(findings.iter().any(told), "{json}");
        assert!(json["sessions"].is_null(), "nothing is said of people: {json}");

        let (status, said) = self.audit("report", &[&KNOWN[..], &["-o", "page.html"]].concat());
        assert_eq!(status, REFUTED, "{said}");
        assert!(self.page().contains(finding), "{said}");

        // A pipeline must not read of it that no verdict would change.
        let (status, said) = self.run(&["simulate", "--manifests", "."], &KNOWN);
        assert_eq!(status, REFUTED, "{said}");
        assert!(said.contains(finding), "{said}");
    }

    fn page(&self) -> String {
        fs::read_to_string(self.dir.path().join("page.html")).unwrap()
    }
}

/// Serves the files of a directory, and gives the URL.
fn serve(dir: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &dir);
        }
    });
    url
}

fn answer(mut stream: TcpStream, dir: &Path) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
    let (status, body) = match fs::read(dir.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(&[head.into_bytes(), body].concat()).unwrap();
}

#[test]
fn what_the_operator_cosigned_vouches_for_a_copy_wherever_that_lies() {
    let drawer = Drawer::new();
    let log = drawer.dir.path().join("log");
    let witness = Signer::generate("operator").unwrap().0;
    let note = fs::read_to_string(log.join("checkpoint")).unwrap();
    let cosignature = witness.cosign(Note::parse(&note).unwrap().text(), 1_764_000_000);
    fs::write(log.join("checkpoint"), format!("{note}{cosignature}")).unwrap();
    fs::write(drawer.dir.path().join("witness"), witness.verifier().to_string()).unwrap();
    let by =
        "10 of 10 records are proven by the log's own checkpoint, which the operator cosigned at 2025-11-24T16:00:00Z";
    for log in ["log", &serve(log)] {
        let known = ["--log", log, "--key", "key"];
        let (status, said) = drawer.audit("verify", &known);
        assert_eq!(status, UNPROVEN, "{log}: {said}");
        let known = [&known[..], &["--witness-key", "witness"]].concat();
        let (status, said) = drawer.audit("verify", &known);
        assert_eq!(status, PROVEN, "{log}: {said}");
        assert!(said.contains(by), "{log}: {said}");
        // Another witness' word is nobody's.
        let known = [&known[..4], &["--witness-key", "key"]].concat();
        let (status, said) = drawer.audit("verify", &known);
        assert_eq!(status, UNPROVEN, "{log}: {said}");
    }
}

#[test]
fn a_genuine_log_is_proven_and_one_that_nobody_vouches_for_is_not() {
    let drawer = Drawer::new();
    let (status, said) = drawer.audit("verify", &KNOWN);
    assert_eq!(status, PROVEN, "{said}");
    assert!(said.contains("10 of 10 records are proven"), "{said}");
    let (status, said) = drawer.audit("verify", &["--log", "log", "--key", "key"]);
    assert_eq!(status, UNPROVEN, "{said}");
    // Without a key there is nothing to look by, whatever the log says of itself.
    let (status, said) = drawer.audit("verify", &["--log", "log", "--checkpoint", "kept"]);
    assert_eq!(status, NOT_LOOKED_AT, "{said}");
    assert!(said.contains("no key is known from outside the log"), "{said}");
}

#[test]
fn a_log_rewritten_whole_with_the_true_key_is_refuted() {
    let drawer = Drawer::new();
    drawer.write(&drawer.records(12, Some(4)));
    drawer.is_refuted("the log was rewritten together with its hashes: the first record that differs is one of 0 to 9");
    // By itself it is whole: only what was kept outside refutes it.
    let (status, said) = drawer.audit("verify", &["--log", "log", "--key", "key"]);
    assert_eq!(status, UNPROVEN, "{said}");
}

#[test]
fn a_record_that_nobody_can_read_hides_no_refutation() {
    let drawer = Drawer::new();
    let mut records = drawer.records(10, None);
    let known = String::from_utf8(records[3].clone()).unwrap();
    let unknown = known.replace("{\"sessionEnd\":", "{\"sessionHereafter\":");
    assert_ne!(unknown, known);
    records[3] = unknown.into_bytes();
    drawer.write(&records);
    drawer.is_refuted("the log was rewritten together with its hashes: the first record that differs is one of 0 to 9");
    for command in ["show", "export"] {
        let (status, said) = drawer.audit(command, &KNOWN);
        assert_eq!(status, REFUTED, "{said}");
    }
    // Where nothing else is wrong, that it could not be read is what fails.
    let known = ["--log", "log", "--key", "key"];
    let (status, said) = drawer.audit("show", &known);
    assert_eq!(status, NOT_LOOKED_AT, "{said}");
    assert!(
        said.contains("1 records of the log were written by another version"),
        "{said}"
    );
}

#[test]
fn a_cut_tail_is_refuted() {
    let drawer = Drawer::new();
    drawer.write(&drawer.records(7, None));
    drawer.is_refuted("the tail is cut: 7 records are left, the checkpoint kept outside speaks of 10");
}

#[test]
fn a_missing_log_is_refuted() {
    let drawer = Drawer::new();
    let log = drawer.dir.path().join("log");
    fs::remove_dir_all(&log).unwrap();
    drawer.is_refuted("the log is missing: it had 10 records");
    fs::create_dir(&log).unwrap();
    drawer.is_refuted("the log is missing: it had 10 records");
}

#[test]
fn a_log_by_another_key_is_refuted() {
    let drawer = Drawer::new();
    let other = Drawer::new();
    let log = |drawer: &Drawer| drawer.dir.path().join("log");
    fs::remove_dir_all(log(&drawer)).unwrap();
    fs::rename(log(&other), log(&drawer)).unwrap();
    drawer.is_refuted("own checkpoint: ");
}
