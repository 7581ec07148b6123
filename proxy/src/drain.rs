//! A door's end, in steps: not ready, then no more connections, then no more time.

use std::time::Duration;

use sallyport_runtime::shutdown;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Whoever is still in a transaction when the time is over is told so within this.
const FAREWELL: Duration = Duration::from_secs(5);

/// How far a door is on its way to its end.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Cancelled at the first signal: not ready, no new session; idle ones end, what waits for a second person is withdrawn,
    /// what runs or is in a transaction goes on.
    pub begun: CancellationToken,
    /// Cancelled when no more connections are taken. Until then whoever was still sent here is refused in words.
    pub closed: CancellationToken,
    /// Cancelled when the time is over: what is left is stopped and told why.
    pub over: CancellationToken,
}

// === impl Drain ===

impl Drain {
    /// Begins when `begun` is cancelled.
    pub fn at(begun: CancellationToken) -> Self {
        Self {
            begun,
            ..Self::default()
        }
    }

    /// The same for one session, whose waits then take no place in a line that all sessions have in common.
    #[must_use]
    pub fn of_session(&self) -> Self {
        Self {
            begun: self.begun.child_token(),
            closed: self.closed.clone(),
            over: self.over.child_token(),
        }
    }

    /// Takes every step in its time, and returns when all sessions have ended or the time is over. `linger`: how long new
    /// clients are answered; `limit`: how long sessions have to end, both from the beginning of the drain.
    pub async fn follow(&self, sessions: &TaskTracker, linger: Duration, limit: Duration) {
        self.begun.cancelled().await;
        let end = Instant::now() + limit;
        // Endpoints are taken out of a Service some time after readiness fell; a closed port would be no answer.
        tokio::time::sleep(linger.min(limit)).await;
        self.closed.cancel();
        let left = end.saturating_duration_since(Instant::now());
        if shutdown::drain(sessions, left.saturating_sub(FAREWELL)).await {
            return;
        }
        self.over.cancel();
        shutdown::drain(sessions, end.saturating_duration_since(Instant::now())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_step_comes_in_its_time() {
        let (drain, sessions) = (Drain::default(), TaskTracker::new());
        let over = drain.over.clone();
        let stubborn = sessions.spawn(async move { over.cancelled().await });
        let (following, tracker) = (drain.clone(), sessions.clone());
        let began = Instant::now();
        let follower = tokio::spawn(async move {
            following
                .follow(&tracker, Duration::from_secs(5), Duration::from_secs(50))
                .await;
        });
        drain.begun.cancel();
        assert!(!drain.closed.is_cancelled(), "new clients are still answered");
        drain.closed.cancelled().await;
        assert_eq!(began.elapsed().as_secs(), 5);
        drain.over.cancelled().await;
        assert_eq!(began.elapsed().as_secs(), 45);
        stubborn.await.unwrap();
        follower.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 45, "nobody is waited for who has gone");
    }
}
