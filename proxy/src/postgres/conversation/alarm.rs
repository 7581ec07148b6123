//! One timer for many waits.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is kept from one wait to the next, and moved only where the next one ends at another time: a session waits several times
/// for each statement, nearly always until the same.
pub(super) struct Alarm(Pin<Box<Sleep>>);

// === impl Alarm ===

impl Alarm {
    pub(super) fn new(at: Instant) -> Self {
        Self(Box::pin(sleep_until(at)))
    }

    /// Waits until then. May be cancelled.
    pub(super) async fn at(&mut self, until: Instant) {
        if self.0.deadline() != until {
            self.0.as_mut().reset(until);
        }
        self.0.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_was_set_to_last() {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let mut alarm = Alarm::new(began + 9 * second);
        for (until, rings) in [(5, 5), (7, 7), (6, 7), (7, 7), (20, 20)] {
            alarm.at(began + until * second).await;
            assert_eq!(began.elapsed(), rings * second, "{until}");
        }
    }
}
