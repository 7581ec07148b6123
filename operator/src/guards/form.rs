//! What an admission object says, in one form: completed as the API server completes it, and without what is form alone.
//!
//! It is completed by type, never by the name of a key: a label called `scope` would narrow a selector unseen.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicySpec,
};
use serde::Serialize;
use serde_json::Value;

/// What a policy says.
pub fn policy(policy: &ValidatingAdmissionPolicy) -> Value {
    let mut spec = policy.spec.clone().unwrap_or_default();
    spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
    if let Some(constraints) = &mut spec.match_constraints {
        complete(constraints);
    }
    // YAML folds lines as it likes, and CEL takes any run of blanks for one.
    for expression in expressions(&mut spec) {
        *expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    value(&spec)
}

/// What a binding says. One that ships matches everywhere, so that any `matchResources` is a difference.
pub fn binding(binding: &ValidatingAdmissionPolicyBinding) -> Value {
    value(&binding.spec)
}

/// Every expression of a policy.
pub fn expressions(spec: &mut ValidatingAdmissionPolicySpec) -> impl Iterator<Item = &mut String> {
    let conditions = spec.match_conditions.iter_mut().flatten();
    let variables = spec.variables.iter_mut().flatten();
    let validations = spec.validations.iter_mut().flatten();
    conditions
        .map(|condition| &mut condition.expression)
        .chain(variables.map(|variable| &mut variable.expression))
        .chain(validations.flat_map(|one| std::iter::once(&mut one.expression).chain(&mut one.message_expression)))
}

/// Where two objects first say different things, as a path that begins with `path`.
pub fn difference(path: &str, one: Option<&Value>, other: Option<&Value>) -> Option<String> {
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let mut names = names.into_iter();
            names.find_map(|name| difference(&format!("{path}.{name}"), one.get(name), other.get(name)))
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (one, other))| difference(&format!("{path}[{at}]"), Some(one), Some(other)))
        }
        (one, other) => (one != other).then(|| path.to_owned()),
    }
}

fn complete(matched: &mut MatchResources) {
    matched.match_policy.get_or_insert_with(|| "Equivalent".to_owned());
    matched.namespace_selector.get_or_insert_default();
    matched.object_selector.get_or_insert_default();
    let (rules, excluded) = (&mut matched.resource_rules, &mut matched.exclude_resource_rules);
    for rule in rules.iter_mut().chain(excluded).flatten() {
        rule.scope.get_or_insert_with(|| "*".to_owned());
    }
}

/// A specification holds texts and lists of them: nothing that JSON could not say.
fn value(spec: &impl Serialize) -> Value {
    serde_json::to_value(spec).unwrap_or_default()
}
