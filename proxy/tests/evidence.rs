//! Evidence under real faults: processes are killed, disks are slow or full, recorders stay away. PostgreSQL's own log says
//! what ran, and the evidence log has to say the same.
//!
//! `SALLYPORT_FAULT_ROUNDS` sets how often processes are killed under load (3 if left out).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

mod common;
#[path = "evidence/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sallyport_audit::record::{Action, EndCause, Event, Fate, NotRun, Record, SessionId};
use sallyport_audit::verify::Verdict;

use common::eventually;
use common::psql::finish;
use stage::Stage;

/// Not a test: what the processes of the stage are started by.
#[test]
fn process() {
    stage::play();
}

/// Clients that send statements as fast as they are answered, each with a mark of its own, and come back when they are cut off.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn new(stage: &Stage, mark: &'static str, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicUsize::new(0));
        let start = |_| {
            let (stop, next, info) = (Arc::clone(&stop), Arc::clone(&next), stage.conninfo());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client(&info, mark, &stop, &next);
                }
            })
        };
        let threads = (0..clients).map(start).collect();
        Self { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn client(info: &str, mark: &str, stop: &AtomicBool, next: &AtomicUsize) {
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-d", info])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = psql.stdin.take().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        // A client that was cut off ends, and its pipe with it.
        if writeln!(input, "select '{mark}{n}';").is_err() {
            break;
        }
    }
    drop(input);
    psql.wait().unwrap();
}

/// How often each marked statement is on record as let through.
fn recorded(records: &[Record], mark: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for record in records {
        if let Event::Command(command) = &record.event
            && command.verdict.action == Action::Allow
            && let Some((_, rest)) = command.text.split_once(mark)
        {
            let rest = rest.split('\'').next().unwrap();
            *found.entry(format!("{mark}{rest}")).or_default() += 1;
        }
    }
    found
}

/// Starts and ends of each session.
fn sessions(records: &[Record]) -> BTreeMap<SessionId, (usize, Vec<EndCause>)> {
    let mut found: BTreeMap<SessionId, (usize, Vec<EndCause>)> = BTreeMap::new();
    for record in records {
        let Some(session) = record.session.clone() else {
            continue;
        };
        match &record.event {
            Event::SessionStart(_) => found.entry(session).or_default().0 += 1,
            Event::SessionEnd(end) => found.entry(session).or_default().1.push(end.cause),
            _ => {}
        }
    }
    found
}

#[test]
fn killed_under_load_nothing_ran_that_is_not_on_record() {
    let rounds = std::env::var("SALLYPORT_FAULT_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    let mark = "kill-";
    let mut stage = Stage::new(Duration::from_secs(10));
    stage.start_recorder();
    stage.start_door();
    let load = Load::new(&stage, mark, 3);
    let more = |stage: &Stage, than: usize| {
        eventually("statements to run", || {
            (stage.executed(mark).len() > than).then_some(())
        });
    };
    for round in 0..rounds {
        more(&stage, stage.executed(mark).len() + 40);
        stage.keep_checkpoint();
        match round % 3 {
            0 => {
                stage.kill("door");
                stage.kill("recorder");
            }
            1 => stage.kill("recorder"),
            _ => stage.kill("door"),
        }
        if round % 3 < 2 {
            stage.start_recorder();
        }
        if round % 3 != 1 {
            stage.start_door();
        }
    }
    more(&stage, stage.executed(mark).len() + 40);
    load.end();
    let ran = stage.executed(mark);
    // A door that was killed is ended by the recorder when its grace is over.
    eventually("all sessions to end", || {
        let (_, records) = peek(&stage);
        sessions(&records)
            .values()
            .all(|(_, ends)| ends.len() == 1)
            .then_some(())
    });
    let (report, records) = stage.close();
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.findings);
    let on_record = recorded(&records, mark);
    let unrecorded: Vec<_> = ran.keys().filter(|text| !on_record.contains_key(*text)).collect();
    assert!(unrecorded.is_empty(), "executed without a record: {unrecorded:?}");
    assert!(ran.values().all(|times| *times == 1), "nothing ran twice");
    assert!(
        on_record.values().all(|times| *times == 1),
        "nothing is on record twice"
    );
    let sessions = sessions(&records);
    assert!(
        sessions.values().all(|(starts, ends)| (*starts, ends.len()) == (1, 1)),
        "{sessions:?}"
    );
    let vanished = |(_, ends): &&(usize, Vec<EndCause>)| ends == &[EndCause::DoorVanished];
    assert!(
        sessions.values().filter(vanished).count() > 0,
        "killed doors leave end records"
    );
    println!(
        "{rounds} rounds: {} statements ran, {} on record",
        ran.len(),
        on_record.len()
    );
}

/// The log as it is published now, unproven.
fn peek(stage: &Stage) -> (usize, Vec<Record>) {
    let store = sallyport_audit::store::Dir::new(stage.volume.join("log"));
    let note = std::fs::read_to_string(stage.volume.join("log/checkpoint")).unwrap_or_default();
    let text = sallyport_audit::note::Note::parse(&note).map(|note| note.text().to_owned());
    let checkpoint = text.and_then(|text| sallyport_audit::checkpoint::Checkpoint::parse_text(&text));
    let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
    let mut entries = sallyport_audit::verify::Entries::new(&store, size);
    let mut records = Vec::new();
    for index in 0..size {
        if let Ok(Some(entry)) = entries.get(index) {
            records.push(Record::parse(entry).unwrap());
        }
    }
    (records.len(), records)
}

#[test]
fn a_door_that_is_told_to_end_cuts_nobody() {
    let mark = "term-";
    let mut stage = Stage::new(Duration::from_secs(10));
    stage.start_recorder();
    stage.start_door();
    let scripts = ["", "begin;\n"];
    let mut clients = scripts.map(|begin| {
        let mut psql = stage.psql(&[]);
        let mut input = psql.stdin.take().unwrap();
        writeln!(input, "{begin}select '{mark}{}';", begin.len()).unwrap();
        (psql, input)
    });
    eventually("both to be served", || (stage.executed(mark).len() == 2).then_some(()));
    stage.stop("door");
    for (_, input) in &mut clients {
        writeln!(input, "select 1;").unwrap();
    }
    for (psql, input) in clients {
        drop(input);
        let printed = finish(psql);
        assert!(printed.err.contains("57P01: the door shuts down"), "{printed:?}");
    }
    let (report, records) = stage.close();
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.findings);
    let ends: Vec<_> = sessions(&records).into_values().map(|(_, ends)| ends).collect();
    assert_eq!(ends, [[EndCause::Shutdown], [EndCause::Shutdown]]);
}

#[test]
fn statements_wait_for_a_recorder_that_restarts_and_then_go_on() {
    let mark = "wait-";
    let mut stage = Stage::new(Duration::from_secs(60));
    stage.grace(Duration::from_secs(60));
    stage.start_recorder();
    stage.start_door();
    let mut psql = stage.psql(&["-v", "ON_ERROR_STOP=1"]);
    let mut input = psql.stdin.take().unwrap();
    let mut output = psql.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut shown = String::new();
        output.read_to_string(&mut shown).unwrap();
        shown
    });
    // As many as there is time for: whenever the recorder ends, some are still to run.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // Blanks between two of them, which psql leaves out: few fit into the pipe, all of which have to run in the end.
    let blanks = " ".repeat(200);
    let writer = std::thread::spawn(move || {
        let mut written = 0;
        while !stopped.load(Ordering::Relaxed) {
            writeln!(input, "{blanks}select '{mark}{written}';").unwrap();
            written += 1;
        }
        written
    });
    for times in 1..=2 {
        let before = stage.executed(mark).len();
        eventually("statements to run", || {
            (stage.executed(mark).len() > before + 50).then_some(())
        });
        if times == 1 {
            stage.stop("recorder");
        } else {
            stage.kill("recorder");
        }
        assert!(psql.try_wait().unwrap().is_none(), "the client waits");
        stage.start_recorder();
    }
    stop.store(true, Ordering::Relaxed);
    let written: usize = writer.join().unwrap();
    let (printed, shown) = (finish(psql), reader.join().unwrap());
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let wanted: Vec<String> = (0..written).map(|n| format!("{mark}{n}")).collect();
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        wanted,
        "nothing lost, nothing doubled"
    );
    let (report, records) = stage.close();
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.findings);
    let found = recorded(&records, mark);
    assert_eq!(found.len(), wanted.len());
    assert!(found.values().all(|times| *times == 1));
    let unfinished = sessions(&records)
        .into_values()
        .filter(|(_, ends)| ends != &[EndCause::ClientClosed])
        .count();
    assert_eq!(unfinished, 0, "the sessions went on");
}

#[test]
fn a_recorder_that_stays_away_is_said_in_words_and_what_was_refused_did_not_run() {
    let mark = "away-";
    let mut stage = Stage::new(Duration::from_millis(1500));
    stage.grace(Duration::from_secs(60));
    stage.start_recorder();
    stage.start_door();
    let mut psql = stage.psql(&[]);
    let mut input = psql.stdin.take().unwrap();
    writeln!(input, "select '{mark}1';").unwrap();
    eventually("the first statement", || stage.executed(mark).get("away-1").copied());
    stage.kill("recorder");
    let tried = stage.file("tried");
    writeln!(
        input,
        "select '{mark}2';\n\\echo refused\n\\! touch {}",
        tried.display()
    )
    .unwrap();
    // What comes after the refusal is sent when the recorder is back.
    eventually("the refusal", || tried.exists().then_some(()));
    assert!(psql.try_wait().unwrap().is_none(), "the session lives");
    stage.start_recorder();
    // Refused until the door has found the recorder again.
    let third = || {
        writeln!(input, "select '{mark}3';").unwrap();
        stage.executed(mark).get("away-3").copied()
    };
    eventually("the third statement", third);
    drop(input);
    let printed = finish(psql);
    assert!(
        printed.err.contains("nothing runs that cannot be recorded"),
        "{printed:?}"
    );
    let mut lines: Vec<&str> = printed.out.lines().collect();
    lines.dedup();
    assert_eq!(lines, ["away-1", "refused", "away-3"]);
    assert!(
        !stage.executed(mark).contains_key("away-2"),
        "what was refused did not run"
    );
    let (_, records) = stage.close();
    let told = records.iter().any(|record| {
        matches!(&record.event, Event::Outcome(outcome)
            if outcome.fate == Fate::NotRun && outcome.why == Some(NotRun::NotRecordedInTime))
    });
    assert!(told, "the intent that arrived late says that it did not run");
}

#[test]
fn a_statement_waits_as_long_as_the_disk_does() {
    let mark = "slow-";
    let slow = Duration::from_millis(500);
    let mut stage = Stage::new(Duration::from_secs(20));
    let (source, library) = (stage.file("slow.c"), stage.file("slow.so"));
    let code = "#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
        int fdatasync(int fd) { struct timespec t = {0, 500000000}; nanosleep(&t, 0); return syscall(SYS_fdatasync, fd); }\n";
    std::fs::write(&source, code).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status();
    assert!(built.unwrap().success());
    stage.preload(library);
    stage.start_recorder();
    stage.start_door();
    let script: String = (0..4)
        .map(|n| format!("select '{mark}{n}', extract(epoch from clock_timestamp());\n"))
        .collect();
    let longest = || {
        let mut psql = stage.psql(&[]);
        let began = Instant::now();
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let printed = finish(psql);
        // The session's start and four statements, each on disk before it goes on.
        assert!(began.elapsed() >= slow * 5, "{:?}", began.elapsed());
        let ran: Vec<f64> = printed
            .out
            .lines()
            .map(|line| line.split_once('|').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!(ran.len(), 4, "{printed:?}");
        let waited = ran.windows(2).map(|pair| Duration::from_secs_f64(pair[1] - pair[0]));
        let waited: Vec<Duration> = waited.collect();
        assert!(waited.iter().all(|one| *one >= slow), "{waited:?}");
        waited.into_iter().max().unwrap()
    };
    // Each for its own intent, and at most for what the disk was at when that came: the outcome of the statement before. A machine that
    // has something else to do may need another try.
    let tried: Vec<Duration> = std::iter::repeat_with(longest)
        .take(5)
        .take_while(|one| *one >= slow * 3)
        .collect();
    assert!(tried.len() < 5, "{tried:?} of waiting between two statements");
}

#[test]
fn a_full_volume_is_said_in_words_and_is_over_when_there_is_room() {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    assert!(is_root, "a volume of its own is mounted: run as root");
    let mark = "full-";
    let mut stage = Stage::new(Duration::from_secs(20));
    let volume = Volume::mount(&stage.volume, "8m");
    stage.start_recorder();
    stage.start_door();
    let mut psql = stage.psql(&[]);
    let mut input = psql.stdin.take().unwrap();
    writeln!(input, "select '{mark}1';").unwrap();
    eventually("the first statement", || stage.executed(mark).get("full-1").copied());
    let filler = stage.volume.join("filler");
    std::fs::write(&filler, vec![0; 7 * 1024 * 1024 + 512 * 1024]).unwrap();
    eventually("the recorder to say so", || {
        stage.problem()?.contains("the volume is full").then_some(())
    });
    let tried = stage.file("tried");
    writeln!(
        input,
        "select '{mark}2';\nselect '{mark}3';\n\\! touch {}",
        tried.display()
    )
    .unwrap();
    eventually("both to be answered", || tried.exists().then_some(()));
    // A refusal comes at once, not after the wait for a recorder that is away.
    let fresh = finish(stage.psql(&["-c", &format!("select '{mark}4'")]));
    assert!(
        fresh.code != 0 && fresh.out.is_empty(),
        "nobody comes in unrecorded: {fresh:?}"
    );
    std::fs::remove_file(&filler).unwrap();
    eventually("room", || {
        let now = finish(stage.psql(&["-c", &format!("select '{mark}5'")]));
        (now.out == "full-5").then_some(())
    });
    writeln!(input, "select '{mark}6';").unwrap();
    drop(input);
    let printed = finish(psql);
    assert!(printed.err.contains("the volume is full"), "{printed:?}");
    assert!(printed.out.ends_with("full-6"), "the session lived on: {printed:?}");
    let (report, records) = stage.close();
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.findings);
    let (ran, on_record) = (stage.executed(mark), recorded(&records, mark));
    assert!(
        ran.keys().all(|text| on_record.contains_key(text)),
        "{ran:?} {on_record:?}"
    );
    assert!(!ran.contains_key("full-2") && !ran.contains_key("full-3"), "{ran:?}");
    drop(volume);
}

/// A small file system in memory.
struct Volume(std::path::PathBuf);

impl Volume {
    fn mount(at: &std::path::Path, size: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "sallyport-test"])
            .arg(at)
            .status();
        assert!(mounted.unwrap().success());
        Self(at.to_owned())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // The recorder may still be on its way out.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
