//! Between two units: waiting for the client.

use std::time::Duration;

use sallyport_audit::record::EndCause;

use super::{Conversation, Over, ROOM_WITHIN};
use crate::command::Gone;
use crate::postgres::errors::sqlstate;
use crate::postgres::message::Transaction;
use crate::postgres::pump::{Moved, Want, turn};
use crate::postgres::unit::Found;
use crate::session::{Ended, Session, Stir};

impl Conversation {
    /// The next unit that the client sends, once it is whole.
    pub(super) async fn next_unit(&mut self, session: &mut Session) -> Result<Found, Over> {
        let since = tokio::time::Instant::now();
        loop {
            // Rules that come meanwhile may say less.
            let idle_at = since + Duration::from(session.open().spec.limits.idle);
            self.drop_copy_rest();
            match self.collector.next(self.client.arrived()) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) if self.orphaned.is_some() => return Err(Over::quietly(EndCause::ClientLost)),
                Ok(None) => {}
                Err(error) => {
                    self.client.consume(self.collector.begun());
                    return Err(Over::client_broke(error));
                }
            }
            self.make_room().await?;
            self.client.rest();
            self.target.rest();
            let may_drain = self.state.transaction == Transaction::Idle && !self.state.unsynced;
            let wake = self.wake_for_token().min(idle_at);
            let want = Want {
                client: true,
                target: true,
            };
            tokio::select! {
                biased;
                moved = turn(&mut self.client, &mut self.target, want) => self.moved_idle(moved).await?,
                stir = session.stirred() => match stir {
                    Stir::Rules => self.take_up_rules(session)?,
                    Stir::Revoked(revoked) => {
                        session.lost_grant(&revoked);
                        return Err(Over::from(&Ended::Grant(revoked)));
                    }
                },
                () = self.drain.begun.cancelled(), if may_drain => return Err(Gone::Shutdown.into()),
                () = self.drain.over.cancelled() => return Err(Gone::Shutdown.into()),
                () = self.idle_alarm.at(wake) => self.time_passed(session, idle_at).await?,
            }
        }
    }

    /// Sees to it that there is room for the unit that arrives.
    async fn make_room(&mut self) -> Result<(), Over> {
        let wanted = self.collector.wanted(self.client.arrived());
        if self.sends.holds(wanted) {
            return Ok(());
        }
        // Others' are on their way to the target and leave soon.
        let waited = tokio::select! {
            waited = tokio::time::timeout(ROOM_WITHIN, self.sends.waits(wanted)) => waited.is_ok(),
            () = self.drain.over.cancelled() => return Err(Gone::Shutdown.into()),
        };
        if waited {
            return Ok(());
        }
        let begun = self.collector.begun();
        self.client.consume(begun);
        Err(Over::crowded(wanted.saturating_sub(begun)))
    }

    /// Something arrived that no unit waits for.
    async fn moved_idle(&mut self, moved: Moved) -> Result<(), Over> {
        match moved {
            Moved::Client | Moved::Sent => Ok(()),
            Moved::ClientGone(_) => {
                self.orphan();
                Ok(())
            }
            Moved::Target => self.pass_all().await,
            Moved::TargetGone(_) => Err(Over::target_lost()),
        }
    }

    async fn time_passed(&mut self, session: &Session, idle_at: tokio::time::Instant) -> Result<(), Over> {
        let now = tokio::time::Instant::now();
        if now >= self.deadline {
            return Err(Over::saying(
                EndCause::Expired,
                sqlstate::SHUTDOWN,
                "the session's time is over",
            ));
        }
        if now >= idle_at {
            return Err(Over::saying(
                EndCause::Idle,
                sqlstate::SHUTDOWN,
                "the session was idle for too long",
            ));
        }
        self.verify_again(session).await
    }
}
