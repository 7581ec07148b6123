//! An orderly end: one token that everybody watches, and a bounded time to finish.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts to listen for SIGTERM and SIGINT; the token is cancelled at the first of them. Needs a tokio runtime.
///
/// # Errors
/// When the process cannot install signal handlers.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "draining");
        cancelled.cancel();
    });
    Ok(token)
}

/// Waits until every task of `tracker` has ended, at most for `limit`. True when all ended in time.
pub async fn drain(tracker: &TaskTracker, limit: Duration) -> bool {
    tracker.close();
    let ended = tokio::time::timeout(limit, tracker.wait()).await.is_ok();
    if !ended {
        tracing::warn!(
            remaining = tracker.len(),
            "the time to drain is over; ending what is left"
        );
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_tasks_but_not_for_ever() {
        let tracker = TaskTracker::new();
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        tracker.spawn(async move {
            let _ = held.await;
        });
        assert!(!drain(&tracker, Duration::from_secs(5)).await);
        release.send(()).unwrap();
        assert!(drain(&tracker, Duration::from_secs(5)).await);
    }
}
