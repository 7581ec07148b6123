//! The installed definitions of our kinds, held against those that this operator was built for.
//!
//! An older definition prunes newer fields in silence, so that what the operator reads is not what people wrote: while the
//! two differ nothing new is accepted, and what was accepted last holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::{Client, ResourceExt};
use sallyport_audit::digest::Digest;
use serde_json::{Value, json};

/// How often the installed definitions are looked at: their generations, unless those moved.
const PERIOD: Duration = Duration::from_secs(5);

/// Whether the installed definitions are ours. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    fault: Arc<ArcSwapOption<String>>,
    /// What was read of each definition.
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// A definition that was read, and what was wrong with it. One that was deleted and made anew begins with the first generation again.
#[derive(Clone, Debug)]
struct Known {
    uid: Option<String>,
    generation: Option<i64>,
    fault: Option<String>,
}

// === impl Schema ===

impl Schema {
    /// Why nothing new may be accepted; None where all definitions are ours.
    pub fn fault(&self) -> Option<Arc<String>> {
        self.fault.load_full()
    }

    /// States a fault, or that there is none.
    pub fn store(&self, fault: Option<String>) {
        self.fault.store(fault.map(Arc::new));
    }

    /// Looks once. Gives whether something changed.
    ///
    /// # Errors
    /// When the API server does not answer or refuses. What was known stays.
    pub async fn look(&self, client: &Client) -> Result<bool, kube::Error> {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        let mut faults = Vec::new();
        for ours in sallyport_crds::definitions() {
            let name = ours.name_any();
            let Some(meta) = api.get_metadata_opt(&name).await? else {
                faults.push(format!("{name} is not installed"));
                continue;
            };
            let before = self.with(|known| known.get(&name).cloned());
            let fault = match before {
                Some(known) if known.is_of(&meta.metadata) => known.fault,
                _ => {
                    let installed = api.get(&name).await?;
                    let fault = difference(&installed, &ours);
                    let read = Known {
                        uid: installed.metadata.uid,
                        generation: installed.metadata.generation,
                        fault: fault.clone(),
                    };
                    self.with(|known| known.insert(name, read));
                    fault
                }
            };
            faults.extend(fault);
        }
        let fault = (!faults.is_empty()).then(|| {
            format!(
                "{}: install the definitions of this version (config/crd) by server-side apply; until then what was accepted last holds",
                faults.join("; ")
            )
        });
        let changed = self.fault().as_deref() != fault.as_ref();
        if changed {
            match &fault {
                Some(fault) => tracing::error!(%fault, "nothing new is accepted"),
                None => tracing::info!("the installed definitions are those of this version"),
            }
            self.store(fault);
        }
        Ok(changed)
    }

    /// Looks until the end of time, and calls `changed` when the answer is another.
    pub async fn follow(self, client: Client, changed: impl Fn()) {
        loop {
            tokio::time::sleep(PERIOD).await;
            match self.look(&client).await {
                Ok(true) => changed(),
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "the installed definitions could not be looked at"),
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Known>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Known ===

impl Known {
    fn is_of(&self, meta: &ObjectMeta) -> bool {
        self.uid == meta.uid && self.generation == meta.generation
    }
}

/// In words how an installed definition differs from ours, if it does.
fn difference(installed: &CustomResourceDefinition, ours: &CustomResourceDefinition) -> Option<String> {
    let name = ours.name_any();
    match (fingerprint(installed), fingerprint(ours)) {
        (Some(theirs), Some(own)) if theirs == own => None,
        (None, _) => Some(format!("{name} does not serve {}", sallyport_crds::VERSION)),
        (Some(theirs), own) => Some(format!(
            "{name} differs from what this operator was built for (schema {} installed, {} wanted)",
            short(&theirs),
            own.as_deref().map_or("none", short)
        )),
    }
}

/// A digest over what a definition lets through. Descriptions are words for people, and change nothing.
fn fingerprint(definition: &CustomResourceDefinition) -> Option<String> {
    let versions = definition.spec.versions.iter();
    let version = versions
        .filter(|version| version.served)
        .find(|version| version.name == sallyport_crds::VERSION)?;
    let mut schema = serde_json::to_value(version.schema.as_ref()?).ok()?;
    strip(&mut schema, false);
    let conversion = definition.spec.conversion.as_ref();
    // Who may write an object writes a status that is no subresource; outside namespaces nothing is opted in; a webhook
    // rewrites what people wrote.
    let mut all = json!({
        "schema": schema,
        "subresources": version.subresources,
        "scope": definition.spec.scope,
        "conversion": conversion.map_or("None", |conversion| conversion.strategy.as_str()),
    });
    all.sort_all_objects();
    Some(Digest::of(&serde_json::to_vec(&all).ok()?).to_string())
}

/// Takes descriptions away, but not a property of that name, and writes whole numbers in one way.
fn strip(node: &mut Value, names: bool) {
    match node {
        Value::Object(fields) => {
            if !names {
                fields.retain(|name, value| name != "description" || !value.is_string());
            }
            for (name, value) in fields.iter_mut() {
                strip(value, !names && name == "properties");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, false)),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *node = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::api::ApiServer;

    fn connections() -> Value {
        let all = sallyport_crds::definitions();
        let found = all.iter().find(|one| one.spec.names.kind == "Connection").unwrap();
        serde_json::to_value(found).unwrap()
    }

    fn read(value: Value) -> CustomResourceDefinition {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_lets_through_counts() {
        let ours = read(connections());
        assert_eq!(difference(&ours, &ours), None);
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        let mut reworded = connections();
        reworded.pointer_mut(spec).unwrap()["description"] = "other words".into();
        assert_eq!(difference(&read(reworded), &ours), None);
        let mut older = connections();
        let fields = older.pointer_mut(&format!("{spec}/properties")).unwrap();
        fields.as_object_mut().unwrap().remove("limits");
        let words = difference(&read(older), &ours).unwrap();
        assert!(words.contains("connections.sallyport.dev differs"), "{words}");
        let mut gone = connections();
        gone["spec"]["versions"][0]["served"] = false.into();
        assert!(difference(&read(gone), &ours).unwrap().contains("does not serve"));
    }

    #[tokio::test]
    async fn definitions_that_were_made_anew_are_read_anew() {
        let path = |name: &str| format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let api = ApiServer::default();
        let install = |older: bool| {
            for definition in sallyport_crds::definitions() {
                let name = definition.name_any();
                let mut value = serde_json::to_value(&definition).unwrap();
                value["metadata"]["generation"] = json!(1);
                if older && name.starts_with("connections.") {
                    let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
                    let fields = value.pointer_mut(fields).unwrap().as_object_mut().unwrap();
                    fields.remove("limits");
                }
                api.delete(&path(&name));
                api.put(&path(&name), value);
            }
        };
        let schema = Schema::default();
        install(false);
        schema.look(&api.client()).await.unwrap();
        assert_eq!(schema.fault(), None);
        install(true);
        assert!(schema.look(&api.client()).await.unwrap());
        let words = schema.fault().unwrap();
        assert!(words.contains("connections.sallyport.dev differs"), "{words}");
    }

    #[test]
    fn what_the_api_server_does_beside_the_schema_counts() {
        let ours = read(connections());
        type Change = fn(&mut Value);
        let cases: [(&str, Change, bool); 6] = [
            (
                "everybody writes status",
                |spec| spec["versions"][0]["subresources"] = Value::Null,
                true,
            ),
            (
                "scaled by others",
                |spec| {
                    spec["versions"][0]["subresources"]["scale"] =
                        json!({ "specReplicasPath": ".spec.proxy.replicas", "statusReplicasPath": ".status.replicas" });
                },
                true,
            ),
            ("in no namespace", |spec| spec["scope"] = "Cluster".into(), true),
            (
                "rewritten",
                |spec| spec["conversion"] = json!({ "strategy": "Webhook" }),
                true,
            ),
            (
                "as the API server completes it",
                |spec| spec["conversion"] = json!({ "strategy": "None" }),
                false,
            ),
            (
                "columns for people",
                |spec| spec["versions"][0]["additionalPrinterColumns"] = Value::Null,
                false,
            ),
        ];
        for (what, change, differs) in cases {
            let mut installed = connections();
            change(&mut installed["spec"]);
            assert_eq!(difference(&read(installed), &ours).is_some(), differs, "{what}");
        }
    }

    #[test]
    fn a_property_that_is_called_description_counts() {
        let mut schema = serde_json::json!({ "description": "x", "properties": { "description": { "type": "string", "description": "y" } } });
        strip(&mut schema, false);
        assert_eq!(
            schema,
            serde_json::json!({ "properties": { "description": { "type": "string" } } })
        );
    }
}
