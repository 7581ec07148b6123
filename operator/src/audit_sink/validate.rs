//! Validate: whether a sink can be served. No client.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sallyport_crds::{AuditSinkSpec, ConditionType, Reason};

use super::dereference::Found;
use super::volume::claimed;
use crate::connection::plan::Place;
use crate::rule::validate::{namespace, schema};
use crate::shared::conditions::Finding;

/// Names of children must be DNS labels of at most 63 characters, with what a StatefulSet adds to its Pods' labels.
const MAX_NAME: usize = 40;

/// A sink whose children can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Namespace and name.
    pub place: Place,
    /// `metadata.uid`.
    pub uid: String,
    /// The specification.
    pub spec: AuditSinkSpec,
    /// The size that the StatefulSet's template states: it can never change, while the claim itself grows.
    pub template_size: Option<Quantity>,
}

/// What validation came to.
pub struct Validated {
    /// The condition `Accepted`.
    pub accepted: Finding,
    /// The recorder to build; None where there can be none.
    pub plan: Option<Plan>,
}

/// One thing that is looked at.
type Check = fn(&Found, &AuditSinkSpec) -> Option<(Reason, String)>;

const CHECKS: [Check; 5] = [name, asynchronous, unconfirmed, destinations, class];

/// Validates what was found.
pub fn validate(found: &Found) -> Validated {
    let refused = |accepted| Validated { accepted, plan: None };
    if let Some(accepted) = namespace(found.access) {
        return refused(accepted);
    }
    if let Some(accepted) = schema(found.schema.as_deref()) {
        return refused(accepted);
    }
    let spec = match &found.spec {
        Ok(spec) => spec,
        Err(error) => return refused(no(Reason::Invalid, &format!("the object cannot be read: {error}"))),
    };
    if let Some((reason, message)) = CHECKS.iter().find_map(|check| check(found, spec)) {
        return refused(no(reason, &message));
    }
    Validated {
        accepted: Finding::yes(
            ConditionType::Accepted,
            Reason::Accepted,
            "the recorder runs exactly this",
        ),
        plan: Some(Plan {
            place: found.place.clone(),
            uid: found.uid.clone(),
            spec: spec.clone(),
            template_size: found.claim_template.as_ref().and_then(claimed).cloned(),
        }),
    }
}

fn no(reason: Reason, message: &str) -> Finding {
    Finding::no(ConditionType::Accepted, reason, message)
}

fn name(found: &Found, _: &AuditSinkSpec) -> Option<(Reason, String)> {
    let name = &found.place.name;
    let message =
        || format!("metadata.name: at most {MAX_NAME} characters without dots, since children are named after it");
    (name.len() > MAX_NAME || name.contains('.')).then(|| (Reason::Invalid, message()))
}

fn asynchronous(_: &Found, spec: &AuditSinkSpec) -> Option<(Reason, String)> {
    use sallyport_crds::audit_sink::Durability::Async;
    let wrong = (spec.durability == Async) != spec.asynchronous.is_some();
    wrong.then(|| {
        (
            Reason::Invalid,
            "spec.async belongs to durability Async, and is needed there".to_owned(),
        )
    })
}

/// Records that may be lost wait for no recorder, and who they let in neither.
fn unconfirmed(_: &Found, spec: &AuditSinkSpec) -> Option<(Reason, String)> {
    use sallyport_crds::audit_sink::{Durability, Unconfirmed};
    let wrong = spec.unconfirmed == Unconfirmed::Refuse && spec.durability == Durability::Async;
    let message = "spec.unconfirmed: Refuse needs durability BeforeExecution";
    wrong.then(|| (Reason::Invalid, message.to_owned()))
}

fn destinations(_: &Found, spec: &AuditSinkSpec) -> Option<(Reason, String)> {
    let message =
        "spec.destinations is not implemented by this version: the log is kept on the recorder's volume alone";
    (!spec.destinations.is_empty()).then(|| (Reason::NotImplemented, message.to_owned()))
}

/// A log stays on the volume that it is on.
fn class(found: &Found, spec: &AuditSinkSpec) -> Option<(Reason, String)> {
    let claim = found.claim_template.as_ref()?.spec.as_ref()?;
    let same = claim.storage_class_name == spec.storage.storage_class_name;
    let message = "spec.storage.storageClassName cannot change: make another sink, or change it back";
    (!same).then(|| (Reason::Invalid, message.to_owned()))
}
