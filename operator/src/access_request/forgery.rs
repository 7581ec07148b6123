//! The operator tries forgeries that admission must refuse, by dry run: at its start, every minute, and before it says that
//! a request is approved. One that passes closes all approvals until one is refused again, which is tried every second.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use sallyport_crds::AccessRequest;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// How often it is tried though nobody asks.
const PERIOD: Duration = Duration::from_secs(60);
/// How soon it is tried again after one passed: an API server takes up new admission objects after some seconds, and
/// nobody can be approved before.
const RETRY: Duration = Duration::from_secs(1);
/// A name that nobody has: the operator has no issuer's prefix.
const NOBODY: &str = "sallyport:forgery";

/// What became of a forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Admission refused it.
    Refused,
    /// It would have passed.
    Passed,
}

/// Asks for somebody else's command, as only their door may.
///
/// # Errors
/// When the API server does not answer, or refuses for another reason.
pub async fn ask(client: &Client, namespace: &str) -> Result<Tried, kube::Error> {
    let request = json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "name": "sallyport-forgery", "namespace": namespace },
        "spec": {
            "connection": { "name": "sallyport-forgery", "uid": "forgery" },
            "requester": { "username": NOBODY, "issuer": "", "subject": "" },
            "scope": "Window", "window": { "duration": "1m" }, "reason": "a forgery that admission must refuse",
            // Nothing is wrong with it but whose it is.
            "expiresAt": "2100-01-01T00:00:00Z",
        },
    });
    let request: AccessRequest = serde_json::from_value(request).map_err(kube::Error::SerdeError)?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let api = Api::<AccessRequest>::namespaced(client.clone(), namespace);
    judged(api.create(&dry, &request).await.map(drop))
}

/// Answers a request in somebody else's name.
///
/// # Errors
/// As [`ask`].
pub async fn answer(client: &Client, request: &AccessRequest) -> Result<Tried, kube::Error> {
    let entry = json!({ "user": NOBODY, "decision": "Approve", "requestUID": request.metadata.uid });
    let patch = json!([{ "op": "add", "path": "/status/approvals/-", "value": entry }]);
    let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let namespace = request.namespace().unwrap_or_default();
    let api = Api::<AccessRequest>::namespaced(client.clone(), &namespace);
    let tried = api
        .patch_status(&request.name_any(), &dry, &Patch::<AccessRequest>::Json(patch))
        .await;
    judged(tried.map(drop))
}

/// Only a refusal by our own policies says that they bite.
fn judged(answer: Result<(), kube::Error>) -> Result<Tried, kube::Error> {
    match answer {
        Ok(()) => Ok(Tried::Passed),
        Err(kube::Error::Api(status))
            if status.message.contains("ValidatingAdmissionPolicy 'sallyport-")
                && status.message.contains("denied request") =>
        {
            Ok(Tried::Refused)
        }
        Err(error) => Err(error),
    }
}

/// Tries in every opted-in namespace, again and again until `end`; the worst answer of a round counts.
pub async fn run(context: Arc<Context>, end: CancellationToken) {
    loop {
        let mut round = None;
        for (namespace, _) in context.world.rooms() {
            match ask(&context.client, &namespace).await {
                Ok(Tried::Refused) => round = round.or(Some(Tried::Refused)),
                Ok(Tried::Passed) => round = Some(Tried::Passed),
                Err(error) => tracing::warn!(namespace, %error, "a forgery could not be tried"),
            }
        }
        if let Some(tried) = round {
            context.forgery(tried);
        }
        let pause = match round {
            Some(Tried::Passed) => RETRY,
            _ => PERIOD,
        };
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::config::{KubeConfigOptions, Kubeconfig};
    use sallyport_e2e_apiserver::ApiServer;

    use super::*;

    const OPERATOR: &str = "system:serviceaccount:sallyport-system:sallyport-operator";

    async fn operator(server: &ApiServer) -> Client {
        let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        config
            .headers
            .push(("Impersonate-User".parse().unwrap(), OPERATOR.parse().unwrap()));
        Client::try_from(config).unwrap()
    }

    /// Tries until it comes out as wanted: the API server takes up admission objects after a moment.
    async fn comes_to(wanted: Tried, client: &Client, request: &AccessRequest) {
        let both = async {
            loop {
                let (asked, answered) = (ask(client, "default").await, answer(client, request).await);
                if asked.as_ref().ok() == Some(&wanted) && answered.as_ref().ok() == Some(&wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), both)
            .await
            .unwrap_or_else(|_| panic!("not {wanted:?} within twenty seconds"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_forgery_is_refused_until_somebody_takes_the_teeth_out() {
        sallyport_runtime::crypto::install();
        let server = ApiServer::start().unwrap();
        let config = |name: &str| format!("{}/../config/{name}", env!("CARGO_MANIFEST_DIR"));
        server
            .admin(&["apply", "--server-side", "-k", &config("crd")], "")
            .unwrap();
        server
            .admin(
                &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"],
                "",
            )
            .unwrap();
        let user = format!("--user={OPERATOR}");
        server
            .admin(
                &[
                    "create",
                    "clusterrolebinding",
                    "operator",
                    "--clusterrole=cluster-admin",
                    &user,
                ],
                "",
            )
            .unwrap();
        let asked = json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest", "metadata": { "name": "a", "namespace": "default" },
            "spec": {
                "connection": { "name": "bank", "uid": "u" }, "requester": { "username": "oidc:alice" }, "scope": "Window",
                "window": { "duration": "1m" }, "reason": "r", "expiresAt": "2100-01-01T00:00:00Z",
            },
        });
        server.admin(&["create", "-f", "-"], &asked.to_string()).unwrap();
        let opened = r#"{"status": {"approvals": []}}"#;
        server
            .admin(
                &["patch", "ar", "a", "--subresource=status", "--type=merge", "-p", opened],
                "",
            )
            .unwrap();
        let client = operator(&server).await;
        let request = Api::<AccessRequest>::namespaced(client.clone(), "default")
            .get("a")
            .await
            .unwrap();
        comes_to(Tried::Passed, &client, &request).await;
        server
            .admin(&["apply", "--server-side", "-k", &config("admission")], "")
            .unwrap();
        comes_to(Tried::Refused, &client, &request).await;
        for name in ["sallyport-request-create", "sallyport-request-answers"] {
            let audit = r#"{"spec": {"validationActions": ["Audit"]}}"#;
            server
                .admin(
                    &[
                        "patch",
                        "validatingadmissionpolicybinding",
                        name,
                        "--type=merge",
                        "-p",
                        audit,
                    ],
                    "",
                )
                .unwrap();
        }
        comes_to(Tried::Passed, &client, &request).await;
    }
}
