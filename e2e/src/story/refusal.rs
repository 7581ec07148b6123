//! What is never done, and who never gets in.

use anyhow::Result;

use crate::client::{ask_directly, psql};
use crate::demo::{ALICE, Demo, MALLORY};
use crate::narrator::Narrator;
use crate::run::run;

pub(super) fn drop_table(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let mut command = psql(demo, ALICE, &["DROP TABLE customers", "SELECT 'still here' AS session"])?;
    narrator.types("alice", &command);
    let output = run(&mut command)?;
    narrator.shows(&output);
    narrator.check(
        "refused in words",
        output.stderr.contains("ERROR:") && output.stderr.contains("drop"),
    )?;
    narrator.check("the session lives on", output.stdout.contains("still here"))?;
    let there = ask_directly(demo, "SELECT count(*) FROM customers")?.stdout;
    narrator.check("the table is there", there.trim() == "10000")?;
    let mut half = psql(
        demo,
        ALICE,
        &["BEGIN; UPDATE accounts SET balance = balance - 1 WHERE id = 1; DROP TABLE accounts; COMMIT"],
    )?;
    let before = ask_directly(demo, "SELECT balance FROM accounts WHERE id = 1")?.stdout;
    run(&mut half)?;
    let after = ask_directly(demo, "SELECT balance FROM accounts WHERE id = 1")?.stdout;
    narrator.check("a transaction with a refused statement leaves nothing", before == after)
}

pub(super) fn mallory(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let mut command = psql(demo, MALLORY, &["SELECT 1"])?;
    narrator.types("mallory", &command);
    let output = run(&mut command)?;
    narrator.shows(&output);
    narrator.check(
        "refused at the door",
        !output.status.success() && output.stderr.contains("FATAL"),
    )?;
    let mut stale = psql(demo, ALICE, &["SELECT 1"])?;
    stale.env("PGPASSWORD", "not-a-token");
    let output = run(&mut stale)?;
    narrator.check("so is a password that is no token", !output.status.success())?;
    let mut plain = psql(demo, ALICE, &["SELECT 1"])?;
    plain.env("PGSSLMODE", "disable").env_remove("PGSSLROOTCERT");
    let output = run(&mut plain)?;
    narrator.shows(&output);
    narrator.check(
        "so is a connection without TLS, in words",
        !output.status.success() && output.stderr.contains("TLS"),
    )
}
