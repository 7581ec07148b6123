//! From a session's question to the object, and whether an object fits a person.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use sallyport_crds::access_request::{AccessRequest, AccessRequestSpec, ConnectionIdentity, Person, SessionIdentity};
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::names;

use crate::control::Place;
use crate::door::{Ask, Identity};

/// As many groups as the schema takes. They only inform: who may approve does not depend on them.
const MAX_GROUPS: usize = 256;

/// The object that asks.
pub(super) fn request(ask: Ask, place: &Place) -> AccessRequest {
    let connection = &place.connection;
    // A command belongs to the scopes that are about one.
    let about_one = matches!(ask.scope, GrantScope::Command | GrantScope::Fingerprint);
    let spec = AccessRequestSpec {
        connection: ConnectionIdentity {
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        requester: requester(&ask.identity),
        agents: agents(&ask.identity),
        scope: ask.scope,
        command: about_one.then_some(ask.command),
        window: None,
        asked_by: ask.asked_by,
        reason: None,
        expires_at: Time(jiff::Timestamp::from_microsecond(ask.expires.unix_micros()).unwrap_or(jiff::Timestamp::MIN)),
        session: Some(SessionIdentity {
            id: ask.session.to_string(),
            pod: place.pod.name.clone(),
            pod_uid: place.pod.uid.clone(),
            on_hold: ask.on_hold,
        }),
        admission: None,
    };
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", connection.name)),
        namespace: Some(connection.namespace.clone()),
        labels: Some(BTreeMap::from([(
            names::CONNECTION_LABEL.to_owned(),
            connection.name.clone(),
        )])),
        ..ObjectMeta::default()
    };
    AccessRequest {
        metadata,
        spec,
        status: None,
    }
}

/// Whether the request was made by this person: sameness is (issuer, subject).
pub(super) fn is_by(request: &AccessRequest, identity: &Identity) -> bool {
    let requester = &request.spec.requester;
    (&requester.issuer, &requester.subject) == (&identity.person.issuer, &identity.person.subject)
}

/// Whether a grant of the request fits: this person, this chain of agents, this digest.
pub(super) fn fits(request: &AccessRequest, identity: &Identity, digest: &str) -> bool {
    is_by(request, identity)
        && request.spec.agents == agents(identity)
        && request
            .spec
            .command
            .as_ref()
            .is_some_and(|command| command.digest == digest)
}

fn requester(identity: &Identity) -> Person {
    Person {
        username: identity.person.username.clone(),
        groups: identity.groups.iter().take(MAX_GROUPS).cloned().collect(),
        issuer: identity.person.issuer.clone(),
        subject: identity.person.subject.clone(),
    }
}

/// An agent has no name of its own at the API server; its subject stands in for it.
fn agents(identity: &Identity) -> Vec<Person> {
    let person = |agent: &sallyport_audit::record::Agent| Person {
        username: agent.subject.clone(),
        groups: Vec::new(),
        issuer: agent.issuer.clone().unwrap_or_default(),
        subject: agent.subject.clone(),
    };
    identity.agents.iter().map(person).collect()
}
