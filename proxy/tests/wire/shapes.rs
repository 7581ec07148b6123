//! Texts that differ in numbers are understood once, and judged, recorded and granted each for itself.

use sallyport_audit::record::{Action, Event};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

#[test]
fn each_text_is_judged_and_recorded_by_its_own_numbers() {
    let given = Given::open()
        .policy(json!([
            {"name": "not-seven", "match": {"cel": "command.text.contains('= 7')"}, "action": "Deny", "message": "not this one"},
            {"name": "rest", "match": {"any": true}, "action": "Allow"},
        ]))
        .mask("columns", json!({"match": {"columns": ["public.secrets.ssn"]}}));
    let door = TestDoor::new(&given, SCHEMA);
    door.direct("insert into secrets select i, '53690439' || i, 'page ' || i from generate_series(1, 9) i");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for id in 1..=9 {
        let said = client.query(&format!("select id, ssn, page from secrets where id = {id}"));
        if id == 7 {
            assert_eq!(tags(&said), "EZ", "{said:?}");
            continue;
        }
        let row = said.iter().find(|message| message.tag == 'D').unwrap().values();
        let text = |at: usize| String::from_utf8_lossy(row[at].as_deref().unwrap()).into_owned();
        assert_eq!((text(0), text(2)), (id.to_string(), format!("page {id}")));
        assert!(!text(1).contains("53690439"), "{}", text(1));
    }
    for id in 1..=9 {
        let end = format!("where id = {id}");
        let action = door.recorded("the text", |event| match event {
            Event::Command(command) if command.text.ends_with(&end) => Some(command.verdict.action),
            _ => None,
        });
        assert_eq!(action == Action::Deny, id == 7, "{end}");
    }
}

/// What stands against a protected column is hidden in each record, and what stands beside it is that text's own.
#[test]
fn each_record_hides_its_own_numbers() {
    let given = Given::open().mask("columns", json!({"match": {"columns": ["public.secrets.id"]}}));
    let door = TestDoor::new(&given, SCHEMA);
    door.change(|open| open.mask_command_text = true);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for n in 1..=6 {
        client.query(&format!("select page from secrets where id = 536904{n} and {n} = {n}"));
    }
    for n in 1..=6 {
        door.recorded("the text", |event| match event {
            Event::Command(command) => {
                assert!(!command.text.contains("536904"), "{}", command.text);
                command.text.ends_with(&format!("and {n} = {n}")).then_some(())
            }
            _ => None,
        });
    }
}

#[test]
fn a_grant_by_fingerprint_is_for_its_own_numbers() {
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
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut delete = |id: u8| tags(&client.query(&format!("delete from t where id = {id}")));
    for id in 1..=4 {
        assert_eq!(delete(id), "EZ");
    }
    door.people.approve("request-4");
    assert_eq!(
        (delete(3), delete(5), delete(4)),
        ("EZ".to_owned(), "EZ".to_owned(), "CZ".to_owned())
    );
}
