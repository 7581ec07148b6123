//! CASCADE gets what is due to all that PostgreSQL takes along by it, and to no more where the catalog tells.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message};

/// Migrations change `app`; what hangs on it in `kept` is not theirs.
const SCHEMA: &str = "CREATE SCHEMA app; CREATE SCHEMA kept; CREATE EXTENSION citext;
    CREATE TABLE app.t (id serial PRIMARY KEY, x int, y int, z int GENERATED ALWAYS AS IDENTITY,
        g int GENERATED ALWAYS AS (x * 2) STORED, w int, free int, UNIQUE (w) INCLUDE (y));
    CREATE VIEW app.v AS SELECT x FROM app.t; CREATE VIEW kept.vv AS SELECT x FROM app.v;
    CREATE MATERIALIZED VIEW kept.mv AS SELECT g FROM app.t;
    CREATE VIEW kept.grouped AS SELECT id, y FROM app.t GROUP BY id;
    CREATE TABLE kept.fk (tid int REFERENCES app.t (id), wid int REFERENCES app.t (w));
    CREATE TABLE kept.def (n int DEFAULT nextval('app.t_id_seq'));
    CREATE TABLE kept.pol (n int); CREATE POLICY p ON kept.pol USING (n IN (SELECT y FROM app.t));
    CREATE TABLE kept.rul (n int); CREATE RULE r AS ON INSERT TO kept.rul DO ALSO INSERT INTO app.t (w) VALUES (1);
    CREATE TABLE app.plain (id int PRIMARY KEY, n int); CREATE VIEW app.of_plain AS SELECT n FROM app.plain;
    CREATE TABLE app.named (n int); CREATE TABLE kept.chk (n int CHECK (n::oid <> 'app.named'::regclass));
    CREATE TABLE app.pair (p int, q int); CREATE TABLE kept.holds (n int, one app.pair); CREATE TABLE kept.many (n int, all_of_them app.pair[]);
    CREATE TABLE app.one (id int PRIMARY KEY); CREATE TABLE app.two (id int PRIMARY KEY REFERENCES app.one);
    CREATE TABLE kept.three (id int REFERENCES app.two);
    CREATE TABLE app.parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE app.part PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE kept.of_parts (id int REFERENCES app.parts) PARTITION BY RANGE (id);
    CREATE TABLE kept.of_part PARTITION OF kept.of_parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE app.another (c int); CREATE TABLE app.parent (a int, b int); CREATE TABLE app.child () INHERITS (app.another, app.parent);
    CREATE VIEW kept.of_child AS SELECT b FROM app.child;
    CREATE TABLE app.argument (a int, b int); CREATE FUNCTION app.f(app.argument) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION app.counts() RETURNS bigint BEGIN ATOMIC SELECT count(b) FROM app.argument; END;
    CREATE TABLE app.base (n int, m int); CREATE VIEW app.part_of_it AS SELECT n FROM app.base;
    ALTER EXTENSION citext ADD VIEW app.part_of_it;
    CREATE TABLE app.solo (n int); CREATE FUNCTION app.trg() RETURNS trigger LANGUAGE plpgsql AS 'begin return null; end';
    CREATE CONSTRAINT TRIGGER c AFTER INSERT ON kept.rul FROM app.solo FOR EACH ROW EXECUTE FUNCTION app.trg();
    CREATE TABLE app.key (p int, q int); CREATE TABLE app.by_key (n int, one app.key) PARTITION BY LIST (one);
    CREATE VIEW kept.of_by_key AS SELECT n FROM app.by_key;
    CREATE TABLE app.arbiter (id int PRIMARY KEY); CREATE TABLE kept.counted (n int);
    CREATE RULE r AS ON INSERT TO kept.counted DO ALSO INSERT INTO app.arbiter VALUES (new.n) ON CONFLICT ON CONSTRAINT arbiter_pkey DO NOTHING;
    CREATE TABLE app.summed (id int PRIMARY KEY, n int); CREATE FUNCTION app.sums() RETURNS int
        BEGIN ATOMIC SELECT max(s.n) FROM (SELECT id, n FROM app.summed GROUP BY id) s; END;
    CREATE VIEW kept.of_sums AS SELECT app.sums();
    CREATE SEQUENCE app.lone; CREATE SEQUENCE app.moving; CREATE TABLE kept.moved (n int DEFAULT nextval('app.moving'));
    CREATE TYPE app.kind AS ENUM ('a'); CREATE TABLE kept.kinds (n int, k app.kind);";

/// All that there is in `kept`, and which files hold its rows.
const KEPT: &str = "WITH k(oid) AS (SELECT oid FROM pg_class WHERE relnamespace = 'kept'::regnamespace)
    SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT concat('r', oid, ' ', pg_relation_filenode(oid)) FROM k
    UNION ALL SELECT concat('a', attrelid, ' ', attnum) FROM pg_attribute WHERE attrelid IN (TABLE k) AND NOT attisdropped
    UNION ALL SELECT concat('c', oid) FROM pg_constraint WHERE conrelid IN (TABLE k)
    UNION ALL SELECT concat('d', oid) FROM pg_attrdef WHERE adrelid IN (TABLE k)
    UNION ALL SELECT concat('p', oid) FROM pg_policy WHERE polrelid IN (TABLE k)
    UNION ALL SELECT concat('w', oid) FROM pg_rewrite WHERE ev_class IN (TABLE k)
    UNION ALL SELECT concat('t', oid) FROM pg_trigger WHERE tgrelid IN (TABLE k) AND NOT tgisinternal) s(x)";

fn door() -> TestDoor {
    let changes = "command.verbs.exists(v, v in ['alter', 'drop', 'truncate']) && command.written.exists(t, t.startsWith('kept.'))";
    let rules = json!([
        {"name": "kept", "match": {"cel": changes}, "action": "Deny", "message": "this is not yours"},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]);
    TestDoor::new(&Given::open().policy(rules), SCHEMA)
}

fn is_refused(answer: &[Message]) -> bool {
    let said = answer.iter().find_map(|message| message.field('M')).unwrap_or_default();
    said.contains("this is not yours")
}

/// Whether a statement is refused, in a transaction that is taken back.
fn refuses(client: &mut Client, sql: &str) -> bool {
    client.query("begin");
    let answer = client.query(sql);
    client.query("rollback");
    let refused = is_refused(&answer);
    let failed = answer.iter().any(|message| message.tag == 'E');
    assert_eq!(refused, failed, "{sql}: {answer:?}");
    refused
}

#[test]
fn cascade_is_refused_where_it_reaches_what_is_kept() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let dropped = |column: &str| format!("alter table app.{} cascade", column.replace('.', " drop column "));
    for (sql, refused) in [
        (dropped("t.x"), true),
        (dropped("t.g"), true),
        (dropped("t.y"), true),
        (dropped("t.w"), true),
        (dropped("t.id"), true),
        (dropped("t.z"), false),
        (dropped("t.free"), false),
        (format!("{}, drop x cascade", dropped("t.free")), true),
        (dropped("plain.n"), false),
        (dropped("plain.id"), false),
        (dropped("pair.p"), false),
        (dropped("parent.a"), false),
        (dropped("parent.b"), true),
        (dropped("argument.a"), false),
        (dropped("base.m"), false),
        ("alter table app.t drop column if exists gone cascade".to_owned(), false),
    ] {
        judged(&door, &mut client, &sql, refused);
    }
    for (sql, refused) in [
        ("alter table app.t drop constraint t_pkey cascade", true),
        ("alter table app.t drop constraint t_w_y_key cascade", true),
        ("alter table app.plain drop constraint plain_pkey cascade", false),
        ("alter table app.parts drop constraint parts_pkey cascade", true),
        ("alter table app.arbiter drop constraint arbiter_pkey cascade", true),
        ("alter table app.summed drop constraint summed_pkey cascade", true),
        ("drop table app.t cascade", true),
        ("drop table app.plain cascade", false),
        ("drop table app.plain, app.pair cascade", true),
        ("drop table if exists app.gone cascade", false),
        ("drop table app.named cascade", true),
        ("drop table app.pair cascade", true),
        ("drop table app.key cascade", true),
        ("drop table app.one cascade", false),
        ("drop table app.two cascade", true),
        ("drop table app.part cascade", true),
        ("drop table app.parts cascade", true),
        ("drop table app.child cascade", true),
        ("drop table app.parent cascade", true),
        ("drop table app.solo cascade", true),
        ("drop view app.v cascade", true),
        ("drop view app.of_plain cascade", false),
        ("drop sequence app.t_id_seq cascade", true),
        ("drop sequence app.lone cascade", false),
        ("truncate app.t cascade", true),
        ("truncate app.plain cascade", false),
        ("truncate app.one cascade", true),
        ("truncate app.part cascade", true),
        ("drop type app.kind cascade", true),
        ("drop schema app cascade", true),
    ] {
        judged(&door, &mut client, sql, refused);
    }
    // What is not followed is refused, whatever it is.
    for sql in [
        "drop table app.argument cascade",
        "alter table app.argument drop column b cascade",
        "drop table app.base cascade",
        "drop function app.trg cascade",
    ] {
        assert!(refuses(&mut client, sql), "{sql}");
    }
}

/// Holds the door's word against what PostgreSQL does.
fn judged(door: &TestDoor, client: &mut Client, sql: &str, refused: bool) {
    let did = door.direct(&format!("begin; {KEPT}; {sql}; {KEPT}; rollback"));
    let states: Vec<&str> = did.lines().collect();
    let [before, after] = states.as_slice() else {
        panic!("{sql}: {did}");
    };
    assert_eq!(before != after, refused, "{sql}: what PostgreSQL does");
    assert_eq!(refuses(client, sql), refused, "{sql}");
}

#[test]
fn what_comes_to_hang_on_something_is_noticed() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let column = "alter table app.t drop column free cascade";
    for (does, undoes) in [
        ("create view kept.late as select free from app.t", "drop view kept.late"),
        (
            "create view app.early as select free from app.t; create view kept.late as select 1 from app.early",
            "drop view kept.late, app.early",
        ),
        (
            "alter sequence app.moving owned by app.t.free",
            "alter sequence app.moving owned by none",
        ),
        (
            "create function app.late() returns bigint begin atomic select count(free) from app.t; end",
            "drop function app.late",
        ),
    ] {
        assert!(!refuses(&mut client, column), "before: {does}");
        door.direct(does);
        assert!(refuses(&mut client, column), "{does}");
        door.direct(undoes);
    }
    assert!(!refuses(&mut client, column));

    // What the session did itself, and nobody else sees.
    client.query("begin");
    client.query("create view kept.own as select free from app.t");
    assert!(is_refused(&client.query(column)));
    client.query("rollback");
    // What a statement of the same string did, nobody knows.
    for (sql, refused) in [
        ("create view app.own as select 1; drop table app.plain cascade", true),
        ("select 1; drop table app.plain cascade; select error", false),
        ("begin; drop table app.plain cascade; rollback", false),
    ] {
        assert_eq!(is_refused(&client.query(sql)), refused, "{sql}");
    }
}

#[test]
fn a_temporary_table_is_dropped_with_what_hangs_on_it() {
    let door = door();
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("create temp table passing (id serial primary key)");
    assert!(!refuses(&mut client, "drop table passing cascade"));
    assert!(!refuses(&mut client, "truncate passing cascade"));
    client.query("create temp view over_it as select id from passing");
    assert!(!refuses(&mut client, "drop table passing cascade"));
    client.query("create table kept.of_passing (n int, one passing)");
    assert!(refuses(&mut client, "drop table passing cascade"));
    assert!(!refuses(&mut client, "truncate passing cascade"));
}
