//! Every way to weaken an object in place, and what the API server may make of one that weakens nothing.

use serde_json::{Value, json};

use super::*;
use crate::testing::admission::{objects, shipped};

const OBJECTS: &str = "sallyport-namespace-objects";
const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

fn standing(change: impl Fn(&mut Value, &mut Value)) -> Standing {
    let (policies, bindings) = objects(OBJECTS, change);
    compare(&shipped(), &policies, &bindings)
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
}

#[test]
fn what_ships_is_whole_in_whatever_form_it_is_kept() {
    type Change = fn(&mut Value, &mut Value);
    let cases: [(&str, Change); 5] = [
        ("as the API server completes it", |_, _| ()),
        ("nothing completed", |policy, _| {
            policy["spec"].as_object_mut().unwrap().remove("failurePolicy");
            let matched = policy["spec"]["matchConstraints"].as_object_mut().unwrap();
            matched.remove("matchPolicy");
            matched.remove("objectSelector");
            matched["resourceRules"][0].as_object_mut().unwrap().remove("scope");
        }),
        ("labels and annotations", |policy, binding| {
            for object in [policy, binding] {
                set(object, "/metadata/labels/a", json!("b"));
                set(object, "/metadata/annotations", json!({ "a": "b" }));
            }
        }),
        ("other line breaks", |policy, _| {
            let expression = &mut policy["spec"]["matchConditions"][0]["expression"];
            *expression = json!(expression.as_str().unwrap().replace(' ', "\n  ") + "\n");
        }),
        ("what the API server thinks of it", |policy, _| {
            policy["status"] = json!({ "observedGeneration": 1, "typeChecking": {} });
        }),
    ];
    for (what, change) in cases {
        let standing = standing(change);
        assert!(standing.faults.is_empty(), "{what}: {:?}", standing.faults);
        assert_eq!(standing.counts().map(|(_, count)| count), [38, 0, 0], "{what}");
    }
}

#[test]
fn whatever_weakens_one_is_named_with_its_field() {
    let labels = |name: &str, value: &str| json!({ "matchLabels": { name: value } });
    let cases = [
        (POLICY, "/failurePolicy", json!("Ignore"), "failurePolicy"),
        (
            POLICY,
            "/paramKind",
            json!({ "apiVersion": "v1", "kind": "ConfigMap" }),
            "paramKind",
        ),
        (POLICY, "/validations", json!([]), "validations"),
        (
            POLICY,
            "/validations/0/expression",
            json!("true"),
            "validations[0].expression",
        ),
        (
            POLICY,
            "/variables/1/expression",
            json!("['mallory']"),
            "variables[1].expression",
        ),
        (
            POLICY,
            "/matchConditions/0/expression",
            json!("false"),
            "matchConditions[0].expression",
        ),
        (
            POLICY,
            "/matchConstraints/matchPolicy",
            json!("Exact"),
            "matchConstraints.matchPolicy",
        ),
        (
            POLICY,
            "/matchConstraints/excludeResourceRules",
            json!([{ "resources": ["*"] }]),
            "matchConstraints.excludeResourceRules",
        ),
        (
            POLICY,
            "/matchConstraints/resourceRules/0/resourceNames",
            json!(["one"]),
            "matchConstraints.resourceRules[0].resourceNames",
        ),
        (
            POLICY,
            "/matchConstraints/resourceRules/0/apiGroups",
            json!([" "]),
            "matchConstraints.resourceRules[0].apiGroups[0]",
        ),
        (
            POLICY,
            "/matchConstraints/namespaceSelector",
            labels("guarded", "yes"),
            "matchConstraints.namespaceSelector.matchLabels.guarded",
        ),
        (
            POLICY,
            "/matchConstraints/objectSelector",
            labels("guarded", "yes"),
            "matchConstraints.objectSelector.matchLabels",
        ),
        // It looks like what the API server completes.
        (
            POLICY,
            "/matchConstraints/objectSelector",
            labels("matchPolicy", "Equivalent"),
            "matchConstraints.objectSelector.matchLabels",
        ),
        (BINDING, "/validationActions", json!(["Warn"]), "validationActions[0]"),
        (
            BINDING,
            "/matchResources",
            json!({ "objectSelector": labels("guarded", "yes") }),
            "matchResources",
        ),
        (
            BINDING,
            "/paramRef",
            json!({ "name": "mine", "parameterNotFoundAction": "Allow" }),
            "paramRef",
        ),
    ];
    for (kind, pointer, value, field) in cases {
        let standing = standing(|policy, binding| {
            let object = if kind == POLICY { policy } else { binding };
            set(object, &format!("/spec{pointer}"), value.clone());
        });
        let fault = Fault {
            kind: kind.to_owned(),
            name: OBJECTS.to_owned(),
            field: Some(format!("spec.{field}")),
        };
        assert_eq!(standing.faults, [fault]);
        assert_eq!(standing.counts().map(|(_, count)| count), [37, 1, 0], "{field}");
    }
}

#[test]
fn an_object_that_is_not_there_is_missing() {
    let (policies, mut bindings) = objects("", |_, _| ());
    bindings.retain(|binding| binding.metadata.name.as_deref() != Some(OBJECTS));
    let standing = compare(&shipped(), &policies, &bindings);
    assert_eq!(standing.counts(), [("whole", 37), ("changed", 0), ("missing", 1)]);
    let words = words(standing.faults.iter()).unwrap();
    assert!(
        words.starts_with(&format!(
            "{BINDING} {OBJECTS} is missing: put back what config/admission"
        )),
        "{words}"
    );
}
