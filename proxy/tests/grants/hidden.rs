//! What nobody sees into gets what it may do.

use serde_json::{Value, json};

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

/// Code that deletes where no text says so.
const HIDES: &str = "CREATE EXTENSION citext; CREATE EXTENSION pg_trgm; CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$begin delete from acct; return 1; end$$;
    CREATE PROCEDURE purge_all() LANGUAGE plpgsql AS $$begin delete from acct; end$$;
    CREATE VIEW purged AS SELECT purge() AS n;
    CREATE FUNCTION purging() RETURNS trigger LANGUAGE plpgsql AS $$begin new.n = 2; return new; end$$;
    CREATE TABLE inbox (n int);
    CREATE TABLE ruled (n int); CREATE RULE also AS ON INSERT TO ruled DO ALSO DELETE FROM acct;
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
            "select set_limit(0.4)",
            "alter function purge() rename to version; select version()",
            "select n from purged",
            "insert into ruled values (1)",
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
            "select replace('a', 'b', 'c'), split_part('a b'::citext, ' ', 1), regexp_replace('a', 'b', 'c')",
            "select similarity('a', 'b'), public.word_similarity('a', 'b'), 'a' <<% 'b', show_limit()",
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

/// A table, and all the ways to it that do not name it.
const WAYS: &str = "CREATE TABLE heads (id int PRIMARY KEY, n int);
    CREATE TABLE whole (id int, head int REFERENCES heads ON UPDATE CASCADE ON DELETE CASCADE) PARTITION BY RANGE (id);
    CREATE TABLE kept PARTITION OF whole FOR VALUES FROM (0) TO (100);
    INSERT INTO heads VALUES (1, 1); INSERT INTO whole VALUES (1, 1);
    CREATE VIEW shown AS SELECT id, head FROM kept;
    CREATE VIEW shown_again AS SELECT id FROM shown;
    CREATE SCHEMA spare; CREATE TABLE spare.kept (id int, head int);";

#[test]
fn a_rule_about_a_table_speaks_whichever_way_it_is_written() {
    let kept = json!({"name": "kept", "match": {"cel": "'public.kept' in command.written"}, "action": "Deny", "message": "it is kept"});
    let given = Given::open().policy(json!([kept, {"name": "rest", "match": {"any": true}, "action": "Allow"}]));
    let door = TestDoor::new(&given, &format!("{SCHEMA} {WAYS}"));
    let ways: &[&[&str]] = &[
        &["update whole set id = 2"],
        &["insert into whole values (2, 1)"],
        &["update shown set id = 2"],
        &["delete from shown_again"],
        &["delete from heads"],
        &["update heads set id = 2"],
        &["truncate heads cascade"],
        &["drop table whole"],
        &["drop schema public cascade"],
        &["drop owned by current_user"],
        &["alter schema public rename to spare_2"],
        &["grant select on all tables in schema public to public"],
        &["create view made as select * from kept; update made set id = 2"],
        &[
            "create temp view made as select * from shown_again; create view again as select * from made; delete from again",
        ],
        &[
            "create view made as select 1 as id",
            "create or replace view made as select id from kept; delete from made",
        ],
        &["vacuum"],
        &["set search_path = spare", "reset search_path; update kept set id = 2"],
        &["begin; set search_path = spare", "rollback; update kept set id = 2"],
        &[
            "set search_path = spare, public",
            "drop table spare.kept; update kept set id = 2",
        ],
    ];
    for way in ways {
        let printed = door.psql("alice", way);
        let refused = printed.err.contains("42501") && printed.err.contains("it is kept");
        assert!(refused, "{way:?}: {printed:?}");
    }
    for sql in [
        "update heads set n = 2",
        "select id from shown",
        "insert into spare.kept values (1, 1)",
        "create view another as select * from spare.kept; delete from another; drop view another",
    ] {
        assert_eq!(door.psql("alice", &[sql]).err, "", "{sql}");
    }
    assert_eq!(door.direct("select id, head from kept"), "1|1");
}

#[test]
fn what_a_unit_joins_is_reached_by_what_stands_behind_in_it() {
    let cel = "'public.kept' in command.written && 'delete' in command.verbs";
    let kept = json!({"name": "kept", "match": {"cel": cel}, "action": "Deny", "message": "it is kept"});
    let given = Given::open().policy(json!([kept, {"name": "rest", "match": {"any": true}, "action": "Allow"}]));
    let schema = "CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1); CREATE TABLE free (id int);
        CREATE VIEW shown AS SELECT id FROM kept; CREATE VIEW plain AS SELECT id FROM free;
        CREATE SCHEMA spare; CREATE VIEW spare.plain AS SELECT id FROM kept;";
    let door = TestDoor::new(&given, schema);
    for sql in [
        "create table parent (id int not null); alter table kept inherit parent; delete from parent",
        "create table head (id int primary key); insert into head values (1); alter table kept add foreign key (id) references head on delete cascade; delete from head",
        "alter view plain rename to away; alter view shown rename to plain; delete from plain",
        "drop view plain; alter view shown rename to plain; delete from public.plain",
        "alter view public.plain rename to away; alter view spare.plain set schema public; delete from public.plain",
        "create table whole (id int primary key) partition by range (id); alter table whole attach partition kept for values from (0) to (9); delete from whole",
    ] {
        let printed = door.psql("alice", &[sql]);
        let refused = printed.err.contains("42501") && printed.err.contains("it is kept");
        assert!(refused, "{sql}: {printed:?}");
    }
    for sql in [
        "alter table free add n int; delete from free",
        "alter table free rename column n to m; delete from free where m = 1",
        "create table head (id int primary key); alter table free add foreign key (id) references head; insert into head values (1)",
    ] {
        assert_eq!(door.psql("alice", &[sql]).err, "", "{sql}");
    }
    assert_eq!(door.direct("select count(*) from kept"), "1");
}
