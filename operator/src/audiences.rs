//! Audiences that the API server itself accepts, as it says so of the operator's own token. No file has to name them: a
//! ServiceAccount's token that is good for a door and for the API server is refused by doors all the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use secrecy::{ExposeSecret, SecretString};

/// How often the API server is asked: it may have been started anew with others.
const PERIOD: Duration = Duration::from_secs(60);

/// What was learned so far. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Audiences(Arc<ArcSwap<BTreeSet<String>>>);

/// Where the operator's own token is.
#[derive(Clone)]
pub enum OwnToken {
    /// In a file, which the kubelet replaces.
    File(String),
    /// In the kubeconfig.
    Text(SecretString),
}

/// Why the API server's audiences are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token cannot be read.
    #[error("the operator's own token cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The API server refused or did not answer.
    #[error("the operator's own token cannot be reviewed (is the ClusterRole of this version bound?): {0}")]
    Api(#[from] kube::Error),
    /// The review names none.
    #[error("the API server does not say for which audiences it takes the operator's own token")]
    None,
}

// === impl Audiences ===

impl Audiences {
    /// What the API server accepts, as far as it is known.
    pub fn known(&self) -> Arc<BTreeSet<String>> {
        self.0.load_full()
    }

    /// Adds to what is known. Nothing is ever forgotten: several API servers may be in the middle of a change.
    pub fn learn(&self, more: impl IntoIterator<Item = String>) {
        let mut all = BTreeSet::clone(&self.known());
        all.extend(more);
        if all != *self.known() {
            tracing::info!(audiences = ?all, "doors refuse tokens that the API server takes too");
            self.0.store(Arc::new(all));
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the token or the answer cannot be had. What was known stays.
    pub async fn look(&self, client: &Client, token: &OwnToken) -> Result<(), Error> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.read()?),
                // None are named, so that the API server's own are meant.
                audiences: None,
            },
            ..TokenReview::default()
        };
        let answer = Api::<TokenReview>::all(client.clone())
            .create(&PostParams::default(), &review)
            .await?;
        self.learn(accepted(answer.status).ok_or(Error::None)?);
        Ok(())
    }

    /// Asks until the end of time.
    pub async fn follow(self, client: Client, token: OwnToken) {
        loop {
            tokio::time::sleep(PERIOD).await;
            if let Err(error) = self.look(&client, &token).await {
                tracing::warn!(%error, "the API server's audiences could not be looked at; those known stay");
            }
        }
    }
}

/// The audiences of a review that took the token.
fn accepted(status: Option<TokenReviewStatus>) -> Option<Vec<String>> {
    let status = status.filter(|status| status.authenticated == Some(true))?;
    status.audiences.filter(|audiences| !audiences.is_empty())
}

// === impl OwnToken ===

impl OwnToken {
    /// The token by which `config` speaks to the API server; None where it does so by a certificate.
    pub fn of(config: &Config) -> Option<Self> {
        let auth = &config.auth_info;
        let text = auth.token.clone().map(Self::Text);
        text.or_else(|| auth.token_file.clone().map(Self::File))
    }

    fn read(&self) -> Result<String, std::io::Error> {
        match self {
            Self::File(path) => Ok(std::fs::read_to_string(path)?.trim().to_owned()),
            Self::Text(text) => Ok(text.expose_secret().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(authenticated: bool, audiences: &[&str]) -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated: Some(authenticated),
            audiences: Some(audiences.iter().map(|&one| one.to_owned()).collect()),
            ..TokenReviewStatus::default()
        }
    }

    #[test]
    fn only_a_review_that_took_the_token_teaches() {
        assert_eq!(accepted(Some(status(true, &["api"]))), Some(vec!["api".to_owned()]));
        assert_eq!(accepted(Some(status(false, &["api"]))), None);
        assert_eq!(accepted(Some(status(true, &[]))), None);
        assert_eq!(accepted(None), None);
    }

    #[test]
    fn what_was_learned_is_not_forgotten() {
        let audiences = Audiences::default();
        audiences.learn(["a".to_owned()]);
        audiences.learn(["b".to_owned()]);
        assert_eq!(*audiences.known(), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }
}
