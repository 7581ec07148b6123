//! One look at a rule, in five steps.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::controller::Action;

use super::dereference::{AccessKind, Found, dereference};
use super::{Rule, revision, status, validate};
use crate::context::{Context, Error};
use crate::shared;
use crate::world::Guarded;

/// Looked at again after this long, though nothing moved.
const RESYNC: Duration = Duration::from_secs(300);

/// Brings what is kept and what the status says in line with a rule.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile<R: Rule>(object: Arc<Guarded<R>>, context: Arc<Context>) -> Result<Action, Error> {
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let found = dereference(&object, &context);
    let accepted = validate::accepted(&found);
    // Build and apply: an accepted specification is kept before anybody may rely on it.
    if accepted.holds() {
        apply(&found, &context).await?;
    }
    let meta = object.meta();
    let before = object.0.as_ref().ok().and_then(Rule::status);
    let written = status::status(&found, accepted, before, meta.generation, &Time(context.now()));
    if before != Some(&written.status) {
        shared::status::write::<R>(&context.client, &*object, &written.status).await?;
        let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        context.tell(&*object, old, &written.findings).await;
    }
    // A room that is about to be read tells nobody when it is.
    Ok(Action::requeue(if found.access == AccessKind::NotReadable {
        Duration::from_secs(1)
    } else {
        RESYNC
    }))
}

async fn apply<R: Rule>(found: &Found<R>, context: &Context) -> Result<(), Error> {
    let Ok(rule) = &found.rule else { return Ok(()) };
    let (Some(namespace), Some(uid)) = (&rule.meta().namespace, &rule.meta().uid) else {
        return Ok(());
    };
    let api = Api::<ControllerRevision>::namespaced(context.client.clone(), namespace);
    if found.in_force.as_ref().map(|kept| kept.generation) != rule.meta().generation
        && let Some(kept) = revision::keep(rule)
    {
        match api.create(&PostParams::default(), &kept).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    for name in revision::outdated::<R>(&found.revisions, uid) {
        match api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
