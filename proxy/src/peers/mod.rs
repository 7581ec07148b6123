//! What replicas of one door tell each other: the cancels that they do not know, and tokens that somebody came in by.
//!
//! A cancel is a connection of its own and may reach any replica, the session is at one. Whoever does not know the key tells
//! the others, each of whom looks and tells nobody. A token that two addresses use at once is likely to be at two replicas, since
//! clients go by their address; whoever lets somebody in asks the others for it, by its hash. Both ends show workload
//! certificates, and only replicas of the same Connection are taken: a key is the right to stop somebody's statement.
//!
//! Reading order: `frame` (the messages), [`Replicas`] (who tells), [`hear`] (who is told).

mod frame;
mod hear;
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::ObjectRef;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::tls::Accept;

pub use hear::{Hear, hear};
pub use replicas::{Replicas, Way};

/// One cancel may take this long, at either end: finding the others, TLS, the message and its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Replicas of a Connection and nobody else; those of a namesake made later are others'.
fn of(connection: &ObjectRef) -> Accept {
    let wanted = connection.clone();
    Arc::new(move |peer| match peer {
        PeerIdentity::Connection(door) => {
            (&door.namespace, &door.name, &door.uid) == (&wanted.namespace, &wanted.name, &wanted.uid)
        }
        _ => false,
    })
}
