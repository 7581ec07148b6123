//! MaskingRule: how it compiles. The rest of its life is [`crate::rule`].

use sallyport_crds::{MaskingRule, MaskingRuleSpec, RuleStatus};
use sallyport_policy::carrier::CarriedRule;
use sallyport_policy::problem::Problem;

use crate::rule::Rule;

impl Rule for MaskingRule {
    type Spec = MaskingRuleSpec;

    const SLUG: &'static str = "maskingrule";

    fn spec(&self) -> &MaskingRuleSpec {
        &self.spec
    }

    fn status(&self) -> Option<&RuleStatus> {
        self.status.as_ref()
    }

    fn compile(rule: &CarriedRule<MaskingRuleSpec>) -> Result<(), Vec<Problem>> {
        sallyport_policy::policy::compile_masking_rule(rule).map(drop)
    }
}
