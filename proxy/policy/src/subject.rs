//! Who asks: a person, the agents that act for them, and the subjects of rules that they match.

use sallyport_crds::access_request::Person;
use sallyport_crds::{Subject as Named, SubjectKind};

/// A person whose token was checked at this door.
///
/// Names and groups carry the issuer's prefix (`oidc:alice`), as the API server would know them. Sameness of people is
/// ([`issuer`](Self::issuer), [`subject`](Self::subject)), never the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Subject {
    /// User name.
    pub username: String,
    /// Groups.
    pub groups: Vec<String>,
    /// URL of the issuer; empty for a ServiceAccount.
    pub issuer: String,
    /// The `sub` claim, or a ServiceAccount's uid.
    pub subject: String,
    /// E-mail address, where the token says that it was verified.
    pub email: Option<String>,
    /// Agents that act for the person, nearest to the door first.
    pub agents: Vec<Agent>,
    /// When the person logged in at the issuer (see [`login`]), in seconds since 1970. `None`: not known, which a rule that
    /// asks for a fresh login takes for too old.
    pub authenticated_at: Option<i64>,
    /// The address that the session's client comes from.
    pub source: Option<String>,
}

/// What every ServiceAccount's name begins with.
const ACCOUNT: &str = "system:serviceaccount:";

/// One agent of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    /// User name.
    pub username: String,
    /// URL of the issuer.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// Groups, where the agent's own token states them.
    pub groups: Vec<String>,
}

/// When somebody logged in, as far as their token tells. Of a person only `auth_time` does: a token that was refreshed is as
/// new as that, whoever holds the key to it. A ServiceAccount has no other login than the making of its token.
pub fn login<T>(username: &str, auth_time: Option<T>, issued: Option<T>) -> Option<T> {
    match username.starts_with(ACCOUNT) {
        true => issued,
        false => auth_time,
    }
}

/// Characters that no name needs and that change how what stands around them is read.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Text that somebody else composed, as people may be shown it on one line: what would be obeyed, or not be seen, as escapes.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether `named`, as a rule writes it, means somebody of this name and these groups.
fn means(named: &Named, username: &str, groups: &[String]) -> bool {
    match named.kind {
        SubjectKind::User => named.name == username,
        SubjectKind::Group => groups.contains(&named.name),
        SubjectKind::ServiceAccount => {
            let namespace = named.namespace.as_deref().unwrap_or_default();
            let account = username.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
            account == Some((namespace, named.name.as_str()))
        }
    }
}

// === impl Subject ===

impl Subject {
    /// Whether the person is one of those that a rule names. Agents do not count: they act under the person's rights.
    pub fn is_among(&self, named: &[Named]) -> bool {
        named.iter().any(|one| means(one, &self.username, &self.groups))
    }

    /// The person, and the agents, as an AccessRequest names who asks.
    pub(crate) fn people(&self) -> Vec<Person> {
        let person = |username: &str, issuer: &str, subject: &str| Person {
            username: username.to_owned(),
            groups: Vec::new(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        };
        let agents = self.agents.iter();
        std::iter::once(person(&self.username, &self.issuer, &self.subject))
            .chain(agents.map(|agent| person(&agent.username, &agent.issuer, &agent.subject)))
            .collect()
    }

    /// Whether the login is at most `seconds` old at the moment `now` (seconds since 1970).
    pub fn is_fresh(&self, seconds: u64, now: i64) -> bool {
        self.authenticated_at
            .is_some_and(|at| now.saturating_sub(at) <= i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

// === impl Agent ===

impl Agent {
    /// Whether the agent is one of those that a rule names.
    pub fn is_among(&self, named: &[Named]) -> bool {
        named.iter().any(|one| means(one, &self.username, &self.groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: SubjectKind, namespace: Option<&str>, name: &str) -> Named {
        Named {
            kind,
            name: name.into(),
            namespace: namespace.map(Into::into),
        }
    }

    #[test]
    fn subjects_match_as_in_rbac() {
        let alice = Subject {
            username: "oidc:alice".into(),
            groups: vec!["oidc:engineers".into()],
            ..Subject::default()
        };
        let robot = Subject {
            username: "system:serviceaccount:jobs:etl".into(),
            ..Subject::default()
        };
        let cases = [
            (&alice, named(SubjectKind::User, None, "oidc:alice"), true),
            (&alice, named(SubjectKind::User, None, "alice"), false),
            (&alice, named(SubjectKind::Group, None, "oidc:engineers"), true),
            (&alice, named(SubjectKind::Group, None, "oidc:alice"), false),
            (&alice, named(SubjectKind::User, None, "oidc:engineers"), false),
            (&robot, named(SubjectKind::ServiceAccount, Some("jobs"), "etl"), true),
            (&robot, named(SubjectKind::ServiceAccount, Some("job"), "s:etl"), false),
            (&robot, named(SubjectKind::ServiceAccount, Some("other"), "etl"), false),
            (&robot, named(SubjectKind::ServiceAccount, None, "etl"), false),
            (&alice, named(SubjectKind::ServiceAccount, Some("jobs"), "etl"), false),
        ];
        for (who, rule, expected) in cases {
            assert_eq!(
                who.is_among(std::slice::from_ref(&rule)),
                expected,
                "{} {rule:?}",
                who.username
            );
        }
    }

    #[test]
    fn a_refreshed_token_is_no_login() {
        let (logged_in, issued) = (Some(100), Some(900));
        assert_eq!(login("oidc:alice", logged_in, issued), logged_in);
        assert_eq!(login("oidc:alice", None, issued), None);
        assert_eq!(login("system:serviceaccount:jobs:etl", None, issued), issued);
    }

    #[test]
    fn an_unknown_login_is_never_fresh() {
        let mut who = Subject::default();
        assert!(!who.is_fresh(60, 1_000));
        who.authenticated_at = Some(940);
        assert!(who.is_fresh(60, 1_000));
        assert!(!who.is_fresh(59, 1_000));
        who.authenticated_at = Some(1_060);
        assert!(who.is_fresh(60, 1_000), "by a clock that is ahead of the door's");
    }
}
