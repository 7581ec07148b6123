//! Carriers in older formats: while an upgrade goes on, doors of two versions run one carrier.

use sallyport_crds::ApprovalPolicySpec;
use sallyport_crds::approval_policy::Grant;

use super::Carrier;

/// The first format with ranges of parameters in grants.
const RANGES: u32 = 2;

// === impl Carrier ===

impl Carrier {
    /// Writes the carrier in `format`, unless its own is as old. What that cannot say is never taken for more than is meant:
    /// such a rule is carried in a stricter reading, and listed.
    pub fn lower(&mut self, format: u32) {
        self.format = self.format.min(format);
        if self.format >= RANGES {
            return;
        }
        for policy in &mut self.approval_policies {
            if ask_each_time(&mut policy.spec) {
                self.stricter.insert(policy.uid.clone());
            }
        }
    }
}

/// A door that passes over the ranges would let every value pass under one approval: each command is asked about on its own,
/// as those outside of the ranges are. Whether anything was changed.
fn ask_each_time(spec: &mut ApprovalPolicySpec) -> bool {
    let mut changed = false;
    let approvals = spec.rules.iter_mut().filter_map(|rule| rule.approval.as_mut());
    for approval in approvals.filter(|approval| !approval.grant.parameters.is_empty()) {
        approval.grant = Grant::default();
        changed = true;
    }
    changed
}

#[cfg(test)]
mod tests {
    use sallyport_crds::approval_policy::GrantScope;
    use serde_json::{Value, json};

    use super::*;
    use crate::assemble::tests::{carrier, objects};
    use crate::carrier::FORMAT;

    fn asks(grant: Value) -> Value {
        let approvers = [json!({ "kind": "Group", "name": "oidc:dba" })];
        json!({
            "name": grant["scope"].as_str().unwrap().to_lowercase(), "match": { "riskAtLeast": 10 },
            "action": "RequireApproval", "approval": { "approvers": approvers, "grant": grant },
        })
    }

    /// A policy whose first rule lets one parameter vary, and one that format 1 can say whole.
    fn ranged() -> Carrier {
        let mut carrier = carrier(&objects());
        let whole = carrier.approval_policies[0].clone();
        let ranges = [json!({ "position": 1, "maximum": 100 })];
        let rules = [
            asks(json!({ "scope": "Fingerprint", "validFor": "1h", "parameters": ranges })),
            asks(json!({ "scope": "Session", "validFor": "1h" })),
        ];
        carrier.approval_policies[0].spec.rules = serde_json::from_value(json!(rules)).unwrap();
        carrier.approval_policies.push(whole);
        carrier.approval_policies[1].name = "whole".into();
        carrier.approval_policies[1].uid = "uid-whole".into();
        carrier
    }

    #[test]
    fn the_newest_format_says_everything() {
        let mut carrier = ranged();
        assert_eq!(carrier.format, FORMAT);
        for format in [FORMAT, FORMAT + 1] {
            carrier.lower(format);
            assert_eq!(carrier, ranged());
        }
    }

    #[test]
    fn what_an_older_door_would_grant_wider_is_asked_about_each_time() {
        let mut carrier = ranged();
        carrier.lower(1);
        let grants = carrier.approval_policies[0].spec.rules.iter();
        let scopes: Vec<GrantScope> = grants.map(|rule| rule.approval.as_ref().unwrap().grant.scope).collect();
        assert_eq!(scopes, [GrantScope::Command, GrantScope::Session]);
        assert_eq!((carrier.format, carrier.stricter.len()), (1, 1));
        assert!(carrier.stricter.contains("uid-writes"));
        assert!(!carrier.rules_in_force().contains_key("uid-writes"));
        assert!(carrier.rules_in_force().contains_key("uid-whole"));
        assert!(!serde_json::to_string(&carrier).unwrap().contains("parameters"));
        crate::Policy::compile(&carrier).unwrap_or_else(|problems| panic!("{problems:?}"));
        // Nothing else is another.
        let mut back = carrier.clone();
        (back.format, back.stricter) = (FORMAT, Default::default());
        back.approval_policies[0].spec.rules[0].approval = ranged().approval_policies[0].spec.rules[0].approval.clone();
        assert_eq!(back, ranged());
        // What stands in an older format stays in it: what it no longer says cannot be made up.
        let lowered = carrier.clone();
        carrier.lower(FORMAT);
        assert_eq!(carrier, lowered);
    }

    #[test]
    fn where_nothing_is_lost_only_the_format_is_another() {
        let mut carrier = carrier(&objects());
        let newest = carrier.clone();
        carrier.lower(1);
        assert_eq!(carrier, Carrier { format: 1, ..newest });
    }
}
