//! What is read to its first lines only (`… | head`), or has nowhere to go. One test, since whatever else this process starts
//! would hold the reading end of its pipes for a moment.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::process::{Command, Output, Stdio};

use sallyport_audit::note::Signer;

const NOT_PRINTED: i32 = 1;
const REFUTED: i32 = 4;
/// What a shell says of a program that SIGPIPE ended.
const UNREAD: i32 = 141;

fn run(arguments: &[&str], to: impl Into<Stdio>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-sallyport"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(to)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

#[test]
fn who_stops_reading_is_told_nothing_and_a_full_disk_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let key = Signer::generate("example.com/log").unwrap().0.verifier().to_string();
    // That the log is missing is an answer like any other.
    let known = ["--log", log.to_str().unwrap(), "--key", &key];
    for command in [&["show"][..], &["verify"], &["report", "-o", "-"]] {
        let arguments = [&["audit"][..], command, &known].concat();
        let read = run(&arguments, Stdio::piped());
        assert_eq!(read.status.code(), Some(REFUTED), "{command:?}: {read:?}");
        assert!(!read.stdout.is_empty(), "{command:?}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = run(&arguments, writer);
        assert_eq!(unread.status.code(), Some(UNREAD), "{command:?}: {unread:?}");
        assert_eq!(String::from_utf8(unread.stderr).unwrap(), "", "{command:?}");

        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let full = run(&arguments, full);
        assert_eq!(full.status.code(), Some(NOT_PRINTED), "{command:?}: {full:?}");
        let said = String::from_utf8(full.stderr).unwrap();
        assert!(said.starts_with("error: the answer cannot be printed: "), "{said}");
    }
    // What records are worth is said beside them, also to whoever has seen enough of them.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let some = run(&[&["audit", "export", "--format", "csv"][..], &known].concat(), writer);
    assert_eq!(some.status.code(), Some(REFUTED), "{some:?}");
    let said = String::from_utf8(some.stderr).unwrap();
    assert!(said.starts_with("REFUTED"), "{said}");
    // Whoever does not read what is said beside the answer gets the answer, and the status.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unheard = Command::new(env!("CARGO_BIN_EXE_kubectl-sallyport"))
        .args([&["audit", "show", "-o", "json"][..], &known].concat())
        .stderr(writer)
        .output()
        .unwrap();
    assert_eq!(unheard.status.code(), Some(REFUTED), "{unheard:?}");
}
