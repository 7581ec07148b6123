//! The control plane of a door in a cluster: what is enforced, and whether that is still what the operator wants.
//!
//! Reading order: [`Flags`] and [`Place`] (which Connection), `guard` (which carrier counts), `materials` (what Secrets
//! give), `opening` (from both to what a door enforces), `keeper` (the one task that looks at all of it), `evidence` (ways
//! to recorders), `report` (what the operator hears, and its `word`), `columns` (what it keeps), `sought` (names of columns that fit none),
//! `peers` (the other replicas), [`Status`] (how the door stands).

#[cfg(test)]
pub(crate) mod apiserver;
mod away;
mod columns;
mod contact;
pub(crate) mod evidence;
mod guard;
mod keeper;
mod lack;
pub(crate) mod materials;
pub mod metrics;
pub(crate) mod opening;
mod peers;
mod place;
mod report;
mod sought;
mod status;
mod watch;
mod word;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use sallyport_audit::record::Instance;
use sallyport_runtime::vitals::Vitals;
use sallyport_runtime::workload::EnrollError;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::approval::Requests;
use crate::door::{Door, Sessions};
use crate::drain::Drain;
use crate::identity::{Identities, Pace};
use crate::peers::Hear;
use peers::Ear;

pub use contact::Contact;
pub use lack::Lack;
pub use place::{FlagError, Flags, Place};
pub use status::{Status, readiness};

/// A door in a cluster.
#[derive(Clone)]
pub struct Control {
    /// The door to hand to each accepted connection; None until a believed policy names its sinks. It is another one after a
    /// change of sinks.
    pub doors: Receiver<Option<Door>>,
    /// How it stands.
    pub status: Receiver<Status>,
}

/// Why the control plane cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A flag is missing or cannot be read.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// No client for the API server.
    #[error("the API server's address or credential cannot be found: {0}")]
    Client(String),
    /// The port for other replicas is taken.
    #[error("the port for other replicas, {0}: {1}")]
    Peers(SocketAddr, std::io::Error),
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] sallyport_audit::record::RandomError),
}

/// Starts the control plane on the present runtime, and returns at once: the door opens when the operator has given a
/// certificate, a policy that it signed was read, and it has said that this policy counts. `heard` takes cancels that other
/// replicas do not know; `drain` and `vitals` are the process's.
///
/// # Errors
/// When a flag is missing, this is no Pod of a cluster, or the port for other replicas is taken.
pub async fn start(flags: &Flags, heard: Hear, drain: Drain, vitals: &Vitals) -> Result<Control, StartError> {
    let place = flags.place()?;
    let instance = Instance::random()?;
    let client = kube::Client::try_default()
        .await
        .map_err(|error| StartError::Client(error.to_string()))?;
    let ear = Ear::bind(flags, &place.connection, heard).await?;
    let (publish_doors, doors) = tokio::sync::watch::channel(None);
    let waiting = Status {
        shut: Some("no workload certificate yet".to_owned()),
        ..Status::default()
    };
    let (publish_status, status) = tokio::sync::watch::channel(waiting);
    let enrollment = flags.enrollment.clone();
    let seen = status.clone();
    let (keeping, reporting, hearing) = (
        vitals.part("keeping the policy"),
        vitals.part("reporting to the operator"),
        vitals.part("hearing other replicas"),
    );
    tokio::spawn(async move {
        let _keeping = keeping;
        let operator_url = enrollment.operator_url.clone();
        // The certificate is renewed as long as the process lives: a draining door still records.
        let credential = match enrollment.start(CancellationToken::new()).await {
            Ok(credential) => credential,
            Err(error @ EnrollError::Tls(_)) => {
                return tracing::error!(%error, "no workload certificate can be had; the door stays shut");
            }
            Err(error) => return tracing::error!(%error, "no workload certificate"),
        };
        let runtime = tokio::runtime::Handle::current();
        let contact = Arc::new(Contact::new());
        let identities = Arc::new(Identities::new(
            runtime.clone(),
            Some(Arc::new(client.clone())),
            Pace::default(),
        ));
        let requests = Requests::start(client.clone(), place.clone(), Arc::clone(&contact), &runtime);
        let (tell, word) = tokio::sync::watch::channel(word::Word::default());
        let sessions = Sessions::default();
        let reporter = report::Reporter {
            place: place.clone(),
            instance,
            sessions: sessions.clone(),
            status: seen,
            drain: drain.begun.clone(),
            word: tell,
        };
        let columns = match columns::Operator::new(&operator_url, &credential, runtime) {
            Ok(columns) => Arc::new(columns),
            Err(error) => return tracing::error!(%error, "no way to the operator; the door stays shut"),
        };
        let peers = match ear.open(&place.connection, &credential, sessions.clone(), hearing) {
            Ok(peers) => Arc::new(peers),
            Err(error) => return tracing::error!(%error, "no way to other replicas; the door stays shut"),
        };
        let reports = reporter.run(operator_url, credential.clone());
        tokio::spawn(async move {
            let _reporting = reporting;
            reports.await;
        });
        let parts = keeper::Parts {
            place,
            client,
            credential,
            contact,
            identities,
            requests,
            columns,
            peers,
            sessions,
            drain,
            word,
            doors: publish_doors,
            status: publish_status,
            metrics: metrics::get(),
        };
        keeper::Keeper::new(parts).run().await;
    });
    Ok(Control { doors, status })
}
