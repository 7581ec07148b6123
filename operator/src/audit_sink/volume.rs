//! The recorder's volume: it grows with `spec.storage.size` by its claim, since the StatefulSet's template cannot change, and
//! evidence outlives its claim only where the cluster retains it.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::build::claim_of;
use super::validate::Plan;

/// What is wrong with a volume, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Why it cannot grow to the size that the sink wants.
    pub stuck: Option<String>,
    /// That it goes when its claim does, and what to do.
    pub reclaimed: Option<String>,
}

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

/// Brings the volume's size in line with what the sink wants, and looks what becomes of it without its claim.
///
/// # Errors
/// When the API server does not answer.
pub async fn look(client: &Client, plan: &Plan) -> Result<Faults, kube::Error> {
    let stuck = grow(client, plan).await?;
    // Volumes belong to the cluster: where they may not be read, the sink's status says all the rest.
    let reclaimed = reclaimed(client, plan).await.unwrap_or_else(|error| {
        tracing::warn!(
            namespace = plan.place.namespace,
            sink = plan.place.name,
            %error,
            "nobody knows what becomes of the volume without its claim: it cannot be read"
        );
        None
    });
    Ok(Faults { stuck, reclaimed })
}

/// Says that the volume is not retained. Asked each time: whoever may patch volumes can make one of either kind.
async fn reclaimed(client: &Client, plan: &Plan) -> Result<Option<String>, kube::Error> {
    let name = claim_of(plan);
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &plan.place.namespace);
    let claim = claims.get_opt(&name).await?;
    let Some(bound) = claim.and_then(|claim| claim.spec?.volume_name) else {
        return Ok(None);
    };
    let Some(volume) = Api::<PersistentVolume>::all(client.clone()).get_opt(&bound).await? else {
        return Ok(None);
    };
    let policy = volume.spec.and_then(|spec| spec.persistent_volume_reclaim_policy);
    // What provisioners make has this policy unless its class says otherwise.
    let policy = policy.as_deref().unwrap_or("Delete");
    Ok((policy != "Retain").then(|| {
        format!(
            "volume {bound} has the reclaim policy {policy}: whoever deletes claim {name} deletes the log; \
             kubectl patch pv {bound} -p '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'"
        )
    }))
}

/// Asks for the size that the sink wants. Gives why it cannot grow, in words, where the cluster refuses.
async fn grow(client: &Client, plan: &Plan) -> Result<Option<String>, kube::Error> {
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
    use serde_json::Value;

    use super::*;
    use crate::testing::scenario::Scenario;

    const VOLUME: &str = "/api/v1/persistentvolumes/pv-1";

    /// A cluster whose sink has its claim bound to a volume.
    fn bound() -> Scenario {
        let scenario = Scenario::new();
        let claims = "/api/v1/namespaces/evidence/persistentvolumeclaims";
        let claim =
            json!({ "metadata": { "name": "log-uid-sink-recorder-evidence-0" }, "spec": { "volumeName": "pv-1" } });
        scenario
            .api
            .put(&format!("{claims}/log-uid-sink-recorder-evidence-0"), claim);
        scenario
    }

    fn volume(policy: &str) -> Value {
        json!({ "metadata": { "name": "pv-1" }, "spec": { "persistentVolumeReclaimPolicy": policy } })
    }

    /// The sink's Advisory, once it was looked at.
    async fn advisory(scenario: &mut Scenario) -> Option<Value> {
        scenario.apply_sink().await;
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/evidence/auditsinks/evidence";
        let conditions = scenario.api.get(path).unwrap()["status"]["conditions"].clone();
        let conditions = conditions.as_array().expect("a status is written");
        conditions.iter().find(|one| one["type"] == "Advisory").cloned()
    }

    #[tokio::test]
    async fn a_volume_that_goes_with_its_claim_is_told_until_it_is_retained() {
        let mut scenario = bound();
        for (policy, told) in [
            ("Retain", false),
            ("Delete", true),
            ("Recycle", true),
            ("Retain", false),
        ] {
            scenario.api.put(VOLUME, volume(policy));
            let advisory = advisory(&mut scenario).await;
            assert_eq!(advisory.is_some(), told, "{policy}: {advisory:?}");
            if let Some(advisory) = advisory {
                assert_eq!(advisory["reason"], "VolumeReclaimedByDelete");
                let words = advisory["message"].as_str().unwrap();
                assert!(words.contains("kubectl patch pv pv-1"), "{words}");
            }
        }
    }

    #[tokio::test]
    async fn a_volume_that_may_not_be_read_costs_the_advice_and_nothing_else() {
        let mut scenario = bound();
        scenario.api.put(VOLUME, volume("Delete"));
        scenario.api.forbid(VOLUME);
        assert_eq!(advisory(&mut scenario).await, None);
        let accepted = scenario.condition("auditsinks", "evidence", "evidence", "Accepted");
        assert_eq!(accepted.0, "True");
    }

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
