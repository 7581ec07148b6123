//! What masking rules refuse, and what they disagree about.

use super::super::judge::tests::{judged, policy, policy_with};
use super::*;

fn explained(policy: &Policy, text: &str) -> String {
    judged(policy, &[], &[], text).iter().map(told).collect()
}

#[test]
fn a_refusal_by_a_masking_rule_is_the_verdict() {
    let strict = policy("Strict");
    for (text, because) in [
        (
            "SELECT reverse(ssn) FROM customers",
            "column public.customers.ssn is protected by profile Strict: it stands in a condition or an expression",
        ),
        (
            "SELECT name FROM customers WHERE ssn = '1'",
            "column public.customers.ssn is protected by profile Strict: it stands in a condition or an expression",
        ),
        (
            "UPDATE customers SET ssn = '1' WHERE id = 7",
            "column public.customers.ssn is masked for you, and who may not see a value may not overwrite it",
        ),
    ] {
        let told = explained(&strict, text);
        assert!(told.contains("  verdict: Deny by customer-numbers\n"), "{told}");
        assert!(told.contains(&format!("  because: {because}")), "{told}");
    }
}

#[test]
fn a_verdict_that_hangs_on_the_target_says_on_what() {
    let standard = policy("Standard");
    let told = explained(&standard, "SELECT name FROM accounts");
    let words =
        "  verdict: Allow by changes/everything-else, provided that\n    public.accounts is a table and no view";
    assert!(told.contains(words), "{told}");
    let told = explained(&standard, "SELECT 1");
    assert!(told.contains("  verdict: Allow by changes/everything-else\n"), "{told}");
    let told = explained(&standard, "DROP TABLE accounts");
    assert!(told.contains("  verdict: Deny by changes/never-drop\n"), "{told}");
}

#[test]
fn rules_that_disagree_about_a_detector_are_told() {
    let more = r#"
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: numbers-away, namespace: doors}
spec:
  connectionSelector: {matchLabels: {data: customer}}
  exemptSubjects: [{kind: Group, name: "oidc:dba"}]
  match: {detectors: [US_SSN]}
  action: {type: "Null"}
"#;
    let policy = policy_with("Standard", more);
    let of = |group: &str| {
        let subject = Subject {
            groups: vec![group.to_owned()],
            ..Subject::default()
        };
        contested(&policy, &subject)
    };
    let words = "US_SSN in any value is masked by numbers-away (Null), which wins over detected-anywhere (Redact)\n";
    assert_eq!(of("oidc:engineers"), words);
    assert_eq!(of("oidc:dba"), "");
}
