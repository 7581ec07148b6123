//! Who comes to the target past the doors is counted, and named to whoever looks at the Connection.

use anyhow::{Context, Result};

use crate::client::ask_directly;
use crate::demo::{CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Running, run, wait_until};

use super::columns::begin_anew;
use super::{SETTLE, condition};

/// The door's own credential, in somebody else's hands. Other roles are counted where the door's may see them.
const ROLE: &str = "sallyport";
/// How many of that role's connections have been there for as long as doors leave new ones out.
const SEEN: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE application_name = 'trial-past' AND backend_start < now() - interval '31 s'";
/// How often a door has looked who is connected.
const LOOKS: &str = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements \
     WHERE query LIKE '%usename, datname FROM pg_catalog.pg_stat_activity%'";
const REASON: &str = "ConnectionsPastDoors";

pub(super) fn counted(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let advice = || condition(demo, &format!("connection/{CONNECTION}"), "Advisory");
    let stranger = stranger(demo)?;
    wait_until(SETTLE, "somebody is at the target for half a minute", || {
        Ok((answer(demo, SEEN)?.trim() == "1").then_some(()))
    })?;
    // A door that just began looks at once when somebody comes in, and once a minute after that.
    begin_anew(demo)?;
    let said = wait_until(SETTLE, "the Connection says that somebody came past its doors", || {
        let said = advice()?;
        let told = format!("1 connections at the target did not come through a door (roles: {ROLE})");
        // What the doors before left behind at the target may be counted at first.
        Ok((said.contains(REASON) && said.contains(&told)).then_some(said))
    })?;
    narrator.shows_text(&said);
    narrator.check("who is at the target past all doors is told by role", true)?;
    stranger.interrupt()?;
    stranger.finish(SETTLE)?;
    let looked = answer(demo, LOOKS)?;
    begin_anew(demo)?;
    wait_until(SETTLE, "a door looks again", || {
        Ok((answer(demo, LOOKS)? != looked).then_some(()))
    })?;
    wait_until(SETTLE, "it is taken back", || {
        Ok((!advice()?.contains("did not come through a door")).then_some(()))
    })?;
    narrator.check("once they are gone, nothing is said of them", true)
}

/// psql at the target itself, by what the door's Secret holds.
fn stranger(demo: &Demo) -> Result<Running> {
    let path = "jsonpath={.data.password}";
    let secret = demo.admin(&["-n", DOORS, "get", "secret", "bank-credentials", "-o", path])?;
    let mut decode = demo.command("bash");
    decode.args(["-c", "printf %s \"$0\" | base64 -d", secret.stdout.trim()]);
    let password = run(&mut decode)?.ok()?.stdout;
    let mut command = demo.command("psql");
    for name in ["PGHOST", "PGPORT"] {
        command.env(name, demo.variable(&format!("DIRECT_{name}")));
    }
    command
        .env("PGUSER", ROLE)
        .env("PGPASSWORD", password)
        .env("PGAPPNAME", "trial-past")
        .env("PGSSLMODE", "require")
        .env_remove("PGSSLROOTCERT")
        .env_remove("PGHOSTADDR");
    Running::start(command.args(["-X", "-c", "SELECT pg_sleep(900)"]))
}

fn answer(demo: &Demo, question: &str) -> Result<String> {
    Ok(ask_directly(demo, question)?
        .ok()
        .context("asking the target itself")?
        .stdout)
}
