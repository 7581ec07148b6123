//! Policies beside the samples, which say what engineers need to insert.

use anyhow::Result;

use crate::client::ask;
use crate::demo::{ALICE, DOORS, Demo};
use crate::run::Output;

use super::becomes;
use super::undo::Undo;

/// What the samples ask about, such as deleting, is left as it is.
const POLICY: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: NAME, namespace: doors}
spec:
  connectionSelector:
    matchLabels: {data: customer}
  subjects:
    - {kind: Group, name: "oidc:engineers"}
  rules:
    - {name: inserts, match: {cel: "'insert' in command.verbs"}, SAYS}
    - name: else
      match: {any: true}
      action: Allow
"#;

/// Engineers who insert are refused until a database administrator has answered. `terms`: the fields of `approval` that this
/// policy has of its own, as YAML.
pub(super) fn enforced<'a>(demo: &'a Demo, name: &str, message: &str, terms: &str) -> Result<Undo<'a>> {
    let approval = format!(r#"{{approvers: [{{kind: Group, name: "oidc:dba"}}], onHold: Refuse, {terms}}}"#);
    let says = format!("action: RequireApproval, message: {message}, approval: {approval}");
    ruled(demo, name, &says)
}

/// Applies such a policy and waits until it is enforced; it goes when the guard does. `says`: the fields of its rule about
/// inserting, as YAML.
pub(super) fn ruled<'a>(demo: &'a Demo, name: &str, says: &str) -> Result<Undo<'a>> {
    let file = demo.path(&format!("{name}.yaml"));
    std::fs::write(&file, POLICY.replace("NAME", name).replace("SAYS", says))?;
    let undo = Undo::by(
        demo,
        &["-n", DOORS, "delete", "approvalpolicy", name, "--ignore-not-found"],
    );
    demo.admin(&["apply", "--server-side", "-f", &file.to_string_lossy()])?;
    std::fs::remove_file(&file)?;
    becomes(demo, &format!("approvalpolicy/{name}"), "Enforced", "True")?;
    Ok(undo)
}

/// alice inserts a row.
pub(super) fn insert(demo: &Demo, id: u32) -> Result<Output> {
    let statement = format!("INSERT INTO accounts VALUES ({id}, 1, 0)");
    ask(demo, ALICE, &[&statement])
}
