//! The operator's seal over what people said yes to, by the key that signs policy.
//!
//! Whoever is past admission for a moment can write a whole status, and a door would be quicker than the operator, which closes it.
//! A seal is made only of what was looked at while admission stood.

use sallyport_crds::condition::is_true;
use sallyport_crds::{AccessRequest, AccessRequestStatus, ConditionType};
use sallyport_policy::seal;

use crate::keys::CarrierKey;

/// The request without a review that bears no seal: it was written by somebody else. Whether there was one, its entries tell.
pub fn believed(request: &AccessRequest, key: &CarrierKey) -> AccessRequest {
    let mut request = request.clone();
    let reviewed = |status: &AccessRequestStatus| is_true(&status.conditions, ConditionType::Reviewed);
    if request.status.as_ref().is_some_and(reviewed) && !seal::is_sealed(&request, &[key.public().to_vec()]) {
        let conditions = request.status.iter_mut().flat_map(|status| &mut status.conditions);
        let own = conditions.filter(|one| one.type_ == ConditionType::Reviewed.as_str());
        own.for_each(|one| "False".clone_into(&mut one.status));
    }
    request
}

/// Whether the status says what people said yes to, and its seal is none, or does not cover it.
pub fn is_lacking(request: &AccessRequest, status: &AccessRequestStatus, key: &CarrierKey) -> bool {
    let said = saying(request, status);
    seal::is_due(&said) && !seal::is_sealed(&said, &[key.public().to_vec()])
}

/// The status with the seal that it needs: the one that stands for as long as it covers what is said, so that it is not written
/// anew, and what others add later is not sealed unseen.
pub fn sealed(request: &AccessRequest, mut status: AccessRequestStatus, key: &CarrierKey) -> AccessRequestStatus {
    let said = saying(request, &status);
    if !seal::is_due(&said) {
        status.seal = None;
    } else if is_lacking(request, &status, key) {
        status.seal = seal::seal(&said, key.pair());
    }
    status
}

fn saying(request: &AccessRequest, status: &AccessRequestStatus) -> AccessRequest {
    AccessRequest {
        status: Some(status.clone()),
        ..request.clone()
    }
}
