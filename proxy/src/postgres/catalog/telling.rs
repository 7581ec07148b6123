//! Tells of protected columns that are not kept yet, in the background: no statement waits for it.

use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::Policy;
use sallyport_policy::columns::{ByRule, Told};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::door::Columns;

/// Between two tries; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// One database's news, told until they are kept.
pub(super) struct Telling(watch::Sender<Option<News>>);

#[derive(Clone)]
struct News {
    columns: Arc<dyn Columns>,
    rules: ByRule,
}

// === impl Telling ===

impl Telling {
    /// Begins on `runtime`; ends when it is dropped.
    pub(super) fn start(database: String, runtime: &Handle) -> Self {
        let (news, told) = watch::channel(None);
        runtime.spawn(run(database, told));
        Self(news)
    }

    /// Has this told instead of what was to be told before. Rules that no longer concern the Connection are left out.
    pub(super) fn tell(&self, columns: &Arc<dyn Columns>, mut rules: ByRule, policy: &Policy) {
        rules.retain(|uid, _| policy.masks().rules().iter().any(|rule| rule.uid == *uid));
        let news = (!rules.is_empty()).then(|| News {
            columns: Arc::clone(columns),
            rules,
        });
        self.0.send_replace(news);
    }
}

async fn run(database: String, mut told: watch::Receiver<Option<News>>) {
    let mut pause = PAUSE;
    while told.changed().await.is_ok() {
        loop {
            let Some(News { columns, rules }) = told.borrow_and_update().clone() else {
                break;
            };
            let told_now = Told {
                database: database.clone(),
                rules,
            };
            let Err(error) = columns.keep(told_now).await else {
                pause = PAUSE;
                break;
            };
            tracing::warn!(database, %error, "protected columns are not kept yet");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = LONGEST.min(pause * 2),
                // Other news: told at once.
                changed = told.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }
}
