//! A unit that is judged before its catalog is known to be fresh, and what the target found of that.

use std::sync::Arc;
use std::time::Instant;

use super::{Needs, Unit, unreadable};
use crate::command::{self, Decided, Gone, Recorded, Refused, Settled};
use crate::postgres::conversation::{Conversation, Over};
use crate::postgres::judge::Plan;
use crate::postgres::message::Transaction;
use crate::postgres::precondition;
use crate::session::Session;

/// What came of judging a unit before its catalog was known to be fresh.
pub(super) enum Ahead {
    /// It was, or the target checks that it is: the log stands at this position then. So the verdict holds.
    Judged(Box<Plan>, Box<Decided>, Option<Arc<str>>),
    /// Its intent could not be recorded.
    Refused(Refused),
    /// The session is over.
    Over(Gone),
    /// It has to be judged by what is fresh.
    Not,
}

impl Conversation {
    /// Judges a unit by what the last check of the catalog gave, and makes its intent durable while the next check is under
    /// way, or leaves that check to the target. Only what the catalog that proves fresh says goes further; nearly always that
    /// is the same.
    pub(super) async fn judged_ahead(&mut self, session: &mut Session, unit: &Unit, needs: Needs) -> Ahead {
        if self.state.stale.any() || self.own.is_all() {
            return Ahead::Not;
        }
        let revision = session.open().policy.revision();
        let behind = !needs.first && unit.is_closed();
        let possible = behind && precondition::is_possible(&self.state, unit.len());
        let assumed = if possible { self.near.assume(revision) } else { None };
        let Some(guess) = self.near.guess(revision).cloned() else {
            return Ahead::Not;
        };
        if guess.schemas != self.schemas {
            return Ahead::Not;
        }
        self.state.strangers = false;
        // What earlier units turned out to have copied is in what proves fresh, as where the catalog is read.
        let amid = self.state.unsynced || self.state.transaction == Transaction::Failed;
        self.state.astir &= amid;
        self.state.was_late &= amid;
        self.state.known = self.own.over(&guess, session, &self.database);
        let (plan, mut decided) = self.judge(session, unit);
        if decided.is_empty() {
            return Ahead::Not;
        }
        // Whoever has to wait for a second person is asked about by what is fresh.
        // What a unit hands on changes the catalog: judged again by that, it would be refused for what it is to do itself.
        let assumed = assumed.filter(|_| decided.may_all_run() && !self.hands_on(&plan));
        // Nor is what is pinned: that is looked at once it is.
        let pinned = decided.may_all_run() && !self.pins(unit, &plan, false, None).is_empty();
        let (shared, asked) = (&*session, Instant::now());
        let fresh = async {
            match &assumed {
                Some(_) => true,
                None if pinned => true,
                None => {
                    let footprints = plan.footprints(&guess);
                    let fresh = self
                        .catalogs
                        .fresh(&mut self.near, &self.dialled, &self.database, shared, &footprints);
                    fresh.await.is_ok_and(|known| Arc::ptr_eq(&known, &guess))
                }
            }
        };
        let (fresh, intended) = tokio::join!(fresh, command::intend(shared, &mut decided));
        match intended {
            Ok(()) => {}
            Err(Settled::Refuse(refused)) => return Ahead::Refused(refused),
            Err(Settled::Over(gone)) => return Ahead::Over(gone),
            Err(Settled::Run(_)) => return Ahead::Not,
        }
        if fresh {
            self.state.fresh = asked;
            let position = assumed.map(|assumed| assumed.position);
            return Ahead::Judged(Box::new(plan), Box::new(decided), position);
        }
        command::take_back(session, &decided);
        Ahead::Not
    }

    /// Sees what came of a unit that ran only where the target found what was assumed to be so.
    pub(super) async fn assumed(&mut self, session: &mut Session, unit: Unit, recorded: Recorded) -> Result<(), Over> {
        let precondition = &mut self.state.precondition;
        let (sent, unmet) = (
            std::mem::take(&mut precondition.sent),
            std::mem::take(&mut precondition.unmet),
        );
        if sent {
            self.near.found(!unmet);
        }
        if unmet {
            self.again(session, unit, recorded).await?;
            self.answers(session).await?;
        }
        Ok(())
    }

    /// Something was written since what a unit was judged by was read. Nearly always that was no catalog: then the verdict
    /// holds, and the intent that is on record.
    async fn again(&mut self, session: &mut Session, unit: Unit, mut recorded: Recorded) -> Result<(), Over> {
        recorded.give_back(std::mem::take(&mut self.state.precondition.owed));
        let revision = session.open().policy.revision();
        let before = self.near.guess(revision).cloned();
        let plan = self.understand(session, &unit);
        let footprints = before.as_ref().map(|known| plan.footprints(known));
        let learnt = self.learn_by(session, &footprints.unwrap_or_default()).await?;
        let now = self.near.guess(revision);
        let same = matches!((&before, now), (Some(before), Some(now)) if Arc::ptr_eq(before, now));
        match learnt {
            Ok(()) if same => {
                self.forward(unit, plan, Some(recorded), None);
                Ok(())
            }
            Ok(()) => {
                recorded.take_back();
                self.judged_by_known(session, unit).await
            }
            Err(error) => {
                recorded.take_back();
                self.refuse_all(&unit, &unreadable(&error));
                Ok(())
            }
        }
    }
}
