//! Columns stay protected at a door that begins anew: by what was kept for it, and nothing is copied that others could show.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use std::sync::Once;

use common::door::{Given, TestDoor};
use common::eventually;
use common::wire::{Client, Message, value};
use sallyport_audit::record::{Event, Fate, NotRun};
use sallyport_policy::columns::{ByRule, MAX_KEYS, target};
use sallyport_proxy::door::{NotKept, Rules};
use sallyport_proxy::postgres::frame::put_cstr;
use serde_json::json;

const SCHEMA: &str = "CREATE TABLE customers (id int, ssn text); INSERT INTO customers VALUES (1, '536-90-4399');
    CREATE TABLE notes (id int, note text);";
/// md5 of the number: no detector knows it.
const DIGEST: &str = "SELECT md5('536-90-4399')";

fn masked() -> Given {
    Given::open().mask("columns", json!({"match": {"columns": ["public.customers.ssn"]}}))
}

/// The same rules, with what was kept under them.
fn with(kept: &ByRule, database: &str) -> Given {
    Given {
        columns: std::collections::BTreeMap::from([(database.to_owned(), kept.clone())]),
        ..masked()
    }
}

/// Another replica, or the same after a restart.
fn begun_anew(door: &TestDoor, kept: &ByRule) -> TestDoor {
    TestDoor::before(&with(kept, &door.database), door.shared_server(), door.database.clone())
}

#[test]
fn a_rename_past_a_door_that_is_away_unmasks_nothing() {
    let door = TestDoor::new(&masked(), SCHEMA);
    let first = door.psql("alice", &["select ssn from customers"]);
    assert!(!first.out.contains("536"), "{first:?}");
    let kept = eventually("what the names fitted to be kept", || {
        let kept = door.replicas.kept();
        (!kept.is_empty()).then_some(kept)
    });
    door.direct("ALTER TABLE customers RENAME COLUMN ssn TO harmless");

    let sql = ["select harmless from customers"];
    let forgetful = begun_anew(&door, &ByRule::new()).psql("alice", &sql);
    assert_eq!(forgetful.out, "536-90-4399", "or this tests nothing");
    let told = begun_anew(&door, &kept).psql("alice", &sql);
    assert!(told.code == 0 && !told.out.contains("536"), "{told:?}");
}

#[test]
fn a_primary_key_that_a_rule_masks_is_told_by_its_name() {
    let told = |schema: &str| {
        let given = Given::open().mask("columns", json!({"match": {"columns": ["public.*.ssn"]}}));
        let door = TestDoor::new(&given, schema);
        let read = door.psql("alice", &["select at from people"]);
        assert_eq!(read.code, 0, "{read:?}");
        eventually("what is masked to be told", || {
            let kept = door.replicas.kept();
            (!kept.is_empty()).then_some(kept)
        })
    };
    let names = |kept: &ByRule| -> Vec<String> {
        let keys = kept.values().flat_map(|columns| &columns.keys);
        keys.map(|key| format!("{}.{}.{}", key.schema, key.relation, key.column.as_deref().unwrap()))
            .collect()
    };
    let kept = told(
        "CREATE TABLE people (name text, ssn text, at int, PRIMARY KEY (at, ssn));
         CREATE TABLE notes (id int PRIMARY KEY, ssn text UNIQUE)",
    );
    assert_eq!(names(&kept), ["public.people.ssn"]);
    let many: String = (0..20)
        .map(|n| format!("CREATE TABLE t{n} (ssn text PRIMARY KEY); "))
        .collect();
    let kept = told(&format!("{many} CREATE TABLE people (ssn text, at int)"));
    assert_eq!(names(&kept).len(), MAX_KEYS, "as many as a warning needs");
    assert!(kept.values().all(|columns| columns.matched.len() == 21), "{kept:?}");
}

#[test]
fn a_name_that_fits_no_column_is_known_until_one_is_made() {
    let name = "public.customers.snn".to_owned();
    let door = TestDoor::new(
        &Given::open().mask("columns", json!({"match": {"columns": [name]}})),
        SCHEMA,
    );
    let Rules::Open(open) = door.rules.borrow().clone() else {
        panic!("the door is shut")
    };
    let at = target(&open.spec.target.host, open.spec.target.port);
    let names = [name];
    let absent = || door.alive.absent(&at, &names);
    assert_eq!(absent(), None, "nobody has looked");
    let read = ["select ssn from customers"];
    assert_eq!(door.psql("alice", &read).out, "536-90-4399", "nothing is masked by it");
    let found = absent().unwrap().remove(&names[0]).unwrap();
    assert_eq!(found.meant.as_deref(), Some("public.customers.ssn"));
    assert!(found.databases.iter().eq([&door.database]), "{found:?}");

    door.direct("ALTER TABLE customers ADD COLUMN snn text");
    eventually("the column to be seen", || {
        let read = door.psql("alice", &read);
        assert_eq!(read.code, 0, "{read:?}");
        absent().unwrap().is_empty().then_some(())
    });
}

#[test]
fn copies_stay_protected_at_a_door_that_did_not_see_them_made() {
    let door = TestDoor::new(&masked(), SCHEMA);
    let copies = [
        "create table x as select id, md5(ssn) as harmless from customers",
        "insert into notes select id, md5(ssn) from customers",
    ];
    let made = door.psql("alice", &copies);
    assert_eq!(made.code, 0, "{made:?}");
    let digest = door.direct(DIGEST);
    let kept = door.replicas.kept();
    let read = ["select harmless from x", "select note from notes"];
    let forgetful = begun_anew(&door, &ByRule::new()).psql("alice", &read);
    assert!(forgetful.out.contains(&digest), "or this tests nothing: {forgetful:?}");
    let anew = begun_anew(&door, &kept);
    let told = anew.psql("alice", &read);
    assert!(told.code == 0 && !told.out.contains(&digest), "{told:?}");

    // What was known by its name is kept by its number from then on, whichever of the two doors came to tell it.
    let kept = eventually("both copies to be kept by their numbers", || {
        let mut all = kept.clone();
        for (rule, columns) in anew.replicas.kept() {
            all.entry(rule).or_default().merge(&columns);
        }
        all.values().any(|columns| columns.copies.len() > 1).then_some(all)
    });
    door.direct("ALTER TABLE x RENAME COLUMN harmless TO y; ALTER TABLE x RENAME TO z");
    let renamed = begun_anew(&door, &kept).psql("alice", &["select y from z"]);
    assert!(renamed.code == 0 && !renamed.out.contains(&digest), "{renamed:?}");
}

#[test]
fn nothing_is_copied_that_another_replica_could_show() {
    let door = TestDoor::new(&masked(), SCHEMA);
    door.replicas.answer(Some(NotKept::Away));
    let copy = "insert into notes select id, md5(ssn) from customers";
    for copy in [copy, "create table x as select md5(ssn) from customers"] {
        let refused = door.psql("alice", &[copy]);
        assert!(
            refused.err.contains("57P03: nothing that copies")
                && refused
                    .err
                    .contains("while not every replica of the door can protect the copy: try again"),
            "{refused:?}"
        );
    }
    assert_eq!(door.direct("select count(*) from notes"), "0");
    let unrun =
        |event: &Event| matches!(event, Event::Outcome(outcome) if outcome.why == Some(NotRun::SentWithRefused));
    door.recorded_times("both as not run", 2, unrun);
    let fine = door.psql(
        "alice",
        &[
            "insert into notes values (1, 'x')",
            "create temporary table own as select md5(ssn) as m from customers",
            "select count(*) from own",
        ],
    );
    assert!(
        fine.code == 0 && fine.out == "1",
        "what copies nothing, or for nobody else, runs: {fine:?}"
    );

    // What every replica protects already asks nobody.
    door.replicas.answer(None);
    assert_eq!(door.psql("alice", &[copy]).code, 0);
    let known = begun_anew(&door, &door.replicas.kept());
    known.replicas.answer(Some(NotKept::Away));
    let again = known.psql("alice", &[copy]);
    assert_eq!(again.code, 0, "{again:?}");

    known.replicas.answer(Some(NotKept::Full));
    let full = known.psql("alice", &["create table y as select md5(ssn) from customers"]);
    assert!(
        full.err.contains("42501: nothing more") && full.err.contains("is full"),
        "{full:?}"
    );
}

/// A unit is judged by the catalog that was known last while that is asked about.
#[test]
fn what_was_judged_by_a_catalog_that_proves_old_is_judged_anew() {
    let door = TestDoor::new(
        &masked(),
        &format!("{SCHEMA} CREATE VIEW seen AS SELECT id::text AS v FROM customers"),
    );
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut seen = || value(&client.query("select v from seen"));
    // More often than a short session asks: from then on its own thread does.
    for _ in 0..12 {
        assert_eq!(seen(), "1");
    }
    let digest = door.direct(DIGEST);
    for definition in ["md5(ssn)", "id::text || 'x'", "md5(ssn)"] {
        door.direct(&format!(
            "CREATE OR REPLACE VIEW seen AS SELECT {definition} AS v FROM customers"
        ));
        let value = seen();
        assert_ne!(value, digest);
        assert_eq!(value == "1x", definition.starts_with("id"), "{value}");
    }
    door.recorded("a command that was judged again", |event| match event {
        Event::Outcome(outcome) if outcome.why == Some(NotRun::JudgedAgain) => {
            assert_eq!(outcome.fate, Fate::NotRun);
            Some(())
        }
        _ => None,
    });
}

/// A statement that copies waits until others protect the copy. What it reads stays what it was looked at as for so long.
#[test]
fn what_is_copied_cannot_change_while_other_replicas_are_told() {
    let door = TestDoor::new(
        &masked(),
        &format!("{SCHEMA} CREATE VIEW seen AS SELECT id::text AS v FROM customers"),
    );
    door.psql("alice", &["select ssn from customers"]);
    eventually("others to know the column", || {
        (!door.replicas.kept().is_empty()).then_some(())
    });
    let (server, database) = (door.shared_server(), door.database.clone());
    let once = Once::new();
    door.replicas.meanwhile(move || {
        once.call_once(|| {
            let (its, name) = (server.clone(), database.clone());
            std::thread::spawn(move || {
                its.sql(
                    &name,
                    "CREATE OR REPLACE VIEW seen AS SELECT md5(ssn) AS v FROM customers",
                )
            });
            let waiting = "select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock' and query like 'CREATE OR REPLACE VIEW seen %'";
            eventually("the other definition to wait", || {
                (server.sql(&database, waiting) == "1").then_some(())
            });
        });
    });
    let sql = "insert into notes select id, md5(ssn) from customers returning (select v from seen)";
    let printed = door.psql("alice", &[sql]);
    let digest = door.direct(DIGEST);
    assert_eq!(door.direct("select count(*) from notes"), "1", "{printed:?}");
    assert!(printed.code == 0 && !printed.out.contains(&digest), "{printed:?}");
    eventually("the other definition", || {
        (door.direct("select v from seen") == digest).then_some(())
    });
}

#[test]
fn what_changes_while_others_are_told_of_what_was_approved_is_not_what_was_approved() {
    let approval = json!({"approvers": [{"kind": "Group", "name": "oidc:dba"}]});
    let given = masked().policy(json!([
        {"name": "asked", "match": {"cel": "'insert' in command.verbs"}, "action": "RequireApproval", "approval": approval},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]));
    let schema = format!(
        "{SCHEMA} INSERT INTO customers VALUES (2, '219-09-9999');
         CREATE VIEW payable AS SELECT id FROM customers WHERE id = 1;"
    );
    let sql = "insert into notes select id, md5(ssn) from customers where id in (select id from payable)";
    for piped in [false, true] {
        let door = TestDoor::new(&given, &schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.query("select ssn from customers");
        eventually("others to know the column", || {
            (!door.replicas.kept().is_empty()).then_some(())
        });
        if piped {
            client.parse("", sql).bind("", "", &[], 0).execute("", 0).sync();
        } else {
            client.put(b'Q', |out| put_cstr(out, sql)).send();
        }
        let (request, _) = door.people.asked(1);
        // Others are told of the copy before the last look at it, and have seconds for that.
        let (server, database) = (door.shared_server(), door.database.clone());
        door.replicas.meanwhile(move || {
            server.sql(&database, "CREATE OR REPLACE VIEW payable AS SELECT id FROM customers");
        });
        door.people.approve(&request);
        let got = client.ready();
        let words = got
            .iter()
            .find_map(|message| message.field('M').filter(|_| message.tag == 'E'));
        let changed = "what the command means has changed while it waited: the approval is not for this";
        assert_eq!(words.as_deref(), Some(changed), "{piped}");
        assert_eq!(door.direct("select count(*) from notes"), "0", "{piped}");
        assert_eq!(
            door.direct("select count(*) from payable"),
            "2",
            "or this tests nothing"
        );
    }
}

/// Free text that no detector knows, and the number of an order that looks like what one does.
const REMARKS: &str =
    "CREATE TABLE clients (id int, remark text); INSERT INTO clients VALUES (1, 'owes Tom since May');
    CREATE TABLE orders (client int, number text); INSERT INTO orders VALUES (1, '000-12-3456');";
const NUMBER: &str = "000-12-3456";
/// A part of the text, as it stands and as expressions turn it.
const REMARK: [&str; 3] = ["owes Tom", "OWES TOM", "moT sewo"];

fn remarks() -> Given {
    let columns = json!({"columns": ["public.clients.remark", "public.clients.note*"]});
    let detectors = json!({"detectors": ["US_SSN", "CREDIT_CARD"]});
    Given::open()
        .mask("remarks", json!({"match": columns}))
        .mask("numbers", json!({"match": detectors}))
}

/// Ways to read a column of the clients beside the number of an order.
fn ways(column: &str) -> Vec<String> {
    let join = format!("select o.number, c.{column} from orders o join clients c on c.id = o.client");
    let alias = format!("select o.number, c.number as other from orders o, (select {column} as number from clients) c");
    let mut ways = vec![join.clone(), alias];
    ways.extend(["text", "csv", "binary"].map(|format| format!("copy ({join}) to stdout (format {format})")));
    ways
}

/// What a client reads: rows, and data of a COPY.
fn read(answer: &[Message]) -> String {
    let failed = answer.iter().find(|message| message.tag == 'E');
    assert!(failed.is_none(), "{:?}", failed.map(Message::text));
    let values = answer.iter().filter(|message| matches!(message.tag, 'D' | 'd'));
    values.map(Message::text).collect()
}

fn shows(text: &str) -> bool {
    REMARK.iter().any(|part| text.contains(part))
}

/// The column is masked and the number beside it is not, whichever way they are read.
fn masked_every_way(door: &TestDoor, client: &mut Client, column: &str) {
    for sql in ways(column) {
        let direct = door.direct_lossy(&sql);
        assert!(
            shows(&direct) && direct.contains(NUMBER),
            "or this tests nothing: {sql}: {direct}"
        );
        let mut answers = vec![read(&client.query(&sql))];
        for format in [0, 1] {
            client.parse("", &sql).bind("", "", &[], format).execute("", 0).sync();
            answers.push(read(&client.ready()));
        }
        for answer in answers {
            assert!(!shows(&answer) && answer.contains(NUMBER), "{sql}: {answer}");
        }
    }
}

#[test]
fn free_text_is_masked_by_where_it_comes_from_and_its_neighbour_is_read() {
    let door = TestDoor::new(&remarks(), REMARKS);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    masked_every_way(&door, &mut client, "remark");
    // Renamed past the door, then by the session itself: for whoever was in before, and for whoever comes.
    door.direct("ALTER TABLE clients RENAME COLUMN remark TO harmless");
    masked_every_way(&door, &mut client, "harmless");
    read(&client.query("alter table clients rename column harmless to number"));
    masked_every_way(&door, &mut client, "number");
    masked_every_way(&door, &mut Client::login(&door, "alice", &[]).unwrap(), "number");
}

#[test]
fn what_is_made_while_a_transaction_is_open_is_masked_in_it() {
    for isolation in ["read committed", "repeatable read"] {
        let door = TestDoor::new(&remarks(), REMARKS);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        read(&client.query(&format!("begin isolation level {isolation}")));
        // From here on it reads by the snapshot that it keeps; names mean what they mean now.
        let neighbour = "select number from orders";
        assert!(read(&client.query(neighbour)).contains(NUMBER));

        door.direct("ALTER TABLE clients ADD COLUMN note text DEFAULT 'owes Tom still'");
        door.direct("CREATE VIEW theirs AS SELECT upper(remark) AS number FROM clients");
        let theirs = ["select note from clients", "select number from theirs"];
        for sql in theirs {
            assert!(shows(&door.direct(sql)), "or this tests nothing: {sql}");
            let answer = read(&client.query(sql));
            assert!(
                answer.contains("[REDACTED]") && !shows(&answer),
                "{isolation}: {sql}: {answer}"
            );
        }
        assert!(read(&client.query(neighbour)).contains(NUMBER), "{isolation}");

        read(&client.query("commit"));

        for (made, sql) in [
            (
                "create view own as select reverse(remark) as number from clients",
                "select number from own",
            ),
            (
                "alter table clients add column note2 text default 'owes Tom again'",
                "select note2 from clients",
            ),
        ] {
            read(&client.query(&format!("begin isolation level {isolation}")));
            read(&client.query(made));
            for sql in [sql, theirs[0], theirs[1]] {
                let answer = read(&client.query(sql));
                assert!(!shows(&answer), "{isolation}: {sql}: {answer}");
            }
            read(&client.query("commit"));
            assert!(shows(&door.direct(sql)), "or this tests nothing: {sql}");
            let answer = read(&client.query(sql));
            assert!(
                answer.contains("[REDACTED]") && !shows(&answer),
                "{isolation}: {sql}: {answer}"
            );
            assert!(read(&client.query(neighbour)).contains(NUMBER), "{isolation}");
        }
    }
}
