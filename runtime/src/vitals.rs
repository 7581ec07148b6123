//! What a process cannot go on without: a part that ends before the process does makes liveness fail.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::admin::Probe;

/// How often a runtime shows that it goes on.
const BEAT: Duration = Duration::from_secs(1);
/// A runtime that has not for this long is stuck in something that blocks.
const STUCK: Duration = Duration::from_secs(20);

/// The parts of a process that have ended and should not have, and the runtimes that stand still.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    ended: BTreeSet<&'static str>,
    beats: Vec<(&'static str, Instant)>,
}

/// A part that is alive until this is dropped, also by a panic.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    vitals: Vitals,
    orderly: bool,
}

// === impl Vitals ===

impl Vitals {
    /// A part begins; the value goes with what does its work.
    pub fn part(&self, name: &'static str) -> Part {
        Part {
            name,
            vitals: self.clone(),
            orderly: false,
        }
    }

    /// Does a part's work until `end`. It has ended too early when it ends before that.
    pub fn keep<W>(&self, name: &'static str, end: CancellationToken, work: W) -> impl Future<Output = ()> + use<W>
    where
        W: Future<Output = ()>,
    {
        let part = self.part(name);
        async move {
            end.run_until_cancelled(work).await;
            // The work may have seen the end before this did.
            if end.is_cancelled() {
                part.over();
            }
        }
    }

    /// Shows for as long as its runtime goes on that it does. To be spawned there.
    pub fn beat(&self, name: &'static str) -> impl Future<Output = ()> + use<> {
        let vitals = self.clone();
        let mut known = self.lock();
        known.beats.push((name, Instant::now()));
        let place = known.beats.len() - 1;
        drop(known);
        async move {
            let mut beats = tokio::time::interval(BEAT);
            loop {
                beats.tick().await;
                if let Some((_, at)) = vitals.lock().beats.get_mut(place) {
                    *at = Instant::now();
                }
            }
        }
    }

    /// Liveness: every part is alive, and no runtime stands still.
    pub fn probe(&self) -> Probe {
        let vitals = self.clone();
        Arc::new(move || vitals.lock().at(Instant::now()))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    fn at(&self, now: Instant) -> Result<(), String> {
        if !self.ended.is_empty() {
            let names: Vec<_> = self.ended.iter().copied().collect();
            return Err(format!("ended by itself: {}", names.join(", ")));
        }
        let stuck = |beat: &&(&str, Instant)| now.saturating_duration_since(beat.1) > STUCK;
        match self.beats.iter().find(stuck) {
            Some((name, _)) => Err(format!("stands still: {name}")),
            None => Ok(()),
        }
    }
}

// === impl Part ===

impl Part {
    /// It ends because the process does.
    pub fn over(mut self) {
        self.orderly = true;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.orderly {
            return;
        }
        tracing::error!(
            part = self.name,
            "ended by itself; the process is no longer alive as a whole"
        );
        self.vitals.lock().ended.insert(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_stands_still_is_named() {
        let vitals = Vitals::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let began = Instant::now();
        runtime.spawn(vitals.beat("sessions"));
        runtime.block_on(async { tokio::time::sleep(BEAT + BEAT / 2).await });
        let known = vitals.lock();
        assert!(known.beats[0].1 > began + BEAT / 2, "it beats");
        assert_eq!(known.at(known.beats[0].1 + STUCK), Ok(()));
        let late = known.beats[0].1 + STUCK + BEAT;
        assert_eq!(known.at(late), Err("stands still: sessions".to_owned()));
    }

    #[tokio::test]
    async fn what_ends_by_itself_or_panics_is_named_and_an_orderly_end_is_not() {
        let (vitals, end) = (Vitals::default(), CancellationToken::new());
        let probe = vitals.probe();
        let running = tokio::spawn(vitals.keep("orderly", end.clone(), std::future::pending()));
        assert_eq!(probe(), Ok(()));
        tokio::spawn(vitals.keep("finished", end.clone(), async {}))
            .await
            .unwrap();
        assert_eq!(probe(), Err("ended by itself: finished".to_owned()));
        let part = vitals.part("thread");
        let thread = std::thread::spawn(move || {
            let _part = part;
            panic!("of this test");
        });
        thread.join().unwrap_err();
        end.cancel();
        running.await.unwrap();
        assert_eq!(probe(), Err("ended by itself: finished, thread".to_owned()));
    }
}
