//! Answers that no session waits for, on their way to the log.
//!
//! The client was refused and told to come again, or its session or its door is gone: then nobody but a watch of the
//! requests sees what became of the question. The door whose Pod made the request tells it, or, when that Pod is gone, every
//! door of the Connection: at least once, and readers know by the request's uid which records are the same.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use sallyport_audit::Time;
use sallyport_audit::record::{Approved, Batch, Closed, Denied, Event, Reviewed};
use sallyport_crds::access_request::{AccessRequest, AccessRequestStatus, Decision};
use sallyport_crds::condition::{ConditionType, is_true};
use sallyport_recorder::client::Evidence;

use super::board::{Board, reference};
use super::state::people;
use crate::control::Place;

/// What could not be told, and whether the Pod of another door is still there, is looked at again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answered {
    Approved,
    Denied,
    Withdrawn,
    Expired,
    Revoked,
    Reviewed,
}

// === impl Answered ===

impl Answered {
    /// What a request's conditions say so far; that people said yes, only where the operator `sealed` it.
    pub(super) fn all(request: &AccessRequest, sealed: bool) -> Vec<Self> {
        let each = [
            (ConditionType::Approved, Self::Approved),
            (ConditionType::Denied, Self::Denied),
            (ConditionType::Withdrawn, Self::Withdrawn),
            (ConditionType::Expired, Self::Expired),
            (ConditionType::Revoked, Self::Revoked),
            (ConditionType::AdmissionChanged, Self::Revoked),
            (ConditionType::Reviewed, Self::Reviewed),
        ];
        let Some(status) = &request.status else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (condition, answer) in each {
            let is_said = sealed || !matches!(answer, Self::Approved | Self::Reviewed);
            if is_said && is_true(&status.conditions, condition) && !all.contains(&answer) {
                all.push(answer);
            }
        }
        all
    }

    /// Whether a session that waits records it itself.
    pub(super) fn ends_a_wait(self) -> bool {
        !matches!(self, Self::Revoked | Self::Reviewed)
    }

    fn event(self, request: &AccessRequest) -> Option<Event> {
        let (status, request) = (request.status.as_ref()?, reference(request)?);
        let command = 0;
        let closed = |reason| Closed {
            command,
            reason,
            request: request.clone(),
        };
        Some(match self {
            Self::Approved => Event::Approved(Approved {
                approvers: people(status, Decision::Approve),
                command,
                request,
                waited_us: 0,
            }),
            Self::Denied => Event::Denied(Denied {
                command,
                deniers: people(status, Decision::Deny),
                request,
            }),
            Self::Reviewed => Event::Reviewed(Reviewed {
                command,
                request,
                reviewers: people(status, Decision::Review),
            }),
            Self::Withdrawn => Event::Withdrawn(closed(words(
                status,
                ConditionType::Withdrawn,
                Some(Decision::Withdraw),
            ))),
            Self::Expired => Event::Expired(closed(words(status, ConditionType::Expired, None))),
            Self::Revoked if is_true(&status.conditions, ConditionType::Revoked) => {
                Event::Revoked(closed(words(status, ConditionType::Revoked, Some(Decision::Revoke))))
            }
            Self::Revoked => Event::Revoked(closed(words(status, ConditionType::AdmissionChanged, None))),
        })
    }
}

/// Who did it and why, or what the operator says.
fn words(status: &AccessRequestStatus, condition: ConditionType, decision: Option<Decision>) -> String {
    let by = decision.and_then(|decision| people(status, decision).into_iter().next());
    if let Some(by) = by {
        return match by.reason {
            Some(reason) => format!("{}: {reason}", by.username),
            None => format!("by {}", by.username),
        };
    }
    let mut stated = status.conditions.iter().filter(|one| one.type_ == condition.as_str());
    match stated.next() {
        Some(one) if !one.message.is_empty() => one.message.clone(),
        _ => condition.as_str().to_owned(),
    }
}

/// Tells what the board shows, as long as the process lives. `evidence` is where sessions of this moment record.
pub(super) async fn tell(board: Arc<Board>, place: Place, pods: Api<Pod>, evidence: Arc<ArcSwapOption<Evidence>>) {
    loop {
        let mut there: Option<(String, bool)> = None;
        for (request, answer) in board.untold() {
            let Some(evidence) = evidence.load_full() else { break };
            let maker = request
                .spec
                .session
                .as_ref()
                .map(|session| (&session.pod, &session.pod_uid));
            if let Some((pod, uid)) = maker.filter(|(_, uid)| **uid != place.pod.uid) {
                let lives = match &there {
                    Some((known, lives)) if known == uid => *lives,
                    _ => is_there(&pods, pod, uid).await,
                };
                there = Some((uid.clone(), lives));
                if lives {
                    continue;
                }
            }
            let Some(event) = answer.event(&request) else { continue };
            let sent = Batch::of(Time::now(), None, event).map_err(|error| error.to_string());
            match sent.and_then(|batch| evidence.send(batch).map_err(|error| error.to_string())) {
                Ok(()) => board.told(&request, answer),
                Err(error) => tracing::warn!(%error, "the answer to a request is not on record yet; it is tried again"),
            }
        }
        tokio::select! {
            () = board.changed() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Whether the Pod of another door is still there. Where that cannot be known it counts as gone: twice on record is better
/// than never.
async fn is_there(pods: &Api<Pod>, name: &str, uid: &str) -> bool {
    match pods.get_metadata_opt(name).await {
        Ok(Some(pod)) => pod.metadata.uid.as_deref() == Some(uid),
        Ok(None) | Err(_) => false,
    }
}
