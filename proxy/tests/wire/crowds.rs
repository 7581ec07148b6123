//! Large messages of many at once.

use std::sync::mpsc;
use std::time::Duration;

use sallyport_proxy::postgres::frame::CLIENT_CAP;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

#[test]
fn one_person_does_not_take_the_room_of_all() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let enters = |user: &str| Client::login(&door, user, &[]).unwrap();
    // The head of a Query of so many bytes, and nothing more.
    let begins = |length: usize| {
        let mut client = enters("alice");
        let length = u32::try_from(length + 4).unwrap().to_be_bytes();
        client.raw(&[&b"Q"[..], &length].concat());
        client
    };
    let (one, two) = (begins(CLIENT_CAP), begins(CLIENT_CAP - 64 * 1024));
    let (mut three, mut other) = (enters("alice"), enters("bob"));
    let sql = format!("select length('{}')", "x".repeat(512 * 1024));
    let (answers, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answers.send(tags(&three.query(&sql))).unwrap());
        assert_eq!(tags(&other.query(&sql)), "TDCZ", "others have room");
        assert!(answered.try_recv().is_err(), "and who took it all waits");
        drop(one);
        let tags = answered.recv_timeout(Duration::from_secs(60));
        assert_eq!(tags.as_deref(), Ok("TDCZ"));
    });
    drop(two);
}
