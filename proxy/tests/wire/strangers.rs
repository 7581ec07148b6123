//! Clients that are none: before login and after. Each gets a clear answer or none, and the door stays as it was.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sallyport_audit::record::{EndCause, Event, Refusal};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, startup, tags, tls};
use sallyport_proxy::postgres::frame::put_cstr;

pub fn code(code: u32) -> Vec<u8> {
    [8u32.to_be_bytes(), code.to_be_bytes()].concat()
}

pub const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

pub fn rest(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is as good as an end: bytes may be left unread on purpose.
    if let Err(error) = stream.read_to_end(&mut all) {
        let slow = matches!(
            error.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        );
        assert!(!slow, "the door did not close: {error}");
    }
    all
}

pub fn tcp(door: &TestDoor) -> TcpStream {
    let stream = TcpStream::connect(door.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn nothing_but_tls_gets_further_in_clear() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let hello = startup(0x3_0000, &[("user", "alice"), ("database", &door.database)]);
    let password = [&[b'p', 0, 0, 0, 10][..], b"alice\0"].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), ""),
        (
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: door\r\n\r\n".to_vec(),
            "malformed startup packet",
        ),
        ("a length of none", vec![0, 0, 0, 0], "malformed"),
        ("a length below its own", vec![0, 0, 0, 7, 1, 2, 3], "malformed"),
        ("a length beyond all", vec![0xff; 64], "malformed"),
        (
            "more than a startup packet may have",
            [&10_005u32.to_be_bytes()[..], &[0; 100]].concat(),
            "malformed",
        ),
        (
            "an SSLRequest with something in it",
            [&9u32.to_be_bytes()[..], &SSL.to_be_bytes(), b"x"].concat(),
            "already agreed",
        ),
        ("a session in clear", hello.clone(), "this door speaks TLS only"),
        (
            "a session in clear with its password",
            [hello.clone(), password.clone()].concat(),
            "this door speaks TLS only",
        ),
        ("GSSENC twice", [code(GSSENC), code(GSSENC)].concat(), "N"),
        (
            "GSSENC, then a session in clear",
            [code(GSSENC), hello.clone()].concat(),
            "this door speaks TLS only",
        ),
        (
            "protocol 2",
            startup(0x2_0000, &[("user", "alice")]),
            "unsupported frontend protocol 2.0",
        ),
        (
            "protocol 4",
            startup(0x4_0000, &[("user", "alice")]),
            "unsupported frontend protocol 4.0",
        ),
        (
            "a cancel without a secret",
            [&12u32.to_be_bytes()[..], &CANCEL.to_be_bytes(), &[0; 4]].concat(),
            "malformed",
        ),
        (
            "a cancel of nobody",
            [&16u32.to_be_bytes()[..], &CANCEL.to_be_bytes(), &[9; 8]].concat(),
            "",
        ),
        (
            "a session behind SSLRequest",
            [code(SSL), hello, password].concat(),
            "S",
        ),
        ("TLS that is none", [&[0x16][..], &[0x41; 200]].concat(), ""),
    ];
    for (what, bytes, want) in &cases {
        let mut stream = tcp(&door);
        stream.write_all(bytes).unwrap();
        if bytes.is_empty() {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let got = rest(&stream);
        assert!(shown(&got).contains(want), "{what}: {}", shown(&got));
        assert!(
            !got.windows(4).any(|four| four == [0, 0, 0, 3]),
            "{what}: nobody is asked for a password"
        );
    }
    // Bytes in clear behind SSLRequest are no bytes inside TLS: the session of the case above began nothing.
    assert_eq!(
        tags(&Client::login(&door, "alice", &[]).unwrap().query("select 1")),
        "TDCZ"
    );
    door.recorded_times("one session", 1, |event| matches!(event, Event::SessionStart(_)));
}

#[test]
fn startups_inside_tls_are_taken_or_refused_in_words() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let with = |pairs: &[(&str, &str)]| startup(0x3_0000, pairs);
    let mut cut = with(&[("user", "alice")]);
    cut.pop();
    let len = cut.len() as u32;
    cut[..4].copy_from_slice(&len.to_be_bytes());
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("SSLRequest again", code(SSL), "already agreed"),
        ("GSSENC again", code(GSSENC), "already agreed"),
        ("no end", cut, "malformed startup packet"),
        (
            "too long",
            [&20_000u32.to_be_bytes()[..], &[0; 100]].concat(),
            "malformed",
        ),
        ("too short", vec![0, 0, 0, 4], "malformed"),
        (
            "protocol 2",
            startup(0x2_0000, &[("user", "alice")]),
            "unsupported frontend protocol 2.0",
        ),
        (
            "replication",
            with(&[("user", "alice"), ("replication", "database")]),
            "replication connections are refused",
        ),
        (
            "another role",
            with(&[("user", "alice"), ("options", "-c role=postgres")]),
            "cannot be chosen at startup",
        ),
        (
            "another encoding",
            with(&[("user", "alice"), ("client_encoding", "LATIN1")]),
            "this door speaks UTF8",
        ),
        (
            "a message before its time",
            [&b"Q\0\0\0\x0d"[..], b"select 1\0"].concat(),
            "malformed",
        ),
    ];
    for (what, bytes, want) in &cases {
        let mut stream = tls(&door, true, true).unwrap();
        stream.write_all(bytes).unwrap();
        stream.flush().unwrap();
        let got = rest(&mut stream);
        assert!(shown(&got).contains(want), "{what}: {}", shown(&got));
    }
    // TLS from the first byte, by its name and by none.
    let stream = Box::new(tls(&door, true, false).unwrap());
    let (mut client, _) = Client::login_on(stream, ("alice", &door.database), 0x3_0000, &[]).unwrap();
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
    let mut stream = tls(&door, false, false).unwrap();
    stream.write_all(&startup(0x3_0000, &[("user", "alice")])).unwrap();
    let got = rest(&mut stream);
    assert!(shown(&got).contains("ALPN name postgresql"), "{}", shown(&got));
    // By SSLRequest, no name is needed.
    let stream = Box::new(tls(&door, false, true).unwrap());
    assert!(Client::login_on(stream, ("alice", &door.database), 0x3_0000, &[]).is_ok());
    door.recorded_times(
        "each refused startup",
        cases.len() + 1,
        |event| matches!(event, Event::LoginRefused(refused) if refused.reason == Refusal::BadStartup),
    );
}

#[test]
fn versions_and_options_of_the_protocol_are_negotiated() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let options: &[(&str, &str)] = &[("_pq_.shiny", "1"), ("geqo", "off"), ("_pq_.", "")];
    let none: &[(&str, &str)] = &[];
    for (asked, more, answered, secret) in [
        (0x3_0000, none, None, 4),
        (0x3_0001, none, Some(0x3_0000u32), 4),
        (0x3_0002, none, None, 32),
        (0x3_0003, none, Some(0x3_0002), 32),
        (0x3_270f, none, Some(0x3_0002), 32),
        (0x3_0000, options, Some(0x3_0000), 4),
        (0x3_0002, options, Some(0x3_0002), 32),
        (0x3_270f, options, Some(0x3_0002), 32),
    ] {
        let stream = Box::new(tls(&door, true, true).unwrap());
        let (mut client, before) = Client::login_on(stream, ("alice", &door.database), asked, more).unwrap();
        let negotiated = before.iter().find(|message| message.tag == 'v');
        let unknown: &[u8] = if more.is_empty() {
            &[0; 4]
        } else {
            b"\0\0\0\x02_pq_.shiny\0_pq_.\0"
        };
        let wanted = answered.map(|version| [&version.to_be_bytes()[..], unknown].concat());
        assert_eq!(negotiated.map(|message| message.body.clone()), wanted, "{asked:x}");
        assert_eq!(client.key.1.len(), secret, "{asked:x}");
        assert_eq!(tags(&client.query("select 1")), "TDCZ");
    }
}

#[test]
fn a_password_is_a_password_message_and_nothing_else() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let message = |tag: u8, length: u32, body: &[u8]| [&[tag][..], &length.to_be_bytes(), body].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a query",
            message(b'Q', 13, b"select 1\0"),
            "unexpected message type 0x51",
        ),
        ("no length", message(b'p', 0, b""), "length 0"),
        ("a length below its own", message(b'p', 3, b""), "length 3"),
        (
            "a length beyond all",
            message(b'p', u32::MAX, b"alice\0"),
            "length 4294967295",
        ),
        (
            "more than a token",
            message(b'p', 70_000, &[b'a'; 69_996]),
            "length 70000",
        ),
        ("no end", message(b'p', 9, b"alice"), "malformed"),
        ("more behind its end", message(b'p', 16, b"alice\0mallory"), "malformed"),
        ("nothing in it", message(b'p', 5, b"\0"), "the token was refused"),
        (
            "a SASL answer",
            message(b'p', 22, b"SCRAM-SHA-256\0\0\0\0\0"),
            "malformed",
        ),
    ];
    for (what, bytes, want) in &cases {
        let mut stream = tls(&door, true, true).unwrap();
        stream
            .write_all(&startup(0x3_0000, &[("user", "alice"), ("database", &door.database)]))
            .unwrap();
        let mut client = Client::on(Box::new(stream));
        assert_eq!(client.read().body, [0, 0, 0, 3]);
        // The door may have closed before all of it is sent.
        let _ = client.try_raw(bytes);
        let got = client.end();
        let last = got.last().map(|message| message.text()).unwrap_or_default();
        assert!(last.contains(want), "{what}: {last}");
    }
    door.recorded_times("one record each", cases.len(), |event| {
        matches!(event, Event::LoginRefused(_))
    });
    assert!(Client::login(&door, "alice", &[]).is_ok());
}

#[test]
fn frames_that_are_none_end_the_session_in_words_and_nothing_of_them_runs() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let message = |tag: u8, body: &[u8]| [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat();
    let lying = |tag: u8, length: u32| [&[tag][..], &length.to_be_bytes(), b"insert into u values (1)\0"].concat();
    let insert = b"insert into u values (1)\0";
    let parse = message(b'P', &[&b"\0"[..], insert, &[0, 0]].concat());
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("an unknown type", message(b'!', insert), "08P01"),
        ("a message of the server", message(b'Z', b"I"), "08P01"),
        ("a password, late", message(b'p', b"alice\0"), "08P01"),
        (
            "a startup packet, late",
            startup(0x3_0000, &[("user", "alice")]),
            "08P01",
        ),
        ("a length of none", lying(b'Q', 0), "08P01"),
        ("a length below its own", lying(b'Q', 3), "08P01"),
        ("a length beyond all", lying(b'Q', 0xffff_ffff), "54000"),
        ("a length beyond the bound", lying(b'Q', 70_000_000), "54000"),
        ("a Sync with something in it", message(b'S', b"x"), "08P01"),
        ("a Query without its end", message(b'Q', &insert[..24]), "08P01"),
        (
            "a Query with another behind its end",
            message(b'Q', &[&insert[..], insert].concat()),
            "08P01",
        ),
        (
            "a Query in no UTF-8, with another behind its end",
            message(b'Q', &[&b"insert into u values (1, '\xff')\0"[..], insert].concat()),
            "08P01",
        ),
        (
            "a Parse with types that are not there",
            message(b'P', &[&b"\0"[..], insert, &[255, 255]].concat()),
            "08P01",
        ),
        (
            "a Bind that is cut",
            [&parse[..], &message(b'B', b"\0\0\0\0\0\x01\0\0\0\x09x\0\0")].concat(),
            "08P01",
        ),
        (
            "a Bind with a negative length",
            [&parse[..], &message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0")].concat(),
            "08P01",
        ),
        (
            "a Bind in a format of its own",
            [&parse[..], &message(b'B', b"\0\0\0\x01\0\x02\0\0\0\0")].concat(),
            "08P01",
        ),
        (
            "an Execute that is cut",
            [
                &parse[..],
                &message(b'B', b"\0\0\0\0\0\0\0\0"),
                &message(b'E', b"\0\0\0"),
            ]
            .concat(),
            "08P01",
        ),
        ("a Describe of nothing known", message(b'D', b"X\0"), "08P01"),
        ("a Close without a name", message(b'C', b"S"), "08P01"),
    ];
    for (what, bytes, state) in &cases {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let sync = message(b'S', b"");
        let _ = client.try_raw(&[&bytes[..], &sync].concat());
        let got = client.end();
        let last = got.last().unwrap_or_else(|| panic!("{what}: no words"));
        assert_eq!(
            (last.field('S').as_deref(), last.field('C').as_deref()),
            (Some("FATAL"), Some(*state)),
            "{what}: {got:?}"
        );
        assert_eq!(tags(&got), "E", "{what}");
        let hinted = last.field('H').is_some_and(|hint| hint.contains("COPY"));
        assert_eq!(hinted, *state == "54000", "{what}: {last:?}");
    }
    assert_eq!(
        door.direct("select count(*) from u"),
        "0",
        "nothing of a broken unit runs"
    );
    door.recorded_times(
        "a violation each",
        cases.len(),
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::ProtocolViolation),
    );

    // Half a message, and gone; a pipeline that never ends, and gone: nothing of them runs either.
    for bytes in [&parse[..parse.len() - 3], &parse] {
        Client::login(&door, "alice", &[]).unwrap().raw(bytes);
    }
    door.recorded_times("two that were lost", 2, |event| {
        matches!(event, Event::SessionEnd(end) if matches!(end.cause, EndCause::ClientLost | EndCause::ClientClosed))
    });
    // Messages cut at any byte are messages all the same.
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let bind = message(b'B', b"\0\0\0\0\0\0\0\0");
    let whole = [&parse[..], &bind, &message(b'E', b"\0\0\0\0\0"), &message(b'S', b"")].concat();
    whole.iter().for_each(|byte| client.raw(&[*byte]));
    assert_eq!(tags(&client.ready()), "12CZ");
}

#[test]
fn there_is_room_for_so_many_and_each_person_for_so_many() {
    let limits = json!({"limits": {"maxSessions": 3, "maxSessionsPerPerson": 2}});
    let door = TestDoor::new(&Given::open().connection(limits), SCHEMA);
    let enters = |user: &str| Client::login(&door, user, &[]);
    let (one, two) = (enters("alice").unwrap(), enters("alice").unwrap());
    let told = enters("alice").err().unwrap();
    assert_eq!(told.last().unwrap().field('C').as_deref(), Some("53300"), "{told:?}");
    let three = enters("bob").unwrap();
    assert_eq!(
        enters("bob").err().unwrap().last().unwrap().field('C').as_deref(),
        Some("53300")
    );
    drop(one);
    super::common::eventually("room again", || enters("alice").ok());
    drop((two, three));

    // Connections of which nothing is known yet have a bound of their own; beyond it they are closed without a word.
    let crowd: Vec<_> = (0..110).map(|_| tcp(&door)).collect();
    let shut = |stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        matches!((&mut &*stream).read(&mut [0]), Ok(0))
    };
    super::common::eventually("some to be closed", || crowd.iter().any(shut).then_some(()));
    // They are of one address, and it leaves as many to others.
    assert!(Client::login_from(&door, "bob", "127.0.0.2").is_ok());
    drop(crowd);
    door.recorded_times("one record of the crowd", 1, |event| {
        matches!(event, Event::LoginRefused(refused)
            if refused.reason == Refusal::Limit && refused.detail.contains("as many connections as it takes"))
    });
    super::common::eventually("room again", || enters("alice").ok());
}

#[test]
fn a_token_by_oauthbearer_is_read_and_nothing_else_is() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let begin = |user: &str| {
        let mut stream = tls(&door, true, true).unwrap();
        let pairs = [
            ("user", user),
            ("database", door.database.as_str()),
            ("options", "-c sallyport.login=oauth"),
        ];
        stream.write_all(&startup(0x3_0000, &pairs)).unwrap();
        let mut client = Client::on(Box::new(stream));
        let offered = client.read();
        assert_eq!(
            (offered.tag, &offered.body[..]),
            ('R', &b"\0\0\0\x0aOAUTHBEARER\0\0"[..])
        );
        client
    };
    let initial = |client: &mut Client, mechanism: &str, message: &[u8]| {
        client.put(b'p', |out| {
            put_cstr(out, mechanism);
            out.extend((message.len() as u32).to_be_bytes());
            out.extend(message);
        });
        client.send();
    };
    let mut client = begin("alice");
    initial(&mut client, "OAUTHBEARER", b"n,,\x01auth=Bearer alice\x01\x01");
    assert_eq!(client.read().body, [0, 0, 0, 0]);
    client.ready();
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
    // Without a token, or with one that does not serve: where to get one, and only then an error.
    for message in [&b"n,,\x01auth=\x01\x01"[..], b"n,,\x01auth=Bearer stranger\x01\x01"] {
        let mut client = begin("alice");
        initial(&mut client, "OAUTHBEARER", message);
        let failure = client.read();
        assert_eq!((failure.tag, &failure.body[..4]), ('R', &[0, 0, 0, 11][..]));
        assert!(
            failure.text().contains("\"status\":\"invalid_token\""),
            "{}",
            failure.text()
        );
        client.put(b'p', |out| out.push(1)).send();
        assert_eq!(client.end().last().unwrap().field('C').as_deref(), Some("28000"));
    }
    for (mechanism, message) in [
        ("SCRAM-SHA-256", &b"n,,n=,r=x"[..]),
        ("OAUTHBEARER", b"n,a=root,\x01auth=Bearer alice\x01\x01"),
    ] {
        let mut client = begin("alice");
        initial(&mut client, mechanism, message);
        assert!(
            client.end().last().unwrap().text().contains("no token was presented"),
            "{mechanism}"
        );
    }
}
