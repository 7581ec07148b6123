//! Each token is good at one place: for a door, or for the API server, from an issuer that the admin named.

use anyhow::Result;

use crate::client::psql_by;
use crate::demo::{ALICE, CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, run};

use super::kubeconfig::Kubeconfig;
use super::undo::Undo;
use super::{api_knows_people, becomes};

/// Whose issuer nobody but its author knows.
const ROGUE: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: Connection
metadata: {name: trial-rogue, namespace: doors, labels: {data: customer}}
spec:
  protocol: PostgreSQL
  target:
    host: postgres.bank.svc
    port: 5432
    tls: {caBundle: {configMapKeyRef: {name: bank-ca, key: ca.crt}}}
  credentialsRef: {name: bank-credentials}
  subjects: [{kind: Group, name: "oidc:engineers"}]
  requires: {maskingRules: [customer-numbers], approvalPolicies: [changes]}
  sinks: [{name: evidence, namespace: evidence}]
  identity: {issuers: [{name: rogue}]}
  proxy: {replicas: 0}
  postgresql: {databases: [bank]}
"#;

pub(super) fn elsewhere(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    api_knows_people(demo)?;
    let (door, api) = (demo.token(ALICE)?, demo.token_by(ALICE, "kubernetes")?);
    let answer = at_the_api_server(demo, &api)?;
    narrator.shows(&answer);
    narrator.check(
        "a token for the API server is good there",
        answer.status.success() && answer.stdout.contains("oidc:alice"),
    )?;
    let answer = at_the_door(demo, &api)?;
    narrator.shows(&answer);
    narrator.check(
        "and opens no door",
        !answer.status.success() && answer.stderr.contains("FATAL") && answer.stdout.is_empty(),
    )?;
    let answer = at_the_door(demo, &door)?;
    narrator.check("a token for the door opens it", answer.status.success())?;
    let answer = at_the_api_server(demo, &door)?;
    narrator.shows(&answer);
    narrator.check("and is none for the API server", unauthorized(&answer))?;
    let own = format!("--audience=sallyport://{DOORS}/{CONNECTION}");
    let account = demo.admin(&["-n", DOORS, "create", "token", "default", &own])?;
    let answer = at_the_api_server(demo, account.stdout.trim())?;
    narrator.check("nor is a ServiceAccount's for the door", unauthorized(&answer))
}

pub(super) fn rogue_issuer(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let file = demo.path("trial-rogue.yaml");
    std::fs::write(&file, ROGUE)?;
    let _connection = Undo::by(
        demo,
        &["-n", DOORS, "delete", "connection", "trial-rogue", "--ignore-not-found"],
    );
    demo.admin(&["apply", "--server-side", "-f", &file.to_string_lossy()])?;
    std::fs::remove_file(&file)?;
    let said = becomes(demo, "connection/trial-rogue", "Accepted", "False UnknownIssuer")?;
    narrator.shows_text(&said);
    narrator.check(
        "the Connection says which issuer it is not to name",
        said.contains("rogue"),
    )?;
    becomes(demo, "connection/trial-rogue", "Ready", "False").map(drop)
}

fn unauthorized(answer: &Output) -> bool {
    !answer.status.success() && answer.stderr.contains("Unauthorized")
}

/// Who the API server says that is.
fn at_the_api_server(demo: &Demo, token: &str) -> Result<Output> {
    let whoever = Kubeconfig::of(demo, token)?;
    run(&mut whoever.kubectl(demo, &["auth", "whoami"]))
}

fn at_the_door(demo: &Demo, token: &str) -> Result<Output> {
    run(&mut psql_by(demo, ALICE, token, &["SELECT 1"]))
}
