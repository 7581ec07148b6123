//! An issuer's keys: cached, rotating, fetched again when a token names one that is not known.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use sallyport_policy::issuer::Issuer;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Refused;
use super::fetch::{KeySet, Source};

/// Keys in one set; more is no key set but an attempt to make every login slow.
const MAX_KEYS: usize = 64;

/// How often an issuer is asked, and how long its last answer serves.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Keys are fetched anew this often, so that a key that the issuer withdrew does not serve for long.
    pub refresh: Duration,
    /// A token with an unknown key, or a failure, lets the issuer be asked again at most this often: whoever sends
    /// invented key ids must not be able to make us flood the provider.
    pub at_most: Duration,
    /// Keys older than this no longer serve: an issuer that is away for longer lets nobody in.
    pub stale: Duration,
}

/// The keys of one issuer.
pub(super) struct Keys {
    source: Source,
    pace: Pace,
    runtime: Handle,
    known: ArcSwapOption<Known>,
    /// When the issuer was last asked, and by the lock, that only one asks at a time.
    asked: Mutex<Option<Instant>>,
}

struct Known {
    keys: Vec<Key>,
    at: Instant,
}

struct Key {
    kid: Option<String>,
    kind: Kind,
    /// The only algorithm that the key is for, where the set says so.
    only: Option<String>,
    key: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            at_most: Duration::from_secs(10),
            stale: Duration::from_secs(3_600),
        }
    }
}

// === impl Keys ===

impl Keys {
    /// Knows nothing yet; fetches in the background on `runtime` from now on until dropped.
    pub(super) fn start(issuer: &Issuer, pace: Pace, runtime: &Handle) -> Arc<Self> {
        let keys = Arc::new(Self {
            source: Source::new(issuer),
            pace,
            runtime: runtime.clone(),
            known: ArcSwapOption::empty(),
            asked: Mutex::new(None),
        });
        runtime.spawn(follow(Arc::downgrade(&keys), pace, issuer.name.clone()));
        keys
    }

    /// The keys that may have signed a token with this key id and algorithm; asks the issuer where none is known.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Refused> {
        if let Some(found) = self.look(kid, algorithm) {
            return Ok(found);
        }
        let this = Arc::clone(self);
        // On the control plane's runtime, and not ended when the session that caused it goes: the next one profits.
        let asked = self
            .runtime
            .spawn(async move { this.ask().await })
            .await
            .unwrap_or(Err(Refused::Busy));
        match (self.look(kid, algorithm), asked) {
            (Some(found), _) => Ok(found),
            (None, Err(away)) => Err(away),
            (None, Ok(())) => Err(Refused::UnknownKey),
        }
    }

    /// Whether keys are known that may serve; for readiness.
    pub(super) fn usable(&self) -> bool {
        self.known
            .load()
            .as_ref()
            .is_some_and(|known| known.at.elapsed() <= self.pace.stale)
    }

    fn look(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Vec<DecodingKey>> {
        let known = self.known.load();
        let known = known.as_ref().filter(|known| known.at.elapsed() <= self.pace.stale)?;
        let found: Vec<_> = known
            .keys
            .iter()
            .filter(|key| key.fits(kid, algorithm))
            .map(|key| key.key.clone())
            .collect();
        (!found.is_empty()).then_some(found)
    }

    async fn ask(&self) -> Result<(), Refused> {
        let mut asked = self.asked.lock().await;
        // Whoever waited for the lock profits from the answer that another one fetched.
        if asked.is_some_and(|at| at.elapsed() < self.pace.at_most) {
            return if self.usable() {
                Ok(())
            } else {
                Err(Refused::KeysUnavailable("it was asked a moment ago and gave none"))
            };
        }
        let answer = self.source.keys().await;
        *asked = Some(Instant::now());
        match answer {
            Ok(set) => {
                self.known.store(Some(Arc::new(Known {
                    keys: read(set),
                    at: Instant::now(),
                })));
                Ok(())
            }
            Err(error) if self.usable() => {
                tracing::warn!(%error, "issuer's keys could not be fetched; those known still serve");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "issuer's keys could not be fetched");
                Err(Refused::KeysUnavailable(error.text()))
            }
        }
    }
}

/// Fetches until nobody needs the keys any more. Failures are tried again at the pace of `at_most`, at most every second.
async fn follow(keys: Weak<Keys>, pace: Pace, name: String) {
    loop {
        let Some(alive) = keys.upgrade() else { return };
        let was = alive.usable();
        let answer = alive.ask().await;
        if answer.is_ok() && !was {
            tracing::info!(issuer = %name, "keys of the issuer are known");
        }
        drop(alive);
        let pause = if answer.is_ok() {
            pace.refresh
        } else {
            pace.at_most.max(Duration::from_secs(1))
        };
        tokio::time::sleep(pause).await;
    }
}

// === impl Key ===

impl Key {
    /// Reads one key; `None` for what can verify no signature that we take.
    fn read(value: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if jwk
            .common
            .public_key_use
            .as_ref()
            .is_some_and(|usage| *usage != PublicKeyUse::Signature)
        {
            return None;
        }
        let kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Kind::Rsa,
            AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
                EllipticCurve::P256 => Kind::P256,
                EllipticCurve::P384 => Kind::P384,
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
            // A symmetric key in a public set would let everybody mint.
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self {
            kid: jwk.common.key_id,
            kind,
            only: jwk.common.key_algorithm.map(|only| only.to_string()),
            key,
        })
    }

    /// By id **and** kind: an id says nothing about which algorithm a key may be used with. A token without an id may have
    /// been signed by any key of the kind.
    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Kind::Rsa,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Kind::Rsa,
            Algorithm::ES256 => Kind::P256,
            Algorithm::ES384 => Kind::P384,
            Algorithm::EdDSA => Kind::Ed25519,
            _ => return false,
        };
        kind == self.kind
            && self.only.as_ref().is_none_or(|only| *only == format!("{algorithm:?}"))
            && kid.is_none_or(|kid| self.kid.as_deref() == Some(kid))
    }
}

fn read(set: KeySet) -> Vec<Key> {
    set.keys.into_iter().take(MAX_KEYS).filter_map(Key::read).collect()
}
