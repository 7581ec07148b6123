//! Connection: one look at it in five steps, which read in this order: [`dereference`], [`validate`], [`build`], apply
//! (here), [`status`]. [`program`] decides the carrier's revision, [`certificate`] the door's certificate.

pub mod build;
pub mod certificate;
pub mod dereference;
pub mod plan;
pub mod program;
pub mod status;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use sallyport_crds::Connection;
use sallyport_crds::names;

use crate::context::{Context, Error};
use crate::rule::dereference::AccessKind;
use crate::shared;
use crate::shared::owner::is_owned;
use crate::world::Guarded;
use build::Children;
use dereference::Found;
use plan::Plan;
use validate::Door;

/// Looked at again after this long, though nothing moved.
const RESYNC: Duration = Duration::from_secs(300);
/// Users' Secrets and ConfigMaps are not watched; where one is missing it is looked for this often.
const MISSING: Duration = Duration::from_secs(3);
/// A namespace that is about to be read, or an operator that has just begun to listen.
const SOON: Duration = Duration::from_secs(1);

/// Brings doors, carrier and status in line with a Connection.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(object: Arc<Guarded<Connection>>, context: Arc<Context>) -> Result<Action, Error> {
    let mut found = dereference::dereference(&object, &context).await?;
    let validated = validate::validate(&found, &context.settings);
    let applied = match &validated.door {
        Some(door) => {
            let children = build::build(&door.plan, &context.settings);
            apply(door, &children, &found, &context).await
        }
        None => Ok(()),
    };
    // What cannot be made is said, and so is all the rest: a status that stood still would vouch for doors that nobody asks.
    found.refused = applied.as_ref().err().and_then(Error::refusal);
    found.unwritten = applied.is_err();
    let before = object.0.as_ref().ok().and_then(|connection| connection.status.as_ref());
    let ends = match found.access {
        AccessKind::NotEnabled => true,
        AccessKind::NotReadable => false,
        AccessKind::Open => found.deleting,
    };
    let stands = found.deployment.is_some() || before.is_some_and(|before| before.address.is_some());
    if ends && stands {
        withdraw(&found, &context).await?;
    }
    let written = status::status(&found, &validated, before, &context, &Time(context.now()));
    if before != Some(&written.status) {
        shared::status::write::<Connection>(&context.client, &*object, &written.status).await?;
        let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        context.tell(&*object, old, &written.findings).await;
    }
    applied?;
    let soon = found.access == AccessKind::NotReadable || !written.known;
    Ok(Action::requeue(if soon {
        SOON
    } else if validated.is_missing_something() {
        MISSING
    } else {
        RESYNC
    }))
}

/// The namespace is no longer opted in, or the Connection is being deleted: the door goes. What others made of the same names stays.
async fn withdraw(found: &Found, context: &Context) -> Result<(), Error> {
    let (applier, namespace, uid) = (&context.applier, &found.place.namespace, &found.uid);
    let (name, door) = (&found.place.name, names::door(&found.place.name));
    applier.remove::<Deployment>(namespace, &door, uid).await?;
    applier.remove::<PodDisruptionBudget>(namespace, &door, uid).await?;
    applier.remove::<Service>(namespace, &door, uid).await?;
    applier.remove::<Service>(namespace, &names::peers(name), uid).await?;
    applier.remove::<NetworkPolicy>(namespace, &door, uid).await?;
    applier
        .remove::<ConfigMap>(namespace, &names::carrier(name), uid)
        .await?;
    for secret in [names::door_certificate(name), names::binding_key(name)] {
        applier.remove::<Secret>(namespace, &secret, uid).await?;
    }
    applier.remove::<RoleBinding>(namespace, &door, uid).await?;
    applier.remove::<Role>(namespace, &door, uid).await?;
    applier.remove::<ServiceAccount>(namespace, &door, uid).await?;
    Ok(())
}

/// Writes the children. The carrier goes first, so that a door that starts finds its policy; the Service goes before the
/// certificate, which carries its address.
async fn apply(door: &Door, children: &Children, found: &Found, context: &Context) -> Result<(), Error> {
    let (applier, plan) = (&context.applier, &door.plan);
    let carrier = program::decide(plan, found, &door.carrier, context)?;
    applier.apply(&carrier).await?;
    let service = applier.apply(&children.service).await?;
    applier.apply(&children.peer_service).await?;
    secrets(plan, service.as_ref().or(found.service.as_deref()), found, context).await?;
    applier.apply(&children.service_account).await?;
    applier.apply(&children.role).await?;
    applier.apply(&children.role_binding).await?;
    applier.apply(&children.network_policy).await?;
    applier.apply(&children.deployment).await?;
    match &children.disruption_budget {
        Some(budget) => applier.apply(budget).await.map(drop)?,
        None => {
            applier
                .remove::<PodDisruptionBudget>(&plan.namespace, &names::door(&plan.name), &plan.uid)
                .await?
        }
    }
    Ok(())
}

/// The Secrets that the operator makes: made where they are missing, renewed where they are old.
async fn secrets(plan: &Plan, service: Option<&Service>, found: &Found, context: &Context) -> Result<(), Error> {
    let own = |secret: &&Secret| is_owned(*secret, &plan.uid);
    if found.binding_key.as_ref().filter(own).is_none() {
        context.applier.apply(&certificate::binding_key(plan)?).await?;
    }
    if plan.spec.certificate.secret_ref.is_some() {
        let name = names::door_certificate(&plan.name);
        return Ok(context
            .applier
            .remove::<Secret>(&plan.namespace, &name, &plan.uid)
            .await?);
    }
    let wanted = certificate::wanted(plan, service, &context.settings);
    let present = found.door_certificate.as_ref().filter(own);
    if !certificate::is_good(present, &wanted, &context.keys, context.now()) {
        context
            .applier
            .apply(&certificate::issue(plan, &wanted, &context.keys)?)
            .await?;
    }
    Ok(())
}
