//! Answers.

use std::fmt;
use std::time::Duration;

use sallyport_crds::Subject as Named;
use sallyport_crds::access_request::{Person, RuleIdentity};
use sallyport_crds::approval_policy::{GrantScope, OnHold, RuleAction};
use sallyport_crds::connection::AlwaysDenied;

use super::range::Range;
use crate::carrier::ClusterSettings;
use crate::tally::others;

/// The answer to one command, with what has to be recorded about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// What policies in mode Observe would have done.
    pub notes: Vec<Note>,
    /// The documented score, 0 to 100.
    pub risk: u8,
}

/// What happens to a command, from the mildest to the strictest.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It runs.
    Allow(Allowed),
    /// It waits for people.
    Hold(Hold),
    /// It is refused.
    Deny(Denial),
}

/// A command that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// The rules that say so, one of each policy.
    pub by: Vec<RuleIdentity>,
    /// Whether one of them wants it run in a read-only transaction.
    pub read_only: bool,
}

/// A command that is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// Who says so.
    pub by: DeniedBy,
    /// Why, for the person and the record. Holds no value of the command.
    pub reason: String,
}

/// Who refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeniedBy {
    /// The door itself, whatever the rules say; a Connection can open the class.
    Door(AlwaysDenied),
    /// A rule.
    Rule(RuleIdentity),
    /// No rule of any policy matches.
    NoRule,
    /// The door's limits: too large to be judged or to be read by an approver.
    Limit,
    /// A masking rule: a protected column would be written, or stands where Strict cannot follow it.
    Mask(String),
}

/// A command that waits for people. Every requirement has to be met.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// What each policy asks for.
    pub requirements: Vec<Requirement>,
    /// Rules of other policies that allow it.
    pub allowed_by: Vec<RuleIdentity>,
    /// Whether a rule wants it run in a read-only transaction.
    pub read_only: bool,
    /// Set: the person may go ahead at once, loudly, to be reviewed afterwards.
    pub break_glass: Option<BreakGlass>,
}

/// What one policy asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// The rule, with the policy's uid and generation.
    pub asked_by: RuleIdentity,
    /// Who may approve.
    pub approvers: Vec<Named>,
    /// How many distinct people. At least 1.
    pub required: u32,
    /// Whether an approval needs a reason.
    pub reason_required: bool,
    /// How old the login of an approver may be.
    pub max_login_age: Option<sallyport_crds::Duration>,
    /// What an approval allows.
    pub scope: GrantScope,
    /// How long, for every scope but Command.
    pub valid_for: Option<Duration>,
    /// Within what parameters may vary, for scope Fingerprint.
    pub ranges: Vec<Range>,
    /// How long the command waits at the door.
    pub hold_for: Duration,
    /// How long the request can be decided.
    pub expires_after: Duration,
    /// How long a hold inside an open transaction may last.
    pub max_hold_in_transaction: Duration,
    /// Whether the client waits or is refused with the request's name.
    pub on_hold: OnHold,
    /// The rule's message for the person, with what is hidden if that is why it asks.
    pub message: Option<String>,
}

/// Going ahead without waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakGlass {
    /// Names of the policies that permit it; all that ask for approval do.
    pub policies: Vec<String>,
    /// Who reviews it afterwards.
    pub reviewers: Vec<Named>,
    /// How long one use lasts.
    pub max_duration: Duration,
}

/// What a policy in mode Observe would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The rule.
    pub rule: RuleIdentity,
    /// Its action. An error while evaluating it counts as Deny.
    pub would: RuleAction,
    /// The message or the error.
    pub message: Option<String>,
}

/// What one policy says to a command, for people who ask why.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Name of the policy.
    pub policy: String,
    /// Whether it only observes.
    pub observe: bool,
    /// Whether its subjects include the person.
    pub applies: bool,
    /// The rules that were tried, in order, with what each came to: `Ok(true)` is the one that matched.
    pub tried: Vec<(String, Result<bool, String>)>,
    /// Rules that speak only because of what may be hidden in the command, in order.
    pub hidden: Vec<String>,
    /// What the policy says, if anything.
    pub says: Option<RuleAction>,
}

// === impl Verdict ===

impl Verdict {
    /// `allow`, `hold` or `deny`: for metrics and records.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Allow(_) => "allow",
            Verdict::Hold(_) => "hold",
            Verdict::Deny(_) => "deny",
        }
    }

    /// Whether a rule wants the command run read-only.
    pub fn read_only(&self) -> bool {
        match self {
            Verdict::Allow(allowed) => allowed.read_only,
            Verdict::Hold(hold) => hold.read_only,
            Verdict::Deny(_) => false,
        }
    }
}

// === impl Hold ===

impl Hold {
    /// What a grant can cover: the narrowest scope that any requirement gives.
    pub fn scope(&self) -> GrantScope {
        let narrowness = |scope: &GrantScope| match scope {
            GrantScope::Command => 0,
            GrantScope::Fingerprint => 1,
            GrantScope::Session => 2,
            GrantScope::Window => 3,
        };
        self.requirements
            .iter()
            .map(|one| one.scope)
            .min_by_key(narrowness)
            .unwrap_or_default()
    }

    /// How long a grant lasts: the shortest that any requirement gives.
    pub fn valid_for(&self) -> Option<Duration> {
        self.requirements.iter().filter_map(|one| one.valid_for).min()
    }

    /// Refuse if any requirement says so.
    pub fn on_hold(&self) -> OnHold {
        match self.requirements.iter().any(|one| one.on_hold == OnHold::Refuse) {
            true => OnHold::Refuse,
            false => OnHold::Wait,
        }
    }

    /// How long the command waits at the door, inside an open transaction or outside: the shortest of all.
    pub fn wait(&self, in_transaction: bool) -> Duration {
        let each = self.requirements.iter().map(|one| match in_transaction {
            true => one.hold_for.min(one.max_hold_in_transaction),
            false => one.hold_for,
        });
        each.min().unwrap_or_default()
    }

    /// How long the request can be decided: the shortest of all.
    pub fn expires_after(&self) -> Duration {
        self.requirements
            .iter()
            .map(|one| one.expires_after)
            .min()
            .unwrap_or_default()
    }

    /// Within what parameters may vary: all that any requirement says, each once.
    pub fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = self.requirements.iter().flat_map(|one| one.ranges.clone()).collect();
        ranges.sort_unstable();
        ranges.dedup();
        ranges
    }

    /// The rules that ask.
    pub fn asked_by(&self) -> Vec<RuleIdentity> {
        self.requirements.iter().map(|one| one.asked_by.clone()).collect()
    }
}

// === impl BreakGlass ===

impl BreakGlass {
    /// What two commands of one unit permit together: both must, reviewers of both are asked, the shorter time holds.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for policy in other.policies {
            if !self.policies.contains(&policy) {
                self.policies.push(policy);
            }
        }
        for reviewer in other.reviewers {
            if !self.reviewers.contains(&reviewer) {
                self.reviewers.push(reviewer);
            }
        }
        self.max_duration = self.max_duration.min(other.max_duration);
        self
    }
}

// === impl Requirement ===

impl Requirement {
    /// Whether fewer people than it wants are left once the asker and their agents are taken out.
    pub(super) fn asks_only(&self, own: &[Person], settings: &ClusterSettings) -> bool {
        let wanted = usize::try_from(self.required).unwrap_or(usize::MAX);
        others(&self.approvers, own, settings).is_some_and(|others| others < wanted)
    }
}

// === impl DeniedBy ===

impl fmt::Display for DeniedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeniedBy::Door(class) => write!(f, "the door ({class:?})"),
            DeniedBy::Rule(rule) => write!(f, "rule {}/{}", rule.policy, rule.rule),
            DeniedBy::NoRule => f.write_str("no rule"),
            DeniedBy::Limit => f.write_str("the door's limits"),
            DeniedBy::Mask(rule) => write!(f, "masking rule {rule}"),
        }
    }
}
