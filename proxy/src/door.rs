//! What a session needs to know of the Connection that its process serves: rules, credential, certificate, and the ways
//! to identity, approval, columns that stay protected, other replicas, and evidence.
//!
//! Everything here is a `Send` handle that the control plane fills and the data path reads: sessions run on
//! current-thread runtimes of their own and never wait for a Kubernetes client's lock.

mod approvals;
mod columns;
mod looked;
mod network;
mod peers;
mod refusals;
mod rules;
mod sessions;
mod tokens;

use std::sync::Arc;

use arc_swap::ArcSwap;
use sallyport_recorder::client::Evidence;
use tokio::sync::watch;

use crate::drain::Drain;

pub use approvals::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, HoldState, all_asked};
pub use columns::{Columns, NotKept, ThisProcess};
pub use looked::Fits;
pub use network::{Network, NetworkError};
pub use peers::Peers;
pub use refusals::{Refusal, Scope};
pub use rules::{Credential, Open, Rules, Secret, TargetTrust};
pub use sallyport_identity::{Identity, LoginRefused, Verifier};
pub use sessions::{Crowded, Sessions, Slot};

/// One Connection's door, shared by all of its sessions.
#[derive(Clone)]
pub struct Door {
    /// What is enforced now. A session looks before every unit of work; `Rules::Shut` admits nobody.
    pub rules: watch::Receiver<Rules>,
    /// The door's own TLS: certificate and ALPN of the protocol. Swapped at rotation; `None` while there is none.
    pub tls: Arc<ArcSwap<Option<Arc<rustls::ServerConfig>>>>,
    /// Says who presents a token.
    pub verifier: Arc<dyn Verifier>,
    /// Asks second people.
    pub approvals: Arc<dyn Approvals>,
    /// Makes the protection of columns outlive this process.
    pub columns: Arc<dyn Columns>,
    /// The other replicas.
    pub peers: Arc<dyn Peers>,
    /// Makes records durable.
    pub evidence: Evidence,
    /// Sessions alive, for limits, reports and metrics.
    pub sessions: Sessions,
    /// How far the process is on its way to its end.
    pub drain: Drain,
}
