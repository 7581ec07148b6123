//! What `config/rbac` lets whom do, asked of a real API server, and that admission's expressions fit the types they read.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON that is not as expected fails the test, as it should"
)]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sallyport_e2e_apiserver::{ApiServer, Identity};
use serde_json::Value;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
const OPERATOR: &str = "system:serviceaccount:sallyport-system:sallyport-operator";

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Who may what: (role or user, verb, resource, namespace, answer).
const RIGHTS: &[(&str, &str, &str, &str, bool)] = &[
    // The operator: everything of a door in a namespace that was opted in, next to nothing elsewhere.
    ("operator", "create", "deployments.apps", "doors", true),
    ("operator", "get", "secrets", "doors", true),
    (
        "operator",
        "create",
        "rolebindings.rbac.authorization.k8s.io",
        "doors",
        true,
    ),
    (
        "operator",
        "patch",
        "accessrequests.sallyport.dev/status",
        "doors",
        true,
    ),
    ("operator", "patch", "connections.sallyport.dev/status", "doors", true),
    (
        "operator",
        "update",
        "leases.coordination.k8s.io",
        "sallyport-system",
        true,
    ),
    ("operator", "get", "persistentvolumes", "", true),
    ("operator", "patch", "persistentvolumes", "", false),
    ("operator", "get", "secrets", "default", false),
    ("operator", "get", "secrets", "kube-system", false),
    ("operator", "list", "secrets", "sallyport-system", false),
    ("operator", "update", "secrets", "sallyport-system", false),
    ("operator", "create", "deployments.apps", "default", false),
    (
        "operator",
        "create",
        "rolebindings.rbac.authorization.k8s.io",
        "default",
        false,
    ),
    (
        "operator",
        "escalate",
        "roles.rbac.authorization.k8s.io",
        "doors",
        false,
    ),
    ("operator", "bind", "roles.rbac.authorization.k8s.io", "doors", false),
    ("operator", "impersonate", "users", "", false),
    ("operator", "create", "pods", "doors", false),
    ("operator", "create", "pods/exec", "doors", false),
    ("operator", "create", "serviceaccounts/token", "doors", false),
    ("operator", "update", "connections.sallyport.dev", "doors", false),
    ("operator", "update", "approvalpolicies.sallyport.dev", "doors", false),
    (
        "operator",
        "patch",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "",
        false,
    ),
    (
        "operator",
        "patch",
        "customresourcedefinitions.apiextensions.k8s.io",
        "",
        false,
    ),
    (
        "operator",
        "create",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "",
        false,
    ),
    // ServiceAccounts of doors and recorders ask whose token they were shown; those of elsewhere do not.
    ("door", "create", "tokenreviews.authentication.k8s.io", "", true),
    ("door", "get", "secrets", "doors", false),
    ("recorder", "create", "tokenreviews.authentication.k8s.io", "", true),
    ("recorder", "get", "secrets", "evidence", false),
    ("stranger", "create", "tokenreviews.authentication.k8s.io", "", false),
    // People.
    (
        "approver",
        "patch",
        "accessrequests.sallyport.dev/status",
        "doors",
        true,
    ),
    ("approver", "get", "accessrequests.sallyport.dev", "doors", true),
    ("approver", "create", "accessrequests.sallyport.dev", "doors", false),
    ("approver", "delete", "accessrequests.sallyport.dev", "doors", false),
    ("approver", "update", "approvalpolicies.sallyport.dev", "doors", false),
    ("requester", "create", "accessrequests.sallyport.dev", "doors", true),
    ("requester", "delete", "accessrequests.sallyport.dev", "doors", false),
    ("auditor", "get", "auditsinks.sallyport.dev", "doors", true),
    ("auditor", "create", "pods/portforward", "doors", true),
    ("auditor", "create", "pods/exec", "doors", false),
    ("auditor", "get", "secrets", "doors", false),
    ("auditor", "get", "accessrequests.sallyport.dev", "doors", false),
    ("approver", "create", "pods/portforward", "doors", false),
    // No role of Kubernetes' own shows requests, which hold commands, or writes status.
    ("view", "get", "connections.sallyport.dev", "doors", true),
    ("view", "get", "accessrequests.sallyport.dev", "doors", false),
    ("edit", "get", "accessrequests.sallyport.dev", "doors", false),
    ("edit", "update", "approvalpolicies.sallyport.dev", "doors", false),
    ("admin", "update", "approvalpolicies.sallyport.dev", "doors", true),
    ("admin", "get", "accessrequests.sallyport.dev", "doors", false),
    ("admin", "patch", "accessrequests.sallyport.dev/status", "doors", false),
    ("admin", "patch", "connections.sallyport.dev/status", "doors", false),
];

#[test]
fn rights_are_as_small_as_they_are_said_to_be() -> Result<()> {
    let server =
        ApiServer::with_controllers(&["clusterrole-aggregation", "validatingadmissionpolicy-status-controller"])?;
    server.admin(&["apply", "--server-side", "-k", &format!("{CONFIG}/default")], "")?;
    server.admin(&["apply", "--server-side", "-k", &format!("{CONFIG}/namespace")], "")?;
    for user in ["approver", "requester", "auditor"] {
        bind(&server, &format!("sallyport-{user}"), user)?;
    }
    for role in ["view", "edit", "admin"] {
        bind(&server, role, role)?;
    }
    expressions_fit_their_types(&server)?;
    until("roles are aggregated", || {
        may(&server, "admin", "update", "approvalpolicies.sallyport.dev", "doors")
    })?;
    // Each role is aggregated by itself, and whoever authorizes hears of each a moment later: what is given is waited for, and what is
    // not given is asked for when all of the rest is there.
    let mut wrong = Vec::new();
    let deadline = Instant::now() + LIMIT;
    for given in [true, false] {
        for (who, verb, resource, namespace, _) in RIGHTS.iter().filter(|right| right.4 == given) {
            while may(&server, who, verb, resource, namespace)? != given {
                if !given || Instant::now() >= deadline {
                    wrong.push(format!("{who} {verb} {resource} in {namespace:?}: wanted {given}"));
                    break;
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

fn bind(server: &ApiServer, role: &str, user: &str) -> Result<()> {
    let (role, user_argument) = (format!("--clusterrole={role}"), format!("--user={user}"));
    server.admin(
        &["-n", "doors", "create", "rolebinding", user, &role, &user_argument],
        "",
    )?;
    Ok(())
}

fn may(server: &ApiServer, who: &str, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let group = |name: &str| {
        vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{name}"),
        ]
    };
    let (user, groups) = match who {
        "operator" => (OPERATOR.to_owned(), group("sallyport-system")),
        "door" => ("system:serviceaccount:doors:door-bank".to_owned(), group("doors")),
        "recorder" => (
            "system:serviceaccount:evidence:recorder-evidence".to_owned(),
            group("evidence"),
        ),
        "stranger" => ("system:serviceaccount:default:default".to_owned(), group("default")),
        name => (name.to_owned(), Vec::new()),
    };
    let identity = Identity {
        user,
        groups,
        ..Identity::default()
    };
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let subresource = format!("--subresource={subresource}");
    let mut arguments = vec!["auth", "can-i", verb, resource, &subresource];
    if !namespace.is_empty() {
        arguments.extend(["-n", namespace]);
    }
    let output = server.run(Some(&identity), &arguments, "")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        said.starts_with("yes") || said.starts_with("no"),
        "{who} {verb} {resource}: {said:?}"
    );
    Ok(said.starts_with("yes"))
}

/// The API server type-checks expressions after it took them; a warning there is an expression that fails when it matters.
fn expressions_fit_their_types(server: &ApiServer) -> Result<()> {
    let policies = || -> Result<Vec<Value>> {
        let text = server.admin(&["get", "validatingadmissionpolicies", "-o", "json"], "")?;
        Ok(serde_json::from_str::<Value>(&text)?["items"]
            .as_array()
            .cloned()
            .unwrap_or_default())
    };
    until("the API server looked at the expressions", || {
        let policies = policies()?;
        Ok(!policies.is_empty()
            && policies
                .iter()
                .all(|policy| policy["status"]["observedGeneration"].is_number()))
    })?;
    for policy in policies()? {
        let warnings = &policy["status"]["typeChecking"]["expressionWarnings"];
        ensure!(warnings.is_null(), "{}: {warnings:#}", policy["metadata"]["name"]);
    }
    Ok(())
}

/// Polls until something holds.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !holds()? {
        ensure!(Instant::now() < deadline, "not within {} s: {what}", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
