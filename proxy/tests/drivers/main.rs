//! Drivers do not notice: what they print of one list of checks is the same directly and through the door.
//!
//! `e2e/drivers/run` installs them; without it only the one that Cargo has is tried.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;
mod programs;
mod with_tokio_postgres;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::door::{Given, TestDoor};
use common::postgres::{PASSWORD, Postgres, ROLE};
use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_audit::record::{Person, Refusal, Token};
use sallyport_proxy::door::{Identity, LoginRefused, Verifier};

const SCHEMA: &str = include_str!("../../../e2e/drivers/schema.sql");
/// What rules are about, and no check.
const PROTECTED: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text, ssn_num bigint); \
     INSERT INTO customers VALUES (1, 'Ada', '536-90-4399', 536904399);";

/// The one list of ordinary work that all drivers do.
#[derive(serde::Deserialize)]
struct List {
    /// Types and texts of values.
    values: Vec<(String, String)>,
    /// Statements, one after the other in one session.
    statements: Vec<String>,
    /// What no single statement is, each done as the driver does it, and in what it consists.
    steps: BTreeMap<String, String>,
}

impl List {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../../e2e/drivers/checks.json")).unwrap()
    }

    /// As drivers name in what they print.
    fn names(&self) -> BTreeSet<String> {
        let values = self.values.iter().map(|(kind, value)| format!("value {kind} {value}"));
        let others = self.statements.iter().chain(self.steps.keys()).cloned();
        values.chain(others).collect()
    }
}

fn checks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/drivers")
}

fn home() -> PathBuf {
    let home = std::env::var("SALLYPORT_DRIVERS").expect("run e2e/drivers/run, which says where the drivers are");
    PathBuf::from(home)
}

fn python() -> PathBuf {
    home().join("bin/python")
}

/// Where a driver goes.
struct Way {
    host: &'static str,
    port: u16,
    user: &'static str,
    password: &'static str,
    database: String,
    ca: PathBuf,
}

impl Way {
    fn direct(server: &Postgres, database: String, ca: &Path) -> Self {
        Self {
            host: "localhost",
            port: server.port,
            user: ROLE,
            password: PASSWORD,
            database,
            ca: ca.to_owned(),
        }
    }

    fn through(door: &TestDoor) -> Self {
        Self {
            host: "127.0.0.1",
            port: door.address.port(),
            user: "alice",
            password: "alice",
            database: door.database.clone(),
            ca: door.ca.path().to_owned(),
        }
    }

    fn conninfo(&self) -> String {
        let (user, password, port, ca) = (self.user, self.password, self.port, self.ca.display());
        format!(
            "host={} port={port} dbname={} user={user} password={password} sslmode=verify-full sslrootcert={ca}",
            self.host, self.database
        )
    }

    fn run(&self, command: &mut Command) -> (String, String) {
        let output = command
            .env("CHECKS_DSN", self.conninfo())
            .env("CHECKS_HOST", self.host)
            .env("CHECKS_PORT", self.port.to_string())
            .env("CHECKS_USER", self.user)
            .env("CHECKS_PASSWORD", self.password)
            .env("CHECKS_DATABASE", &self.database)
            .env("CHECKS_CA", &self.ca)
            .env("PGPASSWORD", self.password)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &self.ca)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{:?}: {}{}",
            command,
            text(&output.stdout),
            text(&output.stderr)
        );
        (text(&output.stdout), text(&output.stderr))
    }
}

/// Does `work` on a fresh database directly and on another through the door; both must print the same, which is given by line.
fn alike(schema: &str, work: impl Fn(&Way) -> String) -> Vec<String> {
    alike_under(&[Given::open()], schema, work)
}

/// The same through a door for each of these rules.
fn alike_under(given: &[Given], schema: &str, work: impl Fn(&Way) -> String) -> Vec<String> {
    let server = common::postgres::server();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &server.ca).unwrap();
    // The databases differ in their names and in nothing else.
    let printed = |way: &Way| -> Vec<String> {
        let printed = work(way).replace(&way.database, "DB");
        printed.lines().map(str::to_owned).collect()
    };
    let want = printed(&Way::direct(&server, server.database(schema), ca.path()));
    for (turn, given) in given.iter().enumerate() {
        let door = TestDoor::new(given, schema);
        let got = printed(&Way::through(&door));
        let cut = |line: Option<&String>| line.map(|line| line.chars().take(400).collect::<String>());
        let differ: Vec<_> = (0..want.len().max(got.len()))
            .filter(|i| want.get(*i) != got.get(*i))
            .map(|i| format!("  direct  {:?}\n  through {:?}", cut(want.get(i)), cut(got.get(i))))
            .collect();
        assert!(
            differ.is_empty(),
            "door {turn}: {} of {} differ:\n{}",
            differ.len(),
            want.len(),
            differ.join("\n")
        );
    }
    want
}

/// A driver does the whole list, and nothing of it differs: neither where there are no rules nor where there are, about a column
/// of another table and about what detectors find. It prints a line of JSON for each check, the check's name first.
fn notices_nothing(work: impl Fn(&Way) -> String) {
    let printed = alike_under(&[Given::open(), Given::cases()], &(PROTECTED.to_owned() + SCHEMA), work);
    let name = |line: &String| {
        let line: Vec<serde_json::Value> = serde_json::from_str(line).unwrap();
        line[0].as_str().unwrap().to_owned()
    };
    let done: BTreeSet<_> = printed.iter().map(name).collect();
    let left_out: Vec<_> = List::read()
        .names()
        .into_iter()
        .filter(|name| !done.contains(name))
        .collect();
    assert!(left_out.is_empty(), "not done: {left_out:?}");
}

#[test]
fn the_list_is_long_enough() {
    assert!(List::read().names().len() >= 100);
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn psycopg() {
    notices_nothing(|way| way.run(&mut script("with_psycopg.py")).0);
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn asyncpg() {
    notices_nothing(|way| way.run(&mut script("with_asyncpg.py")).0);
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn node_postgres() {
    notices_nothing(|way| way.run(Command::new("node").arg(checks().join("with_node.js"))).0);
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pgx() {
    notices_nothing(|way| {
        way.run(Command::new(home().join("with_pgx")).arg(checks().join("checks.json")))
            .0
    });
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn jdbc() {
    let jars = home().join("jdbc");
    let path = format!("{0}:{0}/*", jars.display());
    notices_nothing(|way| {
        let mut java = Command::new("java");
        java.args(["-cp", &path, "WithJdbc"]).arg(checks().join("checks.json"));
        way.run(&mut java).0
    });
}

#[test]
fn tokio_postgres() {
    notices_nothing(with_tokio_postgres::run);
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(checks().join(name));
    command
}

/// A provider's people, and where it describes itself.
struct Described;

impl Verifier for Described {
    fn verify<'a>(&'a self, token: &'a [u8], _: Time) -> BoxFuture<'a, Result<Identity, LoginRefused>> {
        let known = token == b"a-token-of-alice";
        Box::pin(async move {
            let person = Person {
                issuer: "https://idp.test/realms/bank".into(),
                subject: "a-1".into(),
                username: "oidc:alice".into(),
            };
            let refused = LoginRefused {
                reason: Refusal::BadToken,
                detail: "of a test".into(),
                person: None,
            };
            let groups = vec!["oidc:engineers".to_owned()];
            let identity = Identity {
                person,
                groups,
                agents: Vec::new(),
                email: None,
                token: Token::default(),
            };
            known.then_some(identity).ok_or(refused)
        })
    }

    fn configuration(&self) -> Option<String> {
        Some("https://idp.test/realms/bank/.well-known/openid-configuration".to_owned())
    }
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn libpq_18_logs_in_by_oauthbearer() {
    let server = common::postgres::server();
    let database = server.database("");
    let door = TestDoor::known_to(&Given::open(), server, database, Arc::new(Described));
    let (port, ca) = (door.address.port(), door.ca.path().display());
    let base = format!(
        "host=127.0.0.1 port={port} dbname={} user=alice sslmode=verify-full sslrootcert={ca} \
         oauth_issuer=https://idp.test/realms/bank oauth_client_id=psql options='-c sallyport.login=oauth'",
        door.database
    );
    let way = Way::through(&door);
    for direct in [
        "",
        " sslnegotiation=direct",
        " require_auth=oauth",
        " max_protocol_version=latest",
    ] {
        for (token, want) in [("a-token-of-alice", "in 42"), ("another-token", "refused")] {
            let mut command = script("with_libpq18.py");
            command.env("CHECKS_TOKEN", token);
            let dsn = format!("{base}{direct}");
            let output = command.env("CHECKS_DSN", &dsn).output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success() && out.contains(want),
                "{direct} {out} {output:?}"
            );
            assert!(
                token != "another-token" || out.contains("the token was refused"),
                "{out}"
            );
        }
    }
    drop(way);
}
