//! Notices what no watch tells: that time passed and a process fell silent, or that it spoke.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use kube::{Resource, ResourceExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, DoorPods};

/// Small against the 5 s of silence that make a no.
const PERIOD: Duration = Duration::from_millis(250);

/// Looks at all processes until `end`, and queues each Connection, with its namespace's rules, whose processes changed.
pub async fn run(context: Arc<Context>, end: CancellationToken) {
    let mut known: HashMap<String, u64> = HashMap::new();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => look(&context, &mut known),
        }
    }
}

fn look(context: &Context, known: &mut HashMap<String, u64>) {
    let now = Instant::now();
    context.fleet.sweep(now);
    let (mut enforcing, mut behind) = (0, 0);
    let mut present = HashMap::with_capacity(known.len());
    let mut pods: HashMap<String, DoorPods> = HashMap::new();
    for guarded in context.world.connections.state() {
        let (Some(uid), Some(namespace)) = (guarded.meta().uid.as_ref(), guarded.namespace()) else {
            continue;
        };
        let Ok(connection) = &guarded.0 else {
            present.insert(uid.clone(), 0);
            continue;
        };
        let pods = pods
            .entry(namespace.clone())
            .or_insert_with(|| context.pods(&namespace));
        let crew = context.crew(connection, pods, now);
        let revision = context.programs.get(uid).map(|program| program.ruled);
        let counts = crew.counts(revision.unwrap_or(u64::MAX));
        enforcing += i64::from(counts.enforcing);
        behind += i64::from(counts.total - counts.enforcing);
        let mut hasher = DefaultHasher::new();
        (revision, &crew.processes, &crew.formats).hash(&mut hasher);
        (&crew.astray, &crew.silent, crew.unheard).hash(&mut hasher);
        for account in context.fleet.accounts(uid).values() {
            (&account.problems, &account.columns).hash(&mut hasher);
        }
        context.fleet.past(uid).hash(&mut hasher);
        let state = hasher.finish();
        if known.get(uid) != Some(&state) {
            context.queues.connection(&namespace, &connection.name_any());
            context.queues.rules_of(&context.world, &namespace);
        }
        present.insert(uid.clone(), state);
    }
    context.programs.retain(|uid| present.contains_key(uid));
    let rules = context.world.masking_rules.state();
    let uids: HashSet<&str> = rules.iter().filter_map(|rule| rule.meta().uid.as_deref()).collect();
    context.columns.retain(|uid| uids.contains(uid));
    *known = present;
    context
        .metrics
        .processes
        .with_label_values(&["enforcing"])
        .set(enforcing);
    context.metrics.processes.with_label_values(&["behind"]).set(behind);
}
