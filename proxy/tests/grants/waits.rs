//! Whose a question is to take back: who waits for it, or nobody who merely waits beside who comes again.

use sallyport_audit::record::{Event, Fate};
use serde_json::json;

use super::common::door::TestDoor;
use super::common::eventually;
use super::common::psql::{finish, interrupt};
use super::{SCHEMA, asks_bob};

const SQL: &str = "delete from acct where id = 1";

/// How a program connects.
fn program(door: &TestDoor) -> String {
    format!("{} options='-c sallyport.on_hold=refuse'", door.conninfo("alice"))
}

/// So many have waited at a prompt for the answer to `request-1`.
fn waited(door: &TestDoor, times: usize) {
    door.recorded_times(
        "it waits at the prompt",
        times,
        |event| matches!(event, Event::Hold(hold) if hold.waits && hold.request.name == "request-1"),
    );
}

/// It is open, nothing says that it was closed, and the program passes once it is approved.
fn stays_open(door: &TestDoor, attempts: usize) {
    door.recorded_times(
        "nothing ran",
        attempts,
        |event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::NotRun),
    );
    assert_eq!(door.people.count(), 1, "one question");
    assert_eq!(door.people.request("request-1").withdrawn, None);
    let closed = |event: &Event| matches!(event, Event::Withdrawn(_) | Event::Expired(_));
    assert!(!door.events().iter().any(closed), "{:?}", door.events());
    door.people.approve("request-1");
    assert_eq!(door.psql_with(&program(door), &[SQL]).err, "");
    assert_eq!(door.direct("select count(*) from acct"), "1");
}

#[test]
fn who_leaves_a_prompt_takes_back_no_programs_question() {
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    assert!(door.psql_with(&program(&door), &[SQL]).err.contains("request-1"));
    let cancels = door.psql_start("alice", &[SQL]);
    waited(&door, 1);
    interrupt(&cancels);
    let printed = finish(cancels);
    assert!(
        printed.err.contains("57014") && printed.err.contains("AccessRequest request-1 stays open"),
        "{printed:?}"
    );
    let mut leaves = door.psql_start("alice", &[SQL]);
    waited(&door, 2);
    leaves.kill().unwrap();
    leaves.wait().unwrap();
    door.recorded_times("all of them left", 3, |event| matches!(event, Event::SessionEnd(_)));
    stays_open(&door, 3);
}

#[test]
fn whose_patience_ends_takes_back_no_programs_question() {
    let door = TestDoor::new(&asks_bob(json!({"holdFor": "1s", "expiresAfter": "1h"})), SCHEMA);
    assert!(door.psql_with(&program(&door), &[SQL]).err.contains("request-1"));
    let printed = door.psql("alice", &[SQL]);
    assert!(
        printed.err.contains("nobody approved it in time")
            && printed.err.contains("AccessRequest request-1 stays open"),
        "{printed:?}"
    );
    stays_open(&door, 2);
}

#[test]
fn who_waits_beside_a_program_goes_on_by_its_approval() {
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    assert!(door.psql_with(&program(&door), &[SQL]).err.contains("request-1"));
    let waits = door.psql_start("alice", &[SQL]);
    waited(&door, 1);
    door.people.approve("request-1");
    assert_eq!(finish(waits).err.matches("ERROR").count(), 0);
    assert_eq!(door.direct("select count(*) from acct"), "1");
}

#[test]
fn each_who_waits_asks_a_question_of_their_own() {
    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let first = door.psql_start("alice", &[SQL]);
    door.people.asked(1);
    let second = door.psql_start("alice", &[SQL]);
    door.people.asked(2);
    let printed = door.psql_with(&program(&door), &[SQL]);
    assert!(printed.err.contains("request-3"), "{printed:?}");
    interrupt(&second);
    let printed = finish(second);
    assert!(
        printed.err.contains("57014") && printed.err.contains("AccessRequest request-2 was withdrawn"),
        "{printed:?}"
    );
    let withdrawn = |name: &str| door.people.request(name).withdrawn;
    assert!(eventually("the withdrawal", || withdrawn("request-2")).contains("cancelled"));
    assert_eq!((withdrawn("request-1"), withdrawn("request-3")), (None, None));
    door.people.approve("request-1");
    assert_eq!(finish(first).err.matches("ERROR").count(), 0, "the other still waited");
    assert_eq!(door.direct("select count(*) from acct"), "1");
}
