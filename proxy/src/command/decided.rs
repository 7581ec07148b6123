//! The verdict on one unit.

use std::sync::Arc;
use std::time::Instant;

use sallyport_audit::digest::Digest;
use sallyport_audit::record::{self, Action, Event, Observed, RuleRef};
use sallyport_crds::access_request::RuleIdentity;
use sallyport_crds::approval_policy::{GrantScope, RuleAction};
use sallyport_policy::decide::{Decision, Denial, DeniedBy, Hold, MAX_HELD, MAX_SHOWN, Verdict};
use sallyport_policy::sql::Verb;
use sallyport_recorder::client::Durable;

use super::asked::binding;
use super::{Asked, Kind, Reach, Refused};
use crate::metrics;
use crate::session::Session;

/// A unit with a verdict on each of its commands. Only [`decide`] makes one.
pub struct Decided {
    pub(super) commands: Vec<Judged>,
    pub(super) reach: Reach,
    unit: u64,
    revision: u64,
    /// Set where the unit is the continuation of one of which a part has run.
    partial: bool,
    /// What decides at the target what it would do, beside itself; known of units that are held.
    pub(super) circumstances: Option<Vec<u8>>,
    /// Set once its intent is on record: it is recorded once.
    pub(super) intent: Option<Durable>,
}

/// One command with its verdict.
pub(super) struct Judged {
    pub(super) asked: Asked,
    pub(super) decision: Decision,
    /// Number within the session.
    pub(super) number: u64,
    /// See [`binding`]; for scope Command.
    pub(super) binding: Option<String>,
    /// The grant by which it runs.
    pub(super) request: Option<record::RequestRef>,
}

/// What a unit's verdicts come to.
pub(super) enum Gate {
    /// All of it may run.
    Open,
    /// From this command on it is refused.
    Shut(usize, Refused),
    /// Second people are asked, from this command on.
    Ask(usize),
}

/// Judges a unit under the rules of the session. Reads no clock and does no IO: the moment is in the commands.
pub fn decide(session: &mut Session, asked: Vec<Asked>, reach: Reach, partial: bool) -> Decided {
    let began = Instant::now();
    let unit = session.next_unit();
    let commands = asked.into_iter().map(|asked| judge(session, asked)).collect();
    metrics::get().decided(began.elapsed());
    Decided {
        commands,
        reach,
        unit,
        revision: session.open().revision,
        partial,
        circumstances: None,
        intent: None,
    }
}

fn judge(session: &mut Session, asked: Asked) -> Judged {
    let number = session.next_command();
    let mut decision = verdict(session, &asked);
    if let Some(rejection) = &asked.refused {
        decision.verdict = Verdict::Deny(rejection.denial.clone());
    }
    metrics::get().judged(action(&decision.verdict));
    let held = matches!(decision.verdict, Verdict::Hold(_));
    let binding = held.then(|| binding(session, GrantScope::Command, std::slice::from_ref(&asked), &[], None));
    Judged {
        asked,
        decision,
        number,
        binding,
        request: None,
    }
}

/// What the rules say to a command. What one of them would run read-only, and cannot be, is denied.
fn verdict(session: &Session, asked: &Asked) -> Decision {
    let mut decision = session.open().policy.decide(session.subject(), &asked.command);
    if let Some(words) = asked.unguarded.filter(|_| decision.verdict.read_only()) {
        decision.verdict = Verdict::Deny(Denial {
            by: DeniedBy::Limit,
            reason: words.to_owned(),
        });
    }
    decision
}

fn action(verdict: &Verdict) -> Action {
    match verdict {
        Verdict::Allow(_) => Action::Allow,
        Verdict::Hold(_) => Action::Hold,
        Verdict::Deny(_) => Action::Deny,
    }
}

/// Judges what was asked once more, under the present rules: after a wait, before the claim. Numbers stay. Where something is
/// denied by now the verdicts stay, too: they are on record as they were, and each that was no denial owes an outcome.
pub(super) fn again(session: &Session, decided: &mut Decided, asked: Vec<Asked>) -> bool {
    if asked.len() != decided.commands.len() {
        return false;
    }
    let judged = asked.into_iter().map(|asked| {
        let decision = verdict(session, &asked);
        (decision, asked)
    });
    let judged: Vec<(Decision, Asked)> = judged.collect();
    let denied =
        |(decision, asked): &(Decision, Asked)| matches!(decision.verdict, Verdict::Deny(_)) || asked.refused.is_some();
    if judged.iter().any(denied) {
        return false;
    }
    for (command, (decision, asked)) in decided.commands.iter_mut().zip(judged) {
        command.decision = decision;
        command.asked = asked;
    }
    decided.revision = session.open().revision;
    true
}

// === impl Decided ===

impl Decided {
    /// Whether there is nothing to judge in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Whether all of it may run, and nobody has to be asked.
    #[must_use]
    pub fn may_all_run(&self) -> bool {
        matches!(self.gate(), Gate::Open)
    }

    pub(super) fn gate(&self) -> Gate {
        let verdict = |judged: &Judged| action(&judged.decision.verdict);
        let Some(first) = self.commands.iter().position(|judged| verdict(judged) != Action::Allow) else {
            return Gate::Open;
        };
        // Nobody is asked about a unit that would fail all the same.
        let denied = self.commands.iter().position(|judged| verdict(judged) == Action::Deny);
        match denied {
            None if self.partial => Gate::Shut(self.from(first), partial_hold()),
            None if self.size() > MAX_HELD => Gate::Shut(self.from(first), too_long()),
            None if self.parameters() > MAX_SHOWN => Gate::Shut(self.from(first), too_many()),
            None if self.lingers() => Gate::Shut(self.from(first), lingering()),
            None => Gate::Ask(first),
            Some(denied) => {
                let words = self.commands.get(denied).and_then(Judged::denial);
                Gate::Shut(
                    self.from(first),
                    words.unwrap_or_else(|| Refused::new(Kind::Denied, "denied")),
                )
            }
        }
    }

    /// Where a refusal of command `index` begins.
    pub(super) fn from(&self, index: usize) -> usize {
        match self.reach {
            Reach::Whole => 0,
            Reach::Rest => index,
        }
    }

    fn size(&self) -> usize {
        self.commands.iter().map(|judged| judged.asked.command.size()).sum()
    }

    /// Whether somebody would be asked about code that runs later: a cursor's rows are made as they are fetched.
    fn lingers(&self) -> bool {
        self.commands.iter().any(|judged| {
            let command = &judged.asked.command;
            let held = matches!(judged.decision.verdict, Verdict::Hold(_));
            held && command.verbs.contains(Verb::Declare) && !command.hidden().is_empty()
        })
    }

    /// Numbers of the commands that are not denied: each owes an outcome once it is on record.
    pub(super) fn intended(&self) -> impl Iterator<Item = u64> {
        let denied = |judged: &&Judged| action(&judged.decision.verdict) == Action::Deny;
        self.commands
            .iter()
            .filter(move |judged| !denied(judged))
            .map(|judged| judged.number)
    }

    fn parameters(&self) -> usize {
        self.commands.iter().map(|judged| judged.asked.shown.len()).sum()
    }

    /// What all its held commands ask for together.
    pub(super) fn hold(&self) -> Hold {
        let mut all = Hold {
            requirements: Vec::new(),
            allowed_by: Vec::new(),
            read_only: false,
            break_glass: None,
        };
        let mut first = true;
        for judged in &self.commands {
            if let Verdict::Hold(hold) = &judged.decision.verdict {
                all.break_glass = match (
                    std::mem::take(&mut first),
                    all.break_glass.take(),
                    hold.break_glass.clone(),
                ) {
                    (true, _, leave) => leave,
                    (false, Some(one), Some(other)) => Some(one.and(other)),
                    _ => None,
                };
                for requirement in &hold.requirements {
                    if !all
                        .requirements
                        .iter()
                        .any(|known| known.asked_by == requirement.asked_by)
                    {
                        all.requirements.push(requirement.clone());
                    }
                }
            }
        }
        all
    }

    pub(super) fn risk(&self) -> u8 {
        self.commands
            .iter()
            .map(|judged| judged.decision.risk)
            .max()
            .unwrap_or_default()
    }

    /// Whether every parameter is where the rules that ask about its command let it vary.
    pub(super) fn is_within_ranges(&self) -> bool {
        self.commands.iter().all(|judged| match &judged.decision.verdict {
            Verdict::Hold(hold) => hold.ranges().iter().all(|range| range.takes(&judged.asked.numbers)),
            _ => true,
        })
    }

    /// Lets who approves read how far parameters may vary then.
    pub(super) fn show_ranges(&mut self) {
        for judged in &mut self.commands {
            if let Verdict::Hold(hold) = &judged.decision.verdict {
                for range in hold.ranges() {
                    if let Some(shown) = judged.asked.shown.get_mut(range.index()) {
                        shown.push_str(&format!(" (may vary {range})"));
                    }
                }
            }
        }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.commands.iter().map(|judged| judged.asked.clone()).collect()
    }

    /// The command records of the unit; none where they are written already.
    pub(super) fn events(&self, session: &Session) -> Vec<Event> {
        if self.intent.is_some() {
            return Vec::new();
        }
        self.commands
            .iter()
            .map(|judged| Event::Command(Box::new(self.event(session, judged))))
            .collect()
    }

    fn event(&self, session: &Session, judged: &Judged) -> record::Command {
        let identity = session.identity();
        let text = session.recorded_text(&judged.asked);
        record::Command {
            agents: identity.agents.clone(),
            binding: judged.binding.clone(),
            command: judged.number,
            digest: Digest::of(text.as_bytes()),
            params: session.recorded_params(&judged.asked),
            parts: 0,
            person: Arc::clone(session.person()),
            request: judged.request.clone(),
            tables: judged.asked.command.tables.clone(),
            tables_omitted: 0,
            text,
            unit: self.unit,
            verbs: judged
                .asked
                .command
                .verbs
                .iter()
                .map(|verb| verb.name().to_owned())
                .collect(),
            verdict: self.verdict(&judged.decision),
        }
    }

    fn verdict(&self, decision: &Decision) -> record::Verdict {
        let (rules, reason) = match &decision.verdict {
            Verdict::Allow(allowed) => (allowed.by.iter().map(rule).collect(), None),
            Verdict::Hold(hold) => (hold.requirements.iter().map(|one| rule(&one.asked_by)).collect(), None),
            Verdict::Deny(denial) => {
                let rules = match &denial.by {
                    DeniedBy::Rule(by) => vec![rule(by)],
                    _ => Vec::new(),
                };
                (rules, Some(denial.reason.clone()))
            }
        };
        let observed = decision.notes.iter().map(|note| Observed {
            action: match note.would {
                RuleAction::Allow => Action::Allow,
                RuleAction::RequireApproval => Action::Hold,
                RuleAction::Deny => Action::Deny,
            },
            rule: rule(&note.rule),
        });
        record::Verdict {
            action: action(&decision.verdict),
            observed: observed.collect(),
            policy_revision: self.revision,
            read_only: decision.verdict.read_only(),
            reason,
            risk: decision.risk,
            rules,
        }
    }
}

fn rule(rule: &RuleIdentity) -> RuleRef {
    RuleRef {
        generation: rule.generation,
        policy: rule.policy.clone(),
        rule: rule.rule.clone(),
        uid: rule.uid.clone(),
    }
}

fn partial_hold() -> Refused {
    Refused::new(
        Kind::Denied,
        "this needs an approval, and a part of the same unit has run already: send it on its own",
    )
}

fn too_long() -> Refused {
    let words = format!(
        "this needs an approval and is longer than {MAX_HELD} bytes, more than an approver can be asked to read"
    );
    Refused::new(Kind::Denied, words)
}

fn too_many() -> Refused {
    let words = format!(
        "this needs an approval and binds more than {MAX_SHOWN} parameters, more than an approver is shown: send fewer at once"
    );
    Refused::new(Kind::Denied, words)
}

fn lingering() -> Refused {
    Refused::new(
        Kind::Denied,
        "this needs an approval and calls code that a cursor would run as it is fetched from, when the code may be another",
    )
    .hint("Run the query itself, without DECLARE; in psql: \\unset FETCH_COUNT")
}

// === impl Judged ===

impl Judged {
    fn denial(&self) -> Option<Refused> {
        match &self.decision.verdict {
            Verdict::Deny(denial) => {
                let kind = self
                    .asked
                    .refused
                    .as_ref()
                    .map_or(Kind::Denied, |rejection| rejection.kind);
                let refused = Refused::new(kind, denial.reason.clone());
                let by = (kind == Kind::Denied).then(|| match denial.by {
                    DeniedBy::Mask(_) => format!(
                        "Denied by {}, which says whom it exempts (exemptSubjects) and whether others may write (allowWrites).",
                        denial.by
                    ),
                    _ => format!("Denied by {}.", denial.by),
                });
                Some(Refused { detail: by, ..refused })
            }
            _ => None,
        }
    }
}
