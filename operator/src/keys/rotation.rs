//! Replacing the authorities without anybody being refused: the next one is trusted before it signs, the last one for as long
//! as what it has signed.
//!
//! All of it stands in the operator's Secret, so that whichever process leads goes on where another stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, end};
use super::store::{KeysError, SECRET};

/// Whoever wants an authority replaced names it here, on the Secret: `workload`, `door`, or both with a comma.
pub const ROTATE_ANNOTATION: &str = "sallyport.dev/rotate";

const DAY: i64 = 24 * 3_600;
/// An authority with less than this left is replaced by itself.
const ENDS_SOON: i64 = 365 * DAY;
/// What is due is looked for this often.
const LOOK: Duration = Duration::from_secs(60);

/// One of the authorities: its names in the Secret, and how long its replacement takes, in seconds.
#[derive(Debug)]
pub struct Kind {
    name: &'static str,
    /// What its certificates are called.
    pub common_name: &'static str,
    /// The one that signs.
    pub certificate: &'static str,
    /// Its key.
    pub key: &'static str,
    /// The one that will.
    pub next: &'static str,
    next_key: &'static str,
    /// When it begins to.
    next_from: &'static str,
    /// The one that did.
    pub old: &'static str,
    /// Until when it is trusted.
    old_until: &'static str,
    /// The next one is trusted for so long before it signs.
    before: i64,
    /// The old one is trusted for so long after it has signed its last.
    after: i64,
}

/// Signs what Pods and operator know each other by. Those certificates live six hours, and with each comes the bundle.
pub const WORKLOAD: Kind = Kind {
    name: "workload",
    common_name: "Sallyport workloads",
    certificate: "workload-ca.crt",
    key: "workload-ca.key",
    next: "workload-ca-next.crt",
    next_key: "workload-ca-next.key",
    next_from: "workload-ca-next.from",
    old: "workload-ca-old.crt",
    old_until: "workload-ca-old.until",
    before: DAY,
    after: DAY,
};

/// Signs what clients know doors by. Clients keep its bundle in files of their own, and need time to fetch the next one.
pub const DOOR: Kind = Kind {
    name: "door",
    common_name: "Sallyport doors",
    certificate: "door-ca.crt",
    key: "door-ca.key",
    next: "door-ca-next.crt",
    next_key: "door-ca-next.key",
    next_from: "door-ca-next.from",
    old: "door-ca-old.crt",
    old_until: "door-ca-old.until",
    before: 30 * DAY,
    after: DAY,
};

type Data = BTreeMap<String, ByteString>;

/// Does what is due at this moment, at most one step of each authority; says what, in words.
///
/// # Errors
/// When the Secret does not say when, or lacks a part.
pub fn turn(secret: &mut Secret, now: Timestamp) -> Result<Vec<String>, KeysError> {
    let mut done = Vec::new();
    for kind in [&WORKLOAD, &DOOR] {
        if let Some(what) = kind.step(secret, now)? {
            done.push(format!("{} authority: {what}", kind.name));
        }
    }
    Ok(done)
}

/// Does what is due in the Secret that is stored; gives it as it is then, and whether anything was done.
///
/// # Errors
/// As [`turn`], and when the API server refuses or somebody else wrote meanwhile.
pub async fn advance(secrets: &Api<Secret>, now: Timestamp) -> Result<(Secret, bool), KeysError> {
    let mut secret = secrets.get(SECRET).await?;
    let done = turn(&mut secret, now)?;
    if done.is_empty() {
        return Ok((secret, false));
    }
    let written = secrets.replace(SECRET, &PostParams::default(), &secret).await?;
    for what in done {
        tracing::info!("{what}");
    }
    Ok((written, true))
}

/// Does what is due until `end`, and then ends the process by `end`: everything in it was made with the authorities of its
/// beginning.
pub async fn follow(secrets: Api<Secret>, end: CancellationToken) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match advance(&secrets, Timestamp::now()).await {
            Ok((_, false)) => {}
            Ok((_, true)) => {
                tracing::info!("starting over with other authorities");
                return end.cancel();
            }
            Err(error) => tracing::warn!(%error, "authorities cannot be replaced"),
        }
    }
}

// === impl Kind ===

impl Kind {
    fn step(&self, secret: &mut Secret, now: Timestamp) -> Result<Option<String>, KeysError> {
        let asked = self.is_asked(secret);
        let data = secret.data.get_or_insert_default();
        if let Some(until) = time(data, self.old_until)? {
            return Ok((until <= now).then(|| {
                data.remove(self.old);
                data.remove(self.old_until);
                "the old one is no longer trusted".to_owned()
            }));
        }
        if let Some(from) = time(data, self.next_from)? {
            return if from <= now {
                self.promote(data, now).map(Some)
            } else {
                Ok(None)
            };
        }
        let certificate = data.get(self.certificate).ok_or(KeysError::Missing(self.certificate))?;
        let ends_soon = end(&certificate.0).is_some_and(|end| end.as_second() - now.as_second() < ENDS_SOON);
        if !asked && !ends_soon {
            return Ok(None);
        }
        let from = later(now, self.before);
        let next = Authority::make(self.common_name)?;
        put(data, self.next, next.certificate());
        put(data, self.next_key, next.key_pem());
        put(data, self.next_from, &from.to_string());
        self.was_asked(secret);
        Ok(Some(format!("the next one is trusted, and signs from {from}")))
    }

    fn promote(&self, data: &mut Data, now: Timestamp) -> Result<String, KeysError> {
        let mut take = |name: &'static str| data.remove(name).ok_or(KeysError::Missing(name));
        let (next, next_key) = (take(self.next)?, take(self.next_key)?);
        let old = take(self.certificate)?;
        data.remove(self.next_from);
        data.insert(self.certificate.to_owned(), next);
        data.insert(self.key.to_owned(), next_key);
        data.insert(self.old.to_owned(), old);
        let until = later(now, self.after);
        put(data, self.old_until, &until.to_string());
        Ok(format!("the next one signs; the old one is trusted until {until}"))
    }

    fn is_asked(&self, secret: &Secret) -> bool {
        let annotations = secret.metadata.annotations.as_ref();
        let asked = annotations.and_then(|annotations| annotations.get(ROTATE_ANNOTATION));
        asked.is_some_and(|asked| asked.split(',').any(|name| name.trim() == self.name))
    }

    /// Takes this authority off the annotation: what was asked for is done once.
    fn was_asked(&self, secret: &mut Secret) {
        let Some(annotations) = &mut secret.metadata.annotations else {
            return;
        };
        let Some(asked) = annotations.remove(ROTATE_ANNOTATION) else {
            return;
        };
        let others: Vec<&str> = asked.split(',').filter(|name| name.trim() != self.name).collect();
        if !others.is_empty() {
            annotations.insert(ROTATE_ANNOTATION.to_owned(), others.join(","));
        }
    }
}

fn put(data: &mut Data, name: &str, value: &str) {
    data.insert(name.to_owned(), ByteString(value.as_bytes().to_vec()));
}

fn time(data: &Data, name: &'static str) -> Result<Option<Timestamp>, KeysError> {
    let Some(value) = data.get(name) else { return Ok(None) };
    let text = String::from_utf8_lossy(&value.0);
    text.trim()
        .parse::<Timestamp>()
        .map(Some)
        .map_err(|_| KeysError::Time(name))
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
