//! A workload CA and its certificates.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::workload::Credential;

use crate::server::Door;

pub(crate) struct Pki {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        sallyport_runtime::crypto::install();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_pem = params.self_signed(&key).unwrap().pem();
        Self {
            ca_pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn credential(&self, identity: &PeerIdentity) -> Credential {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Credential::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes(), self.ca_pem.as_bytes()).unwrap()
    }

    pub(crate) fn recorder(&self) -> Credential {
        let sink = super::sink();
        self.credential(&PeerIdentity::Sink(Workload {
            namespace: sink.namespace,
            name: sink.name,
            uid: sink.uid,
            pod: "recorder-main-0".into(),
            pod_uid: "3c".into(),
        }))
    }

    pub(crate) fn door(&self, door: &Door) -> Credential {
        let Door { connection, pod } = door.clone();
        self.credential(&PeerIdentity::Connection(Workload {
            namespace: connection.namespace,
            name: connection.name,
            uid: connection.uid,
            pod: pod.name,
            pod_uid: pod.uid,
        }))
    }
}
