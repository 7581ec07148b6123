//! Everything that one door enforces, compiled from its carrier.
//!
//! The operator compiles to accept, the door compiles to run: the same code, so `Accepted=True` means "the door can run
//! exactly this".

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_crds::connection::{AgentRule, AlwaysDenied};
use sallyport_crds::reference::SecretKeyReference;
use sallyport_crds::{ApprovalPolicySpec, MaskingRuleSpec, Reason, Subject as Named};

use crate::carrier::{CarriedRule, Carrier, ClusterSettings};
use crate::columns::ByRule;
use crate::decide::{self, ApprovalPolicy, Command, Decision, Explanation};
use crate::mask::{self, Keys, MaskSet, Masker, ProblemKind, RuleSet};
use crate::problem::{ObjectKind, Problem};
use crate::subject::{Agent, Subject};

/// A compiled policy: immutable, shared by all sessions of a revision.
#[derive(Debug)]
pub struct Policy {
    revision: u64,
    subjects: Vec<Named>,
    agents: Vec<AgentRule>,
    open: Vec<AlwaysDenied>,
    connection: decide::ConnectionFacts,
    settings: ClusterSettings,
    approvals: Vec<ApprovalPolicy>,
    masks: MaskSet,
    /// For the command texts of sinks that want them masked.
    records: Arc<Masker>,
    exemptions: Vec<Vec<Named>>,
    allows_writes: Vec<bool>,
    columns: BTreeMap<String, ByRule>,
}

/// Compiles one MaskingRule, for the operator's `Accepted`.
pub fn compile_masking_rule(carried: &CarriedRule<MaskingRuleSpec>) -> Result<mask::Rule, Vec<Problem>> {
    mask::compile(&carried.name, &carried.uid, carried.generation, &carried.spec).map_err(|problems| {
        let each = problems.into_iter().map(|problem| {
            let reason = match problem.kind {
                ProblemKind::Invalid => Reason::Invalid,
                ProblemKind::NotImplemented => Reason::NotImplemented,
            };
            Problem::new(
                ObjectKind::MaskingRule,
                &carried.name,
                &format!("spec.{}", problem.field),
                reason,
                problem.message,
            )
        });
        each.collect()
    })
}

/// Compiles one ApprovalPolicy, for the operator's `Accepted`.
pub fn compile_approval_policy(carried: &CarriedRule<ApprovalPolicySpec>) -> Result<ApprovalPolicy, Vec<Problem>> {
    decide::compile(carried)
}

// === impl Policy ===

impl Policy {
    /// Compiles a carrier, without the keys of rules: Hash and Tokenize redact until [`Policy::with_keys`] brings them.
    pub fn compile(carrier: &Carrier) -> Result<Self, Vec<Problem>> {
        Self::with_keys(carrier, Keys::default())
    }

    /// Compiles a carrier, with the keys that its rules name (see [`Policy::keys_named`]).
    pub fn with_keys(carrier: &Carrier, keys: Keys) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let rules = all(&carrier.masking_rules, compile_masking_rule, &mut problems);
        let approvals = all(&carrier.approval_policies, compile_approval_policy, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let spec = &carrier.connection.spec;
        Ok(Self {
            revision: carrier.revision,
            subjects: spec.subjects.clone(),
            agents: spec.agents.clone(),
            open: spec
                .postgresql
                .as_ref()
                .map(|postgresql| postgresql.open.clone())
                .unwrap_or_default(),
            connection: decide::ConnectionFacts {
                name: carrier.connection.name.clone(),
                namespace: carrier.connection.namespace.clone(),
                labels: carrier.connection.labels.clone(),
            },
            settings: carrier.settings.clone(),
            approvals,
            exemptions: carrier
                .masking_rules
                .iter()
                .map(|rule| rule.spec.exempt_subjects.clone())
                .collect(),
            allows_writes: carrier
                .masking_rules
                .iter()
                .map(|rule| rule.spec.allow_writes)
                .collect(),
            records: records(&rules),
            masks: MaskSet::new(rules, keys),
            columns: carrier.columns.clone(),
        })
    }

    /// The revision of the carrier.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the person may come in. Nobody whom the Connection does not name may.
    pub fn admits(&self, subject: &Subject) -> bool {
        subject.is_among(&self.subjects)
    }

    /// Whether the Connection declares that `agent` may act for the person, where their tokens do not say so themselves.
    pub fn may_act_for(&self, agent: &Agent, subject: &Subject) -> bool {
        let agrees =
            |rule: &AgentRule| agent.is_among(std::slice::from_ref(&rule.agent)) && subject.is_among(&rule.acts_for);
        self.agents.iter().any(agrees)
    }

    /// Whether some rule looks at the values of bound parameters: [`Command::values`] is read by nobody else.
    pub fn reads_parameters(&self) -> bool {
        self.reads("parameters")
    }

    /// Whether the answer of some rule may hang on this field of `command`.
    pub fn reads(&self, field: &str) -> bool {
        self.approvals.iter().any(|policy| policy.reads(field))
    }

    /// The verdict.
    pub fn decide(&self, subject: &Subject, command: &Command) -> Decision {
        decide::decide(self.bench(), subject, command)
    }

    /// What every policy says to a command, and why.
    pub fn explain(&self, subject: &Subject, command: &Command) -> Vec<Explanation> {
        decide::explain(self.bench(), subject, command)
    }

    /// All masking rules.
    pub fn masks(&self) -> &MaskSet {
        &self.masks
    }

    /// The masker of command texts in records (`commandText: Masked`): of every detector where no rule that acts names one.
    pub fn records(&self) -> &Arc<Masker> {
        &self.records
    }

    /// The columns of a database that stay protected, whatever they are called.
    pub fn columns(&self, database: &str) -> &ByRule {
        const NONE: &ByRule = &ByRule::new();
        self.columns.get(database).unwrap_or(NONE)
    }

    /// The masking rules from which the person is exempt.
    pub fn exempt(&self, subject: &Subject) -> RuleSet {
        let exempt = self
            .exemptions
            .iter()
            .enumerate()
            .filter(|(_, named)| subject.is_among(named));
        exempt.filter_map(|(id, _)| mask::RuleId::try_from(id).ok()).collect()
    }

    /// The person's masker.
    pub fn masker(&self, subject: &Subject) -> Arc<Masker> {
        self.masks.masker(&self.exempt(subject))
    }

    /// Whether one of these rules forbids the person to assign what it protects: it does not allow writes, and the person
    /// is not exempt from it. The answer is the rule's name.
    pub fn forbids_writes<'a>(&'a self, subject: &Subject, rules: &RuleSet) -> Option<&'a str> {
        let exempt = self.exempt(subject);
        let forbidding = rules.iter().filter(|id| {
            let allowed = self.allows_writes.get(usize::from(*id)).copied().unwrap_or(false);
            !allowed && !exempt.contains(*id)
        });
        let mut named = forbidding.filter_map(|id| self.masks.rules().get(usize::from(id)));
        named.find(|rule| !rule.observe).map(|rule| rule.name.as_str())
    }

    /// The texts that the person is shown in the place of what is found in values, each behind the name of its rule.
    pub fn shown_to(&self, subject: &Subject) -> Vec<(&str, &str)> {
        let exempt = self.exempt(subject);
        let rules = (0..).zip(self.masks.rules());
        let acting = rules.filter(|(id, rule)| !rule.observe && !exempt.contains(*id));
        acting
            .filter_map(|(_, rule)| Some((rule.name.as_str(), rule.shown()?)))
            .collect()
    }

    /// The keys that Hash and Tokenize rules name, whether they were given or not.
    pub fn keys_named(carrier: &Carrier) -> Vec<SecretKeyReference> {
        let rules = carrier.masking_rules.iter();
        let mut keys: Vec<SecretKeyReference> = Vec::new();
        for key in rules.filter_map(|rule| rule.spec.action.key_secret_ref()) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }

    fn bench(&self) -> decide::Bench<'_> {
        decide::Bench {
            policies: &self.approvals,
            open: &self.open,
            connection: &self.connection,
            settings: &self.settings,
        }
    }
}

/// Keys are left out: what a rule hashes or tokenizes in a cell is redacted in a text all the same.
fn records(rules: &[mask::Rule]) -> Arc<Masker> {
    let mut rules = rules.to_vec();
    if !rules.iter().any(|rule| !rule.observe && !rule.detectors.is_empty()) {
        rules.push(mask::Rule::of_all_detectors());
    }
    MaskSet::new(rules, Keys::default()).masker(&RuleSet::default())
}

fn all<S, T>(
    carried: &[CarriedRule<S>],
    compile: impl Fn(&CarriedRule<S>) -> Result<T, Vec<Problem>>,
    problems: &mut Vec<Problem>,
) -> Vec<T> {
    let mut compiled = Vec::new();
    for rule in carried {
        match compile(rule) {
            Ok(rule) => compiled.push(rule),
            Err(more) => problems.extend(more),
        }
    }
    compiled
}

#[cfg(test)]
mod tests;
