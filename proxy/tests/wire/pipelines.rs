//! What the door refuses, amid what it does not.

use sallyport_audit::record::{Event, Fate};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::postgres::ROLE;
use super::common::wire::{Client, tags, value};
use super::transactions::came;
use sallyport_proxy::postgres::frame::put_cstr;

fn no_deletes() -> Given {
    Given::open().policy(json!([
        {"name": "never-delete", "match": {"cel": "'delete' in command.verbs"}, "action": "Deny", "message": "nothing is deleted"},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]))
}

#[test]
fn a_refusal_in_the_middle_of_a_pipeline_aborts_it_as_an_error_would() {
    let door = TestDoor::new(&no_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let insert = |client: &mut Client, id: &str| {
        client
            .parse("", "insert into u values ($1, 'x')")
            .bind("", "", &[id], 0)
            .execute("", 0);
    };
    insert(&mut client, "1");
    client.parse("", "delete from t").bind("", "", &[], 0).execute("", 0);
    insert(&mut client, "2");
    client.sync();
    let got = client.ready();
    assert_eq!(tags(&got), "12CEZ");
    assert_eq!(got[3].field('C').as_deref(), Some("42501"));
    assert_eq!(got[3].field('M').as_deref(), Some("nothing is deleted"));
    assert_eq!(got[4].body, b"I");
    assert_eq!(
        door.direct("select count(*) from u"),
        "0",
        "what went before is undone with it"
    );

    client.query("begin");
    insert(&mut client, "3");
    client.sync();
    client.ready();
    client
        .parse("d", "delete from t where id = $1")
        .put(b'H', |_| {})
        .send();
    let refused = client.some(1);
    assert_eq!(tags(&refused), "E");
    client.sync();
    assert_eq!(client.ready().last().unwrap().body, b"E", "the transaction has failed");
    assert_eq!(client.query("commit")[0].text(), "ROLLBACK\0");
    assert_eq!(door.direct("select count(*) from u"), "0");

    // The session lives on, also where each Sync has a refusal of its own.
    for sql in ["select 1", "delete from u", "select 2"] {
        client
            .parse("", sql)
            .bind("", "", &[], 0)
            .execute("", 0)
            .put(b'S', |_| {});
    }
    client.send();
    let all: Vec<String> = (0..3).map(|_| tags(&client.ready())).collect();
    assert_eq!(all, ["12DCZ", "EZ", "12DCZ"]);
}

#[test]
fn a_flush_behind_a_sync_begins_nothing() {
    // As libpq sends them for psycopg's executemany. What follows may ask the backend again what its own names mean.
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.secrets.ssn"]}}));
    let door = TestDoor::new(&given, SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.query("create table of_mine (a text)");
    client
        .parse("", "insert into of_mine values ($1)")
        .bind("", "", &["shown"], 0)
        .execute("", 0)
        .put(b'S', |_| {})
        .put(b'H', |_| {})
        .send();
    client.ready();
    let got = client.query("select a from of_mine");
    assert_eq!((tags(&got).as_str(), value(&got).as_str()), ("TDCZ", "shown"));
    // One by itself is no beginning of a transaction either.
    client.query("commit");
    client
        .put(b'H', |_| {})
        .put(b'Q', |out| put_cstr(out, "select a from of_mine"));
    client.send();
    assert_eq!(value(&client.ready()), "shown");
}

#[test]
fn a_session_that_begins_with_a_unit_that_stays_open_knows_its_names_behind_it() {
    let door = TestDoor::new(&no_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client
        .parse("", "select 1")
        .put(b'Q', |out| put_cstr(out, "select count(*) from t"));
    client.send();
    let got = client.ready();
    assert_eq!(tags(&got), "1TDCZ", "{got:?}");
    assert_eq!(value(&got), "20");
}

#[test]
fn what_a_door_does_not_do_is_refused_in_words() {
    let door = TestDoor::new(&no_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    // FunctionCall of now().
    client
        .put(b'F', |out| out.extend([0, 0, 5, 19, 0, 0, 0, 0, 0, 0]))
        .send();
    let got = client.ready();
    assert_eq!(
        (tags(&got).as_str(), got[0].field('C').as_deref()),
        ("EZ", Some("0A000"))
    );
    assert!(got[0].field('M').unwrap().contains("fast path"));
    assert!(got[0].field('H').unwrap().contains("SELECT"));

    for (sql, code) in [
        ("START_REPLICATION SLOT s LOGICAL 0/0", "42601"),
        ("IDENTIFY_SYSTEM", "42601"),
    ] {
        let got = client.query(sql);
        assert_eq!(
            (tags(&got).as_str(), got[0].field('C').as_deref()),
            ("EZ", Some(code)),
            "{sql}"
        );
    }
    // Data, and its end, when nobody asked for any: the target has ended the COPY, and the client did not know.
    client
        .put(b'd', |out| out.extend(b"late"))
        .put(b'c', |_| {})
        .put(b'f', |out| put_cstr(out, "late"));
    client.put(b'Q', |out| put_cstr(out, "select 1")).send();
    assert_eq!(tags(&client.ready()), "TDCZ");
    // Names that are the door's own.
    client.parse("\u{1}sallyport", "select 1").sync();
    assert_eq!(client.ready()[0].field('C').as_deref(), Some("54000"));
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

#[test]
fn the_doors_own_role_may_be_set_and_no_other() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for (sql, refused) in [
        (format!("set role '{ROLE}'"), false),
        (format!("set role {ROLE}"), false),
        ("set role none".to_owned(), false),
        ("set role postgres".to_owned(), true),
        (format!("set session authorization {ROLE}"), true),
        (format!("alter database {} set role = {ROLE}", door.database), true),
        (format!("select set_config('role', '{ROLE}', false)"), true),
    ] {
        let got = client.query(&sql);
        assert_eq!(tags(&got).contains('E'), refused, "{sql} {got:?}");
    }
}

#[test]
fn a_client_that_skips_describe_is_masked_all_the_same() {
    let columns = json!({"match": {"columns": ["public.secrets.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    door.direct("insert into secrets values (1, '536-90-4399', 'p'), (2, '219-09-9999', 'q')");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client
        .parse("s", "select id, ssn from secrets order by id")
        .bind("p", "s", &[], 1);
    client.execute("p", 1).execute("p", 1).sync();
    let got = client.ready();
    assert_eq!(tags(&got), "12DsDsZ");
    client.bind("", "s", &[], 0).execute("", 0).sync();
    let again = client.ready();
    let rows = got.iter().chain(&again).filter(|message| message.tag == 'D');
    let values: Vec<_> = rows.map(|row| row.values()[1].clone().unwrap()).collect();
    assert_eq!(values, vec![b"[REDACTED]".to_vec(); 4]);
}

fn some_deletes() -> Given {
    Given::open().policy(json!([
        {"name": "some", "match": {"cel": "'delete' in command.verbs && command.parameters.all(p, p in ['7', '8'])"}, "action": "Allow"},
        {"name": "others", "match": {"cel": "'delete' in command.verbs"}, "action": "Deny", "message": "7 and 8 are deleted"},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]))
}

/// A type whose check leaves a row in `told`.
fn telling() -> String {
    format!(
        "{SCHEMA} create table told (x text); create function tell(v text) returns bool language plpgsql security definer \
         as $$begin insert into public.told values (v); return true; end$$; \
         create domain telling as text check (public.tell(value)); create table typed (a telling[]); grant all on typed to public;"
    )
}

#[test]
fn a_parse_that_runs_code_is_asked_about_as_its_bind_is() {
    let door = TestDoor::new(
        &Given::open().policy(json!([
            {"name": "hidden", "match": {"cel": "command.hidden.size() > 0"}, "action": "RequireApproval",
             "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}], "onHold": "Refuse"}},
            {"name": "rest", "match": {"any": true}, "action": "Allow"},
        ])),
        &telling(),
    );
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut parsed = || tags(&client.parse("", "select '{a}'::telling[]").sync().ready());
    assert_eq!(parsed(), "EZ");
    assert_eq!(door.direct("select count(*) from told"), "0");
    door.people.approve("request-1");
    assert_eq!(parsed(), "1Z");
    assert_eq!(door.direct("select count(*) from told"), "1");
    assert_eq!(parsed(), "EZ", "and once");
    let of_it = |event: &Event| matches!(event, Event::Command(command) if command.text.contains("telling"));
    door.recorded_times("each of them", 3, of_it);
}

#[test]
fn a_parse_that_runs_code_is_held_to_reading_as_its_bind_is() {
    let rest = json!([{"name": "rest", "match": {"any": true}, "action": "Allow", "readOnly": true}]);
    let door = TestDoor::new(&Given::open().policy(rest), &telling());
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let (cast, compared) = ("select '{a}'::telling[]", "select 1 from typed where a = '{a}'");
    for (begin, sql) in [(None, cast), (Some("begin"), cast), (None, compared)] {
        begin.into_iter().for_each(|begin| _ = client.query(begin));
        client.parse("", sql).bind("", "", &[], 0);
        let said = client.execute("", 0).sync().ready();
        assert_eq!(tags(&said), "EZ", "{begin:?} {sql}");
        assert_eq!(said[0].field('C').as_deref(), Some("25006"));
        client.query("rollback");
    }
    assert_eq!(door.direct("select count(*) from told"), "0");
}

#[test]
fn a_statement_that_waits_for_its_values_runs_no_code_before_they_come() {
    let door = TestDoor::new(&some_deletes(), &telling());
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client
        .parse("", "delete from t where id = $1 and '{a}'::telling[] is not null")
        .sync();
    assert_eq!(tags(&client.ready()), "EZ");
    assert_eq!(door.direct("select count(*) from told"), "0");
}

#[test]
fn rules_are_asked_about_the_values_that_are_bound() {
    let door = TestDoor::new(&some_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let sql = "delete from t where id = $1";
    for (value, wanted) in [("7", "12CZ"), ("9", "1EZ"), (" 7", "1EZ"), ("8", "12CZ")] {
        client.parse("", sql).bind("", "", &[value], 0).execute("", 0).sync();
        let got = client.ready();
        assert_eq!(tags(&got), wanted, "{value}");
        if wanted == "1EZ" {
            assert_eq!(got[1].field('M').as_deref(), Some("7 and 8 are deleted"), "{value}");
        }
    }
    // In binary form by the type that the client states; of one that the target would infer nobody knows what it is.
    for (types, wanted) in [(&[23][..], "12CZ"), (&[], "1EZ")] {
        client.parse_typed("", sql, types).put(b'B', |out| {
            put_cstr(out, "");
            put_cstr(out, "");
            out.extend([0, 1, 0, 1, 0, 1]);
            out.extend([0, 0, 0, 4, 0, 0, 0, 7]);
            out.extend([0, 0]);
        });
        client.execute("", 0).sync();
        let got = client.ready();
        assert_eq!(tags(&got), wanted, "{types:?}");
        if wanted == "1EZ" {
            let words = got[1].field('M').unwrap_or_default();
            assert!(words.contains("a parameter cannot be read"), "{words}");
        }
    }
    // What the rule does not hang on parameters for is as ever.
    client
        .parse("", "select $1")
        .bind("", "", &["x"], 0)
        .execute("", 0)
        .sync();
    assert_eq!(tags(&client.ready()), "12DCZ");
}

#[test]
fn a_portal_that_was_bound_under_other_rules_does_not_begin_and_one_that_has_begun_says_so() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.parse("s", "select id from t");
    client
        .bind("p", "s", &[], 0)
        .bind("q", "s", &[], 0)
        .execute("q", 1)
        .sync();
    assert_eq!(tags(&client.ready()), "122DsZ");
    door.enforce(&Given::open(), 2);
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
    assert_eq!(door.alive.oldest_revision(), Some(1), "more rows may come under it");
    client.execute("q", 2).sync();
    assert_eq!(tags(&client.ready()), "DDsZ", "it goes on as it began");
    client.execute("p", 1).sync();
    let got = client.ready();
    assert_eq!(tags(&got), "EZ", "{got:?}");
    let words = got[0].field('M').unwrap();
    assert!(
        words.contains("the rules changed since this portal was bound"),
        "{words}"
    );
    client.query("rollback");
    eventually("nothing of the older rules", || {
        (door.alive.oldest_revision() == Some(2)).then_some(())
    });
}

#[test]
fn a_portal_that_is_on_record_as_not_run_does_not_run_later() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.parse("", "delete from t").bind("p", "", &[], 0).sync();
    assert_eq!(tags(&client.ready()), "12Z");
    client.query("savepoint s");
    client.parse("", "select 1 / 0").bind("", "", &[], 0).execute("", 0);
    client.execute("p", 0).sync();
    assert!(tags(&client.ready()).ends_with("EZ"));
    door.recorded_times(
        "it was passed over",
        1,
        |event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::NotRun),
    );
    // The target has it still.
    client.query("rollback to s");
    client.execute("p", 0).sync();
    let got = client.ready();
    assert_eq!(tags(&got), "EZ", "{got:?}");
    assert!(got[0].field('M').unwrap().contains("bind it again"), "{got:?}");
    client.query("rollback");
}

#[test]
fn several_executes_of_one_bind_are_one_command_with_one_outcome() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let told = |place: usize| {
        let came = came(&door, place);
        let numbers = |event: &Event| match event {
            Event::Command(command) if command.text.contains("from t") => Some(command.command),
            _ => None,
        };
        let intents: Vec<u64> = door.events().iter().filter_map(numbers).collect();
        (came, intents.len())
    };
    // Within one pipeline.
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.parse("", "select id from t").bind("p", "", &[], 0);
    client.execute("p", 2).execute("p", 3).execute("p", 0).sync();
    let rows = |count: usize| "D".repeat(count);
    let wanted = format!("12{}s{}s{}CZ", rows(2), rows(3), rows(15));
    assert_eq!(tags(&client.ready()), wanted);
    drop(client);
    assert_eq!(told(0), ("Executed - 20".to_owned(), 1));
    // Over several, with another command between two of them.
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.parse("", "select id from t").bind("p", "", &[], 0);
    client.execute("p", 2).sync();
    assert_eq!(tags(&client.ready()), "12DDsZ");
    client.query("select 1");
    client.execute("p", 3).sync();
    assert_eq!(tags(&client.ready()), "DDDsZ");
    client.execute("p", 0).sync();
    assert_eq!(tags(&client.ready()), format!("{}CZ", rows(15)));
    client.query("commit");
    drop(client);
    let (came, intents) = told(1);
    assert_eq!(intents, 2, "one more than before");
    assert_eq!(came, "Executed - 0, Executed - 1, Executed - 20, Executed - 0");
    // Two Binds are two, of the same statement and under the same name.
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.parse("", "select id from t");
    client.bind("", "", &[], 0).execute("", 0);
    client.bind("", "", &[], 0).execute("", 0).sync();
    let got = tags(&client.ready());
    assert_eq!(got, format!("12{0}C2{0}CZ", rows(20)));
    drop(client);
    assert_eq!(told(2), ("Executed - 20, Executed - 20".to_owned(), 4));
}
