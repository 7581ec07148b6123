//! Tokens as clients get them: the same in text and binary, joined and copied; and none where somebody else chose the value.

use sallyport_policy::mask::{HashKey, TokenKey};
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message};

const SCHEMA: &str = "
CREATE TABLE cards (id int, pan text, number int8, account int4, pans text[]);
INSERT INTO cards VALUES (1, '4111 1111 1111 1111', 4111111111111111, 536904399, ARRAY['4111-1111-1111-1111', NULL]),
  (2, 'lost', 7, NULL, NULL);
CREATE TABLE payments (pan text, amount int);
INSERT INTO payments VALUES ('4111 1111 1111 1111', 12);
";
/// What the card above becomes under the key below.
const TOKEN: &str = "5277 8763 8016 3294";
const NUMBER: i64 = 5_277_876_380_163_294;
const ACCOUNT: i32 = 806_032_987;

fn given() -> Given {
    let key = json!({"name": "token-key", "key": "key"});
    let columns = [
        "cards.pan",
        "cards.number",
        "cards.account",
        "cards.pans",
        "payments.pan",
    ];
    let columns = columns.map(|column| format!("public.{column}"));
    let action = json!({"type": "Tokenize", "tokenize": {"keySecretRef": key}});
    let mut given = Given::open().mask("tokens", json!({"match": {"columns": columns}, "action": action}));
    let key = serde_json::from_value(key).unwrap();
    given.keys.token.insert(key, TokenKey::new(&[7; 32]).unwrap());
    given
}

fn rows(said: &[Message]) -> Vec<Vec<Option<Vec<u8>>>> {
    said.iter()
        .filter(|message| message.tag == 'D')
        .map(Message::values)
        .collect()
}

#[test]
fn tokens_are_the_same_in_text_and_binary() {
    let door = TestDoor::new(&given(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let sql = "select pan, number, account, pans from cards order by id";
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let number = NUMBER.to_string();
    assert_eq!(
        rows(&client.query(sql)),
        [
            [
                some(TOKEN),
                some(&number),
                some(&ACCOUNT.to_string()),
                some("{5277-8763-8016-3294,NULL}")
            ],
            [some("[REDACTED]"), None, None, None],
        ]
    );
    client
        .parse("", sql)
        .bind("", "", &[], 1)
        .describe(b'P', "")
        .execute("", 0)
        .sync();
    let rows = rows(&client.ready());
    let (first, second) = (&rows[0], &rows[1]);
    assert_eq!(first[0], some(TOKEN));
    assert_eq!(first[1].as_deref(), Some(&NUMBER.to_be_bytes()[..]));
    assert_eq!(first[2].as_deref(), Some(&ACCOUNT.to_be_bytes()[..]));
    // Two elements, the second of them NULL.
    let pans = first[3].as_deref().unwrap();
    assert!(
        pans.ends_with(&[b"5277-8763-8016-3294".as_slice(), &[0xFF; 4]].concat()),
        "{pans:?}"
    );
    assert_eq!(second[..], [some("[REDACTED]"), None, None, None]);
}

#[test]
fn tokens_join_and_are_copied_and_nothing_else_is_made_one() {
    let door = TestDoor::new(&given(), SCHEMA);
    let shown = |sql: &str| {
        let printed = door.psql("alice", &[sql]);
        assert_eq!(printed.code, 0, "{sql}: {printed:?}");
        printed.out
    };
    assert_eq!(
        shown("select c.pan, p.pan, p.amount from cards c join payments p on p.pan = c.pan"),
        format!("{TOKEN}|{TOKEN}|12")
    );
    assert_eq!(
        shown("copy cards (pan, number) to stdout"),
        format!("{TOKEN}\t{NUMBER}\n[REDACTED]\t\\N")
    );
    for (sql, out) in [
        ("select pan || '' from cards where id = 1", "[REDACTED]"),
        ("select replace(pan, ' ', '') from cards where id = 1", "[REDACTED]"),
        ("select number + 0 from cards where id = 1", ""),
        (
            "select coalesce(pan, '4000 0000 0000 0002') from cards where id = 1",
            "[REDACTED]",
        ),
        (
            "select pan from cards where id = 1 union all select '4000 0000 0000 0002'",
            "[REDACTED]\n[REDACTED]",
        ),
        ("select '4000 0000 0000 0002'", "4000 0000 0000 0002"),
    ] {
        assert_eq!(shown(sql), out, "{sql}");
    }
    let written = door.psql("alice", &[&format!("update cards set pan = '{TOKEN}' where id = 1")]);
    assert!(written.code != 0, "what is shown is written back: {written:?}");
}

/// Two columns of cards, hashed under a key of which every byte is this.
fn hashed(byte: u8) -> Given {
    let key = json!({"name": "hash-key", "key": format!("key-{byte}")});
    let columns = ["public.cards.pan", "public.payments.pan"];
    let action = json!({"type": "Hash", "hash": {"keySecretRef": key, "length": 32}});
    let mut given = Given::open().mask("hashes", json!({"match": {"columns": columns}, "action": action}));
    let key = serde_json::from_value(key).unwrap();
    given.keys.hash.insert(key, HashKey::new(&[byte; 32]).unwrap());
    given
}

/// The one hash of a row, which stands there twice.
fn joined(said: &[Message]) -> Vec<u8> {
    let rows = rows(said);
    assert_eq!(rows.len(), 1, "{said:?}");
    assert_eq!(rows[0][0], rows[0][1], "it joins");
    let hash = rows[0][0].clone().expect("a hash");
    assert!(hash.len() == 32 && hash.iter().all(u8::is_ascii_hexdigit), "{said:?}");
    hash
}

#[test]
fn a_session_that_goes_on_shows_hashes_by_the_key_that_its_rule_has_now() {
    let door = TestDoor::new(&hashed(1), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let sql = "select c.pan, p.pan from cards c join payments p on p.pan = c.pan";
    let before = joined(&client.query(sql));
    client.parse("s", sql).bind("", "s", &[], 0).execute("", 0).sync();
    assert_eq!(joined(&client.ready()), before);
    door.enforce(&hashed(2), 2);
    let after = joined(&client.query(sql));
    assert_ne!(after, before);
    // Nor does what was prepared keep the key of before.
    client.bind("", "s", &[], 1).execute("", 0).sync();
    assert_eq!(joined(&client.ready()), after);
    door.enforce(&hashed(1), 3);
    assert_eq!(joined(&client.query(sql)), before, "one key makes one hash");
}
