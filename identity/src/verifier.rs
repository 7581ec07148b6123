//! The way in: which issuer a token names, and its answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sallyport_audit::Time;
use sallyport_audit::record::{Person, Refusal};
use sallyport_crds::names::service_account_audience;
use sallyport_policy::issuer::Issuer;
use sallyport_runtime::shares::Shares;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::keys::{Keys, Pace};
use super::pair::{self, Known};
use super::settings::Settings;
use super::token::{Unverified, check_claims};
use super::{Refused, Review, Reviewer, claims, serviceaccount};
use crate::{Identity, LoginRefused, Verifier};

/// A login waits at most this long for an issuer or the API server.
const WITHIN: Duration = Duration::from_secs(12);
/// Questions to the API server at one time. Tokens come from strangers; the API server must not feel it.
pub(super) const REVIEWS: usize = 16;

/// Checks tokens against the settings of the moment; settings change with the policy, caches of keys stay.
pub struct Identities {
    now: ArcSwap<Active>,
    pace: Pace,
    runtime: Handle,
    reviewer: Option<Arc<dyn Reviewer>>,
    reviews: Arc<Semaphore>,
    /// The same by the audience of the Connection, where several are served: each gets as many as if it were alone, and one
    /// that takes them all leaves as many to others.
    shares: Arc<Shares<String>>,
}

struct Active {
    settings: Settings,
    /// In the order of `settings.issuers`.
    keys: Vec<Arc<Keys>>,
    /// Several Connections ask by the same settings.
    shared: bool,
}

/// A refusal, and whom it met where that is known.
struct Turned {
    refused: Refused,
    person: Option<Person>,
}

// === impl Identities ===

impl Identities {
    /// Takes nobody's token until [`Self::apply`]. Issuers are asked on `runtime`; without a `reviewer` (no cluster) tokens of
    /// ServiceAccounts are refused.
    pub fn new(runtime: Handle, reviewer: Option<Arc<dyn Reviewer>>, pace: Pace) -> Self {
        let now = ArcSwap::from_pointee(Active {
            settings: Settings::default(),
            keys: Vec::new(),
            shared: false,
        });
        Self {
            now,
            pace,
            runtime,
            reviewer,
            reviews: Arc::new(Semaphore::new(REVIEWS)),
            shares: Shares::new(2 * REVIEWS),
        }
    }

    /// Replaces the settings. An issuer that is reached as before keeps its keys.
    pub fn apply(&self, settings: Settings) {
        let old = self.now.load();
        let keys = settings.issuers.iter().map(|issuer| {
            let same = old
                .settings
                .issuers
                .iter()
                .zip(&old.keys)
                .find(|(known, _)| reached_alike(known, issuer));
            same.map_or_else(
                || Keys::start(issuer, self.pace, &self.runtime),
                |(_, keys)| Arc::clone(keys),
            )
        });
        let keys = keys.collect();
        self.now.store(Arc::new(Active {
            settings,
            keys,
            shared: false,
        }));
    }

    /// Names of issuers whose keys are not known: nobody of theirs can come in now.
    pub fn unavailable(&self) -> Vec<String> {
        let now = self.now.load();
        let pairs = now.settings.issuers.iter().zip(&now.keys);
        pairs
            .filter(|(_, keys)| !keys.usable())
            .map(|(issuer, _)| issuer.name.clone())
            .collect()
    }

    /// As [`Verifier::verify`], with a ServiceAccount's token counting by the audience of this Connection: for whoever serves
    /// several by the same settings.
    ///
    /// # Errors
    /// When the token does not serve, or nobody can be asked about it.
    pub async fn verify_at(
        &self,
        namespace: &str,
        connection: &str,
        token: &[u8],
        now: Time,
    ) -> Result<Identity, LoginRefused> {
        let active = self.now.load_full();
        let settings = Settings {
            service_accounts: Some(service_account_audience(namespace, connection)),
            ..active.settings.clone()
        };
        let active = Active {
            settings,
            keys: active.keys.clone(),
            shared: true,
        };
        self.answer(&active, token, now).await
    }

    async fn answer(&self, active: &Active, token: &[u8], now: Time) -> Result<Identity, LoginRefused> {
        let turned = match tokio::time::timeout(WITHIN, self.login(active, token, now)).await {
            Ok(Ok(identity)) => return Ok(identity),
            Ok(Err(turned)) => turned,
            Err(_) => Refused::KeysUnavailable("it does not answer in time").into(),
        };
        Err(turned.refused.into_login(turned.person))
    }

    /// One token, or a person's and their agent's own.
    async fn login(&self, active: &Active, presented: &[u8], now: Time) -> Result<Identity, Turned> {
        let mut tokens = presented.split(|byte| *byte == b',');
        let (person, agent) = (tokens.next().unwrap_or_default(), tokens.next());
        if tokens.next().is_some() {
            return Err(Refused::Pair.into());
        }
        let person = self.identify(active, person, now).await?;
        match agent {
            None => Ok(person.alone()),
            Some(agent) => {
                let whose = person.identity.person.clone();
                let agent = self.identify(active, agent, now).await;
                agent
                    .map_err(|turned| turned.refused)
                    .and_then(|agent| pair::joined(person, &agent.identity, &active.settings))
                    // What is on record is whose token was used.
                    .map_err(|refused| Turned {
                        refused,
                        person: Some(whose),
                    })
            }
        }
    }

    async fn identify(&self, active: &Active, token: &[u8], now: Time) -> Result<Known, Turned> {
        let token = Unverified::parse(token)?;
        let named = active
            .settings
            .issuers
            .iter()
            .zip(&active.keys)
            .find(|(issuer, _)| token.issuer() == Some(issuer.url.as_str()));
        match (named, &active.settings.service_accounts) {
            (Some((issuer, keys)), _) => oidc(&token, issuer, keys, &active.settings, now).await,
            (None, Some(audience)) if serviceaccount::looks_like(&token.claims, audience) => {
                let place = self.place(active, audience)?;
                Ok(Known {
                    identity: self.review(&token, audience, &active.settings, now, place).await?,
                    may_act: None,
                    client: None,
                })
            }
            (None, _) => Err(Refused::UnknownIssuer.into()),
        }
    }

    /// Asks about those of the tokens again that only the API server knows; what an issuer signed stays signed.
    async fn stand(&self, presented: &[u8], now: Time) -> Result<(), Refused> {
        let active = self.now.load_full();
        for token in presented.split(|byte| *byte == b',') {
            let token = Unverified::parse(token)?;
            let mut issuers = active.settings.issuers.iter();
            if issuers.any(|issuer| token.issuer() == Some(issuer.url.as_str())) {
                continue;
            }
            let audience = active.settings.service_accounts.as_ref();
            let audience = audience.ok_or(Refused::UnknownIssuer)?;
            // Who is in already waits for a place: tokens of strangers must neither end a session nor keep it going.
            let place = self.reviews.clone().acquire_owned().await.map_err(|_| Refused::Busy)?;
            self.review(&token, audience, &active.settings, now, Box::new(place))
                .await?;
        }
        Ok(())
    }

    /// A place among the questions to the API server, until it is dropped.
    fn place(&self, active: &Active, audience: &str) -> Result<Box<dyn Send>, Refused> {
        if active.shared {
            let place = self.shares.take(&audience.to_owned()).ok_or(Refused::Busy)?;
            return Ok(Box::new(place));
        }
        let place = self.reviews.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
        Ok(Box::new(place))
    }

    async fn review(
        &self,
        token: &Unverified<'_>,
        audience: &str,
        settings: &Settings,
        now: Time,
        place: Box<dyn Send>,
    ) -> Result<Identity, Refused> {
        let reviewer = self
            .reviewer
            .clone()
            .ok_or(Refused::ReviewUnavailable("there is no cluster"))?;
        let question = reviewer.review(token.raw.to_owned(), audience.to_owned());
        let asked = self.runtime.spawn(async move {
            // Whoever asked is gone by then, and their place is another's.
            let answer = tokio::time::timeout(WITHIN, question).await;
            drop(place);
            answer.unwrap_or(Review::Unavailable)
        });
        let answer = asked
            .await
            .map_err(|_| Refused::ReviewUnavailable("the question was dropped"))?;
        serviceaccount::identity(answer, &token.claims, audience, settings, now)
    }
}

impl Verifier for Identities {
    fn verify<'a>(&'a self, token: &'a [u8], now: Time) -> BoxFuture<'a, Result<Identity, LoginRefused>> {
        async move { self.answer(&self.now.load_full(), token, now).await }.boxed()
    }

    fn still<'a>(&'a self, token: &'a [u8], _: &'a Person, now: Time) -> BoxFuture<'a, bool> {
        async move {
            match tokio::time::timeout(WITHIN, self.stand(token, now)).await {
                Ok(Ok(())) | Err(_) => true,
                Ok(Err(refused)) => refused.reason() == Refusal::IssuerUnavailable,
            }
        }
        .boxed()
    }

    /// Of the first issuer that the Connection names, under its own name: clients compare it with the issuer that they trust.
    fn configuration(&self) -> Option<String> {
        let now = self.now.load();
        let issuer = now.settings.issuers.first()?;
        Some(format!(
            "{}/.well-known/openid-configuration",
            issuer.url.trim_end_matches('/')
        ))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("settings", &self.now.load().settings)
            .finish_non_exhaustive()
    }
}

impl From<Refused> for Turned {
    fn from(refused: Refused) -> Self {
        Self { refused, person: None }
    }
}

async fn oidc(
    token: &Unverified<'_>,
    issuer: &Issuer,
    keys: &Arc<Keys>,
    settings: &Settings,
    now: Time,
) -> Result<Known, Turned> {
    let candidates = keys.find(token.kid.as_deref(), token.algorithm).await?;
    let signed = token.verify(issuer, &candidates)?;
    let person = claims::person(issuer, &signed)?;
    check_claims(&signed, issuer, &settings.api_audiences, settings.max_token_age, now)
        .and_then(|()| claims::identity(issuer, &signed, person.clone()))
        .and_then(|identity| {
            let known = Known {
                identity,
                may_act: claims::may_act(&issuer.url, &signed),
                client: claims::client(issuer, &signed)?,
            };
            known.checked(&settings.issuers)
        })
        .map_err(|refused| Turned {
            refused,
            person: Some(person),
        })
}

/// Keys belong to where they were fetched from, not to what is made of the claims.
fn reached_alike(one: &Issuer, other: &Issuer) -> bool {
    one.url == other.url
        && one.discovery_url == other.discovery_url
        && one.certificate_authority == other.certificate_authority
}
