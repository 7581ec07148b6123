//! A token in two hands: the same one from two addresses at once, at two replicas, neither of which sees both.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, bail};

use crate::demo::{ALICE, Demo};
use crate::narrator::Narrator;
use crate::run::{Running, run, wait_until};

use super::pods::{self, Pod};
use super::requests::text;
use super::session::at_work;
use super::{SETTLE, Skipped, records};

const STAYS: &str = "SELECT pg_sleep(46)";
const ASKS: &str = "SELECT 1";
const METRIC: &str = "sallyport_tokens_elsewhere_total";

pub(super) fn flagged(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped(
            "there is no way into the node, which has another address than this machine"
        ));
    }
    let pods = pods::of_door(demo)?;
    let [one, another, ..] = pods.as_slice() else {
        bail!("two replicas are needed, there are {pods:?}");
    };
    let token = demo.token(ALICE)?;
    let before = pods::counted(demo, METRIC)?;
    let session = Running::start(&mut psql(demo, one, &token, "stays", STAYS))?;
    at_work(demo, STAYS, 1)?;

    run(&mut psql(demo, another, &token, "same", ASKS))?.ok()?;
    let same = came(demo, "same")?;
    narrator.check(
        "the same address at another replica is nothing to tell of",
        same.elsewhere.is_empty() && pods::counted(demo, METRIC)? == before,
    )?;

    run(&mut inside(demo, &psql(demo, another, &token, "other", ASKS)))?.ok()?;
    let (stays, other) = (came(demo, "stays")?, came(demo, "other")?);
    narrator.shows_text(&format!("{} and {}", stays.client, other.client));
    narrator.check(
        "another address is told of by the replica that never saw the first, which it names",
        stays.address() != other.address() && other.elsewhere == stays.address(),
    )?;
    narrator.check("a metric counts it once", pods::counted(demo, METRIC)? == before + 1)?;
    session.interrupt()?;
    session.finish(SETTLE)?;
    Ok(())
}

/// What a start record says of where somebody came from.
struct Came {
    /// Address and port.
    client: String,
    /// The other address; empty where there is none.
    elsewhere: String,
}

/// Waits for the record of the session that began under that mark.
fn came(demo: &Demo, what: &str) -> Result<Came> {
    wait_until(SETTLE, &format!("the record of {}", mark(what)), || {
        let records = records(demo)?;
        let start = records
            .iter()
            .filter_map(|record| record.pointer("/event/sessionStart"))
            .find(|start| text(start, "/claims/application") == mark(what));
        Ok(start.map(|start| Came {
            client: text(start, "/client").to_owned(),
            elsewhere: text(start, "/tokenElsewhere").to_owned(),
        }))
    })
}

/// How a session of this run calls itself: records of other runs stay in the log.
fn mark(what: &str) -> String {
    format!("trial-elsewhere-{}-{what}", std::process::id())
}

/// psql as alice at that replica, by that token.
fn psql(demo: &Demo, replica: &Pod, token: &str, what: &str, statement: &str) -> Command {
    let mut command = pods::psql_by(demo, replica, token, statement);
    command.env("PGAPPNAME", mark(what));
    command
}

/// The same from within the node, whose address towards Pods is another.
fn inside(demo: &Demo, psql: &Command) -> Command {
    let mut command = demo.command(&demo.path("bin/in-node").to_string_lossy());
    let given = psql.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(given).arg(psql.get_program()).args(psql.get_args());
    command
}

// === impl Came ===

impl Came {
    /// The address alone, as the record of another names it.
    fn address(&self) -> String {
        let client = self.client.parse::<SocketAddr>();
        client.map_or_else(|_| String::new(), |client| client.ip().to_canonical().to_string())
    }
}
