//! Drivers do not notice: what they print of one list of checks is the same directly and through the door.
//!
//! `e2e/drivers/run` installs them; without it these tests are left out.

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

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::door::{Given, TestDoor};
use common::postgres::{PASSWORD, ROLE};
use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_audit::record::{Person, Refusal, Token};
use sallyport_proxy::door::{Identity, LoginRefused, Verifier};

const SCHEMA: &str = include_str!("../../../e2e/drivers/schema.sql");

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

/// Runs what `command` makes on a fresh database directly and on another through the door; both must print the same.
fn alike(command: impl Fn(&Way) -> Command, least: usize) {
    let (one, other) = (
        TestDoor::new(&Given::open(), SCHEMA),
        TestDoor::new(&Given::open(), SCHEMA),
    );
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &one.server().ca).unwrap();
    let direct = Way {
        host: "localhost",
        port: one.server().port,
        user: ROLE,
        password: PASSWORD,
        database: one.database.clone(),
        ca: ca.path().to_owned(),
    };
    let through = Way::through(&other);
    let (want, _) = direct.run(&mut command(&direct));
    let (got, _) = through.run(&mut command(&through));
    // The databases differ in their names and in nothing else.
    let (want, got) = (
        want.replace(&direct.database, "DB"),
        got.replace(&through.database, "DB"),
    );
    let (want, got): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    assert!(want.len() >= least, "{want:?}");
    let cut = |line: Option<&&str>| line.map(|line| line.chars().take(400).collect::<String>());
    let differ: Vec<_> = (0..want.len().max(got.len()))
        .filter(|i| want.get(*i) != got.get(*i))
        .map(|i| format!("  direct  {:?}\n  through {:?}", cut(want.get(i)), cut(got.get(i))))
        .collect();
    assert!(
        differ.is_empty(),
        "{} of {} differ:\n{}",
        differ.len(),
        want.len(),
        differ.join("\n")
    );
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn psycopg() {
    alike(|_| script("with_psycopg.py"), 150);
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn asyncpg() {
    alike(|_| script("with_asyncpg.py"), 150);
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn node_postgres() {
    alike(
        |_| {
            let mut command = Command::new("node");
            command.arg(checks().join("with_node.js"));
            command
        },
        240,
    );
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pgx() {
    alike(
        |_| {
            let mut command = Command::new(home().join("with_pgx"));
            command.arg(checks().join("checks.json"));
            command
        },
        240,
    );
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(checks().join(name));
    command
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn psql_describes() {
    let lists = [
        "\\d",
        "\\d+ d_items",
        "\\dt+ d_*",
        "\\di",
        "\\ds",
        "\\dv",
        "\\dn",
        "\\df d_*",
        "\\dT d_*",
        "\\du sallyport",
        "\\dp d_items",
        "\\l+ template0",
        "\\dx",
        "\\d d_kinds",
        "\\dd d_items",
        "\\sf pg_catalog.upper",
        "\\gdesc",
        "\\echo done",
    ];
    alike(
        |way| {
            let mut psql = Command::new("psql");
            psql.args(["-X", "-d", &way.conninfo()]);
            for list in lists {
                psql.args(["-c", list]);
            }
            psql
        },
        40,
    );
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pg_dump_dumps_the_same() {
    alike(
        |way| {
            let mut dump = Command::new("pg_dump");
            dump.args(["--no-sync", "--restrict-key=x", "-d", &way.conninfo()]);
            if !supports_restrict() {
                dump = Command::new("pg_dump");
                dump.args(["--no-sync", "-d", &way.conninfo()]);
            }
            dump
        },
        40,
    );
}

fn supports_restrict() -> bool {
    let help = Command::new("pg_dump").arg("--help").output().unwrap();
    String::from_utf8_lossy(&help.stdout).contains("--restrict-key")
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pgbench_in_every_mode() {
    let door = TestDoor::new(&Given::open(), "");
    let way = Way::through(&door);
    let bench = |args: &[&str]| {
        let mut command = Command::new("pgbench");
        let port = way.port.to_string();
        command
            .args(["-h", way.host, "-p", &port, "-U", way.user])
            .args(args)
            .arg(&way.database);
        way.run(&mut command)
    };
    bench(&["-i", "-q", "-s", "1"]);
    for mode in ["simple", "extended", "prepared"] {
        let (out, _) = bench(&["-M", mode, "-c", "3", "-t", "20"]);
        assert!(
            out.contains("number of transactions actually processed: 60/60"),
            "{mode}: {out}"
        );
    }
    // Each run begins with an empty history.
    assert_eq!(door.direct("select count(*) from pgbench_history"), "60");
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
