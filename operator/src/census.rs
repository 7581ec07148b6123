//! Counts objects by condition, and connections that came past all doors, for metrics: what a dashboard asks without reading
//! every object.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::world::World;

const PERIOD: Duration = Duration::from_secs(5);

/// Kind, type of condition, status.
type Key = (&'static str, String, String);

/// Counts until `end`.
pub async fn run(context: Arc<Context>, end: CancellationToken) {
    loop {
        context.metrics.conditions.reset();
        for ((kind, condition, status), count) in count(&context.world) {
            context
                .metrics
                .conditions
                .with_label_values(&[kind, &condition, &status])
                .set(count);
        }
        // What processes did not say yet would look like nobody's.
        let now = Instant::now();
        if context.fleet.has_listened(now) {
            let past = context.fleet.survey(now);
            context.metrics.past_doors.set(i64::try_from(past).unwrap_or(i64::MAX));
        }
        if let Some(seen) = context.admission.load() {
            context.metrics.admission_faults.set(i64::from(seen.fault.is_some()));
            for (state, count) in seen.guards.counts() {
                let guards = context.metrics.guards.with_label_values(&[state]);
                guards.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

fn count(world: &World) -> BTreeMap<Key, i64> {
    let mut counts = BTreeMap::new();
    // The store's own objects are read in place: nothing is cloned but the texts of the labels.
    macro_rules! kind {
        ($name:literal, $store:expr) => {
            for guarded in $store.state() {
                let Ok(object) = &guarded.0 else { continue };
                add(
                    &mut counts,
                    $name,
                    object.status.as_ref().map(|status| status.conditions.as_slice()),
                );
            }
        };
    }
    kind!("Connection", world.connections);
    kind!("MaskingRule", world.masking_rules);
    kind!("ApprovalPolicy", world.approval_policies);
    kind!("AuditSink", world.audit_sinks);
    kind!("AccessRequest", world.access_requests);
    counts
}

/// Types and statuses come from status, which admission lets the operator alone write: the label sets stay closed.
fn add(counts: &mut BTreeMap<Key, i64>, kind: &'static str, conditions: Option<&[Condition]>) {
    for condition in conditions.unwrap_or_default() {
        *counts
            .entry((kind, condition.type_.clone(), condition.status.clone()))
            .or_insert(0) += 1;
    }
}
