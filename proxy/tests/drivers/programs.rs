//! PostgreSQL's own programs: psql, pg_dump, pg_restore, pgbench.

use std::process::Command;

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::postgres::server;
use super::{SCHEMA, Way, alike, alike_under};

/// What dumps have beyond the list's schema.
const DUMPED: &str = include_str!("../../../e2e/drivers/dumped.sql");

/// psql's commands that describe. Of what a server holds for all its databases, and other tests change meanwhile, one only, and
/// no sizes (`\db+`).
const DESCRIBES: [&str; 89] = [
    r"\d",
    r"\d+ d_items",
    r"\d d_kinds",
    r"\d+ r_more.*",
    r"\dS pg_class",
    r"\da",
    r"\daS max",
    r"\dA",
    r"\dA+",
    r"\dAc btree int4",
    r"\dAc+ btree int4",
    r"\dAf btree int4",
    r"\dAf+ btree int4",
    r"\dAo btree float_ops",
    r"\dAo+ btree float_ops",
    r"\dAp btree float_ops",
    r"\dAp+ btree float_ops",
    r"\db",
    r"\dc",
    r"\dc+",
    r"\dconfig work_mem",
    r"\dconfig+ work_mem",
    r"\dC",
    r"\dC+ int4",
    r"\dd",
    r"\dd d_items",
    r"\dD",
    r"\dD+ r_more.*",
    r"\ddp",
    r"\dE",
    r"\dE+",
    r"\des",
    r"\des+",
    r"\det",
    r"\det+",
    r"\deu",
    r"\deu+",
    r"\dew",
    r"\dew+",
    r"\df r_more.*",
    r"\df+ r_more.*",
    r"\dfa",
    r"\dfn r_more.*",
    r"\dfp",
    r"\dft r_more.*",
    r"\dfw",
    r"\dF",
    r"\dF+ english",
    r"\dFd",
    r"\dFd+ simple",
    r"\dFp+",
    r"\dFt+ simple",
    r"\dg sallyport",
    r"\di",
    r"\di+ r_more.*",
    r"\dl",
    r"\dL+",
    r"\dm r_more.*",
    r"\dm+ r_more.*",
    r"\dn",
    r"\dn+",
    r"\do",
    r"\doS+ =",
    r"\dO",
    r"\dO+",
    r"\dp",
    r"\dp d_items",
    r"\dP",
    r"\dPt r_more.*",
    r"\dPi+ r_more.*",
    r"\drds sallyport",
    r"\dRp",
    r"\dRp+",
    r"\dRs",
    r"\dRs+",
    r"\ds",
    r"\ds+ d_*",
    r"\dt",
    r"\dt+ d_*",
    r"\dT r_more.*",
    r"\dT+ r_more.*",
    r"\du+ sallyport",
    r"\dv",
    r"\dv+ r_more.*",
    r"\dx",
    r"\dx+",
    r"\dX",
    r"\dy",
    r"\z",
];

/// What else says what there is.
const SHOWS: [&str; 8] = [
    r"\l+ template0",
    r"\lo_list",
    r"\sf pg_catalog.upper(text)",
    r"\sf+ r_more.touch",
    r"\sv r_more.seen",
    r"\sv+ r_more.seen",
    r"\gdesc",
    r"\echo done",
];

#[test]
#[ignore = "needs drivers: e2e/drivers/run"]
fn psql_describes() {
    // The second time with all columns hidden, under the profile that refuses what it cannot follow.
    let columns = json!({"match": {"columns": ["public.*.*", "r_more.*.*"]}, "profile": "Strict"});
    let given = [Given::open(), Given::open().mask("everything", columns)];
    let printed = alike_under(&given, &(SCHEMA.to_owned() + DUMPED), |way| {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-d", &way.conninfo()]);
        for command in DESCRIBES.iter().chain(&SHOWS) {
            psql.args(["-c", command]);
        }
        way.run(&mut psql).0
    });
    assert!(printed.len() >= 1000, "{}", printed.len());
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
    for words in [
        "could not open large object",
        "out of reach through this door",
        "pg_dump -B",
    ] {
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
            .args(["300", "pgbench", "-h", way.host, "-p", &port, "-U", way.user])
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
