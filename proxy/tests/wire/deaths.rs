//! Targets that die while somebody waits for them: what came of it is not known, and nobody says otherwise.

use sallyport_audit::record::{EndCause, Event};
use sallyport_proxy::postgres::frame::put_cstr;

use super::SCHEMA;
use super::cancels::sleeping;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};
use super::fake::{described, message};
use super::targets::before_fake;
use super::transactions::{came, told};

/// The session's last words, once it was told that the target is gone; all that came before them is given.
fn bereft(client: &mut Client) -> String {
    let got = client.end();
    let last = got.last().unwrap();
    assert_eq!(last.field('S').as_deref(), Some("FATAL"), "{got:?}");
    assert_eq!(last.field('C').as_deref(), Some("57P01"), "{got:?}");
    assert_eq!(
        last.field('M').as_deref(),
        Some("the target closed the connection"),
        "{got:?}"
    );
    tags(&got)
}

#[test]
fn of_a_target_that_dies_nobody_says_what_came_of_it() {
    let (door, fake) = before_fake();
    let ready = |state: &[u8]| message(b'Z', state);
    let row = [described(), message(b'D', &[0, 1, 0, 0, 0, 1, b'x'])].concat();
    let begun = [message(b'C', b"BEGIN\0"), ready(b"T")].concat();
    let read = [row.clone(), message(b'C', b"SELECT 1\0"), ready(b"T")].concat();
    // What it answers before it dies in the last of these, and what is on record.
    let cases: [(&[&str], Vec<Vec<u8>>, &str, &str, &str); 4] = [
        (&["select 1"], vec![vec![]], "E", "Unknown - 0", "select -"),
        (&["select 1"], vec![row], "TDE", "Unknown - 1", "select -"),
        (
            &["begin", "select 1", "select 2"],
            vec![begun.clone(), read.clone(), vec![]],
            "E",
            "Executed - 0, Executed - 1, Unknown - 0",
            "begin unknown, select unknown, select -",
        ),
        // Whether it committed before, nobody knows.
        (
            &["begin", "select 1", "commit"],
            vec![begun, read, vec![]],
            "E",
            "Executed - 0, Executed - 1, Unknown - 0",
            "begin unknown, select unknown, commit -",
        ),
    ];
    for (place, (commands, answers, heard, ended, says)) in cases.into_iter().enumerate() {
        fake.does(move |peer| {
            let _ = peer
                .lets_in()
                .and_then(|()| answers.iter().try_for_each(|answer| peer.answers(answer)));
        });
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let (last, before) = commands.split_last().unwrap();
        for sql in before {
            client.query(sql);
        }
        client.put(b'Q', |out| put_cstr(out, last)).send();
        assert_eq!(bereft(&mut client), heard, "{commands:?}");
        assert_eq!(
            (came(&door, place).as_str(), told(&door, place).as_str()),
            (ended, says),
            "{commands:?}"
        );
    }
    door.recorded_times(
        "a target lost each",
        4,
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::TargetLost),
    );
}

#[test]
fn a_target_that_says_that_it_ends_has_failed_the_command() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    client.query("insert into u values (1, 'x')");
    client.put(b'Q', |out| put_cstr(out, "select pg_sleep(60)")).send();
    sleeping(&door, client.key.0);
    assert_eq!(
        door.direct(&format!("select pg_terminate_backend({})", client.key.0)),
        "t"
    );
    assert!(bereft(&mut client).ends_with("EE"), "in the target's own words first");
    assert_eq!(came(&door, 0), "Executed - 0, Executed - 1, Failed 57P01 0");
    assert_eq!(door.direct("select count(*) from u"), "0");
}

#[test]
fn a_target_that_dies_within_an_answer_is_told_of_where_there_is_a_place_for_words() {
    let (door, fake) = before_fake();
    // It dies: before it answers, between rows, within one.
    let whole = [described(), message(b'D', &[0, 1, 0, 0, 0, 1, b'x'])].concat();
    for answer in [Vec::new(), whole.clone(), whole[..whole.len() - 1].to_vec()] {
        let wanted = if answer == whole {
            "TDE"
        } else if answer.is_empty() {
            "E"
        } else {
            "TE"
        };
        fake.answers(answer);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.put(b'Q', |out| out.extend(b"select 1\0")).send();
        let got = client.end();
        assert_eq!(tags(&got), wanted);
        assert_eq!(got.last().unwrap().field('C').as_deref(), Some("57P01"));
    }
    // Within a large row there is no place for words: the end of the stream says it.
    let large = [
        described(),
        vec![b'D', 0, 0x40, 0, 0, 0, 1, 0, 0x3f, 0xff, 0xf6],
        vec![b'x'; 100_000],
    ]
    .concat();
    fake.answers(large);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.put(b'Q', |out| out.extend(b"select 1\0")).send();
    assert_eq!(tags(&client.end()), "T");
}
