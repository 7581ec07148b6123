//! Accepted specifications, kept as ControllerRevisions: Kubernetes keeps no earlier specification of an object, and a
//! ControllerRevision's data can never be changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::ResourceExt;
use kube::api::ObjectMeta;

use super::Rule;
use crate::shared::labels::{self, MANAGED_BY};
use crate::shared::owner::owned_by;

/// On every kept specification: the kind of rule.
pub const RULE_LABEL: &str = "sallyport.dev/rule-kind";
/// How many earlier specifications are kept beside the one in force, for people who look.
const KEEP: usize = 2;

/// A specification that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<S> {
    /// The rule's generation.
    pub generation: i64,
    /// What was accepted.
    pub spec: S,
}

/// The ControllerRevision that keeps a rule's specification. None for a rule without a uid, which the API server never gives.
pub fn keep<R: Rule>(rule: &R) -> Option<ControllerRevision> {
    let meta = rule.meta();
    let (uid, name, generation) = (meta.uid.as_deref()?, meta.name.as_deref()?, meta.generation?);
    let short: String = uid.chars().take(8).collect();
    Some(ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!(
                "{}-{}-{short}-{generation}",
                R::SLUG,
                name.chars().take(200).collect::<String>()
            )),
            namespace: meta.namespace.clone(),
            labels: Some(labels::labels([
                ("app.kubernetes.io/name", "sallyport"),
                ("app.kubernetes.io/managed-by", MANAGED_BY),
                (RULE_LABEL, R::SLUG),
            ])),
            owner_references: Some(owned_by::<R>(name, uid)),
            ..ObjectMeta::default()
        },
        revision: generation,
        data: Some(RawExtension(serde_json::to_value(rule.spec()).ok()?)),
    })
}

/// The specification in force: the newest that was kept for this very object, which is of `generation` now.
pub fn in_force<R: Rule>(
    revisions: &[Arc<ControllerRevision>],
    uid: &str,
    generation: Option<i64>,
) -> Option<Kept<R::Spec>> {
    let kept = of_rule::<R>(revisions, uid).filter(|revision| !is_beyond(revision, generation));
    let newest = kept.max_by_key(|revision| revision.revision)?;
    let data = newest.data.as_ref()?;
    // One that does not decode is from a version that knew more: nothing is in force then, and the doors close.
    let spec = serde_json::from_value(data.0.clone()).ok()?;
    Some(Kept {
        generation: newest.revision,
        spec,
    })
}

/// Names of kept specifications that nobody needs any more, and of those that never were any.
pub fn outdated<R: Rule>(revisions: &[Arc<ControllerRevision>], uid: &str, generation: Option<i64>) -> Vec<String> {
    let (beyond, kept): (Vec<_>, Vec<_>) =
        of_rule::<R>(revisions, uid).partition(|revision| is_beyond(revision, generation));
    let by_age: BTreeMap<i64, String> = kept
        .into_iter()
        .map(|revision| (revision.revision, revision.name_any()))
        .collect();
    let old = by_age.into_values().rev().skip(KEEP + 1);
    old.chain(beyond.into_iter().map(|revision| revision.name_any()))
        .collect()
}

/// Whether it is of a generation that the rule has not come to: somebody made it past admission, and it would be the newest for ever.
fn is_beyond(revision: &ControllerRevision, generation: Option<i64>) -> bool {
    generation.is_some_and(|present| revision.revision > present)
}

fn of_rule<'a, R: Rule>(
    revisions: &'a [Arc<ControllerRevision>],
    uid: &'a str,
) -> impl Iterator<Item = &'a Arc<ControllerRevision>> {
    revisions.iter().filter(move |revision| is_of::<R>(revision, uid))
}

/// Whether it keeps a specification of the rule with this uid. The name says nothing: anybody can guess it.
pub fn is_of<R: Rule>(revision: &ControllerRevision, uid: &str) -> bool {
    revision.labels().get(RULE_LABEL).is_some_and(|kind| kind == R::SLUG)
        && revision.owner_references().iter().any(|owner| owner.uid == uid)
}

#[cfg(test)]
mod tests {
    use sallyport_crds::MaskingRule;

    use super::*;
    use crate::testing::masking_rule;

    fn kept(generations: &[i64]) -> Vec<Arc<ControllerRevision>> {
        generations
            .iter()
            .map(|&generation| {
                let mut rule = masking_rule("pii");
                rule.metadata.generation = Some(generation);
                Arc::new(keep(&rule).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_newest_is_in_force() {
        let rule = masking_rule("pii");
        let found = in_force::<MaskingRule>(&kept(&[1, 12, 3]), "uid-pii", Some(12)).unwrap();
        assert_eq!((found.generation, &found.spec), (12, &rule.spec));
    }

    #[test]
    fn what_is_of_a_generation_to_come_is_not_in_force_and_goes() {
        let revisions = kept(&[1, 3, i64::MAX]);
        let found = in_force::<MaskingRule>(&revisions, "uid-pii", Some(4)).unwrap();
        assert_eq!(found.generation, 3);
        let gone = outdated::<MaskingRule>(&revisions, "uid-pii", Some(4));
        assert_eq!(gone, [revisions[2].name_any()]);
    }

    #[test]
    fn a_namesake_does_not_inherit() {
        let found = in_force::<MaskingRule>(&kept(&[1]), "uid-of-a-namesake", Some(1));
        assert_eq!(found, None);
    }

    #[test]
    fn old_ones_go_and_the_one_in_force_stays() {
        let revisions = kept(&[1, 2, 3, 4, 5]);
        let gone = outdated::<MaskingRule>(&revisions, "uid-pii", Some(5));
        assert_eq!(gone, [revisions[1].name_any(), revisions[0].name_any()]);
    }
}
