//! Runs a reconciler: takes names from a queue, looks at each object once at a time, tries again what failed.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt, StreamExt};
use kube::Resource;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};

use crate::context::{Context, Error};
use crate::shared::backoff::Backoff;

/// How a kind is reconciled.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Changes that come together within this time are looked at once.
    pub debounce: Duration,
    /// Objects of the kind that are looked at side by side.
    pub side_by_side: u16,
}

/// Reconciles the objects of one kind until the queue ends. `kind` is the label in metrics and logs.
pub async fn drive<K, F, Fut>(
    kind: &'static str,
    store: Store<K>,
    queue: UnboundedReceiver<ObjectRef<K>>,
    context: Arc<Context>,
    pace: Pace,
    reconcile: F,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    F: Fn(Arc<K>, Arc<Context>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let backoff: Arc<Backoff<ObjectRef<K>>> = Arc::default();
    let reconcile = Arc::new(reconcile);
    let look = {
        let backoff = backoff.clone();
        move |object: Arc<K>, context: Arc<Context>| {
            let (backoff, reconcile) = (backoff.clone(), reconcile.clone());
            async move {
                let started = Instant::now();
                let reference = ObjectRef::from_obj(&*object);
                let outcome = reconcile(object, context.clone()).await;
                context.metrics.reconciled(kind, started.elapsed(), outcome.is_ok());
                if outcome.is_ok() {
                    backoff.succeeded(&reference);
                }
                outcome
            }
            .boxed()
        }
    };
    let failed = move |object: Arc<K>, error: &Error, _: Arc<Context>| {
        let reference = ObjectRef::from_obj(&*object);
        tracing::warn!(kind, object = %reference, %error, "reconciling failed; trying again");
        Action::requeue(backoff.failed(reference))
    };
    let config = Config::default().debounce(pace.debounce).concurrency(pace.side_by_side);
    // Errors were logged above; a queued name whose object is gone by now is none.
    applier(look, failed, context, store, queue.map(Ok::<_, Infallible>), config)
        .for_each(|_| std::future::ready(()))
        .await;
}
