//! The admission objects that ship with this version, held against those that are there.
//!
//! Whoever weakens one in place, by an expression, a selector or an exception, leaves it there and denying. So all that it
//! says is compared: [`shipped`] knows what it should be, [`form`] makes two of them comparable.

pub mod form;
pub mod shipped;

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Resource;
use serde_json::Value;

use shipped::{Guard, Shipped};

/// So many faults are told in one message.
const TOLD: usize = 3;

/// Apply takes nothing away that somebody added.
const REMEDY: &str = "put back what config/admission of the operator's version says, by kubectl replace, or by kubectl apply where it is missing";

/// How the objects stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many are as they ship.
    pub whole: usize,
    /// What is wrong with the others.
    pub faults: Vec<Fault>,
}

/// An object that is not as it ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The first field that differs; None where there is no such object.
    pub field: Option<String>,
}

/// Holds what is there against what ships. Objects beside those can only refuse more.
pub fn compare(
    shipped: &Shipped,
    policies: &[Arc<ValidatingAdmissionPolicy>],
    bindings: &[Arc<ValidatingAdmissionPolicyBinding>],
) -> Standing {
    let mut standing = Standing::default();
    standing.hold(&shipped.policies, policies, form::policy);
    standing.hold(&shipped.bindings, bindings, form::binding);
    standing
}

/// Faults, and what mends them, in words; None where there are none.
pub fn words<'a>(faults: impl Iterator<Item = &'a Fault>) -> Option<String> {
    let told: Vec<String> = faults.take(TOLD).map(ToString::to_string).collect();
    (!told.is_empty()).then(|| format!("{}: {REMEDY}", told.join("; ")))
}

// === impl Standing ===

impl Standing {
    /// How many are whole, changed and missing, each with the word for it.
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        let missing = self.faults.iter().filter(|fault| fault.field.is_none()).count();
        [
            ("whole", self.whole),
            ("changed", self.faults.len() - missing),
            ("missing", missing),
        ]
    }

    /// Holds the objects of one kind against what ships of it.
    fn hold<K: Resource<DynamicType = ()>>(&mut self, shipped: &[Guard], there: &[Arc<K>], says: fn(&K) -> Value) {
        for guard in shipped {
            let mut there = there.iter();
            let found = there.find(|object| object.meta().name.as_ref() == Some(&guard.name));
            match found.map(|object| form::difference("spec", Some(&says(object)), Some(&guard.spec))) {
                Some(None) => self.whole += 1,
                field => self.faults.push(Fault {
                    kind: K::kind(&()).into_owned(),
                    name: guard.name.clone(),
                    field: field.flatten(),
                }),
            }
        }
    }
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, field } = self;
        match field {
            Some(field) => write!(to, "{kind} {name} is not what ships with this version: {field} differs"),
            None => write!(to, "{kind} {name} is missing"),
        }
    }
}

#[cfg(test)]
mod tests;
