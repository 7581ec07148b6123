//! From the handles to the task. Waking the task costs more than handing it a record, so records that nobody waits for do not
//! wake a task that looks into the box soon anyway.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

/// Both ends.
pub(super) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        letters: Mutex::new(Letters {
            queue: VecDeque::new(),
            closed: false,
        }),
        looks_soon: AtomicBool::new(false),
    });
    let (bell, rings) = mpsc::channel(1);
    let sender = Sender {
        shared: Arc::clone(&shared),
        bell,
    };
    (sender, Receiver { shared, rings })
}

struct Shared<T> {
    letters: Mutex<Letters<T>>,
    /// The receiver looks by itself within moments.
    looks_soon: AtomicBool,
}

struct Letters<T> {
    queue: VecDeque<T>,
    closed: bool,
}

/// The end of the handles.
pub(super) struct Sender<T> {
    shared: Arc<Shared<T>>,
    bell: mpsc::Sender<()>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            bell: self.bell.clone(),
        }
    }
}

/// The end of the task.
pub(super) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    rings: mpsc::Receiver<()>,
}

// === impl Shared ===

impl<T> Shared<T> {
    fn letters(&self) -> std::sync::MutexGuard<'_, Letters<T>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Sender ===

impl<T> Sender<T> {
    /// Puts a letter into the box; `false` when it is closed. `urgent`: somebody waits for what comes of it.
    pub(super) fn send(&self, letter: T, urgent: bool) -> bool {
        {
            let mut letters = self.shared.letters();
            if letters.closed {
                return false;
            }
            letters.queue.push_back(letter);
        }
        if urgent || !self.shared.looks_soon.load(Ordering::SeqCst) {
            // A full channel means that the bell rings already; without a receiver the box is about to be closed.
            let _ = self.bell.try_send(());
        }
        true
    }
}

// === impl Receiver ===

impl<T> Receiver<T> {
    /// The next letter; `None` when every sender is gone. May be cancelled without loss.
    pub(super) async fn recv(&mut self) -> Option<T> {
        loop {
            if let Some(letter) = self.try_recv() {
                return Some(letter);
            }
            if self.rings.recv().await.is_none() {
                return self.try_recv();
            }
        }
    }

    /// The next letter, if there is one.
    pub(super) fn try_recv(&mut self) -> Option<T> {
        self.shared.letters().queue.pop_front()
    }

    /// From now on the receiver looks by itself soon, or no longer does. Before it stops, it looks once more.
    pub(super) fn look_soon(&self, soon: bool) {
        self.shared.looks_soon.store(soon, Ordering::SeqCst);
    }

    /// Takes no more letters; those in the box stay.
    pub(super) fn close(&mut self) {
        self.shared.letters().closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.letters().closed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shared.letters().queue.is_empty()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn letters_come_in_order_and_the_end_is_seen() {
        let (sender, mut receiver) = mailbox();
        let other = sender.clone();
        assert!(sender.send(1, false) && other.send(2, true));
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(1), Some(2)));
        assert!(other.send(3, false));
        drop((sender, other));
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(3), None));
    }

    #[tokio::test]
    async fn what_is_not_urgent_waits_for_a_receiver_that_looks_soon() {
        let (sender, mut receiver) = mailbox();
        receiver.look_soon(true);
        assert!(sender.send(1, false));
        let mut unrung = tokio::time::timeout(Duration::from_millis(20), receiver.rings.recv()).await;
        assert!(unrung.is_err(), "nobody was to be woken");
        assert!(sender.send(2, true));
        unrung = tokio::time::timeout(Duration::from_secs(5), receiver.rings.recv()).await;
        assert!(unrung.is_ok());
        receiver.look_soon(false);
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Some(1), Some(2)));
        assert!(sender.send(3, false));
        assert_eq!(receiver.recv().await, Some(3));
        receiver.close();
        assert!(!sender.send(4, true), "a closed box takes nothing");
    }
}
