//! Who is connected to the target past the door.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sallyport_proxy::door::{Credential, Rules, Secret};
use sallyport_proxy::postgres::lookout::{Seen, look};
use sallyport_proxy::session::Target;
use sallyport_runtime::report::Backends;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::eventually;
use super::common::wire::Client;

fn looked(door: &TestDoor, databases: &[String]) -> Seen {
    let Rules::Open(open) = door.rules.borrow().clone() else {
        panic!("the door is shut")
    };
    let target = Target {
        host: open.spec.target.host.clone(),
        port: u16::try_from(open.spec.target.port).unwrap(),
        credential: open.credential.clone().unwrap(),
        trust: open.trust.clone(),
        denied: open.denied_networks.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(look(&target, &door.database, databases, Duration::ZERO))
        .unwrap()
}

fn seen(door: &TestDoor, databases: &[String]) -> Backends {
    looked(door, databases).backends
}

#[test]
fn a_connection_past_the_door_is_seen_and_those_of_the_process_are_not() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct("DROP ROLE IF EXISTS past_the_door; CREATE ROLE past_the_door LOGIN");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let answer = client.query("select pg_backend_pid()");
    let own: String = answer[1].text().chars().filter(char::is_ascii_digit).collect();
    let own: i32 = own.parse().unwrap();

    let mut past = Command::new("psql")
        .args(["-X", "-q", "-h"])
        .arg(door.server().socket().parent().unwrap())
        .args(["-p", &door.server().port.to_string(), "-U", "past_the_door"])
        .args(["-d", &door.database])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let role = "past_the_door";
    let found = eventually("the connection past the door", || {
        let seen = seen(&door, &[]);
        seen.others.contains_key(role).then_some(seen)
    });
    assert_eq!(found.others[role].len(), 1);
    assert!(found.whole && found.target.ends_with(&format!(":{}", door.server().port)));
    assert!(!found.others.values().flatten().any(|pid| *pid == own), "{found:?}");
    // A Connection that offers other databases is not about this one.
    assert!(!seen(&door, &["elsewhere".to_owned()]).others.contains_key(role));

    past.stdin.take().unwrap().write_all(b"\\q\n").unwrap();
    past.wait().unwrap();
    eventually("it has left", || {
        (!seen(&door, &[]).others.contains_key(role)).then_some(())
    });

    // The door looks by itself while somebody is in.
    let told = eventually("a look of the door", || door.alive.seen());
    assert_eq!(told.target, found.target);
}

#[test]
fn a_role_to_which_masks_are_advice_is_told_with_what_makes_it_so() {
    let door = TestDoor::new(&Given::open(), SCHEMA);
    door.direct(
        "DROP ROLE IF EXISTS modest, mighty; CREATE ROLE modest LOGIN PASSWORD 'theirs'; CREATE ROLE mighty SUPERUSER",
    );
    let modest = Credential {
        username: "modest".to_owned(),
        password: Some(Secret::new("theirs".into())),
        certificate: None,
    };
    door.change(|open| open.credential = Some(Arc::new(modest)));
    let caveat = || looked(&door, &[]).caveat.map(|caveat| caveat.message);
    door.direct("GRANT pg_read_all_stats TO modest");
    assert_eq!(caveat(), None, "what the door needs to see who is there is no harm");
    for (give, told, take) in [
        (
            "ALTER ROLE modest BYPASSRLS",
            "has BYPASSRLS",
            "ALTER ROLE modest NOBYPASSRLS",
        ),
        (
            "ALTER ROLE modest CREATEROLE",
            "has CREATEROLE",
            "ALTER ROLE modest NOCREATEROLE",
        ),
        (
            "ALTER ROLE modest REPLICATION",
            "has REPLICATION",
            "ALTER ROLE modest NOREPLICATION",
        ),
        (
            "ALTER ROLE modest SUPERUSER",
            "is a superuser",
            "ALTER ROLE modest NOSUPERUSER",
        ),
        (
            "GRANT mighty TO modest",
            "is a member of mighty (SUPERUSER",
            "REVOKE mighty FROM modest",
        ),
    ] {
        door.direct(give);
        let words = caveat().expect(give);
        assert!(words.starts_with(&format!("role modest {told}")), "{give}: {words}");
        door.direct(take);
        assert_eq!(caveat(), None, "{take}");
    }
    for role in [
        "pg_read_all_data",
        "pg_read_server_files",
        "pg_write_server_files",
        "pg_execute_server_program",
    ] {
        // Also where it has to be taken on by SET ROLE first.
        door.direct(&format!("ALTER ROLE modest NOINHERIT; GRANT {role} TO modest"));
        let words = caveat().expect(role);
        assert!(words.contains(&format!("is a member of {role} at")), "{words}");
        door.direct(&format!("REVOKE {role} FROM modest"));
    }
    assert_eq!(caveat(), None);

    // The door asks by itself while somebody is in.
    door.direct("GRANT pg_read_all_data TO modest");
    let client = Client::login(&door, "alice", &[]).unwrap();
    let told = eventually("a look of the door", || door.alive.caveat());
    assert!(told.message.contains("pg_read_all_data"), "{}", told.message);
    drop(client);
}
