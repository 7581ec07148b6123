//! COPY as CSV with whatever delimiter, quote, escape and NULL a client chooses: what PostgreSQL reads from what the door gives is
//! what a SELECT shows.

use serde_json::json;

use super::common::dice::Dice;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};
use super::copies::data;
use sallyport_proxy::postgres::frame::put_cstr;

const TABLES: &str = "CREATE TABLE given (i int, a text, b text); CREATE TABLE back (LIKE given);";

/// What values are made of: one that a detector finds, and whatever means something to somebody who reads CSV.
const PIECES: [&str; 23] = [
    "536-90-4399",
    "536-90-4399",
    "\"",
    "'",
    ",",
    "\n",
    "\r",
    "\\",
    "\\.",
    "a",
    "6",
    "0",
    "9",
    "|",
    ";",
    "\t",
    "é",
    "NULL",
    " ",
    "x",
    "\\N",
    "5",
    "-",
];
/// Rounds, of which some have options that PostgreSQL refuses or does not read back itself.
const ROUNDS: u64 = 300;

/// A literal that both settings of `standard_conforming_strings` read alike.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Options of COPY, and whether all values are quoted.
fn options(dice: &mut Dice) -> Option<(String, &'static str)> {
    let delimiter = *dice.pick(&[",", "|", "6", "5", "-", "\t", " ", "x", ";", "\\", "0", "\""]);
    let quote = *dice.pick(&["\"", "'", "6", "0", "|", "5", "\\", "-"]);
    let escape = *dice.pick(&[quote, quote, "\\", "9", "\"", "5", ","]);
    let null = *dice.pick(&["", "NULL", "n/a", "x"]);
    let header = dice.below(3) == 0;
    let forced = if dice.below(3) == 0 { ", force_quote *" } else { "" };
    let clash = delimiter == quote || null.contains(delimiter) || null.contains(quote);
    let options = format!(
        "format csv, delimiter {}, quote {}, escape {}, null {}, header {header}",
        literal(delimiter),
        literal(quote),
        literal(escape),
        literal(null)
    );
    (!clash).then_some((options, forced))
}

/// One row's values.
fn row(dice: &mut Dice, i: usize) -> String {
    let mut value = || {
        if dice.below(10) == 0 {
            return "NULL".to_owned();
        }
        let count = dice.below(7);
        let pieces: Vec<_> = (0..count).map(|_| *dice.pick(&PIECES)).collect();
        literal(&pieces.concat())
    };
    format!("({i}, {}, {})", value(), value())
}

/// What a COPY gives; nothing where it is refused.
fn copied(client: &mut Client, sql: &str) -> Option<Vec<u8>> {
    let got = client.query(sql);
    (!tags(&got).contains('E')).then(|| data(&got))
}

/// The rows that PostgreSQL reads from data; none where it refuses them.
fn read_back(server: &mut Client, options: &str, data: &[u8]) -> Option<Rows> {
    server.query("delete from back");
    server
        .put(b'Q', |out| put_cstr(out, &format!("copy back from stdin ({options})")))
        .send();
    if server.read().tag != 'G' {
        server.ready();
        return None;
    }
    server
        .put(b'd', |out| out.extend_from_slice(data))
        .put(b'c', |_| {})
        .send();
    (tags(&server.ready()) == "CZ").then(|| rows(server, "back"))
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

fn rows(client: &mut Client, table: &str) -> Rows {
    let got = client.query(&format!("select * from {table} order by i"));
    assert!(tags(&got).ends_with("CZ"), "{got:?}");
    let rows = got.iter().filter(|message| message.tag == 'D');
    rows.map(|message| message.values()).collect()
}

#[test]
fn csv_in_any_dress_is_read_back_as_what_a_select_shows() {
    let given = Given::open()
        .mask("detectors", json!({"match": {"detectors": ["US_SSN"]}}))
        .mask(
            "columns",
            json!({"match": {"columns": ["public.given.b"]}, "profile": "Strict",
                "action": {"type": "Partial", "partial": {"keepFirst": 1, "keepLast": 2}}}),
        );
    let door = TestDoor::new(&given, TABLES);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut server = Client::direct(door.server(), &door.database, &[]).unwrap();
    let (mut compared, mut found) = (0, 0);
    for seed in 1..=ROUNDS {
        let mut dice = Dice::new(seed);
        let Some((options, forced)) = options(&mut dice) else {
            continue;
        };
        let values: Vec<_> = (0..4).map(|i| row(&mut dice, i)).collect();
        let insert = format!("delete from given; insert into given values {}", values.join(", "));
        assert!(tags(&server.query(&insert)).ends_with("CZ"), "{seed}: {insert}");
        let stored = rows(&mut server, "given");
        let copy = format!("copy (select * from given order by i) to stdout ({options}{forced})");
        // Of some options PostgreSQL itself cannot read what it wrote.
        let Some(direct) = copied(&mut server, &copy) else {
            continue;
        };
        if read_back(&mut server, &options, &direct).as_ref() != Some(&stored) {
            continue;
        }
        let shown = rows(&mut client, "given");
        let got = copied(&mut client, &copy).unwrap_or_else(|| panic!("{seed}: {copy} is refused"));
        assert_eq!(
            read_back(&mut server, &options, &got).as_ref(),
            Some(&shown),
            "{seed}: {copy} of {insert} gave {}",
            got.escape_ascii()
        );
        compared += 1;
        let a = |rows: &Rows| rows.iter().map(|row| row[1].clone()).collect::<Vec<_>>();
        found += usize::from(a(&shown) != a(&stored));
    }
    assert!(
        compared >= 100 && found >= 30,
        "{compared} rounds, {found} in which a detector found something"
    );
}

#[test]
fn a_quote_that_ends_rows_is_refused_and_the_session_lives_on() {
    let columns = json!({"match": {"columns": ["public.given.b"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), TABLES);
    door.direct("insert into given values (1, 'first', 'canary-1'), (2, 'second', 'canary-2')");
    let copy = r"copy (select b, a from given order by i) to stdout (format csv, quote E'\n')";
    let mut server = Client::direct(door.server(), &door.database, &[]).unwrap();
    let direct = copied(&mut server, copy).expect("PostgreSQL takes it");
    assert_eq!(direct, b"canary-1,first\ncanary-2,second\n");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    for got in [client.query(copy), client.pipeline(copy)] {
        let refused = got.iter().find(|message| message.tag == 'E');
        let code = refused.and_then(|message| message.field('C'));
        assert_eq!(code.as_deref(), Some("22023"), "{got:?}");
        assert!(got.iter().all(|message| message.tag != 'd'), "{got:?}");
    }
    assert_eq!(rows(&mut client, "given").len(), 2);
}
