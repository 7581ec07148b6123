//! Who is let in.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::{ask_directly, psql_by};
use crate::demo::{CONNECTION, DOORS, Demo, User};
use crate::narrator::Narrator;
use crate::run::{Output, Running, run, wait_until};

use super::SETTLE;
use super::session::at_work;
use super::undo::Undo;

/// The audience of the local cluster's API server, which nobody tells the operator.
const API_SERVER: &str = "https://kubernetes.default.svc";
/// Longer than both are waited for.
const LONG: &str = "SELECT pg_sleep(610)";
/// How many of them began some seconds ago.
const BEGAN: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE query = 'SELECT pg_sleep(610)' AND backend_start < now() - interval '5 s'";
const DELETE_ACCOUNT: [&str; 6] = [
    "-n",
    DOORS,
    "delete",
    "serviceaccount",
    "reporting",
    "--ignore-not-found",
];
const DELETE_POD: [&str; 6] = ["-n", DOORS, "delete", "pod", "reporting", "--ignore-not-found"];
/// A Pod of that account, which no node takes: what runs in it does not matter.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: reporting, namespace: doors}
spec:
  serviceAccountName: reporting
  nodeSelector: {sallyport.dev/nowhere: 'true'}
  securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: nothing
      image: nowhere.invalid/nothing
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

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
    let own = own_audience();
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

/// Whether what a token stands for is still there is asked in each session when it has lasted a minute. The one that begins some
/// seconds later is asked about as much later, so that one minute serves for both.
pub(super) fn deleted(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _account = made_anew(demo)?;
    let (_pod, bound) = pod(demo)?;
    let of_pod = begun(demo, &bound, 1)?;
    demo.admin(&DELETE_POD)?;
    let gone = Instant::now();
    wait_until(SETTLE, "the Pod's session has lasted some seconds", || {
        Ok((ask_directly(demo, BEGAN)?.stdout.trim() == "1").then_some(()))
    })?;
    let own = token(demo, "reporting", &[&own_audience()])?;
    let of_account = begun(demo, &own, 2)?;
    over_within_a_minute(narrator, "the Pod's", of_pod, gone)?;
    at_work(demo, LONG, 1)?;
    narrator.check("while that of its account goes on", true)?;
    demo.admin(&DELETE_ACCOUNT)?;
    over_within_a_minute(narrator, "the account's", of_account, Instant::now())?;
    narrator.check(
        "and neither token opens anything any more",
        refused(&ask_with(demo, &bound)?) && refused(&ask_with(demo, &own)?),
    )
}

/// The Pod, and a token that is bound to it.
fn pod(demo: &Demo) -> Result<(Undo<'_>, String)> {
    let undo = Undo::by(demo, &DELETE_POD);
    demo.admin(&DELETE_POD)?;
    let file = demo.path("trial-pod.yaml");
    std::fs::write(&file, POD)?;
    demo.admin(&["create", "-f", &file.to_string_lossy()])?;
    // As the kubelet has it made for what runs in the Pod.
    let bound = demo.admin(&[
        "-n",
        DOORS,
        "create",
        "token",
        "reporting",
        "--bound-object-kind=Pod",
        "--bound-object-name=reporting",
        "--audience",
        &own_audience(),
    ])?;
    Ok((undo, bound.stdout.trim().to_owned()))
}

/// A ServiceAccount that the samples admit. One that is left over has a uid of its own, which its tokens are bound to.
fn made_anew(demo: &Demo) -> Result<Undo<'_>> {
    let undo = Undo::by(demo, &DELETE_ACCOUNT);
    demo.admin(&DELETE_ACCOUNT)?;
    demo.admin(&["-n", DOORS, "create", "serviceaccount", "reporting"])?;
    Ok(undo)
}

/// A session by a token; with it, as many are at work.
fn begun(demo: &Demo, token: &str, sessions: usize) -> Result<Running> {
    let session = Running::start(&mut psql_by(demo, User("reporting"), token, &[LONG]))?;
    at_work(demo, LONG, sessions)?;
    Ok(session)
}

/// The session ends in words, soon after what its token stands for was gone.
fn over_within_a_minute(narrator: &mut Narrator, whose: &str, mut session: Running, gone: Instant) -> Result<()> {
    let (came, words) = session.line_came(SETTLE, |line| line.contains("FATAL"))?;
    narrator.shows_text(&words);
    let took = came.saturating_duration_since(gone);
    session.finish(SETTLE)?;
    narrator.check(
        &format!("{whose} session is over within a minute: {} s", took.as_secs()),
        took <= Duration::from_secs(60),
    )
}

/// Turned away, in words.
pub(super) fn refused(output: &Output) -> bool {
    !output.status.success() && output.stderr.contains("FATAL") && output.stdout.is_empty()
}

/// The audience of tokens for this door.
fn own_audience() -> String {
    format!("sallyport://{DOORS}/{CONNECTION}")
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
