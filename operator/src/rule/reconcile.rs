//! One look at a rule, in five steps.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use sallyport_crds::{ConditionType, Reason};

use super::dereference::{AccessKind, Found, dereference};
use super::{Rule, revision, status, validate};
use crate::context::{Context, Error};
use crate::shared;
use crate::shared::conditions::Finding;
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
    let mut accepted = validate::accepted(&found);
    // Build and apply: an accepted specification is kept before anybody may rely on it.
    let takes_it = accepted.holds();
    let mut kept = Ok(());
    if takes_it {
        kept = keep(&found, &context).await;
        match kept.as_ref().err().map(Error::refusal) {
            None => {}
            Some(Some(words)) => accepted = not_kept(&words),
            // What stands in the status is the better answer until it is known.
            Some(None) => return kept.map(|()| Action::await_change()),
        }
    }
    let meta = object.meta();
    let before = object.0.as_ref().ok().and_then(Rule::status);
    let written = status::status(&found, accepted, before, meta.generation, &Time(context.now()));
    if before != Some(&written.status) {
        shared::status::write::<R>(&context.client, &*object, &written.status).await?;
        let old = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        context.tell(&*object, old, &written.findings).await;
    }
    kept?;
    if takes_it {
        clear(&found, &context).await?;
    }
    // A room that is about to be read tells nobody when it is.
    Ok(Action::requeue(if found.access == AccessKind::NotReadable {
        Duration::from_secs(1)
    } else {
        RESYNC
    }))
}

fn not_kept(words: &str) -> Finding {
    let message = format!("it cannot be kept, so that it is not in force: {words}");
    Finding::no(ConditionType::Accepted, Reason::ChildRefused, message)
}

/// Keeps the present specification, unless it is in force already.
async fn keep<R: Rule>(found: &Found<R>, context: &Context) -> Result<(), Error> {
    let Ok(rule) = &found.rule else { return Ok(()) };
    let (Some(namespace), Some(uid)) = (&rule.meta().namespace, &rule.meta().uid) else {
        return Ok(());
    };
    if found.in_force.as_ref().map(|kept| kept.generation) == rule.meta().generation {
        return Ok(());
    }
    let Some(kept) = revision::keep(rule) else {
        return Ok(());
    };
    let api = Api::<ControllerRevision>::namespaced(context.client.clone(), namespace);
    match api.create(&PostParams::default(), &kept).await {
        Ok(_) => Ok(()),
        // By the leader before, ahead of our watch; or by somebody who guessed the name.
        Err(kube::Error::Api(answer)) if answer.is_already_exists() => {
            let name = kept.name_any();
            match api.get_opt(&name).await? {
                Some(there) if !revision::is_of::<R>(&there, uid) => Err(Error::NameTaken(name)),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Deletes kept specifications that nobody needs any more.
async fn clear<R: Rule>(found: &Found<R>, context: &Context) -> Result<(), Error> {
    let Ok(rule) = &found.rule else { return Ok(()) };
    let (Some(namespace), Some(uid)) = (&rule.meta().namespace, &rule.meta().uid) else {
        return Ok(());
    };
    let api = Api::<ControllerRevision>::namespaced(context.client.clone(), namespace);
    for name in revision::outdated::<R>(&found.revisions, uid, rule.meta().generation) {
        match api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::masking_rule;
    use crate::testing::scenario::Scenario;

    #[tokio::test]
    async fn a_specification_that_cannot_be_kept_is_not_accepted() {
        const ALL: &str = "/apis/apps/v1/namespaces/doors/controllerrevisions";
        let mut scenario = Scenario::furnished().await;
        let mut rule = serde_json::to_value(masking_rule("pii")).unwrap();
        rule["metadata"]["generation"] = json!(8);
        let name = "maskingrule-pii-uid-pii-8";
        let path = format!("{ALL}/{name}");
        let refused = |scenario: &Scenario| scenario.condition("maskingrules", "doors", "pii", "Accepted");

        // Somebody knew what it would be called.
        let of_somebody = json!({ "metadata": { "name": name, "namespace": "doors" }, "revision": 8 });
        scenario.api.put(&path, of_somebody);
        assert!(scenario.try_masking_rule(rule.clone()).await.is_err());
        assert_eq!(refused(&scenario), ("False".into(), "ChildRefused".into()));
        assert_eq!(
            scenario.condition("maskingrules", "doors", "pii", "Degraded").0,
            "True",
            "the one before it is in force"
        );
        scenario.api.delete(&path);
        scenario.api.forbid(ALL);
        assert!(scenario.try_masking_rule(rule).await.is_err());
        assert_eq!(refused(&scenario), ("False".into(), "ChildRefused".into()));
    }
}
