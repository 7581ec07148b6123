//! Agents: a person's token beside the agent's own, and tokens that no client of people was given.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::client::psql_by;
use crate::demo::{ALICE, BOB, CONNECTION, DOORS, Demo, SYSTEM, User};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::identity::refused;
use super::requests::{answer, shown, text};
use super::second_person::named;
use super::undo::Undo;
use super::{SETTLE, SSN, Skipped, becomes, pods, records};

/// A program that has a token of its own.
pub(super) const AGENT: User = User("agent");
/// The door's name for it.
pub(super) const USERNAME: &str = "oidc:service-account-sallyport-agent";
/// Needs a second person; nothing is deleted.
pub(super) const DELETE: &str = "DELETE FROM accounts WHERE id = -7501";
/// The client that people's tokens were given to.
const CLIENT: &str = "sallyport";

/// What one login is known again by in the log.
pub(super) fn mark(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

pub(super) fn pair(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let agent = demo.token(AGENT)?;
    let with = |person| -> Result<String> { Ok(format!("{},{agent}", demo.token(person)?)) };
    let (alices, bobs) = (with(ALICE)?, with(BOB)?);
    let edit = ["-n", DOORS, "patch", "connection", CONNECTION, "--type=merge", "-p"];
    let unlisted = login(demo, ALICE, &alices, "unlisted", SSN)?;
    narrator.shows(&unlisted);
    narrator.check(
        "alice's token in the hands of an agent that nobody listed opens nothing",
        refused(&unlisted),
    )?;
    {
        let _undo = Undo::by(demo, &[&edit[..], &[r#"{"spec":{"agents":null}}"#]].concat());
        let listed = json!({"spec": {"agents": [{
            "agent": {"kind": "User", "name": USERNAME}, "actsFor": [{"kind": "User", "name": "oidc:alice"}],
        }]}})
        .to_string();
        demo.admin(&[&edit[..], &[&listed]].concat())?;
        // By each replica, whichever it comes to.
        becomes(demo, &format!("connection/{CONNECTION}"), "Enforced", "True")?;
        let read = wait_until(SETTLE, "the pair is let in", || {
            let output = login(demo, ALICE, &alices, "listed", SSN)?;
            Ok(output.status.success().then_some(output))
        })?;
        narrator.shows(&read);
        narrator.check(
            "listed for alice, the agent reads for her, masked",
            read.stdout.contains("[REDACTED]"),
        )?;
        for (what, token) in [
            ("bob's token in its hands", bobs.as_str()),
            ("its own token alone", agent.as_str()),
        ] {
            let output = login(demo, BOB, token, "stolen", SSN)?;
            narrator.check(&format!("{what} opens nothing"), refused(&output))?;
        }
        asks_for_both(demo, narrator, &alices, &agent)?;
    }
    on_record(demo, narrator, &claim(&agent, "sub")?)
}

/// What waits for a second person names the person and the agent.
fn asks_for_both(demo: &Demo, narrator: &mut Narrator, both: &str, agent: &str) -> Result<()> {
    let held = login(demo, ALICE, both, "listed", DELETE)?;
    narrator.shows(&held);
    let name = named(&held.stderr)?;
    let request = shown(demo, &format!("accessrequest/{name}"))?;
    narrator.check(
        "what the agent asks for names alice and the agent",
        text(&request, "/spec/requester/username") == "oidc:alice"
            && text(&request, "/spec/agents/0/subject") == claim(agent, "sub")?
            && text(&request, "/spec/agents/0/issuer") == claim(agent, "iss")?,
    )?;
    answer(demo, ALICE, "withdraw", &name)?.ok().map(drop)
}

/// The log tells who came in for whom, and whose token was turned away.
fn on_record(demo: &Demo, narrator: &mut Narrator, agent: &str) -> Result<()> {
    let (unlisted, listed, stolen) = (mark("unlisted"), mark("listed"), mark("stolen"));
    let records = records(demo)?;
    let turned = |application: &str, person: &str| {
        records.iter().any(|record| {
            text(record, "/event/loginRefused/claims/application") == application
                && text(record, "/event/loginRefused/person/username") == person
                && text(record, "/event/loginRefused/reason") == "notAdmitted"
        })
    };
    narrator.check(
        "the record says whose tokens were refused in the agent's hands",
        turned(&unlisted, "oidc:alice") && turned(&stolen, "oidc:bob"),
    )?;
    narrator.check("and that the agent came alone", turned(&stolen, USERNAME))?;
    narrator.check(
        "of the session it names alice and the agent",
        came(&records, &listed, agent),
    )
}

pub(super) fn no_client_of_people(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("this cluster's issuers are not the trial's to edit"));
    }
    let names = demo.admin(&[
        "-n",
        SYSTEM,
        "get",
        "configmap",
        "sallyport-issuers",
        "-o",
        r"jsonpath={.data.names\.yaml}",
    ])?;
    let names = names.stdout;
    let told_apart = names.replacen("audiences:", "humanClients: [kubectl], audiences:", 1);
    ensure!(
        names != told_apart && !names.contains("humanClients"),
        "names.yaml is not as this trial knows it: {names}"
    );
    let edit = [
        "-n",
        SYSTEM,
        "patch",
        "configmap",
        "sallyport-issuers",
        "--type=merge",
        "-p",
    ];
    let saying = |names: &str| json!({"data": {"names.yaml": names}}).to_string();
    let (changed, as_before) = (saying(&told_apart), saying(&names));
    let mut asked = BTreeSet::new();
    {
        let _undo = Undo::by(demo, &[&edit[..], &[&as_before]].concat());
        demo.admin(&[&edit[..], &[&changed]].concat())?;
        let request = becomes_agents(demo, true, &mut asked)?;
        narrator.check(
            "a token that no client of people was given counts as that client's, in the request",
            text(&request, "/spec/agents/0/username") == CLIENT
                && text(&request, "/spec/requester/username") == "oidc:alice",
        )?;
    }
    becomes_agents(demo, false, &mut asked)?;
    at_each_replica(demo, &mut asked)?;
    narrator.check("with the list taken back, it is alice's own", true)?;
    for request in asked {
        answer(demo, ALICE, "withdraw", &request)?.ok()?;
    }
    narrator.check("and in the record", came(&records(demo)?, &mark("client"), CLIENT))
}

/// Waits until what alice asks for is an agent's, or is none's; gives the request. Their names go into `asked`.
fn becomes_agents(demo: &Demo, agents: bool, asked: &mut BTreeSet<String>) -> Result<Value> {
    wait_until(SETTLE, "doors know by which clients people log in", || {
        let held = login(demo, ALICE, &demo.token(ALICE)?, "client", DELETE)?;
        let Ok(name) = named(&held.stderr) else { return Ok(None) };
        let request = shown(demo, &format!("accessrequest/{name}"))?;
        asked.insert(name);
        Ok((request.pointer("/spec/agents/0").is_some() == agents).then_some(request))
    })
}

/// Waits until what alice asks for is no agent's at any Pod: one may hear of it later than the others, and trials after this one meet it.
fn at_each_replica(demo: &Demo, asked: &mut BTreeSet<String>) -> Result<()> {
    wait_until(SETTLE, "all doors know that everybody logs in by any client", || {
        for pod in pods::of_door(demo)? {
            let mut command = pods::psql(demo, &pod, DELETE)?;
            let held = run(command.env("PGOPTIONS", "-c sallyport.on_hold=refuse"))?;
            let Ok(name) = named(&held.stderr) else { return Ok(None) };
            let request = shown(demo, &format!("accessrequest/{name}"))?;
            asked.insert(name);
            if request.pointer("/spec/agents/0").is_some() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}

/// Whether somebody came in under that mark, with that agent nearest to the door, for alice.
pub(super) fn came(records: &[Value], application: &str, agent: &str) -> bool {
    records.iter().any(|record| {
        text(record, "/event/sessionStart/claims/application") == application
            && text(record, "/event/sessionStart/person/username") == "oidc:alice"
            && text(record, "/event/sessionStart/agents/0/subject") == agent
    })
}

/// psql by that password; what waits for a second person is refused.
pub(super) fn login(demo: &Demo, user: User, password: &str, what: &str, statement: &str) -> Result<Output> {
    let mut command = psql_by(demo, user, password, &[statement]);
    command
        .env("PGAPPNAME", mark(what))
        .env("PGOPTIONS", "-c sallyport.on_hold=refuse");
    run(&mut command)
}

/// What a token says.
pub(super) fn claim(token: &str, name: &str) -> Result<String> {
    let payload = token.split('.').nth(1).context("a token has three parts")?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
    let value = claims.get(name).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .with_context(|| format!("the token does not say {name}"))
}
