//! Questions at a prompt that an earlier process of this Pod left behind: its sessions are gone, and nobody waits for an answer.
//!
//! The operator sees that a door's process is gone by its Pod, whose node's clock it does not trust to the minute. Whoever begins
//! in its place knows it at once: what the first list shows of this Pod and no session of this process asked is somebody's who is gone.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sallyport_audit::record::RequestRef;
use sallyport_crds::AccessRequest;
use sallyport_crds::approval_policy::OnHold;
use tokio::sync::mpsc;

use super::board::Board;
use crate::door::HoldState;

const REASON: &str = "the door's process began anew, and nobody waits any more";

/// What the process knows of the time before it.
pub(super) struct Behind {
    /// `metadata.uid` of this Pod.
    pod: String,
    /// Sessions of this process that asked before the first list was complete. None after that.
    own: Mutex<Option<HashSet<String>>>,
    withdrawals: mpsc::Sender<(RequestRef, String)>,
}

// === impl Behind ===

impl Behind {
    /// Of the Pod with this uid.
    pub(super) fn new(pod: String, withdrawals: mpsc::Sender<(RequestRef, String)>) -> Self {
        Self {
            pod,
            own: Mutex::new(Some(HashSet::new())),
            withdrawals,
        }
    }

    /// A session of this process is about to ask.
    pub(super) fn asks(&self, session: String) {
        if let Some(own) = self.own().as_mut() {
            own.insert(session);
        }
    }

    /// A list is complete. After the first one, takes back what was left behind. What was approved already stays: the person comes
    /// again and runs it.
    pub(super) fn listed(&self, board: &Board) {
        let Some(own) = self.own().take() else { return };
        for held in board.find(|request| self.is_left(request, &own)) {
            if !matches!(*held.state.borrow(), HoldState::Waiting { .. }) {
                continue;
            }
            tracing::info!(request = %held.request.name, "an earlier process of this Pod left it behind");
            if self.withdrawals.try_send((held.request, REASON.to_owned())).is_err() {
                tracing::warn!("too many withdrawals wait; what an earlier process left behind will expire");
                return;
            }
        }
    }

    fn is_left(&self, request: &AccessRequest, own: &HashSet<String>) -> bool {
        let session = request.spec.session.as_ref();
        !request.spec.break_glass
            && session.is_some_and(|session| {
                session.on_hold == OnHold::Wait && session.pod_uid == self.pod && !own.contains(&session.id)
            })
    }

    fn own(&self) -> MutexGuard<'_, Option<HashSet<String>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
