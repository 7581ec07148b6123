//! What every program of the image needs and no program should write twice: the TLS provider, the workload certificate and
//! who stands on the other end of a connection, the admin port, logs, what has to stay alive, and an orderly end.
//!
//! Reading order: [`crypto`] and [`logs`] (first lines of every `main`), [`shutdown`],
//! [`vitals`], [`admin`]; [`peer`] (names in
//! workload certificates), [`tls`] (roots, certificates that change while they are used), [`workload`] (a Pod's own
//! certificate), [`report`] (what a door tells the operator), [`shares`] (that who takes much leaves some to others).

pub mod admin;
pub mod crypto;
pub mod logs;
pub mod peer;
pub mod report;
pub mod shares;
pub mod shutdown;
pub mod tls;
pub mod vitals;
pub mod workload;

pub use peer::PeerIdentity;
