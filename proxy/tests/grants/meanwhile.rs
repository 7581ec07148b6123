//! What changes while a command waits.

use serde_json::json;

use super::common::door::TestDoor;
use super::common::psql::finish;
use super::{SCHEMA, asks_bob};

#[test]
fn what_changes_while_a_command_waits_is_not_what_was_approved() {
    for (sql, meanwhile) in [
        (
            "select pay(1)",
            "CREATE OR REPLACE FUNCTION pay(i int) RETURNS int LANGUAGE sql AS 'select 1000'",
        ),
        (
            "select pay(1)",
            "CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 1000'",
        ),
        ("select pay(1)", "ALTER FUNCTION pay(int) SECURITY DEFINER"),
        (
            "select id as pay from payable",
            "CREATE OR REPLACE VIEW payable AS SELECT id FROM acct",
        ),
        (
            "delete from acct where id = 1",
            "ALTER TABLE acct RENAME TO old; CREATE TABLE acct AS TABLE old",
        ),
        (
            "delete from acct where id = 1",
            "CREATE TRIGGER t BEFORE DELETE ON acct FOR EACH ROW EXECUTE FUNCTION steal()",
        ),
        (
            "delete from acct where id = 1",
            "CREATE RULE r AS ON DELETE TO acct DO ALSO INSERT INTO log VALUES (2)",
        ),
        (
            "insert into acct (id) values (9)",
            "ALTER TABLE acct ALTER n SET DEFAULT 1000",
        ),
        (
            "insert into acct values (9, 1)",
            "ALTER TABLE acct ADD CONSTRAINT c CHECK (inner_step(n) >= 0)",
        ),
        (
            "delete from acct where id = 1",
            "ALTER TABLE acct ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON acct USING (pay(id) > 0)",
        ),
        (
            "delete from acct where id OPERATOR(public.===) 1",
            "CREATE OR REPLACE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS 'select true'",
        ),
    ] {
        let schema = format!(
            "{SCHEMA} CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS 'select $1 = $2';
             CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same);"
        );
        let door = TestDoor::new(&asks_bob(json!({})), &schema);
        let held = door.psql_start("alice", &[sql]);
        let (name, _) = door.people.asked(1);
        door.direct(meanwhile);
        door.people.approve(&name);
        let printed = finish(held);
        assert!(
            printed
                .err
                .contains("what the command means has changed while it waited"),
            "{sql} / {meanwhile}: {printed:?}"
        );
        assert_eq!(door.direct("select count(*) from log"), "0", "{meanwhile}");
    }
}

#[test]
fn a_policy_that_comes_while_a_command_waits_is_asked_as_well() {
    let given = asks_bob(json!({}));
    let door = TestDoor::new(&given, SCHEMA);
    let held = door.psql_start("alice", &["delete from acct where id = 1"]);
    let (name, _) = door.people.asked(1);
    let mut stricter = given;
    stricter.policies.push((
        "seniors",
        json!({"rules": [
            {"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval",
             "approval": {"approvers": [{"kind": "Group", "name": "oidc:seniors"}]}},
            {"name": "rest", "match": {"any": true}, "action": "Allow"},
        ]}),
    ));
    door.enforce(&stricter, 2);
    door.people.approve(&name);
    let printed = finish(held);
    assert!(printed.err.contains("another rule asks for an approval"), "{printed:?}");
    assert_eq!(door.direct("select count(*) from acct"), "2");
}

#[test]
fn a_mask_that_comes_while_a_command_waits_holds_for_its_answer_and_those_after() {
    let given = asks_bob(json!({}));
    let door = TestDoor::new(&given, &format!("{SCHEMA} UPDATE acct SET n = 4711;"));
    let held = door.psql_start(
        "alice",
        &[
            "select n as pay from acct where id = 1",
            "select n from acct where id = 2",
        ],
    );
    let (name, _) = door.people.asked(1);
    door.enforce(
        &given.mask("numbers", json!({"match": {"columns": ["public.acct.n"]}})),
        2,
    );
    door.people.approve(&name);
    let printed = finish(held);
    assert!(!printed.out.contains("4711"), "{printed:?}");
    assert_eq!(door.direct("select n from acct where id = 1"), "4711");
}
