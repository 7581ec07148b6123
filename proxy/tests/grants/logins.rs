//! Rules that ask for a recent login: what who logged in too long ago is told, at once and in a session that grows old.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_proxy::door::{Identity, LoginRefused, Verifier};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, Names, TestDoor};
use super::common::wire::{Client, tags};
use super::common::{eventually, postgres};

const STALE: &str = "rule fresh asks for a login at most 120 s old: log in again";

/// People who logged in so many seconds ago; `None`: their tokens do not say when.
struct LoggedIn(Option<i64>);

impl Verifier for LoggedIn {
    fn verify<'a>(&'a self, token: &'a [u8], now: Time) -> BoxFuture<'a, Result<Identity, LoginRefused>> {
        async move {
            let mut identity = Names.verify(token, now).await?;
            let ago = |seconds: i64| Time::from_unix_micros(Time::now().unix_micros() - seconds * 1_000_000);
            identity.token.auth_time = self.0.map(ago);
            Ok(identity)
        }
        .boxed()
    }
}

/// A door before which alice logged in so long ago. Deleting asks for a recent login, updating for bob's approval beside it.
fn door(ago: Option<i64>) -> TestDoor {
    let bob = json!({"approvers": [{"kind": "Group", "name": "oidc:dba"}], "onHold": "Refuse"});
    let given = Given::open().policy(json!([
        {"name": "fresh", "match": {"cel": "'delete' in command.verbs"}, "action": "Allow", "maxLoginAge": "2m"},
        {"name": "fresh-and-approved", "match": {"cel": "'update' in command.verbs"}, "action": "RequireApproval",
         "maxLoginAge": "2m", "approval": bob},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]));
    let server = postgres::server();
    let database = server.database(SCHEMA);
    TestDoor::known_to(&given, server, database, std::sync::Arc::new(LoggedIn(ago)))
}

#[test]
fn a_stale_login_is_told_what_to_do() {
    let unknown = "your token does not say when you logged in (auth_time)";
    for (ago, words) in [(Some(180), STALE), (None, unknown)] {
        let door = door(ago);
        let printed = door.psql("alice", &["delete from acct where id = 1", "select 'lives on'"]);
        assert!(
            printed.err.contains("42501") && printed.err.contains(words),
            "{ago:?}: {printed:?}"
        );
        assert_eq!(printed.out, "lives on", "{ago:?}");
        let printed = door.psql("alice", &["update acct set n = 1"]);
        assert!(
            printed.err.contains("42501") && printed.err.contains("fresh-and-approved asks for a login"),
            "{ago:?}: {printed:?}"
        );
        assert_eq!(door.people.count(), 0, "{ago:?}: nobody is asked before that");
        assert_eq!(door.direct("select count(*) from acct"), "2", "{ago:?}");
    }
    let door = door(Some(60));
    assert_eq!(door.psql("alice", &["delete from acct where id = 1"]).err, "");
    assert!(door.psql("alice", &["update acct set n = 1"]).err.contains("request-1"));
}

#[test]
fn a_session_grows_too_old_and_a_new_login_helps() {
    let door = door(Some(112));
    // A machine that has something else to do may be late by the eight seconds that are left: then whoever logs in again has as many.
    let in_time = |id: u8| {
        eventually("a command in time", || {
            let mut client = Client::login(&door, "alice", &[]).unwrap();
            let got = client.query(&format!("delete from acct where id = {id}"));
            (tags(&got) == "CZ").then_some(client)
        })
    };
    let mut client = in_time(1);
    let refused = eventually("the login to be too old", || {
        let got = client.query("delete from acct where id = 2 and n > 0");
        (tags(&got) == "EZ").then_some(got)
    });
    assert_eq!(refused[0].field('C').as_deref(), Some("42501"));
    assert!(refused[0].field('M').unwrap().contains(STALE), "{refused:?}");
    assert_eq!(tags(&client.query("select 1")), "TDCZ", "the session lives on");
    in_time(2);
}
