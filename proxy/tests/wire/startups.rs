//! What clients choose at startup and the target does not take.

use sallyport_audit::record::{Event, Refusal};

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};
use super::fake::{CANARY, said};
use super::targets::{before_fake, turned_away};

/// SQLSTATE and words of whoever is not let in.
fn refused(door: &TestDoor, more: &[(&str, &str)]) -> (String, String) {
    let said = Client::login(door, "alice", more).err().expect("nobody gets in");
    let last = said.last().unwrap();
    assert_eq!(last.field('S').as_deref(), Some("FATAL"));
    (last.field('C').unwrap(), last.field('M').unwrap())
}

#[test]
fn what_the_target_does_not_take_has_its_own_sqlstate() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let cases: [(&[(&str, &str)], &str, &str); 5] = [
        (&[("options", "-c statement_timeout=abc")], "22023", "statement_timeout"),
        (&[("datestyle", "canary")], "22023", "datestyle"),
        (&[("timezone", "Nowhere/canary")], "22023", "timezone"),
        (
            &[("options", "-c geqo=on -c work_mem=1 -c geqo=off")],
            "22023",
            "geqo, work_mem",
        ),
        (&[("database", "nowhere")], "3D000", "the database does not exist"),
    ];
    for (more, code, want) in cases {
        let (got, words) = refused(&door, more);
        assert_eq!(got, code, "{more:?}: {words}");
        assert!(words.contains(want) && !words.contains("canary"), "{more:?}: {words}");
    }
    door.recorded_times(
        "a bad startup each",
        4,
        |event| matches!(event, Event::LoginRefused(refused) if refused.reason == Refusal::BadStartup),
    );
    let mut client = Client::login(&door, "alice", &[("options", "-c statement_timeout=5s")]).unwrap();
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

#[test]
fn a_target_that_blames_what_nobody_chose_is_not_believed() {
    let (door, fake) = before_fake();
    fake.does(|peer| {
        peer.startup();
        peer.send(&said(b'E', &[(b'S', "FATAL"), (b'C', "22023"), (b'M', CANARY)]));
        peer.until_closed();
    });
    let words = turned_away(&door);
    assert!(words.contains("cannot be reached"), "{words}");
    let (code, words) = refused(&door, &[("geqo", "off")]);
    assert_eq!(code, "22023");
    assert!(words.contains("geqo") && !words.contains(CANARY), "{words}");
}
