//! From a session's question to the object, and whether an object fits a person.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use sallyport_crds::Duration;
use sallyport_crds::access_request::{
    AccessRequest, AccessRequestSpec, CommandView, ConnectionIdentity, Person, RuleIdentity, SessionIdentity, Window,
};
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::names;

use crate::control::Place;
use crate::door::{Ask, GrantSought, Identity, all_asked};

/// As many groups as the schema takes. They only inform: who may approve does not depend on them.
const MAX_GROUPS: usize = 256;

/// A label's value has at most 63 characters; 240 bits of a keyed hash tell commands apart as well as 256 do.
const GRANT_DIGITS: usize = 60;

/// The object that asks. `window` is how long a grant of scope Window lasts.
pub(super) fn request(ask: Ask, place: &Place, window: Option<Duration>) -> AccessRequest {
    let connection = &place.connection;
    let grant = grant(&ask.command.digest);
    let (break_glass, reason) = match ask.break_glass {
        Some((reason, _)) => (true, Some(reason)),
        None => (false, None),
    };
    let window = window
        .filter(|_| ask.scope == GrantScope::Window)
        .map(|duration| Window { duration });
    let asked_for = || format!("asked at the door for: {}", ask.command.summary);
    // A command belongs to the scopes that are about one, and to a use of break-glass: a reviewer wants to know which.
    let about_one = break_glass || matches!(ask.scope, GrantScope::Command | GrantScope::Fingerprint);
    // Of what lasts an approver reads at least what it began with.
    let reason = reason.or_else(|| (!about_one).then(asked_for));
    let spec = AccessRequestSpec {
        connection: ConnectionIdentity {
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        requester: requester(&ask.identity),
        agents: agents(&ask.identity),
        scope: ask.scope,
        command: about_one.then_some(ask.command),
        window,
        asked_by: ask.asked_by,
        break_glass,
        reason,
        expires_at: Time(jiff::Timestamp::from_microsecond(ask.expires.unix_micros()).unwrap_or(jiff::Timestamp::MIN)),
        session: Some(SessionIdentity {
            id: ask.session.to_string(),
            pod: place.pod.name.clone(),
            pod_uid: place.pod.uid.clone(),
            on_hold: ask.on_hold,
        }),
    };
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", connection.name)),
        namespace: Some(connection.namespace.clone()),
        labels: Some(BTreeMap::from([
            (names::CONNECTION_LABEL.to_owned(), connection.name.clone()),
            (names::GRANT_LABEL.to_owned(), grant),
        ])),
        ..ObjectMeta::default()
    };
    AccessRequest {
        metadata,
        spec,
        status: None,
    }
}

/// Bytes of a command and its parameters, as they are shown.
pub(super) fn bytes(command: &CommandView) -> usize {
    command.text.len() + command.parameters.iter().map(String::len).sum::<usize>()
}

/// Whether the request was made by this person: sameness is (issuer, subject).
pub(super) fn is_by(request: &AccessRequest, identity: &Identity) -> bool {
    let requester = &request.spec.requester;
    (&requester.issuer, &requester.subject) == (&identity.person.issuer, &identity.person.subject)
}

/// Whether the same agents act, in the same order: sameness is (issuer, subject), as of people.
fn is_through(request: &AccessRequest, identity: &Identity) -> bool {
    let same = |asked: &Person, acts: &Person| (&asked.issuer, &asked.subject) == (&acts.issuer, &acts.subject);
    let (asked, act) = (&request.spec.agents, agents(identity));
    asked.len() == act.len() && asked.iter().zip(&act).all(|(asked, acts)| same(asked, acts))
}

/// Whether a grant of the request fits: this person, this chain of agents, this digest. A request about one command states
/// the digest, which approvers read and answer to, and was asked by every rule that asks now; one that a door made for more
/// carries it in a label; one that the person asked for beforehand covers the rules and the target that the operator wrote into
/// it.
pub(super) fn fits(request: &AccessRequest, identity: &Identity, sought: &GrantSought) -> bool {
    if request.spec.break_glass || !is_by(request, identity) || !is_through(request, identity) {
        return false;
    }
    match (&request.spec.command, &request.spec.session) {
        // The digest of a command says nothing of rules: one that came since it was answered was asked of nobody.
        (Some(command), _) => command.digest == sought.digest && all_asked(&sought.asked_by, &request.spec.asked_by),
        (None, Some(_)) => {
            request
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(names::GRANT_LABEL))
                == Some(&grant(&sought.digest))
        }
        (None, None) => {
            sought.scope == GrantScope::Window && covers(request, &sought.asked_by) && leads_to(request, &sought.target)
        }
    }
}

/// Whether every rule that asks is among those by which the window was judged.
fn covers(request: &AccessRequest, asked_by: &[RuleIdentity]) -> bool {
    let judged = request
        .status
        .as_ref()
        .and_then(|status| status.requirements.as_deref());
    let among = |rule: &RuleIdentity| judged.unwrap_or_default().iter().any(|one| one.asked_by == *rule);
    !asked_by.is_empty() && asked_by.iter().all(among)
}

/// Whether the window was asked for while the Connection led to this target. The operator ends it where that changes, and may be
/// later than a session; one that was there before stays at its own.
fn leads_to(request: &AccessRequest, target: &str) -> bool {
    let status = request.status.as_ref();
    status.and_then(|status| status.target.as_deref()) == Some(target)
}

fn grant(digest: &str) -> String {
    digest.chars().take(GRANT_DIGITS).collect()
}

fn requester(identity: &Identity) -> Person {
    Person {
        username: identity.person.username.clone(),
        groups: identity.groups.iter().take(MAX_GROUPS).cloned().collect(),
        issuer: identity.person.issuer.clone(),
        subject: identity.person.subject.clone(),
    }
}

/// The subject of an agent stands in for a name that nobody says.
fn agents(identity: &Identity) -> Vec<Person> {
    let person = |agent: &sallyport_audit::record::Agent| Person {
        username: agent.name().to_owned(),
        groups: Vec::new(),
        issuer: agent.issuer.clone().unwrap_or_default(),
        subject: agent.subject.clone(),
    };
    identity.agents.iter().map(person).collect()
}
