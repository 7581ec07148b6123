//! Cancels that reach another replica than the one that holds the session, and tokens that are in use there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use sallyport_audit::record::{Event, ObjectRef};
use sallyport_proxy::door::{Peers, Sessions};
use sallyport_proxy::peers::{Replicas, Way, hear};
use sallyport_proxy::postgres::frame::put_cstr;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::workload::Credential;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::SCHEMA;
use super::cancels::{plain, request, sleeping};
use super::common::door::{Given, TestDoor, bank};
use super::common::replicas::{Authority, workload};
use super::common::wire::{Client, tags};
use super::common::{eventually, runtime};

/// A key as long as one may be.
const KEY: [u8; 260] = [7; 260];

#[test]
fn a_cancel_at_another_replica_reaches_the_command() {
    let one = TestDoor::new(&Given::open(), SCHEMA);
    let two = TestDoor::before(&Given::open(), one.shared_server(), one.database.clone());
    let authority = Authority::new();
    let port = one.hears(&authority.replica(&bank()));
    two.tells(&authority.replica(&bank()), port);
    for version in [0x3_0000, 0x3_0002] {
        let mut client = Client::login_as(&one, "alice", version, &[]).unwrap();
        client.put(b'Q', |out| put_cstr(out, "select pg_sleep(60)")).send();
        sleeping(&one, client.key.0);
        let told = two.others.told();
        plain(&two, &request(client.key.0, &[0; 4]));
        assert_eq!(two.others.told(), told + 1);
        sleeping(&one, client.key.0);

        // The one that is asked for tells the other, which drains while it is replaced.
        two.change(|open| open.spec.proxy.replicas = 1);
        plain(&two, &request(client.key.0, &client.key.1));
        let got = client.ready();
        assert_eq!(
            got[got.len() - 2].field('C').as_deref(),
            Some("57014"),
            "{}",
            tags(&got)
        );
        assert_eq!(two.others.told(), told + 2);
        assert_eq!(tags(&client.query("select 1")), "TDCZ");
    }
    assert_eq!(one.others.told(), 0, "what another replica says is passed on to nobody");
}

#[test]
fn a_token_that_is_in_use_at_another_replica_is_flagged() {
    let one = TestDoor::new(&Given::open(), SCHEMA);
    let two = TestDoor::before(&Given::open(), one.shared_server(), one.database.clone());
    let authority = Authority::new();
    let port = one.hears(&authority.replica(&bank()));
    two.tells(&authority.replica(&bank()), port);
    // Where the last one of a person stands who came in says so.
    let last = |door: &TestDoor, name: &str| {
        let starts = door.events().into_iter().filter_map(|event| match event {
            Event::SessionStart(start) if start.person.username == name => Some(start.token_elsewhere),
            _ => None,
        });
        starts.last()
    };
    let first = Client::login(&one, "alice", &[]).unwrap();
    assert_eq!(eventually("alice", || last(&one, "oidc:alice")), None);
    // Nobody waits for a replica that is slow to answer.
    let other = eventually("the other address", || {
        drop(Client::login_from(&two, "alice", "127.0.0.2").unwrap());
        last(&two, "oidc:alice").flatten()
    });
    assert_eq!(other, "127.0.0.1");

    let here = Client::login(&one, "bob", &[]).unwrap();
    let there = Client::login(&two, "bob", &[]).unwrap();
    assert_eq!(
        eventually("bob", || last(&two, "oidc:bob")),
        None,
        "it is the same address"
    );
    drop((first, here, there));
}

/// One who hears, under a certificate, and what was heard.
fn listener(runtime: &Runtime, credential: &Credential) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keys = Arc::clone(&heard);
    let hearing = hear(
        listener,
        credential,
        &bank(),
        Arc::new(move |key: &[u8]| keys.lock().unwrap().push(key.to_vec())),
        Sessions::default(),
    );
    runtime.spawn(hearing.unwrap());
    (port, heard)
}

fn tell(runtime: &Runtime, credential: &Credential, way: (&str, u16, Option<&str>)) {
    let (host, port, own) = way;
    let way = Way {
        host: host.to_owned(),
        port,
        own: own.map(|address| address.parse().unwrap()),
    };
    let replicas = Replicas::new(credential, &bank(), way, runtime.handle().clone()).unwrap();
    runtime.block_on(replicas.cancel(KEY.to_vec()));
}

#[test]
fn only_replicas_of_the_same_connection_speak_with_each_other() {
    let (runtime, authority) = (runtime(), Authority::new());
    let good = authority.replica(&bank());
    let another = |change: fn(&mut ObjectRef)| {
        let mut connection = bank();
        change(&mut connection);
        authority.replica(&connection)
    };
    let strangers = [
        ("of another Connection", another(|c| c.name = "shop".into())),
        ("of a namesake", another(|c| c.uid = "uid-made-later".into())),
        ("of another namespace's", another(|c| c.namespace = "others".into())),
        (
            "a recorder",
            authority.credential(&PeerIdentity::Sink(workload(&bank()))),
        ),
        ("the operator", authority.credential(&PeerIdentity::Operator)),
        ("of another cluster", Authority::new().replica(&bank())),
    ];
    let (port, heard) = listener(&runtime, &good);
    for (who, credential) in &strangers {
        tell(&runtime, credential, ("127.0.0.1", port, None));
        assert!(heard.lock().unwrap().is_empty(), "heard from one {who}");
        let (theirs, told) = listener(&runtime, credential);
        tell(&runtime, &good, ("127.0.0.1", theirs, None));
        assert!(told.lock().unwrap().is_empty(), "told to one {who}");
    }
    tell(&runtime, &good, ("127.0.0.1", port, Some("127.0.0.1")));
    assert!(heard.lock().unwrap().is_empty(), "nobody asks themselves");
    tell(&runtime, &good, ("127.0.0.1", port, Some("127.0.0.2")));
    assert_eq!(*heard.lock().unwrap(), [KEY.to_vec()]);
}

#[test]
fn what_is_no_cancel_is_not_heard_and_nobody_waits_for_ever() {
    let (runtime, authority) = (runtime(), Authority::new());
    let good = authority.replica(&bank());
    let (port, heard) = listener(&runtime, &good);
    let config = good.client_config(Arc::new(|_| true)).unwrap();
    let whole = [&[1, 1, 4][..], &KEY].concat();
    let long = [&[1, 1, 5][..], &KEY, &[7]].concat();
    let cases: [(&str, &[u8]); 5] = [
        ("nothing", &[]),
        ("half of a key", &whole[..100]),
        ("a key that is too long", &long),
        ("a key that is too short", &[1, 0, 7, 7, 7, 7, 7, 7, 7, 7]),
        ("another version", &[3, 0, 8, 7, 7, 7, 7, 7, 7, 7, 7]),
    ];
    let said = |bytes: &[u8]| {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(&config), name).unwrap(), tcp);
        tls.write_all(bytes).unwrap();
        tls.flush().unwrap();
        let mut answer = Vec::new();
        if let Err(error) = tls.read_to_end(&mut answer) {
            let slow = matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            );
            assert!(!slow, "it was not closed: {error}");
        }
        answer
    };
    for (what, bytes) in cases {
        assert!(said(bytes).is_empty(), "{what} is answered");
        assert!(heard.lock().unwrap().is_empty(), "{what} is heard");
    }
    // One message, one answer; what follows is not read.
    assert_eq!(said(&[&whole[..], &whole].concat()), [0]);
    assert_eq!(*heard.lock().unwrap(), [KEY.to_vec()]);
}

#[test]
fn replicas_that_do_not_answer_are_not_waited_for() {
    let (runtime, authority) = (runtime(), Authority::new());
    // It takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let way = Way {
        host: "127.0.0.1".into(),
        port,
        own: None,
    };
    let replicas = Replicas::new(&authority.replica(&bank()), &bank(), way, runtime.handle().clone()).unwrap();
    let took = || {
        let began = std::time::Instant::now();
        runtime.block_on(async {
            let all: Vec<_> = (0..100).map(|_| replicas.cancel(KEY.to_vec())).collect();
            futures::future::join_all(all).await;
        });
        began.elapsed()
    };
    // A machine that has something else to do may need another try.
    let late: Vec<Duration> = std::iter::repeat_with(took)
        .take(5)
        .take_while(|took| *took >= Duration::from_secs(20))
        .collect();
    assert!(late.len() < 5, "{late:?}");
    silent.set_nonblocking(true).unwrap();
    let came = std::iter::from_fn(|| silent.accept().ok()).count();
    assert!((1..=16 * (late.len() + 1)).contains(&came), "{came} at a time");
}
