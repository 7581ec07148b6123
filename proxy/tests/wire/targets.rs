//! Targets that are down, weak or not themselves: nobody gets in, a clear error in words, nothing of theirs let through.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sallyport_audit::record::{Event, Refusal};

use super::SCHEMA;
use super::common::door::{Given, TestDoor, free_port};
use super::common::eventually;
use super::common::postgres::{PASSWORD, ROLE};
use super::common::wire::{Client, Message, tags};
use super::fake::{CANARY, Fake, Peer, message, said};

/// A door whose target is a fake.
pub fn before_fake() -> (TestDoor, Fake) {
    let door = TestDoor::new(&Given::open(), "");
    let fake = Fake::start();
    door.change(|open| {
        open.spec.target.port = i32::from(fake.port);
        open.trust = None;
    });
    (door, fake)
}

/// What whoever is not let in is told.
pub fn turned_away(door: &TestDoor) -> String {
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
    // Bound, so that nobody comes to listen there.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = i32::from(nobody.local_addr().unwrap().port());
    door.change(|open| open.spec.target.port = port);
    told("cannot be reached");
    drop(nobody);
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

/// A PgBouncer before the server of a door, and its port.
struct PgBouncer {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl PgBouncer {
    fn start(door: &TestDoor, mode: &str) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let (ini, users) = (directory.path().join("ini"), directory.path().join("users"));
        let socket = door.server().socket();
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\n\
             ignore_startup_parameters = extra_float_digits, search_path, options\n",
            socket.parent().unwrap().display(),
            door.server().port,
            users.display(),
        );
        std::fs::write(&ini, text).unwrap();
        std::fs::write(&users, format!("\"{ROLE}\" \"{PASSWORD}\"\n")).unwrap();
        // It does not run as root, and reads these as whom it then is.
        let mut command = Command::new("pgbouncer");
        if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0 {
            let given = Command::new("chown")
                .args(["-R", "postgres"])
                .arg(directory.path())
                .status();
            assert!(given.unwrap().success());
            command.args(["-u", "postgres"]);
        }
        let child = command.arg("-q").arg(ini).stdout(Stdio::null()).spawn();
        Self {
            child: child.expect("install pgbouncer"),
            port,
            _directory: directory,
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_pooler_is_refused_however_it_pools() {
    for mode in ["session", "transaction"] {
        let door = TestDoor::new(&Given::open(), SCHEMA);
        let pooler = PgBouncer::start(&door, mode);
        let past = format!(
            "host=127.0.0.1 port={} dbname={} user={ROLE} password={PASSWORD} sslmode=disable",
            pooler.port, door.database
        );
        // It lets the door's role in to the database: whoever is turned away is so by the door.
        eventually("the pooler to answer", || {
            (door.psql_with(&past, &["select count(*) from t"]).out == "20").then_some(())
        });
        door.change(|open| {
            open.spec.target.port = i32::from(pooler.port);
            open.trust = None;
        });
        turned_away(&door);
        door.recorded(mode, |event| match event {
            Event::LoginRefused(refused) => {
                let detail = &refused.detail;
                assert!(
                    detail.contains("a connection pooler stands before the target"),
                    "{mode}: {detail}"
                );
                assert_eq!(refused.reason, Refusal::TargetUnavailable);
                Some(())
            }
            _ => None,
        });
    }
}
