//! Targets that are down, weak, broken or hostile: a clear error in words, nothing of theirs let through, and the door stays.

use std::sync::Arc;

use rustls_pki_types::ServerName;
use sallyport_audit::record::{EndCause, Event, Refusal};
use sallyport_proxy::door::{Credential, Secret};
use sallyport_runtime::tls::Current;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::SCHEMA;
use super::cancels::sleeping;
use super::common::door::{Given, TestDoor};
use super::common::postgres::{BOTH, CERTIFIED, PASSWORD, ROLE};
use super::common::wire::{Client, Message, tags};
use super::fake::{CANARY, Fake, Peer, described, message, said};
use super::transactions::{came, told};
use sallyport_proxy::postgres::frame::put_cstr;

/// A door whose target is a fake.
fn before_fake() -> (TestDoor, Fake) {
    let door = TestDoor::new(&Given::open(), "");
    let fake = Fake::start();
    door.change(|open| {
        open.spec.target.port = i32::from(fake.port);
        open.trust = None;
    });
    (door, fake)
}

fn turned_away(door: &TestDoor) -> String {
    let said = Client::login(door, "alice", &[]).err().expect("nobody gets in");
    let last = said.last().unwrap();
    assert_eq!(
        (last.field('S').as_deref(), last.field('C').as_deref()),
        (Some("FATAL"), Some("57P03"))
    );
    let all: String = said.iter().map(Message::text).collect();
    assert!(!all.contains(CANARY) && !all.contains(PASSWORD), "{all}");
    last.field('M').unwrap()
}

type Lie = Arc<dyn Fn(&mut Peer) + Send + Sync>;

fn lie(script: impl Fn(&mut Peer) -> Option<()> + Send + Sync + 'static) -> Lie {
    Arc::new(move |peer| {
        let _ = script(peer);
        peer.until_closed();
    })
}

fn asks(body: Vec<u8>) -> Lie {
    lie(move |peer| {
        peer.startup()?;
        peer.message(b'R', &body);
        Some(())
    })
}

fn sends(bytes: Vec<u8>) -> Lie {
    lie(move |peer| {
        peer.startup()?;
        peer.send(&bytes);
        Some(())
    })
}

/// Lets the door in to a database in this encoding.
fn encoded(encoding: &'static str) -> Lie {
    lie(move |peer| {
        peer.startup()?;
        peer.scram(|end| end)?;
        peer.welcome("15.4", "UTF8", encoding);
        peer.backend("7");
        Some(())
    })
}

#[test]
fn nothing_weaker_than_scram_is_given_and_nothing_said_is_repeated() {
    let (door, fake) = before_fake();
    let code = |code: u32| code.to_be_bytes().to_vec();
    let error = said(
        b'E',
        &[(b'S', "FATAL"), (b'C', "28P01"), (b'M', CANARY), (b'D', CANARY)],
    );
    let foreign = said(b'E', &[(b'S', "FATAL"), (b'C', CANARY), (b'M', CANARY)]);
    let cases: Vec<(&str, &str, Lie)> = vec![
        ("the password", "the password in clear", asks(code(3))),
        ("MD5", "MD5", asks([code(5), vec![1, 2, 3, 4]].concat())),
        ("GSSAPI", "GSSAPI", asks(code(7))),
        ("SSPI", "GSSAPI or SSPI", asks(code(9))),
        ("nothing", "no proof", asks(code(0))),
        (
            "an unknown mechanism",
            "unknown SASL mechanism",
            asks([code(10), b"PLAIN\0\0".to_vec()].concat()),
        ),
        (
            "no mechanism",
            "broke the protocol",
            asks([code(10), b"SCRAM-SHA-256".to_vec()].concat()),
        ),
        ("a code of the future", "broke the protocol", asks(code(99))),
        ("an error", "SQLSTATE 28P01", sends(error)),
        ("an error of its own kind", "SQLSTATE unknown", sends(foreign)),
        (
            "a notice, then an error",
            "SQLSTATE 53300",
            sends([said(b'N', &[(b'M', CANARY)]), said(b'E', &[(b'C', "53300")])].concat()),
        ),
        ("garbage", "broke the protocol", sends(CANARY.as_bytes().to_vec())),
        (
            "a length that lies",
            "broke the protocol",
            sends(vec![b'R', 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "a length below its own",
            "broke the protocol",
            sends(vec![b'R', 0, 0, 0, 3]),
        ),
        (
            "nothing, and closes",
            "closed",
            Arc::new(|peer: &mut Peer| drop(peer.startup())),
        ),
        (
            "half a message, and closes",
            "lost",
            Arc::new(|peer: &mut Peer| {
                peer.startup();
                peer.send(&[b'R', 0, 0, 0, 8, 0]);
            }),
        ),
        (
            "a wrong signature",
            "SCRAM does not stand",
            lie(|peer| {
                peer.startup()?;
                peer.scram(|_| "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned())
            }),
        ),
        (
            "an error in its signature",
            "SCRAM does not stand",
            lie(|peer| {
                peer.startup()?;
                peer.scram(|_| format!("e={CANARY}"))
            }),
        ),
        (
            "no signature at all",
            "no proof",
            lie(|peer| {
                peer.startup()?;
                peer.message(b'R', &[&10u32.to_be_bytes()[..], b"SCRAM-SHA-256\0\0"].concat());
                peer.read()?;
                peer.message(b'R', &0u32.to_be_bytes());
                Some(())
            }),
        ),
        (
            "a version too old",
            "PostgreSQL 14.9",
            lie(|peer| {
                peer.startup()?;
                peer.scram(|end| end)?;
                peer.welcome("14.9", "UTF8", "UTF8");
                Some(())
            }),
        ),
        (
            "another encoding",
            "client_encoding",
            lie(|peer| {
                peer.startup()?;
                peer.scram(|end| end)?;
                peer.welcome("15.4", "LATIN1", "UTF8");
                Some(())
            }),
        ),
        ("a database in another encoding", "encoded in LATIN1", encoded("LATIN1")),
        (
            "a database in any encoding",
            "encoded in SQL_ASCII",
            encoded("SQL_ASCII"),
        ),
        ("an encoding of its own kind", "encoded in 536;", encoded(CANARY)),
        (
            "a pooler",
            "a connection pooler stands before the target",
            lie(|peer| {
                peer.startup()?;
                peer.scram(|end| end)?;
                // It is asked before it has said anything more, and so without a round trip of its own.
                (peer.read()?.0 == b'F').then_some(())?;
                peer.welcome("15.4", "UTF8", "UTF8");
                peer.backend("8");
                Some(())
            }),
        ),
    ];
    for (what, detail, script) in &cases {
        let script = Arc::clone(script);
        fake.does(move |peer| script(peer));
        let words = turned_away(&door);
        assert!(words.contains("target"), "{what}: {words}");
        door.recorded(what, |event| match event {
            Event::LoginRefused(refused) if refused.detail.contains(detail) => {
                assert_eq!(refused.reason, Refusal::TargetUnavailable);
                assert!(refused.person.is_some());
                Some(())
            }
            _ => None,
        });
    }
    let heard = String::from_utf8_lossy(&fake.heard.lock().unwrap()).into_owned();
    assert!(!heard.contains(PASSWORD), "the password is never told");
    for record in door.records() {
        assert!(!format!("{record:?}").contains(CANARY), "{record:?}");
    }
    // The door is as good as new.
    fake.answers([message(b'I', b""), message(b'Z', b"I")].concat());
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    assert_eq!(tags(&client.query("")), "IZ");
}

#[test]
fn a_database_that_folds_names_otherwise_than_the_door_is_not_opened() {
    let mut door = TestDoor::new(&Given::open(), SCHEMA);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = format!("{}_{}", door.database, encoding.to_lowercase());
        door.direct(&format!(
            "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
        ));
        door.database = database;
        let words = turned_away(&door);
        assert!(words.contains("not encoded in UTF8"), "{words}");
        door.recorded(encoding, |event| match event {
            Event::LoginRefused(refused) if refused.detail.contains(encoding) => {
                assert_eq!(refused.reason, Refusal::TargetUnavailable);
                Some(())
            }
            _ => None,
        });
    }
}

#[test]
fn a_target_that_is_not_there_or_not_itself_is_not_dialled_any_further() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let fake = Fake::start();
    let told = |detail: &str| {
        turned_away(&door);
        door.recorded(detail, |event| match event {
            Event::LoginRefused(refused) if refused.detail.contains(detail) => Some(()),
            _ => None,
        });
    };
    // A wrong name, then a CA that nobody trusts.
    door.change(|open| {
        let trust = open.trust.as_mut().unwrap();
        trust.server_name = rustls_pki_types::ServerName::try_from("elsewhere").unwrap();
    });
    told("TLS does not stand");
    door.change(|open| {
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let trust = open.trust.as_mut().unwrap();
        trust.config = Arc::new(config);
        trust.server_name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    });
    told("TLS does not stand");
    // It offers no TLS: by N, by an error, by bytes that are no answer at all.
    for answer in [b"N".to_vec(), said(b'E', &[(b'M', CANARY)]), b"!".to_vec()] {
        fake.does(move |peer| {
            peer.startup();
            peer.send(&answer);
            peer.until_closed();
        });
        door.change(|open| open.spec.target.port = i32::from(fake.port));
        told("offers no TLS");
    }
    // It says S, and words in clear after it.
    fake.does(|peer| {
        peer.startup();
        peer.send(&[b"S".as_slice(), CANARY.as_bytes()].concat());
        peer.until_closed();
    });
    told("TLS does not stand");
    // Nobody listens; a name that leads nowhere; an address that the installation denies.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    door.change(|open| open.spec.target.port = i32::from(nobody));
    told("cannot be reached");
    door.change(|open| open.spec.target.host = "nowhere.invalid".into());
    told("does not resolve");
    door.change(|open| {
        open.spec.target.host = "localhost".into();
        open.denied_networks = Arc::new(["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    });
    told("does not resolve to an address that may be dialled");
    assert!(!String::from_utf8_lossy(&fake.heard.lock().unwrap()).contains(PASSWORD));
}

#[test]
fn a_target_that_says_nothing_is_not_waited_for_without_end() {
    let (door, fake) = before_fake();
    fake.does(|peer| peer.until_closed());
    let words = turned_away(&door);
    assert!(words.contains("target"), "{words}");
}

#[test]
fn a_target_that_breaks_the_protocol_ends_the_session_and_gets_nothing_through() {
    let (door, fake) = before_fake();
    let row = |body: &[u8]| [described(), message(b'D', body)].concat();
    let done = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
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
    }
    door.recorded_times(
        "a broken protocol each",
        cases.len(),
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::ProtocolViolation),
    );

    // It dies: before it answers, between rows, within one.
    let whole = row(&[0, 1, 0, 0, 0, 1, b'x']);
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

    // What it forges in the door's name loses the door's mark.
    let forged = said(
        b'N',
        &[
            (b'S', "NOTICE"),
            (b'C', "00000"),
            (b'M', "approve this"),
            (b'y', "sallyport"),
        ],
    );
    let answer = [forged, described(), done].concat();
    fake.answers(answer);
    let got = Client::login(&door, "alice", &[]).unwrap().query("select 1");
    assert_eq!((tags(&got).as_str(), got[0].field('y')), ("NTCZ", None));
}

#[test]
fn a_credential_that_is_missing_shuts_the_door_and_one_that_rotates_opens_it_again() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct("DROP ROLE IF EXISTS rotating; CREATE ROLE rotating LOGIN SUPERUSER PASSWORD 'first'");
    let known = |username: &str, password: &str| {
        Some(Arc::new(Credential {
            username: username.to_owned(),
            password: Some(Secret::new(password.into())),
            certificate: None,
        }))
    };
    door.change(|open| open.credential = known("rotating", "first"));
    let mut old = Client::login(&door, "alice", &[]).unwrap();
    door.direct("ALTER ROLE rotating PASSWORD 'second'");
    let words = turned_away(&door);
    assert!(words.contains("cannot be reached"), "{words}");
    door.change(|open| open.credential = None);
    let said = Client::login(&door, "alice", &[]).err().unwrap();
    assert!(said.last().unwrap().field('M').unwrap().contains("this door is shut"));
    door.recorded("the reason", |event| match event {
        Event::LoginRefused(refused) => refused.detail.contains("credential is missing").then_some(()),
        _ => None,
    });
    door.change(|open| open.credential = known("rotating", "second"));
    let mut new = Client::login(&door, "alice", &[]).unwrap();
    assert_eq!(tags(&new.query("select 1")), "TDCZ");
    assert_eq!(tags(&old.query("select 1")), "TDCZ", "who is in stays in");
    door.change(|open| open.credential = known(ROLE, PASSWORD));
    drop((old, new));
}

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
        (&["select 1"], vec![row], "TDE", "Unknown - 0", "select -"),
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

/// A certificate of nobody that the server knows.
fn strange(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
}

#[test]
fn a_certificate_says_who_the_door_is_to_a_target_that_asks_for_one() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    for role in [CERTIFIED, BOTH] {
        door.direct(&format!(
            "DROP ROLE IF EXISTS \"{role}\"; CREATE ROLE \"{role}\" LOGIN SUPERUSER PASSWORD 'theirs'"
        ));
    }
    let current = |chain: &str, key: &str| Arc::new(Current::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
    let (chain, key) = &door.server().certified;
    let theirs = current(chain, key);
    let stranger = strange(CERTIFIED);
    let strangers = current(&stranger.cert.pem(), &stranger.signing_key.serialize_pem());
    let known = |username: &str, password: Option<&str>, certificate: Option<&Arc<Current>>| {
        let credential = Credential {
            username: username.to_owned(),
            password: password.map(|password| Secret::new(password.into())),
            certificate: certificate.cloned(),
        };
        door.change(|open| open.credential = Some(Arc::new(credential)));
    };
    for (username, password) in [
        (CERTIFIED, None),
        (CERTIFIED, Some("not asked for")),
        (BOTH, Some("theirs")),
    ] {
        known(username, password, Some(&theirs));
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        assert_eq!(tags(&client.query("select 1")), "TDCZ", "{username}");
    }
    let (own, others) = (Some(&theirs), Some(&strangers));
    for (username, password, certificate, detail) in [
        (BOTH, Some("theirs"), None, "SQLSTATE 28000"),
        (CERTIFIED, Some("theirs"), None, "SQLSTATE 28000"),
        (ROLE, None, own, "the door has a certificate alone"),
        (CERTIFIED, None, others, "had seen the door's certificate"),
    ] {
        known(username, password, certificate);
        turned_away(&door);
        door.recorded(detail, |event| match event {
            Event::LoginRefused(refused) if refused.detail.contains(detail) => Some(()),
            _ => None,
        });
    }
    // Whoever never saw the certificate cannot say that it let the door in by it.
    let fake = Fake::start();
    fake.does(|peer| {
        peer.startup();
        peer.message(b'R', &0u32.to_be_bytes());
        peer.until_closed();
    });
    known(CERTIFIED, None, own);
    door.change(|open| {
        open.spec.target.port = i32::from(fake.port);
        open.trust = None;
    });
    turned_away(&door);
    door.recorded("no proof", |event| match event {
        Event::LoginRefused(refused) if refused.detail.contains("no proof at all") => Some(()),
        _ => None,
    });
}

/// Ends the door's TLS with a certificate of its own, and passes everything on to the server under another.
async fn pass_on(mut near: TcpStream, own: TlsAcceptor, port: u16, theirs: TlsConnector) -> std::io::Result<()> {
    let mut request = [0; 8];
    near.read_exact(&mut request).await?;
    near.write_all(b"S").await?;
    let mut near = own.accept(near).await?;
    let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
    far.write_all(&request).await?;
    far.read_u8().await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut far = theirs.connect(name, far).await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

#[test]
fn who_ends_the_tls_between_door_and_target_cannot_pass_the_login_on() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let own = strange("localhost");
    let private = rustls_pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], private)
        .unwrap();
    let roots = |pem: &str| sallyport_runtime::tls::roots(pem.as_bytes()).unwrap();
    let trusting = |pem: &str| Arc::new(sallyport_runtime::tls::client_config(roots(pem)).unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let connector = TlsConnector::from(trusting(&door.server().ca));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let (between, port) = (listener.local_addr().unwrap().port(), door.server().port);
    runtime.spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(pass_on(near, acceptor.clone(), port, connector.clone()));
        }
    });
    // The door trusts its certificate, as it would one that somebody got from the same CA.
    door.change(|open| {
        open.spec.target.port = i32::from(between);
        open.trust.as_mut().unwrap().config = trusting(&own.cert.pem());
    });
    turned_away(&door);
    door.recorded("the server saw another certificate", |event| match event {
        Event::LoginRefused(refused) if refused.detail.contains("SQLSTATE 28000") => Some(()),
        _ => None,
    });
}
