//! Replicas of a door that hear each other over real TLS, and what their certificates say.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use sallyport_audit::Digest;
use sallyport_audit::record::ObjectRef;
use sallyport_proxy::door::Peers;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::workload::Credential;

/// The operator's workload CA.
pub struct Authority {
    /// Its certificate, PEM.
    pub ca: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One like every other, with a key of its own.
    pub fn new() -> Self {
        sallyport_runtime::crypto::install();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self {
            ca: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A workload's certificate and its key, PEM.
    pub fn issue(&self, identity: &PeerIdentity) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        (chain, key.serialize_pem())
    }

    /// The same, as a workload uses it.
    pub fn credential(&self, identity: &PeerIdentity) -> Credential {
        let (chain, key) = self.issue(identity);
        Credential::from_pem(chain.as_bytes(), key.as_bytes(), self.ca.as_bytes()).unwrap()
    }

    /// The certificate of a replica of a Connection.
    pub fn replica(&self, connection: &ObjectRef) -> Credential {
        self.credential(&PeerIdentity::Connection(workload(connection)))
    }
}

/// A Pod that works for an object.
pub fn workload(object: &ObjectRef) -> Workload {
    Workload {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: object.uid.clone(),
        pod: "pod".into(),
        pod_uid: "uid-pod".into(),
    }
}

/// The other replicas of a test's door, once it says who they are.
#[derive(Clone, Default)]
pub struct Others(Arc<Known>);

#[derive(Default)]
struct Known {
    way: Mutex<Option<Arc<dyn Peers>>>,
    told: AtomicUsize,
}

impl Others {
    /// They are reached so.
    pub fn are(&self, way: Arc<dyn Peers>) {
        *self.0.way.lock().unwrap() = Some(way);
    }

    /// How many cancels they were told.
    pub fn told(&self) -> usize {
        self.0.told.load(Ordering::SeqCst)
    }
}

impl Peers for Others {
    fn cancel(&self, key: Vec<u8>) -> BoxFuture<'static, ()> {
        self.0.told.fetch_add(1, Ordering::SeqCst);
        match &*self.0.way.lock().unwrap() {
            Some(way) => way.cancel(key),
            None => Box::pin(std::future::ready(())),
        }
    }

    fn elsewhere(&self, token: Digest, from: IpAddr) -> BoxFuture<'static, Option<IpAddr>> {
        match &*self.0.way.lock().unwrap() {
            Some(way) => way.elsewhere(token, from),
            None => Box::pin(std::future::ready(None)),
        }
    }
}
