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

#[test]
fn a_grant_by_fingerprint_fits_both_readings() {
    let approval = json!({
        "approvers": [{"kind": "User", "name": "oidc:bob"}],
        "onHold": "Refuse",
        "grant": {"scope": "Fingerprint", "validFor": "1h"},
    });
    let given = Given::open().policy(json!([
        {"name": "asked", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval", "approval": approval},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]));
    let door = TestDoor::new(&given, SCHEMA);
    door.direct("CREATE TABLE acct (id int); INSERT INTO acct VALUES (1), (2), (3)");
    let mut client = other(&door);
    // By default, the end is a comment.
    let mut delete = |end: &str| {
        let said = client.query(&format!(r"delete from acct where id::text <> '\' -- ' {end}"));
        // PostgreSQL warns of the backslash.
        tags(&said).replace('N', "")
    };
    assert_eq!(delete("and id = 1"), "EZ");
    door.people.approve("request-1");
    assert_eq!(delete("or true"), "EZ", "another condition");
    assert_eq!(delete("and id = 1"), "CZ", "the one that was approved");
    assert_eq!(door.direct("select count(*) from acct"), "2");
}

#[test]
fn text_is_read_as_the_target_reads_it() {
    let given = Given::open().policy(json!([
        {"name": "never-delete", "match": {"cel": "'delete' in command.verbs"}, "action": "Deny"},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]));
    let door = TestDoor::new(&given, SCHEMA);
    door.direct("CREATE VIEW turns AS SELECT set_config('client_encoding', 'SJIS', false) AS s");
    // In SJIS the last byte of the letter and the backslash are one character, so that the quote closes the literal.
    let delete =
        "with a as (select E'\u{c1}\\'), d as (delete from t where id = 1 returning 1) select 1 --')  select 1";
    for (turn, value, want) in [
        ("select set_config('client_encoding', 'SJ' || 'IS', false)", None, "EZ"),
        ("select set_config('client_encoding', $1, false)", Some("SJIS"), "EZ"),
        ("select s from turns", None, "12DCEZ"),
    ] {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let values: Vec<&str> = value.into_iter().collect();
        client.parse("", turn).bind("", "", &values, 0).execute("", 0);
        client.parse("", delete).bind("", "", &[], 0).execute("", 0);
        client.sync();
        assert_eq!(tags(&client.ready()), want, "{turn}");
        assert_eq!(door.direct("select count(*) from t"), "20", "{turn}");
        assert_eq!(tags(&client.query("select 1")), "TDCZ", "the session lives on");
    }
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let prepares = "prepare p (text) as select set_config('client_encoding', $1, false)";
    assert_eq!(client.query(prepares)[0].field('C').as_deref(), Some("22023"));
    for sql in [
        "set client_encoding to default",
        "select set_config('client_encoding', 'utf-8', false)",
        "reset all",
    ] {
        assert!(!tags(&client.query(sql)).contains('E'), "{sql}");
    }
}
