//! ApprovalPolicy: how it compiles. The rest of its life is [`crate::rule`].

use sallyport_crds::{ApprovalPolicy, ApprovalPolicySpec, RuleStatus};
use sallyport_policy::carrier::CarriedRule;
use sallyport_policy::problem::Problem;

use crate::rule::Rule;

impl Rule for ApprovalPolicy {
    type Spec = ApprovalPolicySpec;

    const SLUG: &'static str = "approvalpolicy";

    fn spec(&self) -> &ApprovalPolicySpec {
        &self.spec
    }

    fn status(&self) -> Option<&RuleStatus> {
        self.status.as_ref()
    }

    fn compile(rule: &CarriedRule<ApprovalPolicySpec>) -> Result<(), Vec<Problem>> {
        sallyport_policy::policy::compile_approval_policy(rule).map(drop)
    }
}
