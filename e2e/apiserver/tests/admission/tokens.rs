//! The same by real tokens: what the API server itself knows of a Pod-bound token is what admission compares with.

use anyhow::Result;
use serde_json::{Value, json};

use crate::requests::held;
use crate::stage::Stage;

/// Mints tokens for a door while its namespace is not yet guarded, then installs admission and uses them.
pub fn try_real_tokens(stage: &mut Stage) -> Result<()> {
    let server = &stage.server;
    for account in ["door-bank", "recorder-evidence", "default"] {
        server.admin(&["-n", "doors", "create", "serviceaccount", account], "")?;
    }
    let subject = "--serviceaccount=doors:door-bank";
    server.admin(
        &[
            "create",
            "clusterrolebinding",
            "door",
            "--clusterrole=cluster-admin",
            subject,
        ],
        "",
    )?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "door-bank-real", "namespace": "doors"},
        "spec": {"serviceAccountName": "door-bank", "containers": [{"name": "proxy", "image": "sallyport:dev"}]}
    });
    let pod: Value = serde_json::from_str(&server.admin(&["create", "-o", "json", "-f", "-"], &pod.to_string())?)?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let mint = ["-n", "doors", "create", "token", "door-bank"];
    let bound = [
        &mint[..],
        &[
            "--bound-object-kind=Pod",
            "--bound-object-name=door-bank-real",
            "--bound-object-uid",
            uid,
        ],
    ]
    .concat();
    let (bound, unbound) = (server.admin(&bound, "")?, server.admin(&mint, "")?);

    stage.install_admission()?;
    stage.opt_in()?;
    let mut request = held();
    request["metadata"]["name"] = "by-token".into();
    let foreign = request.to_string();
    request["spec"]["session"] = json!({"id": "s", "pod": "door-bank-real", "podUid": uid, "onHold": "Wait"});
    let own = request.to_string();
    for (what, token, input, words) in [
        ("a door by its Pod's token", &bound, &own, None),
        (
            "a door by its Pod's token, with another Pod's session",
            &bound,
            &foreign,
            Some("spec.session names another Pod"),
        ),
        (
            "a door by a token that anybody minted",
            &unbound,
            &own,
            Some("this token is bound to none"),
        ),
    ] {
        let token = format!("--token={}", token.trim());
        let arguments = [
            "--kubeconfig=/dev/null",
            &server_address(stage)?,
            &token,
            "create",
            "--dry-run=server",
            "-f",
            "-",
        ];
        let output = stage
            .server
            .run(None, &[&arguments[..], &["--insecure-skip-tls-verify"]].concat(), input)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        stage.score(
            what,
            if output.status.success() {
                Ok(String::new())
            } else {
                Err(said)
            },
            words,
        );
    }
    Ok(())
}

fn server_address(stage: &Stage) -> Result<String> {
    let config: Value = serde_json::from_str(&stage.server.admin(&["config", "view", "-o", "json"], "")?)?;
    Ok(format!(
        "--server={}",
        config["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default()
    ))
}
