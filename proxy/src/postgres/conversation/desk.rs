//! A held unit: the client is told, watched, and asked nothing.

use std::time::Duration;

use sallyport_crds::approval_policy::OnHold;

use super::{AHEAD, Conversation, MAX_SETTINGS};
use crate::command::{Asked, Desk, Gone, Waiting, WentAhead};
use crate::postgres::catalog::{circumstances_query, read_circumstances};
use crate::postgres::forward;
use crate::postgres::hold;
use crate::postgres::judge::Plan;
use crate::postgres::message::Transaction;
use crate::postgres::pump::{Moved, Want, turn};
use crate::postgres::timeouts;
use crate::postgres::unit::Found;
use crate::session::Session;

use super::token::Standing;
use super::units::Unit;

/// The desk at which one unit is held.
pub(super) struct Held<'a> {
    pub(super) conversation: &'a mut Conversation,
    pub(super) unit: &'a Unit,
    /// The unit as it was understood last.
    pub(super) plan: &'a mut Plan,
    pub(super) drain: tokio_util::sync::CancellationToken,
    pub(super) standing: Standing,
}

impl Desk for Held<'_> {
    fn on_hold(&self) -> Option<OnHold> {
        self.conversation.on_hold
    }

    fn break_glass(&self) -> Option<String> {
        self.conversation.break_glass.clone()
    }

    fn in_transaction(&self) -> bool {
        self.conversation.state.transaction != Transaction::Idle || self.conversation.state.unsynced
    }

    async fn target_waits(&mut self, session: &mut Session) -> Result<Option<Duration>, Gone> {
        let conversation = &mut *self.conversation;
        if conversation.state.unsynced || conversation.state.transaction == Transaction::Failed {
            return Ok(None);
        }
        let in_transaction = conversation.state.transaction == Transaction::Open;
        forward::own(
            &mut conversation.state,
            timeouts::QUESTION,
            &mut conversation.target.out,
        );
        if let Err(over) = Box::pin(conversation.answers(session)).await {
            return Err(conversation.ends(over));
        }
        match conversation.state.answered.take() {
            Some(Ok(answer)) => Ok(timeouts::left(&answer, in_transaction)),
            // That fails where somebody intervenes, and an open transaction with it: nothing is left to wait for.
            _ => Err(Gone::Cancelled),
        }
    }

    fn tell(&mut self, lines: &Waiting) {
        hold::notice(lines).put(&mut self.conversation.client.out);
    }

    fn went_ahead(&mut self, glass: &WentAhead) {
        hold::broken(glass).put(&mut self.conversation.client.out);
    }

    async fn gone(&mut self) -> Gone {
        let conversation = &mut *self.conversation;
        // One that came while the target was asked something of the door's own was spent on that.
        if *conversation.cancellable.asked.borrow() != conversation.cancels {
            return Gone::Cancelled;
        }
        loop {
            let want = Want {
                client: conversation.client.arrived().len() < AHEAD,
                target: true,
            };
            let wake = conversation.wake_for_token();
            tokio::select! {
                biased;
                moved = turn(&mut conversation.client, &mut conversation.target, want) => match moved {
                    Moved::Client => match conversation.collector.next(conversation.client.arrived()) {
                        Ok(Some(Found::Terminate)) => return Gone::Client,
                        Ok(_) => {}
                        Err(_) => return Gone::ClientBroke,
                    },
                    Moved::Sent => {}
                    Moved::Target => if let Err(over) = conversation.pass_all().await {
                        return conversation.ends(over);
                    },
                    Moved::ClientGone(_) => return Gone::Client,
                    Moved::TargetGone(_) => return Gone::Target,
                },
                asked = conversation.cancellable.asked.changed() => if asked.is_ok() {
                    return Gone::Cancelled;
                },
                () = self.drain.cancelled() => return Gone::Shutdown,
                () = tokio::time::sleep_until(wake) => {
                    if tokio::time::Instant::now() >= conversation.deadline {
                        return Gone::Expired;
                    }
                    if let Err(gone) = conversation.verify_held(&self.standing).await {
                        return gone;
                    }
                }
            }
        }
    }

    async fn circumstances(&mut self, session: &mut Session) -> Result<Option<Vec<u8>>, Gone> {
        let conversation = &mut *self.conversation;
        if conversation.state.unsynced || conversation.state.transaction == Transaction::Failed {
            return Ok(None);
        }
        if conversation.settings.len() > MAX_SETTINGS {
            return Ok(None);
        }
        let out = &mut conversation.target.out;
        forward::own(
            &mut conversation.state,
            &circumstances_query(&conversation.settings),
            out,
        );
        if let Err(over) = Box::pin(conversation.answers(session)).await {
            return Err(conversation.ends(over));
        }
        let answer = conversation.state.answered.take().and_then(Result::ok);
        let Some(own) = answer.as_deref().and_then(read_circumstances) else {
            return Ok(None);
        };
        if own.current {
            return Ok(Some(own.bytes(None)));
        }
        let code = conversation
            .catalogs
            .code(&conversation.dialled, &conversation.database, session);
        Ok(code.await.ok().map(|code| own.bytes(Some(&code))))
    }

    async fn ready(&mut self, session: &mut Session) {
        // Other replicas are told of copies, and have seconds for it.
        let _ = self.conversation.hand_on(session, self.plan, None).await;
    }

    async fn again(&mut self, session: &mut Session) -> Result<Vec<Asked>, Gone> {
        self.understood(session, false).await
    }

    async fn finally(&mut self, session: &mut Session) -> Result<Vec<Asked>, Gone> {
        self.understood(session, true).await
    }
}

impl Held<'_> {
    /// Understands the unit once more. `pinned`: what it names stays what it is until it runs.
    async fn understood(&mut self, session: &mut Session, pinned: bool) -> Result<Vec<Asked>, Gone> {
        let conversation = &mut *self.conversation;
        if conversation.take_up_rules(session).is_err() {
            return Err(Gone::Revoked);
        }
        let learnt = match pinned {
            true => conversation.learn_pinned(session, self.unit, self.plan).await,
            false => conversation.learn(session).await.map(|learnt| learnt.is_ok()),
        };
        match learnt {
            Ok(true) => {}
            // What cannot be understood, as without a catalog, is not what was approved.
            Ok(false) => return Ok(Vec::new()),
            Err(over) => return Err(conversation.ends(over)),
        }
        let mut plan = conversation.understand(session, self.unit);
        let asked = std::mem::take(&mut plan.asked);
        *self.plan = plan;
        Ok(asked)
    }
}
