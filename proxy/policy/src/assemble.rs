//! From objects to a carrier: which rules apply, whether what is required is there, where evidence goes, whose tokens count.
//!
//! The operator does it with objects of the API server, `--manifests` with files; both get the same carrier. A problem never
//! leaves a hole: the carrier that comes out is then closed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use sallyport_crds::connection::IssuerReference;
use sallyport_crds::{ApprovalPolicySpec, AuditSinkSpec, MaskingRuleSpec, Mode, Reason};

use crate::carrier::{CarriedConnection, CarriedRule, CarriedSink, Carrier, Closed, ClusterSettings, FORMAT};
use crate::issuer::{Issuer, Issuers};
use crate::problem::{ObjectKind, Problem};
use crate::selector::{Selecting, selects};

/// Everything that bears on one Connection.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    /// The Connection.
    pub connection: CarriedConnection,
    /// All MaskingRules of its namespace.
    pub masking_rules: Vec<Candidate<MaskingRuleSpec>>,
    /// All ApprovalPolicies of its namespace.
    pub approval_policies: Vec<Candidate<ApprovalPolicySpec>>,
    /// The sinks that the Connection names, those that exist.
    pub sinks: Vec<SinkCandidate>,
    /// The admin's issuers.
    pub issuers: &'a Issuers,
    /// Address ranges that no target may resolve to.
    pub denied_cidrs: Vec<String>,
    /// What the Connection's doors run so far, if they run anything. A rule in it that did not change stays in it though the
    /// Connection's labels do: a label is the Connection's author's to write, a rule is not.
    pub standing: Option<&'a Carrier>,
}

/// A rule that exists.
#[derive(Clone, Debug)]
pub struct Candidate<S> {
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// What the object says at present; None where it cannot be read.
    pub present: Option<Present>,
    /// The last specification that was accepted, and its generation.
    pub accepted: Option<(i64, S)>,
}

/// What is needed of a rule's present specification, accepted or not.
#[derive(Clone, Debug)]
pub struct Present {
    /// Which Connections it selects.
    pub selector: LabelSelector,
    /// Whether it acts.
    pub mode: Mode,
}

/// A sink that exists.
#[derive(Clone, Debug)]
pub struct SinkCandidate {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Where its recorder takes records; None while the sink is not accepted.
    pub address: Option<String>,
    /// The specification.
    pub spec: AuditSinkSpec,
}

/// The carrier of a Connection, revision 0, and what is wrong. With a problem it is closed.
pub fn assemble(objects: &Objects<'_>) -> (Carrier, Vec<Problem>) {
    let mut problems = Vec::new();
    let requires = &objects.connection.spec.requires;
    let chosen = Chosen {
        connection: &objects.connection,
    };
    let standing = objects
        .standing
        .filter(|standing| standing.connection.uid == objects.connection.uid);
    let masking_rules = chosen.rules(
        ObjectKind::MaskingRule,
        &objects.masking_rules,
        &requires.masking_rules,
        standing
            .map(|standing| standing.masking_rules.as_slice())
            .unwrap_or_default(),
        &mut problems,
    );
    let mut approval_policies = chosen.rules(
        ObjectKind::ApprovalPolicy,
        &objects.approval_policies,
        &requires.approval_policies,
        standing
            .map(|standing| standing.approval_policies.as_slice())
            .unwrap_or_default(),
        &mut problems,
    );
    for policy in &mut approval_policies {
        objects.issuers.ask_for_logins(&mut policy.spec);
    }
    let sinks = chosen.sinks(&objects.sinks, &mut problems);
    let issuers = chosen.issuers(objects.issuers, &mut problems);
    let mut carrier = Carrier {
        format: FORMAT,
        revision: 0,
        connection: objects.connection.clone(),
        masking_rules,
        approval_policies,
        sinks,
        issuers,
        settings: ClusterSettings {
            denied_cidrs: objects.denied_cidrs.clone(),
            api_server_audiences: objects.issuers.api_server_audiences.clone(),
            known_issuers: objects
                .issuers
                .issuers
                .values()
                .map(|issuer| issuer.url.clone())
                .collect(),
            approver_mappings: objects.issuers.approver_mappings.clone(),
        },
        columns: BTreeMap::new(),
        stricter: BTreeSet::new(),
        closed: None,
    };
    if let Some(first) = problems.first() {
        close(&mut carrier, first);
    }
    (carrier, problems)
}

/// Closes a carrier for a problem. The first one stands.
pub fn close(carrier: &mut Carrier, problem: &Problem) {
    carrier
        .closed
        .get_or_insert_with(|| Closed::new(problem.reason, problem.to_string()));
}

/// What one Connection chooses among what there is.
struct Chosen<'a> {
    connection: &'a CarriedConnection,
}

// === impl Chosen ===

impl Chosen<'_> {
    fn rules<S: Selecting + Clone>(
        &self,
        kind: ObjectKind,
        candidates: &[Candidate<S>],
        required: &[String],
        standing: &[CarriedRule<S>],
        problems: &mut Vec<Problem>,
    ) -> Vec<CarriedRule<S>> {
        for name in required {
            if let Some((reason, message)) = self.unmet(candidates, name) {
                problems.push(Problem::new(
                    kind,
                    name,
                    "",
                    reason,
                    format!("{message}; the Connection requires it"),
                ));
            }
        }
        let mut chosen = Vec::new();
        for candidate in candidates {
            if let Some(kept) = self.deselected(candidate, standing) {
                if !required.contains(&candidate.name) {
                    problems.push(Problem::new(
                        kind,
                        &candidate.name,
                        "",
                        Reason::RuleDeselected,
                        "selected the Connection until its labels were changed; put them back, or change connectionSelector of the rule or delete it",
                    ));
                }
                chosen.push(kept);
                continue;
            }
            match &candidate.accepted {
                Some((generation, spec)) if self.selected(spec.selector()) => chosen.push(CarriedRule {
                    name: candidate.name.clone(),
                    uid: candidate.uid.clone(),
                    generation: *generation,
                    spec: spec.clone(),
                }),
                Some(_) => {}
                None if required.contains(&candidate.name) => {}
                None if self.would_bite(candidate.present.as_ref()) => {
                    let message = "selects the Connection and was never accepted; mend or delete it";
                    problems.push(Problem::new(
                        kind,
                        &candidate.name,
                        "",
                        Reason::RuleNotAccepted,
                        message,
                    ));
                }
                None => {}
            }
        }
        chosen.sort_by(|a, b| a.name.cmp(&b.name));
        chosen
    }

    fn unmet<S: Selecting>(&self, candidates: &[Candidate<S>], name: &str) -> Option<(Reason, &'static str)> {
        let Some(candidate) = candidates.iter().find(|candidate| candidate.name == name) else {
            return Some((Reason::RequiredRuleMissing, "does not exist"));
        };
        match &candidate.accepted {
            None => Some((Reason::RequiredRuleNotAccepted, "was never accepted")),
            Some((_, spec)) if !self.selected(spec.selector()) => Some((
                Reason::RequiredRuleNotSelecting,
                "does not select the Connection by its labels",
            )),
            // It hides nothing and asks nobody: the door would stand open as if it were deleted.
            Some((_, spec)) if spec.mode() == Mode::Observe => {
                Some((Reason::RequiredRuleNotEnforcing, "only observes (spec.mode)"))
            }
            Some(_) => None,
        }
    }

    /// The rule as it stays in the carrier, where only the Connection's labels took the Connection out of its selection. It
    /// stays, so that the next look finds it too; it goes by an act of who may write the rule: another selector, or none.
    fn deselected<S: Selecting + Clone>(
        &self,
        candidate: &Candidate<S>,
        standing: &[CarriedRule<S>],
    ) -> Option<CarriedRule<S>> {
        let carried = standing.iter().find(|rule| rule.uid == candidate.uid)?;
        let accepted = candidate.accepted.as_ref();
        let selector = match (accepted, &candidate.present) {
            (Some((_, spec)), _) => spec.selector(),
            (None, Some(present)) => &present.selector,
            (None, None) => return None,
        };
        if self.selected(selector) || selector != carried.spec.selector() {
            return None;
        }
        let (generation, spec) = accepted.map_or((carried.generation, &carried.spec), |(at, spec)| (*at, spec));
        (spec.mode() == Mode::Enforce).then(|| CarriedRule {
            name: candidate.name.clone(),
            uid: candidate.uid.clone(),
            generation,
            spec: spec.clone(),
        })
    }

    /// A rule that was never accepted closes the Connections it selects, unless it only observes. What it selects cannot be
    /// known where it cannot be read: then it is all of them.
    fn would_bite(&self, present: Option<&Present>) -> bool {
        present.is_none_or(|present| present.mode == Mode::Enforce && self.selected(&present.selector))
    }

    fn selected(&self, selector: &LabelSelector) -> bool {
        selects(selector, &self.connection.labels)
    }

    fn sinks(&self, candidates: &[SinkCandidate], problems: &mut Vec<Problem>) -> Vec<CarriedSink> {
        let mut chosen = Vec::new();
        for wanted in &self.connection.spec.sinks {
            let namespace = wanted.namespace.as_deref().unwrap_or(&self.connection.namespace);
            let found = candidates
                .iter()
                .find(|sink| sink.name == wanted.name && sink.namespace == namespace);
            let refused = |message: &str| {
                Problem::new(
                    ObjectKind::AuditSink,
                    &format!("{namespace}/{}", wanted.name),
                    "",
                    Reason::SinkNotAvailable,
                    message,
                )
            };
            match found {
                // One answer for both, so that a Connection cannot ask which sinks exist elsewhere.
                Some(sink) if sink.spec.namespaces.contains(&self.connection.namespace) => match &sink.address {
                    Some(address) => chosen.push(carried(sink, address)),
                    None => problems.push(refused("is not accepted, so nothing would be recorded")),
                },
                _ => problems.push(refused(
                    "does not exist, or does not take Connections from this namespace (its spec.namespaces)",
                )),
            }
        }
        chosen
    }

    fn issuers(&self, issuers: &Issuers, problems: &mut Vec<Problem>) -> Vec<Issuer> {
        let mut chosen = Vec::new();
        for (index, wanted) in self.connection.spec.identity.issuers.iter().enumerate() {
            match narrowed(issuers, wanted) {
                Ok(issuer) => chosen.push(issuer),
                Err((reason, message)) => {
                    let field = format!("spec.identity.issuers[{index}]");
                    problems.push(Problem::new(
                        ObjectKind::Connection,
                        &self.connection.name,
                        &field,
                        reason,
                        message,
                    ));
                }
            }
        }
        chosen
    }
}

fn carried(sink: &SinkCandidate, address: &str) -> CarriedSink {
    CarriedSink {
        namespace: sink.namespace.clone(),
        name: sink.name.clone(),
        uid: sink.uid.clone(),
        address: address.to_owned(),
        durability: sink.spec.durability,
        asynchronous: sink.spec.asynchronous.clone(),
        command_text: sink.spec.command_text,
    }
}

/// The issuer with what the Connection says, which can only take away.
fn narrowed(issuers: &Issuers, wanted: &IssuerReference) -> Result<Issuer, (Reason, String)> {
    let unknown = || {
        (
            Reason::UnknownIssuer,
            format!("issuer {} is not in the operator's configuration", wanted.name),
        )
    };
    let mut issuer = issuers.issuers.get(&wanted.name).cloned().ok_or_else(unknown)?;
    if let Some(audience) = &wanted.audience {
        if !issuer.audiences.contains(audience) {
            let message = format!(
                "audience {audience} is not one that issuer {} has for doors",
                wanted.name
            );
            return Err((Reason::AudienceNotAllowed, message));
        }
        issuer.audiences = vec![audience.clone()];
    }
    issuer.only_groups.clone_from(&wanted.groups);
    Ok(issuer)
}

#[cfg(test)]
pub(crate) mod tests;
