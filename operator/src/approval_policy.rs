//! ApprovalPolicy: how it compiles, and what is odd about it. The rest of its life is [`crate::rule`].

use sallyport_crds::{ApprovalPolicy, ApprovalPolicySpec, ConditionType, Reason, RuleStatus};
use sallyport_policy::carrier::{CarriedRule, ClusterSettings};
use sallyport_policy::problem::Problem;
use sallyport_policy::tally::others;

use crate::rule::Rule;
use crate::shared::conditions::Finding;

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

    /// Whom a rule names twice is one person all the same.
    fn advice(spec: &ApprovalPolicySpec, people: &ClusterSettings) -> Option<Finding> {
        let each = spec.rules.iter().filter_map(|rule| {
            let approval = rule.approval.as_ref()?;
            let named = others(&approval.approvers, &[], people)?;
            let wanted = usize::try_from(approval.required).unwrap_or(usize::MAX);
            (named < wanted).then(|| {
                format!(
                    "rule {} asks {wanted} people and names {named} under several names: nobody can approve what it asks about",
                    rule.name
                )
            })
        });
        let words: Vec<String> = each.collect();
        (!words.is_empty()).then(|| Finding::yes(ConditionType::Advisory, Reason::NobodyElse, words.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::scenario::{Scenario, policy_object};

    #[tokio::test]
    async fn a_rule_that_asks_two_and_names_one_twice_is_an_advice_on_the_policy() {
        let advice = async |names: &[&str]| {
            let mut scenario = Scenario::furnished().await;
            let approvers: Vec<_> = names
                .iter()
                .map(|name| json!({ "kind": "User", "name": name }))
                .collect();
            let mut policy = policy_object(2);
            policy["metadata"]["generation"] = json!(2);
            policy["spec"]["rules"][0]["approval"]["approvers"] = json!(approvers);
            scenario.apply_policy(policy).await;
            scenario.apply_bank().await;
            let accepted = scenario.condition("approvalpolicies", "doors", "writes", "Accepted");
            assert_eq!(accepted.0, "True");
            let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/approvalpolicies/writes";
            let said = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
            said.contains("Advisory") && said.contains("asks 2 people and names 1")
        };
        assert!(advice(&["oidc:bob", "bob"]).await);
        assert!(!advice(&["oidc:bob", "oidc:carol"]).await);
    }
}
