//! The API server with our kinds and admission, the people, and the score.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_e2e_apiserver::{ApiServer, Identity};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/admission");

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Refuses one ConfigMap, in `other` and in namespaces that are opted in.
const LAST: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: the-last}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector:
      matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [other, doors]}]
    resourceRules:
      - {apiGroups: [""], apiVersions: ["v1"], resources: [configmaps], operations: [CREATE]}
  matchConditions:
    - {name: it, expression: "object.metadata.name == 'the-last'"}
  validations:
    - {expression: "namespaceObject.metadata.name == 'doors' && !('sallyport.dev/enabled' in namespaceObject.metadata.labels)", message: "the last"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: the-last}
spec: {policyName: the-last, validationActions: [Deny]}
"#;

/// Where the tables play.
pub struct Stage {
    pub server: ApiServer,
    people: BTreeMap<String, Person>,
    /// Requests by state, as the API server has them.
    pub states: BTreeMap<String, Value>,
    failures: Vec<String>,
    tried: usize,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    user: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    extra: BTreeMap<String, String>,
}

// === impl Stage ===

impl Stage {
    /// Starts an API server and installs kinds, admission and the namespaces of the tables.
    pub fn set() -> Result<Self> {
        let server = ApiServer::start()?;
        server.admin(
            &["apply", "--server-side", "-k", &format!("{REPOSITORY}/config/crd")],
            "",
        )?;
        server.admin(
            &["wait", "--for=condition=Established", "crd", "--all", "--timeout=120s"],
            "",
        )?;
        for namespace in ["doors", "other", "ci", "sallyport-system"] {
            server.admin(&["create", "namespace", namespace], "")?;
        }
        // The tables are about admission: whoever is in this group may do everything that it does not refuse.
        server.admin(
            &[
                "create",
                "clusterrolebinding",
                "everything",
                "--clusterrole=cluster-admin",
                "--group=everything",
            ],
            "",
        )?;
        let people = table("people")?;
        Ok(Self {
            server,
            people,
            states: BTreeMap::new(),
            failures: Vec::new(),
            tried: 0,
        })
    }

    /// Installs admission and waits until it is in force, which takes the API server a moment. It takes up what it has heard of, in the
    /// order in which that was made: what is made last goes by a guard of the test's own.
    pub fn install_admission(&self) -> Result<()> {
        self.server.admin(
            &[
                "apply",
                "--server-side",
                "-k",
                &format!("{REPOSITORY}/config/admission"),
            ],
            "",
        )?;
        self.server.admin(&["create", "-f", "-"], LAST)?;
        let last = ["-n", "other", "create", "configmap", "the-last", "--dry-run=server"];
        until("admission is in force", || {
            let probe = probe().to_string();
            let forged = self.outcome("admin", &["create", "--dry-run=server", "-f", "-"], &probe)?;
            Ok(forged.is_err() && self.outcome("admin", &last, "")?.is_err())
        })
    }

    /// Opts the namespace `doors` in and waits until the API server has seen that, and has read the Connections by which it judges
    /// ConfigMaps there.
    pub fn opt_in(&self) -> Result<()> {
        self.server
            .admin(&["label", "namespace", "doors", "sallyport.dev/enabled=true"], "")?;
        let create = ["-n", "doors", "create", "configmap", "--dry-run=server"];
        let last = [&create[..], &["the-last"]].concat();
        until("the namespace is seen to be opted in", || {
            Ok(self.outcome("admin", &last, "")?.is_err())
        })?;
        let probe = [&create[..], &["probe"]].concat();
        let mut words = None;
        let outcome = until("ConfigMaps are taken", || {
            words = self.outcome("admin", &probe, "")?.err();
            Ok(words.is_none())
        });
        outcome.with_context(|| format!("last refused: {words:?}"))
    }

    /// Somebody of `people.yaml`.
    pub fn identity(&self, name: &str) -> Result<Identity> {
        let person = self
            .people
            .get(name)
            .with_context(|| format!("nobody is called {name}"))?
            .clone();
        Ok(Identity {
            user: person.user,
            groups: person.groups,
            uid: person.uid,
            extra: person.extra.into_iter().collect(),
        })
    }

    /// What the API server says to kubectl run as somebody: what it printed, or the words of the refusal.
    pub fn outcome(&self, who: &str, arguments: &[&str], input: &str) -> Result<Result<String, String>> {
        let identity = self.identity(who)?;
        Ok(said(&self.server.run(Some(&identity), arguments, input)?))
    }

    /// What the API server says to a line of shell run as somebody, likewise.
    pub fn shell(&self, who: &str, line: &str) -> Result<Result<String, String>> {
        let identity = self.identity(who)?;
        Ok(said(&self.server.shell(&identity, line)?))
    }

    /// Does something for real, which must succeed.
    pub fn act(&self, who: &str, arguments: &[&str], input: &str) -> Result<String> {
        match self.outcome(who, arguments, input)? {
            Ok(printed) => Ok(printed),
            Err(words) => bail!("{who}: kubectl {arguments:?}: {words}"),
        }
    }

    /// Tries a case, keeping nothing, and compares with the words that it should be refused in.
    pub fn try_case(
        &mut self,
        what: &str,
        who: &str,
        arguments: &[&str],
        input: &str,
        words: Option<&str>,
    ) -> Result<()> {
        let mut arguments = arguments.to_vec();
        arguments.push("--dry-run=server");
        let outcome = self.outcome(who, &arguments, input)?;
        self.score(what, outcome, words);
        Ok(())
    }

    /// Notes whether an outcome is what was wanted.
    pub fn score(&mut self, what: &str, outcome: Result<String, String>, words: Option<&str>) {
        self.tried += 1;
        match (outcome, words) {
            (Ok(_), None) => {}
            (Err(said), Some(words)) if said.contains(words) => {}
            (Ok(_), Some(words)) => self.failures.push(format!("- {what}: PASSED, wanted {words:?}")),
            (Err(said), None) => self.failures.push(format!("- {what}: refused: {said}")),
            (Err(said), Some(words)) => self.failures.push(format!("- {what}: wanted {words:?}, got {said}")),
        }
    }

    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    pub fn tried(&self) -> usize {
        self.tried
    }
}

/// What was printed, or the words of the refusal.
fn said(output: &Output) -> Result<String, String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Reads a table.
pub fn table<T: DeserializeOwned>(name: &str) -> Result<T> {
    let path = format!("{TABLES}/{name}.yaml");
    serde_saphyr::from_str(&fs::read_to_string(&path)?).with_context(|| path)
}

/// Applies a JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target
                .as_object_mut()
                .into_iter()
                .for_each(|object| drop(object.remove(name)));
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !holds()? {
        ensure!(Instant::now() < deadline, "not within {} s: {what}", LIMIT.as_secs());
    }
    Ok(())
}

/// A request that only admission refuses, made by the administrator.
fn probe() -> Value {
    let mut probe = crate::requests::held();
    probe["metadata"]["name"] = "probe".into();
    probe
}
