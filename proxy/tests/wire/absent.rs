//! Clients that say nothing more. One of them is waited for a minute: tests run by their names, and others run meanwhile.

use std::io::Write as _;
use std::time::Duration;

use sallyport_audit::record::Event;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{startup, tls};
use super::strangers::{SSL, code, rest, shown, tcp};

#[test]
fn nobody_is_waited_for_without_end() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let hello = startup(0x3_0000, &[("user", "alice")]);
    let mut silent = tcp(&door);
    let mut slow = tcp(&door);
    slow.write_all(&code(SSL)).unwrap();
    // The beginning of a ClientHello that announces 512 bytes.
    slow.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
    let mut halfway = tls(&door, true, true).unwrap();
    halfway.write_all(&hello[..9]).unwrap();
    halfway.flush().unwrap();
    // It is asked for its token, and has none to give.
    let mut mute = tls(&door, true, true).unwrap();
    mute.write_all(&hello).unwrap();
    mute.flush().unwrap();
    mute.sock.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    assert_eq!(shown(&rest(&mut silent)), "");
    assert_eq!(shown(&rest(&mut slow)), "S");
    assert_eq!(shown(&rest(&mut halfway)), "");
    door.recorded_times(
        "three that took too long",
        3,
        |event| matches!(event, Event::LoginRefused(refused) if refused.detail == "TLS and startup took too long"),
    );
    assert_eq!(rest(&mut mute), [b'R', 0, 0, 0, 8, 0, 0, 0, 3]);
    door.recorded("one that took longer", |event| match event {
        Event::LoginRefused(refused) => (refused.detail == "the handshake took too long").then_some(()),
        _ => None,
    });
}
