//! What a grant fits, how it ends, and going ahead without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use std::sync::Arc;

use common::door::{Given, TestDoor};
use common::eventually;
use common::psql::finish;
use common::wire::{Client, tags};
use futures::future::BoxFuture;
use sallyport_audit::record::{EndCause, Event, Fate, RequestRef};
use sallyport_crds::access_request::RuleIdentity;
use sallyport_crds::approval_policy::GrantScope;
use sallyport_proxy::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, Identity};
use serde_json::{Value, json};

const SCHEMA: &str = "CREATE TABLE acct (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
    INSERT INTO acct VALUES (1, 0), (2, 0);
    CREATE SCHEMA other; CREATE TABLE other.acct (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
    CREATE TABLE log (n int);
    CREATE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS $$select i$$;
    CREATE FUNCTION pay(i int) RETURNS int LANGUAGE plpgsql AS $$begin return inner_step(i); end$$;
    CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$begin insert into log values (1); return old; end$$;
    CREATE VIEW payable AS SELECT id FROM acct WHERE id = 1;";

/// Everything that has a mark in its text, writes, or calls `pay` needs bob.
fn asks_bob(approval: Value) -> Given {
    let mut asks = json!({"approvers": [{"kind": "Group", "name": "oidc:dba"}]});
    asks.as_object_mut()
        .unwrap()
        .extend(approval.as_object().unwrap().clone());
    Given::open().policy(json!([
        {"name": "asked", "match": {"cel": "command.verbs.exists(v, v in ['insert', 'update', 'delete']) || command.text.contains('pay')"}, "action": "RequireApproval",
         "message": "this needs bob", "approval": asks},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]))
}

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
fn a_grant_for_one_target_does_not_fit_another_that_looks_the_same() {
    let given = asks_bob(json!({"onHold": "Refuse"}));
    let door = TestDoor::new(&given, SCHEMA);
    let sql = "delete from acct where id = 1";
    assert!(door.psql("alice", &[sql]).err.contains("request-1"));
    door.people.approve("request-1");
    // The same server by another name: all that stands in its catalog is equal.
    let elsewhere = json!({"target": {"host": "localhost", "port": door.server().port,
        "tls": {"mode": "VerifyFull", "serverName": "localhost"}}});
    door.enforce(&given.connection(elsewhere), 2);
    let printed = door.psql("alice", &[sql]);
    assert!(printed.err.contains("request-2"), "{printed:?}");
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

#[test]
fn an_approver_reads_how_many_rows_the_statistics_count() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), &format!("{SCHEMA} ANALYZE;"));
    door.psql("alice", &["delete from acct where id = 1"]);
    assert_eq!(door.people.request("request-1").ask.command.rows, Some(2));
}

#[test]
fn a_grant_fits_one_command_under_one_set_of_circumstances() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let sql = "delete from acct where id = 1";
    let refused = door.psql("alice", &[sql]);
    assert!(refused.err.contains("request-1"), "{refused:?}");
    door.people.approve("request-1");
    let with = |options: &str| format!("{} options='{options}'", door.conninfo("alice"));
    let elsewhere = [
        door.psql_with(&with("-c search_path=other"), &[sql]),
        door.psql_with(&with("-c search_path=public,other"), &[sql]),
        door.psql_with(&with("-c TimeZone=Asia/Tokyo"), &[sql]),
        door.psql_with(&with("-c DateStyle=German"), &[sql]),
        door.psql_with(&with("-c standard_conforming_strings=off"), &[sql]),
        door.psql("alice", &["set transform_null_equals = on", sql]),
        door.psql("alice", &["delete from acct where id = 2"]),
        door.psql("alice", &["delete from acct where id =  1"]),
        door.psql("alice", &["delete from acct where id = 1; select 1"]),
        door.psql("bob", &[sql]),
    ];
    for (index, printed) in elsewhere.iter().enumerate() {
        assert!(printed.err.contains("42501: this needs bob"), "{index}: {printed:?}");
        assert!(!printed.err.contains("request-1 "), "{index}: {printed:?}");
    }
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut bound = |value: &str| {
        client
            .parse("", "delete from acct where id = $1::int")
            .bind("", "", &[value], 0);
        client.execute("", 0).sync();
        client.ready()
    };
    let first = bound("2");
    let name = |detail: String| detail.split_whitespace().nth(1).unwrap().to_owned();
    let asked = name(first.iter().find_map(|message| message.field('D')).unwrap());
    door.people.approve(&asked);
    assert_eq!(tags(&bound("3")), "1EZ", "another parameter");
    assert_eq!(tags(&bound("2")), "12CZ", "the one that was approved");
    assert_eq!(tags(&bound("2")), "1EZ", "and once");
    assert_eq!(door.direct("select count(*) from acct"), "1");
    let printed = door.psql("alice", &[sql]);
    assert_eq!(printed.err, "", "the first is still good");
    assert_eq!(door.direct("select count(*) from acct"), "0");
}

#[test]
fn a_fingerprint_lets_parameters_vary_and_nothing_else() {
    let grant = json!({"onHold": "Refuse", "grant": {"scope": "Fingerprint", "validFor": "1h"}});
    let door = TestDoor::new(&asks_bob(grant), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut bound = |sql: &str, value: &str| {
        client.parse("", sql).bind("", "", &[value], 0).execute("", 0).sync();
        tags(&client.ready())
    };
    let sql = "update acct set n = 1 where id = $1::int";
    assert_eq!(bound(sql, "1"), "1EZ");
    door.people.approve("request-1");
    assert_eq!(bound(sql, "1"), "12CZ");
    assert_eq!(bound(sql, "2"), "12CZ");
    assert_eq!(bound("update acct set n = 2 where id = $1::int", "1"), "1EZ");
    door.direct("CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 7'");
    assert_eq!(bound(sql, "2"), "1EZ", "the code behind it is another");
}

#[test]
fn parameters_vary_within_what_the_rule_says() {
    let parameters = json!([{"position": 1, "minimum": 1, "maximum": 2}]);
    let grant = json!({"scope": "Fingerprint", "validFor": "1h", "parameters": parameters});
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse", "grant": grant})), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut bound = |values: &[&str]| {
        client.parse("", "update acct set n = $2::int where id = $1::int");
        client.bind("", "", values, 0).execute("", 0).sync();
        tags(&client.ready())
    };
    assert_eq!(bound(&["1", "7"]), "1EZ");
    let shown = door.people.request("request-1").ask.command.parameters;
    assert_eq!(shown, ["$1 = 1 (may vary from 1 to 2)", "$2 = 7"]);
    door.people.approve("request-1");
    assert_eq!(bound(&["1", "7"]), "12CZ");
    assert_eq!(bound(&["2", "800"]), "12CZ", "the second varies as it likes");
    assert_eq!(bound(&["3", "7"]), "1EZ");
    let other = door.people.request("request-2").ask;
    assert_eq!(
        (other.scope, other.command.parameters[0].as_str()),
        (GrantScope::Command, "$1 = 3")
    );
    for outside in ["0", "-1", "1.5", " 1", "0x1"] {
        assert_eq!(bound(&[outside, "7"]), "1EZ", "{outside}");
    }
    door.people.approve("request-2");
    assert_eq!(bound(&["3", "7"]), "12CZ", "what was asked about on its own");
    assert_eq!(bound(&["3", "7"]), "1EZ", "and once");
    assert_eq!(bound(&["2", "7"]), "12CZ", "the first is still good");
}

#[test]
fn a_grant_fits_the_types_that_parameters_were_stated_with() {
    let schema = format!("{SCHEMA} CREATE FUNCTION pay(t text) RETURNS text LANGUAGE sql AS $$select 'all of it'$$;");
    let grants = [
        json!({"onHold": "Refuse"}),
        json!({"onHold": "Refuse", "grant": {"scope": "Fingerprint", "validFor": "1h"}}),
    ];
    for grant in grants {
        let door = TestDoor::new(&asks_bob(grant), &schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let mut bound = |types: &[u32]| {
            client.parse_typed("", "select pay($1)", types);
            client.bind("", "", &["5"], 0).execute("", 0).sync();
            tags(&client.ready())
        };
        assert_eq!(bound(&[23]), "1EZ");
        assert_eq!(
            door.people.request("request-1").ask.command.parameters,
            ["$1::int4 = 5"]
        );
        door.people.approve("request-1");
        assert_eq!(bound(&[25]), "1EZ", "another function of that name");
        assert_eq!(bound(&[]), "1EZ", "whatever the server takes it for");
        assert_eq!(bound(&[23]), "12DCZ", "the one that was approved");
    }
}

#[test]
fn a_grant_for_a_name_fits_what_had_that_name() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut executed = |id: u8| {
        client.query("deallocate all");
        client
            .parse("p", &format!("delete from acct where id = {id}"))
            .sync()
            .ready();
        tags(&client.query("execute p"))
    };
    assert_eq!(executed(1), "EZ");
    door.people.approve("request-1");
    assert_eq!(executed(2), "EZ", "another statement of that name");
    assert_eq!(executed(1), "CZ", "the one that was approved");
    assert_eq!(door.direct("select id from acct"), "2");
}

#[test]
fn revoking_ends_what_was_allowed() {
    let grant = json!({"onHold": "Refuse", "grant": {"scope": "Session", "validFor": "1h"}});
    let door = TestDoor::new(&asks_bob(grant), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("update acct set n = 1");
    door.people.approve("request-1");
    assert_eq!(tags(&client.query("begin")), "CZ");
    assert_eq!(tags(&client.query("update acct set n = 1")), "CZ");
    assert_eq!(
        tags(&client.query("insert into acct values (3)")),
        "CZ",
        "whatever needs it in this session"
    );
    door.people
        .revoke("request-1", "the grant was revoked by oidc:bob: wrong ticket");
    let said = client.read();
    assert_eq!(said.field('C').as_deref(), Some("57P01"));
    assert!(
        said.field('M').unwrap().contains("revoked by oidc:bob: wrong ticket"),
        "{said:?}"
    );
    eventually("the rollback", || {
        (door.direct("select count(*) from pg_stat_activity where state like 'idle in%'") == "0").then_some(())
    });
    assert_eq!(door.direct("select sum(n) from acct"), "0");
    door.recorded("the revocation", |event| match event {
        Event::Revoked(closed) if closed.request.name == "request-1" => Some(()),
        _ => None,
    });

    let door = TestDoor::new(&asks_bob(json!({})), SCHEMA);
    let running = door.psql_start("alice", &["select pay(1), pg_sleep(60)", "select 'lives on'"]);
    let (name, _) = door.people.asked(1);
    door.people.approve(&name);
    eventually("it runs", || {
        (door.direct("select count(*) from pg_stat_activity where query like 'select pay%' and state = 'active'")
            == "1")
            .then_some(())
    });
    door.people.revoke(&name, "the grant was revoked by oidc:bob");
    let printed = finish(running);
    assert!(printed.err.contains("57P01") && printed.out.is_empty(), "{printed:?}");
    eventually("the target stopped", || {
        (door.direct("select count(*) from pg_stat_activity where query like 'select pay%'") == "0").then_some(())
    });
    let cause = door.recorded("the end", |event| match event {
        Event::SessionEnd(end) => Some(end.cause),
        _ => None,
    });
    assert_eq!(cause, EndCause::Revoked);
}

/// Code that deletes where no text says so.
const HIDES: &str = "CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$begin delete from acct; return 1; end$$;
    CREATE PROCEDURE purge_all() LANGUAGE plpgsql AS $$begin delete from acct; end$$;
    CREATE VIEW purged AS SELECT purge() AS n;
    CREATE FUNCTION purging() RETURNS trigger LANGUAGE plpgsql AS $$begin new.n = 2; return new; end$$;
    CREATE TABLE inbox (n int);
    CREATE TRIGGER purging BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION purging();";

#[test]
fn whatever_may_delete_gets_what_a_delete_gets() {
    let given = |more: Value| {
        let mut deletes =
            json!({"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "message": "this needs bob"});
        deletes
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Given::open().policy(json!([deletes, {"name": "rest", "match": {"any": true}, "action": "Allow"}]))
    };
    let approval = json!({"approvers": [{"kind": "Group", "name": "oidc:dba"}], "onHold": "Refuse"});
    let schema = format!("{SCHEMA} {HIDES}");
    let held = TestDoor::new(
        &given(json!({"action": "RequireApproval", "approval": approval})),
        &schema,
    );
    let denied = TestDoor::new(&given(json!({"action": "Deny"})), &schema);
    for door in [&held, &denied] {
        for sql in [
            "with gone as (delete from acct returning *) select count(*) from gone",
            "explain analyze delete from acct",
            "select 1; delete from acct; select 2",
            "prepare p as delete from acct",
            "do $$begin delete from acct; end$$",
            "call purge_all()",
            "select purge()",
            "select n from purged",
            "create trigger another before insert on inbox for each row execute function purging()",
        ] {
            let printed = door.psql("alice", &[sql]);
            let refused = printed.err.contains("42501") && printed.err.contains("this needs bob");
            assert!(refused, "{sql}: {printed:?}");
        }
        assert_eq!(door.direct("select count(*) from acct"), "2");
        for sql in [
            "insert into log values (1)",
            "insert into inbox values (1)",
            "select upper('a'), count(*) from pg_stat_activity",
            "select count(*), pg_last_wal_replay_lsn() from information_schema.tables",
        ] {
            assert_eq!(door.psql("alice", &[sql]).err, "", "{sql}");
        }
    }

    // Whoever was allowed to prepare a DELETE is not thereby allowed to run it.
    let mut client = Client::login(&held, "alice", &[]).unwrap();
    let before = held.people.count();
    let prepare = "prepare p as delete from acct where true";
    assert_eq!(tags(&client.query(prepare)), "EZ");
    held.people.approve(&format!("request-{}", before + 1));
    assert_eq!(tags(&client.query(prepare)), "CZ");
    let said = client.query("execute p");
    assert_eq!(said[0].field('C').as_deref(), Some("42501"));
    assert_eq!(held.people.count(), before + 2, "it is a question of its own");
    assert_eq!(held.direct("select count(*) from acct"), "2");
}

/// People behind an API server that takes a claim and never answers.
struct Silent(common::approvals::People);

impl Approvals for Silent {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        self.0.find(identity, sought)
    }

    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass {
        self.0.glass(identity, asked_by)
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        self.0.ask(ask)
    }

    fn claim<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a GrantSought,
        _: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        Box::pin(std::future::pending())
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        self.0.withdraw(request, reason);
    }
}

#[test]
fn an_intent_is_on_record_before_its_grant_is_spent() {
    let server = common::postgres::server();
    let database = server.database(SCHEMA);
    let given = asks_bob(json!({"onHold": "Refuse"}));
    let door = TestDoor::asking(&given, server, database, |people| Arc::new(Silent(people.clone())));
    let sql = "delete from acct where id = 1";
    assert!(door.psql("alice", &[sql]).err.contains("request-1"));
    door.people.approve("request-1");
    // Its claim is under way for ever: that is where a door that dies leaves things.
    let mut claiming = door.psql_start("alice", &[sql]);
    door.recorded_times("one intent that names the grant", 1, |event| {
        matches!(event, Event::Command(command)
            if command.request.as_ref().is_some_and(|request| request.name == "request-1"))
    });
    assert_eq!(door.direct("select count(*) from acct"), "2", "and nothing ran");
    claiming.kill().unwrap();
    claiming.wait().unwrap();
}

#[test]
fn a_grant_that_cannot_be_claimed_leaves_one_intent_and_one_question() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let sql = "delete from acct where id = 1";
    door.psql("alice", &[sql]);
    door.people.approve("request-1");
    door.people.use_elsewhere("request-1");
    let printed = door.psql("alice", &[sql]);
    assert!(printed.err.contains("request-2"), "it is asked anew: {printed:?}");
    let told = |wanted: &'static str| {
        move |event: &Event| match event {
            Event::Command(command) => wanted == "command" && command.text == sql,
            Event::Hold(hold) => wanted == "hold" && hold.request.name.starts_with("request-"),
            Event::Outcome(outcome) => wanted == "outcome" && outcome.fate == Fate::NotRun,
            _ => false,
        }
    };
    door.recorded_times("one intent for each attempt", 2, told("command"));
    door.recorded_times("one question for each attempt", 2, told("hold"));
    door.recorded_times("neither ran", 2, told("outcome"));
    door.people.approve("request-2");
    assert_eq!(door.psql("alice", &[sql]).err, "");
    assert_eq!(door.direct("select count(*) from acct"), "1");
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

fn glass() -> Given {
    let mut given = asks_bob(json!({"onHold": "Refuse"}));
    let spec = given.policies[0].1.as_object_mut().unwrap();
    let leave = json!({
        "subjects": [{"kind": "Group", "name": "oidc:engineers"}], "reviewers": [{"kind": "Group", "name": "oidc:dba"}],
        "maxDuration": "1h", "maxLoginAge": "5m",
    });
    spec.insert("breakGlass".into(), leave);
    given
}

#[test]
fn glass_is_broken_loudly_and_locked_until_it_is_reviewed() {
    let door = TestDoor::new(&glass(), SCHEMA);
    let plain = door.psql("alice", &["delete from acct where id = 1"]);
    assert!(
        plain.err.contains("request-1"),
        "without the word nothing breaks: {plain:?}"
    );
    let breaking = |user: &str| {
        format!(
            "{} options='-c sallyport.break_glass=branch\\\\ is\\\\ down'",
            door.conninfo(user)
        )
    };
    let printed = door.psql_with(
        &breaking("alice"),
        &["delete from acct where id = 1", "delete from acct where id = 2"],
    );
    assert_eq!(printed.err, "", "{printed:?}");
    assert_eq!(door.direct("select count(*) from acct"), "0");
    assert_eq!(door.people.count(), 2, "one use, two commands");
    let (reason, _) = door.people.request("request-2").ask.break_glass.unwrap();
    assert_eq!(reason, "branch is down");
    let glass = |event: &Event| match event {
        Event::BreakGlass(glass) => Some((glass.reason.clone(), glass.request.name.clone())),
        _ => None,
    };
    assert_eq!(
        door.recorded("the record of its own kind", glass),
        ("branch is down".into(), "request-2".into())
    );
    door.recorded_times(
        "two outcomes",
        2,
        |event| matches!(event, Event::Outcome(outcome) if outcome.fate == Fate::Executed && outcome.rows == 1),
    );

    door.people.lock("request-2");
    let locked = door.psql_with(&breaking("alice"), &["insert into acct values (1)"]);
    assert!(
        locked.err.contains("locked for you until AccessRequest request-2") && locked.err.contains("request-3"),
        "{locked:?}"
    );
    let others = door.psql_with(&breaking("bob"), &["insert into acct values (1)"]);
    assert!(others.err.contains("Break-glass is not open to you"), "{others:?}");
    assert_eq!(door.direct("select count(*) from acct"), "0");
}

#[test]
fn glass_never_lifts_a_denial_and_a_revoked_use_ends() {
    let mut given = glass();
    let rules = given.policies[0].1["rules"].as_array_mut().unwrap();
    rules.insert(
        0,
        json!({"name": "no", "match": {"cel": "'truncate' in command.verbs"}, "action": "Deny"}),
    );
    let door = TestDoor::new(&given, SCHEMA);
    let breaking = format!("{} options='-c sallyport.break_glass=x'", door.conninfo("alice"));
    let printed = door.psql_with(&breaking, &["truncate acct"]);
    assert!(printed.err.contains("42501"), "{printed:?}");
    assert_eq!(door.people.count(), 0);
    let mut client = Client::login(&door, "alice", &[("options", "-c sallyport.break_glass=x")]).unwrap();
    assert_eq!(tags(&client.query("begin")), "CZ");
    assert_eq!(tags(&client.query("delete from acct")), "CZ");
    door.people.revoke("request-1", "the grant was revoked by oidc:bob");
    assert_eq!(client.read().field('C').as_deref(), Some("57P01"));
    eventually("the rollback", || {
        (door.direct("select count(*) from acct") == "2").then_some(())
    });
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
