//! The cluster's admission objects, as the API server keeps what config/admission says.

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use serde_json::{Value, json};

use crate::access_request::admission::{Seen, see};
use crate::guards::shipped::{IMAGE, OPERATOR, Shipped, documents};

/// Policies and bindings.
pub type Objects = (
    Vec<Arc<ValidatingAdmissionPolicy>>,
    Vec<Arc<ValidatingAdmissionPolicyBinding>>,
);

/// What the operator of these tests ships.
pub fn shipped() -> Shipped {
    Shipped::read(OPERATOR, IMAGE).unwrap()
}

/// All objects, after somebody changed the policy of this name and its binding.
pub fn objects(name: &str, change: impl Fn(&mut Value, &mut Value)) -> Objects {
    let mut kept: Vec<Value> = documents().unwrap().into_iter().map(keep).collect();
    let (mut policies, mut bindings) = (Vec::new(), Vec::new());
    // A policy and its binding stand in one file.
    for pair in kept.chunks_mut(2) {
        let [policy, binding] = pair else {
            panic!("an odd number of objects")
        };
        if policy["metadata"]["name"] == name {
            change(policy, binding);
        }
        policies.push(Arc::new(serde_json::from_value(policy.clone()).unwrap()));
        bindings.push(Arc::new(serde_json::from_value(binding.clone()).unwrap()));
    }
    (policies, bindings)
}

/// What the operator sees of them.
pub fn seen(name: &str, change: impl Fn(&mut Value, &mut Value)) -> Seen {
    let (policies, bindings) = objects(name, change);
    see(&shipped(), &policies, &bindings)
}

/// An object with what the API server and kustomize add.
fn keep(mut object: Value) -> Value {
    let meta = &mut object["metadata"];
    meta["uid"] = json!("u");
    meta["generation"] = json!(1);
    meta["labels"] = json!({ "app.kubernetes.io/part-of": "sallyport" });
    if object["kind"] == "ValidatingAdmissionPolicy" {
        let matched = &mut object["spec"]["matchConstraints"];
        matched["matchPolicy"] = json!("Equivalent");
        for selector in ["namespaceSelector", "objectSelector"] {
            if matched[selector].is_null() {
                matched[selector] = json!({});
            }
        }
        for rule in matched["resourceRules"].as_array_mut().unwrap() {
            rule["scope"] = json!("*");
        }
    }
    object
}
