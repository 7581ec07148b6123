//! The cluster's admission objects of ours, as they are now: approvals hang on them, so a change of them closes what was
//! asked before, and a missing or toothless one closes approvals altogether.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::Api;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::store;
use kube::runtime::watcher::Config;
use kube::{Client, Resource, ResourceExt};
use sallyport_audit::digest::Digest;

use crate::world::watch::follow;

/// The policies that guard AccessRequests. Bindings are named after them.
pub const GUARDS: [&str; 4] = [
    "sallyport-request-create",
    "sallyport-request-metadata",
    "sallyport-request-answers",
    "sallyport-request-outcome",
];

/// The admission objects at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Over uid and generation of each.
    pub digest: String,
    /// Why nothing may be approved under them.
    pub fault: Option<String>,
}

/// The admission objects, as the watch last showed them; empty until both kinds were listed.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    seen: Arc<ArcSwapOption<Seen>>,
    forged: Arc<AtomicBool>,
}

// === impl Admission ===

impl Admission {
    /// What is known, if anything is.
    pub fn load(&self) -> Option<Arc<Seen>> {
        let seen = self.seen.load_full()?;
        if seen.fault.is_none() && self.forged.load(Ordering::Acquire) {
            return Some(Arc::new(Seen {
                digest: seen.digest.clone(),
                fault: Some("admission did not refuse a forgery that the operator tried".to_owned()),
            }));
        }
        Some(seen)
    }

    /// Notes whether a forgery passed. `true` if that is news.
    pub fn forgery(&self, passed: bool) -> bool {
        self.forged.swap(passed, Ordering::AcqRel) != passed
    }

    /// States what is seen.
    pub fn store(&self, seen: Seen) {
        self.seen.store(Some(Arc::new(seen)));
    }

    /// Watches them for as long as it is polled, and calls `changed` when they are others.
    pub async fn follow(self, client: Client, changed: impl Fn() + Clone) {
        let (policies, policies_in) = store();
        let (bindings, bindings_in) = store();
        let look = {
            let (policies, bindings) = (policies.clone(), bindings.clone());
            move || {
                if !(is_listed(&policies) && is_listed(&bindings)) {
                    return;
                }
                let seen = see(&policies.state(), &bindings.state());
                if self.seen.load().as_deref() != Some(&seen) {
                    if let Some(fault) = &seen.fault {
                        tracing::error!(%fault, "approvals are closed");
                    }
                    self.store(seen);
                    changed();
                }
            }
        };
        let again = look.clone();
        let policies = follow(
            Api::<ValidatingAdmissionPolicy>::all(client.clone()),
            Config::default(),
            Some(policies_in),
            move |_| look(),
        );
        let bindings = follow(
            Api::<ValidatingAdmissionPolicyBinding>::all(client),
            Config::default(),
            Some(bindings_in),
            move |_| again(),
        );
        tokio::join!(policies, bindings);
    }
}

fn is_listed<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> bool {
    use futures::FutureExt as _;
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

/// What the objects come to.
pub fn see(policies: &[Arc<ValidatingAdmissionPolicy>], bindings: &[Arc<ValidatingAdmissionPolicyBinding>]) -> Seen {
    let mut parts: Vec<String> = policies
        .iter()
        .map(|policy| part("policy", policy.meta()))
        .chain(bindings.iter().map(|binding| part("binding", binding.meta())))
        .filter(|part| part.contains(" sallyport-"))
        .collect();
    parts.sort();
    let fault = GUARDS.iter().find_map(|name| fault(name, policies, bindings));
    Seen {
        digest: Digest::of(parts.join("\n").as_bytes()).to_string(),
        fault,
    }
}

fn part(kind: &str, meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> String {
    format!(
        "{kind} {} {} {}",
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        meta.generation.unwrap_or_default()
    )
}

/// What is wrong with one guard.
fn fault(
    name: &str,
    policies: &[Arc<ValidatingAdmissionPolicy>],
    bindings: &[Arc<ValidatingAdmissionPolicyBinding>],
) -> Option<String> {
    let policy = policies.iter().find(|policy| policy.name_any() == name);
    let policy = policy.and_then(|policy| policy.spec.as_ref());
    let Some(policy) = policy else {
        return Some(format!("ValidatingAdmissionPolicy {name} is missing"));
    };
    if policy.failure_policy.as_deref().is_some_and(|policy| policy != "Fail") {
        return Some(format!("ValidatingAdmissionPolicy {name} does not fail closed"));
    }
    let bites = bindings.iter().filter_map(|binding| binding.spec.as_ref()).any(|spec| {
        let denies = spec.validation_actions.iter().flatten().any(|action| action == "Deny");
        spec.policy_name.as_deref() == Some(name) && denies && spec.match_resources.is_none()
    });
    (!bites).then(|| format!("no ValidatingAdmissionPolicyBinding makes {name} deny everywhere"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objects(
        change: impl Fn(&str, &mut serde_json::Value, &mut serde_json::Value),
    ) -> (
        Vec<Arc<ValidatingAdmissionPolicy>>,
        Vec<Arc<ValidatingAdmissionPolicyBinding>>,
    ) {
        let each = GUARDS.iter().map(|name| {
            let mut policy = json!({ "metadata": { "name": name, "uid": "p", "generation": 1 }, "spec": { "failurePolicy": "Fail" } });
            let mut binding = json!({
                "metadata": { "name": name, "uid": "b", "generation": 1 },
                "spec": { "policyName": name, "validationActions": ["Deny"] },
            });
            change(name, &mut policy, &mut binding);
            (
                Arc::new(serde_json::from_value(policy).unwrap()),
                Arc::new(serde_json::from_value(binding).unwrap()),
            )
        });
        each.unzip()
    }

    #[test]
    fn whatever_takes_the_teeth_out_is_a_fault_and_another_digest() {
        let (policies, bindings) = objects(|_, _, _| ());
        let whole = see(&policies, &bindings);
        assert_eq!(whole.fault, None);
        let answers = "sallyport-request-answers";
        type Change = fn(&mut serde_json::Value, &mut serde_json::Value);
        let cases: [(&str, Change, bool); 6] = [
            (
                "to Audit",
                |_, b| b["spec"]["validationActions"] = json!(["Audit"]),
                true,
            ),
            ("elsewhere", |_, b| b["spec"]["matchResources"] = json!({}), true),
            ("fails open", |p, _| p["spec"]["failurePolicy"] = json!("Ignore"), true),
            ("another policy", |_, b| b["spec"]["policyName"] = json!("x"), true),
            ("made again", |p, _| p["metadata"]["uid"] = json!("q"), false),
            ("edited", |_, b| b["metadata"]["generation"] = json!(3), false),
        ];
        for (what, change, faulty) in cases {
            let (policies, bindings) = objects(|name, policy, binding| {
                if name == answers {
                    change(policy, binding);
                    policy["metadata"]["generation"] = json!(2);
                }
            });
            let seen = see(&policies, &bindings);
            assert_eq!(seen.fault.is_some(), faulty, "{what}: {seen:?}");
            assert_ne!(seen.digest, whole.digest, "{what}");
        }
        assert!(see(&policies, &bindings[1..]).fault.is_some());
        assert!(see(&policies[1..], &bindings).fault.is_some());
    }
}
