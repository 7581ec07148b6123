//! Messages in the place of others: before the login is over, amid a COPY; and texts that are no SQL.

use std::io::Write;

use sallyport_audit::record::{EndCause, Event};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, startup, tags, tls};
use super::fake::message;
use sallyport_proxy::postgres::frame::put_cstr;

#[test]
fn what_is_sent_ahead_of_the_login_waits_for_it() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let at_once = |user: &str| {
        let hello = startup(0x3_0000, &[("user", user), ("database", &door.database)]);
        let password = message(b'p', format!("{user}\0").as_bytes());
        let insert = message(b'Q', b"insert into u values (1, 'ahead')\0");
        let mut stream = tls(&door, true, true).unwrap();
        stream.write_all(&[hello, password, insert].concat()).unwrap();
        stream.flush().unwrap();
        Client::on(Box::new(stream))
    };
    for (user, words) in [("mallory", "you are not admitted"), ("nobody", "the token was refused")] {
        let got = at_once(user).end();
        assert_eq!(tags(&got), "RE", "{user}: {got:?}");
        assert!(got[1].text().contains(words), "{user}: {got:?}");
    }
    assert_eq!(door.direct("select count(*) from u"), "0");
    let mut client = at_once("alice");
    client.ready();
    assert_eq!(tags(&client.ready()), "CZ");
    assert_eq!(door.direct("select count(*) from u"), "1");
    door.recorded_times("one command", 1, |event| matches!(event, Event::Command(_)));
}

#[test]
fn what_is_no_data_amid_a_copy_ends_the_session_and_keeps_nothing() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a Query", message(b'Q', b"commit\0")),
        ("a Parse", message(b'P', b"\0commit\0\0\0")),
        ("an Execute", message(b'E', b"\0\0\0\0\0")),
        ("a function call", message(b'F', &[0, 0, 5, 19, 0, 0, 0, 0, 0, 0])),
        ("a password", message(b'p', b"alice\0")),
        ("a message of the server", message(b'Z', b"I")),
        ("an unknown type", message(b'!', b"2\ttwo\n")),
        ("a startup packet", startup(0x3_0000, &[("user", "alice")])),
        ("CopyData of a length below its own", vec![b'd', 0, 0, 0, 3]),
    ];
    for (what, bytes) in &cases {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.put(b'Q', |out| put_cstr(out, "copy u from stdin")).send();
        assert_eq!(client.read().tag, 'G');
        client.put(b'd', |out| out.extend(b"1\tone\n")).send();
        client.raw(&[&bytes[..], &message(b'c', b"")].concat());
        let got = client.end();
        let last = got.last().unwrap_or_else(|| panic!("{what}: no words"));
        assert_eq!(
            (last.field('S').as_deref(), last.field('C').as_deref()),
            (Some("FATAL"), Some("08P01")),
            "{what}: {got:?}"
        );
        assert_eq!(tags(&got), "E", "{what}");
    }
    door.recorded_times(
        "a violation each",
        cases.len(),
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::ProtocolViolation),
    );
    assert_eq!(door.direct("select count(*) from u"), "0");
}

/// What an error says: its SQLSTATE, its words, its place in the text.
fn said(answer: &[Message]) -> [Option<String>; 3] {
    assert_eq!(tags(answer), "EZ");
    ['C', 'M', 'P'].map(|code| answer[0].field(code))
}

#[test]
fn what_is_no_sql_is_postgresqls_own_error_and_nobody_is_asked() {
    let rules = json!([{"name": "asked", "match": {"any": true}, "action": "RequireApproval",
        "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]}}]);
    let door = TestDoor::new(&Given::open().policy(rules), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut direct = Client::direct(door.server(), &door.database, &[]).unwrap();
    for sql in [
        "selec 1",
        "select 1 +",
        "delete from t where (",
        "delete from t; selec 1",
        "select 'never closed",
        "select 1 as \"\"",
        "select 1 /* never closed",
        "select $1::",
    ] {
        let wanted = said(&direct.query(sql));
        assert_eq!(wanted[0].as_deref(), Some("42601"), "or this tests nothing: {sql}");
        assert_eq!(said(&client.query(sql)), wanted, "{sql}");
        let wanted = said(&direct.parse("", sql).sync().ready());
        assert_eq!(said(&client.parse("", sql).sync().ready()), wanted, "{sql}");
    }
    drop(client);
    door.recorded("the end", |event| matches!(event, Event::SessionEnd(_)).then_some(()));
    assert_eq!(door.people.count(), 0);
    let asked = |event: &Event| matches!(event, Event::Command(_) | Event::Hold(_));
    assert!(!door.events().iter().any(asked), "it is no command");
}
