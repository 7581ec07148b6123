//! Tokens of Kubernetes ServiceAccounts: the API server says whether they hold, and for which audience.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sallyport_audit::Time;
use sallyport_audit::record::Person;
use serde_json::Value;

use super::claims::{self, Claims};
use super::token::{check_api_audience, check_times};
use super::{Refused, Settings};
use crate::Identity;

/// What every ServiceAccount's name begins with.
pub(super) const PREFIX: &str = "system:serviceaccount:";

/// The one right that no namespace's Role can give.
const UNBOUND: &str = "nobody gave the right to; bind ClusterRole sallyport-tokenreviews to the ServiceAccounts of the namespace, as config/namespace does";

/// The API server's answer about a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// `system:serviceaccount:<namespace>:<name>`.
    pub username: String,
    /// `metadata.uid` of the ServiceAccount: one made again under the same name is another.
    pub uid: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// The audiences, of those asked about, for which the token is good.
    pub audiences: Vec<String>,
}

/// How a review ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    /// The token holds.
    Genuine(Reviewed),
    /// It does not: expired, deleted Pod or account, another audience.
    Refused,
    /// The API server could not be asked.
    Unavailable,
    /// Whoever asks has no right to.
    Forbidden,
}

/// Asks about a token.
pub trait Reviewer: Send + Sync {
    /// Whether `token` is good for `audience`.
    fn review(&self, token: String, audience: String) -> BoxFuture<'static, Review>;
}

impl Reviewer for Client {
    fn review(&self, token: String, audience: String) -> BoxFuture<'static, Review> {
        let api: Api<TokenReview> = Api::all(self.clone());
        async move {
            let spec = TokenReviewSpec {
                token: Some(token),
                audiences: Some(vec![audience]),
            };
            let review = TokenReview {
                spec,
                ..TokenReview::default()
            };
            match api.create(&PostParams::default(), &review).await {
                Ok(answer) => read(answer),
                Err(kube::Error::Api(answer)) if answer.is_forbidden() => Review::Forbidden,
                Err(_) => Review::Unavailable,
            }
        }
        .boxed()
    }
}

fn read(answer: TokenReview) -> Review {
    let Some(status) = answer.status.filter(|status| status.authenticated == Some(true)) else {
        return Review::Refused;
    };
    let user = status.user.unwrap_or_default();
    Review::Genuine(Reviewed {
        username: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        audiences: status.audiences.unwrap_or_default(),
    })
}

/// Whether a token may be a ServiceAccount's for this Connection: only then is the API server troubled with it.
pub(super) fn looks_like(claims: &Claims, audience: &str) -> bool {
    let named = match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        Some(one) => one.as_str() == Some(audience),
        None => false,
    };
    named
        && claims
            .get("sub")
            .and_then(Value::as_str)
            .is_some_and(|sub| sub.starts_with(PREFIX))
}

/// The identity of a token that the API server was asked about. `claims` are its own, genuine only if the review says so.
pub(super) fn identity(
    review: Review,
    claims: &Claims,
    audience: &str,
    settings: &Settings,
    now: Time,
) -> Result<Identity, Refused> {
    let reviewed = match review {
        Review::Genuine(reviewed) => reviewed,
        Review::Refused => return Err(Refused::NotReviewed),
        Review::Unavailable => return Err(Refused::ReviewUnavailable("it does not answer")),
        Review::Forbidden => return Err(Refused::ReviewUnavailable(UNBOUND)),
    };
    // An API server that does not know audiences answers "authenticated" without any: that says nothing about ours.
    let fits = reviewed.audiences.iter().any(|one| one == audience);
    if !fits || !reviewed.username.starts_with(PREFIX) || reviewed.uid.is_empty() {
        return Err(Refused::NotReviewed);
    }
    check_api_audience(claims, &settings.api_audiences)?;
    check_times(claims, settings.max_token_age, now)?;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    let person = Person {
        issuer,
        subject: reviewed.uid,
        username: reviewed.username,
    };
    Ok(Identity {
        person,
        groups: reviewed.groups,
        agents: Vec::new(),
        email: None,
        token: claims::token(claims),
    })
}
