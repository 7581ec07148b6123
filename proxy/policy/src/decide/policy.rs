//! One ApprovalPolicy, compiled.

use sallyport_crds::access_request::RuleIdentity;
use sallyport_crds::approval_policy::{Approval, BreakGlass, PolicyRule, RuleAction, RuleMatch};
use sallyport_crds::{ApprovalPolicySpec, Mode, Reason, Subject as Named};

use crate::carrier::CarriedRule;
use crate::problem::{ObjectKind, Problem};
use crate::subject::Subject;

use super::cel::{CelError, Expression, Facts};
use super::range::Range;
use super::verdict::Requirement;

/// A compiled policy. Made by [`compile`] only, so what is in force has been accepted.
#[derive(Debug)]
pub struct ApprovalPolicy {
    name: String,
    uid: String,
    generation: i64,
    observe: bool,
    subjects: Vec<Named>,
    rules: Vec<Rule>,
    pub(super) break_glass: Option<BreakGlass>,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    matches: Match,
    pub(super) action: RuleAction,
    pub(super) message: Option<String>,
    pub(super) max_login_age: Option<u64>,
    pub(super) read_only: bool,
    approval: Option<Approval>,
    /// Of what an approval grants.
    ranges: Vec<Range>,
}

#[derive(Debug)]
enum Match {
    Cel(Box<Expression>),
    RiskAtLeast(u8),
    Any,
}

/// Compiles a policy, or says everything that is wrong with it.
pub fn compile(carried: &CarriedRule<ApprovalPolicySpec>) -> Result<ApprovalPolicy, Vec<Problem>> {
    let CarriedRule {
        name,
        uid,
        generation,
        spec,
    } = carried;
    let mut problems = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    for (index, rule) in spec.rules.iter().enumerate() {
        let mut refuse = |field: &str, message: String| {
            let field = format!("spec.rules[{index}]{field}");
            problems.push(Problem::new(
                ObjectKind::ApprovalPolicy,
                name,
                &field,
                Reason::Invalid,
                message,
            ));
        };
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            refuse(".name", format!("rule {} is there twice", rule.name));
        }
        match compile_rule(rule) {
            Ok(rule) => rules.push(rule),
            Err((field, message)) => refuse(field, message),
        }
    }
    if spec.rules.is_empty() {
        problems.push(Problem::new(
            ObjectKind::ApprovalPolicy,
            name,
            "spec.rules",
            Reason::Invalid,
            "there is no rule",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(ApprovalPolicy {
        name: name.clone(),
        uid: uid.clone(),
        generation: *generation,
        observe: spec.mode == Mode::Observe,
        subjects: spec.subjects.clone(),
        rules,
        break_glass: spec.break_glass.clone(),
    })
}

fn compile_rule(rule: &PolicyRule) -> Result<Rule, (&'static str, String)> {
    let matches = compile_match(&rule.matches)?;
    match (&rule.action, &rule.approval) {
        (RuleAction::RequireApproval, None) => {
            return Err((
                ".approval",
                "action RequireApproval needs it: who may approve".to_owned(),
            ));
        }
        (RuleAction::Allow | RuleAction::Deny, Some(_)) => {
            return Err((".approval", "belongs to action RequireApproval alone".to_owned()));
        }
        _ => {}
    }
    if let Some(approval) = &rule.approval
        && (approval.approvers.is_empty() || approval.required < 1)
    {
        return Err((
            ".approval",
            "name at least one approver, and ask for at least one".to_owned(),
        ));
    }
    let ranges = rule.approval.as_ref().map(|approval| Range::all(&approval.grant));
    let ranges = ranges
        .transpose()
        .map_err(|words| (".approval.grant.parameters", words.to_owned()))?;
    Ok(Rule {
        name: rule.name.clone(),
        matches,
        action: rule.action,
        message: rule.message.clone(),
        max_login_age: rule.max_login_age.map(|age| age.get().as_secs()),
        read_only: rule.read_only,
        approval: rule.approval.clone(),
        ranges: ranges.unwrap_or_default(),
    })
}

fn compile_match(matches: &RuleMatch) -> Result<Match, (&'static str, String)> {
    match (&matches.cel, matches.risk_at_least, matches.any) {
        (Some(source), None, None | Some(false)) => Expression::compile(source)
            .map(|expression| Match::Cel(Box::new(expression)))
            .map_err(|error| (".match.cel", error.to_string())),
        (None, Some(score), None | Some(false)) => match u8::try_from(score) {
            Ok(score) if score <= 100 => Ok(Match::RiskAtLeast(score)),
            _ => Err((".match.riskAtLeast", "must be between 0 and 100".to_owned())),
        },
        (None, None, Some(true)) => Ok(Match::Any),
        _ => Err((".match", "give exactly one of cel, riskAtLeast, any: true".to_owned())),
    }
}

// === impl ApprovalPolicy ===

impl ApprovalPolicy {
    /// Name of the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it only says what it would have done.
    pub fn observes(&self) -> bool {
        self.observe
    }

    /// Whether it is about this person.
    pub fn applies_to(&self, subject: &Subject) -> bool {
        self.subjects.is_empty() || subject.is_among(&self.subjects)
    }

    /// Whether the answer of a rule of it may hang on this field of `command`.
    pub(crate) fn reads(&self, field: &str) -> bool {
        self.rules.iter().any(|rule| rule.reads(&[field]))
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn identity(&self, rule: &Rule) -> RuleIdentity {
        RuleIdentity {
            policy: self.name.clone(),
            uid: self.uid.clone(),
            generation: self.generation,
            rule: rule.name.clone(),
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Whether the rule matches.
    pub(super) fn matches(&self, facts: Facts<'_>) -> Result<bool, CelError> {
        match &self.matches {
            Match::Any => Ok(true),
            Match::RiskAtLeast(score) => Ok(facts.risk >= *score),
            Match::Cel(expression) => expression.run(facts),
        }
    }

    /// Whether it says in so many words that something may be hidden.
    pub(super) fn names_hidden(&self) -> bool {
        matches!(&self.matches, Match::Cel(expression) if expression.names_hidden())
    }

    /// Whether its answer may hang on a name that does not stand in it.
    pub(super) fn seeks_names(&self) -> bool {
        matches!(&self.matches, Match::Cel(expression) if expression.seeks_names())
    }

    /// Whether its answer may hang on any of these fields of `command`.
    pub(super) fn reads(&self, fields: &[&str]) -> bool {
        match &self.matches {
            Match::Any => false,
            Match::RiskAtLeast(_) => fields.contains(&"risk"),
            Match::Cel(expression) => expression.reads(fields),
        }
    }

    /// What the rule asks for, if it asks for approval.
    pub(super) fn requirement(&self, asked_by: RuleIdentity) -> Option<Requirement> {
        let approval = self.approval.as_ref()?;
        Some(Requirement {
            asked_by,
            approvers: approval.approvers.clone(),
            required: u32::try_from(approval.required).unwrap_or(1).max(1),
            reason_required: approval.reason_required,
            max_login_age: approval.max_login_age,
            scope: approval.grant.scope,
            valid_for: approval.grant.valid_for.map(Into::into),
            ranges: self.ranges.clone(),
            hold_for: approval.hold_for.into(),
            expires_after: approval.expires_after.into(),
            max_hold_in_transaction: approval.max_hold_in_transaction.into(),
            on_hold: approval.on_hold,
            message: self.message.clone(),
        })
    }
}
