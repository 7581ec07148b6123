//! Masks of every type, as PostgreSQL itself reads them: what stands in the place of a value is one of its type, the same in
//! every format.

use sallyport_crds::reference::SecretKeyReference;
use sallyport_policy::mask::{HashKey, TokenKey};
use serde_json::{Value, json};

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags};
use sallyport_proxy::postgres::frame::put_cstr;

/// Types and a value of each. How long a column takes them is not part of a type.
const TYPED: &[(&str, &str)] = &[
    ("text", "536-90-4399"),
    ("varchar", "Ada"),
    ("bpchar", "Ada  "),
    ("name", "ada"),
    ("\"char\"", "x"),
    ("word", "Ada"),
    ("mood", "low"),
    ("pair", "(1,Ada)"),
    ("json", "{\"a\": [1, null]}"),
    ("jsonb", "{\"a\": 1}"),
    ("int2", "-7"),
    ("int4", "7"),
    ("int8", "536904399"),
    ("float4", "1.5"),
    ("float8", "-1.5"),
    ("numeric", "4111111111111111"),
    ("numeric", "12.34"),
    ("money", "12.34"),
    ("bool", "t"),
    ("date", "1980-01-31"),
    ("time", "12:34:56"),
    ("timetz", "12:34:56+02"),
    ("timestamp", "1980-01-31 12:34:56"),
    ("timestamptz", "1980-01-31 12:34:56+00"),
    ("interval", "1 mon 2 days"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("bytea", "\\x00ff10"),
    ("inet", "10.0.0.1"),
    ("cidr", "10.0.0.0/8"),
    ("macaddr", "08:00:2b:01:02:03"),
    ("bit(4)", "1010"),
    ("varbit", "101"),
    ("point", "(1,2)"),
    ("oid", "42"),
    ("regclass", "pg_class"),
    ("tsvector", "'a':1"),
    ("int4range", "[1,10)"),
    ("tstzrange", "[1980-01-31 00:00:00+00,infinity)"),
    ("int4multirange", "{[1,3),[5,7)}"),
    ("text[]", "{a,NULL,\"b c\"}"),
    ("word[]", "{a,b}"),
    ("int8[]", "{{1,2},{3,4}}"),
    ("numeric[]", "[0:1]={1.50,NULL}"),
    ("jsonb[]", "{\"1\"}"),
    ("bytea[]", "{\"\\\\x00ff\"}"),
    ("date[]", "{1980-01-31,NULL}"),
    ("uuid[]", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
];

const FORMATS: [&str; 3] = ["text", "csv", "binary"];

fn key() -> SecretKeyReference {
    serde_json::from_value(json!({"name": "keys", "key": "key"})).unwrap()
}

fn actions() -> Vec<Value> {
    let replace = |with: &str| json!({"type": "Replace", "replace": {"with": with}});
    vec![
        json!({"type": "Null"}),
        json!({"type": "Redact"}),
        replace("hidden"),
        replace("42"),
        replace("true"),
        replace("2000-01-01"),
        replace("00000000-0000-0000-0000-000000000000"),
        json!({"type": "Partial", "partial": {"keepFirst": 1, "keepLast": 1}}),
        json!({"type": "Hash", "hash": {"keySecretRef": key()}}),
        json!({"type": "Tokenize", "tokenize": {"keySecretRef": key()}}),
        json!({"type": "Generalize", "generalize": {"datesTo": "Month"}}),
        json!({"type": "Generalize", "generalize": {"datesTo": "Year"}}),
    ]
}

fn given(action: &Value) -> Given {
    let columns = ["public.typed.*", "public.guessed.ssn"];
    let mut given = Given::open().mask("typed", json!({"match": {"columns": columns}, "action": action}));
    given.keys.hash.insert(key(), HashKey::new(&[1; 32]).unwrap());
    given.keys.token.insert(key(), TokenKey::new(&[2; 32]).unwrap());
    given
}

fn schema() -> String {
    let columns: Vec<_> = (0..)
        .zip(TYPED)
        .map(|(i, (kind, _)): (usize, _)| format!("c{i} {kind}"))
        .collect();
    let values: Vec<_> = TYPED
        .iter()
        .map(|(kind, value)| format!("'{}'::{kind}", value.replace('\'', "''")))
        .collect();
    format!(
        "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN word AS text;
        CREATE TABLE typed ({}); INSERT INTO typed VALUES ({}); CREATE TABLE back (LIKE typed);
        CREATE TABLE guessed (ssn text);
        INSERT INTO guessed VALUES (NULL), ('536-90-4399'), ('219-09-9999');",
        columns.join(", "),
        values.join(", ")
    )
}

/// Whether arrays that came back have the bounds that they had.
fn shaped() -> String {
    let arrays = (0..).zip(TYPED).filter(|(_, (kind, _))| kind.ends_with("[]"));
    let same = |(i, _): (usize, _)| format!("array_dims(b.c{i}) is not distinct from array_dims(t.c{i})");
    arrays.map(same).collect::<Vec<_>>().join(" and ")
}

/// Whether a row that came back shows a value of any column, unless it is what stands for all values.
fn shows(action: &Value) -> String {
    let with = action["replace"]["with"].as_str().unwrap_or_default();
    let column = |i| format!("b.c{i}::text = t.c{i}::text and t.c{i}::text <> '{with}'");
    let columns: Vec<_> = (0..TYPED.len()).map(column).collect();
    format!("coalesce(bool_or({}), false)", columns.join(" or "))
}

/// Bind of the unnamed statement, each parameter and each result in its own format.
fn bind(client: &mut Client, values: &[Option<Vec<u8>>], formats: &[i16], results: &[i16]) {
    let count = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    client.put(b'B', |out| {
        out.extend([0, 0]);
        out.extend(count(formats.len()));
        out.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
        out.extend(count(values.len()));
        for value in values {
            let length = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap());
            out.extend(length.to_be_bytes());
            out.extend(value.iter().flatten());
        }
        out.extend(count(results.len()));
        out.extend(results.iter().flat_map(|format| format.to_be_bytes()));
    });
    client.execute("", 0).sync();
}

/// The data of a COPY, as it arrived.
fn data(answer: &[Message]) -> Vec<u8> {
    let pieces = answer.iter().filter(|message| message.tag == 'd');
    pieces.flat_map(|message| message.body.clone()).collect()
}

/// What the server says to what the door's COPY with these options gave.
fn over(client: &mut Client, server: &mut Client, options: &str) -> Vec<Message> {
    let data = data(&client.query(&format!("copy typed to stdout ({options})")));
    assert!(!data.is_empty(), "{options}");
    server
        .put(b'Q', |out| put_cstr(out, &format!("copy back from stdin ({options})")))
        .send();
    assert_eq!(server.read().tag, 'G');
    server.put(b'd', |out| out.extend(data)).put(b'c', |_| {}).send();
    server.ready()
}

/// Message and place of the first error.
fn words(said: &[Message]) -> Option<(String, String)> {
    said.iter()
        .find_map(|message| message.field('M').zip(message.field('W')))
}

#[test]
fn what_masks_make_of_a_type_is_taken_for_one_by_postgresql_in_every_format() {
    let door = TestDoor::new(&Given::open(), &schema());
    let places: Vec<_> = (1..=TYPED.len()).map(|n| format!("${n}")).collect();
    let insert = format!("insert into back values ({})", places.join(", "));
    for (revision, action) in (2..).zip(actions()) {
        door.enforce(&given(&action), revision);
        // Text has the session's time zone, binary none.
        let mut client = Client::login(&door, "alice", &[("timezone", "UTC")]).unwrap();
        let mut server = Client::direct(door.server(), &door.database, &[]).unwrap();
        for format in FORMATS {
            let said = over(&mut client, &mut server, &format!("format {format}"));
            let words = words(&said);
            assert_eq!(tags(&said), "CZ", "{action} {format}: {words:?}");
        }
        // Rows, with every column in either format.
        for turn in [0, 1] {
            let formats: Vec<i16> = (turn..).take(TYPED.len()).map(|i| i % 2).collect();
            client.parse("", "select * from typed");
            bind(&mut client, &[], &[], &formats);
            let got = client.ready();
            let row = got.iter().find(|message| message.tag == 'D').expect("a row").values();
            server.parse("", &insert);
            bind(&mut server, &row, &formats, &[]);
            let said = server.ready();
            let words = words(&said);
            assert_eq!(tags(&said), "12CZ", "{action} {turn}: {words:?}");
        }
        let (shaped, shows) = (shaped(), shows(&action));
        let check =
            format!("select count(*), count(distinct b::text), bool_and({shaped}), {shows} from back b, typed t");
        let rows = || door.direct("select distinct b::text from back b");
        assert_eq!(door.direct(&check), "5|1|t|f", "{action}: {}", rows());
        door.direct("truncate back");
    }
}

#[test]
fn a_null_of_the_clients_choosing_is_null_and_tells_nothing_of_values() {
    let door = TestDoor::new(&Given::open(), &schema());
    for (revision, action) in (2..).zip(actions()) {
        door.enforce(&given(&action), revision);
        let mut client = Client::login(&door, "alice", &[("timezone", "UTC")]).unwrap();
        let mut server = Client::direct(door.server(), &door.database, &[]).unwrap();
        // The value of the column "char" reads so, too.
        let said = over(&mut client, &mut server, "null 'x'");
        let words = words(&said);
        assert_eq!(tags(&said), "CZ", "{action}: {words:?}");
        let check = format!("select count(*), {} from back b, typed t", shows(&action));
        assert_eq!(door.direct(&check), "1|f", "{action}");
        if action["type"] == "Null" {
            assert_eq!(door.direct("select b is null from back b"), "t");
        }
        door.direct("truncate back");
        // Neither where the guess is right, nor what the mask of it would be.
        let got = data(&client.query("copy guessed to stdout (null '536-90-4399')"));
        let lines: Vec<_> = got.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 3, "{action}");
        assert!(lines.iter().all(|line| *line == lines[0]), "{action}: {got:?}");
    }
}
