//! A door without a cluster has nobody to ask.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sallyport_audit::record::RequestRef;
use sallyport_crds::access_request::RuleIdentity;

use crate::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, Identity};

/// Refuses every hold in words.
#[derive(Clone, Copy, Debug)]
pub struct NoCluster;

// === impl NoCluster ===

impl NoCluster {
    fn refusal<T: Send + 'static>() -> BoxFuture<'static, Result<T, ApprovalsError>> {
        futures::future::ready(Err(ApprovalsError::NoCluster)).boxed()
    }
}

impl Approvals for NoCluster {
    fn find(&self, _: &Identity, _: &GrantSought) -> Vec<Held> {
        Vec::new()
    }

    fn glass(&self, _: &Identity, _: &[RuleIdentity]) -> Glass {
        Glass::Whole
    }

    fn ask(&self, _: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        Self::refusal()
    }

    fn claim<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a GrantSought,
        _: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        Self::refusal()
    }

    fn withdraw(&self, _: &RequestRef, _: &str) {}
}
