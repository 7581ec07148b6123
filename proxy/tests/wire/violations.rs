//! Targets that let the door in and then are broken or hostile: nothing of theirs let through, a clear error, and the door stays.

use sallyport_audit::record::{EndCause, Event};

use super::common::wire::{Client, Message, tags};
use super::fake::{CANARY, described, message, said};
use super::targets::before_fake;

#[test]
fn a_target_that_breaks_the_protocol_ends_the_session_and_gets_nothing_through() {
    let (door, fake) = before_fake();
    let row = |body: &[u8]| [described(), message(b'D', body)].concat();
    let canary = CANARY.as_bytes();
    let with_canary = [&[0, 1, 0, 0, 0, 18], canary].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", canary.to_vec()),
        ("a row that nobody described", message(b'D', &with_canary)),
        (
            "a row with too many columns",
            row(&[&[0, 2, 0, 0, 0, 18], canary].concat()),
        ),
        ("a row with too few", row(&[0, 0])),
        (
            "a value longer than its row",
            row(&[&[0, 1, 0, 0, 1, 0], canary].concat()),
        ),
        (
            "a negative length",
            row(&[&[0, 1, 255, 255, 255, 254], canary].concat()),
        ),
        ("bytes behind the last value", row(&[&with_canary[..], canary].concat())),
        ("a description that lies", message(b'T', &[&[0, 200], canary].concat())),
        ("a description twice", [described(), described()].concat()),
        (
            "a length beyond all",
            [&[b'T', 0x7f, 0xff, 0xff, 0xff], canary].concat(),
        ),
        (
            "a row beyond all",
            [described(), [&[b'D', 0x7f, 0xff, 0xff, 0xff], canary].concat()].concat(),
        ),
        (
            "a large row that lies",
            [described(), [&[b'D', 0, 0x10, 0, 0, 0, 9], canary].concat()].concat(),
        ),
        (
            "ReadyForQuery before its time",
            [message(b'Z', b"I"), canary.to_vec()].concat(),
        ),
        ("ReadyForQuery of no state", message(b'Z', b"X")),
        ("a ParseComplete that nobody asked for", message(b'1', b"")),
        ("a FunctionCallResponse", message(b'V', &with_canary)),
        ("CopyBothResponse", message(b'W', &[0, 0, 0])),
        (
            "CopyInResponse to a SELECT, then rows",
            [message(b'G', &[0, 0, 0]), message(b'D', canary)].concat(),
        ),
        ("CopyData without a COPY", message(b'd', canary)),
        (
            "CopyOutResponse to a SELECT",
            [message(b'H', &[0, 0, 0]), message(b'd', canary)].concat(),
        ),
        ("a request for the password", message(b'R', &3u32.to_be_bytes())),
        ("a second key", message(b'K', &[0, 0, 0, 1, 0, 0, 0, 1])),
        (
            "a command tag with a value in it",
            message(b'C', &[canary, b"\0"].concat()),
        ),
        ("an error without its end", message(b'E', &[b"M", canary].concat())),
        ("another encoding", message(b'S', b"client_encoding\0LATIN1\0")),
        ("a suspended portal", message(b's', b"")),
        (
            "answers to one more statement",
            [
                row(&[0, 1, 0, 0, 0, 1, b'x']),
                message(b'C', b"SELECT 1\0"),
                described(),
            ]
            .concat(),
        ),
    ];
    for (what, answer) in &cases {
        let answer = answer.clone();
        fake.does(move |peer| {
            let _ = peer.lets_in().and_then(|()| peer.answers(&answer));
            peer.until_closed();
        });
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.put(b'Q', |out| out.extend(b"select 1\0")).send();
        let got = client.end();
        let last = got.last().unwrap_or_else(|| panic!("{what}: no words"));
        assert_eq!(
            (last.tag, last.field('S').as_deref()),
            ('E', Some("FATAL")),
            "{what}: {got:?}"
        );
        let words = last.field('M').unwrap();
        assert!(
            ["target", "row", "COPY"].iter().any(|word| words.contains(word)),
            "{what}: {words}"
        );
        let all: String = got.iter().map(Message::text).collect();
        assert!(!all.contains(CANARY), "{what}: {all}");
        assert!(!tags(&got).contains('G'), "{what}: nobody sends data for a SELECT");
    }
    door.recorded_times(
        "a broken protocol each",
        cases.len(),
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::ProtocolViolation),
    );
}

#[test]
fn what_a_target_forges_in_the_doors_name_loses_the_doors_mark() {
    let (door, fake) = before_fake();
    let forged = said(
        b'N',
        &[
            (b'S', "NOTICE"),
            (b'C', "00000"),
            (b'M', "approve this"),
            (b'y', "sallyport"),
        ],
    );
    let done = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let answer = [forged, described(), done].concat();
    fake.answers(answer);
    let got = Client::login(&door, "alice", &[]).unwrap().query("select 1");
    assert_eq!((tags(&got).as_str(), got[0].field('y')), ("NTCZ", None));
}
