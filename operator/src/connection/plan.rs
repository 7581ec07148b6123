//! What validation leaves of a Connection: everything that the children are built from, with nothing left to ask.

use std::collections::BTreeSet;

use sallyport_crds::ConnectionSpec;
use sallyport_crds::names;

/// A Connection whose children can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Namespace of the Connection and all its children.
    pub namespace: String,
    /// Name of the Connection: a DNS label that leaves room for the children's names.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// The specification.
    pub spec: ConnectionSpec,
    /// Secrets that the door may read.
    pub secrets: BTreeSet<String>,
    /// ConfigMaps that the door may read.
    pub config_maps: BTreeSet<String>,
    /// Where the door sends evidence.
    pub sinks: Vec<Place>,
}

/// An object by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

// === impl Plan ===

impl Plan {
    /// The plan for a Connection; `keys` are the Secrets that its masking rules name.
    pub fn new(place: &Place, uid: &str, spec: &ConnectionSpec, keys: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: BTreeSet<String> = keys.into_iter().collect();
        secrets.insert(spec.credentials_ref.name.clone());
        secrets.insert(names::binding_key(&place.name));
        secrets.insert(match &spec.certificate.secret_ref {
            Some(reference) => reference.name.clone(),
            None => names::door_certificate(&place.name),
        });
        Self {
            namespace: place.namespace.clone(),
            name: place.name.clone(),
            uid: uid.to_owned(),
            spec: spec.clone(),
            secrets,
            // The target's CAs travel inside the carrier, so the carrier is all that a door reads.
            config_maps: BTreeSet::from([names::carrier(&place.name)]),
            sinks: spec
                .sinks
                .iter()
                .map(|sink| Place {
                    namespace: sink.namespace.clone().unwrap_or_else(|| place.namespace.clone()),
                    name: sink.name.clone(),
                })
                .collect(),
        }
    }

    /// The port that clients dial.
    pub fn port(&self) -> i32 {
        self.spec
            .proxy
            .service
            .port
            .unwrap_or_else(|| self.spec.protocol.default_port())
    }
}
