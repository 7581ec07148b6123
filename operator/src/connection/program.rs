//! Which carrier a Connection's doors are to run, under which revision.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use sallyport_audit::digest::Digest;
use sallyport_crds::names;
use sallyport_policy::carrier::{Carrier, CarrierError, payload_digest, sign};

use super::build::metadata_named;
use super::dereference::Found;
use super::plan::Plan;
use crate::context::Context;
use crate::enforce::programs::Program;

/// Decides the next program, remembers it and gives the ConfigMap that carries it.
///
/// The revision only grows: it goes beyond what was decided before, what the ConfigMap said, what the status said and what
/// any door claims to run, and beyond one under which a door read something else. The format is the newest that all of its
/// doors read, so that none is shut while an upgrade goes on.
///
/// # Errors
/// When it does not fit, which validation has ruled out.
pub fn decide(plan: &Plan, found: &Found, carrier: &Carrier, context: &Context) -> Result<ConfigMap, CarrierError> {
    let before = context.programs.get(&plan.uid).or_else(|| found.program.clone());
    let standing = before.as_ref().map(|before| before.carrier.format);
    let floor = before.as_ref().map_or(0, |before| before.revision);
    let floor = floor
        .max(found.status_revision)
        .max(context.fleet.highest_revision(&plan.uid));
    // Under a revision of two contents nothing is known to be in force: a new one, since which everything counts.
    let astray = &found.crew.astray;
    let known = before.as_ref().filter(|_| astray.is_empty());
    if !astray.is_empty() {
        let (namespace, connection) = (&plan.namespace, &plan.name);
        tracing::warn!(
            namespace,
            connection,
            ?astray,
            "these doors read another carrier under the same revision"
        );
    }
    let mut carrier = carrier.clone();
    carrier.lower(found.crew.format(standing, plan.spec.proxy.replicas));
    let mut program = Program::next(known, carrier, floor);
    let bytes = sign(&program.carrier, context.keys.carrier.pair())?;
    program.digest = payload_digest(&bytes).map(|digest| Digest::from_bytes(digest).to_string());
    if before.as_ref().map(|before| before.revision) != Some(program.revision) {
        tracing::info!(
            namespace = plan.namespace,
            connection = plan.name,
            revision = program.revision,
            format = program.carrier.format,
            closed = program.carrier.closed.as_ref().map(|closed| closed.reason.as_str()),
            "new carrier"
        );
    }
    context.programs.set(&plan.uid, program);
    Ok(ConfigMap {
        metadata: metadata_named(plan, names::carrier(&plan.name)),
        // A signed carrier is JSON, so it is text.
        data: Some(BTreeMap::from([(
            names::CARRIER_KEY.to_owned(),
            String::from_utf8_lossy(&bytes).into_owned(),
        )])),
        ..ConfigMap::default()
    })
}

#[cfg(test)]
mod tests;
