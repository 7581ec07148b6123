//! Secrets of users: that they are there, may be sent to the target, and hold what the Connection and its rules need.

use k8s_openapi::api::core::v1::Secret;
use sallyport_crds::masking_rule::ActionType;
use sallyport_crds::{ConnectionSpec, Reason, names};
use sallyport_policy::carrier::Carrier;
use sallyport_policy::mask::{HashKey, TokenKey};
use sallyport_policy::problem::{ObjectKind, Problem};

use super::problem;
use crate::connection::dereference::Found;

/// What the door shows the target, as far as it must be there.
pub(super) fn credentials(found: &Found, spec: &ConnectionSpec) -> Option<Problem> {
    missing(found, "spec.credentialsRef", &spec.credentials_ref.name, |secret| {
        // A certificate needs no password, and names the role itself unless the Secret does.
        let needed = match value(secret, "tls.crt").or(value(secret, "tls.key")) {
            None => ["username", "password"],
            Some(_) => ["tls.crt", "tls.key"],
        };
        needed
            .into_iter()
            .find(|key| value(secret, key).is_none_or(<[u8]>::is_empty))
    })
}

/// Whoever may edit a Connection could else send any Secret of the namespace to a host of their own.
pub(super) fn host_permitted(found: &Found, spec: &ConnectionSpec) -> Option<Problem> {
    let name = &spec.credentials_ref.name;
    let annotations = found.secrets.get(name)?.metadata.annotations.as_ref();
    let hosts = annotations
        .and_then(|annotations| annotations.get(names::HOSTS_ANNOTATION))
        .map(String::as_str)
        .unwrap_or_default();
    if hosts
        .split(',')
        .any(|host| host.trim().eq_ignore_ascii_case(&spec.target.host))
    {
        return None;
    }
    let message = format!(
        "Secret {name} does not name {} in its annotation {}",
        spec.target.host,
        names::HOSTS_ANNOTATION
    );
    Some(problem(found, "spec.target.host", Reason::HostNotPermitted, message))
}

/// The Secrets with the keys of the rules in a carrier.
pub(super) fn key_secrets(carrier: &Carrier) -> Vec<String> {
    let keys = carrier.masking_rules.iter();
    keys.filter_map(|rule| Some(rule.spec.action.key_secret_ref()?.name.clone()))
        .collect()
}

/// The keys of the rules that apply.
pub(super) fn rule_keys(found: &Found, carrier: &Carrier) -> Vec<Problem> {
    let keys = carrier
        .masking_rules
        .iter()
        .filter_map(|rule| Some((rule, rule.spec.action.kind, rule.spec.action.key_secret_ref()?)));
    keys.filter_map(|(rule, kind, key)| {
        let length = found
            .secrets
            .get(&key.name)
            .and_then(|secret| value(secret, &key.key))
            .map(<[u8]>::len);
        let message = match (length, kind) {
            (None, _) => format!("Secret {} with the key {} does not exist", key.name, key.key),
            (Some(length), ActionType::Tokenize) if !TokenKey::BYTES.contains(&length) => format!(
                "the key {} of Secret {} has {length} bytes: a key of AES has 16, 24 or 32",
                key.key, key.name
            ),
            (Some(length), ActionType::Hash) if length < HashKey::MIN_BYTES => format!(
                "the key {} of Secret {} is shorter than {} bytes",
                key.key,
                key.name,
                HashKey::MIN_BYTES
            ),
            _ => return None,
        };
        let field = match kind {
            ActionType::Tokenize => "spec.action.tokenize.keySecretRef",
            _ => "spec.action.hash.keySecretRef",
        };
        Some(Problem::new(
            ObjectKind::MaskingRule,
            &rule.name,
            field,
            Reason::SecretMissing,
            message,
        ))
    })
    .collect()
}

/// What is missing: a Secret that a Connection names, or in it the key that `lacking` finds.
pub(super) fn missing(
    found: &Found,
    field: &str,
    name: &str,
    lacking: impl Fn(&Secret) -> Option<&'static str>,
) -> Option<Problem> {
    let message = match found.secrets.get(name) {
        None => format!("Secret {name} does not exist"),
        Some(secret) => format!("Secret {name} lacks the key {}", lacking(secret)?),
    };
    Some(problem(found, field, Reason::SecretMissing, message))
}

/// What a Secret holds under a key.
pub(super) fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    Some(secret.data.as_ref()?.get(key)?.0.as_slice())
}
