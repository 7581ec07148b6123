//! AuditSink: one look at it in five steps, which read in this order: [`dereference`], [`validate`], [`build`], apply
//! (here), [`status`]. [`witness`] asks recorders for checkpoints and holds them against what was seen before.

pub mod build;
pub mod dereference;
pub mod ledger;
pub mod status;
pub mod validate;
pub mod volume;
pub mod witness;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::runtime::controller::Action;
use sallyport_crds::{AuditSink, names};

use crate::context::{Context, Error};
use crate::rule::dereference::AccessKind;
use crate::shared;
use crate::world::Guarded;

/// Where a recorder takes records.
pub const EVIDENCE_PORT: i32 = 7443;
/// Where a recorder is read.
pub const READ_PORT: i32 = 7444;

const RESYNC: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(1);
/// PersistentVolumes are not watched; one that somebody is to patch is looked at this often.
const UNRETAINED: Duration = Duration::from_secs(10);

/// Brings recorder and status in line with an AuditSink.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(object: Arc<Guarded<AuditSink>>, context: Arc<Context>) -> Result<Action, Error> {
    // The recorder goes with its owner; its volume claim stays, and the ledger says when the log ended.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let mut found = dereference::dereference(&object, &context);
    let validated = validate::validate(&found);
    let (mut volume, mut applied) = (volume::Faults::default(), Ok(()));
    if let Some(plan) = &validated.plan {
        applied = apply(&build::build(plan, &context.settings), &context).await;
        volume = volume::look(&context.client, plan).await?;
    }
    // What cannot be made is said, and so is all the rest.
    found.refused = applied.as_ref().err().and_then(Error::refusal);
    found.unwritten = applied.is_err();
    let before = object.0.as_ref().ok().and_then(|sink| sink.status.as_ref());
    let withdrawn = found.access == AccessKind::NotEnabled && before.is_some_and(|before| before.address.is_some());
    if withdrawn {
        withdraw(&found, &context).await?;
    }
    let unretained = volume.reclaimed.is_some();
    let written = status::status(&found, &validated, before, volume, &Time(context.now()));
    if before != Some(&written.status) {
        shared::status::write::<AuditSink>(&context.client, &*object, &written.status).await?;
        let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        context.tell(&*object, old, &written.findings).await;
    }
    applied?;
    Ok(Action::requeue(if found.access == AccessKind::NotReadable {
        SOON
    } else if unretained {
        UNRETAINED
    } else {
        RESYNC
    }))
}

/// The namespace is no longer opted in: the recorder goes, the log stays where it is.
async fn withdraw(found: &dereference::Found, context: &Context) -> Result<(), Error> {
    let (applier, namespace, uid) = (&context.applier, &found.place.namespace, &found.uid);
    let recorder = names::recorder(&found.place.name);
    applier.remove::<StatefulSet>(namespace, &recorder, uid).await?;
    applier.remove::<Service>(namespace, &recorder, uid).await?;
    applier
        .remove::<Service>(namespace, &format!("{recorder}-pods"), uid)
        .await?;
    applier.remove::<NetworkPolicy>(namespace, &recorder, uid).await?;
    applier.remove::<RoleBinding>(namespace, &recorder, uid).await?;
    applier.remove::<Role>(namespace, &recorder, uid).await?;
    applier.remove::<ServiceAccount>(namespace, &recorder, uid).await?;
    Ok(())
}

async fn apply(children: &build::Children, context: &Context) -> Result<(), Error> {
    let applier = &context.applier;
    applier.apply(&children.service_account).await?;
    applier.apply(&children.service).await?;
    applier.apply(&children.headless_service).await?;
    applier.apply(&children.network_policy).await?;
    applier.apply(&children.stateful_set).await?;
    Ok(())
}
