//! An installation: the API server with `config/default`, the namespaces, what users bring, and operators that run.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_e2e_apiserver::ApiServer;
use serde_json::Value;

/// How long anything may take before the test fails, unless a scene is about much.
pub const LIMIT: Duration = Duration::from_secs(120);

pub const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");

const AUTHENTICATION: &str = r#"
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: {url: "https://keycloak.example/realms/bank", audiences: [kubernetes]}
    claimMappings:
      username: {claim: preferred_username, prefix: "oidc:"}
      groups: {claim: groups, prefix: "oidc:"}
      uid: {claim: sub}
"#;
const NAMES: &str = r#"
issuers:
  - {name: keycloak, url: "https://keycloak.example/realms/bank", audiences: [sallyport]}
"#;
/// What users bring beside the samples.
const BROUGHT: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: bank-credentials, namespace: doors, annotations: {sallyport.dev/hosts: postgres.bank.svc}}
stringData: {username: sallyport, password: not-a-password}
---
apiVersion: v1
kind: Secret
metadata: {name: hash-key, namespace: doors}
stringData: {key: 0123456789abcdef0123456789abcdef}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bank-ca, namespace: doors}
data: {ca.crt: "-----BEGIN CERTIFICATE-----\n"}
"#;

/// An operator that runs.
pub struct Operator {
    child: Child,
    admin: u16,
    log: PathBuf,
}

/// The installation.
pub struct Stage {
    pub server: ApiServer,
    pub operators: Vec<Operator>,
    directory: tempfile::TempDir,
}

// === impl Stage ===

impl Stage {
    /// Everything but an operator.
    pub fn open() -> Result<Self> {
        let server = ApiServer::with_controllers(&["garbage-collector-controller", "namespace-controller"])?;
        let stage = Self {
            server,
            operators: Vec::new(),
            directory: tempfile::tempdir()?,
        };
        stage.kubectl(&["apply", "--server-side", "-k", &format!("{CONFIG}/crd")])?;
        stage.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=120s"])?;
        stage.kubectl(&["apply", "--server-side", "-k", &format!("{CONFIG}/default")])?;
        stage.furnish()?;
        fs::write(stage.path("authentication.yaml"), AUTHENTICATION)?;
        fs::write(stage.path("names.yaml"), NAMES)?;
        let token = stage.kubectl(&["-n", "sallyport-system", "create", "token", "sallyport-operator"])?;
        let admin = fs::read_to_string(stage.server.kubeconfig())?;
        let (head, rest) = admin.split_once("token: \"").context("the kubeconfig has no token")?;
        let (_, tail) = rest.split_once('"').context("the token does not end")?;
        fs::write(
            stage.path("kubeconfig"),
            format!("{head}token: \"{}\"{tail}", token.trim()),
        )?;
        Ok(stage)
    }

    /// The namespaces, opted in, and what users bring there beside the samples. An API server refuses what is in a namespace that it has
    /// not yet seen go, and ConfigMaps until it has read the Connections by which it judges them: both for a moment.
    pub fn furnish(&self) -> Result<()> {
        let namespaces = ["apply", "--server-side", "-k", &format!("{CONFIG}/namespace")];
        self.until_taken("the namespaces", &["because it is being terminated"], || {
            self.kubectl(&namespaces).map(drop)
        })?;
        let brought = with_authorities(BROUGHT)?;
        let words = ["not yet synced to use for admission"];
        self.until_taken("what users bring", &words, || self.apply(&brought))
    }

    /// Waits until the API server takes something, which it refuses in one of these words as long as it has not heard of all that it
    /// goes by.
    pub fn until_taken(&self, what: &str, words: &[&str], give: impl Fn() -> Result<()>) -> Result<()> {
        self.until(&format!("{what} is taken"), || match give() {
            Ok(()) => Ok(true),
            Err(refused) if words.iter().any(|words| refused.to_string().contains(words)) => Ok(false),
            Err(refused) => Err(refused),
        })
    }

    /// Starts an operator, under the operator's own ServiceAccount.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let (admin, api) = (free_port()?, free_port()?);
        let log = self.path(&format!("{name}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_sallyport-operator"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .args(["--pod-name", name, "--image", "localhost/sallyport:dev"])
            .arg("--issuers")
            .arg(self.directory.path())
            .args(["--api-address", &format!("127.0.0.1:{api}")])
            .args(["--admin-address", &format!("127.0.0.1:{admin}")])
            .stdout(Stdio::from(fs::File::create(&log)?))
            .stderr(Stdio::inherit())
            .spawn()
            .context("the operator cannot be started")?;
        self.operators.push(Operator { child, admin, log });
        Ok(())
    }

    /// The operator that was started last.
    pub fn operator(&self) -> Result<&Operator> {
        self.operators.last().context("no operator runs")
    }

    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.server.admin(arguments, "")
    }

    /// Waits until the operator that was started last leads; one that has ended never does.
    pub fn until_leading(&self, what: &str) -> Result<()> {
        let operator = self.operator()?;
        self.until(what, || Ok(operator.metric("sallyport_operator_leader")? == Some(1.0)))
    }

    pub fn apply(&self, manifest: &str) -> Result<()> {
        self.server
            .admin(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifest)?;
        Ok(())
    }

    /// The samples, with as many replicas of the bank's door as a scene wants.
    pub fn samples(&self, replicas: u32) -> Result<String> {
        let samples = self.kubectl(&["kustomize", &format!("{CONFIG}/samples")])?;
        Ok(samples.replace("replicas: 2", &format!("replicas: {replicas}")))
    }

    /// One object by kind and name, or all of some kinds.
    pub fn get(&self, namespace: &str, what: &str) -> Result<Value> {
        let found = match path(namespace, what) {
            Some(path) => self
                .server
                .read(&path)?
                .with_context(|| format!("{what} is not there"))?,
            None => self.kubectl(&["-n", namespace, "get", what, "-o", "json"])?,
        };
        let mut found: Value = serde_json::from_str(&found)?;
        // As kubectl shows it.
        if let Some(metadata) = found["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        Ok(found)
    }

    pub fn exists(&self, namespace: &str, what: &str) -> Result<bool> {
        if let Some(path) = path(namespace, what) {
            return Ok(self.server.read(&path)?.is_some());
        }
        let found = self.kubectl(&["-n", namespace, "get", what, "--ignore-not-found", "-o", "name"])?;
        Ok(!found.trim().is_empty())
    }

    /// Status and reason of a condition, once it speaks of the present generation.
    pub fn condition(&self, namespace: &str, what: &str, kind: &str) -> Result<Option<(String, String)>> {
        let object = self.get(namespace, what)?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions
            .iter()
            .find(|one| one["type"] == kind && one["observedGeneration"] == object["metadata"]["generation"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(found.map(|one| (text(&one["status"]), text(&one["reason"]))))
    }

    /// Waits until a condition has this status and reason.
    pub fn until_condition(&self, namespace: &str, what: &str, kind: &str, status: &str, reason: &str) -> Result<()> {
        let mut last = None;
        let outcome = self.until(&format!("{what}: {kind}={status}, {reason}"), || {
            last = self.condition(namespace, what, kind)?;
            Ok(last.as_ref().is_some_and(|(is, why)| is == status && why == reason))
        });
        outcome.with_context(|| format!("last seen: {last:?}"))
    }

    /// Waits until something holds; on failure the operators' logs are told.
    pub fn until(&self, what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
        self.until_within(LIMIT, what, holds)
    }

    /// As [`Stage::until`], with another limit.
    pub fn until_within(&self, limit: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !holds()? {
            if Instant::now() >= deadline {
                for operator in &self.operators {
                    eprintln!("{}", fs::read_to_string(&operator.log).unwrap_or_default());
                }
                bail!("not within {} s: {what}", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// A file beside the issuers' configuration.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

// === impl Operator ===

impl Operator {
    /// One metric with its labels, as Prometheus would read it; None where it is not there.
    pub fn metric(&self, name: &str) -> Result<Option<f64>> {
        let output = Command::new("curl")
            .args([
                "-s",
                "--max-time",
                "30",
                &format!("http://127.0.0.1:{}/metrics", self.admin),
            ])
            .output()
            .context("curl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Ok(value)
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }

    /// Ends it as the kubelet would, and waits.
    pub fn end(&mut self) -> Result<()> {
        self.signal("-TERM")?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, which: &str) -> Result<()> {
        let id = self.child.id().to_string();
        ensure!(
            Command::new("kill").args([which, &id]).status()?.success(),
            "kill {which}"
        );
        Ok(())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends it without a word.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the API has one object of a kind that scenes ask for again and again; None for anything else.
fn path(namespace: &str, what: &str) -> Option<String> {
    let (kind, name) = what.split_once('/')?;
    let group = match kind {
        "connection" | "maskingrule" | "approvalpolicy" | "auditsink" | "accessrequest" => {
            "apis/sallyport.dev/v1alpha1"
        }
        "deployment" | "statefulset" => "apis/apps/v1",
        "service" | "serviceaccount" | "configmap" | "secret" => "api/v1",
        "role" | "rolebinding" => "apis/rbac.authorization.k8s.io/v1",
        "networkpolicy" => "apis/networking.k8s.io/v1",
        "poddisruptionbudget" => "apis/policy/v1",
        _ => return None,
    };
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    Some(format!("/{group}/namespaces/{namespace}/{plural}/{name}"))
}

/// A bundle must be PEM that can be read: a certificate of nobody's.
fn with_authorities(manifest: &str) -> Result<String> {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-keyout", "/dev/null", "-subj", "/CN=bank", "-days", "30"])
        .output()
        .context("openssl")?;
    ensure!(output.status.success(), "openssl made no certificate");
    let pem = String::from_utf8(output.stdout)?.replace('\n', "\\n");
    Ok(manifest.replace("-----BEGIN CERTIFICATE-----\\n", &pem))
}

/// A port that nobody listens on at this moment, below those that whoever dials is given: kubectl takes none of them.
fn free_port() -> Result<u16> {
    loop {
        let chance = RandomState::new().build_hasher().finish() % 20_000;
        let port = 12_000 + u16::try_from(chance)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}
