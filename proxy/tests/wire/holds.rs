//! Holds in the middle of something: of a unit of which a part has run, and of an open transaction.

use std::sync::Arc;

use futures::future::BoxFuture;
use sallyport_audit::record::{Event, RequestRef, TransactionFate};
use sallyport_crds::access_request::RuleIdentity;
use sallyport_proxy::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, Identity};
use serde_json::json;

use super::SCHEMA;
use super::common::approvals::{Meanwhile, People};
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::psql::finish;
use super::common::wire::{Client, tags};
use sallyport_proxy::postgres::frame::put_cstr;

/// Deleting needs bob, who is waited for ten minutes, and one second in a transaction.
fn held_deletes() -> Given {
    held_deletes_for("1s")
}

/// Deleting needs bob, who is waited for ten minutes, and so long in a transaction.
fn held_deletes_for(in_transaction: &str) -> Given {
    let approval = json!({
        "approvers": [{"kind": "Group", "name": "oidc:dba"}],
        "holdFor": "10m", "expiresAfter": "1h", "maxHoldInTransaction": in_transaction,
    });
    Given::open().policy(json!([
        {"name": "asked", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval",
         "message": "this needs bob", "approval": approval},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]))
}

#[test]
fn a_hold_that_is_found_after_a_part_of_its_unit_has_run_is_refused() {
    let door = TestDoor::new(&held_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client
        .parse("", "insert into u values (1, 'x')")
        .bind("", "", &[], 0)
        .execute("", 0);
    // As many messages as are judged together at most: what follows continues the unit.
    for _ in 3..8_192 {
        client.put(b'C', |out| {
            out.push(b'S');
            put_cstr(out, "nothing of this name");
        });
    }
    client.send();
    let begun = tags(&client.some(8_192));
    assert_eq!(begun.trim_end_matches('3'), "12C", "a part of it has run");
    client
        .parse("", "delete from t")
        .bind("", "", &[], 0)
        .execute("", 0)
        .sync();
    let got = client.ready();
    assert_eq!(tags(&got), "1EZ");
    assert_eq!(got[1].field('C').as_deref(), Some("42501"));
    let words = got[1].field('M').unwrap();
    assert!(words.contains("a part of the same unit has run already"), "{words}");
    assert_eq!(door.people.count(), 0, "nobody is asked");
    assert_eq!(
        door.direct("select count(*) from u"),
        "0",
        "what has run is undone with it"
    );
    assert_eq!(door.direct("select count(*) from t"), "20");

    // On its own it is a question.
    client.put(b'Q', |out| put_cstr(out, "delete from t")).send();
    let (request, _) = door.people.asked(1);
    door.people.approve(&request);
    assert!(tags(&client.ready()).ends_with("CZ"));
}

#[test]
fn a_hold_in_a_transaction_ends_before_its_locks_stop_others_for_long() {
    let door = TestDoor::new(&held_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    assert_eq!(tags(&client.query("insert into u values (1, 'x')")), "CZ");
    let got = client.query("delete from t");
    let notice = got[0].field('M').unwrap();
    assert!(got[0].tag == 'N' && notice.ends_with(": 1 s left"), "{notice}");
    let refused = &got[got.len() - 2];
    assert_eq!(refused.field('C').as_deref(), Some("42501"));
    assert_eq!(refused.field('M').as_deref(), Some("nobody approved it in time"));
    assert_eq!(got.last().unwrap().body, b"E", "the transaction has failed");
    let withdrawn = eventually("the withdrawal", || door.people.request("request-1").withdrawn);
    assert_eq!(withdrawn, "nobody answered in time");
    door.direct("begin; lock table u in access exclusive mode nowait; commit");
    assert_eq!(client.query("commit")[0].text(), "ROLLBACK\0");
    assert_eq!(door.direct("select count(*) from u"), "0");
    door.recorded("the question's end", |event| match event {
        Event::Expired(closed) if closed.request.name == "request-1" => Some(()),
        _ => None,
    });
    let fate = door.recorded("the transaction's end", |event| match event {
        Event::TransactionEnd(end) => Some(end.fate),
        _ => None,
    });
    assert_eq!(fate, TransactionFate::RolledBack);

    // Outside of one it stops nobody, and waits as long as it may.
    client.put(b'Q', |out| put_cstr(out, "delete from t")).send();
    let notice = client.read().field('M').unwrap();
    assert!(notice.ends_with(": 10 min left"), "{notice}");
    door.people.approve("request-2");
    assert_eq!(tags(&client.ready()), "CZ");
}

#[test]
fn a_hold_in_a_transaction_ends_before_the_target_would_end_the_session() {
    let door = TestDoor::new(&held_deletes_for("60s"), SCHEMA);
    for setting in ["idle_in_transaction_session_timeout", "transaction_timeout"] {
        let known = format!("select count(*) from pg_settings where name = '{setting}'");
        if door.direct(&known) == "0" {
            // PostgreSQL has it since version 17.
            assert_eq!(setting, "transaction_timeout");
            continue;
        }
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.query(&format!("set {setting} = '4s'"));
        client.query("begin");
        let got = client.query("delete from t");
        let notice = got[0].field('M').unwrap();
        assert!(
            got[0].tag == 'N' && notice.ends_with(": 2 s left"),
            "{setting}: {notice}"
        );
        let refused = &got[got.len() - 2];
        assert_eq!(
            refused.field('M').as_deref(),
            Some("nobody approved it in time"),
            "{setting}"
        );
        assert_eq!(got.last().unwrap().body, b"E", "{setting}: the session lives");
        client.query("rollback");
        assert_eq!(tags(&client.query("select 1")), "TDCZ", "{setting}");

        // The last SET counts, also that of the transaction itself; what sets no end leaves the policy's.
        client.query("begin");
        client.query(&format!("set {setting} = 0"));
        client.put(b'Q', |out| put_cstr(out, "delete from t")).send();
        let notice = client.read().field('M').unwrap();
        assert!(notice.ends_with(": 60 s left"), "{setting}: {notice}");
        let (request, _) = door.people.asked(1);
        door.people.approve(&request);
        assert!(tags(&client.ready()).ends_with("CZ"), "{setting}");
        client.query("rollback");
    }
}

#[test]
fn a_hold_outside_of_a_transaction_ends_before_the_target_would_end_the_session() {
    let door = TestDoor::new(&held_deletes(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("set idle_session_timeout = '4s'");
    // What the target counts in transactions and statements alone says nothing here.
    client.query("set idle_in_transaction_session_timeout = '1s'");
    client.query("set statement_timeout = '1s'");
    let got = client.query("delete from t");
    let notice = got[0].field('M').unwrap();
    assert!(got[0].tag == 'N' && notice.ends_with(": 2 s left"), "{notice}");
    let refused = &got[got.len() - 2];
    assert_eq!(refused.field('M').as_deref(), Some("nobody approved it in time"));
    assert_eq!(got.last().unwrap().body, b"I");
    assert_eq!(tags(&client.query("select 1")), "TDCZ", "the session lives");
    assert_eq!(door.direct("select count(*) from t"), "20");

    client.query("set idle_session_timeout = 0");
    client.query("set statement_timeout = 0");
    client.put(b'Q', |out| put_cstr(out, "delete from t")).send();
    let notice = client.read().field('M').unwrap();
    assert!(notice.ends_with(": 10 min left"), "{notice}");
    let (request, _) = door.people.asked(2);
    door.people.approve(&request);
    assert!(tags(&client.ready()).ends_with("CZ"));
}

/// Programs prepare and describe without a name, and bind in their next unit. A Query would take that away from them.
#[test]
fn what_has_no_name_is_still_there_behind_a_hold() {
    let door = TestDoor::new(&held_deletes_for("60s"), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for (count, before) in ["select 1", "begin"].into_iter().enumerate() {
        client.query(before);
        client
            .parse("", "delete from t where id = $1")
            .describe(b'S', "")
            .sync();
        assert_eq!(tags(&client.ready()), "1tnZ", "{before}");
        client.bind("", "", &["1"], 0).execute("", 0).sync();
        let (request, _) = door.people.asked(count + 1);
        door.people.approve(&request);
        let got = client.ready();
        assert!(tags(&got).ends_with("2CZ"), "{before}: {got:?}");
    }
    // Nor is what reads on taken away, where the door asks the session's own backend.
    client.parse("", "select id from t order by id").bind("", "", &[], 0);
    assert_eq!(tags(&client.execute("", 1).sync().ready()), "12DsZ");
    client
        .parse("made", "create temporary table own (id int)")
        .bind("made", "made", &[], 0);
    assert_eq!(tags(&client.execute("made", 0).sync().ready()), "12CZ");
    client
        .parse("read", "select count(*) from own")
        .bind("read", "read", &[], 0);
    assert_eq!(
        tags(&client.execute("read", 0).execute("", 1).sync().ready()),
        "12DCDsZ"
    );
}

#[test]
fn what_changes_while_a_grant_is_claimed_is_not_what_was_approved() {
    let changes = [
        "CREATE OR REPLACE VIEW payable AS SELECT id FROM t",
        "CREATE OR REPLACE FUNCTION due(int) RETURNS bool LANGUAGE sql AS 'select true'",
    ];
    let schema = format!(
        "{SCHEMA} CREATE VIEW payable AS SELECT id FROM t WHERE id = 1;
         CREATE FUNCTION due(int) RETURNS bool LANGUAGE sql AS 'select $1 = 1';"
    );
    let sql = "delete from t where id in (select id from payable where due(id))";
    let server = super::common::postgres::server();
    for change in changes {
        for waits in [true, false] {
            let database = server.database(&schema);
            let (target, name) = (Arc::clone(&server), database.clone());
            let happens = Box::new(move || {
                target.sql(&name, change);
            });
            let door = TestDoor::asking(&held_deletes(), Arc::clone(&server), database, |people| {
                let people = people.clone();
                Arc::new(Meanwhile { people, happens })
            });
            let printed = if waits {
                let held = door.psql_start("alice", &[sql]);
                let (request, _) = door.people.asked(1);
                door.people.approve(&request);
                finish(held)
            } else {
                let program = format!("{} options='-c sallyport.on_hold=refuse'", door.conninfo("alice"));
                let refused = door.psql_with(&program, &[sql]);
                assert!(refused.err.contains("request-1"), "{refused:?}");
                door.people.approve("request-1");
                door.psql_with(&program, &[sql])
            };
            let words = "what the command means has changed while it waited";
            assert!(printed.err.contains(words), "{change}, {waits}: {printed:?}");
            assert_eq!(door.direct("select count(*) from t"), "20", "{change}, {waits}");
        }
    }
}

/// People whom nobody can ask.
struct Unasked {
    people: People,
    why: ApprovalsError,
}

impl Approvals for Unasked {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        self.people.find(identity, sought)
    }

    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass {
        self.people.glass(identity, asked_by)
    }

    fn ask(&self, _: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        let why = self.why.clone();
        Box::pin(async { Err(why) })
    }

    fn claim<'a>(
        &'a self,
        identity: &'a Identity,
        sought: &'a GrantSought,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        self.people.claim(identity, sought, request)
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        self.people.withdraw(request, reason);
    }
}

#[test]
fn only_a_question_that_nobody_takes_now_is_worth_another_try() {
    let server = super::common::postgres::server();
    for (why, code) in [
        (ApprovalsError::Unavailable("the API server is away".into()), "57P03"),
        (ApprovalsError::NoCluster, "42501"),
        (ApprovalsError::TooMany { open: 3 }, "42501"),
        (ApprovalsError::TooOften { in_vain: 15 }, "42501"),
    ] {
        let words = why.to_string();
        let database = server.database(SCHEMA);
        let door = TestDoor::asking(&held_deletes(), Arc::clone(&server), database, |people| {
            let people = people.clone();
            Arc::new(Unasked { people, why })
        });
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let got = client.query("delete from t");
        assert_eq!(tags(&got), "EZ", "{got:?}");
        assert_eq!(got[0].field('C').as_deref(), Some(code), "{got:?}");
        assert!(got[0].field('M').unwrap().contains(&words), "{got:?}");
        assert_eq!(door.direct("select count(*) from t"), "20");
    }
}
