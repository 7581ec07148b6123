//! Where nothing is masked, a client sees through the door what it sees without: message by message, byte by byte.

mod copying;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags};
use sallyport_proxy::postgres::frame::put_cstr;

/// Plays something and gives all that came back.
type Play = fn(&mut Client) -> Vec<Message>;

const PLAYS: &[(&str, Play)] = &[
    ("an error in the middle of a pipeline", |client| {
        client
            .parse("", "select id from t where id < 3")
            .bind("", "", &[], 0)
            .describe(b'P', "")
            .execute("", 0);
        client
            .parse("", "select nosuch from t")
            .bind("", "", &[], 0)
            .execute("", 0);
        client
            .parse("", "insert into u values (1, 'x')")
            .bind("", "", &[], 0)
            .execute("", 0)
            .sync();
        let mut got = client.ready();
        got.extend(client.query("select count(*) from u"));
        got
    }),
    ("an error that only running finds", |client| {
        client
            .parse("", "insert into u values (1, 'x')")
            .bind("", "", &[], 0)
            .execute("", 0);
        client
            .parse("d", "select 1 / $1::int")
            .bind("", "d", &["0"], 0)
            .describe(b'P', "")
            .execute("", 0);
        client
            .parse("", "insert into u values (2, 'y')")
            .bind("", "", &[], 0)
            .execute("", 0)
            .sync();
        let mut got = client.ready();
        got.extend(client.query("select * from u"));
        got
    }),
    ("several Syncs in one packet", |client| {
        for id in ["1", "x", "3"] {
            client
                .parse("", "select name from t where id = $1")
                .bind("", "", &[id], 0)
                .execute("", 0);
            client.put(b'S', |_| {});
        }
        client.send();
        (0..3).flat_map(|_| client.ready()).collect()
    }),
    ("Flush gives what there is", |client| {
        client
            .parse("s", "select id, name from t where id = $1")
            .describe(b'S', "s")
            .put(b'H', |_| {})
            .send();
        let mut got = client.some(3);
        client.bind("", "s", &["4"], 0).execute("", 0).put(b'H', |_| {}).send();
        got.extend(client.some(3));
        client.sync();
        got.extend(client.ready());
        got
    }),
    ("an error, then Flush: silence until Sync", |client| {
        client.parse("", "selec").put(b'H', |_| {}).send();
        let mut got = client.some(1);
        client
            .parse("", "select 1")
            .bind("", "", &[], 0)
            .execute("", 0)
            .put(b'H', |_| {})
            .sync();
        got.extend(client.ready());
        got
    }),
    ("portals side by side, suspended and resumed", |client| {
        client.parse("s", "select id from t order by id");
        client.bind("p1", "s", &[], 0).bind("p2", "s", &[], 1);
        client
            .execute("p1", 2)
            .execute("p2", 3)
            .execute("p1", 2)
            .describe(b'P', "p2")
            .execute("p2", 0)
            .execute("p1", 0);
        client.put(b'C', |out| {
            out.push(b'P');
            put_cstr(out, "p1");
        });
        client.execute("p1", 0).sync();
        client.ready()
    }),
    (
        "a portal within a transaction outlives Sync, and not its end",
        |client| {
            let mut got = client.query("begin");
            client
                .parse("", "select id from t order by id")
                .bind("p", "", &[], 0)
                .execute("p", 5)
                .sync();
            got.extend(client.ready());
            client.execute("p", 5).sync();
            got.extend(client.ready());
            got.extend(client.query("commit"));
            client.execute("p", 5).sync();
            got.extend(client.ready());
            got
        },
    ),
    ("results in formats mixed per column", |client| {
        client.parse(
            "s",
            "select id, name, amount, at, tags, doc, raw from t where id < 4 order by id",
        );
        for formats in [
            &[][..],
            &[0],
            &[1],
            &[0, 1, 0, 1, 0, 1, 0],
            &[1, 0, 1, 0, 1, 0, 1],
            &[1, 1],
        ] {
            client.put(b'B', |out| {
                out.extend([0, b's', 0, 0, 0, 0, 0]);
                out.extend(u16::try_from(formats.len()).unwrap().to_be_bytes());
                formats.iter().for_each(|format: &i16| out.extend(format.to_be_bytes()));
            });
            client.execute("", 0).put(b'S', |_| {});
        }
        client.send();
        (0..6).flat_map(|_| client.ready()).collect()
    }),
    ("parameters in binary and text", |client| {
        client.parse("", "select $1::int + 1, $2::text, $3::bytea, $4::int8");
        client.put(b'B', |out| {
            out.extend([0, 0, 0, 4, 0, 1, 0, 0, 0, 1, 0, 1, 0, 4]);
            out.extend([0, 0, 0, 4, 0, 0, 0, 41]);
            out.extend([0, 0, 0, 2]);
            out.extend("é".as_bytes());
            out.extend([0, 0, 0, 3, 0, 255, 7]);
            out.extend((-1i32).to_be_bytes());
            out.extend([0, 1, 0, 1]);
        });
        client.describe(b'P', "").execute("", 0).sync();
        client.ready()
    }),
    ("names: made twice, closed, closed again, gone", |client| {
        client.parse("s", "select 1").sync();
        let mut got = client.ready();
        for tag in [b'P', b'C', b'C', b'B'] {
            match tag {
                b'P' => client.parse("s", "select 2"),
                b'B' => client.bind("", "s", &[], 0),
                tag => client.put(tag, |out| {
                    out.push(b'S');
                    put_cstr(out, "s");
                }),
            };
            client.sync();
            got.extend(client.ready());
        }
        client.describe(b'S', "s").sync();
        got.extend(client.ready());
        client.describe(b'P', "nosuch").sync();
        got.extend(client.ready());
        got
    }),
    ("nothing at all, in both protocols", |client| {
        let mut got = client.query("");
        got.extend(client.query(" ; -- nothing\n ;"));
        client
            .parse("", "")
            .bind("", "", &[], 0)
            .describe(b'P', "")
            .execute("", 0)
            .sync();
        got.extend(client.ready());
        client.sync();
        got.extend(client.ready());
        client.put(b'H', |_| {}).sync();
        got.extend(client.ready());
        got
    }),
    ("several commands in one Prepare", |client| {
        client.parse("", "select 1; select 2").sync();
        client.ready()
    }),
    ("several statements in a Query string, one of them wrong", |client| {
        let mut got = client.query("insert into u values (1, 'a'); select * from u; select 1/0; select 2");
        got.extend(client.query("select count(*) from u; select 'b' as b, 7 as n"));
        got
    }),
    ("Queries before the answers to those before", |client| {
        for sql in ["select 1", "select 1/0", "select 'three'"] {
            client.put(b'Q', |out| put_cstr(out, sql));
        }
        client.send();
        (0..3).flat_map(|_| client.ready()).collect()
    }),
    ("a Query amid a pipeline that was not synced", |client| {
        client.parse("", "select 1").bind("", "", &[], 0).execute("", 0);
        client.put(b'Q', |out| put_cstr(out, "select 2")).sync();
        let mut got = client.ready();
        got.extend(client.ready());
        got
    }),
    ("transactions, savepoints and their states", |client| {
        let commands = [
            "begin",
            "insert into u values (5, 'five')",
            "savepoint a",
            "select 1/0",
            "select 2",
            "rollback to a",
            "select * from u",
            "commit",
            "rollback",
            "begin isolation level serializable read only",
            "insert into u values (6)",
            "commit",
            "select count(*) from u",
            "begin; select 1; commit; begin",
            "rollback and chain",
            "end",
        ];
        commands.iter().flat_map(|sql| client.query(sql)).collect()
    }),
    ("cursors", |client| {
        let commands = [
            "begin",
            "declare c scroll cursor for select id, name from t order by id",
            "fetch 2 from c",
            "fetch backward 1 from c",
            "move 3 in c",
            "fetch c",
            "close c",
            "rollback",
            "begin",
            "declare h cursor with hold for select id from t order by id",
            "commit",
            "fetch 3 from h",
            "close h",
            "close all",
        ];
        commands.iter().flat_map(|sql| client.query(sql)).collect()
    }),
    ("a cursor of SQL, described as the portal that it is", |client| {
        let mut got = client.query("begin");
        got.extend(client.query("declare \"C\" cursor for select id, name from t order by id"));
        client.describe(b'P', "C").sync();
        got.extend(client.ready());
        got.extend(client.query("fetch 2 from \"C\""));
        client.describe(b'P', "nosuch").sync();
        got.extend(client.ready());
        got
    }),
    ("prepared by SQL, run by both", |client| {
        let mut got = client.query("prepare q (int) as select name from t where id = $1");
        got.extend(client.query("execute q (7)"));
        client.bind("", "q", &["8"], 0).describe(b'P', "").execute("", 0).sync();
        got.extend(client.ready());
        got.extend(client.query("deallocate q"));
        got
    }),
    ("settings and what the server reports of them", |client| {
        let commands = [
            "set application_name = 'x'",
            "set datestyle = 'SQL, DMY'",
            "select at from t where id = 1",
            "set timezone = 'UTC'",
            "reset datestyle",
            "show datestyle",
            "begin",
            "set local timezone = 'CET'",
            "rollback",
            "set nosuch = 1",
        ];
        commands.iter().flat_map(|sql| client.query(sql)).collect()
    }),
    ("notices and warnings", |client| {
        let commands = [
            "drop table if exists nosuch",
            "commit",
            "create table t2 (id int primary key)",
            "truncate t2",
            "drop table t2",
        ];
        commands.iter().flat_map(|sql| client.query(sql)).collect()
    }),
    ("writing with RETURNING", |client| {
        let commands = [
            "insert into u values (1, 'a'), (2, 'b') returning id",
            "update u set name = upper(name) returning *",
            "delete from u where id = 1 returning name",
            "select * from u",
            "merge into u using t on u.id = t.id when matched then delete",
        ];
        commands.iter().flat_map(|sql| client.query(sql)).collect()
    }),
    ("errors with their position and names", |client| {
        let commands = [
            "select * from t whre id = 1",
            "insert into t (id) values (1)",
            "select nofunction(1)",
            "select 'é', nosuch from t",
            "create table t (id int)",
            "select * from nosuch.x",
            "insert into t (id) values ('x')",
            "select 1 +",
        ];
        commands.iter().flat_map(|sql| client.query(sql)).collect()
    }),
];

/// Where rules hide something, the words of what comes through a cursor that the door has not seen made may be those of code.
const UNSEEN: &[(&str, Play)] = &[("a cursor that is gone", |client| {
    let commands = [
        "begin",
        "declare c cursor for select id from t",
        "close c",
        "fetch c",
        "rollback",
    ];
    commands.iter().flat_map(|sql| client.query(sql)).collect()
})];

/// What rules are about, and no play.
const PROTECTED: &str = "CREATE TABLE customers (id int PRIMARY KEY, ssn text, ssn_num bigint); \
     INSERT INTO customers VALUES (1, '536-90-4399', 536904399);";

#[test]
fn what_comes_through_the_door_is_what_comes_without() {
    plays_alike(&Given::open(), &[PLAYS, copying::PLAYS, UNSEEN].concat());
}

#[test]
fn rules_about_something_else_change_nothing() {
    plays_alike(&Given::cases(), &[PLAYS, copying::PLAYS].concat());
}

fn plays_alike(given: &Given, plays: &[(&str, Play)]) {
    let door = TestDoor::new(given, &(SCHEMA.to_owned() + PROTECTED));
    let mut differ = Vec::new();
    for (name, play) in plays {
        let played = |mut client: Client| {
            door.direct("truncate u");
            play(&mut client).into_iter().map(shown).collect::<Vec<_>>()
        };
        let without = played(Client::direct(door.server(), &door.database, &[]).unwrap());
        let through = played(Client::login(&door, "alice", &[]).unwrap());
        if let Some(at) = (0..without.len().max(through.len())).find(|i| without.get(*i) != through.get(*i)) {
            differ.push(format!(
                "{name}: at {at}\n  without {:?}\n  through {:?}",
                without.get(at),
                through.get(at)
            ));
        }
        assert!(without.len() > 1, "{name}");
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// A message without what tells of the server's own source (file, line, routine).
fn shown(message: Message) -> (char, String) {
    if !matches!(message.tag, 'E' | 'N') {
        return (message.tag, message.body.escape_ascii().to_string());
    }
    let fields = ['S', 'V', 'C', 'M', 'D', 'H', 'P', 's', 't', 'c', 'n'];
    let fields = fields
        .iter()
        .filter_map(|code| Some(format!("{code}{}", message.field(*code)?)));
    (message.tag, fields.collect::<Vec<_>>().join(" | "))
}

#[test]
fn notifications_come_with_the_process_that_a_client_knows() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut listener = Client::login(&door, "alice", &[]).unwrap();
    let mut other = Client::login(&door, "bob", &[]).unwrap();
    listener.query("listen news");
    let got = listener.query("notify news, 'own'");
    assert_eq!(tags(&got), "CAZ");
    let (pid, text) = heard(&got[1]);
    assert_eq!((pid, text.as_str()), (listener.key.0, "news\0own\0"));
    other.query("notify news, 'other'");
    // It comes while nothing is asked.
    let (pid, text) = heard(&listener.read());
    assert_eq!((pid, text.as_str()), (other.key.0, "news\0other\0"));
    listener.query("unlisten *");
    other.query("notify news, 'nobody'");
    assert_eq!(tags(&listener.query("select 1")), "TDCZ");
}

fn heard(message: &Message) -> (i32, String) {
    assert_eq!(message.tag, 'A');
    let pid = i32::from_be_bytes(*message.body.first_chunk().unwrap());
    (pid, String::from_utf8_lossy(&message.body[4..]).into_owned())
}
