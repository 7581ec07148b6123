//! What a rule runs read-only: PostgreSQL itself refuses what hides a write, in every way in which a statement can be sent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use common::door::{Given, TestDoor};
use common::wire::Client;
use sallyport_audit::record::{Event, Fate};
use serde_json::json;

const SCHEMA: &str = "CREATE TABLE marks (at int);
    CREATE FUNCTION mark(n int) RETURNS int LANGUAGE plpgsql AS $$begin insert into marks values (n); return n; end$$;
    CREATE FUNCTION unlock(n int) RETURNS int LANGUAGE plpgsql AS
      $$begin set transaction_read_only = off; insert into marks values (n); return n; end$$;
    CREATE VIEW marked AS SELECT mark(7) AS n;";

/// Reading runs read-only, writing does not, and so every hidden write is a read that fails.
fn reads_are_guarded() -> Given {
    Given::open().policy(json!([
        {"name": "writes", "match": {"cel": "command.verbs.exists(v, v in ['insert', 'update', 'delete'])"}, "action": "Allow"},
        {"name": "rest", "match": {"any": true}, "action": "Allow", "readOnly": true},
    ]))
}

#[test]
fn a_hidden_write_fails_at_the_target() {
    let door = TestDoor::new(&reads_are_guarded(), SCHEMA);
    for commands in [
        &["select mark(1)"][..],
        &["select n from marked"],
        &["select unlock(1)"],
        &["select mark(1); select 2"],
        &["do $$begin perform mark(1); end$$"],
        &["explain analyze select mark(1)"],
        &["copy (select mark(1)) to stdout"],
        &["prepare p as select mark(1)", "execute p"],
        &["begin; declare c cursor for select mark(1)", "fetch c", "commit"],
        &["begin", "select mark(1)", "commit"],
        &["begin read write; select mark(1); commit"],
        &["commit; select mark(1)"],
        &["set transaction_read_only = off; select mark(1)"],
        &["set default_transaction_read_only = off", "select mark(1)"],
        &["begin", "savepoint sallyport_read_only", "select mark(1)", "commit"],
        &["create table other (n int)"],
        // Neither takes a snapshot, behind which PostgreSQL itself would not lift it.
        &["lock marks in access share mode; begin read write; select mark(1); commit"],
        &["lock marks in access share mode; set transaction read write; select mark(1)"],
        &[
            "begin; declare c cursor with hold for select 1; commit",
            "fetch c; begin read write; select mark(1); commit",
        ],
    ] {
        let printed = door.psql("alice", commands);
        // 25001 where code tries to lift it: too late within the transaction.
        let refused = ["25006", "25001"].iter().any(|code| printed.err.contains(code));
        assert!(refused, "{commands:?}: {printed:?}");
        assert_eq!(door.direct("select count(*) from marks"), "0", "{commands:?}");
    }
    let failed = door.recorded("a failed read", |event| match event {
        Event::Outcome(outcome) if outcome.fate == Fate::Failed => outcome.sqlstate.clone(),
        _ => None,
    });
    assert_eq!(failed, "25006");
    let said = door.recorded("the verdict", |event| match event {
        Event::Command(command) if command.text == "select mark(1)" => Some(command.verdict.clone()),
        _ => None,
    });
    assert!(said.read_only);
}

#[test]
fn reading_and_writing_go_on_beside_it() {
    let door = TestDoor::new(&reads_are_guarded(), SCHEMA);
    for (commands, out) in [
        (&["select 1"][..], "1"),
        (&["insert into marks values (1)", "select count(*) from marks"], "1"),
        (
            &[
                "begin",
                "select 1",
                "insert into marks values (2)",
                "select count(*) from marks",
                "commit",
            ],
            "1\n2",
        ),
        (
            &["begin; select 1; insert into marks values (3); select count(*) from marks; commit"],
            "1\n3",
        ),
        (
            &[
                "begin",
                "select 1",
                "rollback",
                "insert into marks values (4)",
                "select 5",
            ],
            "1\n5",
        ),
        (
            &[
                "begin isolation level serializable",
                "set transaction read only",
                "select 1",
                "commit",
            ],
            "1",
        ),
        (&["select 'a' -- the end"], "a"),
        (
            &[
                "show transaction_read_only",
                "select current_setting('transaction_read_only')",
            ],
            "off\non",
        ),
    ] {
        let printed = door.psql("alice", commands);
        assert_eq!((printed.out.as_str(), printed.err.as_str()), (out, ""), "{commands:?}");
    }
    assert_eq!(door.direct("select count(*) from marks"), "4");
    let printed = door.psql("alice", &["select 1; select nosuch"]);
    assert!(
        printed.err.contains("LINE 1: select 1; select nosuch") && printed.err.contains("^"),
        "{printed:?}"
    );
}

/// Tags of what came up to ReadyForQuery, and the SQLSTATE of an error.
fn exchange(client: &mut Client) -> (String, Option<String>) {
    let messages = client.ready();
    let tags = messages.iter().map(|message| message.tag).collect();
    let error = messages.iter().find(|message| message.tag == 'E');
    (tags, error.and_then(|message| message.field('C')))
}

#[test]
fn pipelines_are_guarded_too() {
    let door = TestDoor::new(&reads_are_guarded(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let refused = Some("25006".to_owned());
    client
        .parse("", "select mark(1)")
        .bind("", "", &[], 0)
        .execute("", 0)
        .sync();
    assert_eq!(exchange(&mut client), ("12EZ".into(), refused.clone()));

    client.parse("", "select 1").bind("", "", &[], 0).execute("", 0).sync();
    assert_eq!(exchange(&mut client), ("12DCZ".into(), None));

    // As pgjdbc sends a transaction's first query: BEGIN in the same batch.
    client.parse("", "begin").bind("", "", &[], 0).execute("", 0);
    client.parse("", "select 2").bind("", "", &[], 0).execute("", 0).sync();
    assert_eq!(exchange(&mut client), ("12C12DCZ".into(), None));
    client
        .parse("", "insert into marks values (1)")
        .bind("", "", &[], 0)
        .execute("", 0);
    client
        .parse("", "select count(*) from marks")
        .bind("", "", &[], 0)
        .execute("", 0)
        .sync();
    assert_eq!(exchange(&mut client), ("12C12DCZ".into(), None), "writing goes on");

    // A portal that is read in two parts is guarded in both.
    let rows = "select case when n > 1 then mark(n) else n end from generate_series(1, 3) n";
    client
        .parse("", rows)
        .bind("slow", "", &[], 0)
        .execute("slow", 1)
        .sync();
    assert_eq!(exchange(&mut client), ("12DsZ".into(), None));
    client.execute("slow", 1).sync();
    assert_eq!(exchange(&mut client), ("EZ".into(), refused.clone()));
    client.parse("", "rollback").bind("", "", &[], 0).execute("", 0).sync();
    assert_eq!(exchange(&mut client), ("12CZ".into(), None));

    // Turning it off within the same pipeline is refused by PostgreSQL.
    client.parse("a", "select mark(1)").bind("a", "a", &[], 0);
    client
        .parse("", "set transaction_read_only = off")
        .bind("", "", &[], 0)
        .execute("", 0);
    client.execute("a", 0).sync();
    let (_, error) = exchange(&mut client);
    assert!(error.is_some(), "it ran");
    client.parse("\u{1}sallyport read-only", "select 1").sync();
    assert_eq!(exchange(&mut client), ("EZ".into(), Some("54000".into())));
    assert_eq!(door.direct("select count(*) from marks"), "0");
}

#[test]
fn what_was_approved_runs_as_the_rule_says() {
    let given = Given::open().policy(json!([{
        "name": "all", "match": {"any": true}, "action": "RequireApproval", "readOnly": true,
        "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]},
    }]));
    let door = TestDoor::new(&given, SCHEMA);
    let held = door.psql_start("alice", &["select mark(1)"]);
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    let printed = common::psql::finish(held);
    assert!(printed.err.contains("25006"), "{printed:?}");
    assert_eq!(door.direct("select count(*) from marks"), "0");
}

#[test]
fn what_would_outlive_its_read_only_transaction_is_refused() {
    let late = "CREATE PROCEDURE late() LANGUAGE plpgsql AS $$begin commit; insert into marks values (8); end$$;";
    let door = TestDoor::new(&reads_are_guarded(), &format!("{SCHEMA} {late}"));
    let printed = door.psql(
        "alice",
        &["begin", "declare c cursor with hold for select mark(9)", "commit"],
    );
    assert!(
        printed.err.contains("42501") && printed.err.contains("WITH HOLD"),
        "{printed:?}"
    );
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for sql in ["call late()", "do $$begin commit; insert into marks values (8); end$$"] {
        let said = client.pipeline(sql);
        let error = said.iter().find(|message| message.tag == 'E').unwrap();
        assert_eq!(error.field('C').as_deref(), Some("42501"), "{sql}");
        assert!(error.field('M').unwrap().contains("send BEGIN first"), "{sql}");
    }
    client.query("begin");
    let said = client.pipeline("call late()");
    let error = said.iter().find(|message| message.tag == 'E').unwrap();
    assert_eq!(error.field('C').as_deref(), Some("2D000"), "PostgreSQL's own word");
    client.query("rollback");
    assert_eq!(door.direct("select count(*) from marks"), "0");

    let kept = ["begin", "declare c cursor with hold for select 1", "commit", "fetch c"];
    let printed = door.psql("alice", &kept);
    assert_eq!((printed.out.as_str(), printed.err.as_str()), ("1", ""));
}
