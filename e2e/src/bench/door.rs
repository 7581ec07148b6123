//! The release door, from manifests, with the recorder inside: one process, four Connections.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::issuer::{AUDIENCE, Issuer};
use super::process::{Background, free_address, listening};
use super::stage::{PASSWORD, ROLE};
use super::target::Target;

/// A Connection.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Durability of its sink.
    durability: &'static str,
    /// Whether detectors look at what no column rule covers.
    detectors: bool,
    /// Whether rules ask for a second person, about what no line does.
    asks: bool,
}

const ASYNC: Kind = Kind {
    name: "async",
    durability: "Async",
    detectors: false,
    asks: false,
};
const CONNECTIONS: [Kind; 4] = [
    Kind {
        name: "durable",
        durability: "BeforeExecution",
        ..ASYNC
    },
    ASYNC,
    Kind {
        name: "detectors",
        detectors: true,
        ..ASYNC
    },
    Kind {
        name: "asks",
        asks: true,
        ..ASYNC
    },
];

/// Rules that ask for a second person, where some do.
pub(super) const ASKED: u32 = 10;

/// A running door.
pub(super) struct Door {
    pub(super) process: Background,
    addresses: Vec<(&'static str, SocketAddr)>,
    state: PathBuf,
}

// === impl Door ===

impl Door {
    pub(super) fn start(directory: &Path, target: &Target, issuer: &Issuer) -> Result<Self> {
        let (manifests, state) = (directory.join("manifests"), directory.join("state"));
        fs::create_dir(&manifests)?;
        let mut objects = common(directory, target, issuer)?;
        for kind in CONNECTIONS {
            objects.extend(connection(directory, target, kind)?);
        }
        let list: Vec<String> = objects.iter().map(Value::to_string).collect();
        // JSON is YAML.
        fs::write(manifests.join("all.yaml"), list.join("\n---\n"))?;
        let mut addresses = Vec::new();
        let mut command = Command::new(program()?);
        command.arg("--manifests").arg(&manifests).arg("--state").arg(&state);
        for Kind { name, .. } in CONNECTIONS {
            let address = free_address()?;
            command.arg("--listen").arg(format!("{name}={address}"));
            addresses.push((name, address));
        }
        let log = directory.join("door.log");
        let process = Background::start(&mut command, &log)?;
        for (name, address) in &addresses {
            listening(*address, &format!("the door {name}"), &log)?;
        }
        Ok(Self {
            process,
            addresses,
            state,
        })
    }

    /// Where a Connection listens.
    pub(super) fn address(&self, name: &str) -> Result<SocketAddr> {
        let mut known = self.addresses.iter();
        let found = known.find_map(|(known, address)| (*known == name).then_some(*address));
        found.with_context(|| format!("no door {name}"))
    }

    /// The CA that clients of a Connection trust.
    pub(super) fn ca(&self, name: &str) -> PathBuf {
        self.state.join(format!("bench.{name}.ca.crt"))
    }
}

/// The door that was built beside this program.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let door = own.with_file_name("sallyport-proxy");
    anyhow::ensure!(
        door.exists(),
        "{} is missing: cargo build --release --bins",
        door.display()
    );
    Ok(door)
}

/// What all Connections share.
fn common(directory: &Path, target: &Target, issuer: &Issuer) -> Result<Vec<Value>> {
    let credential = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "target", "namespace": "bench", "annotations": {"sallyport.dev/hosts": target.host}},
        "stringData": {"username": ROLE, "password": PASSWORD},
    });
    let authentication = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": issuer.url, "audiences": [AUDIENCE],
                "certificateAuthority": fs::read_to_string(directory.join("ca.crt"))?,
            },
            "claimMappings": {
                "username": {"claim": "preferred_username", "prefix": "oidc:"},
                "groups": {"claim": "groups", "prefix": "oidc:"},
            },
        }],
    });
    Ok(vec![credential, authentication])
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "bench", "labels": {"door": name}}, "spec": spec,
    })
}

/// A Connection with its sink, masked columns, and a policy whose rules all have to be looked at.
fn connection(directory: &Path, target: &Target, kind: Kind) -> Result<Vec<Value>> {
    let name = kind.name;
    let selector = json!({"matchLabels": {"door": name}});
    let (columns, detected, policy) = (
        format!("{name}-columns"),
        format!("{name}-detected"),
        format!("{name}-policy"),
    );
    let mut rules = vec![columns.clone()];
    let masked = [
        "customers.ssn",
        "customers.card",
        "customers.iban",
        "wide.ssn",
        "wide.card",
    ];
    let masked = masked.map(|column| format!("public.{column}"));
    let mut objects = vec![
        object("AuditSink", name, sink(kind.durability)),
        object(
            "MaskingRule",
            &columns,
            json!({
                "connectionSelector": selector, "profile": "Standard", "action": {"type": "Redact"},
                "match": {"columns": masked},
            }),
        ),
        object(
            "ApprovalPolicy",
            &policy,
            json!({"connectionSelector": selector, "rules": policy_rules(kind.asks)}),
        ),
    ];
    if kind.detectors {
        rules.push(detected.clone());
        let kinds = [
            "US_SSN",
            "US_ITIN",
            "CREDIT_CARD",
            "IBAN_CODE",
            "EMAIL_ADDRESS",
            "PHONE_NUMBER",
        ];
        objects.push(object(
            "MaskingRule",
            &detected,
            json!({
                "connectionSelector": selector, "profile": "Standard", "action": {"type": "Redact"},
                "match": {"detectors": kinds},
            }),
        ));
    }
    objects.push(object(
        "Connection",
        name,
        json!({
            "protocol": "PostgreSQL",
            "target": {
                "host": target.host, "port": target.port,
                "tls": {
                    "mode": "VerifyFull", "serverName": "localhost",
                    "caBundle": {"inline": fs::read_to_string(directory.join("ca.crt"))?},
                },
            },
            "credentialsRef": {"name": "target"},
            "subjects": [{"kind": "Group", "name": "oidc:engineers"}],
            "requires": {"maskingRules": rules, "approvalPolicies": [policy]},
            "sinks": [{"name": name}],
            "identity": {"issuers": [{"name": "bench", "audience": AUDIENCE}]},
            "limits": {"maxSessions": 2200, "maxSessionsPerPerson": 2200},
        }),
    ));
    Ok(objects)
}

fn sink(durability: &str) -> Value {
    let mut spec = json!({"namespaces": ["bench"], "storage": {"size": "1Gi"}, "durability": durability});
    if durability == "Async"
        && let Some(fields) = spec.as_object_mut()
    {
        fields.insert("async".to_owned(), json!({"maxRecords": 100_000, "maxLag": "5s"}));
    }
    spec
}

fn policy_rules(asks: bool) -> Value {
    let mut rules = vec![
        json!({"name": "never-drop", "match": {"cel": "command.verbs.exists(v, v in ['drop', 'truncate', 'grant', 'revoke'])"}, "action": "Deny"}),
        json!({"name": "risky", "match": {"riskAtLeast": 80}, "action": "Deny"}),
    ];
    let asked = |table: u32| {
        json!({
            "name": format!("ask-{table}"), "action": "RequireApproval",
            "match": {"cel": format!("!command.read_only && 'public.ledger_{table}' in command.written")},
            "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}]},
        })
    };
    rules.extend((0..ASKED).filter(|_| asks).map(asked));
    rules.push(json!({"name": "everything-else", "match": {"any": true}, "action": "Allow"}));
    Value::Array(rules)
}
