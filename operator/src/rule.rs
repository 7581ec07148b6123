//! MaskingRules and ApprovalPolicies: the same life, so it is written once. What differs is how they compile
//! ([`crate::masking_rule`], [`crate::approval_policy`]).
//!
//! Accepted means: the door's own compiler took it, and the specification is kept ([`revision`]). From then on it is in
//! force, whatever happens to the object's present specification.

pub mod dereference;
pub mod reconcile;
pub mod revision;
pub mod status;
pub mod validate;

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use sallyport_crds::RuleStatus;
use sallyport_policy::carrier::{CarriedRule, ClusterSettings};
use sallyport_policy::problem::Problem;
use sallyport_policy::selector::Selecting;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::shared::conditions::Finding;

/// One of the two kinds of rule.
pub trait Rule:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// What people write.
    type Spec: Selecting + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    /// The kind in names and labels.
    const SLUG: &'static str;

    /// What people wrote.
    fn spec(&self) -> &Self::Spec;

    /// What was last said about it.
    fn status(&self) -> Option<&RuleStatus>;

    /// Whether the door can run it.
    ///
    /// # Errors
    /// Everything that is wrong, by field.
    fn compile(rule: &CarriedRule<Self::Spec>) -> Result<(), Vec<Problem>>;

    /// What its author should look at, though the door can run it.
    fn advice(_spec: &Self::Spec, _people: &ClusterSettings) -> Option<Finding> {
        None
    }
}
