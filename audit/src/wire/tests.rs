use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Digest;
use crate::record::tests::{connection, pod};

fn head() -> Head {
    Head {
        size: 7,
        root: Digest::of(b"root"),
        signature: [9; 64],
    }
}

fn decode(bytes: &[u8]) -> Result<Frame, WireError> {
    let (header, payload) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(WireError::Payload(0))?;
    FrameHeader::parse(*header)?.decode(payload)
}

fn frames() -> Vec<Frame> {
    let instance = Instance::random().unwrap();
    vec![
        Frame::Hello(Hello {
            connection: connection(),
            head: Some(head()),
            instance,
            permit: Some("…".into()),
            pod: pod(),
            version: PROTOCOL,
        }),
        Frame::Welcome(Welcome {
            acked: 3,
            fenced: true,
            head: head(),
            permit: None,
            tokens: true,
            vkey: "name+0+AA==".into(),
        }),
        Frame::Batch(Batch {
            first: 1,
            head: None,
            records: vec![vec![1]],
        }),
        Frame::Batch(Batch {
            first: u64::MAX,
            head: Some(head()),
            records: vec![vec![1; MAX_ENTRY_LEN], vec![2]],
        }),
        Frame::Ack(Ack { up_to: 4, head: head() }),
        Frame::Refuse(Refuse {
            code: RefuseCode::RolledBack,
            reason: "…".into(),
            session: None,
        }),
        Frame::Refuse(Refuse {
            code: RefuseCode::Identity,
            reason: "…".into(),
            session: Some(present("").session),
        }),
        Frame::KeepAlive,
        Frame::Bye,
        Frame::Present(present("a.b.c")),
        Frame::Vouched(Vouched {
            refused: None,
            session: present("").session,
        }),
        Frame::Vouched(Vouched {
            refused: Some(Unvouched {
                later: true,
                reason: "…".into(),
            }),
            session: present("").session,
        }),
    ]
}

fn present(token: &str) -> Present {
    let start = crate::record::tests::start();
    Present {
        agents: start.agents,
        person: start.person,
        session: crate::record::SessionId::parse(&"0f".repeat(16)).unwrap(),
        token: Token::new(token.as_bytes()).unwrap(),
    }
}

const MAX_ENTRY_LEN: usize = crate::record::MAX_ENTRY;

#[test]
fn every_frame_round_trips_and_no_other_length_decodes() {
    for frame in frames() {
        let bytes = frame.to_bytes();
        assert_eq!(decode(&bytes).as_ref(), Ok(&frame));
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode(&longer).is_err(), "{frame:?}");
        assert!(decode(&bytes[..bytes.len() - 1]).is_err(), "{frame:?}");
    }
}

#[test]
fn lengths_are_refused_before_anything_is_read() {
    for (kind, len) in [
        (3_u8, u32::MAX),
        (1, 17 * 1024),
        (4, 1000),
        (6, 2),
        (7, 2),
        (3, 0),
        (0, 1),
        (8, 97 * 1024),
        (9, 17 * 1024),
        (10, 1),
        (255, 1),
    ] {
        let [a, b, c, d] = len.to_be_bytes();
        assert!(FrameHeader::parse([a, b, c, d, kind]).is_err(), "{kind} {len}");
    }
}

#[test]
fn a_token_is_in_its_frame_and_in_no_text() {
    let frame = Frame::Present(present("header.claims.signature"));
    assert!(!format!("{frame:?}").contains("claims.signature"), "{frame:?}");
    assert!(present(&"x".repeat(65_535)).fits(), "the longest");
    // What escapes to six times its length would end the stream for everybody.
    assert!(!present(&"\u{b}".repeat(65_535)).fits());
    assert_eq!(Token::new(&[0xff]), None);
}

#[test]
fn what_the_first_version_says_at_the_start_of_a_stream_is_read() {
    let hello = r#"{"connection":{"name":"bank","namespace":"doors","uid":"8c1f"},"instance":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","pod":{"name":"p","uid":"u"},"version":1}"#;
    assert!(serde_json::from_str::<Hello>(hello).is_ok());
    let welcome = Welcome {
        acked: 3,
        fenced: false,
        head: head(),
        permit: None,
        tokens: false,
        vkey: "k".into(),
    };
    let text = serde_json::to_string(&welcome).unwrap();
    assert!(!text.contains("tokens"), "as the first version wrote it: {text}");
    assert_eq!(serde_json::from_str::<Welcome>(&text).unwrap(), welcome);
}

/// Frames as the first version sent them, some without what they may leave out.
const SENT: &str = include_str!("../../testdata/stream-v1.hex");

/// The words of a frame that has any.
fn words(bytes: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(&bytes[HEADER_LEN..]).ok()
}

#[test]
fn what_the_first_version_sent_is_read_and_would_be_sent_again() {
    let mut kinds = std::collections::BTreeSet::new();
    for line in SENT.lines() {
        let sent = crate::digest::unhex(line).unwrap();
        let frame = decode(&sent).unwrap_or_else(|error| panic!("{error}: {line}"));
        kinds.insert(sent[4]);
        let again = frame.to_bytes();
        // Words may be joined by others; bytes have their places.
        let Some(serde_json::Value::Object(old)) = words(&sent) else {
            assert_eq!(again, sent, "{frame:?}");
            continue;
        };
        let new = words(&again).unwrap();
        for (name, value) in old {
            assert_eq!(new[&name], value, "{name} of {frame:?}");
        }
    }
    let all: std::collections::BTreeSet<u8> = (1..=9).collect();
    assert_eq!(kinds, all, "one of each kind that it knew");
}

/// What each frame of words would be of a version that has more to say.
fn grown(frame: &Frame) -> Vec<u8> {
    let bytes = frame.to_bytes();
    let (header, payload) = bytes.split_first_chunk::<HEADER_LEN>().unwrap();
    let mut words: serde_json::Value = serde_json::from_slice(payload).unwrap();
    words["ofALaterVersion"] = serde_json::json!({ "more": [1] });
    let payload = words.to_string().into_bytes();
    let len = u32::try_from(payload.len() + 1).unwrap().to_be_bytes();
    [&len[..], &header[4..], &payload].concat()
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    let binary = |frame: &Frame| matches!(frame, Frame::Batch(_) | Frame::Ack(_) | Frame::KeepAlive | Frame::Bye);
    let words: Vec<_> = frames().into_iter().filter(|frame| !binary(frame)).collect();
    assert_eq!(words.len(), 7);
    for frame in words {
        assert_eq!(decode(&grown(&frame)), Ok(frame));
    }
    // Its reasons for a refusal are heard by the words, and nothing is given up for them.
    let told = r#"{"code":"ofALaterVersion","reason":"in words"}"#;
    let refuse: Refuse = serde_json::from_str(told).unwrap();
    assert_eq!((refuse.code, refuse.reason.as_str()), (RefuseCode::Other, "in words"));
    assert!(!refuse.code.may_pass_later());
    // What it says in frames of its own ends the stream.
    assert_eq!(FrameHeader::parse([0, 0, 0, 1, 10]), Err(WireError::Kind(10)));
}

#[test]
fn a_full_batch_fits_its_bound() {
    let records: Vec<Vec<u8>> = (0..10_000).map(|_| vec![7; 600]).collect();
    let n = batch_room(records.iter().map(Vec::len));
    assert!(n < records.len());
    let frame = Frame::Batch(Batch {
        first: 1,
        head: Some(head()),
        records: records[..n].to_vec(),
    });
    assert_eq!(decode(&frame.to_bytes()), Ok(frame));
}

proptest! {
    #[test]
    fn no_bytes_panic(kind in 0_u8..11, payload in vec(any::<u8>(), 0..600)) {
        let len = u32::try_from(payload.len() + 1).unwrap().to_be_bytes();
        let header = [len[0], len[1], len[2], len[3], kind];
        if let Ok(frame) = FrameHeader::parse(header).and_then(|header| header.decode(&payload)) {
            let again = frame.to_bytes();
            prop_assert_eq!(decode(&again), Ok(frame));
        }
    }

    #[test]
    fn any_batch_round_trips(first in any::<u64>(), records in vec(vec(any::<u8>(), 1..50), 1..20)) {
        let frame = Frame::Batch(Batch { first, head: None, records });
        prop_assert_eq!(decode(&frame.to_bytes()), Ok(frame));
    }
}
