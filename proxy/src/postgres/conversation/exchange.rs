//! While something is owed: target → client, until it is paid.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_audit::record::EndCause;

use super::alarm::Alarm;
use super::{AHEAD, Conversation, GOODBYE, LINGER, Over, ROOM_WITHIN};
use crate::command::Gone;
use crate::drain::Drain;
use crate::postgres::cancel::Cancellable;
use crate::postgres::dial;
use crate::postgres::errors::sqlstate;
use crate::postgres::frame::{self, TARGET_CAP, stream_cap};
use crate::postgres::pump::{Moved, Want, turn};
use crate::postgres::relay::{self, Awaiting, Broken, LARGE};
use crate::postgres::startup::CancelKey;
use crate::postgres::stream::TargetStream;
use crate::postgres::wire::{FLUSH_AT, Wire};
use crate::session::{Ended, Session, Target};

/// How long much that is said aside may stay unread.
const UNREAD: Duration = Duration::from_secs(60);
/// How long one waits for what comes of a cancel before the next.
const AGAIN: Duration = Duration::from_millis(250);

/// How far the input of the target was passed on.
enum Passed {
    /// All whole messages.
    Dry,
    /// The client has enough to read for now.
    Full,
    /// A message needs a fresh catalog.
    Fresh(Awaiting),
}

/// What a session has to look at while something runs.
enum Event {
    /// A cancel came by the client's key.
    Asked,
    /// The session may not go on.
    Forbidden(Ended),
    /// The door's time is over.
    Over,
    /// It is as late as that.
    Time,
}

/// Waits for the first of these. May be cancelled.
async fn interrupted(
    session: &mut Session,
    cancellable: &mut Cancellable,
    drain: &Drain,
    alarm: &mut Alarm,
    until: tokio::time::Instant,
) -> Event {
    tokio::select! {
        biased;
        () = drain.over.cancelled() => Event::Over,
        ended = session.forbidden() => Event::Forbidden(ended),
        Ok(()) = cancellable.asked.changed() => Event::Asked,
        () = alarm.at(until) => Event::Time,
    }
}

impl Conversation {
    /// Passes on what the target answers until nothing is owed.
    pub(super) async fn answers(&mut self, session: &mut Session) -> Result<(), Over> {
        loop {
            // A stream that never rests is looked at here, one that does is woken in time.
            if self.orphaned.is_none() {
                self.verify_running(session).await?;
            }
            let passed = self.pass()?;
            if std::mem::take(&mut self.state.precondition.resync) {
                frame::put(&mut self.target.out, b'S', |_| {});
            }
            match passed {
                Passed::Full => {
                    // What was made of a large row has the room that was made for it.
                    let _ = self.reads.holds(self.client.pending());
                    self.flush_client(session).await?;
                }
                Passed::Fresh(awaiting) => self.look_again(session, awaiting).await?,
                Passed::Dry if self.state.expected.is_empty() => return Ok(()),
                Passed::Dry => {
                    self.make_room_for(self.awaited(), session).await?;
                    self.copy_from_client()?;
                    self.wait(session).await?;
                }
            }
        }
    }

    /// Bytes that are held, or will be, of what the target is in the middle of.
    fn awaited(&self) -> usize {
        let copied = self.state.copy_out.as_ref().map_or(0, |copy| copy.masker.held());
        let message = match self.state.large {
            // It passes as it arrives.
            Some(_) => None,
            None => frame::head(self.target.arrived(), stream_cap).ok().flatten(),
        };
        // Where no more than its head has come, it may turn out to pass, too.
        let message = message.filter(|_| self.target.arrived().len() > LARGE);
        // Of one that is longer than can be held, at least its end passes.
        copied + message.map_or(0, |head| head.len.min(TARGET_CAP))
    }

    /// Sees to it that there is room for so much of the answer.
    async fn make_room_for(&mut self, held: usize, session: &mut Session) -> Result<(), Over> {
        if self.orphaned.is_some() || self.reads.holds(held) {
            return Ok(());
        }
        let until = tokio::time::Instant::now() + ROOM_WITHIN;
        loop {
            let event = tokio::select! {
                biased;
                event = interrupted(session, &mut self.cancellable, &self.drain, &mut self.busy_alarm, until) => event,
                () = self.reads.waits(held) => return Ok(()),
            };
            match event {
                Event::Time => {
                    self.stop_target().await;
                    return Err(Over::crowded(0));
                }
                event => self.interrupt(session, event).await?,
            }
        }
    }

    /// Passes on everything that has arrived from the target.
    pub(super) async fn pass_all(&mut self) -> Result<(), Over> {
        loop {
            match self.pass()? {
                Passed::Dry => return Ok(()),
                // Of what is said aside there is little, and who waits for an answer reads it. Nothing else is looked at meanwhile.
                Passed::Full => match tokio::time::timeout(UNREAD, self.client.flush()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => self.orphan(),
                    Err(_) => return Err(Gone::Client.into()),
                },
                // Nothing that is said aside describes rows.
                Passed::Fresh(_) => return Err(Over::target_lost()),
            }
        }
    }

    fn pass(&mut self) -> Result<Passed, Over> {
        loop {
            if self.orphaned.is_some() {
                self.client.discard();
            } else if self.client.pending() >= 4 * FLUSH_AT {
                return Ok(Passed::Full);
            }
            match relay::pass(&mut self.state, self.target.arrived(), &mut self.client.out)? {
                relay::Passed::Done(n) => self.target.consume(n),
                relay::Passed::Dry => return Ok(Passed::Dry),
                relay::Passed::Fresh(awaiting) => return Ok(Passed::Fresh(awaiting)),
            }
        }
    }

    /// Lets the client read what it has been sent. What ends the session ends this wait, too: a client may never read.
    async fn flush_client(&mut self, session: &mut Session) -> Result<(), Over> {
        loop {
            let event = tokio::select! {
                biased;
                event = interrupted(session, &mut self.cancellable, &self.drain, &mut self.busy_alarm, self.deadline) => event,
                flushed = self.client.flush() => {
                    if flushed.is_err() {
                        self.orphan();
                    }
                    return Ok(());
                }
            };
            self.interrupt(session, event).await?;
        }
    }

    /// The client is gone: what is under way is seen to its end, since its outcome is evidence.
    pub(super) fn orphan(&mut self) {
        self.orphaned.get_or_insert_with(Instant::now);
        self.client.discard();
    }

    /// Waits for either peer, a cancel, or the end of the session's time.
    async fn wait(&mut self, session: &mut Session) -> Result<(), Over> {
        let orphaned = self
            .orphaned
            .map(|since| tokio::time::Instant::from_std(since + LINGER));
        let until = orphaned.map_or(self.wake_for_token(), |linger| linger.min(self.deadline));
        let want = Want {
            client: self.orphaned.is_none() && self.client.arrived().len() < AHEAD,
            target: true,
        };
        // A stream that never rests is interrupted all the same.
        let event = tokio::select! {
            biased;
            event = interrupted(session, &mut self.cancellable, &self.drain, &mut self.busy_alarm, until) => event,
            moved = turn(&mut self.client, &mut self.target, want) => return match moved {
                Moved::Client | Moved::Target | Moved::Sent => Ok(()),
                Moved::ClientGone(_) => {
                    self.orphan();
                    // A COPY whose client is gone never ends by itself.
                    if self.state.copy_in.is_some() { Err(Over::quietly(EndCause::ClientLost)) } else { Ok(()) }
                }
                Moved::TargetGone(_) => Err(Over::target_lost()),
            },
        };
        self.interrupt(session, event).await
    }

    /// What follows while something runs.
    async fn interrupt(&mut self, session: &Session, event: Event) -> Result<(), Over> {
        let over = match event {
            Event::Asked => {
                if self.orphaned.is_none() {
                    self.cancel_at_target();
                }
                return Ok(());
            }
            Event::Time if self.orphaned.is_none() && tokio::time::Instant::now() < self.deadline => return Ok(()),
            Event::Time if self.orphaned.is_some() => Over::quietly(EndCause::ClientLost),
            Event::Time => Gone::Expired.into(),
            Event::Over => Gone::Shutdown.into(),
            Event::Forbidden(ended) => {
                if let Ended::Grant(revoked) = &ended {
                    session.lost_grant(revoked);
                }
                Over::from(&ended)
            }
        };
        self.stop_target().await;
        Err(over)
    }

    /// Cancels what runs at the target, which is not wanted any more, before anybody is told so. Where that comes to nothing, it is
    /// cancelled again as the session [leaves](leave).
    pub(super) async fn stop_target(&mut self) {
        self.cancel_at_target();
        self.cancelled().await;
    }

    /// Passes a cancel on, while the command runs that it is meant for.
    pub(super) fn cancel_at_target(&mut self) {
        if self.cancelling.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (target, key) = (Arc::clone(&self.dialled), self.backend.clone());
        self.cancelling = Some(tokio::task::spawn_local(async move {
            if let Err(error) = dial::cancel(&target, &key).await {
                tracing::warn!(%error, "a cancel could not be passed on");
            }
        }));
    }

    /// A cancel that is on its way must have arrived before another command runs, or it would hit that one.
    pub(super) async fn cancelled(&mut self) {
        if let Some(task) = self.cancelling.take() {
            // It has a time limit of its own, and its failure was logged.
            let _ = task.await;
        }
    }

    /// Reads the catalog again before what comes late is passed on.
    async fn look_again(&mut self, session: &mut Session, awaiting: Awaiting) -> Result<(), Over> {
        match self.freshen(session).await {
            // The target may be gone, and that may be what they say. Whatever else comes late is as late as before.
            Err(_) if awaiting != Awaiting::Plan => {
                self.state.muted = true;
                return Ok(());
            }
            read => read?,
        }
        if awaiting != Awaiting::Error {
            let copied = self.hand_on_late(session).await;
            self.state.astir |= copied.map_err(|refused| unreadable(&refused.message))?;
        }
        let tag = self.target.arrived().first().copied();
        if tag.is_some_and(|tag| self.is_another(session, tag)) {
            return Err(Broken::Another.into());
        }
        self.state.looked = true;
        self.state.was_late = true;
        self.state.fresh = Instant::now();
        Ok(())
    }

    async fn freshen(&mut self, session: &mut Session) -> Result<(), Over> {
        if let Some((judged, footprints)) = self.state.late() {
            let known = self
                .catalogs
                .fresh(&mut self.near, &self.dialled, &self.database, session, &footprints)
                .await;
            if let Ok(known) = known
                && Arc::ptr_eq(&known, &judged)
            {
                self.state.known = known;
                self.state.fresh = Instant::now();
                return Ok(());
            }
        }
        let known = self
            .catalogs
            .fresh(&mut self.near, &self.dialled, &self.database, session, &[])
            .await;
        match known {
            Ok(known) => {
                self.state.known = self.own.over(&known, session, &self.database);
                // What the freshest catalog does not hold is uncommitted, temporary, or a lie: unknown in any case.
                self.state.strangers = true;
                self.state.fresh = Instant::now();
                Ok(())
            }
            Err(error) => Err(unreadable(&error.to_string())),
        }
    }
}

/// Says goodbye to the target. What is `running` there is cancelled until the connection ends: PostgreSQL passes over a cancel that
/// arrives between two messages, as where it has not begun to read the next one, which would run to its end, whoever is gone by then.
pub(super) async fn leave(wire: Wire<TargetStream>, target: &Target, key: &CancelKey, running: bool) {
    if !running {
        return wire.close(GOODBYE).await;
    }
    tokio::select! {
        biased;
        () = wire.see_off(GOODBYE) => {}
        () = keep_cancelling(target, key) => {}
    }
}

/// Goes on for ever. May be cancelled.
async fn keep_cancelling(target: &Target, key: &CancelKey) {
    loop {
        if let Err(error) = dial::cancel(target, key).await {
            tracing::warn!(%error, "a cancel could not be passed on");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Without a catalog nothing is passed on, and nothing stays unprotected without a word.
fn unreadable(why: &str) -> Over {
    Over::saying(
        EndCause::TargetLost,
        sqlstate::UNAVAILABLE,
        &format!("rows cannot be masked: {why}"),
    )
}
