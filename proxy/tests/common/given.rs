//! What a door in this process enforces.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use sallyport_crds::reference::SecretKeyReference;
use sallyport_policy::Policy;
use sallyport_policy::carrier::Carrier;
use sallyport_policy::columns::ByRule;
use sallyport_policy::mask::{HashKey, Keys};
use sallyport_proxy::door::{Credential, Open, Rules, Secret, TargetTrust};
use serde_json::{Value, json};

use super::door::bank;
use super::postgres::{PASSWORD, Postgres, ROLE};

/// Masking rules and approval policies as they stand in manifests: name and spec.
#[derive(Clone)]
pub struct Given {
    /// MaskingRules.
    pub masks: Vec<(&'static str, Value)>,
    /// ApprovalPolicies.
    pub policies: Vec<(&'static str, Value)>,
    /// Changes to the Connection's spec.
    pub connection: Value,
    /// Whether the sink wants command texts masked.
    pub masked_records: bool,
    /// Columns that stay protected, by database.
    pub columns: BTreeMap<String, ByRule>,
    /// Keys of MaskingRules.
    pub keys: Keys,
    /// The role at the target.
    pub role: String,
}

impl Given {
    /// Everything is allowed, nothing masked.
    pub fn open() -> Self {
        let rules = json!([{"name": "all", "match": {"any": true}, "action": "Allow"}]);
        Self {
            masks: Vec::new(),
            policies: vec![("all", json!({"rules": rules}))],
            connection: json!({}),
            masked_records: false,
            columns: BTreeMap::new(),
            keys: Keys::default(),
            role: ROLE.to_owned(),
        }
    }

    /// The rules that the leak cases name: two columns, two detectors, everything allowed.
    pub fn cases() -> Self {
        Self::cases_under("Standard")
    }

    /// The same with another profile for the columns. `bob` sees everything.
    pub fn cases_under(profile: &str) -> Self {
        let exempt = json!([{"kind": "Group", "name": "oidc:dba"}]);
        let columns = json!({"columns": ["public.customers.ssn", "public.customers.ssn_num"]});
        let detectors = json!({"detectors": ["US_SSN", "CREDIT_CARD"]});
        Self::open()
            .mask(
                "columns",
                json!({"match": columns, "profile": profile, "exemptSubjects": exempt}),
            )
            .mask("detectors", json!({"match": detectors, "exemptSubjects": exempt}))
    }

    /// Columns of two tables that are shown as hashes under one key and may be compared, one under another key, and one that
    /// is redacted; all under Strict. `bob` sees everything.
    pub fn cases_of_equality() -> Self {
        let exempt = json!([{"kind": "Group", "name": "oidc:dba"}]);
        let strict = |columns: &[&str], action: Value, equality: bool| {
            json!({"match": {"columns": columns}, "profile": "Strict", "action": action, "allowEquality": equality,
                "exemptSubjects": exempt})
        };
        let hash = |key: &str| json!({"type": "Hash", "hash": {"keySecretRef": {"name": "hash-key", "key": key}, "length": 32}});
        let own = ["public.customers.ssn", "public.ledger.ssn", "public.ledger.ssn_num"];
        let mut given = Self::open()
            .mask("hashed", strict(&own, hash("own"), true))
            .mask(
                "hashed-otherwise",
                strict(&["public.customers.ssn_num"], hash("another"), true),
            )
            .mask(
                "redacted",
                strict(&["public.customers.card"], json!({"type": "Redact"}), false),
            );
        let key = |key: &str, byte: u8| {
            let name = "hash-key".to_owned();
            let at = SecretKeyReference { name, key: key.into() };
            (at, HashKey::new(&[byte; 32]).unwrap())
        };
        given.keys.hash = [key("own", 1), key("another", 2)].into();
        given
    }

    /// Adds a MaskingRule that redacts, if it says nothing else.
    #[must_use]
    pub fn mask(mut self, name: &'static str, spec: Value) -> Self {
        let base = json!({"profile": "Standard", "action": {"type": "Redact"}});
        self.masks.push((name, merged(base, spec)));
        self
    }

    /// Puts one ApprovalPolicy in the place of all.
    #[must_use]
    pub fn policy(mut self, rules: Value) -> Self {
        self.policies = vec![("changes", json!({"rules": rules}))];
        self
    }

    /// Changes the Connection's spec.
    #[must_use]
    pub fn connection(mut self, spec: Value) -> Self {
        self.connection = merged(self.connection, spec);
        self
    }

    /// The carrier.
    pub fn carrier(&self, revision: u64, port: u16) -> Carrier {
        let selector = json!({"matchLabels": {"data": "customer"}});
        let rule = |index: usize, name: &str, spec: &Value| {
            let spec = merged(json!({"connectionSelector": selector}), spec.clone());
            json!({"name": name, "uid": format!("uid-{index}-{name}"), "generation": 1, "spec": spec})
        };
        let masks: Vec<Value> = self
            .masks
            .iter()
            .enumerate()
            .map(|(i, (name, spec))| rule(i, name, spec))
            .collect();
        let policies: Vec<Value> = self
            .policies
            .iter()
            .enumerate()
            .map(|(i, (name, spec))| rule(i, name, spec))
            .collect();
        let spec = json!({
            "protocol": "PostgreSQL",
            "target": {"host": "127.0.0.1", "port": port, "tls": {"mode": "VerifyFull", "serverName": "localhost"}},
            "credentialsRef": {"name": "target"},
            "subjects": [{"kind": "Group", "name": "oidc:engineers"}, {"kind": "Group", "name": "oidc:dba"}],
            "requires": {"none": true},
            "sinks": [{"name": "evidence"}],
            "identity": {"issuers": [{"name": "test"}]},
        });
        let carrier = json!({
            "format": 1,
            "revision": revision,
            "connection": {"namespace": "doors", "name": "bank", "uid": "uid-bank", "generation": 1,
                "labels": {"data": "customer"}, "spec": merged(spec, self.connection.clone())},
            "maskingRules": masks,
            "approvalPolicies": policies,
            "sinks": [],
            "issuers": [],
            "settings": {},
            "columns": self.columns,
        });
        serde_json::from_value(carrier).unwrap()
    }

    /// What a door enforces under these rules.
    pub fn rules(&self, revision: u64, server: &Postgres) -> Rules {
        self.rules_at(revision, server.port, &server.ca)
    }

    /// The same for a server that another process started: its port and CA.
    pub fn rules_at(&self, revision: u64, port: u16, ca: &str) -> Rules {
        let carrier = self.carrier(revision, port);
        let policy = Policy::with_keys(&carrier, self.keys.clone()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
            .unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"binding key of this test, 32 byte");
        Rules::Open(Arc::new(Open {
            revision,
            connection: bank(),
            spec: carrier.connection.spec,
            policy: Arc::new(policy),
            mask_command_text: self.masked_records,
            credential: Some(Arc::new(Credential {
                username: self.role.clone(),
                password: Some(Secret::new(PASSWORD.into())),
                certificate: None,
            })),
            trust: Some(TargetTrust {
                config: Arc::new(config),
                server_name: ServerName::try_from("localhost").unwrap(),
            }),
            denied_networks: Arc::new([]),
            binding_key: Arc::new(key),
        }))
    }
}

fn merged(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        for (key, value) in over {
            base.insert(key, value);
        }
    }
    base
}
