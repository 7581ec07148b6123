//! A guarded watch: fills a store and tells what moved, after the store knows it.

use std::fmt::Debug;

use futures::StreamExt;
use kube::Resource;
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use serde::de::DeserializeOwned;

/// What a watch saw.
#[derive(Debug)]
pub enum Seen<'a, K> {
    /// One object was made or changed.
    Object(&'a K),
    /// One object was deleted.
    Gone(&'a K),
    /// Everything was listed anew; deletions in between were not told one by one.
    Everything,
}

/// Watches until the end of time, through every error, with growing pauses. Objects that do not decode must be guarded by
/// their type (`DeserializeGuard`, `PartialObjectMeta`), or they stop the whole list.
pub async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    mut writer: Option<Writer<K>>,
    mut seen: impl FnMut(Seen<'_, K>),
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut events = std::pin::pin!(watch(api, config).default_backoff());
    let mut failing = false;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                // Once for each time that it begins to fail, not for each attempt.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(kind = %K::kind(&()), %error, "a watch failed; trying again");
                }
                continue;
            }
        };
        if std::mem::take(&mut failing) {
            tracing::info!(kind = %K::kind(&()), "the watch works again");
        }
        if let Some(writer) = &mut writer {
            writer.apply_watcher_event(&event);
        }
        match &event {
            Event::Apply(object) => seen(Seen::Object(object)),
            Event::Delete(object) => seen(Seen::Gone(object)),
            Event::InitDone => seen(Seen::Everything),
            Event::Init | Event::InitApply(_) => {}
        }
    }
}
