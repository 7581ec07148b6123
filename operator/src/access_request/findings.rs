//! What the conditions of a request should say at one moment.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sallyport_crds::access_request::{AdmissionIdentity, Login, Person, Requirement};
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::{AccessRequest, ConditionType, Reason, condition};
use sallyport_policy::carrier::ClusterSettings;
use sallyport_policy::subject::visible;
use sallyport_policy::tally::{Tally, others};

use super::admission::Seen;
use super::requirements::MOST;
use crate::shared::conditions::{Finding, ready};

/// How long a request that was made beforehand may stay open.
const MAX_OPEN: Duration = Duration::from_secs(168 * 3_600);

/// Everything that conditions follow from.
pub struct Moment<'a> {
    /// The request.
    pub request: &'a AccessRequest,
    /// What stood there.
    pub before: &'a [Condition],
    /// Who may answer.
    pub standing: &'a [Requirement],
    /// How many requirements there are, those that a request has no room for with them.
    pub asking: usize,
    /// By which names people are the same.
    pub settings: &'a ClusterSettings,
    /// What the answers come to.
    pub tally: &'a Tally,
    /// What was found of approvers' logins.
    pub logins: &'a [Login],
    /// Whether every rule that asks is in force.
    pub in_force: bool,
    /// Whether nobody has looked before.
    pub first: bool,
    /// Whether a policy that is written grants windows on the connection, in force or not yet.
    pub may_grant: bool,
    /// Open requests that the same person made beforehand and earlier, and how many one person may have.
    pub open_before: usize,
    /// As the Connection says; None where there is none.
    pub allowed: Option<i32>,
    /// When a grant that lasts ends, if that is known.
    pub granted_until: Option<Timestamp>,
    /// The admission objects when the operator first looked, and now.
    pub admission: (Option<&'a AdmissionIdentity>, &'a Seen),
    /// The target when the operator first looked, and now; None where there is no Connection.
    pub target: (Option<&'a str>, Option<&'a str>),
    /// Whether the asker waited at a door that is gone.
    pub asker_gone: bool,
    /// By the operator's clock.
    pub now: Timestamp,
}

/// The conditions of the operator's own.
pub fn findings(moment: &Moment<'_>) -> Vec<Finding> {
    let mut ends = Vec::new();
    for kind in ConditionType::ENDS {
        if let Some(old) = moment.stood(kind) {
            let reason = reason(old).unwrap_or(Reason::TimedOut);
            ends.push(Finding::yes(kind, reason, old.message.clone()));
        }
    }
    // Once it has ended, nothing that comes later changes how, but for a grant that was used and is revoked.
    let only_over = ends.iter().all(|end| end.kind == ConditionType::Expired);
    match ends.is_empty() {
        true => ends.extend(moment.new_end()),
        false if only_over && moment.request.spec.break_glass => ends.extend(moment.revoked()),
        false => {}
    }
    let answer = match moment.request.spec.break_glass {
        true => moment.reviewed(),
        false => moment.approved(!ends.is_empty()),
    };
    let sum = moment.ready(&answer, &ends);
    let mut findings = vec![answer];
    findings.extend(ends);
    findings.push(sum);
    findings
}

/// The reason that a condition of ours states.
pub fn reason(condition: &Condition) -> Option<Reason> {
    const REASONS: [Reason; 17] = [
        Reason::ApprovedByPeople,
        Reason::DeniedByPerson,
        Reason::TimedOut,
        Reason::GrantOver,
        Reason::QuotaExceeded,
        Reason::NobodyElse,
        Reason::TargetChanged,
        Reason::WithdrawnByRequester,
        Reason::AskerGone,
        Reason::RevokedByPerson,
        Reason::WaitingForApproval,
        Reason::LoginTooOld,
        Reason::AwaitingReview,
        Reason::ReviewedByPerson,
        Reason::RequiredRuleMissing,
        Reason::AdmissionNotTrusted,
        Reason::NotReady,
    ];
    REASONS.into_iter().find(|reason| reason.as_str() == condition.reason)
}

// === impl Moment ===

impl Moment<'_> {
    fn stood(&self, kind: ConditionType) -> Option<&Condition> {
        self.before
            .iter()
            .find(|one| one.type_ == kind.as_str() && one.status == "True")
    }

    fn new_end(&self) -> Option<Finding> {
        self.admission_changed()
            .or_else(|| {
                self.by(
                    &self.tally.withdrawn,
                    ConditionType::Withdrawn,
                    Reason::WithdrawnByRequester,
                )
            })
            .or_else(|| self.by(&self.tally.denied, ConditionType::Denied, Reason::DeniedByPerson))
            .or_else(|| self.revoked())
            .or_else(|| self.nobody_waits())
            .or_else(|| self.target_changed())
            .or_else(|| self.too_many_rules())
            .or_else(|| self.nobody_else())
            .or_else(|| self.nobody_grants())
            .or_else(|| self.over_quota())
            .or_else(|| self.expired())
    }

    fn by(&self, who: &Option<String>, kind: ConditionType, reason: Reason) -> Option<Finding> {
        let who = who.as_ref()?;
        let words = format!("{} by {who}", kind.as_str().to_lowercase());
        Some(Finding::yes(kind, reason, words))
    }

    fn revoked(&self) -> Option<Finding> {
        self.by(&self.tally.revoked, ConditionType::Revoked, Reason::RevokedByPerson)
    }

    /// What is approved after that would be there for the next who asks, without anybody at the prompt who meant it.
    fn nobody_waits(&self) -> Option<Finding> {
        let session = self.request.spec.session.as_ref().filter(|_| self.asker_gone)?;
        let words = format!(
            "nobody waits any more: the door's process in Pod {} is gone",
            session.pod
        );
        Some(Finding::yes(ConditionType::Withdrawn, Reason::AskerGone, words))
    }

    /// What was asked under other admission objects may have been answered under none. Whoever was past them for a moment could also
    /// write what the status notes of them, and take an end away; when a request was made is written by nobody.
    fn admission_changed(&self) -> Option<Finding> {
        let (then, now) = self.admission;
        let made = self.request.metadata.creation_timestamp.as_ref().map(|made| made.0);
        let noted = then.is_some_and(|then| then.digest != now.digest);
        let before = made.zip(now.in_force).is_some_and(|(made, since)| made <= since);
        (noted || before).then(|| {
            let words = "admission policies or their bindings changed since this was asked: ask again";
            Finding::yes(ConditionType::AdmissionChanged, Reason::AdmissionNotTrusted, words)
        })
    }

    /// Who said yes to a copy said nothing of what the Connection is sent to by an edit, though all of its names be the same.
    fn target_changed(&self) -> Option<Finding> {
        let (Some(then), Some(now)) = self.target else {
            return None;
        };
        if then == now || condition::is_true(self.before, ConditionType::Consumed) {
            return None;
        }
        let words = format!("the connection leads to {now} by now, and this was asked about {then}: ask again");
        Some(Finding::yes(ConditionType::Expired, Reason::TargetChanged, words))
    }

    /// Each rule of the connection that grants windows has to judge one that is asked for beforehand.
    fn too_many_rules(&self) -> Option<Finding> {
        let words = format!(
            "{} rules of the connection grant windows, and a request is judged by {MOST} at most: run the command, and its own rules are asked",
            self.asking
        );
        (self.asking > MOST).then(|| Finding::yes(ConditionType::Expired, Reason::QuotaExceeded, words))
    }

    /// The first requirement that too few others than the asker could meet.
    fn unmet(&self) -> Option<&Requirement> {
        let spec = &self.request.spec;
        let own: Vec<Person> = std::iter::once(&spec.requester).chain(&spec.agents).cloned().collect();
        self.standing.iter().find(|one| {
            let wanted = usize::try_from(one.required).unwrap_or(usize::MAX);
            others(&one.approvers, &own, self.settings).is_some_and(|others| others < wanted)
        })
    }

    /// What nobody could ever approve is told at once, not when its time is over. What has happened waits for a reviewer all the
    /// same: the policy may still name one.
    fn nobody_else(&self) -> Option<Finding> {
        let spec = &self.request.spec;
        let alone = self.unmet().filter(|_| !spec.break_glass)?;
        let words = format!(
            "nobody could approve this: apart from {}, rule {} names too few approvers",
            spec.requester.username, alone.asked_by.rule
        );
        Some(Finding::yes(ConditionType::Expired, Reason::NobodyElse, words))
    }

    /// Nobody is asked by a window that no rule grants, and its asker would wait for nothing. Rules that go later may come again, and
    /// what is written may come into force.
    fn nobody_grants(&self) -> Option<Finding> {
        let spec = &self.request.spec;
        let window = spec.session.is_none() && spec.scope == GrantScope::Window;
        (window && self.first && !self.in_force && !self.may_grant).then(|| {
            let words = format!(
                "nobody could approve this: no rule in force grants windows on connection {} (grant: scope: Window)",
                spec.connection.name
            );
            Finding::yes(ConditionType::Expired, Reason::NobodyElse, words)
        })
    }

    /// What people ask for beforehand has bounds that the API server does not know: how long it stays open, and how much of
    /// it one person has open. What was answered already is let be.
    fn over_quota(&self) -> Option<Finding> {
        let request = self.request;
        if request.spec.session.is_some() || condition::is_true(self.before, ConditionType::Approved) {
            return None;
        }
        let over = |words: String| Some(Finding::yes(ConditionType::Expired, Reason::QuotaExceeded, words));
        let made = request.metadata.creation_timestamp.as_ref();
        let latest = made.and_then(|made| made.0.checked_add(MAX_OPEN).ok());
        if latest.is_some_and(|latest| request.spec.expires_at.0 > latest) {
            return over(
                "expiresAt is more than 168h after the request was made: ask again with an earlier one".to_owned(),
            );
        }
        match self.allowed.map(|allowed| usize::try_from(allowed).unwrap_or(0)) {
            Some(allowed) if self.open_before >= allowed => over(format!(
                "{} requests of this person are open already, and the connection allows {allowed}: withdraw one and ask again",
                self.open_before
            )),
            _ => None,
        }
    }

    /// Only what the operator saw before the end of time counts, whatever time an entry states.
    fn expired(&self) -> Option<Finding> {
        let spec = &self.request.spec;
        let was_approved = condition::is_true(self.before, ConditionType::Approved) && self.tally.is_approved();
        let lasts = spec.scope != GrantScope::Command;
        if condition::is_true(self.before, ConditionType::Consumed) {
            return None;
        }
        let (over, reason, words) = match (spec.break_glass || was_approved && lasts, self.granted_until) {
            (true, Some(until)) => (self.now >= until, Reason::GrantOver, "the time of the grant is over"),
            (true, None) => return None,
            (false, _) if was_approved => (
                self.now >= spec.expires_at.0,
                Reason::TimedOut,
                "it was approved, and not used in time",
            ),
            (false, _) => (self.now >= spec.expires_at.0, Reason::TimedOut, self.undecided()),
        };
        over.then(|| Finding::yes(ConditionType::Expired, reason, words))
    }

    /// Why nobody decided.
    fn undecided(&self) -> &'static str {
        let made = self.request.metadata.creation_timestamp.as_ref();
        match made.is_some_and(|made| made.0 >= self.request.spec.expires_at.0) {
            true => "expiresAt was over as this was asked: ask again with a later one",
            false => "nobody decided in time",
        }
    }

    fn approved(&self, over: bool) -> Finding {
        const KIND: ConditionType = ConditionType::Approved;
        if over {
            return Finding::no(KIND, Reason::WaitingForApproval, "the request is over");
        }
        if !self.in_force {
            let message = "no policy in force asks for this any more; run the command again";
            return Finding::no(KIND, Reason::RequiredRuleMissing, message);
        }
        if !self.tally.is_approved() {
            let words = format!("{} approvals", self.tally.progress());
            return match self.late() {
                Some(late) => Finding::no(KIND, Reason::LoginTooOld, format!("{words}; {late}")),
                None => Finding::no(KIND, Reason::WaitingForApproval, words),
            };
        }
        if let Some(fault) = &self.admission.1.fault {
            return Finding::no(KIND, Reason::AdmissionNotTrusted, fault.clone());
        }
        let words = format!("approved by {}", self.tally.approvers.join(", "));
        Finding::yes(KIND, Reason::ApprovedByPeople, words)
    }

    /// Whose approval was not counted for the age of their login, and what they can do.
    fn late(&self) -> Option<String> {
        let late = self.logins.iter().filter(|login| login.too_old);
        let late: Vec<&str> = late.map(|login| login.user.as_str()).collect();
        let most = self.standing.iter().filter_map(|one| one.max_login_age).min()?;
        (!late.is_empty()).then(|| {
            format!(
                "not counted: {}, whose login was older than {most} or is not known to the API server (auth_time); log in again, then approve again",
                late.join(", ")
            )
        })
    }

    fn reviewed(&self) -> Finding {
        const KIND: ConditionType = ConditionType::Reviewed;
        if let Some(old) = self.stood(KIND) {
            return Finding::yes(KIND, Reason::ReviewedByPerson, old.message.clone());
        }
        if let Some(found) = self.by(&self.tally.reviewed, KIND, Reason::ReviewedByPerson) {
            return found;
        }
        let why = visible(self.request.spec.reason.as_deref().unwrap_or_default());
        let nobody = self.unmet().map(|alone| {
            let policy = &alone.asked_by.policy;
            format!(", whom ApprovalPolicy {policy} does not name: add one to its breakGlass.reviewers")
        });
        let words = format!(
            "went ahead without approval ({why}); to be reviewed by another person{}",
            nobody.unwrap_or_default()
        );
        Finding::no(KIND, Reason::AwaitingReview, words)
    }

    /// The sum, for `kubectl wait` and GitOps. Doors go by its parts: it is as late as the operator is.
    fn ready(&self, answer: &Finding, ends: &[Finding]) -> Finding {
        const KIND: ConditionType = ConditionType::Ready;
        // What has happened already is settled by its review, however it ended.
        if self.request.spec.break_glass {
            let sum = ready(std::slice::from_ref(answer));
            let revoked = ends.iter().find(|end| end.kind == ConditionType::Revoked);
            return match revoked.filter(|_| sum.holds()) {
                Some(end) => Finding {
                    message: format!("{}; {}", end.message, answer.message),
                    ..sum
                },
                None => sum,
            };
        }
        if let Some(end) = ends.first() {
            let words = format!("{}: {}", end.kind.as_str(), end.message);
            return Finding::no(KIND, end.reason, words);
        }
        if condition::is_true(self.before, ConditionType::Consumed) {
            return Finding::no(KIND, Reason::ClaimedByProxy, "Consumed: the grant was used");
        }
        ready(std::slice::from_ref(answer))
    }
}
