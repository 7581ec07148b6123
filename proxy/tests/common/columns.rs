//! Other replicas of a door, as the operator speaks for them.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use sallyport_policy::columns::{ByRule, Told};
use sallyport_proxy::door::{Columns, NotKept};

/// Whether other replicas can protect what they are told, and what they were told so far.
#[derive(Clone, Default)]
pub struct Replicas(Arc<Mutex<(Option<NotKept>, ByRule)>>, Arc<Mutex<Option<Happening>>>);

/// What happens while they are told.
type Happening = Box<dyn Fn() + Send>;

impl Replicas {
    /// From now on they answer so.
    pub fn answer(&self, refusal: Option<NotKept>) {
        self.0.lock().unwrap().0 = refusal;
    }

    /// From now on this happens while they are told.
    pub fn meanwhile(&self, happens: impl Fn() + Send + 'static) {
        *self.1.lock().unwrap() = Some(Box::new(happens));
    }

    /// What they were told and took.
    pub fn kept(&self) -> ByRule {
        self.0.lock().unwrap().1.clone()
    }
}

impl Columns for Replicas {
    fn keep(&self, told: Told) -> BoxFuture<'static, Result<(), NotKept>> {
        if let Some(happens) = &*self.1.lock().unwrap() {
            happens();
        }
        let mut state = self.0.lock().unwrap();
        let answer = state.0.map_or(Ok(()), Err);
        if answer.is_ok() {
            for (rule, columns) in &told.rules {
                state.1.entry(rule.clone()).or_default().merge(columns);
            }
        }
        Box::pin(std::future::ready(answer))
    }
}
