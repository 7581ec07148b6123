//! Second people whose answers the test gives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use sallyport_audit::record::{Approver, RequestRef};
use sallyport_crds::access_request::RuleIdentity;
use sallyport_crds::approval_policy::GrantScope;
use sallyport_proxy::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, HoldState, Identity};
use tokio::sync::watch;

use super::eventually;

/// All requests.
#[derive(Clone, Default)]
pub struct People {
    requests: Arc<Mutex<BTreeMap<String, Request>>>,
}

/// One request.
#[derive(Clone)]
pub struct Request {
    /// What was asked.
    pub ask: Ask,
    /// How it stands.
    pub state: watch::Sender<HoldState>,
    /// Whether it was used.
    pub spent: bool,
    /// Whether another process claimed it behind this door's back.
    pub claimed: bool,
    /// Why it was withdrawn.
    pub withdrawn: Option<String>,
}

impl People {
    /// Waits until somebody asks; gives the newest request's name.
    pub fn asked(&self, count: usize) -> (String, Request) {
        eventually("a request", || {
            let requests = self.requests.lock().unwrap();
            (requests.len() >= count).then(|| {
                requests
                    .iter()
                    .next_back()
                    .map(|(name, one)| (name.clone(), one.clone()))
            })?
        })
    }

    /// The request of a name.
    pub fn request(&self, name: &str) -> Request {
        self.requests.lock().unwrap()[name].clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Bob says yes.
    pub fn approve(&self, name: &str) {
        self.request(name).state.send_replace(HoldState::Approved {
            approvers: vec![bob(None)],
        });
    }

    /// Bob takes it back.
    pub fn revoke(&self, name: &str, words: &str) {
        self.request(name)
            .state
            .send_replace(HoldState::Revoked(words.to_owned()));
    }

    /// Another process has used it, and this door has not seen that yet.
    pub fn use_elsewhere(&self, name: &str) {
        self.requests.lock().unwrap().get_mut(name).unwrap().claimed = true;
    }

    /// The time of a break-glass use is over.
    pub fn lock(&self, name: &str) {
        self.requests.lock().unwrap().get_mut(name).unwrap().spent = true;
    }

    /// Bob says no.
    pub fn deny(&self, name: &str, reason: &str) {
        self.request(name).state.send_replace(HoldState::Denied {
            deniers: vec![bob(Some(reason.to_owned()))],
        });
    }
}

fn held(name: &str, request: &Request) -> Held {
    Held {
        request: reference(name),
        expires: Some(request.ask.expires),
        on_hold: request.ask.on_hold,
        state: request.state.subscribe(),
    }
}

fn bob(reason: Option<String>) -> Approver {
    Approver {
        audit_id: None,
        reason,
        time: None,
        uid: None,
        username: "oidc:bob".to_owned(),
    }
}

fn reference(name: &str) -> RequestRef {
    RequestRef {
        namespace: "doors".into(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
    }
}

impl Approvals for People {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        let requests = self.requests.lock().unwrap();
        let fits = |request: &Request| {
            request.ask.command.digest == sought.digest
                && request.ask.identity.person == identity.person
                && request.ask.break_glass.is_none()
                && !request.spent
                && request.withdrawn.is_none()
        };
        let fitting = requests.iter().filter(|(_, request)| fits(request));
        fitting.map(|(name, request)| held(name, request)).collect()
    }

    fn glass(&self, identity: &Identity, _: &[RuleIdentity]) -> Glass {
        let requests = self.requests.lock().unwrap();
        let own =
            |request: &&Request| request.ask.break_glass.is_some() && request.ask.identity.person == identity.person;
        match requests.iter().find(|(_, request)| own(request)) {
            None => Glass::Whole,
            Some((name, request)) if request.spent => Glass::Locked(held(name, request).request),
            Some((name, request)) => Glass::Broken(held(name, request)),
        }
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        let mut requests = self.requests.lock().unwrap();
        let name = format!("request-{}", requests.len() + 1);
        let (state, watching) = watch::channel(HoldState::Waiting {
            progress: String::new(),
        });
        let (expires, on_hold) = (Some(ask.expires), ask.on_hold);
        requests.insert(
            name.clone(),
            Request {
                ask,
                state,
                spent: false,
                claimed: false,
                withdrawn: None,
            },
        );
        Box::pin(async move {
            Ok(Held {
                request: reference(&name),
                expires,
                on_hold,
                state: watching,
            })
        })
    }

    fn claim<'a>(
        &'a self,
        _: &'a Identity,
        sought: &'a GrantSought,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        Box::pin(async move {
            let mut requests = self.requests.lock().unwrap();
            let known = requests
                .get_mut(&request.name)
                .ok_or(ApprovalsError::Gone("no such request".into()))?;
            if std::mem::take(&mut known.claimed) {
                known.spent = true;
                return Err(ApprovalsError::Gone("another process used it".into()));
            }
            if known.spent || known.ask.command.digest != sought.digest {
                return Err(ApprovalsError::Gone("used, or for something else".into()));
            }
            known.spent = sought.scope == GrantScope::Command;
            Ok(Claim {
                request: request.clone(),
                nonce: "0123456789abcdef".into(),
                approvers: vec![bob(None)],
            })
        })
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        if let Some(known) = self.requests.lock().unwrap().get_mut(&request.name) {
            known.withdrawn = Some(reason.to_owned());
        }
    }
}

/// People behind an API server that is slow to take a claim: something happens meanwhile.
pub struct Meanwhile {
    /// Them.
    pub people: People,
    /// What happens.
    pub happens: Box<dyn Fn() + Send + Sync>,
}

impl Approvals for Meanwhile {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        self.people.find(identity, sought)
    }

    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass {
        self.people.glass(identity, asked_by)
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        self.people.ask(ask)
    }

    fn claim<'a>(
        &'a self,
        identity: &'a Identity,
        sought: &'a GrantSought,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        (self.happens)();
        self.people.claim(identity, sought, request)
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        self.people.withdraw(request, reason);
    }
}
