//! Who is let in.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::psql_by;
use crate::demo::{CONNECTION, DOORS, Demo, User};
use crate::narrator::Narrator;
use crate::run::{Output, Running, run};

use super::SETTLE;
use super::session::at_work;
use super::undo::Undo;

/// The audience of the local cluster's API server, which nobody tells the operator.
const API_SERVER: &str = "https://kubernetes.default.svc";
const LONG: &str = "SELECT pg_sleep(120)";

pub(super) fn service_account(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _undo = Undo::by(
        demo,
        &[
            "-n",
            DOORS,
            "delete",
            "serviceaccount",
            "reporting",
            "stranger",
            "--ignore-not-found",
        ],
    );
    for name in ["reporting", "stranger"] {
        let made = run(&mut demo.kubectl(&["-n", DOORS, "create", "serviceaccount", name]))?;
        narrator.check(
            &format!("ServiceAccount {name} is there"),
            made.status.success() || made.stderr.contains("AlreadyExists"),
        )?;
    }
    let own = format!("sallyport://{DOORS}/{CONNECTION}");
    let answer = ask_with(demo, &token(demo, "reporting", &[&own])?)?;
    narrator.shows(&answer);
    narrator.check(
        "its token for this door lets it in, masked",
        answer.stdout.contains("[REDACTED]"),
    )?;
    let elsewhere = ask_with(demo, &token(demo, "reporting", &["sallyport://doors/other"])?)?;
    narrator.check("its token for another door does not", refused(&elsewhere))?;
    let api = ask_with(demo, &token(demo, "reporting", &[API_SERVER])?)?;
    narrator.check("nor does its token for another service", refused(&api))?;
    let both = ask_with(demo, &token(demo, "reporting", &[&own, API_SERVER])?)?;
    narrator.check(
        "nor one for this door that the API server takes as well",
        refused(&both),
    )?;
    let stranger = ask_with(demo, &token(demo, "stranger", &[&own])?)?;
    narrator.check("an account that nobody named stays out", refused(&stranger))
}

pub(super) fn account_deleted(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let account = [
        "-n",
        DOORS,
        "delete",
        "serviceaccount",
        "reporting",
        "--ignore-not-found",
    ];
    let _undo = Undo::by(demo, &account);
    // One that is left over has a uid of its own, which its tokens are bound to.
    demo.admin(&account)?;
    demo.admin(&["-n", DOORS, "create", "serviceaccount", "reporting"])?;
    let own = token(demo, "reporting", &[&format!("sallyport://{DOORS}/{CONNECTION}")])?;
    let mut session = Running::start(&mut psql_by(demo, User("reporting"), &own, &[LONG]))?;
    at_work(demo, LONG, 1)?;
    demo.admin(&account)?;
    let deleted = Instant::now();
    narrator.shows_text(&session.wait_for_line(SETTLE, |line| line.contains("FATAL"))?);
    let took = deleted.elapsed();
    session.finish(SETTLE)?;
    narrator.check(
        &format!("its session is over within a minute: {} s", took.as_secs()),
        took <= Duration::from_secs(60),
    )?;
    narrator.check("and its token opens nothing any more", refused(&ask_with(demo, &own)?))
}

/// Turned away, in words.
pub(super) fn refused(output: &Output) -> bool {
    !output.status.success() && output.stderr.contains("FATAL") && output.stdout.is_empty()
}

fn token(demo: &Demo, account: &str, audiences: &[&str]) -> Result<String> {
    let mut arguments = vec!["-n", DOORS, "create", "token", account];
    for audience in audiences {
        arguments.extend(["--audience", audience]);
    }
    let output = demo.admin(&arguments)?;
    Ok(output.stdout.trim().to_owned())
}

fn ask_with(demo: &Demo, token: &str) -> Result<Output> {
    let mut command = demo.command("psql");
    command.env("PGPASSWORD", token).env("PGUSER", "reporting").args([
        "-X",
        "-At",
        "-c",
        "SELECT ssn FROM customers WHERE id = 1",
    ]);
    run(&mut command)
}
