//! Conditions: said once here, so that every kind says them alike.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sallyport_crds::{ConditionType, Reason};

/// Messages are cut here; the API server refuses longer ones than 32 KiB.
const MAX_MESSAGE: usize = 2_048;

/// Truth of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Yes.
    True,
    /// No.
    False,
    /// Not known yet.
    Unknown,
}

/// What one condition should say now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub kind: ConditionType,
    /// Whether it holds.
    pub truth: Truth,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

// === impl Finding ===

impl Finding {
    /// The condition holds.
    pub fn yes(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind,
            truth: Truth::True,
            reason,
            message: message.into(),
        }
    }

    /// The condition does not hold.
    pub fn no(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind,
            truth: Truth::False,
            reason,
            message: message.into(),
        }
    }

    /// Nobody knows yet.
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind,
            truth: Truth::Unknown,
            reason,
            message: message.into(),
        }
    }

    /// Whether the condition holds.
    pub fn holds(&self) -> bool {
        self.truth == Truth::True
    }
}

/// `Ready`: the sum of the others. The first that does not hold gives reason and message.
pub fn ready(parts: &[Finding]) -> Finding {
    match parts.iter().find(|part| !part.holds()) {
        None => Finding::yes(ConditionType::Ready, Reason::Ready, "all conditions hold"),
        Some(part) => Finding {
            kind: ConditionType::Ready,
            truth: part.truth,
            reason: part.reason,
            message: format!("{}: {}", part.kind.as_str(), part.message),
        },
    }
}

/// The conditions to write: `lastTransitionTime` moves only where the status does, so that writing twice changes nothing.
pub fn merge(before: &[Condition], findings: &[Finding], generation: Option<i64>, now: &Time) -> Vec<Condition> {
    findings
        .iter()
        .map(|finding| {
            let status = finding.truth.as_str();
            let stood = before
                .iter()
                .find(|old| old.type_ == finding.kind.as_str() && old.status == status);
            let since = stood.map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
            let told = stood.filter(|old| old.observed_generation == generation && is_told(old, finding));
            Condition {
                type_: finding.kind.as_str().to_owned(),
                status: status.to_owned(),
                reason: finding.reason.as_str(),
                message: told.map_or_else(|| cut(&finding.message), |old| old.message.clone()),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// Whether what others refuse is told already, but for words with numbers: an answer that counts something, or names each request,
/// would be written and so looked at again, without end.
fn is_told(old: &Condition, finding: &Finding) -> bool {
    let said = cut(&finding.message);
    finding.reason == Reason::ChildRefused
        && old.reason == finding.reason.as_str()
        && steady(&old.message).eq(steady(&said))
}

fn steady(message: &str) -> impl Iterator<Item = &str> {
    message
        .split_whitespace()
        .filter(|word| !word.contains(|sign: char| sign.is_ascii_digit()))
}

/// Whether a condition stands as true, and says so of this very generation.
pub fn held(before: &[Condition], kind: ConditionType, generation: Option<i64>) -> bool {
    let own = |old: &Condition| old.type_ == kind.as_str() && old.observed_generation == generation;
    before.iter().any(|old| own(old) && old.status == "True")
}

/// The findings whose status or reason differs from what was written before: what an Event should tell.
pub fn changed<'a>(before: &[Condition], findings: &'a [Finding]) -> Vec<&'a Finding> {
    findings
        .iter()
        .filter(|finding| {
            !before.iter().any(|old| {
                old.type_ == finding.kind.as_str()
                    && old.status == finding.truth.as_str()
                    && old.reason == finding.reason.as_str()
            })
        })
        .collect()
}

// === impl Truth ===

impl Truth {
    /// The text in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

fn cut(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut short: String = message.chars().take(MAX_MESSAGE / 4).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Time {
        Time(jiff::Timestamp::from_second(seconds).unwrap())
    }

    #[test]
    fn transition_time_moves_with_the_status_alone() {
        let accepted = Finding::yes(ConditionType::Accepted, Reason::Accepted, "fine");
        let first = merge(&[], std::slice::from_ref(&accepted), Some(1), &time(10));
        let same = merge(
            &first,
            &[Finding {
                message: "still fine".into(),
                ..accepted
            }],
            Some(2),
            &time(20),
        );
        assert_eq!(same[0].last_transition_time, time(10));
        assert_eq!(same[0].observed_generation, Some(2));
        let no = Finding::no(ConditionType::Accepted, Reason::Invalid, "broken");
        assert_eq!(
            merge(&same, &[no], Some(3), &time(30))[0].last_transition_time,
            time(30)
        );
    }

    #[test]
    fn a_refusal_that_differs_in_numbers_is_not_told_again() {
        let refused = |message: &str| Finding::no(ConditionType::Programmed, Reason::ChildRefused, message);
        let written = merge(&[], &[refused("denied, request 7f-1: no quota")], Some(1), &time(1));
        for (message, generation, same) in [
            ("denied, request 80-2: no quota", 1, true),
            ("denied, request 80-2: no quota", 2, false),
            ("denied, request 80-2: no right", 1, false),
        ] {
            let again = merge(&written, &[refused(message)], Some(generation), &time(2));
            assert_eq!(again == written, same, "{message}");
        }
        let counted = |message: &str| Finding::no(ConditionType::Programmed, Reason::Progressing, message);
        let written = merge(&[], &[counted("0 of 2 Pods")], Some(1), &time(1));
        let again = merge(&written, &[counted("1 of 2 Pods")], Some(1), &time(2));
        assert_eq!(again[0].message, "1 of 2 Pods");
    }

    #[test]
    fn ready_names_the_first_that_fails() {
        let parts = [
            Finding::yes(ConditionType::Accepted, Reason::Accepted, ""),
            Finding::no(
                ConditionType::Programmed,
                Reason::Progressing,
                "0 of 2 Pods are available",
            ),
            Finding::no(ConditionType::Enforced, Reason::WaitingForProxies, ""),
        ];
        let ready = ready(&parts);
        assert_eq!((ready.truth, ready.reason), (Truth::False, Reason::Progressing));
        assert!(ready.message.starts_with("Programmed: 0 of 2"));
    }

    #[test]
    fn an_event_is_told_once() {
        let no = Finding::no(ConditionType::Accepted, Reason::Invalid, "x");
        let written = merge(&[], std::slice::from_ref(&no), Some(1), &time(1));
        assert_eq!(changed(&[], std::slice::from_ref(&no)).len(), 1);
        assert!(changed(&written, &[no]).is_empty());
    }
}
