//! Tokens that have to be checked again while their session lasts.
//!
//! A ServiceAccount's token is bound to objects that may be deleted, which only the API server knows: it is asked now and
//! then, between units as while one runs or is held.

use std::sync::Arc;

use sallyport_audit::Time;
use sallyport_audit::record::Person;

use super::{Conversation, Over};
use crate::command::Gone;
use crate::door::{Secret, Verifier};
use crate::session::Session;

/// What it takes to ask whether a session's token still stands.
pub(super) struct Standing {
    verifier: Arc<dyn Verifier>,
    token: Arc<Secret>,
    person: Arc<Person>,
}

// === impl Standing ===

impl Standing {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            verifier: Arc::clone(&session.door().verifier),
            token: Arc::clone(session.token()),
            person: Arc::clone(session.person()),
        }
    }

    async fn holds(&self) -> bool {
        self.verifier
            .still(self.token.expose(), &self.person, Time::now())
            .await
    }
}

// === impl Conversation ===

impl Conversation {
    /// When the token is checked next, at the latest when the session's time is over.
    pub(super) fn wake_for_token(&self) -> tokio::time::Instant {
        self.verify_at.unwrap_or(self.deadline).min(self.deadline)
    }

    /// Checks the token, if it is time to.
    pub(super) async fn verify_again(&mut self, session: &Session) -> Result<(), Over> {
        if self.is_token_due() {
            self.verify_by(&Standing::of(session)).await?;
        }
        Ok(())
    }

    /// The same while something runs: where the token does not stand any more, that is stopped at the target, too.
    pub(super) async fn verify_running(&mut self, session: &Session) -> Result<(), Over> {
        let result = self.verify_again(session).await;
        if result.is_err() {
            self.stop_target().await;
        }
        result
    }

    /// The same while a unit is held. May be cancelled: then it is asked anew.
    pub(super) async fn verify_held(&mut self, standing: &Standing) -> Result<(), Gone> {
        if !self.is_token_due() {
            return Ok(());
        }
        self.verify_by(standing).await.map_err(|_| Gone::Token)
    }

    fn is_token_due(&self) -> bool {
        self.verify_at.is_some_and(|at| tokio::time::Instant::now() >= at)
    }

    async fn verify_by(&mut self, standing: &Standing) -> Result<(), Over> {
        let holds = standing.holds().await;
        self.verify_at = self.verify_every.map(|every| tokio::time::Instant::now() + every);
        if holds { Ok(()) } else { Err(Gone::Token.into()) }
    }
}
