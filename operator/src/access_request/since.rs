//! Since when the cluster's admission objects stand as they do, kept in the operator's own namespace.
//!
//! Who takes their teeth out for a moment can write any status of a request meanwhile, and what it notes of admission with it. So
//! requests are held against this, by when they were made. It is kept, since an operator that was away would take what it finds for
//! what was there before.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use sallyport_crds::names::FIELD_MANAGER;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::admission::digest_now;
use crate::context::Context;
use crate::shared::labels;

/// Name of the ConfigMap.
pub const CONFIG_MAP: &str = "sallyport-admission";
/// Its key: the digest over uid and generation of each object.
const DIGEST: &str = "digest";
/// What could not be noted is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Admission objects, and since when they stand at the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Over uid and generation of each.
    pub digest: String,
    /// When the operator noted them, by the API server's clock, as that by which requests say when they were made.
    pub since: Timestamp,
}

/// What was noted last, or what is noted now where nothing was.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn open(client: &Client, namespace: &str) -> Result<Mark, kube::Error> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    match api.get_opt(CONFIG_MAP).await?.as_ref().and_then(read) {
        Some(mark) => Ok(mark),
        None => note(client, namespace, digest_now(client).await?).await,
    }
}

/// Notes what is seen whenever it is something else, until `end`. Until it is noted nothing is approved.
pub async fn keep(context: Arc<Context>, end: CancellationToken) {
    loop {
        let noted = match context.admission.unnoted() {
            None => true,
            Some(digest) => match note(&context.client, &context.settings.namespace, digest).await {
                Ok(mark) => {
                    context.admission.mark(mark);
                    context.queues.all_access_requests(&context.world);
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "it cannot be noted that admission objects changed: approvals are closed");
                    false
                }
            },
        };
        tokio::select! {
            () = end.cancelled() => return,
            () = context.admission.moved(), if noted => {}
            () = tokio::time::sleep(AGAIN), if !noted => {}
        }
    }
}

async fn note(client: &Client, namespace: &str, digest: String) -> Result<Mark, kube::Error> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": CONFIG_MAP, "labels": labels::operator() },
        "data": { DIGEST: digest },
    });
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api.patch(CONFIG_MAP, &params, &Patch::Apply(map)).await?;
    let since = written_at(&written).unwrap_or_else(Timestamp::now);
    Ok(Mark { digest, since })
}

/// What stands there; None where it does not say when it was written.
fn read(map: &ConfigMap) -> Option<Mark> {
    Some(Mark {
        digest: map.data.as_ref()?.get(DIGEST)?.clone(),
        since: written_at(map)?,
    })
}

/// When the operator wrote it, as the API server says: a label by somebody else is no change.
fn written_at(map: &ConfigMap) -> Option<Timestamp> {
    let fields = map.metadata.managed_fields.iter().flatten();
    let own = fields.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    own.filter_map(|entry| entry.time.as_ref().map(|time| time.0)).max()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::api::ApiServer;

    const PATH: &str = "/api/v1/namespaces/sallyport-system/configmaps/sallyport-admission";
    const BINDING: &str =
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/sallyport-request-answers";

    fn noted(digest: &str, manager: &str) -> Value {
        json!({
            "metadata": {
                "name": CONFIG_MAP, "namespace": "sallyport-system",
                "managedFields": [{ "manager": manager, "operation": "Apply", "time": "2026-11-28T10:00:00Z" }],
            },
            "data": { "digest": digest },
        })
    }

    #[tokio::test]
    async fn an_operator_finds_what_the_one_before_it_noted() {
        let api = ApiServer::default();
        api.put(PATH, noted("one", FIELD_MANAGER));
        let mark = open(&api.client(), "sallyport-system").await.unwrap();
        let since = "2026-11-28T10:00:00Z".parse().unwrap();
        assert_eq!(
            mark,
            Mark {
                digest: "one".into(),
                since
            },
            "though something else is there by now"
        );
        assert!(api.writes().is_empty());
    }

    #[tokio::test]
    async fn what_was_never_noted_stands_from_now_on() {
        for before in [None, Some(noted("one", "somebody-else"))] {
            let api = ApiServer::default();
            if let Some(before) = &before {
                api.put(PATH, before.clone());
            }
            let metadata = json!({ "name": "sallyport-request-answers", "uid": "b", "generation": 3 });
            api.put(BINDING, json!({ "metadata": metadata }));
            let began = Timestamp::now();
            let mark = open(&api.client(), "sallyport-system").await.unwrap();
            assert!(mark.since >= began, "{before:?}");
            assert_eq!(mark.digest, digest_now(&api.client()).await.unwrap(), "{before:?}");
            assert_eq!(api.get(PATH).unwrap()["data"]["digest"], mark.digest, "{before:?}");
        }
    }
}
