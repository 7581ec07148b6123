//! Waiting for other rules.

use std::future::{pending, poll_fn};
use std::task::{Context, Poll, ready};

use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use crate::door::Rules;

/// Tells when the rules have changed.
///
/// It stays in the line of those who wait from one wait to the next: sessions wait several times for each statement, the line is one for
/// all of them and all threads, and who takes a place in it touches others' memory.
pub struct News {
    next: ReusableBoxFuture<'static, watch::Receiver<Rules>>,
}

// === impl News ===

impl News {
    /// Of the changes that `rules` has not seen.
    pub fn of(rules: watch::Receiver<Rules>) -> Self {
        Self {
            next: ReusableBoxFuture::new(changed(rules)),
        }
    }

    /// Waits until the rules have changed since this was told last. May be cancelled.
    pub async fn heard(&mut self) {
        poll_fn(|cx| self.poll_heard(cx)).await;
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let rules = ready!(self.next.poll(cx));
        self.next.set(changed(rules));
        Poll::Ready(())
    }
}

/// Nobody changes them any more where the sender is gone.
async fn changed(mut rules: watch::Receiver<Rules>) -> watch::Receiver<Rules> {
    if rules.changed().await.is_err() {
        pending::<()>().await;
    }
    rules
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn each_change_is_heard_of_once_whoever_was_waited_for_meanwhile() {
        let shut = |why: &str| Rules::Shut(why.to_owned());
        let (sender, rules) = watch::channel(shut("first"));
        let mut news = News::of(rules);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(news.poll_heard(cx).is_pending());
        assert!(news.poll_heard(cx).is_pending());
        sender.send_replace(shut("second"));
        sender.send_replace(shut("third"));
        assert!(news.poll_heard(cx).is_ready());
        assert!(news.poll_heard(cx).is_pending());
        drop(sender);
        assert!(news.poll_heard(cx).is_pending());
    }
}
