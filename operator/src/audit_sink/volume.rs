//! The recorder's volume grows with `spec.storage.size`: by its claim, since the StatefulSet's template cannot change.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::build::claim_of;
use super::validate::Plan;

/// What a claim asks for.
pub fn claimed(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim
        .spec
        .as_ref()?
        .resources
        .as_ref()?
        .requests
        .as_ref()?
        .get("storage")
}

/// Asks for the size that the sink wants. Gives why it cannot grow, in words, where the cluster refuses.
///
/// # Errors
/// When the API server does not answer.
pub async fn grow(client: &Client, plan: &Plan) -> Result<Option<String>, kube::Error> {
    let wanted = &plan.spec.storage.size;
    // Nothing is asked while the claim was made with this very size: the usual case costs no request.
    if plan.template_size.as_ref().is_none_or(|made| !is_more(wanted, made)) {
        return Ok(None);
    }
    let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &plan.place.namespace);
    let name = claim_of(plan);
    let Some(claim) = api.get_opt(&name).await? else {
        return Ok(None);
    };
    if claimed(&claim).is_none_or(|has| !is_more(wanted, has)) {
        return Ok(None);
    }
    let patch = json!({ "spec": { "resources": { "requests": { "storage": wanted } } } });
    match api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => {
            tracing::info!(
                namespace = plan.place.namespace,
                claim = name,
                size = wanted.0,
                "the volume grows"
            );
            Ok(None)
        }
        Err(kube::Error::Api(status)) if !status.is_conflict() => Ok(Some(format!(
            "claim {name} cannot grow to {}: {}",
            wanted.0, status.message
        ))),
        Err(error) => Err(error),
    }
}

/// Whether a quantity is more than another. What is no quantity is never more.
pub fn is_more(one: &Quantity, other: &Quantity) -> bool {
    matches!((bytes(one), bytes(other)), (Some(one), Some(other)) if one > other)
}

/// A quantity as a number: `1Gi`, `1.5G`, `1e9`, `1000`.
fn bytes(quantity: &Quantity) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1_024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("", 1.0),
    ];
    let text = quantity.0.trim();
    SUFFIXES.iter().find_map(|(suffix, factor)| {
        let number: f64 = text.strip_suffix(suffix)?.parse().ok()?;
        Some(number * factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_compare_by_what_they_mean() {
        for (one, other, more) in [
            ("2Gi", "1Gi", true),
            ("1Gi", "1024Mi", false),
            ("1025Mi", "1Gi", true),
            ("1G", "1Gi", false),
            ("1.5Gi", "1Gi", true),
            ("2e9", "1Gi", true),
            ("1000000000", "1G", false),
            ("big", "1Gi", false),
        ] {
            assert_eq!(
                is_more(&Quantity(one.into()), &Quantity(other.into())),
                more,
                "{one} > {other}"
            );
        }
    }
}
