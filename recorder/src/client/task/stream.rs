//! An open stream: records out, acknowledgements in.

use std::time::Duration;

use sallyport_audit::record::RecordError;
use sallyport_audit::wire::{Ack, Batch, Frame};
use tokio::io::WriteHalf;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Break, Task};
use crate::client::EvidenceError;
use crate::client::road::{Live, Stream, write_here};
use crate::frames::{StreamError, write};

/// Batches on the stream at one time: the recorder gathers what arrives while it waits for its disk, so a few suffice.
const IN_FLIGHT: usize = 4;
/// How long records that nobody waits for are gathered: each batch costs the recorder an fdatasync, which is better spent
/// together with the next one that somebody does wait for.
const GATHER: Duration = Duration::from_millis(50);
const ALIVE: Duration = Duration::from_secs(3);
/// A recorder that says nothing for this long, not even to a keep-alive, is gone.
const SILENCE: Duration = Duration::from_secs(12);

impl Task {
    /// Sends and hears until the stream breaks or everything is said.
    pub(super) async fn stream(&mut self, mut live: Live) -> Break {
        let mut alive = interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        // What is left of an earlier stream goes at once.
        let mut send_at = Some(Instant::now());
        loop {
            self.messages.look_soon(false);
            while let Some(message) = self.messages.try_recv() {
                if self.take(Some(message)).is_none() {
                    break;
                }
            }
            if let Err(broke) = self.present(&mut live).await {
                return broke;
            }
            let open = !self.messages.is_closed();
            let due = !open || self.queue.is_urgent() || send_at.is_some_and(|at| at <= Instant::now());
            if due && let Err(broke) = self.send(&mut live).await {
                return broke;
            }
            // With the stream full, the next acknowledgement is when there is room again.
            let waits = self.queue.has_unsent() && self.queue.in_flight() < IN_FLIGHT;
            send_at = match send_at {
                Some(at) if waits && !due => Some(at),
                _ => waits.then(|| Instant::now() + GATHER),
            };
            self.messages.look_soon(send_at.is_some());
            if !open && self.queue.is_empty() {
                match &mut live {
                    // The other end may be gone already; it notices by itself.
                    Live::Stream { out, .. } => _ = write(out, &[Frame::Bye]).await,
                    Live::Here { attached, .. } => attached.goodbye = true,
                }
                return Break::Done;
            }
            let step = tokio::select! {
                message = self.messages.recv(), if open => {
                    self.take(message);
                    Ok(())
                }
                frame = live.next() => {
                    heard = Instant::now();
                    self.hear(frame)
                }
                () = tokio::time::sleep_until(send_at.unwrap_or(heard)), if send_at.is_some() => Ok(()),
                _ = alive.tick() => match &mut live {
                    Live::Stream { out, .. } => self.keep_alive(out, heard).await,
                    Live::Here { .. } => Ok(()),
                },
            };
            if let Err(broke) = step {
                return broke;
            }
        }
    }

    /// Shows the recorder what waits to be shown.
    async fn present(&mut self, live: &mut Live) -> Result<(), Break> {
        let Live::Stream { out, .. } = live else {
            self.presents.pass();
            return Ok(());
        };
        if !self.tokens {
            self.presents.pass();
            return Ok(());
        }
        for present in self.presents.next() {
            tell(out, Frame::Present(present)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, live: &mut Live) -> Result<(), Break> {
        while self.queue.in_flight() < IN_FLIGHT && self.queue.has_unsent() {
            match live {
                Live::Stream { out, .. } => {
                    let next = self.queue.next_batch();
                    let Some((first, records)) = self.sealed(next)? else {
                        break;
                    };
                    let batch = Batch {
                        first,
                        head: self.head,
                        records,
                    };
                    tell(out, Frame::Batch(batch)).await?;
                }
                Live::Here { attached, door } => {
                    let next = self.queue.next_checked();
                    let Some((_, records)) = self.sealed(next)? else { break };
                    // What arrives while this thread waits for the disk goes together next time.
                    let written = write_here(&attached.log, door, records);
                    let (up_to, size) = written.map_err(|error| self.refused_by_log(error))?;
                    self.acknowledged(up_to, size)?;
                }
            }
        }
        Ok(())
    }

    fn sealed<T>(&mut self, next: Result<T, RecordError>) -> Result<T, Break> {
        next.or_else(|error| {
            // One record that cannot be written down must not stop all others.
            self.queue.fail(|| EvidenceError::Refused(error.to_string()));
            self.renew()?;
            Err(error.into())
        })
    }

    fn hear(&mut self, frame: Result<Frame, StreamError>) -> Result<(), Break> {
        match frame? {
            Frame::Ack(Ack { up_to, head }) => {
                self.see(head)?;
                self.acknowledged(up_to, head.size)
            }
            Frame::KeepAlive => Ok(()),
            Frame::Vouched(vouched) => {
                self.presents.answer(vouched);
                Ok(())
            }
            Frame::Refuse(refuse) => Err(self.refused(refuse)),
            _ => Err(Break::Problem(
                "the recorder sends what recorders do not send".to_owned(),
            )),
        }
    }

    /// Records up to this number are on disk, in a log of this size.
    fn acknowledged(&mut self, up_to: u64, size: u64) -> Result<(), Break> {
        let released = self
            .queue
            .ack(up_to)
            .ok_or(Break::Problem("the recorder acknowledges what was not sent".to_owned()))?;
        self.release(released);
        let again = released.anew && self.refusal.take().is_some();
        if again {
            tracing::info!("records go to the recorder again");
        }
        self.state.send_if_modified(|state| {
            state.tree_size = size;
            if again {
                (state.connected, state.problem) = (true, String::new());
            }
            again
        });
        Ok(())
    }

    /// Now and then: are we both here, and is the newest head genuine?
    async fn keep_alive(&self, out: &mut WriteHalf<Box<dyn Stream>>, heard: Instant) -> Result<(), Break> {
        if heard.elapsed() > SILENCE {
            return Err(StreamError::Silent.into());
        }
        // Checking each acknowledgement's signature would cost as much as everything else here; a forged one is found by the
        // next check, and changes nothing in what this recorder is trusted with.
        if let (Some(head), Some(key)) = (&self.head, &self.key)
            && !head.verifies(key)
        {
            return Err(Break::Problem(
                "the recorder's tree head is not signed by its key".to_owned(),
            ));
        }
        tell(out, Frame::KeepAlive).await
    }
}

/// Sends a frame; a recorder that takes none for as long as it may be silent is gone, too.
async fn tell(out: &mut WriteHalf<Box<dyn Stream>>, frame: Frame) -> Result<(), Break> {
    timeout(SILENCE, write(out, &[frame]))
        .await
        .map_err(|_| StreamError::Silent)??;
    Ok(())
}
