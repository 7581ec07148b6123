//! What the rules say to code that nobody can see into.
//!
//! A function, a procedure, a DO block does what its author wrote, and neither the text of a command nor the catalog tells what
//! that is. So a command of which something is [hidden](Command::hidden) is judged twice, as it is seen and as whatever its
//! code may do, and the stricter verdict holds. What is tried:
//!
//! | reading | verbs | relations and columns |
//! |---|---|---|
//! | as it is seen | its own | its own |
//! | strangers | its own and all that code may do | and one that no rule names |
//! | named | the same | and whatever the rule's own expression names |
//! | alone | its own and one thing that code may do | as in both of these |
//!
//! Functions and settings are tried as relations are. In all but the first it changes more rows than a rule counts and touches
//! protected columns; it has no WHERE, and alone also has one. A rule that denies or asks for approval speaks if it matches in
//! any reading: the code may do just that. A rule that allows ends the search only if it matches in every one. What no rule
//! answers in every reading, nobody allows. An expression that asks more of a name than the texts that stand in it can answer
//! counts as one that matches in some readings.
//!
//! What reaches relations that nobody can tell ([`Command::beyond`]) is tried in the same readings, with its own verbs alone.
//!
//! Who writes a rule for hidden code says so: one that names `command.opaque` or `command.hidden` and matches the command as
//! it is seen is the last word, whatever the code does. What runs read-only is tried as what reads: the target itself refuses
//! what it writes.

use sallyport_crds::approval_policy::RuleAction;

use crate::sql::{Verb, Verbs};

use super::cel::{Beyond, CelError, Facts};
use super::judge::{Says, speak};
use super::policy::{ApprovalPolicy, Rule};
use super::verdict::{Denial, DeniedBy};
use super::{Command, risk};

/// What code can do in a function, a procedure or a DO block and that a rule may be about. VACUUM, ALTER SYSTEM and two-phase
/// commit are refused there by PostgreSQL.
const MAY_DO: [Verb; 34] = [
    Verb::Select,
    Verb::Insert,
    Verb::Update,
    Verb::Delete,
    Verb::Merge,
    Verb::Truncate,
    Verb::Create,
    Verb::Alter,
    Verb::Drop,
    Verb::Grant,
    Verb::Revoke,
    Verb::CopyFrom,
    Verb::CopyTo,
    Verb::Call,
    Verb::Do,
    Verb::Set,
    Verb::Reset,
    Verb::Constraints,
    Verb::Lock,
    Verb::Notify,
    Verb::Listen,
    Verb::Unlisten,
    Verb::Analyze,
    Verb::Refresh,
    Verb::Comment,
    Verb::SecurityLabel,
    Verb::Reindex,
    Verb::Cluster,
    Verb::Import,
    Verb::Reassign,
    Verb::Load,
    Verb::Discard,
    Verb::Checkpoint,
    Verb::Utility,
];

/// What is left of that in a read-only transaction, which the target itself holds to.
const MAY_READ: [Verb; 1] = [Verb::Select];

/// What is done to relations that nobody can tell is what the text says.
const MAY_DO_NO_MORE: [Verb; 0] = [];

/// More rows than a rule counts, and few enough to be reckoned with.
const ALL_ROWS: u64 = u32::MAX as u64;

/// A command as whatever its hidden code may do.
#[derive(Debug)]
pub(super) struct Unseen {
    worst: Command,
    risk: u8,
    /// What its code may do.
    may: &'static [Verb],
    /// One thing that is hidden, for the person and the record.
    what: String,
    /// Whether that is code, and not relations that nobody can tell.
    is_code: bool,
}

/// How a rule answers the readings of a command.
enum Answer {
    Never,
    Perhaps,
    Always,
}

// === impl Unseen ===

impl Unseen {
    /// `None` where nothing is hidden. `read_only`: it is to run in a read-only transaction, which a procedure or a DO block
    /// may be able to end.
    pub(super) fn of(command: &Command, read_only: bool) -> Option<Self> {
        let code = command.hidden().first().map(|what| (*what).to_owned());
        let what = code.clone().or_else(|| command.beyond.map(str::to_owned))?;
        let may: &[Verb] = match &code {
            None => &MAY_DO_NO_MORE,
            Some(_) if read_only && !command.verbs.any(&[Verb::Call, Verb::Do]) => &MAY_READ,
            Some(_) => &MAY_DO,
        };
        let mut worst = command.clone();
        if code.is_some() {
            worst.verbs.extend(may.iter().copied().collect());
            worst.has_where = false;
            worst.read_only = false;
        }
        worst.protected = true;
        worst.rows = Some(ALL_ROWS);
        Some(Self {
            risk: risk(&worst),
            worst,
            may,
            what,
            is_code: code.is_some(),
        })
    }

    /// Everything that a policy may say, and whether it says something whatever the code does.
    pub(super) fn says<'a>(&self, policy: &'a ApprovalPolicy, seen: Facts<'_>) -> (Vec<Says<'a>>, bool) {
        let mut all = Vec::new();
        for rule in policy.rules() {
            match self.answer(rule, seen) {
                Ok(Answer::Never) => {}
                Ok(Answer::Perhaps) if rule.action == RuleAction::Allow => {}
                Ok(Answer::Perhaps) => all.push(self.warn(rule, speak(rule, seen.subject, seen.command))),
                Ok(Answer::Always) => {
                    all.push(speak(rule, seen.subject, seen.command));
                    return (all, true);
                }
                Err(error) => {
                    all.push(Says::Deny(rule, error.of_rule(&rule.name)));
                    return (all, true);
                }
            }
        }
        (all, false)
    }

    fn answer(&self, rule: &Rule, seen: Facts<'_>) -> Result<Answer, CelError> {
        let matched = rule.matches(seen)?;
        if matched && rule.names_hidden() {
            return Ok(Answer::Always);
        }
        // What fails only as it is tried here differs, too: it is no answer that holds whatever the code does.
        let differs = |facts: Facts<'_>| {
            let mut beyond = [Beyond::Strangers, Beyond::Named].into_iter();
            beyond.any(|beyond| rule.matches(Facts { beyond, ..facts }) != Ok(matched))
        };
        let worst = Facts {
            command: &self.worst,
            risk: self.risk,
            ..seen
        };
        let same = !rule.seeks_names() && !differs(worst) && !self.differs_alone(rule, seen, differs);
        Ok(match (same, matched) {
            (true, true) => Answer::Always,
            (true, false) => Answer::Never,
            (false, _) => Answer::Perhaps,
        })
    }

    /// Whether a rule answers otherwise to one thing that the code may do and no other: it may ask for one verb and not for
    /// another, or for a WHERE.
    fn differs_alone(&self, rule: &Rule, seen: Facts<'_>, differs: impl Fn(Facts<'_>) -> bool) -> bool {
        if !rule.reads(&["verbs", "has_where", "risk"]) {
            return false;
        }
        let command = seen.command;
        // A change that is seen to choose no rows stays one.
        let chooses = command.has_where || !command.verbs.any(&[Verb::Update, Verb::Delete, Verb::Merge]);
        let conditions: &[bool] = match chooses && rule.reads(&["has_where", "risk"]) {
            true => &[false, true],
            false => &[false],
        };
        // The gravest of the verbs that are seen must not stand before one that is hidden.
        let apart = rule.reads(&["verb"]).then(Verbs::default);
        let mut one = self.worst.clone();
        self.may.iter().any(|verb| {
            let mut beside = std::iter::once(command.verbs).chain(apart);
            beside.any(|verbs| {
                one.verbs = verbs;
                one.verbs.insert(*verb);
                conditions.iter().any(|has_where| {
                    one.has_where = *has_where;
                    differs(Facts {
                        command: &one,
                        risk: risk(&one),
                        ..seen
                    })
                })
            })
        })
    }

    /// Says of what a rule speaks that does not match what is seen.
    fn warn<'a>(&self, rule: &'a Rule, says: Says<'a>) -> Says<'a> {
        let (what, name) = (&self.what, &rule.name);
        let about = |message: Option<String>| {
            let words = message.map(|message| format!(": {message}")).unwrap_or_default();
            match self.is_code {
                true => format!("{what} cannot be seen into, and may do what rule {name} is about{words}"),
                false => format!("{what} cannot be told, and may be what rule {name} is about{words}"),
            }
        };
        match says {
            Says::Deny(rule, reason) => Says::Deny(rule, about(Some(reason))),
            Says::Require(rule, message) => Says::Require(rule, Some(about(message))),
            other => other,
        }
    }

    /// Where no policy says something whatever the code does.
    pub(super) fn denial(&self) -> Denial {
        let what = &self.what;
        let so = match self.is_code {
            true => "cannot be seen into, and no rule allows all that it may do",
            false => "cannot be told, and no rule allows all that it may be",
        };
        Denial {
            by: DeniedBy::NoRule,
            reason: format!("{what} {so}; ask whoever keeps the ApprovalPolicies of this connection"),
        }
    }
}
