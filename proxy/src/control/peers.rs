//! The other replicas of a door in a cluster: found by a Service that has the addresses of all Pods.

use sallyport_audit::record::ObjectRef;
use sallyport_crds::names;
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::vitals::Part;
use sallyport_runtime::workload::Credential;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::{Flags, StartError};
use crate::door::Sessions;
use crate::peers::{Hear, Replicas, Way, hear};

/// The port on which other replicas will be heard, once there is a certificate.
pub(super) struct Ear {
    listener: TcpListener,
    way: Way,
    heard: Hear,
}

// === impl Ear ===

impl Ear {
    /// Takes the port.
    pub(super) async fn bind(flags: &Flags, connection: &ObjectRef, heard: Hear) -> Result<Self, StartError> {
        let address = flags.peer_address;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| StartError::Peers(address, error))?;
        let way = Way {
            host: format!("{}.{}.svc", names::peers(&connection.name), connection.namespace),
            port: address.port(),
            own: flags.pod_ip,
        };
        Ok(Self { listener, way, heard })
    }

    /// Begins to hear the other replicas, and gives the way to them.
    pub(super) fn open(
        self,
        connection: &ObjectRef,
        credential: &Credential,
        sessions: Sessions,
        part: Part,
    ) -> Result<Replicas, TlsError> {
        let replicas = Replicas::new(credential, connection, self.way, Handle::current())?;
        let hearing = hear(self.listener, credential, connection, self.heard, sessions)?;
        tokio::spawn(async move {
            let _part = part;
            hearing.await;
        });
        Ok(replicas)
    }
}
