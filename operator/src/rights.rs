//! What the operator needs at the API server: the manifests in `config/` grant exactly this, and a test compares them.
//!
//! Three roles: [`CLUSTER`] everywhere, [`NAMESPACE`] in opted-in namespaces by a RoleBinding there, [`OWN`] in the operator's
//! own namespace. `NAMESPACE` holds what the operator gives doors and recorders, since nobody may give what they do not have.

/// One rule: API group, resources, verbs.
pub type Right = (&'static str, &'static [&'static str], &'static [&'static str]);

/// A ClusterRole bound cluster-wide.
pub const CLUSTER: &[Right] = &[
    ("", &["namespaces"], &["get", "list", "watch"]),
    (
        "sallyport.dev",
        &[
            "connections",
            "maskingrules",
            "approvalpolicies",
            "auditsinks",
            "accessrequests",
        ],
        &["get", "list", "watch"],
    ),
    // Status is written outside opted-in namespaces too: to say that they are not opted in.
    (
        "sallyport.dev",
        &[
            "connections/status",
            "maskingrules/status",
            "approvalpolicies/status",
            "auditsinks/status",
        ],
        &["get", "patch"],
    ),
    ("authentication.k8s.io", &["tokenreviews"], &["create"]),
    // Admission names the operator: whether it names the one that is there has to be seen.
    ("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
    // Approvals and doors hang on these: that they changed has to be seen.
    (
        "admissionregistration.k8s.io",
        &["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        &["get", "list", "watch"],
    ),
    // An older definition prunes newer fields in silence: whether the installed ones are ours has to be seen.
    ("apiextensions.k8s.io", &["customresourcedefinitions"], &["get"]),
    // Evidence outlives its claim only on a volume that is retained: whether it is one has to be seen.
    ("", &["persistentvolumes"], &["get"]),
    ("events.k8s.io", &["events"], &["create", "patch"]),
];

/// A ClusterRole bound by a RoleBinding in each opted-in namespace.
pub const NAMESPACE: &[Right] = &[
    (
        "",
        &["services", "serviceaccounts", "configmaps", "secrets"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    ("", &["pods"], &["get", "list", "watch"]),
    // The templates of claims cannot be changed: a volume grows by its claim.
    ("", &["persistentvolumeclaims"], &["get", "patch"]),
    (
        "apps",
        &["deployments", "statefulsets"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "apps",
        &["controllerrevisions"],
        &["get", "list", "watch", "create", "delete"],
    ),
    (
        "policy",
        &["poddisruptionbudgets"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "networking.k8s.io",
        &["networkpolicies"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "rbac.authorization.k8s.io",
        &["roles", "rolebindings"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "sallyport.dev",
        &["accessrequests"],
        &["get", "list", "watch", "create", "delete"],
    ),
    ("sallyport.dev", &["accessrequests/status"], &["get", "update", "patch"]),
    ("sallyport.dev", &["auditsinks"], &["get", "list", "watch"]),
];

/// A Role in the operator's own namespace.
pub const OWN: &[Right] = &[
    // What it replaces is its own keys' alone.
    ("", &["secrets"], &["get", "create", "update"]),
    ("", &["configmaps"], &["get", "create", "patch"]),
    ("coordination.k8s.io", &["leases"], &["get", "create", "update"]),
    ("discovery.k8s.io", &["endpointslices"], &["get", "create", "patch"]),
];

/// Doors and recorders may ask whose token they were shown. One static ClusterRoleBinding grants it to the groups
/// `system:serviceaccounts:<namespace>` of opted-in namespaces: the operator may bind nothing cluster-wide.
pub const DOORS_CLUSTER: &[Right] = &[("authentication.k8s.io", &["tokenreviews"], &["create"])];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Every single right in a document of `config/rbac/operator.yaml`.
    fn granted(kind: &str, name: &str) -> BTreeSet<(String, String, String)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/rbac/operator.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let found = documents
            .iter()
            .find(|one| one["kind"] == kind && one["metadata"]["name"] == name)
            .unwrap();
        let texts = |value: &Value| {
            value
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let mut all = BTreeSet::new();
        for rule in found["rules"].as_array().unwrap() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    all.extend(
                        texts(&rule["verbs"])
                            .into_iter()
                            .map(|verb| (group.clone(), resource.clone(), verb)),
                    );
                }
            }
        }
        all
    }

    fn needed(rights: &[Right]) -> BTreeSet<(String, String, String)> {
        let each = rights.iter().flat_map(|(group, resources, verbs)| {
            resources
                .iter()
                .flat_map(move |resource| verbs.iter().map(move |verb| (*group, *resource, *verb)))
        });
        each.map(|(group, resource, verb)| (group.to_owned(), resource.to_owned(), verb.to_owned()))
            .collect()
    }

    #[test]
    fn the_manifests_grant_what_is_needed_and_no_more() {
        assert_eq!(granted("ClusterRole", "sallyport-operator"), needed(CLUSTER));
        assert_eq!(
            granted("ClusterRole", "sallyport-operator-namespace"),
            needed(NAMESPACE)
        );
        assert_eq!(granted("Role", "sallyport-operator"), needed(OWN));
        assert_eq!(granted("ClusterRole", "sallyport-tokenreviews"), needed(DOORS_CLUSTER));
    }
}
