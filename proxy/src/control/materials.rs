//! What Secrets give a door: the target's credential, the door's certificate, the binding key, keys of rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use sallyport_crds::connection::{Protocol, TlsMode};
use sallyport_crds::masking_rule::ActionType;
use sallyport_crds::reference::SecretKeyReference;
use sallyport_crds::{Reason, names};
use sallyport_policy::carrier::Carrier;
use sallyport_policy::mask::{HashKey, Keys, TokenKey};
use sallyport_runtime::tls::{self, Current};

use super::lack::Lack;
use crate::door::{Credential, Secret};

/// Key of the binding key within its Secret.
pub const BINDING_FIELD: &str = "binding";
/// Shortest binding key, in bytes.
const BINDING_MIN: usize = 32;
/// Bytes of one TLS record to a PostgreSQL client, at most. PostgreSQL writes no longer ones (its send buffer), and libpq counts on
/// that: it makes room for so many bytes and takes one record; what is left of a longer one stays in OpenSSL, where whoever waits
/// at the socket (pgbench, asynchronous callers) never learns of it.
const RECORD_MAX: usize = 8 * 1024;

/// One Secret, read. Its `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretObject {
    annotations: BTreeMap<String, String>,
    data: BTreeMap<String, Vec<u8>>,
}

/// The Secrets that could be read, by name. A name that is absent or None was not there.
pub type Secrets = BTreeMap<String, Option<Arc<SecretObject>>>;

/// Names of the Secrets that a carrier needs.
pub fn needed(carrier: &Carrier) -> BTreeSet<String> {
    let connection = &carrier.connection;
    let keys = keyed(carrier).map(|(_, reference)| reference.name.clone());
    let fixed = [
        connection.spec.credentials_ref.name.clone(),
        certificate_name(carrier),
        names::binding_key(&connection.name),
    ];
    fixed.into_iter().chain(keys).collect()
}

/// The target's credential.
///
/// # Errors
/// When the Secret is missing, lacks a key, or is not for the target's host: who may edit a Connection could otherwise send
/// any Secret of the namespace to a host of their own.
pub fn credential(carrier: &Carrier, secrets: &Secrets) -> Result<Credential, Lack> {
    let spec = &carrier.connection.spec;
    let name = &spec.credentials_ref.name;
    let secret = find(secrets, name)?;
    let hosts = secret
        .annotations
        .get(names::HOSTS_ANNOTATION)
        .map(String::as_str)
        .unwrap_or_default();
    if !hosts
        .split(',')
        .any(|host| host.trim().eq_ignore_ascii_case(&spec.target.host))
    {
        let message = format!(
            "Secret {name} may not be used for {}: name the host in its annotation {}",
            spec.target.host,
            names::HOSTS_ANNOTATION
        );
        return Err(Lack::new(Reason::HostNotPermitted, message));
    }
    let certificate = shown(carrier, secret, name)?;
    let password = match secret.field(name, "password") {
        Err(_) if certificate.is_some() => None,
        found => Some(Secret::new(found?.to_vec())),
    };
    Ok(Credential {
        username: username(secret, name)?,
        password,
        certificate,
    })
}

/// The certificate that the door shows to the target, where the credential's Secret holds one (type kubernetes.io/tls).
fn shown(carrier: &Carrier, secret: &SecretObject, name: &str) -> Result<Option<Arc<Current>>, Lack> {
    if !secret.holds("tls.crt") && !secret.holds("tls.key") {
        return Ok(None);
    }
    let tls = carrier.connection.spec.target.tls.as_ref();
    if tls.is_none_or(|tls| tls.mode == TlsMode::Disable) {
        let message = format!(
            "Secret {name} holds a certificate, which is of no use without TLS: set target.tls.mode to VerifyFull"
        );
        return Err(Lack::new(Reason::Invalid, message));
    }
    Current::from_pem(secret.field(name, "tls.crt")?, secret.field(name, "tls.key")?)
        .map(|current| Some(Arc::new(current)))
        .map_err(|error| Lack::new(Reason::Invalid, format!("Secret {name}: {error}")))
}

/// The role: what the Secret says, or else its certificate's common name, as PostgreSQL's `cert` has it.
fn username(secret: &SecretObject, name: &str) -> Result<String, Lack> {
    let named = secret
        .field(name, "tls.crt")
        .ok()
        .filter(|_| !secret.holds("username"))
        .and_then(tls::common_name);
    if let Some(named) = named {
        return Ok(named);
    }
    String::from_utf8(secret.field(name, "username")?.to_vec())
        .map_err(|_| Lack::new(Reason::SecretMissing, format!("Secret {name}: username is not text")))
}

/// The door's own TLS, with the ALPN name of the protocol.
///
/// # Errors
/// When the Secret is missing or holds no usable certificate.
pub fn tls(carrier: &Carrier, secrets: &Secrets) -> Result<Arc<rustls::ServerConfig>, Lack> {
    let name = certificate_name(carrier);
    let secret = find(secrets, &name)?;
    let unusable = |error: tls::TlsError| Lack::new(Reason::SecretMissing, format!("Secret {name}: {error}"));
    let current =
        Current::from_pem(secret.field(&name, "tls.crt")?, secret.field(&name, "tls.key")?).map_err(unusable)?;
    let alpn: &[&[u8]] = match carrier.connection.spec.protocol {
        Protocol::PostgreSQL => &[b"postgresql"],
        Protocol::Kubernetes => &[b"h2", b"http/1.1"],
        Protocol::Ssh => &[],
    };
    let mut config = tls::server_config(Arc::new(current), alpn).map_err(unusable)?;
    if carrier.connection.spec.protocol == Protocol::PostgreSQL {
        config.max_fragment_size = Some(RECORD_MAX);
    }
    Ok(Arc::new(config))
}

/// The key that binds AccessRequests to exact bytes.
///
/// # Errors
/// When the Secret is missing or the key too short.
pub fn binding_key(carrier: &Carrier, secrets: &Secrets) -> Result<hmac::Key, Lack> {
    let name = names::binding_key(&carrier.connection.name);
    let key = find(secrets, &name)?.field(&name, BINDING_FIELD)?;
    if key.len() < BINDING_MIN {
        return Err(Lack::new(
            Reason::SecretMissing,
            format!("Secret {name}: {BINDING_FIELD} must have at least {BINDING_MIN} bytes"),
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
}

/// Keys of Hash and Tokenize rules.
///
/// # Errors
/// When one is missing or of a wrong length: values would otherwise have to be passed or guessed at.
pub fn rule_keys(carrier: &Carrier, secrets: &Secrets) -> Result<Keys, Lack> {
    let mut keys = Keys::default();
    for (kind, reference) in keyed(carrier) {
        let SecretKeyReference { name, key } = reference;
        let bytes = find(secrets, name)?.field(name, key)?;
        let unfit = |length: String| {
            Lack::new(
                Reason::SecretMissing,
                format!("Secret {name}: {key} must have {length} bytes"),
            )
        };
        if kind == ActionType::Tokenize {
            let aes = || unfit("16, 24 or 32".to_owned());
            keys.token
                .insert(reference.clone(), TokenKey::new(bytes).ok_or_else(aes)?);
        } else {
            let short = || unfit(format!("at least {}", HashKey::MIN_BYTES));
            keys.hash
                .insert(reference.clone(), HashKey::new(bytes).ok_or_else(short)?);
        }
    }
    Ok(keys)
}

// === impl SecretObject ===

impl SecretObject {
    /// From its parts.
    pub fn new(annotations: BTreeMap<String, String>, data: BTreeMap<String, Vec<u8>>) -> Self {
        Self { annotations, data }
    }

    /// As the API server gives it.
    #[cfg(test)]
    pub(super) fn shown(&self) -> serde_json::Value {
        let bytes = |(key, value): (&String, &Vec<u8>)| (key.clone(), k8s_openapi::ByteString(value.clone()));
        let data: BTreeMap<_, _> = self.data.iter().map(bytes).collect();
        serde_json::json!({ "metadata": { "annotations": self.annotations }, "data": data })
    }

    fn holds(&self, key: &str) -> bool {
        self.data.get(key).is_some_and(|value| !value.is_empty())
    }

    fn field(&self, name: &str, key: &str) -> Result<&[u8], Lack> {
        let missing = || Lack::new(Reason::SecretMissing, format!("Secret {name} has no {key}"));
        self.data
            .get(key)
            .map(Vec::as_slice)
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    }
}

impl From<KubeSecret> for SecretObject {
    fn from(secret: KubeSecret) -> Self {
        let mut data: BTreeMap<_, _> = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, value.0))
            .collect();
        // The API server has merged stringData already; a file has not.
        data.extend(
            secret
                .string_data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.into_bytes())),
        );
        Self {
            annotations: secret.metadata.annotations.unwrap_or_default(),
            data,
        }
    }
}

impl fmt::Debug for SecretObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretObject")
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn find<'a>(secrets: &'a Secrets, name: &str) -> Result<&'a SecretObject, Lack> {
    let missing = || {
        Lack::new(
            Reason::SecretMissing,
            format!("Secret {name} does not exist or cannot be read"),
        )
    };
    secrets.get(name).and_then(Option::as_deref).ok_or_else(missing)
}

fn certificate_name(carrier: &Carrier) -> String {
    let connection = &carrier.connection;
    let own = || names::door_certificate(&connection.name);
    connection
        .spec
        .certificate
        .secret_ref
        .as_ref()
        .map_or_else(own, |reference| reference.name.clone())
}

/// The actions that go by a key, and where it is.
fn keyed(carrier: &Carrier) -> impl Iterator<Item = (ActionType, &SecretKeyReference)> {
    let actions = carrier.masking_rules.iter().map(|rule| &rule.spec.action);
    actions.filter_map(|action| Some((action.kind, action.key_secret_ref()?)))
}
