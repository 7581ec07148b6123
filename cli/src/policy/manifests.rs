//! Connections and their rules, compiled by the door's own compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use sallyport_crds::{ApprovalPolicy, ConditionType, Connection, MaskingRule, Mode, RuleStatus, condition};
use sallyport_policy::Policy;
use sallyport_policy::carrier::{CarriedConnection, CarriedRule, Carrier, ClusterSettings, FORMAT};
use sallyport_policy::mask::{HashKey, Keys};
use sallyport_policy::selector::selects;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A file of manifests is written by people.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Directories below each other.
const MAX_DEPTH: usize = 16;

/// Objects that bear on verdicts and masks.
#[derive(Default)]
pub struct Manifests {
    connections: Vec<Connection>,
    masking_rules: Vec<MaskingRule>,
    approval_policies: Vec<ApprovalPolicy>,
    /// Documents that are no manifest, with the file that each stands in.
    pub others: Vec<(PathBuf, Value)>,
    /// Where they were looked for.
    place: String,
}

// === impl Manifests ===

impl Manifests {
    /// Every `.yaml`, `.yml` and `.json` of a directory and below it, or of one file.
    ///
    /// # Errors
    /// When a file cannot be read, or holds an object of ours that cannot.
    pub fn read(path: &Path) -> Result<Self> {
        let mut manifests = Self {
            place: path.display().to_string(),
            ..Self::default()
        };
        let mut files = Vec::new();
        collect(path, 0, &mut files)?;
        files.sort();
        for file in files {
            manifests.take_file(&file).with_context(|| file.display().to_string())?;
        }
        Ok(manifests)
    }

    /// The objects of one namespace of a cluster, as they are now.
    ///
    /// # Errors
    /// When they may not be listed.
    pub async fn of_cluster(client: &Client, namespace: &str) -> Result<Self> {
        async fn all<K>(client: &Client, namespace: &str) -> Result<Vec<K>>
        where
            K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
                + Clone
                + DeserializeOwned
                + std::fmt::Debug,
        {
            let api = Api::<K>::namespaced(client.clone(), namespace);
            let found = api.list(&ListParams::default()).await;
            Ok(found.with_context(|| format!("listing {}", K::plural(&())))?.items)
        }
        Ok(Self {
            connections: all(client, namespace).await?,
            masking_rules: all(client, namespace).await?,
            approval_policies: all(client, namespace).await?,
            others: Vec::new(),
            place: format!("namespace {namespace}"),
        })
    }

    fn take_file(&mut self, path: &Path) -> Result<()> {
        if std::fs::metadata(path)?.len() > MAX_BYTES {
            bail!("larger than 4 MiB");
        }
        let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path)?)?;
        for document in documents
            .into_iter()
            .flat_map(items)
            .filter(|document| !document.is_null())
        {
            let text = |name: &str| {
                document
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            match (text("apiVersion").as_str(), text("kind").as_str()) {
                ("sallyport.dev/v1alpha1", "Connection") => self.connections.push(object(document)?),
                ("sallyport.dev/v1alpha1", "MaskingRule") => self.masking_rules.push(object(document)?),
                ("sallyport.dev/v1alpha1", "ApprovalPolicy") => self.approval_policies.push(object(document)?),
                ("sallyport.dev/v1alpha1", "AuditSink" | "AccessRequest") => {}
                // A rule that was passed over would make a verdict that no door gives.
                ("sallyport.dev/v1alpha1", kind) => bail!("sallyport.dev/v1alpha1 has no kind {kind}"),
                (version, kind) if version.starts_with("sallyport.dev/") => {
                    bail!("{kind} of {version}; this version reads sallyport.dev/v1alpha1")
                }
                ("", "") => self.others.push((path.to_owned(), document)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The policy of one Connection, named `NAME` or `NAMESPACE/NAME`.
    ///
    /// # Errors
    /// When there is no such Connection, a rule that it requires is missing, or one does not compile.
    pub fn compile(&self, name: &str) -> Result<Policy> {
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, name),
        };
        let mut fitting = self.connections.iter().filter(|connection| {
            connection.name_any() == name && namespace.is_none_or(|namespace| place(*connection) == namespace)
        });
        let connection = fitting
            .next()
            .with_context(|| format!("there is no Connection {name} in {}", self.place))?;
        if fitting.next().is_some() {
            bail!("several Connections are called {name}: name the namespace too");
        }
        let carrier = self.carrier(connection)?;
        // No value is masked here, but that there is a key is what some verdicts hang on.
        let stands_for = |key| Some((key, HashKey::new(&[0; HashKey::MIN_BYTES])?));
        let keys = Keys {
            hash: Policy::keys_named(&carrier)
                .into_iter()
                .filter_map(stands_for)
                .collect(),
            ..Keys::default()
        };
        Policy::with_keys(&carrier, keys).map_err(|problems| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", words.join("\n"))
        })
    }

    /// Rules that doors may not go by as they are written here, as far as their statuses tell, in words.
    pub fn not_in_force(&self) -> Vec<String> {
        let masks = self.masking_rules.iter();
        let masks = masks.filter_map(|rule| behind("MaskingRule", rule, rule.status.as_ref()));
        let policies = self.approval_policies.iter();
        let policies = policies.filter_map(|rule| behind("ApprovalPolicy", rule, rule.status.as_ref()));
        masks.chain(policies).collect()
    }

    fn carrier(&self, connection: &Connection) -> Result<Carrier> {
        let labels = connection.labels();
        let home = place(connection);
        let masking_rules: Vec<_> = self
            .masking_rules
            .iter()
            .filter(|rule| place(*rule) == home && selects(&rule.spec.connection_selector, labels))
            .map(|rule| carried(rule, rule.spec.clone()))
            .collect();
        let approval_policies: Vec<_> = self
            .approval_policies
            .iter()
            .filter(|rule| place(*rule) == home && selects(&rule.spec.connection_selector, labels))
            .map(|rule| carried(rule, rule.spec.clone()))
            .collect();
        let requires = &connection.spec.requires;
        let lacks =
            |required: &[String], there: Vec<&String>| required.iter().find(|name| !there.contains(name)).cloned();
        let missing = lacks(
            &requires.masking_rules,
            masking_rules.iter().map(|rule| &rule.name).collect(),
        )
        .or_else(|| {
            lacks(
                &requires.approval_policies,
                approval_policies.iter().map(|rule| &rule.name).collect(),
            )
        });
        if let Some(missing) = missing {
            bail!(
                "the Connection requires {missing}, which is not there or does not select it: the door would be shut"
            );
        }
        let masks = masking_rules.iter().map(|rule| (&rule.name, rule.spec.mode));
        let policies = approval_policies.iter().map(|rule| (&rule.name, rule.spec.mode));
        let idle = masks
            .filter(|(name, _)| requires.masking_rules.contains(name))
            .chain(policies.filter(|(name, _)| requires.approval_policies.contains(name)))
            .find(|(_, mode)| *mode == Mode::Observe);
        if let Some((name, _)) = idle {
            bail!("the Connection requires {name}, which only observes (spec.mode): the door would be shut");
        }
        Ok(Carrier {
            format: FORMAT,
            revision: 1,
            connection: CarriedConnection {
                namespace: home.to_owned(),
                name: connection.name_any(),
                uid: connection.uid().unwrap_or_default(),
                generation: connection.metadata.generation.unwrap_or(1),
                labels: labels.clone(),
                spec: connection.spec.clone(),
            },
            masking_rules,
            approval_policies,
            sinks: Vec::new(),
            issuers: Vec::new(),
            settings: ClusterSettings::default(),
            columns: BTreeMap::new(),
            stricter: BTreeSet::new(),
            closed: None,
        })
    }
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let context = || path.display().to_string();
    if std::fs::metadata(path).with_context(context)?.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        bail!("{}: directories are nested too deeply", path.display());
    }
    for entry in std::fs::read_dir(path).with_context(context)? {
        let below = entry?.path();
        let manifest = below
            .extension()
            .is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        if below.is_dir() || manifest {
            collect(&below, depth + 1, files)?;
        }
    }
    Ok(())
}

fn object<K: DeserializeOwned>(document: Value) -> Result<K> {
    Ok(serde_json::from_value(document)?)
}

/// Its namespace, as kubectl would take it.
fn place<K: kube::Resource>(object: &K) -> &str {
    object.meta().namespace.as_deref().unwrap_or("default")
}

fn behind<K: kube::Resource>(kind: &str, rule: &K, status: Option<&RuleStatus>) -> Option<String> {
    let (name, status) = (rule.name_any(), status?);
    if status.observed_generation != rule.meta().generation {
        return Some(format!(
            "{kind} {name} was edited a moment ago: doors may still go by what it said before"
        ));
    }
    if condition::is_true(&status.conditions, ConditionType::Accepted) {
        return None;
    }
    Some(match status.enforced_generation {
        Some(generation) => {
            format!("{kind} {name} is not accepted as it stands: doors go by its generation {generation}")
        }
        None => format!("{kind} {name} is not accepted, and no generation of it is in force: its conditions say why"),
    })
}

fn carried<K: kube::Resource, S>(rule: &K, spec: S) -> CarriedRule<S> {
    let meta = rule.meta();
    CarriedRule {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta
            .uid
            .clone()
            .unwrap_or_else(|| meta.name.clone().unwrap_or_default()),
        generation: meta.generation.unwrap_or(1),
        spec,
    }
}

/// The objects of a document: `kubectl get -o yaml` writes several as items of one list.
fn items(mut document: Value) -> Vec<Value> {
    if document.get("kind").and_then(Value::as_str) != Some("List") {
        return vec![document];
    }
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_lists_is_read_item_by_item() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/masking-rules.yaml");
        let items: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(golden).unwrap()).unwrap();
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let file = std::env::temp_dir().join(format!("sallyport-list-{}.yaml", std::process::id()));
        std::fs::write(&file, list.to_string()).unwrap();
        let listed = Manifests::read(&file).map(|read| read.masking_rules.len());
        std::fs::remove_file(&file).unwrap();
        let alone = Manifests::read(Path::new(golden)).unwrap().masking_rules.len();
        assert_eq!((listed.unwrap(), alone > 1), (alone, true));
    }

    /// The samples, with the ApprovalPolicy changed.
    fn samples(change: impl Fn(&mut ApprovalPolicy)) -> Manifests {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");
        let mut samples = Manifests::read(Path::new(directory)).unwrap();
        samples.approval_policies.iter_mut().for_each(change);
        samples
    }

    #[test]
    fn a_required_rule_that_only_observes_is_no_verdict_either() {
        assert!(samples(|_| ()).compile("bank").is_ok());
        let idle = samples(|policy| policy.spec.mode = Mode::Observe).compile("bank");
        let words = idle.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(words.contains("requires changes, which only observes"), "{words}");
    }

    #[test]
    fn what_doors_do_not_go_by_is_told() {
        let told = |accepted: &str, observed: i64, enforced: Option<i64>| {
            let status = serde_json::json!({
                "observedGeneration": observed, "enforcedGeneration": enforced, "connections": 1,
                "conditions": [{
                    "type": "Accepted", "status": accepted, "reason": "R", "message": "", "lastTransitionTime": "2026-11-24T10:00:00Z",
                }],
            });
            let manifests = samples(|policy| {
                policy.metadata.generation = Some(3);
                policy.status = Some(serde_json::from_value(status.clone()).unwrap());
            });
            manifests.not_in_force().join("; ")
        };
        assert_eq!(samples(|_| ()).not_in_force(), Vec::<String>::new());
        for (accepted, observed, enforced, words) in [
            ("True", 3, None, ""),
            ("True", 2, None, "was edited a moment ago"),
            ("False", 3, Some(2), "doors go by its generation 2"),
            ("False", 3, None, "no generation of it is in force"),
        ] {
            let told = told(accepted, observed, enforced);
            assert_eq!(told.is_empty(), words.is_empty(), "{told}");
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn an_object_of_a_version_to_come_is_no_verdict_without_it() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/masking-rules.yaml");
        let text = std::fs::read_to_string(golden).unwrap();
        let file = std::env::temp_dir().join(format!("sallyport-manifests-{}.yaml", std::process::id()));
        std::fs::write(&file, text.replacen("v1alpha1", "v1beta1", 1)).unwrap();
        let error = Manifests::read(&file).err().map(|error| format!("{error:#}"));
        std::fs::remove_file(&file).unwrap();
        let words = "MaskingRule of sallyport.dev/v1beta1; this version reads sallyport.dev/v1alpha1";
        assert!(error.as_ref().is_some_and(|error| error.contains(words)), "{error:?}");
    }
}
