//! The task that owns the stream to one recorder.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::{EvidenceError, Gauge, Link, Message, State};

pub(super) fn spawn(
    _link: Link,
    mut messages: mpsc::UnboundedReceiver<Message>,
    _state: watch::Sender<State>,
    _gauge: Arc<Gauge>,
    runtime: &Handle,
) -> Result<(), EvidenceError> {
    runtime.spawn(async move { while messages.recv().await.is_some() {} });
    Ok(())
}
