//! Whether approvers had logged in recently, where a policy asks for it. Admission sees to it that an entry tells the login
//! that the API server authenticated, and has no clock; so the age of a login is counted here, when an approval is first seen.
//!
//! An approval that is too late is taken out: its author can log in and approve again, which admission would refuse while the
//! entry stands.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sallyport_crds::access_request::{AccessRequestStatus, Answer, Decision, Login, Requirement};
use sallyport_policy::tally::{Question, is_late};

/// As many as the status holds.
const MOST: usize = 64;

/// When each approval that stands there was first seen, and who was told to log in and has not approved since.
pub fn seen(before: &AccessRequestStatus, standing: &[Requirement], now: Timestamp) -> Vec<Login> {
    if standing.iter().all(|one| one.max_login_age.is_none()) {
        return Vec::new();
    }
    let known = |answer: &Answer| {
        let mut all = before.logins.iter();
        all.find(|login| login.user == answer.user && !login.too_old).cloned()
    };
    let approvals = before.approvals.iter().flatten();
    let mut logins: Vec<Login> = approvals
        .filter(|answer| answer.decision == Decision::Approve)
        .map(|answer| {
            known(answer).unwrap_or_else(|| Login {
                user: answer.user.clone(),
                seen: Time(now),
                too_old: false,
            })
        })
        .collect();
    // A time of an entry that is gone is forgotten, or the same login would be as recent when it comes again.
    let told = before.logins.iter().filter(|login| login.too_old);
    let silent: Vec<Login> = told
        .filter(|login| logins.iter().all(|one| one.user != login.user))
        .take(MOST.saturating_sub(logins.len()))
        .cloned()
        .collect();
    logins.extend(silent);
    logins
}

/// The answers without the approvals whose authors had logged in too long ago; `logins` says of whom.
pub fn take_out(question: &Question<'_>, standing: &[Requirement], answers: Vec<Answer>) -> (Vec<Answer>, Vec<Login>) {
    let (late, answers): (Vec<Answer>, Vec<Answer>) = answers
        .into_iter()
        .partition(|answer| is_late(question, standing, answer));
    let approved = |user: &str| {
        let mut all = answers.iter();
        all.any(|answer| answer.user == user && answer.decision == Decision::Approve)
    };
    let logins = question
        .logins
        .iter()
        .map(|login| Login {
            too_old: login.too_old || late.iter().any(|answer| answer.user == login.user),
            ..login.clone()
        })
        .filter(|login| login.too_old || approved(&login.user))
        .collect();
    (answers, logins)
}
