//! One object by name, as it stands now.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::contact::Contact;

/// What is known of a watched object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen<T> {
    /// Nothing yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It is this.
    Present(T),
}

/// A watch of one object; ends when dropped.
pub(super) struct Watched<T> {
    seen: watch::Receiver<Seen<T>>,
    task: AbortHandle,
}

// === impl Watched ===

impl<T: Clone + Send + Sync + 'static> Watched<T> {
    /// Watches the object called `name`; `changed` is notified after every change, `contact` of every answer.
    pub(super) fn start<K, F>(api: Api<K>, name: &str, read: F, contact: Arc<Contact>, changed: Arc<Notify>) -> Self
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        F: Fn(K) -> T + Send + 'static,
    {
        let (publish, seen) = watch::channel(Seen::Unknown);
        let mut stream = Box::pin(watcher::watch_object(api, name).default_backoff());
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let now = match event {
                    Ok(Some(object)) => Seen::Present(read(object)),
                    Ok(None) => Seen::Absent,
                    Err(error) => {
                        // The object stays as it was last seen; how long that may last is the keeper's to judge.
                        tracing::debug!(%name, error = %kind(&error), "a watch was interrupted");
                        continue;
                    }
                };
                contact.heard();
                publish.send_replace(now);
                changed.notify_one();
            }
        });
        Self {
            seen,
            task: task.abort_handle(),
        }
    }

    pub(super) fn get(&self) -> Seen<T> {
        self.seen.borrow().clone()
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What failed, without the text that a server composed.
fn kind(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(_) => "list failed",
        watcher::Error::WatchStartFailed(_) => "watch could not be started",
        watcher::Error::WatchError(_) => "the API server ended the watch",
        watcher::Error::WatchFailed(_) => "the connection broke",
        watcher::Error::NoResourceVersion => "no resource version",
    }
}
