//! A door that ends while people are in it, and one whose certificate is replaced.

use std::net::TcpStream;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use sallyport_audit::record::{EndCause, Event, Fate, Refusal};
use sallyport_proxy::door::Rules;
use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::SCHEMA;
use super::common::door::{Given, TestDoor, certificate};
use super::common::eventually;
use super::common::wire::{Client, Message, tags, tls};

/// How many sessions sleep at the target.
const ASLEEP: &str =
    "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";

/// Deleting needs bob.
fn held_deletes() -> Given {
    Given::open().policy(json!([
        {"name": "asked", "match": {"cel": "command.verbs.exists(v, v == 'delete')"}, "action": "RequireApproval",
         "message": "this needs bob", "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]}},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]))
}

/// The session's last words, which have to be an error: code and message.
fn last_words(client: &mut Client) -> (String, String) {
    let said = client.end();
    let last = said.iter().rfind(|message| message.tag == 'E');
    let last = last.unwrap_or_else(|| panic!("cut without a word: {said:?}"));
    (last.field('C').unwrap(), last.field('M').unwrap())
}

fn over(words: &str) -> (String, String) {
    ("57P01".to_owned(), words.to_owned())
}

fn shut_down() -> (String, String) {
    over("the door shuts down")
}

#[test]
fn a_session_ends_when_its_time_is_over_and_when_nobody_asks_for_anything() {
    let limited = |limits: Value| TestDoor::new(&Given::open().connection(json!({"limits": limits})), SCHEMA);
    let ends = |door: &TestDoor, cause: EndCause, times: usize| {
        door.recorded_times(
            "the ends",
            times,
            |event| matches!(event, Event::SessionEnd(end) if end.cause == cause),
        );
    };
    let door = limited(json!({"idle": "5s"}));
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    // Who waits for an answer is not idle.
    assert_eq!(tags(&client.query("select 1 from pg_sleep(6)")), "TDCZ");
    assert_eq!(last_words(&mut client), over("the session was idle for too long"));
    ends(&door, EndCause::Idle, 1);

    let door = limited(json!({"maxDuration": "20s"}));
    let login = || Client::login(&door, "alice", &[]).unwrap();
    let (mut idle, mut working) = (login(), login());
    working.put(b'Q', |out| put_cstr(out, "select pg_sleep(60)")).send();
    eventually("the command to run", || (door.direct(ASLEEP) == "1").then_some(()));
    for client in [&mut idle, &mut working] {
        assert_eq!(last_words(client), over("the session's time is over"));
    }
    eventually("the target to be told", || (door.direct(ASLEEP) == "0").then_some(()));
    ends(&door, EndCause::Expired, 2);
}

#[test]
fn limits_that_become_narrower_hold_for_who_is_in() {
    for (limits, words) in [
        (json!({"idle": "100ms"}), "the session was idle for too long"),
        (json!({"maxDuration": "100ms"}), "the session's time is over"),
    ] {
        let door = TestDoor::new(&Given::open(), SCHEMA);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        door.enforce(&Given::open().connection(json!({"limits": limits})), 2);
        assert_eq!(last_words(&mut client), over(words));
    }
}

#[test]
fn a_door_that_ends_is_polite_to_everybody() {
    let door = TestDoor::new(&held_deletes(), SCHEMA);
    let login = || Client::login(&door, "alice", &[]).unwrap();
    let (mut idle, mut working, mut stuck, mut running, mut held) = (login(), login(), login(), login(), login());
    for (client, row) in [(&mut working, 1), (&mut stuck, 2)] {
        client.query("begin");
        assert_eq!(tags(&client.query(&format!("insert into u values ({row}, 'x')"))), "CZ");
    }
    running.put(b'Q', |out| put_cstr(out, "select pg_sleep(60)")).send();
    held.put(b'Q', |out| put_cstr(out, "delete from t")).send();
    let (request, _) = door.people.asked(1);
    eventually("the command to run", || (door.direct(ASLEEP) == "1").then_some(()));

    door.drain.begun.cancel();
    assert_eq!(last_words(&mut idle), shut_down());
    assert_eq!(last_words(&mut held), shut_down());
    eventually("nobody is asked for nothing", || {
        door.people.request(&request).withdrawn
    });
    // Whoever was still sent here is told, rather than met by a closed port.
    let turned = Client::login(&door, "alice", &[]).err().unwrap();
    let said = turned.last().unwrap();
    assert_eq!(said.field('C').unwrap(), "57P03");
    assert_eq!(said.field('M').unwrap(), "this door is shutting down");
    // What is in a transaction may end it.
    assert_eq!(tags(&working.query("insert into u values (3, 'x')")), "CZ");
    assert_eq!(tags(&working.query("commit")), "CZ");
    assert_eq!(last_words(&mut working), shut_down());
    assert_eq!(
        door.direct("select string_agg(id::text, ',' order by id) from u"),
        "1,3"
    );

    door.drain.closed.cancel();
    eventually("the port to close", || TcpStream::connect(door.address).err());
    assert_eq!(door.direct(ASLEEP), "1", "what runs goes on until the time is over");

    door.drain.over.cancel();
    assert_eq!(last_words(&mut stuck), shut_down());
    assert_eq!(last_words(&mut running), shut_down());
    eventually("the target to be told", || (door.direct(ASLEEP) == "0").then_some(()));
    assert_eq!(
        door.direct("select string_agg(id::text, ',' order by id) from u"),
        "1,3"
    );
    door.recorded_times(
        "five ends by shutdown",
        5,
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::Shutdown),
    );
    door.recorded("the one turned away", |event| match event {
        Event::LoginRefused(refused) => (refused.reason == Refusal::DoorShut).then_some(()),
        _ => None,
    });
    let ran = |event: &Event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::Executed);
    assert!(door.events().iter().any(ran));
}

/// The certificate that the door shows a new client, if the client trusts it.
fn shown(door: &TestDoor) -> Result<CertificateDer<'static>, String> {
    let mut stream = tls(door, true, true).map_err(|error| error.to_string())?;
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|error| error.to_string())?;
    }
    Ok(stream.conn.peer_certificates().unwrap()[0].clone().into_owned())
}

fn rows(answer: &[Message]) -> usize {
    answer.iter().filter(|message| message.tag == 'D').count()
}

#[test]
fn a_new_certificate_is_shown_to_new_clients_while_old_sessions_live() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut old = Client::login(&door, "alice", &[]).unwrap();
    let before = shown(&door).unwrap();
    // As a rotation of the Secret: another key, here even of another CA.
    let (ca, renewed) = certificate();
    door.tls.store(Arc::new(Some(Arc::new(renewed))));
    assert!(
        shown(&door).is_err(),
        "clients that trust only the old CA see that it is another"
    );
    std::fs::copy(ca.path(), door.ca.path()).unwrap();
    assert_ne!(shown(&door).unwrap(), before);
    let mut new = Client::login(&door, "alice", &[]).unwrap();
    for client in [&mut old, &mut new] {
        assert_eq!(rows(&client.query("select id from t")), 20);
    }
    // A certificate that is gone keeps new people out and ends nobody.
    door.tls.store(Arc::new(None));
    assert!(shown(&door).is_err());
    assert_eq!(rows(&old.query("select id from t")), 20);
}

#[test]
fn sessions_of_sinks_that_were_replaced_end_though_nobody_speaks_to_them_any_more() {
    let mut door = TestDoor::new(&Given::open(), SCHEMA);
    let mut idle = Client::login(&door, "alice", &[]).unwrap();
    let old = std::mem::replace(
        &mut door.rules,
        watch::channel(Rules::Shut("of another door".to_owned())).0,
    );
    old.send_replace(Rules::Shut("the connection's sinks changed; log in again".to_owned()));
    drop(old);
    assert_eq!(last_words(&mut idle).0, "57P01");
}

#[test]
fn a_stream_that_never_rests_is_cancelled_and_ended_all_the_same() {
    let given = Given::open();
    let door = TestDoor::new(&given, SCHEMA);
    let endless = "select repeat('x', 1000) from generate_series(1, 2000000000)";
    let running = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and query like '{}%'",
        "select repeat(''x''"
    );
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.put(b'Q', |out| put_cstr(out, endless)).send();
    eventually("the stream to run", || (door.direct(&running) == "1").then_some(()));
    // It reads as fast as it can, so that there is always more.
    let reader = std::thread::spawn(move || client.end().len());
    door.rules.send_replace(Rules::Shut("enough".to_owned()));
    eventually("the target to be told", || (door.direct(&running) == "0").then_some(()));
    reader.join().unwrap();
}
