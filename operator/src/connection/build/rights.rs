//! What a door may do at the API server: read by name what its Connection names, and deal with AccessRequests.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use sallyport_crds::names;

use super::metadata;
use crate::connection::plan::Plan;

pub(super) fn role(plan: &Plan) -> Role {
    let mut rules = vec![
        named("", "secrets", plan.secrets.iter()),
        named("", "configmaps", plan.config_maps.iter()),
        rule(
            sallyport_crds::GROUP,
            "accessrequests",
            &["create", "get", "list", "watch"],
        ),
        rule(sallyport_crds::GROUP, "accessrequests/status", &["update", "patch"]),
        // Answers to requests of a door that is gone are recorded by those that are left.
        rule("", "pods", &["get"]),
    ];
    rules.retain(|rule| rule.resource_names.as_ref().is_none_or(|names| !names.is_empty()));
    Role {
        metadata: metadata(plan),
        rules: Some(rules),
    }
}

pub(super) fn binding(plan: &Plan) -> RoleBinding {
    let name = names::door(&plan.name);
    RoleBinding {
        metadata: metadata(plan),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name,
            namespace: Some(plan.namespace.clone()),
            ..Subject::default()
        }]),
    }
}

/// `list` and `watch` with a field selector on one name are allowed by a rule that names it, and nothing else is.
fn named<'a>(group: &str, resource: &str, resource_names: impl Iterator<Item = &'a String>) -> PolicyRule {
    PolicyRule {
        resource_names: Some(resource_names.cloned().collect()),
        ..rule(group, resource, &["get", "list", "watch"])
    }
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        ..PolicyRule::default()
    }
}
