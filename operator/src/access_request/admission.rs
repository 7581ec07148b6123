//! The cluster's admission objects of ours, as they are now: approvals hang on them, so a change of them closes what was
//! asked before, and one that is missing or not as it ships closes approvals altogether.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::store;
use kube::runtime::watcher::Config;
use kube::{Client, Resource};
use sallyport_audit::digest::Digest;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use super::since::Mark;
use crate::guards::shipped::Shipped;
use crate::guards::{self, Standing};
use crate::world::watch::follow;

/// How the names of those begin that guard AccessRequests.
const OF_REQUESTS: &str = "sallyport-request-";
/// So long API servers may still go by what was there before: they look every second, and may hear of it late.
const TAKEN_UP: Duration = Duration::from_secs(5);
/// So old may be what the API server said, where it was asked about something that was looked at before.
const LATELY: Duration = Duration::from_secs(1);
/// While what is there is not on record yet.
const UNNOTED: &str = "the admission objects changed a moment ago, and it is not noted yet when";

/// The admission objects at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Over uid and generation of each.
    pub digest: String,
    /// Why nothing may be approved under them.
    pub fault: Option<String>,
    /// How all of them stand, those among them that approvals do not hang on.
    pub guards: Standing,
    /// Since when every API server goes by them, by the API server's clock. What was made before may have been written to while
    /// others stood there.
    pub in_force: Option<Timestamp>,
}

/// The admission objects, as the watch last showed them; empty until both kinds were listed, and until it is known since when they
/// stand.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    seen: Arc<ArcSwapOption<Seen>>,
    mark: Arc<ArcSwapOption<Mark>>,
    forged: Arc<AtomicBool>,
    moved: Arc<Notify>,
    lately: Arc<Mutex<Option<Lately>>>,
}

/// What the API server said when it was asked last.
#[derive(Debug)]
struct Lately {
    asked: Instant,
    /// What the watch showed by then.
    shown: Option<String>,
    digest: String,
}

// === impl Seen ===

impl Seen {
    /// Whether an answer that is first seen now was let through by what ships: nothing is wrong with it, and every API server goes by it.
    #[must_use]
    pub fn vouches(&self, now: Timestamp) -> bool {
        self.fault.is_none() && self.in_force.is_none_or(|since| now > since)
    }

    /// The same, where the API server has the objects of `digest` at this moment: the watch may be behind.
    #[must_use]
    pub fn at(&self, digest: String) -> Self {
        let behind = digest != self.digest;
        Self {
            digest,
            fault: self.fault.clone().or_else(|| behind.then(|| UNNOTED.to_owned())),
            ..self.clone()
        }
    }
}

// === impl Admission ===

impl Admission {
    /// What is known, if anything is.
    pub fn load(&self) -> Option<Arc<Seen>> {
        let (seen, mark) = (self.seen.load_full()?, self.mark.load_full()?);
        let fault = match &seen.fault {
            Some(fault) => Some(fault.clone()),
            None if self.forged.load(Ordering::Acquire) => {
                Some("admission did not refuse a forgery that the operator tried".to_owned())
            }
            None => (mark.digest != seen.digest).then(|| UNNOTED.to_owned()),
        };
        Some(Arc::new(Seen {
            fault,
            in_force: mark.since.checked_add(TAKEN_UP).ok(),
            ..Seen::clone(&seen)
        }))
    }

    /// Notes whether a forgery passed. `true` if that is news.
    pub fn forgery(&self, passed: bool) -> bool {
        self.forged.swap(passed, Ordering::AcqRel) != passed
    }

    /// States what is seen.
    pub fn store(&self, seen: Seen) {
        self.seen.store(Some(Arc::new(seen)));
        self.moved.notify_one();
    }

    /// As [`digest_now`], or what that was a moment ago: thousands of grants that were used are looked at again and again. Once the
    /// watch shows something else, what was said before that is nothing to go by.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn digest_lately(&self, client: &Client) -> Result<String, kube::Error> {
        let mut lately = self.lately.lock().await;
        let shown = self.seen.load_full().map(|seen| seen.digest.clone());
        if let Some(known) = &*lately
            && known.asked.elapsed() < LATELY
            && known.shown == shown
        {
            return Ok(known.digest.clone());
        }
        let asked = Instant::now();
        let digest = digest_now(client).await?;
        *lately = Some(Lately {
            asked,
            shown,
            digest: digest.clone(),
        });
        Ok(digest)
    }

    /// States since when something stands.
    pub fn mark(&self, mark: Mark) {
        self.mark.store(Some(Arc::new(mark)));
    }

    /// The digest of what is seen and of which it is not noted since when it stands.
    pub fn unnoted(&self) -> Option<String> {
        let digest = self.seen.load_full()?.digest.clone();
        let noted = self.mark.load_full().is_some_and(|mark| mark.digest == digest);
        (!noted).then_some(digest)
    }

    /// Waits until something else is seen.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Watches them for as long as it is polled, and calls `changed` when they are others.
    pub async fn follow(self, client: Client, shipped: Arc<Shipped>, changed: impl Fn() + Clone) {
        let (policies, policies_in) = store();
        let (bindings, bindings_in) = store();
        let look = {
            let (policies, bindings) = (policies.clone(), bindings.clone());
            move || {
                if !(is_listed(&policies) && is_listed(&bindings)) {
                    return;
                }
                let seen = see(&shipped, &policies.state(), &bindings.state());
                if self.seen.load().as_deref() != Some(&seen) {
                    for fault in &seen.guards.faults {
                        tracing::error!(%fault, "an admission object does not guard as it should");
                    }
                    if let Some(fault) = &seen.fault {
                        tracing::error!(%fault, "approvals are closed");
                    }
                    self.store(seen);
                    changed();
                }
            }
        };
        let again = look.clone();
        let policies = follow(
            Api::<ValidatingAdmissionPolicy>::all(client.clone()),
            Config::default(),
            Some(policies_in),
            move |_| look(),
        );
        let bindings = follow(
            Api::<ValidatingAdmissionPolicyBinding>::all(client),
            Config::default(),
            Some(bindings_in),
            move |_| again(),
        );
        tokio::join!(policies, bindings);
    }
}

fn is_listed<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> bool {
    use futures::FutureExt as _;
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

/// What the objects come to.
pub fn see(
    shipped: &Shipped,
    policies: &[Arc<ValidatingAdmissionPolicy>],
    bindings: &[Arc<ValidatingAdmissionPolicyBinding>],
) -> Seen {
    let standing = guards::compare(shipped, policies, bindings);
    let faults = standing.faults.iter();
    Seen {
        digest: digest(
            policies.iter().map(|policy| policy.meta()),
            bindings.iter().map(|binding| binding.meta()),
        ),
        fault: guards::words(faults.filter(|fault| fault.name.starts_with(OF_REQUESTS))),
        guards: standing,
        in_force: None,
    }
}

/// The digest of what the API server has at this moment: a watch shows it a moment later.
///
/// # Errors
/// When the API server does not answer.
pub async fn digest_now(client: &Client) -> Result<String, kube::Error> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
    let all = ListParams::default();
    let (policies, bindings) = (policies.list_metadata(&all).await?, bindings.list_metadata(&all).await?);
    Ok(digest(
        policies.items.iter().map(|policy| &policy.metadata),
        bindings.items.iter().map(|binding| &binding.metadata),
    ))
}

/// Over uid and generation of ours: what was changed and changed back is another.
fn digest<'a>(
    policies: impl Iterator<Item = &'a ObjectMeta>,
    bindings: impl Iterator<Item = &'a ObjectMeta>,
) -> String {
    let policies = policies.map(|meta| part("policy", meta));
    let mut parts: Vec<String> = policies
        .chain(bindings.map(|meta| part("binding", meta)))
        .filter(|part| part.contains(" sallyport-"))
        .collect();
    parts.sort();
    Digest::of(parts.join("\n").as_bytes()).to_string()
}

fn part(kind: &str, meta: &ObjectMeta) -> String {
    format!(
        "{kind} {} {} {}",
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        meta.generation.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::admission::{objects, seen, shipped};

    #[test]
    fn whatever_takes_the_teeth_out_is_a_fault_and_another_digest() {
        let whole = seen("", |_, _| ());
        assert_eq!(whole.fault, None);
        type Change = fn(&mut Value, &mut Value);
        let cases: [(&str, Change, bool); 6] = [
            (
                "to Audit",
                |_, b| b["spec"]["validationActions"] = json!(["Audit"]),
                true,
            ),
            ("elsewhere", |_, b| b["spec"]["matchResources"] = json!({}), true),
            ("fails open", |p, _| p["spec"]["failurePolicy"] = json!("Ignore"), true),
            ("another policy", |_, b| b["spec"]["policyName"] = json!("x"), true),
            ("made again", |p, _| p["metadata"]["uid"] = json!("q"), false),
            ("edited", |_, b| b["metadata"]["generation"] = json!(3), false),
        ];
        for (what, change, faulty) in cases {
            let seen = seen("sallyport-request-answers", |policy, binding| {
                change(policy, binding);
                policy["metadata"]["generation"] = json!(2);
            });
            assert_eq!(seen.fault.is_some(), faulty, "{what}: {seen:?}");
            assert_ne!(seen.digest, whole.digest, "{what}");
        }
        let (policies, bindings) = objects("", |_, _| ());
        assert!(see(&shipped(), &policies, &bindings[1..]).fault.is_some());
        assert!(see(&shipped(), &policies[1..], &bindings).fault.is_some());
    }

    #[test]
    fn nothing_is_trusted_until_it_is_noted_since_when_it_stands() {
        let admission = Admission::default();
        let seen = seen("", |_, _| ());
        admission.store(seen.clone());
        assert_eq!(admission.load(), None);
        assert_eq!(admission.unnoted(), Some(seen.digest.clone()));
        let since = "2026-11-28T10:00:00Z".parse().unwrap();
        admission.mark(Mark {
            digest: "older".into(),
            since,
        });
        assert_eq!(admission.load().unwrap().fault.as_deref(), Some(UNNOTED));
        assert_eq!(admission.unnoted(), Some(seen.digest.clone()));
        admission.mark(Mark {
            digest: seen.digest,
            since,
        });
        let known = admission.load().unwrap();
        assert_eq!((known.fault.clone(), admission.unnoted()), (None, None));
        assert_eq!(known.in_force.unwrap().to_string(), "2026-11-28T10:00:05Z");
        assert_eq!(known.at(known.digest.clone()).fault, None);
        let ahead = known.at("other".into());
        assert_eq!(
            (ahead.digest.as_str(), ahead.fault.as_deref()),
            ("other", Some(UNNOTED))
        );
    }

    #[test]
    fn approvals_do_not_hang_on_what_guards_something_else() {
        let seen = seen("sallyport-log-volumes", |policy, _| {
            policy["spec"]["failurePolicy"] = json!("Ignore");
        });
        assert_eq!(seen.fault, None);
        assert_eq!(seen.guards.faults.len(), 1, "{seen:?}");
    }
}
