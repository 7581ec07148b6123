//! Validate: whether the present specification is accepted, and why not. No client.

use sallyport_crds::{ConditionType, Reason};
use sallyport_policy::carrier::CarriedRule;

use super::Rule;
use super::dereference::{AccessKind, Found};
use crate::shared::conditions::Finding;

/// The condition `Accepted`.
pub fn accepted<R: Rule>(found: &Found<R>) -> Finding {
    const KIND: ConditionType = ConditionType::Accepted;
    if let Some(finding) = namespace(found.access) {
        return finding;
    }
    if let Some(finding) = schema(found.schema.as_deref()) {
        return finding;
    }
    let rule = match &found.rule {
        Ok(rule) => rule,
        Err(error) => return Finding::no(KIND, Reason::Invalid, format!("the object cannot be read: {error}")),
    };
    let meta = rule.meta();
    let carried = CarriedRule {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        spec: rule.spec().clone(),
    };
    match R::compile(&carried) {
        Ok(()) => Finding::yes(KIND, Reason::Accepted, "the door runs exactly this"),
        Err(problems) => {
            let reason = problems.first().map_or(Reason::Invalid, |problem| problem.reason);
            let messages: Vec<String> = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.field, problem.message))
                .collect();
            Finding::no(KIND, reason, messages.join("; "))
        }
    }
}

/// What installed definitions of another version keep from being accepted, as `Accepted` says it for every kind.
pub fn schema(fault: Option<&String>) -> Option<Finding> {
    fault.map(|fault| Finding::no(ConditionType::Accepted, Reason::SchemaMismatch, fault.clone()))
}

/// What keeps the operator from working in the namespace, as `Accepted` says it for every kind.
pub fn namespace(access: AccessKind) -> Option<Finding> {
    const KIND: ConditionType = ConditionType::Accepted;
    match access {
        AccessKind::NotEnabled => Some(Finding::no(
            KIND,
            Reason::NamespaceNotEnabled,
            format!(
                "label the namespace {}=true and bind the operator's role there",
                sallyport_crds::names::ENABLED_LABEL
            ),
        )),
        AccessKind::NotReadable => Some(Finding::no(
            KIND,
            Reason::NamespaceNotEnabled,
            "the namespace is labelled, but the operator cannot read it yet; if this stays, bind the operator's role there by a RoleBinding",
        )),
        AccessKind::Open => None,
    }
}
