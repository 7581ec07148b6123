//! Programs that save whole rows do not write what a mask shows over what it hides.

use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

const STORED: &str = "536-90-4399";

#[test]
fn what_a_detector_shows_is_not_written_over_what_it_hides() {
    let found = json!({"match": {"detectors": ["US_SSN"]}});
    let door = TestDoor::new(&Given::open().mask("anywhere", found), SCHEMA);
    door.direct(&format!("insert into u values (1, '{STORED}')"));
    door.direct("create sequence numbers start 3");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let read = client.query("select name from u")[1].values();
    assert_eq!(read[0].as_deref(), Some(&b"[REDACTED]"[..]), "or this tests nothing");

    for sql in [
        "update u set name = '[REDACTED]' where id = 1",
        "update u set name = 'of [REDACTED], by telephone' where id = 1",
        "insert into t (id, name) values (1, '[REDACTED]') on conflict (id) do update set name = excluded.name",
        "merge into u using (values (1, '[REDACTED]')) n (id, name) on u.id = n.id when matched then update set name = n.name",
        "with changed as (update u set name = '[REDACTED]' returning id) select * from changed",
        "select 1; update u set name = '[REDACTED]'",
    ] {
        let got = client.query(sql);
        let refused = got.iter().find(|message| message.tag == 'E').expect("a refusal");
        assert_eq!(refused.field('C').as_deref(), Some("42501"), "{sql} {got:?}");
        assert!(
            refused.field('M').unwrap().contains("only the columns that change"),
            "{got:?}"
        );
    }
    client
        .parse("save", "update u set name = $1 where id = 1")
        .bind("", "save", &["[REDACTED]"], 0)
        .execute("", 0)
        .sync();
    assert_eq!(tags(&client.ready()), "1EZ");
    assert_eq!(door.direct("select name from u"), STORED);

    // The same statement with another value, and what overwrites nothing.
    client.bind("", "save", &["Ann"], 0).execute("", 0).sync();
    assert_eq!(tags(&client.ready()), "2CZ");
    for sql in [
        "insert into u values (2, '[REDACTED]')",
        "select * from u where name = '[REDACTED]'",
        "update u as \"[REDACTED]\" set /* [REDACTED] */ name = 'Bob' where id = 2",
        "insert into u values (nextval('numbers'), '[REDACTED]')",
        // Who finds what an earlier program wrote mends it.
        "update u set name = 'Cyd' where name = '[REDACTED]'",
    ] {
        let got = client.query(sql);
        assert!(got.iter().all(|message| message.tag != 'E'), "{sql} {got:?}");
    }
    client
        .parse("", "update u set name = $1 where id = $2 and name is distinct from $3")
        .bind("", "", &["Dot", "1", "[REDACTED]"], 0)
        .execute("", 0)
        .sync();
    assert_eq!(tags(&client.ready()), "12CZ");
    assert_eq!(
        door.direct("select string_agg(name, ' ' order by id) from u"),
        "Dot Bob Cyd"
    );
}
