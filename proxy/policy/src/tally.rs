//! Whose answers to an AccessRequest count, and what they come to.
//!
//! The operator derives conditions with this, and the door counts again with its own policy before it claims a grant. Both
//! count people, never names or groups: a person is (issuer, sub).

mod others;

use std::collections::BTreeSet;
use std::time::Duration;

use sallyport_crds::access_request::{AccessRequestSpec, Answer, Decision, Login, Person, Requirement};
use sallyport_crds::names;
use sallyport_crds::{Subject, SubjectKind};

use crate::carrier::ClusterSettings;
use crate::issuer::ApproverMapping;

pub use others::others;

/// What names of ServiceAccounts begin with.
const ACCOUNTS: &str = "system:serviceaccount:";
/// What ends that part of a name which stands for its issuer: `oidc:`, `https://idp#`, `corp/`, `CORP\`. Admission knows the same.
const SEPARATORS: [char; 5] = [':', '/', '#', '|', '\\'];

/// What the tally is about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Namespace of the request.
    pub namespace: &'a str,
    /// `metadata.uid` of the request.
    pub uid: &'a str,
    /// The request.
    pub spec: &'a AccessRequestSpec,
    /// Issuers and declared names of the installation.
    pub settings: &'a ClusterSettings,
    /// When the operator first saw approvals for which a recent login is asked.
    pub logins: &'a [Login],
}

/// What the answers come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// For each requirement, in order: how many distinct people approved, of how many.
    pub approvals: Vec<(usize, usize)>,
    /// Who denied, by name.
    pub denied: Option<String>,
    /// Who withdrew, by name.
    pub withdrawn: Option<String>,
    /// Who revoked, by name.
    pub revoked: Option<String>,
    /// Who reviewed a break-glass use, by name. Of such a use, the approvers of the requirements are its reviewers.
    pub reviewed: Option<String>,
    /// Names of the approvers that count, sorted.
    pub approvers: Vec<String>,
}

/// Who somebody is, for counting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// A person of a configured issuer.
    Person { issuer: String, subject: String },
    /// Somebody whom only the API server's name tells: counts where the policy names exactly that name.
    Name(String),
}

/// Counts the answers to `question` under `requirements`.
pub fn tally(question: &Question<'_>, requirements: &[Requirement], answers: &[Answer]) -> Tally {
    let mut tally = Tally::default();
    let mut names = BTreeSet::new();
    for requirement in requirements {
        let counted: Vec<&Answer> = answers
            .iter()
            .filter(|answer| answer.decision == Decision::Approve && question.counts(answer, requirement))
            .collect();
        names.extend(counted.iter().map(|answer| answer.user.clone()));
        tally.approvals.push((
            question.people(&counted),
            usize::try_from(requirement.required).unwrap_or(usize::MAX).max(1),
        ));
    }
    let by_approver = |decision: Decision| {
        let entitled = |answer: &&Answer| {
            answer.decision == decision
                && requirements
                    .iter()
                    .any(|requirement| question.entitled(answer, requirement))
        };
        answers.iter().find(entitled).map(|answer| answer.user.clone())
    };
    tally.denied = by_approver(Decision::Deny);
    tally.revoked = by_approver(Decision::Revoke);
    tally.reviewed = by_approver(Decision::Review);
    tally.withdrawn = answers
        .iter()
        .find(|answer| answer.decision == Decision::Withdraw && question.by_asker(answer))
        .map(|answer| answer.user.clone());
    tally.approvers = names.into_iter().collect();
    tally
}

/// Whether an answer was given by somebody who may give it under one of `requirements`, or by the asker. Answers for which
/// this is false count for nothing and are dropped when requirements change.
pub fn is_entitled(question: &Question<'_>, requirements: &[Requirement], answer: &Answer) -> bool {
    match answer.decision {
        Decision::Withdraw => question.by_asker(answer),
        _ => requirements
            .iter()
            .any(|requirement| question.entitled(answer, requirement)),
    }
}

/// Whether an approval that stands there counts for some requirement by everything but its author's login.
pub fn is_late(question: &Question<'_>, requirements: &[Requirement], answer: &Answer) -> bool {
    answer.decision == Decision::Approve
        && requirements
            .iter()
            .any(|requirement| question.entitled(answer, requirement) && !question.is_recent(answer, requirement))
}

// === impl Tally ===

impl Tally {
    /// Whether every requirement has as many people as it wants. Without a requirement nothing is approved.
    pub fn is_approved(&self) -> bool {
        !self.approvals.is_empty() && self.approvals.iter().all(|(have, want)| have >= want)
    }

    /// Approvals so far of approvals needed, such as `1/2`.
    pub fn progress(&self) -> String {
        let have: usize = self.approvals.iter().map(|(have, want)| have.min(want)).sum();
        let want: usize = self.approvals.iter().map(|(_, want)| want).sum();
        format!("{have}/{want}")
    }
}

// === impl Question ===

impl Question<'_> {
    /// Whether an approval counts: by an entitled person, about this very command, with a reason and after a login where they
    /// are asked for.
    fn counts(&self, answer: &Answer, requirement: &Requirement) -> bool {
        let reasoned = answer.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
        self.entitled(answer, requirement)
            && (reasoned || !requirement.reason_required)
            && self.is_recent(answer, requirement)
    }

    /// Whether the author's login was recent enough when the operator first saw the approval. One that nobody knows is not.
    fn is_recent(&self, answer: &Answer, requirement: &Requirement) -> bool {
        let Some(most) = requirement.max_login_age.map(Duration::from) else {
            return true;
        };
        let seen = self
            .logins
            .iter()
            .find(|login| login.user == answer.user && !login.too_old);
        let (Some(logged_in), Some(seen)) = (answer.auth_time, seen) else {
            return false;
        };
        let age = seen.seen.0.as_second().saturating_sub(logged_in);
        age <= i64::try_from(most.as_secs()).unwrap_or(i64::MAX)
    }

    /// Whether the author is an approver of this requirement and not the asker under any of their names.
    fn entitled(&self, answer: &Answer, requirement: &Requirement) -> bool {
        let digest = self.spec.command.as_ref().map(|command| command.digest.as_str());
        let who = self.who(answer);
        answer.request_uid == self.uid
            && answer.digest.as_deref() == digest
            && !self.is_asker(answer, &who)
            && requirement
                .approvers
                .iter()
                .any(|subject| self.is_meant(subject, answer, &who))
    }

    fn is_meant(&self, subject: &Subject, answer: &Answer, who: &Who) -> bool {
        match subject.kind {
            SubjectKind::User => subject.name == answer.user,
            // Somebody whom no issuer vouches for counts only where the policy says their name in full, or the admin their groups.
            SubjectKind::Group => {
                let declared = self.mapping(answer).map(|mapping| mapping.groups.as_slice());
                matches!(who, Who::Person { .. })
                    && (answer.groups.contains(&subject.name) || declared.unwrap_or_default().contains(&subject.name))
            }
            SubjectKind::ServiceAccount => {
                let namespace = subject.namespace.as_deref().unwrap_or_default();
                // Whom an issuer vouches for is no account, whatever the name.
                answer.issuer.as_deref().unwrap_or_default().is_empty()
                    && answer.user == service_account(namespace, &subject.name)
            }
        }
    }

    /// The door that holds the command withdraws when the client leaves; people withdraw what they asked for themselves.
    fn by_asker(&self, answer: &Answer) -> bool {
        let door = service_account(self.namespace, &names::door(&self.spec.connection.name));
        answer.request_uid == self.uid
            && (answer.user == door || self.is_same(&self.spec.requester, answer, &self.who(answer)))
    }

    fn is_asker(&self, answer: &Answer, who: &Who) -> bool {
        let alike = |person: &Person| match who {
            Who::Name(name) => local(name) == local(&person.username),
            Who::Person { .. } => false,
        };
        std::iter::once(&self.spec.requester)
            .chain(&self.spec.agents)
            .any(|person| self.is_same(person, answer, who) || alike(person))
    }

    /// How many people gave these answers. A name that no issuer vouches for and that ends as another's is taken for theirs, as
    /// admission takes it: `bob` by certificate is no second person beside `oidc:bob`.
    fn people(&self, answers: &[&Answer]) -> usize {
        let mut people = BTreeSet::new();
        let mut vouched = Vec::new();
        for answer in answers {
            people.insert(match self.who(answer) {
                Who::Name(name) => Who::Name(local(&name)),
                person @ Who::Person { .. } => {
                    vouched.push(Who::Name(local(&answer.user)));
                    person
                }
            });
        }
        for name in &vouched {
            people.remove(name);
        }
        people.len()
    }

    fn is_same(&self, person: &Person, answer: &Answer, who: &Who) -> bool {
        let same = match who {
            Who::Person { issuer, subject } => *issuer == person.issuer && *subject == person.subject,
            Who::Name(_) => false,
        };
        same || person.username == answer.user
    }

    fn who(&self, answer: &Answer) -> Who {
        if let Some(mapping) = self.mapping(answer) {
            return Who::Person {
                issuer: mapping.issuer.clone(),
                subject: mapping.subject.clone(),
            };
        }
        match (answer.issuer.as_deref(), answer.subject.as_deref()) {
            (Some(issuer), Some(subject)) if !subject.is_empty() && self.is_known(issuer) => Who::Person {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            },
            _ => Who::Name(answer.user.clone()),
        }
    }

    fn mapping(&self, answer: &Answer) -> Option<&ApproverMapping> {
        declared(self.settings, &answer.user)
    }

    fn is_known(&self, issuer: &str) -> bool {
        self.settings.known_issuers.iter().any(|known| known == issuer)
    }
}

/// A name without what stands for its issuer and without its domain, in small letters, as admission takes it: providers fold case,
/// and certificates do not. Of an account all of it, since it is no person.
fn local(name: &str) -> String {
    if name.starts_with(ACCOUNTS) {
        return name.to_owned();
    }
    let last = name.rsplit(is_separator).next().unwrap_or_default();
    match last.split('@').next() {
        Some(local) if !local.is_empty() => local.to_ascii_lowercase(),
        _ => name.to_owned(),
    }
}

fn is_separator(c: char) -> bool {
    SEPARATORS.contains(&c)
}

/// Whose an API server's name is by the admin's word.
fn declared<'a>(settings: &'a ClusterSettings, name: &str) -> Option<&'a ApproverMapping> {
    let mut all = settings.approver_mappings.iter();
    all.find(|mapping| mapping.username == name)
}

fn service_account(namespace: &str, name: &str) -> String {
    format!("{ACCOUNTS}{namespace}:{name}")
}

#[cfg(test)]
mod tests;
