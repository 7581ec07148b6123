//! `POST /v1/columns`: columns that stay protected, as a door found them. Answered when they are kept and every process that
//! may hold a session of a Connection concerned protects them.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use kube::{Resource, ResourceExt};
use sallyport_crds::Connection;
use sallyport_policy::carrier::Carrier;
use sallyport_policy::columns::{ANSWER_WITHIN, Answer, Columns, MAX_BYTES, Told, target};
use sallyport_runtime::peer::Workload;
use tokio::time::{Instant, timeout_at};

use super::report::present;
use super::server::Refused;
use crate::columns::{ListError, Owner};
use crate::connection::validate::fits;
use crate::context::Context;
use crate::enforce::programs::Program;
use crate::world::of_namespace;

/// The longest account that is read: all columns that several full lists hold.
pub const MAX_BODY: usize = 8 * MAX_BYTES;
/// Names at PostgreSQL have at most this many bytes.
const MAX_NAME: usize = 63;
/// Pods go without saying so: the processes are looked at again after this long, though none spoke.
const LOOK: Duration = Duration::from_millis(250);

/// Keeps what a door tells, and waits until it is protected.
///
/// # Errors
/// When a rule does not apply to the door's Connection, a list is full, or some process does not protect it in time.
pub async fn answer(context: &Context, peer: &Workload, told: &Told) -> Result<Answer, Refused> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    present(context, peer)?;
    let program = context
        .programs
        .get(&peer.uid)
        .ok_or(Refused(StatusCode::SERVICE_UNAVAILABLE, "no policy was decided yet"))?;
    if !lawful(told) {
        return Err(Refused(StatusCode::BAD_REQUEST, "names that PostgreSQL does not give"));
    }
    let owners = owners(&program.carrier, peer, told)?;
    let at = target_of(&program.carrier);
    let concerned = concerned(context, &peer.namespace, &at, told);
    // A list that grew beyond what a carrier holds would shut the door.
    if !concerned.iter().all(|(_, program)| fits(&with(&program.carrier, told))) {
        return Err(FULL);
    }
    for (owner, columns) in &owners {
        keep(context, owner, &at, &told.database, columns).await?;
    }
    for (connection, _) in &concerned {
        context.queues.connection(&peer.namespace, &connection.name_any());
    }
    let mut revision = program.revision;
    for (connection, _) in &concerned {
        let reached = protected(context, connection, told, deadline).await?;
        if connection.meta().uid.as_deref() == Some(&peer.uid) {
            revision = reached;
        }
    }
    Ok(Answer { revision })
}

const FULL: Refused = Refused(StatusCode::INSUFFICIENT_STORAGE, "a list of protected columns is full");

fn lawful(told: &Told) -> bool {
    let name = |name: &str| name.len() <= MAX_NAME;
    let names = told
        .rules
        .values()
        .flat_map(|columns| columns.named.iter().chain(&columns.keys));
    let mut each =
        names.map(|named| name(&named.schema) && name(&named.relation) && named.column.as_deref().is_none_or(name));
    !told.database.is_empty() && name(&told.database) && each.all(|lawful| lawful)
}

/// The rules that are spoken of. All of them apply to the door's own Connection: a door speaks for nobody else's.
fn owners<'a>(carrier: &Carrier, peer: &Workload, told: &'a Told) -> Result<Vec<(Owner, &'a Columns)>, Refused> {
    let mut owners = Vec::new();
    for (uid, columns) in &told.rules {
        let rule = carrier.masking_rules.iter().find(|rule| rule.uid == *uid);
        let rule = rule.ok_or(Refused(
            StatusCode::FORBIDDEN,
            "a rule that does not apply to the Connection",
        ))?;
        if !columns.is_of_every_generation() && columns.generation != rule.generation {
            return Err(Refused(
                StatusCode::CONFLICT,
                "another generation of the rule is in force",
            ));
        }
        let owner = Owner {
            namespace: peer.namespace.clone(),
            name: rule.name.clone(),
            uid: rule.uid.clone(),
            generation: rule.generation,
        };
        owners.push((owner, columns));
    }
    Ok(owners)
}

/// The Connections that lead to the same target under one of these rules.
fn concerned(context: &Context, namespace: &str, at: &str, told: &Told) -> Vec<(Connection, Program)> {
    let guarded: Vec<Arc<_>> = of_namespace(&context.world.connections, namespace);
    let connections = guarded.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let programs = connections.filter_map(|connection| {
        let program = context.programs.get(connection.metadata.uid.as_deref()?)?;
        Some((connection.clone(), program))
    });
    let concerned = programs.filter(|(_, program)| {
        let rules = &program.carrier.masking_rules;
        target_of(&program.carrier) == at && rules.iter().any(|rule| told.rules.contains_key(&rule.uid))
    });
    concerned.collect()
}

fn target_of(carrier: &Carrier) -> String {
    let found = &carrier.connection.spec.target;
    target(&found.host, found.port)
}

/// The carrier with what was told, as far as its rules are concerned.
fn with(carrier: &Carrier, told: &Told) -> Carrier {
    let mut carrier = carrier.clone();
    let databases = carrier.columns.entry(told.database.clone()).or_default();
    for rule in &carrier.masking_rules {
        if let Some(more) = told.rules.get(&rule.uid) {
            databases.entry(rule.uid.clone()).or_default().merge(more);
        }
    }
    carrier
}

/// Whether a carrier tells what was told, as far as its rules are concerned.
fn tells(carrier: &Carrier, told: &Told) -> bool {
    let known = carrier.columns.get(&told.database);
    let mut concerned = carrier
        .masking_rules
        .iter()
        .filter_map(|rule| Some((rule, told.rules.get(&rule.uid)?)));
    concerned.all(|(rule, more)| {
        let more = more.under(rule.generation);
        let columns = known.and_then(|known| known.get(&rule.uid));
        more.is_empty() || columns.is_some_and(|columns| columns.covers(&more))
    })
}

async fn keep(context: &Context, owner: &Owner, at: &str, database: &str, columns: &Columns) -> Result<(), Refused> {
    let kept = context.columns.merge(owner, at, database, columns).await;
    kept.map_err(|error| {
        tracing::warn!(rule = owner.name, namespace = owner.namespace, %error, "protected columns are not kept");
        match error {
            ListError::Full => FULL,
            ListError::Api(_) | ListError::Unbelieved(..) => {
                Refused(StatusCode::SERVICE_UNAVAILABLE, "protected columns cannot be kept")
            }
        }
    })
}

/// Waits until every process of a Connection has loaded a carrier that tells; gives its revision.
async fn protected(context: &Context, connection: &Connection, told: &Told, deadline: Instant) -> Result<u64, Refused> {
    let late = Refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "some process does not protect the columns yet",
    );
    let uid = connection.metadata.uid.as_deref().unwrap_or_default();
    let mut programs = context.programs.follow(uid);
    loop {
        let mut spoke = std::pin::pin!(context.fleet.next());
        // Whoever speaks between the look and the wait is heard.
        spoke.as_mut().enable();
        let program = programs.borrow_and_update().clone();
        if let Some(program) = program.filter(|program| tells(&program.carrier, told)) {
            let pods = context.pods(&connection.namespace().unwrap_or_default());
            if context
                .crew(connection, &pods, Instant::now())
                .have_loaded(program.revision)
            {
                return Ok(program.revision);
            }
        }
        if Instant::now() >= deadline {
            return Err(late);
        }
        let look = deadline.min(Instant::now() + LOOK);
        tokio::select! {
            _ = timeout_at(look, spoke) => {}
            changed = programs.changed() => if changed.is_err() {
                return Err(late);
            },
        }
    }
}

#[cfg(test)]
mod tests;
