//! Function calls by the fast path, as libpq and JDBC call those of large objects.

use sallyport_audit::record::Event;
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags, value};

const LO_CREAT: u32 = 957;
const LO_OPEN: u32 = 952;
const LO_CLOSE: u32 = 953;
const LOREAD: u32 = 954;
const LOWRITE: u32 = 955;
const LO_LSEEK: u32 = 956;
const READ_AND_WRITE: i32 = 0x6_0000;

/// Calls a function with everything in binary, and gives the answer.
fn call(client: &mut Client, function: u32, arguments: &[&[u8]]) -> Vec<Message> {
    client.put(b'F', |out| {
        out.extend(function.to_be_bytes());
        out.extend([0, 1, 0, 1]);
        out.extend(u16::try_from(arguments.len()).unwrap().to_be_bytes());
        for argument in arguments {
            out.extend(u32::try_from(argument.len()).unwrap().to_be_bytes());
            out.extend(*argument);
        }
        out.extend([0, 1]);
    });
    client.send();
    client.ready()
}

/// The result of a call that succeeds.
fn result(client: &mut Client, function: u32, arguments: &[&[u8]]) -> Vec<u8> {
    let got = call(client, function, arguments);
    assert_eq!(tags(&got), "VZ", "{function}: {got:?}");
    let (length, result) = got[0].body.split_at(4);
    assert_eq!(length, u32::try_from(result.len()).unwrap().to_be_bytes());
    result.to_vec()
}

fn failed(got: &[Message]) -> String {
    assert_eq!(tags(got), "EZ", "{got:?}");
    got[0].field('C').unwrap()
}

#[test]
fn large_objects_are_denied_unless_the_connection_opens_them() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let got = call(&mut client, LO_CREAT, &[&READ_AND_WRITE.to_be_bytes()]);
    assert_eq!(failed(&got), "42501");
    assert!(got[0].field('M').unwrap().contains("lo_creat"), "{got:?}");
    assert_eq!(door.direct("select count(*) from pg_largeobject_metadata"), "0");
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

#[test]
fn where_it_does_they_are_judged_recorded_and_answered_as_calls() {
    let open = json!({"postgresql": {"open": ["ServerFileFunctions"]}});
    let door = TestDoor::new(&Given::open().connection(open), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("begin");
    // The client's own statements outlive a call.
    client.parse("own", "select 7").sync();
    assert_eq!(tags(&client.ready()), "1Z");
    let mode = READ_AND_WRITE.to_be_bytes();
    let oid = result(&mut client, LO_CREAT, &[&mode]);
    let fd = result(&mut client, LO_OPEN, &[&oid, &mode]);
    assert_eq!(result(&mut client, LOWRITE, &[&fd, b"some bytes"]), 10i32.to_be_bytes());
    assert_eq!(result(&mut client, LO_LSEEK, &[&fd, &[0; 4], &[0; 4]]), [0; 4]);
    let all = 100i32.to_be_bytes();
    assert_eq!(result(&mut client, LOREAD, &[&fd, &all]), b"some bytes");
    assert_eq!(result(&mut client, LOREAD, &[&fd, &all]), b"");
    assert_eq!(result(&mut client, LO_CLOSE, &[&fd]), [0; 4]);
    client.bind("", "own", &[], 0).describe(b'P', "").execute("", 0).sync();
    assert_eq!(value(&client.ready()), "7");
    assert_eq!(tags(&client.query("commit")), "CZ");

    // One that fails leaves nothing that the next could meet, in a transaction and outside.
    let nowhere = 1u32.to_be_bytes();
    for _ in 0..2 {
        assert_eq!(failed(&call(&mut client, LO_OPEN, &[&nowhere, &mode])), "42704");
        failed(&call(&mut client, LO_OPEN, &[&nowhere]));
    }
    client.query("begin");
    assert_eq!(failed(&call(&mut client, LO_OPEN, &[&nowhere, &mode])), "42704");
    failed(&call(&mut client, LO_CREAT, &[&mode]));
    client.query("rollback");
    assert_eq!(result(&mut client, LO_CREAT, &[&mode]).len(), 4);
    door.recorded("a read", |event| match event {
        Event::Command(command) => (command.text == "SELECT pg_catalog.loread($1, $2)").then_some(()),
        _ => None,
    });
}

#[test]
fn a_call_amid_a_pipeline_that_failed_is_passed_over() {
    let open = json!({"postgresql": {"open": ["ServerFileFunctions"]}});
    let door = TestDoor::new(&Given::open().connection(open), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.parse("", "select nothing from nowhere").put(b'H', |_| {});
    client.put(b'F', |out| {
        out.extend(LO_CREAT.to_be_bytes());
        out.extend([0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 6, 0, 0, 0, 1]);
    });
    client.sync();
    assert_eq!(tags(&client.ready()), "EZ");
    assert_eq!(door.direct("select count(*) from pg_largeobject_metadata"), "0");
    // Outside of one it ends the pipeline by itself, as a Query does.
    client.parse("", "select 1").put(b'F', |out| {
        out.extend(LO_CREAT.to_be_bytes());
        out.extend([0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 6, 0, 0, 0, 1]);
    });
    client.send();
    assert_eq!(tags(&client.ready()), "1VZ");
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}
