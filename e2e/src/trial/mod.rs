//! Trials: attacks and faults on the running cluster, each of which puts back what it changed.
//!
//! The story shows the product to a person; a trial tries to break it. Trials are independent: one that fails does not
//! stop the others, and each begins by waiting until the door is open under the samples.

mod account;
mod agent;
mod audience;
mod authority;
mod beside;
mod canary;
mod certificate;
mod cluster;
mod columns;
mod delegate;
mod ends;
mod fault;
mod flipped;
mod forged;
mod gitops;
mod glass;
mod identity;
mod installation;
mod kubeconfig;
mod life;
mod load;
mod log;
mod login;
mod past;
mod pods;
mod process;
mod read;
mod readers;
mod recent;
mod recorder;
mod replicas;
mod requests;
mod revoked;
mod rule;
mod scrape;
mod second_person;
mod session;
mod subject;
mod target;
mod undo;
mod upgrade;
mod versions;
mod volume;
mod webhook;
mod window;
mod writers;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client::ask;
use crate::demo::{ALICE, BOB, CONNECTION, DOORS, Demo, EVIDENCE};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

pub use versions::upgrade_from;

/// How long the cluster may take to come to what was declared.
const SETTLE: Duration = Duration::from_secs(120);
/// Asks for a number that is masked.
const SSN: &str = "SELECT ssn FROM customers WHERE id = 1";
/// The number.
const HELD_BACK: &str = "536-90-4399";

type Trial = fn(&Demo, &mut Narrator) -> Result<()>;

/// Why a trial could not be made here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(&'static str);

const TRIALS: [(&str, Trial); 53] = [
    ("two people where the policy says two", second_person::two_people),
    ("a grant fits one statement, once", second_person::fits_one),
    ("a denial reaches the asker with its reason", second_person::denied),
    (
        "a window that is asked for beforehand is extended by another",
        window::extended,
    ),
    (
        "an approver whose login is too old is told so, logs in, and counts",
        recent::approver,
    ),
    (
        "who inserts by a login that has grown too old is told to log in again",
        recent::asker,
    ),
    (
        "forgeries by people's own tokens are refused, each in its own words",
        forged::by_people,
    ),
    (
        "a ServiceAccount that a policy names approves, and no other one",
        account::approver,
    ),
    (
        "a grant that is revoked cuts the statement that runs by it",
        revoked::while_it_runs,
    ),
    (
        "what an approver reads gives a terminal nothing to obey",
        read::nothing_to_obey,
    ),
    ("what no approver could read whole is refused in words", read::too_long),
    (
        "break-glass is loud, and locked until another person has reviewed it",
        glass::reviewed,
    ),
    (
        "a webhook that fails at first hears of everything, signed",
        webhook::told,
    ),
    (
        "a ServiceAccount's token opens its own door only",
        identity::service_account,
    ),
    (
        "the sessions of a Pod and of a ServiceAccount that are deleted are over within a minute",
        identity::deleted,
    ),
    (
        "an agent's own token opens the door beside that of a person whom it may act for",
        agent::pair,
    ),
    (
        "a token that no client of people was given is an agent's",
        agent::no_client_of_people,
    ),
    (
        "a person's token that says who acts for them opens the door for both",
        delegate::said_by_the_token,
    ),
    (
        "a person's token in an agent's hands answers nothing at the API server",
        delegate::answers_nothing,
    ),
    (
        "who is taken out of the subjects is out within a second",
        subject::taken_out,
    ),
    (
        "a person's token is good at the door or at the API server, never both",
        audience::elsewhere,
    ),
    (
        "an issuer that the admin did not name is not accepted",
        audience::rogue_issuer,
    ),
    ("who comes past the doors is counted", past::counted),
    ("a replica that does not answer is not enforcing", rule::silent_replica),
    ("a rule that names no column says so", rule::misspelled),
    ("a cancel that reaches another replica", replicas::cancel_elsewhere),
    ("taking a label off shows nothing more", rule::label_taken_off),
    ("losing a required rule closes the door", rule::required_rule_lost),
    ("what was applied shows no drift", gitops::no_drift),
    (
        "a door that is pruned goes whole, and comes back when it is applied",
        gitops::pruned_and_made_again,
    ),
    (
        "a door that is deleted past its children, or while a finalizer holds it, shuts",
        ends::carelessly,
    ),
    ("a sink that goes while its door is used shuts it", ends::its_sink_first),
    (
        "columns stay protected when all that knew them are gone",
        columns::outlive_the_door,
    ),
    ("the target is away: said in words, then back", fault::target_away),
    ("the credential is away: nobody gets in", fault::credential_away),
    ("the recorder is away: nothing runs unrecorded", fault::recorder_away),
    ("the recorder stays away: the Connection says so", recorder::stays_away),
    ("a door is killed: one end record for each session", fault::door_killed),
    ("Prometheus scrapes all three programs", scrape::scraped),
    // Which an alert tells for the rest of the hour.
    (
        "who waits while admission is off for a moment is refused, and nobody can answer",
        flipped::while_somebody_waits,
    ),
    (
        "an approval that is forged whole while admission is off and the operator away is used by no door",
        flipped::while_the_operator_is_away,
    ),
    ("the operator's leader is killed", cluster::leader_killed),
    ("the API server is away while one waits", cluster::api_server_away),
    ("a full volume: nothing runs that cannot be recorded", volume::full),
    (
        "a rollout of the door under load loses and doubles nothing",
        load::rollout,
    ),
    (
        "restarts of the recorder under load lose and double nothing",
        load::recorder_restarts,
    ),
    (
        "an upgrade of the operator under load loses nothing",
        life::operator_rolled,
    ),
    (
        "an upgrade to another image and back under load loses and doubles nothing",
        upgrade::there_and_back,
    ),
    ("a node is drained under load: one replica stays", life::node_drained),
    ("the target's credential rotates", life::credential_rotates),
    (
        "the door's certificate rotates under load: no session notices",
        certificate::rotates,
    ),
    (
        "the installation's own authorities are replaced under a session",
        authority::replaced,
    ),
    (
        "no masked value stands in any log, record, object or metric",
        canary::nothing_stays,
    ),
];

/// Tries those whose name holds `filter`; gives how many failed. Having none with that name is a failure too.
pub fn try_all(demo: &Demo, filter: &str) -> usize {
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    let mut narrator = Narrator::default();
    for (name, trial) in TRIALS.iter().filter(|(name, _)| name.contains(filter)) {
        narrator.step(name);
        let began = Instant::now();
        match open(demo).and_then(|()| trial(demo, &mut narrator)) {
            Ok(()) => {
                passed += 1;
                println!("  ({:.0} s)", began.elapsed().as_secs_f32());
            }
            Err(cause) if may_skip(demo, &cause) => {
                skipped += 1;
                println!("  skipped: {cause:#}");
            }
            Err(cause) => {
                println!("  \x1b[31mfailed:\x1b[0m {cause:#}");
                failed.push((*name, cause));
            }
        }
    }
    if passed + skipped + failed.len() == 0 {
        println!("no trial has {filter:?} in its name");
        return 1;
    }
    // Once more, with why: of a long log, people are shown the end.
    for (name, cause) in &failed {
        println!("failed: {name}: {cause:#}");
    }
    println!("\ntrials: {passed} passed, {} failed, {skipped} skipped", failed.len());
    failed.len()
}

/// On the cluster that `make` builds everything can be tried: there, what was not tried has failed.
fn may_skip(demo: &Demo, cause: &anyhow::Error) -> bool {
    cause.is::<Skipped>() && !demo.is_local()
}

/// What people do at the API server by their own tokens is tried where it knows the identity provider.
fn api_knows_people(demo: &Demo) -> Result<()> {
    ensure!(
        demo.name_of(BOB)?.starts_with("oidc:"),
        Skipped("the API server does not know the identity provider")
    );
    Ok(())
}

/// Waits until the door is open under the samples.
fn open(demo: &Demo) -> Result<()> {
    demo.admin(&[
        "-n",
        DOORS,
        "wait",
        "--for=condition=Enforced",
        "--timeout=150s",
        "connection",
        CONNECTION,
    ])
    .context("waiting for the Connection")?;
    demo.admin(&[
        "-n",
        DOORS,
        "rollout",
        "status",
        "deployment/door-bank",
        "--timeout=150s",
    ])?;
    answers(demo)?;
    each_answers(demo)
}

/// Waits until alice gets an answer through the door.
fn answers(demo: &Demo) -> Result<()> {
    wait_until(SETTLE, "the door answers", || {
        let output = ask(demo, ALICE, &["SELECT 1"])?;
        Ok(output.status.success().then_some(()))
    })
}

/// Waits until she gets one at each Pod of the door: one of them may go by what a trial before has put back. Where Pods cannot be asked
/// one by one, the door's answer is taken for that of all.
fn each_answers(demo: &Demo) -> Result<()> {
    if !demo.variable("SALLYPORT_FOREIGN").is_empty() {
        return Ok(());
    }
    wait_until(SETTLE, "each Pod of the door answers", || {
        let token = demo.token(ALICE)?;
        for pod in pods::of_door(demo)? {
            if !run(&mut pods::psql_by(demo, &pod, &token, "SELECT 1"))?
                .status
                .success()
            {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}

/// One condition of an object in the doors' namespace, as `status reason message`; empty until it speaks of the object as it is by
/// now: what it said of an earlier generation shows nothing of an edit.
fn condition(demo: &Demo, object: &str, kind: &str) -> Result<String> {
    let object = requests::shown(demo, object)?;
    let now = object.pointer("/metadata/generation");
    let conditions = object
        .pointer("/status/conditions")
        .and_then(serde_json::Value::as_array);
    let said = conditions.into_iter().flatten().find(|one| {
        let of = one.get("observedGeneration");
        requests::text(one, "/type") == kind && (of.is_none() || of == now)
    });
    let words = |one| {
        let words = ["/status", "/reason", "/message"].map(|path| requests::text(one, path));
        words.join(" ")
    };
    Ok(said.map(words).unwrap_or_default())
}

/// Waits until that condition begins with `wanted`; gives it whole.
fn becomes(demo: &Demo, object: &str, kind: &str, wanted: &str) -> Result<String> {
    wait_until(SETTLE, &format!("{object}: {kind}={wanted}"), || {
        let said = condition(demo, object, kind)?;
        Ok(said.starts_with(wanted).then_some(said))
    })
}

/// The log, one record each.
fn records(demo: &Demo) -> Result<Vec<serde_json::Value>> {
    let shown = demo.admin(&[
        "sallyport",
        "audit",
        "show",
        "--sink",
        "evidence/evidence",
        "-o",
        "json",
    ])?;
    shown
        .stdout
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Takes the recorder's Pod away without a word.
fn kill_recorder(demo: &Demo) -> Result<Output> {
    let pod = ["-n", EVIDENCE, "delete", "pod", "recorder-evidence-0"];
    demo.admin(&[pod.as_slice(), &["--grace-period=0", "--force"]].concat())
}

/// The uid of the recorder's Pod, and whether that is ready; empty while there is none.
fn recorder_pod(demo: &Demo) -> Result<(String, String)> {
    let path = "jsonpath={.metadata.uid} {.status.conditions[?(@.type=='Ready')].status}";
    let pod = [
        "-n",
        EVIDENCE,
        "get",
        "pod",
        "recorder-evidence-0",
        "--ignore-not-found",
    ];
    let shown = demo.admin(&[&pod[..], &["-o", path]].concat())?.stdout;
    let (uid, ready) = shown.split_once(' ').unwrap_or_default();
    Ok((uid.to_owned(), ready.trim().to_owned()))
}
