//! PostgreSQL's own programs: psql, pg_dump, pg_restore, pgbench.

use std::process::Command;

use super::common::door::{Given, TestDoor};
use super::common::postgres::server;
use super::{SCHEMA, Way, alike};

/// What dumps have beyond the list's schema.
const DUMPED: &str = include_str!("../../../e2e/drivers/dumped.sql");

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
    let printed = alike(SCHEMA, |way| {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-d", &way.conninfo()]);
        for list in lists {
            psql.args(["-c", list]);
        }
        way.run(&mut psql).0
    });
    assert!(printed.len() >= 40, "{printed:?}");
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pg_dump_dumps_the_same() {
    let printed = alike(&(SCHEMA.to_owned() + DUMPED), dumped);
    assert!(printed.len() >= 2000, "{}", printed.len());
}

/// The dump as SQL.
fn dumped(way: &Way) -> String {
    way.run(&mut dump(way)).0
}

fn dump(way: &Way) -> Command {
    let mut dump = Command::new("pg_dump");
    dump.args(["--no-sync", "-d", &way.conninfo()]);
    if supports_restrict("pg_dump") {
        dump.arg("--restrict-key=x");
    }
    dump
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn a_large_object_stops_pg_dump_in_words_that_say_how_to_go_on_without() {
    let schema = SCHEMA.to_owned() + "SELECT lo_from_bytea(0, 'anything');";
    let door = TestDoor::new(&Given::open(), &schema);
    let output = dump(&Way::through(&door)).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for words in ["could not open large object", "fast path are refused", "pg_dump -B"] {
        assert!(told.contains(words), "{told}");
    }
    let printed = alike(&schema, |way| way.run(dump(way).arg("-B")).0);
    assert!(printed.len() >= 50, "{}", printed.len());
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pg_dump_dumps_the_same_by_several_sessions() {
    let printed = alike(&(SCHEMA.to_owned() + DUMPED), |way| {
        let home = tempfile::tempdir().unwrap();
        let archive = home.path().join("archive");
        let mut dump = Command::new("pg_dump");
        dump.args(["--no-sync", "-Fd", "--jobs=2", "-d", &way.conninfo(), "-f"])
            .arg(&archive);
        way.run(&mut dump);
        let mut restore = Command::new("pg_restore");
        restore.arg("--file=-").arg(&archive);
        if supports_restrict("pg_restore") {
            restore.arg("--restrict-key=x");
        }
        way.run(&mut restore).0
    });
    assert!(printed.len() >= 2000, "{}", printed.len());
}

fn supports_restrict(program: &str) -> bool {
    let help = Command::new(program).arg("--help").output().unwrap();
    String::from_utf8_lossy(&help.stdout).contains("--restrict-key")
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pg_restore_restores_the_same() {
    let server = server();
    let database = server.database(&(SCHEMA.to_owned() + DUMPED));
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &server.ca).unwrap();
    let source = Way::direct(&server, database, ca.path());
    let archive = tempfile::NamedTempFile::new().unwrap();
    let mut dump = Command::new("pg_dump");
    dump.args(["--no-sync", "-Fc", "-d", &source.conninfo(), "-f"])
        .arg(archive.path());
    source.run(&mut dump);
    let want: Vec<_> = dumped(&source).lines().map(str::to_owned).collect();
    for how in ["--single-transaction", "--jobs=3"] {
        let got = alike("", |way| {
            let mut restore = Command::new("pg_restore");
            restore
                .args(["--exit-on-error", how, "-d", &way.conninfo()])
                .arg(archive.path());
            way.run(&mut restore);
            dumped(way)
        });
        assert!(got == want, "{how}: {} lines, {} were dumped", got.len(), want.len());
    }
}

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn pgbench_in_every_mode() {
    let door = TestDoor::new(&Given::open(), "");
    let way = Way::through(&door);
    let bench = |args: &[&str]| {
        let mut command = Command::new("timeout");
        let port = way.port.to_string();
        command
            .args(["60", "pgbench", "-h", way.host, "-p", &port, "-U", way.user])
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
    // It waits at its sockets: of a TLS record longer than libpq makes room for, the rest would lie in OpenSSL unseen.
    let script = tempfile::NamedTempFile::new().unwrap();
    let answers = "select repeat('x', n) from generate_series(1, 200) n;\nselect repeat('x', 100000);\n";
    std::fs::write(script.path(), answers).unwrap();
    let (out, _) = bench(&["-n", "-t", "20", "-f", script.path().to_str().unwrap()]);
    assert!(
        out.contains("number of transactions actually processed: 20/20"),
        "{out}"
    );
}
