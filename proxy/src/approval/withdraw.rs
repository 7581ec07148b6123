//! Withdrawals, delivered in the background: a session that ends cannot wait for the API server.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use sallyport_audit::record::RequestRef;
use sallyport_crds::access_request::{AccessRequest, Answer, Decision};
use sallyport_crds::names;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::requests::WITHIN;
use super::{claim, state};
use crate::control::Place;

/// Withdrawals that may wait. Past that a request is left to expire.
const QUEUE: usize = 1_024;
/// The operator has to write `status.approvals` before anybody can add to it; so a withdrawal that comes at once may fail.
const PAUSE: Duration = Duration::from_millis(500);
/// Pauses grow to this. An API server may be away for long, and who looks at its requests then finds what nobody waits for.
const LONGEST: Duration = Duration::from_secs(30);

/// Starts the one task that withdraws.
pub(super) fn start(
    api: Api<AccessRequest>,
    place: Place,
    runtime: &tokio::runtime::Handle,
) -> mpsc::Sender<(RequestRef, String)> {
    let (queue, mut waiting) = mpsc::channel::<(RequestRef, String)>(QUEUE);
    runtime.spawn(async move {
        while let Some((request, reason)) = waiting.recv().await {
            let (api, place) = (api.clone(), place.clone());
            tokio::spawn(async move { deliver(&api, &place, &request, &reason).await });
        }
    });
    queue
}

/// Tries until the request is withdrawn or over: as long as it lives, somebody may approve it.
async fn deliver(api: &Api<AccessRequest>, place: &Place, request: &RequestRef, reason: &str) {
    let mut pause = PAUSE;
    while !matches!(timeout(WITHIN, once(api, place, request, reason)).await, Ok(Ok(()))) {
        if pause < LONGEST && pause * 2 >= LONGEST {
            tracing::warn!(request = %request.name, "the request cannot be withdrawn yet; it is tried again while it lives");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// One attempt; Ok also where there is nothing to withdraw any more.
async fn once(api: &Api<AccessRequest>, place: &Place, request: &RequestRef, reason: &str) -> Result<(), ()> {
    let found = match claim::get(api, &request.name, Some(&request.uid)).await {
        Ok(found) => found,
        Err(crate::door::ApprovalsError::Gone(_)) => return Ok(()),
        Err(_) => return Err(()),
    };
    if state::is_over(&state::of(&found, false)) {
        return Ok(());
    }
    let connection = &place.connection;
    let answer = Answer {
        user: format!(
            "system:serviceaccount:{}:{}",
            connection.namespace,
            names::door(&connection.name)
        ),
        decision: Decision::Withdraw,
        request_uid: request.uid.clone(),
        digest: found.spec.command.as_ref().map(|command| command.digest.clone()),
        issuer: None,
        subject: None,
        auth_time: None,
        groups: Vec::new(),
        audit_id: None,
        reason: Some(reason.chars().take(256).collect()),
        time: None,
    };
    let patch = json!([
        { "op": "test", "path": "/metadata/uid", "value": request.uid },
        { "op": "add", "path": "/status/approvals/-", "value": answer },
    ]);
    let patch = serde_json::from_value(patch).map_err(|_| ())?;
    api.patch_status(
        &request.name,
        &PatchParams::default(),
        &Patch::<AccessRequest>::Json(patch),
    )
    .await
    .map(drop)
    .map_err(|_| ())
}
