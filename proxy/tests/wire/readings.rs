//! Texts that PostgreSQL reads in two ways, by `standard_conforming_strings`: whatever either of them does is judged.

use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

/// Reads a backslash as PostgreSQL does not by default.
fn other(door: &TestDoor) -> Client {
    Client::login(door, "alice", &[("standard_conforming_strings", "off")]).unwrap()
}

#[test]
fn a_statement_that_only_one_reading_has_does_not_run() {
    let given = Given::open().policy(json!([
        {"name": "reads", "match": {"cel": "command.verbs.all(v, v == 'select')"}, "action": "Allow"},
    ]));
    let door = TestDoor::new(&given, SCHEMA);
    let mut client = other(&door);
    for sql in [
        r"select '\', ' ; drop table t; --'",
        r"select '\', ' ; drop table t; select 1 --'; select 2",
    ] {
        assert_eq!(tags(&client.query(sql)), "EZ", "{sql}");
        assert_eq!(door.direct("select to_regclass('t') is not null"), "t", "{sql}");
    }
}
