//! Who the door is to its target: a password that goes and comes back, and a certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls_pki_types::ServerName;
use sallyport_audit::record::Event;
use sallyport_crds::Reason;
use sallyport_proxy::door::{Credential, Secret};
use sallyport_runtime::tls::Current;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::postgres::{BOTH, CERTIFIED, PASSWORD, ROLE};
use super::common::runtime;
use super::common::wire::{Client, tags};
use super::fake::{Fake, said};
use super::targets::{before_fake, turned_away};

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
    assert!(words.contains("refuses this door's credentials"), "{words}");
    assert!(
        !words.contains("rotating"),
        "who the door is there is nobody's matter: {words}"
    );
    let lacks = door.alive.refusals();
    let [lack] = lacks.as_slice() else { panic!("{lacks:?}") };
    assert_eq!(lack.reason, Reason::TargetRefused);
    assert!(lack.message.contains("SQLSTATE 28P01: "), "{lack:?}");
    assert!(
        !["rotating", "first", "second"]
            .iter()
            .any(|kept| lack.message.contains(kept)),
        "{lack:?}"
    );
    door.change(|open| open.credential = None);
    let said = Client::login(&door, "alice", &[]).err().unwrap();
    assert!(said.last().unwrap().field('M').unwrap().contains("this door is shut"));
    door.recorded("the reason", |event| match event {
        Event::LoginRefused(refused) => refused.detail.contains("credential is missing").then_some(()),
        _ => None,
    });
    door.change(|open| open.credential = known("rotating", "second"));
    let mut new = Client::login(&door, "alice", &[]).unwrap();
    assert!(
        door.alive.refusals().is_empty(),
        "it ends with the next login that comes through"
    );
    assert_eq!(tags(&new.query("select 1")), "TDCZ");
    assert_eq!(tags(&old.query("select 1")), "TDCZ", "who is in stays in");
    door.change(|open| open.credential = known(ROLE, PASSWORD));
    drop((old, new));
}

/// One login by what was shown before another was; whether the target let it in.
fn lets_in_late(door: &TestDoor, fake: &Fake) -> bool {
    let (begun, goes_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begins, waits) = (Arc::clone(&begun), Arc::clone(&goes_on));
    fake.does(move |peer| {
        begins.store(true, Ordering::SeqCst);
        eventually("the other login", || waits.load(Ordering::SeqCst).then_some(()));
        let _ = peer.lets_in();
        peer.until_closed();
    });
    std::thread::scope(|scope| {
        let old = scope.spawn(|| Client::login(door, "alice", &[]).is_ok());
        eventually("it to begin", || begun.load(Ordering::SeqCst).then_some(()));
        let error = said(b'E', &[(b'S', "FATAL"), (b'C', "28P01"), (b'M', "no")]);
        fake.does(move |peer| {
            peer.startup();
            peer.send(&error);
            peer.until_closed();
        });
        door.change(|open| {
            open.credential = Some(Arc::new(Credential {
                username: ROLE.to_owned(),
                password: Some(Secret::new(PASSWORD.into())),
                certificate: None,
            }));
        });
        turned_away(door);
        assert_eq!(door.alive.refusals().len(), 1);
        goes_on.store(true, Ordering::SeqCst);
        old.join().unwrap()
    })
}

#[test]
fn a_login_by_what_was_shown_before_takes_no_refusal_back_of_what_is_shown_now() {
    let (door, fake) = before_fake();
    // The door waits for a target no longer than for some seconds, which may be over by then.
    assert!((0..10).any(|_| lets_in_late(&door, &fake)));
    assert_eq!(door.alive.refusals().len(), 1);
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
    let runtime = runtime();
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
