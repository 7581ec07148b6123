//! Whose tokens a door takes is the admin's to say: the author of a Connection can only narrow it.

use anyhow::{Result, ensure};

use crate::scenes::{BANK, closed};
use crate::stage::Stage;

pub fn none_but_the_admins_count(stage: &Stage) -> Result<()> {
    let names = |issuers: &str| {
        let patch = format!(r#"{{"spec": {{"identity": {{"issuers": [{issuers}]}}}}}}"#);
        stage.kubectl(&["-n", "doors", "patch", BANK, "--type=merge", "-p", &patch])
    };
    for (issuer, reason) in [
        (r#"{"name": "rogue"}"#, "UnknownIssuer"),
        // A token of the API server's, which whoever runs the target could then use there.
        (
            r#"{"name": "keycloak", "audience": "kubernetes"}"#,
            "AudienceNotAllowed",
        ),
    ] {
        names(issuer)?;
        stage.until_condition("doors", BANK, "Accepted", "False", reason)?;
        closed(stage, reason)?;
    }
    names(r#"{"name": "keycloak", "audience": "sallyport"}"#)?;
    stage.until_condition("doors", BANK, "Enforced", "True", "ScaledToZero")?;
    // Nor is there a field by which an author could say where an issuer is.
    let mut bank = stage.get("doors", BANK)?;
    bank["spec"]["identity"]["issuers"][0]["url"] = "https://rogue.example".into();
    let replace = ["-n", "doors", "replace", "--validate=strict", "-f", "-"];
    let refused = stage.server.run(None, &replace, &bank.to_string())?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        !refused.status.success() && words.contains("unknown field") && words.contains("url"),
        "an issuer of the author's own: {words}"
    );
    Ok(())
}
