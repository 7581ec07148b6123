//! Documents to objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use sallyport_crds::{ApprovalPolicy, AuditSink, Connection, MaskingRule};
use sallyport_policy::issuer::{AuthenticationConfiguration, Names};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files::Document;
use super::schema::Schemas;
use crate::control::materials::SecretObject;

/// Where a namespace is not given, as with kubectl.
const NAMESPACE: &str = "default";

/// Everything that was found.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) connections: Vec<Connection>,
    pub(super) masking_rules: Vec<MaskingRule>,
    pub(super) approval_policies: Vec<ApprovalPolicy>,
    pub(super) sinks: Vec<AuditSink>,
    /// By namespace and name.
    pub(super) secrets: BTreeMap<(String, String), Arc<SecretObject>>,
    /// By namespace and name.
    pub(super) config_maps: BTreeMap<(String, String), BTreeMap<String, String>>,
    pub(super) authentication: Option<AuthenticationConfiguration>,
    pub(super) names: Option<Names>,
    /// What is wrong, each with the document it is in.
    pub(super) faults: Vec<String>,
    /// What was passed over.
    pub(super) ignored: Vec<String>,
}

// === impl Objects ===

impl Objects {
    /// Sorts documents; what cannot be read becomes a fault.
    pub(super) fn read(documents: Vec<Document>) -> Self {
        let schemas = Schemas::new();
        let mut objects = Self::default();
        for document in documents {
            objects.take(document, &schemas);
        }
        objects
    }

    fn take(&mut self, document: Document, schemas: &Schemas) {
        let text = |name: &str| {
            document
                .value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (version, kind) = (text("apiVersion"), text("kind"));
        match (version.as_str(), kind.as_str()) {
            ("sallyport.dev/v1alpha1", "Connection") => self.ours(&document, schemas, |all| &mut all.connections),
            ("sallyport.dev/v1alpha1", "MaskingRule") => self.ours(&document, schemas, |all| &mut all.masking_rules),
            ("sallyport.dev/v1alpha1", "ApprovalPolicy") => {
                self.ours(&document, schemas, |all| &mut all.approval_policies)
            }
            ("sallyport.dev/v1alpha1", "AuditSink") => self.ours(&document, schemas, |all| &mut all.sinks),
            // Nobody can be asked here.
            (version @ "sallyport.dev/v1alpha1", kind @ "AccessRequest") => {
                self.ignored.push(format!("{}: {version} {kind}", document.origin));
            }
            // A rule that was passed over would be a door without it: one of a later version, or of a kind that is misspelled.
            ("sallyport.dev/v1alpha1", kind) => self.faults.push(format!(
                "{}: sallyport.dev/v1alpha1 has no kind {kind}",
                document.origin
            )),
            (version, kind) if version.starts_with("sallyport.dev/") => self.faults.push(format!(
                "{}: {kind} of {version}; this version reads sallyport.dev/v1alpha1",
                document.origin
            )),
            ("v1", "Secret") => {
                if let Some(secret) = self.parse::<Secret>(&document) {
                    self.secrets.insert(place(&secret), Arc::new(secret.into()));
                }
            }
            ("v1", "ConfigMap") => {
                if let Some(map) = self.parse::<ConfigMap>(&document) {
                    self.config_maps.insert(place(&map), map.data.unwrap_or_default());
                }
            }
            (version, "AuthenticationConfiguration") if version.starts_with("apiserver.config.k8s.io/") => {
                match (self.parse(&document), &self.authentication) {
                    (Some(found), None) => self.authentication = Some(found),
                    (Some(_), Some(_)) => self
                        .faults
                        .push(format!("{}: a second AuthenticationConfiguration", document.origin)),
                    (None, _) => {}
                }
            }
            // The file that gives issuers their short names has no kind.
            ("", "") if document.value.get("issuers").is_some() => self.names = self.parse(&document),
            _ => self.ignored.push(format!("{}: {version} {kind}", document.origin)),
        }
    }

    fn ours<K>(&mut self, document: &Document, schemas: &Schemas, list: impl FnOnce(&mut Self) -> &mut Vec<K>)
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Serialize,
    {
        let kind = K::kind(&());
        let mut faults = schemas.faults(&kind, &document.value);
        if let Some(mut object) = self.parse::<K>(document) {
            faults.extend(
                serde_json::to_value(&object)
                    .map(|object| schemas.violations(&kind, &object))
                    .unwrap_or_default(),
            );
            complete::<K>(object.meta_mut());
            list(self).push(object);
        }
        self.faults
            .extend(faults.into_iter().map(|fault| format!("{}: {fault}", document.origin)));
    }

    fn parse<T: DeserializeOwned>(&mut self, document: &Document) -> Option<T> {
        match serde_json::from_value(document.value.clone()) {
            Ok(object) => Some(object),
            Err(error) => {
                self.faults.push(format!("{}: {error}", document.origin));
                None
            }
        }
    }
}

/// What the API server would have added. The uid is made of the name, so that a log begun yesterday is still this sink's.
fn complete<K: Resource<DynamicType = ()>>(metadata: &mut ObjectMeta) {
    let namespace = metadata.namespace.get_or_insert_with(|| NAMESPACE.to_owned()).clone();
    let name = metadata.name.clone().unwrap_or_default();
    let spelled = format!("{}/{namespace}/{name}", K::kind(&()));
    let digest = sallyport_audit::Digest::of(spelled.as_bytes()).to_string();
    metadata
        .uid
        .get_or_insert_with(|| format!("local-{}", digest.chars().take(24).collect::<String>()));
    metadata.generation.get_or_insert(1);
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (
        object.namespace().unwrap_or_else(|| NAMESPACE.to_owned()),
        object.name_any(),
    )
}
