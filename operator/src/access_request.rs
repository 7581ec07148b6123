//! AccessRequest: who may answer ([`requirements`]), what the answers come to ([`decide`]), whether anybody waits for them
//! ([`asker`]), and when it goes ([`sweep`]).
//!
//! The spec never changes; entries are written by people and checked by admission. The operator writes the rest, by update
//! with resourceVersion, so that an answer that arrives meanwhile is never lost.

pub mod admission;
pub mod asker;
pub mod decide;
pub mod dereference;
pub mod findings;
pub mod forgery;
pub mod logins;
pub mod requirements;
mod sealing;
pub mod since;
pub mod span;
pub mod sweep;

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::runtime::controller::Action;
use sallyport_crds::{AccessRequest, AccessRequestStatus, ConditionType, Connection, condition};

use crate::context::{Context, Error};
use crate::notify::notice::notices;
use crate::shared::conditions::Finding;
use crate::world::Guarded;

const RESYNC: Duration = Duration::from_secs(300);

/// Brings the status of a request in line with its answers, its time and the policies in force.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(object: Arc<Guarded<AccessRequest>>, context: Arc<Context>) -> Result<Action, Error> {
    // One that does not decode can never be approved: its door does not read it either.
    let Ok(shown) = &object.0 else {
        return Ok(Action::requeue(RESYNC));
    };
    if shown.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let keys = &context.keys.carrier;
    let request = &sealing::believed(shown, keys);
    let mut found = dereference::dereference(request, &context);
    found.asker_gone = asker::is_gone(request, &context).await;
    let now = context.now();
    context.notifier.catch_up(request, now);
    if sweep::is_due(request, &found, context.settings.keep_finished_seconds, now) {
        delete(request, &context).await?;
        return Ok(Action::await_change());
    }
    let Some(mut status) = decide::decide(request, &found, now) else {
        return Ok(Action::requeue(RESYNC));
    };
    // Before anything is granted, admission has to show its teeth; if it has none, the same look finds nothing approved.
    if grants(request, &status, &context) {
        context.forgery(forgery::answer(&context.client, request).await?);
    }
    // And it has to be what it was when this was asked: who switched it off for a moment, to answer or to claim, may be ahead of
    // the operator's watch.
    let granting = grants(request, &status, &context);
    if granting || is_used(&status) {
        let digest = match granting || !was_used(request) {
            true => admission::digest_now(&context.client).await?,
            false => context.admission.digest_lately(&context.client).await?,
        };
        let mut fresh = dereference::dereference(request, &context);
        fresh.asker_gone = found.asker_gone;
        fresh.admission = fresh.admission.map(|seen| Arc::new(seen.at(digest)));
        match decide::decide(request, &fresh, now) {
            Some(again) => status = again,
            None => return Ok(Action::requeue(RESYNC)),
        }
    }
    let status = sealing::sealed(request, status, keys);
    if shown.status.as_ref() != Some(&status) {
        write(shown, status, found.connection.as_ref(), &context).await?;
    }
    Ok(Action::requeue(
        sweep::next_look(request, context.settings.keep_finished_seconds, now).min(RESYNC),
    ))
}

/// Whether the status says for the first time that people said yes: that the request is approved, or reviewed. What bears no seal
/// of ours was said by somebody else, or by a version that had none.
fn grants(request: &AccessRequest, status: &AccessRequestStatus, context: &Context) -> bool {
    if sealing::is_lacking(request, status, &context.keys.carrier) {
        return true;
    }
    let before = request.status.as_ref().map(|status| status.conditions.as_slice());
    let (before, after) = (before.unwrap_or_default(), status.conditions.as_slice());
    [ConditionType::Approved, ConditionType::Reviewed]
        .into_iter()
        .any(|kind| condition::is_true(after, kind) && !condition::is_true(before, kind))
}

/// Whether a grant was claimed, and nothing has ended it since.
fn is_used(status: &AccessRequestStatus) -> bool {
    status.consumed.is_some() && decide::ends(&status.conditions).next().is_none()
}

/// Whether that was said before.
fn was_used(request: &AccessRequest) -> bool {
    let state = request.status.as_ref().and_then(|status| status.state.as_deref());
    state == Some(ConditionType::Consumed.as_str())
}

/// Writes a status. If somebody answered meanwhile, theirs stands and the watch brings us back.
async fn write(
    request: &AccessRequest,
    status: AccessRequestStatus,
    connection: Option<&Connection>,
    context: &Context,
) -> Result<(), Error> {
    let (Some(namespace), Some(name)) = (&request.metadata.namespace, &request.metadata.name) else {
        return Ok(());
    };
    let before = request
        .status
        .as_ref()
        .map(|status| status.conditions.clone())
        .unwrap_or_default();
    let changed = |conditions: &[_]| condition::is_true(conditions, ConditionType::AdmissionChanged);
    let closed_by_admission = changed(&status.conditions) && !changed(&before);
    let findings = decide::told(request, &status);
    let notices = notices(request, &before, &status, context.now());
    let written = AccessRequest {
        status: Some(status),
        ..request.clone()
    };
    let api = Api::<AccessRequest>::namespaced(context.client.clone(), namespace);
    match api.replace_status(name, &PostParams::default(), &written).await {
        Ok(_) => {
            if closed_by_admission {
                context.metrics.closed_by_admission.inc();
            }
            context.notifier.tell(notices);
            context.tell(request, &before, &findings).await;
            if let Some(connection) = connection {
                let named = findings.into_iter().map(|finding| Finding {
                    message: format!("AccessRequest {name}, {}", finding.message),
                    ..finding
                });
                let (about, named) = (request.object_ref(&()), named.collect::<Vec<_>>());
                context.tell_about(connection, Some(about), &before, &named).await;
            }
        }
        Err(kube::Error::Api(answer)) if answer.is_conflict() || answer.is_not_found() => {
            context.queues.access_request(namespace, name);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn delete(request: &AccessRequest, context: &Context) -> Result<(), Error> {
    let (Some(namespace), Some(name)) = (&request.metadata.namespace, &request.metadata.name) else {
        return Ok(());
    };
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: request.meta().uid.clone(),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    };
    let api = Api::<AccessRequest>::namespaced(context.client.clone(), namespace);
    match api.delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
