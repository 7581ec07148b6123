//! What a catalog holds, and when it can be asked, keeps nobody from their work.

use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags, value};

fn door() -> TestDoor {
    let columns = json!({"match": {"columns": ["public.secrets.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    door.direct("insert into secrets values (1, '536-90-4399', 'p')");
    door
}

/// Parse and Describe in one flight, as drivers that prepare everything send them; what comes back.
fn prepare(client: &mut Client, sql: &str) -> String {
    client.parse("", sql).describe(b'S', "").put(b'H', |_| {}).send();
    tags(&client.some(3))
}

#[test]
fn a_table_with_as_many_columns_as_there_may_be_shuts_nobody_out() {
    let _alone = super::large::alone();
    let door = door();
    let columns: Vec<String> = (0..1600)
        .map(|n| format!("c{n} int default {n} check (c{n} >= 0)"))
        .collect();
    door.direct(&format!("create table wide ({})", columns.join(", ")));
    let printed = door.psql(
        "alice",
        &[
            "select count(*) from t",
            "insert into wide (c7) values (1) returning c1599",
        ],
    );
    assert_eq!((printed.code, printed.out.contains("1599")), (0, true), "{printed:?}");
}

#[test]
fn a_statement_in_two_flights_is_known_amid_a_transactions_own_definitions() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    for sql in [
        "create table made (id int, note text)",
        "create table more (id int)",
        "insert into made values (1, 'x')",
    ] {
        assert_eq!(prepare(&mut client, sql), "1tn", "{sql}");
        client.bind("", "", &[], 0).execute("", 0).sync();
        let got = client.ready();
        assert_eq!(tags(&got), "2CZ", "{sql} {got:?}");
    }
    assert_eq!(prepare(&mut client, "select ssn, note from secrets, made"), "1tT");
    client.bind("", "", &[], 0).execute("", 0).sync();
    let row = client.ready()[1].values();
    let shown = row[0].as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    assert!(!shown.contains("536"), "{shown}");
    assert_eq!(row[1].as_deref(), Some(&b"x"[..]), "what no rule protects is shown");

    // What others define between the flights, the session's own backend was not asked about.
    assert_eq!(prepare(&mut client, "insert into made values (2, 'y')"), "1tn");
    door.direct("create table elsewhere (id int)");
    client.bind("", "", &[], 0).execute("", 0).sync();
    let got = client.ready();
    assert_eq!(tags(&got), "EZ", "{got:?}");
    assert!(got[0].field('M').unwrap().contains("not known here"), "{got:?}");
}

#[test]
fn what_ran_between_two_flights_makes_names_unknown() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.query("create table made (id int, note text)");
    client
        .parse("", "create table made_later (id int)")
        .bind("", "", &[], 0)
        .execute("", 0)
        .put(b'H', |_| {})
        .send();
    assert_eq!(tags(&client.some(3)), "12C");
    client
        .parse("", "insert into made values (1, 'x')")
        .bind("", "", &[], 0)
        .execute("", 0)
        .sync();
    let got = client.ready();
    let refused = got.iter().find(|message| message.tag == 'E').expect("a refusal");
    assert!(refused.field('M').unwrap().contains("not known here"), "{got:?}");
}

#[test]
fn a_violation_names_its_constraint_and_no_value() {
    let door = door();
    door.direct("alter table secrets add primary key (id)");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let got = client.query("insert into secrets values (1, 'x', 'p')");
    let said = got.iter().find(|message| message.tag == 'E').expect("a violation");
    assert_eq!(said.field('C').as_deref(), Some("23505"), "{got:?}");
    assert_eq!(said.field('n').as_deref(), Some("secrets_pkey"), "{got:?}");
    assert_eq!(said.field('D'), None, "{got:?}");
}

#[test]
fn a_catalog_that_cannot_be_read_is_no_denial_and_the_next_try_runs() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    assert_eq!(tags(&client.query("select count(*) from t")), "TDCZ");
    let allow = |allowed: bool| {
        let sql = format!("alter database {} with allow_connections {allowed}", door.database);
        door.server().sql("postgres", &sql)
    };
    allow(false);
    // They are waited for: one that still ends could answer.
    door.server().sql(
        "postgres",
        &format!(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity
             where datname = '{}' and application_name = 'sallyport catalog'",
            door.database
        ),
    );
    let got = client.query("select count(*) from t");
    assert_eq!(tags(&got), "EZ", "{got:?}");
    assert_eq!(got[0].field('C').as_deref(), Some("57P03"), "{got:?}");
    assert!(
        got[0]
            .field('M')
            .unwrap()
            .contains("the target's catalog cannot be read"),
        "{got:?}"
    );
    allow(true);
    assert_eq!(tags(&client.query("select count(*) from t")), "TDCZ");
}

#[test]
fn a_schema_that_comes_into_the_path_is_noticed() {
    let columns = json!({"match": {"columns": ["later.people.note"]}});
    let schema = "create table people (note text); insert into people values ('nobody')";
    let senders: [fn(&mut Client, &str) -> Vec<Message>; 2] = [Client::query, Client::pipeline];
    for send in senders {
        let door = TestDoor::new(&Given::open().mask("columns", columns.clone()), schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.query("set search_path = later, public");
        let sql = "select reverse(note) from people";
        for _ in 0..20 {
            assert_eq!(value(&send(&mut client, sql)), "ydobon");
        }
        door.direct(
            "begin; create schema later; grant usage on schema later to public; create table later.people (note text);
             insert into later.people values ('owes Tom'); grant select on later.people to public; commit",
        );
        let shown = value(&send(&mut client, sql));
        assert!(shown != "ydobon" && !shown.contains("moT"), "{shown}");
    }
}

#[test]
fn a_schema_that_leaves_the_path_is_noticed_if_it_is_public_too() {
    let columns = json!({"match": {"columns": ["later.people.note"]}});
    let schema = "create table people (note text); insert into people values ('nobody');
         create schema later; grant usage on schema later to public; create table later.people (note text);
         insert into later.people values ('owes Tom'); grant select on later.people to public";
    let senders: [fn(&mut Client, &str) -> Vec<Message>; 2] = [Client::query, Client::pipeline];
    for send in senders {
        let door = TestDoor::new(&Given::open().mask("columns", columns.clone()), schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.query("set search_path = public, later");
        let sql = "select reverse(note) from people";
        for _ in 0..20 {
            assert_eq!(value(&send(&mut client, sql)), "ydobon");
        }
        door.direct("alter schema public rename to before");
        let shown = value(&send(&mut client, sql));
        assert!(shown != "ydobon" && !shown.contains("moT"), "{shown}");
    }
}

#[test]
fn behind_a_path_set_in_the_same_string_names_mean_what_its_schemas_hold() {
    let columns = json!({"match": {"columns": ["public.people.note"]}, "profile": "Strict"});
    let schema = "create table people (id int, note text); insert into people values (1, 'owes Tom');
         create schema other; create table other.things (a text, id int); insert into other.things values ('shown', 7);
         create table other.people (id int, note text); insert into other.people values (2, 'nobody');
         grant all on schema other to public; grant all on all tables in schema other, public to public";
    let door = TestDoor::new(&Given::open().mask("columns", columns), schema);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for (sql, shown) in [
        ("set search_path = other, public; select a from things", "shown"),
        (
            "set search_path to other; select count(*) from things; reset search_path",
            "1",
        ),
        ("set search_path = ''; select a from other.things", "shown"),
        (
            "select set_config('search_path', 'other', false); select id from other.things",
            "7",
        ),
        (
            "set local search_path = other; update things set a = 'changed' returning a",
            "changed",
        ),
    ] {
        let got = client.query(sql);
        let mut rows = got.iter().filter(|message| message.tag == 'D');
        let last = rows.next_back().unwrap_or_else(|| panic!("{sql}: {got:?}"));
        let text = String::from_utf8_lossy(last.values()[0].as_deref().unwrap_or_default()).into_owned();
        assert_eq!(text, shown, "{sql}");
        client.query("reset search_path");
    }
    // The role need not be allowed every schema of a path: then a name means what a later one holds.
    for sql in [
        "set search_path = other, public; select note from people",
        "set search_path = public; select reverse(note) from people",
        "set search_path = other; create table kept as select note from public.people",
        "set search_path = other, public; insert into things select note, id from public.people",
    ] {
        let got = client.query(sql);
        assert_eq!(tags(&got), "EZ", "{sql}");
        assert_eq!(got[0].field('C').as_deref(), Some("42501"), "{sql}");
    }
}

#[test]
fn a_unit_that_makes_many_knows_the_last_and_one_that_makes_too_many_is_refused_whole() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let making = |name: &str, count: usize| {
        let each: Vec<String> = (1..=count)
            .map(|n| format!("create table {name}_{n} (id int)"))
            .collect();
        each.join("; ")
    };
    let most = making("made", 999);
    let got = client.query(&format!(
        "{most}; create table last (ssn text); insert into last select ssn from secrets; select reverse(ssn) from last"
    ));
    assert_eq!(tags(&got), format!("{}TDCZ", "C".repeat(1001)));
    let shown = value(&got);
    assert!(!shown.contains("9934-09-635"), "{shown}");
    let got = client.query(&making("more", 1001));
    assert_eq!(tags(&got), "EZ", "{got:?}");
    assert!(got[0].field('M').unwrap().contains("at most 1000 tables"), "{got:?}");
    assert_eq!(
        door.direct("select count(*) from pg_class where relname ~ '^more_'"),
        "0"
    );
}
