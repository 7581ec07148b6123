//! What people are asked, and whom nobody asks.

use serde_json::json;

use super::common::door::TestDoor;
use super::common::psql::{finish, told};
use super::common::wire::Client;
use super::{SCHEMA, asks_bob};

#[test]
fn an_approver_reads_how_many_rows_the_statistics_count() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), &format!("{SCHEMA} ANALYZE;"));
    door.psql("alice", &["delete from acct where id = 1"]);
    assert_eq!(door.people.request("request-1").ask.command.rows, Some(2));
}

#[test]
fn who_waits_reads_who_can_approve_and_by_which_line() {
    let approvers = json!([
        {"kind": "Group", "name": "oidc:dba"}, {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"},
    ]);
    let door = TestDoor::new(&asks_bob(json!({"approvers": approvers})), SCHEMA);
    let mut held = door.psql_start("alice", &["delete from acct where id = 1"]);
    let (name, _) = door.people.asked(1);
    let line =
        format!("kubectl patch accessrequest {name} -n doors --subresource=status --type=json -p \"[{{op: add, ");
    told(
        &mut held,
        &["It takes 1 of group oidc:dba, ServiceAccount ci/robot.\n", &line],
    );
    door.people.approve(&name);
    assert_eq!(finish(held).code, 0);
}

#[test]
fn nobody_is_asked_about_parameters_that_are_not_shown() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let list: Vec<String> = (1..=257).map(|n| format!("${n}::int")).collect();
    let sql = format!("delete from acct where id in ({})", list.join(", "));
    let values: Vec<String> = (1..=257).map(|n| n.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    client.parse("", &sql).bind("", "", &values, 0).execute("", 0).sync();
    let said = client.ready();
    let words = said.iter().find_map(|message| message.field('M')).unwrap();
    assert!(words.contains("more than 256 parameters"), "{words}");
    // Two commands of one unit are read together, too.
    let sql = format!("delete from acct where id in ({})", list[..200].join(", "));
    for _ in 0..2 {
        client.parse("", &sql).bind("", "", &values[..200], 0).execute("", 0);
    }
    client.sync();
    let said = client.ready();
    let words = said.iter().find_map(|message| message.field('M')).unwrap();
    assert!(words.contains("more than 256 parameters"), "{words}");
    assert_eq!(door.people.count(), 0, "nobody is asked");
}

#[test]
fn where_nobody_else_could_approve_it_is_refused_at_once() {
    let given = asks_bob(json!({"approvers": [{"kind": "User", "name": "oidc:alice"}]}));
    let door = TestDoor::new(&given, SCHEMA);
    let printed = door.psql("alice", &["delete from acct"]);
    assert!(
        printed.err.contains("an approval that nobody could give"),
        "{printed:?}"
    );
    let bob = door.psql_start("bob", &["delete from acct"]);
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    assert_eq!(finish(bob).err.matches("ERROR").count(), 0, "alice can approve for bob");
}

#[test]
fn nobody_is_asked_about_code_that_a_cursor_would_run_later() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    for sql in [
        "begin; declare c cursor for select pay(1)",
        "begin; declare c cursor with hold for select pay(id) from acct; commit",
    ] {
        let printed = door.psql("alice", &[sql]);
        assert!(
            printed.err.contains("a cursor would run as it is fetched from"),
            "{sql}: {printed:?}"
        );
        assert!(printed.err.contains("FETCH_COUNT"), "{printed:?}");
    }
    assert_eq!(door.people.count(), 0);
    let plain = door.psql("alice", &["begin; declare c cursor for select id as pay from payable"]);
    assert!(plain.err.contains("request-1"), "{plain:?}");
}
