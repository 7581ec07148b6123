//! Where the operator's keys are kept: one Secret in its own namespace, made at first start.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sallyport_runtime::tls::{self, TlsError};

use super::authority::{Authority, AuthorityError};
use super::rotation::{DOOR, Kind, WORKLOAD};
use super::signing::{CarrierKey, CarrierKeyError};
use super::witness::{Witness, WitnessKeyError};
use crate::shared::labels;

/// Name of the Secret.
pub const SECRET: &str = "sallyport-operator-keys";

const CARRIER_KEY: &str = "carrier.key";
const WITNESS_KEY: &str = "witness.key";

/// All keys of the operator.
#[derive(Debug)]
pub struct Keys {
    /// Signs carriers.
    pub carrier: CarrierKey,
    /// Signs the certificates by which Pods know each other and the operator.
    pub workload: Authority,
    /// Cosigns checkpoints of logs.
    pub witness: Witness,
    /// Signs the certificates that clients of doors see. Another authority, so that a door certificate opens nothing inside.
    pub door: Authority,
}

/// Why the keys are not at hand.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The API server did not answer or refused.
    #[error("the Secret {SECRET} can be neither read nor made: {0}")]
    Api(#[from] kube::Error),
    /// A key is missing from the Secret.
    #[error(
        "the Secret {SECRET} lacks the key {0}; restore it from a backup, or delete it to start over with new keys"
    )]
    Missing(&'static str),
    /// A time of a replacement cannot be read.
    #[error("the key {0} of Secret {SECRET} must be a time such as 2026-11-27T12:00:00Z")]
    Time(&'static str),
    /// What is to be trusted cannot be.
    #[error("the key {0} of Secret {SECRET} must hold a certificate in PEM: {1}")]
    Bundle(&'static str, TlsError),
    /// An authority cannot be read or made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The witness key cannot be read or made.
    #[error(transparent)]
    Witness(#[from] WitnessKeyError),
    /// The carrier key cannot be read or made.
    #[error(transparent)]
    Carrier(#[from] CarrierKeyError),
}

// === impl Keys ===

impl Keys {
    /// New keys.
    pub fn make() -> Result<Self, KeysError> {
        Ok(Self {
            carrier: CarrierKey::make()?,
            witness: Witness::make()?,
            workload: Authority::make(WORKLOAD.common_name)?,
            door: Authority::make(DOOR.common_name)?,
        })
    }

    /// The keys of this installation. Of several replicas that start at once, the first to create the Secret wins and the
    /// others take what it made.
    pub async fn load_or_make(secrets: &Api<Secret>) -> Result<Self, KeysError> {
        if let Some(secret) = secrets.get_opt(SECRET).await? {
            return Self::read(&secret);
        }
        let keys = Self::make()?;
        match secrets.create(&PostParams::default(), &keys.secret()).await {
            Ok(_) => Ok(keys),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Self::read(&secrets.get(SECRET).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys in a Secret.
    pub fn read(secret: &Secret) -> Result<Self, KeysError> {
        let data = secret.data.as_ref();
        let bytes = |key: &'static str| {
            data.and_then(|data| data.get(key))
                .map(|value| value.0.as_slice())
                .ok_or(KeysError::Missing(key))
        };
        Ok(Self {
            carrier: CarrierKey::load(bytes(CARRIER_KEY)?)?,
            witness: Witness::load(bytes(WITNESS_KEY)?)?,
            workload: authority(secret, &WORKLOAD)?,
            door: authority(secret, &DOOR)?,
        })
    }

    pub(crate) fn secret(&self) -> Secret {
        let data = [
            (CARRIER_KEY, self.carrier.pkcs8()),
            (WITNESS_KEY, self.witness.pkcs8()),
            (WORKLOAD.certificate, self.workload.certificate().as_bytes()),
            (WORKLOAD.key, self.workload.key_pem().as_bytes()),
            (DOOR.certificate, self.door.certificate().as_bytes()),
            (DOOR.key, self.door.key_pem().as_bytes()),
        ];
        Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                labels: Some(labels::operator()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(
                data.map(|(key, value)| (key.to_owned(), ByteString(value.to_vec())))
                    .into_iter()
                    .collect::<BTreeMap<_, _>>(),
            ),
            ..Secret::default()
        }
    }
}

/// An authority with whom it is trusted together while it is replaced.
fn authority(secret: &Secret, kind: &Kind) -> Result<Authority, KeysError> {
    let text = |key: &str| {
        let value = secret.data.as_ref()?.get(key)?;
        Some(String::from_utf8_lossy(&value.0).into_owned())
    };
    let needed = |key: &'static str| text(key).ok_or(KeysError::Missing(key));
    let (old, next) = (text(kind.old), text(kind.next));
    for (key, pem) in [(kind.old, &old), (kind.next, &next)] {
        // One that cannot be read would take the trust in the others with it.
        if let Some(pem) = pem {
            tls::roots(pem.as_bytes()).map_err(|error| KeysError::Bundle(key, error))?;
        }
    }
    let signing = Authority::load(needed(kind.certificate)?, needed(kind.key)?)?;
    Ok(match (&old, &next) {
        (None, None) => signing,
        _ => signing.between(old.as_deref(), next.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_again() {
        let made = Keys::make().unwrap();
        let read = Keys::read(&made.secret()).unwrap();
        assert_eq!(made.carrier.public_base64(), read.carrier.public_base64());
        assert_eq!(made.workload.bundle(), read.workload.bundle());
        assert_ne!(made.workload.bundle(), made.door.bundle());
    }

    #[test]
    fn a_lost_key_is_named_and_never_replaced_in_silence() {
        let mut secret = Keys::make().unwrap().secret();
        secret.data.as_mut().unwrap().remove(DOOR.key);
        let error = Keys::read(&secret).unwrap_err().to_string();
        assert!(error.contains(DOOR.key), "{error}");
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let shown = format!("{:?}", Keys::make().unwrap());
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }
}
