//! COPY on record: as much as the client got or sent, and the hash of just that.

use sallyport_audit::digest::Digest;
use sallyport_audit::record::{Copied, Event, Fate, Outcome};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, Message, tags};
use sallyport_proxy::postgres::frame::put_cstr;

/// What came of a command, of which there is one of this text.
fn outcome(door: &TestDoor, sql: &str) -> Outcome {
    eventually("the outcome on record", || {
        let events = door.events();
        let is = |number: u64| {
            let mut commands = events.iter().filter_map(|event| match event {
                Event::Command(command) => Some((command.command, command.text.as_str())),
                _ => None,
            });
            commands.any(|(command, text)| command == number && text == sql)
        };
        events.iter().find_map(|event| match event {
            Event::Outcome(outcome) if outcome.fate != Fate::NotRun && is(outcome.command) => Some(outcome.clone()),
            _ => None,
        })
    })
}

fn of(bytes: &[u8]) -> Option<Copied> {
    Some(Copied {
        bytes: bytes.len() as u64,
        sha256: Digest::of(bytes),
    })
}

/// The data of a COPY, as it arrived.
pub fn data(answer: &[Message]) -> Vec<u8> {
    let pieces = answer.iter().filter(|message| message.tag == 'd');
    pieces.flat_map(|message| message.body.clone()).collect()
}

fn extended(client: &mut Client, sql: &str) -> Vec<Message> {
    client.parse("", sql).bind("", "", &[], 0).execute("", 0).sync();
    client.ready()
}

#[test]
fn what_a_copy_gave_is_on_record_as_the_client_got_it() {
    let columns = json!({"match": {"columns": ["public.secrets.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    door.direct("insert into secrets values (1, '536-90-4399', 'p'), (2, '219-09-9999', 'q')");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for (sql, rows) in [
        ("copy t (id, name) to stdout", 20),
        ("copy secrets to stdout", 2),
        ("copy secrets to stdout (format csv, header)", 2),
        ("copy secrets to stdout (format binary)", 2),
        ("copy (select ssn from secrets where id = 1) to stdout", 1),
        ("copy (select ssn from secrets where false) to stdout", 0),
    ] {
        let got = data(&client.query(sql));
        let told = outcome(&door, sql);
        assert_eq!(
            (told.fate, told.rows, told.copy),
            (Fate::Executed, rows, of(&got)),
            "{sql}"
        );
        let piped = sql.replacen("copy", "COPY", 1);
        let got = data(&extended(&mut client, &piped));
        let told = outcome(&door, &piped);
        assert_eq!(
            (told.fate, told.rows, told.copy),
            (Fate::Executed, rows, of(&got)),
            "{piped}"
        );
    }
    // Nine digits are soon tried: the log holds no hash to try them against.
    let hidden = Digest::of(b"536-90-4399\n").to_string();
    let all: Vec<String> = door
        .events()
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    assert!(all.iter().all(|event| !event.contains(&hidden)));
}

#[test]
fn what_a_copy_took_is_on_record_as_the_client_sent_it() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    // Where messages end means nothing in a COPY.
    let pieces = [&b"1\tone\n2\tt"[..], b"wo\n", b"", b"3\t\\N\n"];
    let sent = pieces.concat();
    let give = |client: &mut Client| {
        for piece in pieces {
            client.put(b'd', |out| out.extend(piece));
        }
        client.put(b'c', |_| {});
    };
    let simple = "copy u from stdin";
    client.put(b'Q', |out| put_cstr(out, simple)).send();
    assert_eq!(client.read().tag, 'G');
    give(&mut client);
    client.send();
    assert_eq!(tags(&client.ready()), "CZ");
    let told = outcome(&door, simple);
    assert_eq!((told.fate, told.rows, told.copy), (Fate::Executed, 3, of(&sent)));

    let piped = "copy u (id, name) from stdin";
    client.parse("", piped).bind("", "", &[], 0).execute("", 0).sync();
    assert_eq!(tags(&client.some(3)), "12G");
    give(&mut client);
    client.sync();
    assert_eq!(tags(&client.ready()), "CZ");
    let told = outcome(&door, piped);
    assert_eq!((told.fate, told.rows, told.copy), (Fate::Executed, 3, of(&sent)));
    assert_eq!(door.direct("select count(*), sum(id) from u"), "6|12");

    // What the client takes back, and what the target does not take, moved nothing.
    for (sql, bytes, end, state) in [
        ("copy u (id) from stdin", &b"7\n"[..], b'f', "57014"),
        ("copy u (name, id) from stdin", &b"x\tseven\n"[..], b'c', "22P02"),
    ] {
        client.put(b'Q', |out| put_cstr(out, sql)).send();
        assert_eq!(client.read().tag, 'G');
        client.put(b'd', |out| out.extend(bytes));
        client.put(end, |out| {
            if end == b'f' {
                put_cstr(out, "changed my mind");
            }
        });
        client.send();
        assert_eq!(tags(&client.ready()), "EZ");
        let told = outcome(&door, sql);
        assert_eq!(
            (told.fate, told.sqlstate.as_deref(), told.copy),
            (Fate::Failed, Some(state), None)
        );
    }
    assert_eq!(door.direct("select count(*) from u"), "6");
}

#[test]
fn a_copy_is_held_before_its_data_is_asked_for() {
    let rules = json!([
        {"name": "asked", "match": {"cel": "'copy_from' in command.verbs"}, "action": "RequireApproval",
         "message": "this needs bob", "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]}},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]);
    let door = TestDoor::new(&Given::open().policy(rules), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let sql = "copy u from stdin";
    client.put(b'Q', |out| put_cstr(out, sql)).send();
    let (request, _) = door.people.asked(1);
    assert_eq!(client.read().tag, 'N', "the first that is heard of it");
    let locks = "select count(*) from pg_locks where relation = 'u'::regclass";
    assert_eq!(door.direct(locks), "0", "nothing of it has begun");
    door.people.approve(&request);
    assert_eq!(client.read().tag, 'G');
    client.put(b'd', |out| out.extend(b"1\tone\n")).put(b'c', |_| {}).send();
    assert_eq!(tags(&client.ready()), "CZ");
    assert_eq!(outcome(&door, sql).copy, of(b"1\tone\n"));
}
