//! Code that changes the encoding unseen, and a COPY behind it: the target says so at the end of the unit, when the rows have
//! passed. In SJIS the second byte of a character may be a backslash, which would take the delimiter with it.

use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message};

const SCHEMA: &str = "
CREATE TABLE kept (note text, secret text, tail text);
INSERT INTO kept VALUES ('表', 'canary-one', 't'), (E'ﾂ表', 'canary-two', '絹');
CREATE FUNCTION recode(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN PERFORM set_config('client_encoding', 'SJIS', false); RETURN $1; END$$;
CREATE TABLE noted (note text);
CREATE FUNCTION recodes() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM recode(''); RETURN NEW; END$$;
CREATE TRIGGER recodes BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION recodes();
";

/// The COPY, which the client reads as text.
const COPY: &str = "copy kept to stdout";

/// How the encoding is changed before the stream begins.
type Way = (&'static str, fn(&mut Client));

fn query(client: &mut Client, sql: &str) {
    client.put(b'Q', |out| put_cstr(out, sql)).send();
}

const WAYS: [Way; 8] = [
    ("a block before it", |client| {
        query(
            client,
            "do $$begin perform set_config('client_encoding', 'SJIS', true); end$$; copy kept to stdout",
        );
    }),
    ("a function before it", |client| {
        query(client, "select recode('x'); copy kept to stdout (delimiter '|')");
    }),
    ("a trigger before it", |client| {
        query(client, "insert into noted values ('x'); copy kept to stdout");
    }),
    ("a plan before it", |client| {
        query(client, "explain select recode('x'); copy kept to stdout");
    }),
    ("its own plan", |client| {
        query(client, "copy (select * from kept where recode('x') = 'x') to stdout");
    }),
    ("its own plan, as CSV", |client| {
        query(
            client,
            r"copy (select * from kept where recode('x') = 'x') to stdout (format csv, delimiter E'\\')",
        );
    }),
    ("a function before it in a pipeline", |client| {
        client
            .parse("", "select recode('x')")
            .bind("", "", &[], 0)
            .execute("", 0);
        client.parse("", COPY).bind("", "", &[], 0).execute("", 0).sync();
    }),
    ("a plan that a Bind made before it ran", |client| {
        client.parse("c", COPY).bind("c", "c", &[], 0);
        client.parse("", "select recode('x')").bind("", "", &[], 0);
        client.execute("c", 0).sync();
    }),
];

/// Everything up to ReadyForQuery or the end of the stream.
fn heard(client: &mut Client) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Ok(message) = client.try_read() {
        let last = message.tag == 'Z';
        messages.push(message);
        if last {
            break;
        }
    }
    messages
}

fn shows(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.text().contains("canary"))
}

#[test]
fn a_copy_that_may_come_in_another_encoding_shows_nothing_protected() {
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.kept.secret"]}}));
    let door = TestDoor::new(&given, SCHEMA);
    for (what, send) in WAYS {
        let mut direct = Client::direct(door.server(), &door.database, &[]).unwrap();
        send(&mut direct);
        assert!(shows(&heard(&mut direct)), "{what}: it does not leak without the door");
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        send(&mut client);
        let got = heard(&mut client);
        assert!(!shows(&got), "{what}: {got:?}");
    }
}

#[test]
fn a_copy_alone_shows_what_nobody_protects() {
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.kept.secret"]}}));
    let door = TestDoor::new(&given, SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    query(&mut client, COPY);
    let got = heard(&mut client);
    let data: String = got
        .iter()
        .filter(|message| message.tag == 'd')
        .map(Message::text)
        .collect();
    assert_eq!(data, "表\t[REDACTED]\tt\nﾂ表\t[REDACTED]\t絹\n");
}

#[test]
fn a_text_in_no_utf8_is_an_error_and_no_end() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    query(&mut client, "begin; insert into kept values ('x')");
    heard(&mut client);
    client.raw(b"Q\0\0\0\x0fselect '\xff'\0");
    let got = heard(&mut client);
    assert_eq!(got[0].field('C').as_deref(), Some("22021"), "{got:?}");
    assert_eq!(
        got.last().map(|message| message.body.as_slice()),
        Some(&b"E"[..]),
        "{got:?}"
    );
    query(&mut client, "rollback; select 'still here'");
    assert!(
        heard(&mut client)
            .iter()
            .any(|message| message.text().contains("still here"))
    );
}
