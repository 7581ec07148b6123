//! How many people are left to answer, as far as names tell: what nobody else can answer is told at once, not when its time is over.

use std::collections::BTreeSet;

use sallyport_crds::access_request::Person;
use sallyport_crds::{Subject, SubjectKind};

use super::{Who, declared, is_separator, local, service_account};
use crate::carrier::ClusterSettings;

/// How many people `approvers` name at most, once the asker and their agents (`own`) are taken out, as
/// [`tally`](super::tally) would take their answers. `None` where a group is among them: who is in it only the provider knows.
pub fn others(approvers: &[Subject], own: &[Person], settings: &ClusterSettings) -> Option<usize> {
    if approvers.iter().any(|one| one.kind == SubjectKind::Group) {
        return None;
    }
    let list = List { own, settings };
    let named: BTreeSet<String> = approvers.iter().map(name).filter(|name| !list.is_own(name)).collect();
    let people: BTreeSet<Who> = named
        .iter()
        .filter(|name| !list.is_said_twice(name, &named))
        .map(|name| list.who(name))
        .collect();
    Some(people.len())
}

/// What is known of names on a list.
struct List<'a> {
    own: &'a [Person],
    settings: &'a ClusterSettings,
}

// === impl List ===

impl List<'_> {
    fn is_own(&self, name: &str) -> bool {
        let mapping = declared(self.settings, name);
        self.own.iter().any(|person| {
            let declared = mapping.is_some_and(|it| it.issuer == person.issuer && it.subject == person.subject);
            person.username == name || declared || self.is_bare(name) && local(&person.username) == local(name)
        })
    }

    /// Whether the list names the person by an issuer's name, too.
    fn is_said_twice(&self, name: &str, named: &BTreeSet<String>) -> bool {
        let same = |other: &String| !self.is_bare(other) && local(other) == local(name);
        self.is_bare(name) && named.iter().any(same)
    }

    /// Whether no issuer gives this name and nobody declares whose it is: then it counts as its namesake's. Of several issuers
    /// one might give names without a prefix, and an address may be what one goes by.
    fn is_bare(&self, name: &str) -> bool {
        let is_plain = !name.contains(|c: char| is_separator(c) || c == '@');
        is_plain && self.settings.known_issuers.len() < 2 && declared(self.settings, name).is_none()
    }

    fn who(&self, name: &str) -> Who {
        match declared(self.settings, name) {
            Some(mapping) => Who::Person {
                issuer: mapping.issuer.clone(),
                subject: mapping.subject.clone(),
            },
            None if self.is_bare(name) => Who::Name(local(name)),
            None => Who::Name(name.to_owned()),
        }
    }
}

/// The name at the API server.
fn name(subject: &Subject) -> String {
    match subject.kind {
        SubjectKind::ServiceAccount => service_account(subject.namespace.as_deref().unwrap_or_default(), &subject.name),
        SubjectKind::User | SubjectKind::Group => subject.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const IDP: &str = "https://idp";

    fn left(issuers: &[&str], approvers: &Value) -> Option<usize> {
        let mapping =
            |username: &str, subject: &str| json!({ "username": username, "issuer": IDP, "subject": subject });
        let settings: ClusterSettings = serde_json::from_value(json!({
            "knownIssuers": issuers,
            "approverMappings": [
                mapping("cn-alice", "sub-alice"), mapping("cn-bot", "sub-bot"), mapping("cn-bob", "sub-bob"),
                mapping("robert", "sub-bob"), mapping("carol", "sub-carol"),
            ],
        }))
        .unwrap();
        let person = |name: &str, issuer: &str| json!({ "username": name, "issuer": issuer, "subject": format!("sub-{name}").replace("oidc:", "") });
        let own = json!([
            person("oidc:alice", IDP),
            person("oidc:bot", IDP),
            person("system:serviceaccount:ci:robot", ""),
        ]);
        let approvers: Vec<Subject> = serde_json::from_value(approvers.clone()).unwrap();
        others(
            &approvers,
            &serde_json::from_value::<Vec<Person>>(own).unwrap(),
            &settings,
        )
    }

    fn users(names: &[&str]) -> Value {
        names
            .iter()
            .map(|name| json!({ "kind": "User", "name": name }))
            .collect()
    }

    #[test]
    fn the_asker_by_whatever_name_is_nobody_else() {
        let robot = |namespace: &str| json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": namespace }]);
        for (what, approvers, expected) in [
            ("by the issuer's name", users(&["oidc:alice"]), 0),
            ("by a certificate of the same name", users(&["oidc:alice", "alice"]), 0),
            ("by certificates in other spellings", users(&["Alice", "ALICE"]), 0),
            (
                "by a name that the admin declares",
                users(&["oidc:alice", "cn-alice"]),
                0,
            ),
            ("the agent", users(&["oidc:bot", "bot", "cn-bot"]), 0),
            ("an account that is the agent", robot("ci"), 0),
            ("the account of the same name elsewhere", robot("other"), 1),
            ("a person who is called as the account", users(&["robot"]), 1),
            ("somebody else", users(&["oidc:alice", "oidc:bob"]), 1),
            ("another issuer's", users(&["other:alice"]), 1),
        ] {
            assert_eq!(left(&[IDP], &approvers), Some(expected), "{what}");
        }
    }

    #[test]
    fn one_person_by_two_names_is_one() {
        for (what, names, expected) in [
            ("one name twice", &["oidc:bob", "oidc:bob"], 1),
            ("by certificate too", &["oidc:bob", "bob"], 1),
            ("by certificates in several spellings", &["bob", "BOB"], 1),
            ("by certificate in capitals", &["https://idp#bob", "BOB"], 1),
            ("declared twice", &["cn-bob", "robert"], 1),
            ("two people", &["oidc:bob", "oidc:carol"], 2),
            // Only bob's token tells which subject he is.
            ("declared, and by the issuer's name", &["oidc:bob", "cn-bob"], 2),
            ("declared to be somebody", &["oidc:carol", "carol"], 2),
        ] {
            assert_eq!(left(&[IDP], &users(names)), Some(expected), "{what}");
        }
    }

    #[test]
    fn what_nobody_knows_leaves_somebody() {
        let group = json!([{ "kind": "User", "name": "oidc:alice" }, { "kind": "Group", "name": "oidc:dba" }]);
        assert_eq!(left(&[IDP], &group), None);
        let both = [IDP, "https://other"];
        assert_eq!(
            left(&both, &users(&["oidc:alice", "alice"])),
            Some(1),
            "the other issuer's alice"
        );
        assert_eq!(left(&both, &users(&["cn-alice"])), Some(0));
    }
}
