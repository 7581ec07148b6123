//! config/admission, as it was when this operator was built.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::form;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../config/admission/", $name)))),*]
    };
}

/// Names and texts, in the order of the kustomization.
const FILES: &[(&str, &str)] = files![
    "request-create.yaml",
    "request-metadata.yaml",
    "request-answers.yaml",
    "request-outcome.yaml",
    "status.yaml",
    "secrets-connection.yaml",
    "secrets-authorities.yaml",
    "secrets-masking-rule.yaml",
    "secrets-audit-sink.yaml",
    "sink-deletion.yaml",
    "log-volumes.yaml",
    "rule-revisions.yaml",
    "namespace-ways-in.yaml",
    "namespace-tokens.yaml",
    "namespace-workloads.yaml",
    "namespace-pod-labels.yaml",
    "namespace-objects.yaml",
    "operator-pods.yaml",
    "operator-rbac.yaml",
];

/// The operator in the files: whoever installs it under another name changes them.
pub const OPERATOR: &str = "system:serviceaccount:sallyport-system:sallyport-operator";
/// The image in the files, which config/default replaces.
pub const IMAGE: &str = "localhost/sallyport:dev";

/// What ships, in the form in which it is compared.
#[derive(Clone, Debug, Default)]
pub struct Shipped {
    /// The policies.
    pub policies: Vec<Guard>,
    /// Their bindings.
    pub bindings: Vec<Guard>,
}

/// One object that ships.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: Value,
}

/// Why it is not known what ships.
#[derive(Debug, thiserror::Error)]
#[error("config/admission, as this operator was built with it, cannot be read: {0}")]
pub struct Unreadable(String);

// === impl Shipped ===

impl Shipped {
    /// What ships for an operator that the API server knows as `operator` and that runs `image`.
    ///
    /// # Errors
    /// When the operator was built with files that are none.
    pub fn read(operator: &str, image: &str) -> Result<Self, Unreadable> {
        let mut all = Self::default();
        for document in documents()? {
            if document.get("kind").and_then(Value::as_str) == Some("ValidatingAdmissionPolicyBinding") {
                let binding: ValidatingAdmissionPolicyBinding = decode(document)?;
                let (name, spec) = (binding.name_any(), form::binding(&binding));
                all.bindings.push(Guard { name, spec });
                continue;
            }
            let mut policy: ValidatingAdmissionPolicy = decode(document)?;
            for expression in policy.spec.iter_mut().flat_map(form::expressions) {
                *expression = expression.replace(OPERATOR, operator).replace(IMAGE, image);
            }
            let (name, spec) = (policy.name_any(), form::policy(&policy));
            all.policies.push(Guard { name, spec });
        }
        Ok(all)
    }
}

/// Who the operator is to the API server.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn own_name(client: &Client) -> Result<String, kube::Error> {
    let review = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let user = review.status.and_then(|status| status.user_info);
    Ok(user
        .and_then(|user| user.username)
        .unwrap_or_else(|| OPERATOR.to_owned()))
}

/// Every object of every file.
///
/// # Errors
/// As [`Shipped::read`].
pub fn documents() -> Result<Vec<Value>, Unreadable> {
    let mut all = Vec::new();
    for (file, text) in FILES {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| Unreadable(format!("{file}: {error}")))?;
        all.extend(documents);
    }
    Ok(all)
}

fn decode<T: DeserializeOwned>(document: Value) -> Result<T, Unreadable> {
    serde_json::from_value(document).map_err(|error| Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_kustomization_is_known() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/admission/kustomization.yaml");
        let kustomization: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let files: Vec<&str> = FILES.iter().map(|(file, _)| *file).collect();
        assert_eq!(kustomization["resources"], serde_json::json!(files));
    }

    #[test]
    fn every_file_holds_a_policy_and_its_binding() {
        let shipped = Shipped::read(OPERATOR, IMAGE).unwrap();
        let named = |guards: &[Guard]| guards.iter().map(|guard| guard.name.clone()).collect::<Vec<_>>();
        let files: Vec<String> = FILES
            .iter()
            .map(|(file, _)| format!("sallyport-{}", file.trim_end_matches(".yaml")))
            .collect();
        assert_eq!(named(&shipped.policies), files);
        assert_eq!(named(&shipped.bindings), files);
    }

    #[test]
    fn the_operator_and_its_image_are_those_of_the_installation() {
        let texts = |shipped: &Shipped| format!("{:?}", shipped.policies);
        let ours = texts(&Shipped::read("system:serviceaccount:guards:sally", "registry.example/sallyport:2").unwrap());
        assert!(ours.contains("'system:serviceaccount:guards:sally'"), "{ours}");
        assert!(ours.contains("'registry.example/sallyport:2'"), "{ours}");
        assert!(!ours.contains(OPERATOR) && !ours.contains(IMAGE), "{ours}");
    }
}
