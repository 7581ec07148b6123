//! Nothing is written by a process that may no longer lead. One that was stopped for a while goes on where it was, with all that it
//! was about to write, and learns only when it looks at the Lease that another has led since.
//!
//! The API server does not know who leads, so every write is held against this process's own monotonic clock just before it goes
//! out. What that cannot see is a stop between this look and the socket.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::Request;
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;

use super::GIVE_UP;

/// For how long this process leads without renewing. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Lead(Arc<Mutex<Option<Instant>>>);

/// Nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("this process no longer leads, or has not renewed its Lease in time: nothing is written")]
struct NotLeading;

// === impl Lead ===

impl Lead {
    /// Whether this process may write.
    pub fn holds(&self) -> bool {
        self.until().is_some()
    }

    /// The Lease was taken or renewed by what went out at `sent`: others count from later on.
    pub(super) fn renewed(&self, sent: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
    }

    /// It is given back, or lost.
    pub(super) fn over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Until when this process may write; `None` once it may not.
    fn until(&self) -> Option<Instant> {
        let sent = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.map(|sent| sent + GIVE_UP).filter(|until| Instant::now() < *until)
    }

    /// Goes on with a write for as long as this process leads.
    async fn during<T>(&self, write: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
        let mut write = std::pin::pin!(write);
        while let Some(until) = self.until() {
            tokio::select! {
                biased;
                // Renewed meanwhile, or over.
                () = tokio::time::sleep_until(until) => {}
                answer = &mut write => return answer,
            }
        }
        Err(kube::Error::Service(Box::new(NotLeading)))
    }
}

/// A client that reads at any time, and writes only while this process leads.
pub fn fenced(client: Client, lead: Lead) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, lead) = (client.clone(), lead.clone());
        async move {
            let reads = request.method().is_safe();
            let answer = client.send(request);
            match reads {
                true => answer.await,
                false => lead.during(answer).await,
            }
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, ObjectMeta, PostParams};

    use super::*;
    use crate::testing::api::ApiServer;

    fn named(name: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_reads_and_writes_nothing_when_it_goes_on() {
        let (server, lead) = (ApiServer::default(), Lead::default());
        let api = Api::<ConfigMap>::namespaced(fenced(server.client(), lead.clone()), "doors");
        let write = async |name: &str| api.create(&PostParams::default(), &named(name)).await;

        let refused = write("early").await.unwrap_err();
        assert!(refused.to_string().contains("nothing is written"), "{refused}");
        lead.renewed(Instant::now());
        write("one").await.unwrap();
        tokio::time::advance(GIVE_UP.saturating_sub(Duration::from_millis(10))).await;
        write("two").await.unwrap();
        assert_eq!(server.writes().len(), 2);

        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!lead.holds());
        write("three").await.unwrap_err();
        assert_eq!(server.writes(), Vec::<String>::new(), "nothing reached the API server");
        assert!(api.get_opt("one").await.unwrap().is_some(), "what is read goes on");

        lead.renewed(Instant::now());
        write("four").await.unwrap();
        lead.over();
        write("five").await.unwrap_err();
        assert_eq!(server.writes().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_takes_long_goes_on_while_the_lease_is_renewed() {
        let lead = Lead::default();
        let slow = async {
            tokio::time::sleep(3 * GIVE_UP).await;
            Ok("written")
        };
        lead.renewed(Instant::now());
        let renewals = async {
            for _ in 0..3 {
                tokio::time::sleep(GIVE_UP / 2).await;
                lead.renewed(Instant::now());
            }
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        let outcome = tokio::select! {
            outcome = lead.during(slow) => outcome,
            () = renewals => unreachable!("renewals never end"),
        };
        assert!(outcome.is_err(), "the last renewal was too long ago");
        assert_eq!(began.elapsed().as_secs(), (GIVE_UP / 2 * 3 + GIVE_UP).as_secs());
    }
}
