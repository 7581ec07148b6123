//! Asks every policy and keeps the most restrictive answer.

use sallyport_crds::access_request::{Person, RuleIdentity};
use sallyport_crds::approval_policy::RuleAction;
use sallyport_crds::connection::AlwaysDenied;

use crate::carrier::ClusterSettings;
use crate::subject::Subject;
use crate::tally::others;

use super::cel::{Beyond, ConnectionFacts, Facts};
use super::policy::{ApprovalPolicy, Rule};
use super::unseen::Unseen;
use super::verdict::{Allowed, BreakGlass, Decision, Denial, DeniedBy, Explanation, Hold, Note, Requirement, Verdict};
use super::{Command, MAX_HELD, MAX_SHOWN, risk};

/// The most relations, columns or functions that a command may name and still be judged: expressions loop over them.
const MAX_NAMES: usize = 1_024;

/// Everything that a decision depends on apart from person and command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) policies: &'a [ApprovalPolicy],
    pub(crate) open: &'a [AlwaysDenied],
    pub(crate) connection: &'a ConnectionFacts,
    /// By which names people are the same.
    pub(crate) settings: &'a ClusterSettings,
}

impl<'a> Bench<'a> {
    fn facts(&self, subject: &'a Subject, command: &'a Command) -> Facts<'a> {
        Facts {
            command,
            subject,
            connection: self.connection,
            risk: risk(command),
            beyond: Beyond::Nothing,
        }
    }

    /// The policies that are about a person.
    fn about(&self, subject: &Subject) -> impl Iterator<Item = &'a ApprovalPolicy> {
        self.policies.iter().filter(move |policy| policy.applies_to(subject))
    }

    /// What they say to a command as it is seen.
    fn seen(&self, facts: Facts<'_>) -> Answers {
        let mut answers = Answers::default();
        for policy in self.about(facts.subject) {
            answers.take(policy, says(policy, facts));
        }
        answers
    }

    /// What they say to all that its hidden code may do.
    fn unseen(&self, unseen: &Unseen, facts: Facts<'_>) -> Answers {
        let mut answers = Answers::default();
        let mut answered = false;
        for policy in self.about(facts.subject) {
            let guarded = guarded(policy, facts);
            let (all, always) = guarded.as_ref().unwrap_or(unseen).says(policy, facts);
            answered |= always && !policy.observes();
            all.into_iter().for_each(|says| answers.take(policy, says));
        }
        if !answered {
            answers.denial.get_or_insert_with(|| unseen.denial());
        }
        answers
    }
}

/// What one policy says.
pub(super) enum Says<'a> {
    Nothing,
    Allow(&'a Rule),
    /// With the words for the person.
    Require(&'a Rule, Option<String>),
    Deny(&'a Rule, String),
}

/// The answer to one command of one person.
pub(crate) fn decide(bench: Bench<'_>, subject: &Subject, command: &Command) -> Decision {
    let facts = bench.facts(subject, command);
    let mut answers = bench.seen(facts);
    if let Some(unseen) = Unseen::of(command, answers.read_only) {
        answers.tighten(bench.unseen(&unseen, facts));
    }
    let verdict = match before_rules(bench.open, command) {
        Some(denial) => Verdict::Deny(denial),
        None => answers.verdict(bench, subject, command),
    };
    Decision {
        verdict,
        notes: answers.notes,
        risk: facts.risk,
    }
}

/// What every policy says, and why.
pub(crate) fn explain(bench: Bench<'_>, subject: &Subject, command: &Command) -> Vec<Explanation> {
    let facts = bench.facts(subject, command);
    let unseen = Unseen::of(command, bench.seen(facts).read_only);
    bench
        .policies
        .iter()
        .map(|policy| explain_policy(policy, facts, unseen.as_ref()))
        .collect()
}

fn explain_policy(policy: &ApprovalPolicy, facts: Facts<'_>, unseen: Option<&Unseen>) -> Explanation {
    let applies = policy.applies_to(facts.subject);
    let mut tried = Vec::new();
    for rule in policy.rules().iter().filter(|_| applies) {
        let outcome = rule.matches(facts);
        let last = outcome != Ok(false);
        tried.push((rule.name.clone(), outcome.map_err(|error| error.to_string())));
        if last {
            break;
        }
    }
    let seen = if applies { says(policy, facts) } else { Says::Nothing };
    let guarded = guarded(policy, facts);
    let unseen = unseen.map(|unseen| guarded.as_ref().unwrap_or(unseen));
    let more = unseen
        .filter(|_| applies)
        .map(|unseen| unseen.says(policy, facts).0)
        .unwrap_or_default();
    let named = |says: &Says<'_>| says.rule().map(|rule| rule.name.clone());
    let matched = named(&seen);
    Explanation {
        policy: policy.name().to_owned(),
        observe: policy.observes(),
        applies,
        tried,
        hidden: more
            .iter()
            .filter_map(named)
            .filter(|rule| Some(rule) != matched.as_ref())
            .collect(),
        says: std::iter::once(&seen).chain(&more).filter_map(Says::action).max(),
    }
}

/// What a policy in mode Observe would run read-only is tried as that.
fn guarded(policy: &ApprovalPolicy, facts: Facts<'_>) -> Option<Unseen> {
    let read_only = policy.observes() && says(policy, facts).runs_read_only();
    read_only.then(|| Unseen::of(facts.command, true)).flatten()
}

/// What is refused before any rule is asked.
fn before_rules(open: &[AlwaysDenied], command: &Command) -> Option<Denial> {
    if let Some(denied) = command.denied.iter().find(|denied| !open.contains(&denied.class)) {
        return Some(Denial {
            by: DeniedBy::Door(denied.class),
            reason: denied.reason(),
        });
    }
    let names = [command.tables.len(), command.columns.len(), command.functions.len()];
    names.into_iter().any(|count| count > MAX_NAMES).then(|| Denial {
        by: DeniedBy::Limit,
        reason: format!("the statement names more than {MAX_NAMES} relations, columns or functions: split it"),
    })
}

/// The first rule that matches speaks for its policy.
fn says<'a>(policy: &'a ApprovalPolicy, facts: Facts<'_>) -> Says<'a> {
    for rule in policy.rules() {
        match rule.matches(facts) {
            Ok(false) => {}
            Ok(true) => return speak(rule, facts.subject, facts.command),
            Err(error) => return Says::Deny(rule, error.of_rule(&rule.name)),
        }
    }
    Says::Nothing
}

pub(super) fn speak<'a>(rule: &'a Rule, subject: &Subject, command: &Command) -> Says<'a> {
    match rule.action {
        RuleAction::Deny => Says::Deny(
            rule,
            rule.message
                .clone()
                .unwrap_or_else(|| format!("denied by rule {}", rule.name)),
        ),
        _ if rule.max_login_age.is_some_and(|age| !subject.is_fresh(age, command.at)) => {
            let age = rule.max_login_age.unwrap_or_default();
            let what_to_do = match subject.authenticated_at {
                Some(_) => "log in again",
                None => "your token does not say when you logged in (auth_time); ask who keeps your identity provider",
            };
            Says::Deny(
                rule,
                format!("rule {} asks for a login at most {age} s old: {what_to_do}", rule.name),
            )
        }
        RuleAction::RequireApproval => Says::Require(rule, rule.message.clone()),
        RuleAction::Allow => Says::Allow(rule),
    }
}

// === impl Says ===

impl<'a> Says<'a> {
    fn rule(&self) -> Option<&'a Rule> {
        match self {
            Says::Nothing => None,
            Says::Allow(rule) | Says::Require(rule, _) | Says::Deny(rule, _) => Some(rule),
        }
    }

    fn action(&self) -> Option<RuleAction> {
        match self {
            Says::Nothing => None,
            Says::Allow(_) => Some(RuleAction::Allow),
            Says::Require(..) => Some(RuleAction::RequireApproval),
            Says::Deny(..) => Some(RuleAction::Deny),
        }
    }

    fn runs_read_only(&self) -> bool {
        self.rule().is_some_and(|rule| rule.read_only)
    }
}

/// The answers of all policies so far.
#[derive(Default)]
struct Answers {
    allowed: Vec<RuleIdentity>,
    required: Vec<Requirement>,
    denial: Option<Denial>,
    read_only: bool,
    notes: Vec<Note>,
}

impl Answers {
    fn take(&mut self, policy: &ApprovalPolicy, says: Says<'_>) {
        let (Some(rule), Some(would)) = (says.rule(), says.action()) else {
            return;
        };
        let identity = policy.identity(rule);
        if policy.observes() {
            self.note(Note {
                rule: identity,
                would,
                message: match says {
                    Says::Nothing | Says::Allow(_) => rule.message.clone(),
                    Says::Require(_, message) => message,
                    Says::Deny(_, reason) => Some(reason),
                },
            });
            return;
        }
        self.read_only |= rule.read_only;
        match says {
            Says::Deny(_, reason) => {
                self.denial.get_or_insert(Denial {
                    by: DeniedBy::Rule(identity),
                    reason,
                });
            }
            Says::Require(rule, message) => {
                let requirement = rule.requirement(identity);
                self.required
                    .extend(requirement.map(|asked| Requirement { message, ..asked }));
            }
            _ => self.allowed.push(identity),
        }
    }

    /// Keeps the strictest that a policy in mode Observe would have done.
    fn note(&mut self, note: Note) {
        let known = self
            .notes
            .iter_mut()
            .find(|known| known.rule.policy == note.rule.policy);
        match known {
            Some(known) if known.would < note.would => *known = note,
            Some(_) => {}
            None => self.notes.push(note),
        }
    }

    /// Adds what is said to all that hidden code may do. What nobody allows as it is seen stays denied.
    fn tighten(&mut self, unseen: Answers) {
        unseen.notes.into_iter().for_each(|note| self.note(note));
        if self.allowed.is_empty() && self.required.is_empty() {
            return;
        }
        self.read_only |= unseen.read_only;
        self.denial = self.denial.take().or(unseen.denial);
        for requirement in unseen.required {
            if !self.required.iter().any(|known| known.asked_by == requirement.asked_by) {
                self.required.push(requirement);
            }
        }
        let required = &self.required;
        let asks = |rule: &RuleIdentity| required.iter().any(|asked| asked.asked_by.policy == rule.policy);
        self.allowed.retain(|rule| !asks(rule));
    }

    fn verdict(&mut self, bench: Bench<'_>, subject: &Subject, command: &Command) -> Verdict {
        let (allowed, required) = (std::mem::take(&mut self.allowed), std::mem::take(&mut self.required));
        let own = match required.is_empty() {
            true => Vec::new(),
            false => subject.people(),
        };
        match (self.denial.take(), required.is_empty(), allowed.is_empty()) {
            (Some(denial), ..) => Verdict::Deny(denial),
            (None, true, true) => Verdict::Deny(Denial {
                by: DeniedBy::NoRule,
                reason: "no rule allows this; ask whoever keeps the ApprovalPolicies of this connection".to_owned(),
            }),
            (None, true, false) => Verdict::Allow(Allowed {
                by: allowed,
                read_only: self.read_only,
            }),
            (None, false, _) if command.size() > MAX_HELD => Verdict::Deny(Denial {
                by: DeniedBy::Limit,
                reason: format!(
                    "this needs approval, and a command over {MAX_HELD} bytes with its parameters cannot be shown to an approver whole"
                ),
            }),
            (None, false, _) if command.parameters > MAX_SHOWN => Verdict::Deny(Denial {
                by: DeniedBy::Limit,
                reason: format!(
                    "this needs approval, and more than {MAX_SHOWN} parameters cannot be shown to an approver: bind fewer at once"
                ),
            }),
            (None, false, _) if let Some(alone) = required.iter().find(|one| one.asks_only(&own, bench.settings)) => {
                Verdict::Deny(Denial {
                    by: DeniedBy::Rule(alone.asked_by.clone()),
                    reason: format!(
                        "this needs an approval that nobody could give: apart from you, rule {} names too few approvers",
                        alone.asked_by.rule
                    ),
                })
            }
            (None, false, _) => Verdict::Hold(Hold {
                break_glass: break_glass(&required, bench, (subject, own.as_slice()), command),
                requirements: required,
                allowed_by: allowed,
                read_only: self.read_only,
            }),
        }
    }
}

/// Breaking glass needs the leave of every policy that asks for approval, a login as fresh as each of them wants, and somebody
/// else to review it: what nobody could review would stay locked.
fn break_glass(
    required: &[Requirement],
    bench: Bench<'_>,
    (subject, own): (&Subject, &[Person]),
    command: &Command,
) -> Option<BreakGlass> {
    // An agent never goes ahead by itself.
    if !subject.agents.is_empty() {
        return None;
    }
    let mut granted: Option<BreakGlass> = None;
    for requirement in required {
        let policy = bench
            .policies
            .iter()
            .find(|policy| policy.name() == requirement.asked_by.policy)?;
        let leave = policy.break_glass.as_ref()?;
        if !subject.is_among(&leave.subjects) || !subject.is_fresh(leave.max_login_age.get().as_secs(), command.at) {
            return None;
        }
        if others(&leave.reviewers, own, bench.settings) == Some(0) {
            return None;
        }
        let max_duration = leave.max_duration.get();
        let all = granted.get_or_insert_with(|| BreakGlass {
            policies: Vec::new(),
            reviewers: Vec::new(),
            max_duration,
        });
        if all.policies.iter().any(|known| known == policy.name()) {
            continue;
        }
        all.policies.push(policy.name().to_owned());
        all.reviewers.extend(leave.reviewers.iter().cloned());
        all.max_duration = all.max_duration.min(max_duration);
    }
    granted
}
