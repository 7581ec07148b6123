//! Cancels: whom they reach, and how.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::{Client, tags, tls};
use super::fake::{Peer, message, said};
use super::targets::{before_fake, turned_away};
use sallyport_proxy::postgres::frame::put_cstr;

/// A CancelRequest.
pub fn request(pid: i32, secret: &[u8]) -> Vec<u8> {
    let length = u32::try_from(12 + secret.len()).unwrap();
    [
        &length.to_be_bytes()[..],
        &80_877_102u32.to_be_bytes(),
        &pid.to_be_bytes(),
        secret,
    ]
    .concat()
}

/// Sends bytes in clear, and waits for the end that answers a cancel.
pub fn plain(door: &TestDoor, request: &[u8]) {
    let mut stream = TcpStream::connect(door.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "a cancel is not answered");
}

/// Waits until a backend sleeps.
pub fn sleeping(door: &TestDoor, pid: i32) {
    let query = format!("select 1 from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'");
    eventually("the command to run", || (door.direct(&query) == "1").then_some(()));
}

#[test]
fn a_cancel_reaches_the_command_that_runs_and_no_other() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut one = Client::login(&door, "alice", &[]).unwrap();
    let mut two = Client::login_as(&door, "alice", 0x3_0002, &[]).unwrap();
    assert_eq!((one.key.1.len(), two.key.1.len()), (4, 32));
    for (encrypted, turn) in [(false, 0), (true, 1)] {
        for client in [&mut one, &mut two] {
            client.put(b'Q', |out| put_cstr(out, "select pg_sleep(60)")).send();
        }
        sleeping(&door, one.key.0);
        sleeping(&door, two.key.0);
        // Of the right process without its secret, of the secret without the process: nothing.
        plain(&door, &request(one.key.0, &[0; 4]));
        plain(&door, &request(two.key.0, &one.key.1));
        let hit = if turn == 0 { &one.key } else { &two.key };
        if encrypted {
            let mut stream = tls(&door, true, true).unwrap();
            stream.write_all(&request(hit.0, &hit.1)).unwrap();
            stream.flush().unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "TLS says goodbye");
        } else {
            plain(&door, &request(hit.0, &hit.1));
        }
        let (first, second) = if turn == 0 {
            (&mut one, &mut two)
        } else {
            (&mut two, &mut one)
        };
        let got = first.ready();
        assert_eq!(
            got[got.len() - 2].field('C').as_deref(),
            Some("57014"),
            "{}",
            tags(&got)
        );
        sleeping(&door, second.key.0);
        plain(&door, &request(second.key.0, &second.key.1));
        assert_eq!(
            second.ready().iter().filter_map(|m| m.field('C')).collect::<Vec<_>>(),
            ["57014"]
        );
    }
    // While nothing runs, a cancel is for nothing: it must not hit what comes next.
    plain(&door, &request(one.key.0, &one.key.1));
    assert_eq!(tags(&one.query("select 1")), "TDCZ");
    assert_eq!(tags(&two.query("select 1")), "TDCZ");
}

#[test]
fn a_flood_of_cancels_keeps_nobodys_own_out() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.put(b'Q', |out| put_cstr(out, "select pg_sleep(60)")).send();
    sleeping(&door, client.key.0);
    for pid in 10_000_000..10_000_400 {
        plain(&door, &request(pid, &[0; 4]));
    }
    plain(&door, &request(client.key.0, &client.key.1));
    let got = client.ready();
    assert_eq!(
        got[got.len() - 2].field('C').as_deref(),
        Some("57014"),
        "{}",
        tags(&got)
    );
}

#[test]
fn a_pipeline_is_cancelled_up_to_its_sync() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client
        .parse("", "insert into u values (1, 'x')")
        .bind("", "", &[], 0)
        .execute("", 0);
    client
        .parse("", "select pg_sleep(60)")
        .bind("", "", &[], 0)
        .execute("", 0);
    client
        .parse("", "insert into u values (2, 'y')")
        .bind("", "", &[], 0)
        .execute("", 0)
        .sync();
    sleeping(&door, client.key.0);
    plain(&door, &request(client.key.0, &client.key.1));
    let got = client.ready();
    assert!(
        got.iter().any(|message| message.field('C').as_deref() == Some("57014")),
        "{}",
        tags(&got)
    );
    assert_eq!(door.direct("select count(*) from u"), "0");
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

/// The key of a target that keeps to no old length: the door hands back what it was given.
#[test]
fn a_target_has_back_a_secret_of_any_length_that_the_protocol_allows() {
    let (door, fake) = before_fake();
    for length in [4, 32, 255, 256] {
        let secret: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let (cancels, own) = (Arc::new(Mutex::new(Vec::new())), secret.clone());
        let arrived = Arc::clone(&cancels);
        let (began, begins) = mpsc::channel();
        let session = move |peer: &mut Peer| {
            let packet = peer.startup()?;
            if let Some(key) = packet.strip_prefix(&80_877_102u32.to_be_bytes()) {
                arrived.lock().unwrap().push(key.to_vec());
                return Some(());
            }
            peer.scram(|end| end)?;
            peer.welcome_by(("15.4", "UTF8", "UTF8"), &own);
            peer.backend("7");
            while peer.read()? != (b'Q', b"select 7\0".to_vec()) {}
            began.send(()).ok()?;
            eventually("a cancel", || (!arrived.lock().unwrap().is_empty()).then_some(()));
            let fields = [
                (b'S', "ERROR"),
                (b'V', "ERROR"),
                (b'C', "57014"),
                (b'M', "canceling statement"),
            ];
            peer.send(&[said(b'E', &fields), message(b'Z', b"I")].concat());
            peer.until_closed();
            Some(())
        };
        fake.does(move |peer| {
            let _ = session(peer);
        });
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        client.put(b'Q', |out| put_cstr(out, "select 7")).send();
        begins.recv_timeout(Duration::from_secs(60)).unwrap();
        plain(&door, &request(client.key.0, &client.key.1));
        let got = client.ready();
        assert_eq!(
            (tags(&got).as_str(), got[0].field('C').as_deref()),
            ("EZ", Some("57014")),
            "{length}"
        );
        let want = [&7i32.to_be_bytes()[..], &secret].concat();
        assert_eq!(*cancels.lock().unwrap(), [want], "{length}");
    }
    for length in [3, 257] {
        fake.does(move |peer| {
            let Some(()) = peer.startup().and_then(|_| peer.scram(|end| end)) else {
                return;
            };
            peer.welcome_by(("15.4", "UTF8", "UTF8"), &vec![1; length]);
            peer.until_closed();
        });
        turned_away(&door);
    }
}
