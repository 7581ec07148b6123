//! What code that nobody can see into notifies others of.

use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message};

/// A block that notifies of one row.
const TELLS: &str = "do $$begin perform pg_notify(id::text, name) from u; end$$";

/// Channel and payload of each notification.
fn heard(messages: &[Message]) -> Vec<String> {
    let told = messages.iter().filter(|message| message.tag == 'A');
    told.map(|message| String::from_utf8_lossy(&message.body[4..]).replace('\0', " "))
        .collect()
}

#[test]
fn the_channel_that_a_client_named_is_told_and_no_other() {
    let hidden = json!({"match": {"columns": ["public.u.name"]}});
    let door = TestDoor::new(&Given::open().mask("names", hidden), SCHEMA);
    door.direct("insert into u values (7, 'Ada')");
    for listen in [Client::query, Client::pipeline] {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        listen(&mut client, "listen \"7\"");
        assert_eq!(heard(&client.query(TELLS)), ["7 [REDACTED] "]);
    }

    // Code listens, too.
    let mut other = Client::login(&door, "alice", &[]).unwrap();
    other.query("listen jobs");
    other.query("do $$begin execute format('listen %I', (select id::text from u)); end$$");
    assert_eq!(heard(&other.query(TELLS)), ["[REDACTED] [REDACTED] "]);
}
