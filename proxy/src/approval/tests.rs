//! Questions, answers and claims on a real API server, with the admission that ships.

mod behind;
mod blind;
#[path = "../../tests/common/cluster.rs"]
mod cluster;
mod grants;
mod questions;
mod unheard;
mod withdrawals;

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::record::{ObjectRef, Person, PodRef, SessionId, Token};
use sallyport_crds::access_request::{AccessRequest, CommandView, RuleIdentity};
use sallyport_crds::approval_policy::{GrantScope, OnHold};
use sallyport_policy::carrier::Carrier;
use tokio::runtime::Handle;

use self::cluster::{Cluster, ISSUER, PATIENCE, until};
use super::*;
use crate::control::{Contact, Place};
use crate::door::{Approvals, Ask, GrantSought, Held, HoldState, Identity};

pub(super) const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub(super) fn alice() -> Identity {
    Identity {
        person: Person {
            issuer: ISSUER.into(),
            subject: "alice-sub".into(),
            username: "oidc:alice".into(),
        },
        groups: vec!["oidc:engineers".into()],
        agents: Vec::new(),
        email: None,
        token: Token::default(),
    }
}

fn mallory() -> Identity {
    // The same name at another issuer is another person.
    let mut mallory = alice();
    mallory.person.issuer = "https://other".into();
    mallory
}

pub(super) fn question(carrier: &Carrier, digest: &str, scope: GrantScope) -> Ask {
    let policy = &carrier.approval_policies[0];
    let command = CommandView {
        text: "DELETE FROM accounts WHERE id = 7".into(),
        summary: "DELETE FROM accounts WHERE id = 7".into(),
        parameters: Vec::new(),
        digest: digest.into(),
        verbs: vec!["delete".into()],
        tables: vec!["public.accounts".into()],
        risk: 60,
        rows: Some(1_000),
        database: Some("bank".into()),
    };
    let rule = RuleIdentity {
        policy: policy.name.clone(),
        uid: policy.uid.clone(),
        generation: policy.generation,
        rule: "delete-needs-a-dba".into(),
    };
    Ask {
        identity: alice(),
        session: SessionId::random().unwrap(),
        scope,
        command,
        asked_by: vec![rule],
        expires: Time::from_unix_micros(Time::now().unix_micros() + 3_600_000_000),
        on_hold: OnHold::Refuse,
        break_glass: None,
    }
}

fn sought(digest: &str, scope: GrantScope) -> GrantSought {
    GrantSought {
        digest: digest.into(),
        scope,
        asked_by: Vec::new(),
        target: "postgres.bank.svc:5432".into(),
    }
}

pub(super) fn once(digest: &str) -> GrantSought {
    sought(digest, GrantScope::Command)
}

pub(super) fn place(carrier: &Carrier, pod: &str) -> Place {
    let connection = &carrier.connection;
    Place {
        connection: ObjectRef {
            namespace: connection.namespace.clone(),
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        pod: PodRef {
            name: pod.to_owned(),
            uid: format!("{pod}-uid"),
        },
        keys: keys(),
    }
}

/// As the operator writes it.
pub(super) fn sealed(mut request: AccessRequest) -> AccessRequest {
    let seal = sallyport_policy::seal::seal(&request, &cluster::operator_key());
    request.status.as_mut().unwrap().seal = seal;
    request
}

/// What doors believe.
pub(super) fn keys() -> Vec<Vec<u8>> {
    cluster::operator_keys()
}

async fn requests(cluster: &Cluster, pod: &str) -> Arc<Requests> {
    let contact = Arc::new(Contact::new());
    let requests = Requests::start(
        cluster.door(pod).await,
        place(&cluster.carrier, pod),
        contact,
        &Handle::current(),
    );
    requests.apply(&Arc::new(cluster.carrier.clone()));
    requests
}

async fn becomes(held: &mut Held, wanted: impl Fn(&HoldState) -> bool) -> HoldState {
    let state = tokio::time::timeout(PATIENCE, held.state.wait_for(|state| wanted(state))).await;
    state.expect("in vain").expect("the board is gone").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_question() {
    sallyport_runtime::crypto::install();
    let cluster = Cluster::start(crate::manifests::sample().0);
    let (one, two) = (
        requests(&cluster, "door-bank-0").await,
        requests(&cluster, "door-bank-1").await,
    );
    grants::asked_approved_and_claimed_once(&cluster, &one, &two).await;
    grants::a_grant_fits_what_it_was_given_for(&cluster, &one).await;
    grants::policy_counts_at_the_time_of_use(&cluster, &one).await;
    grants::what_is_ended_while_it_is_claimed_is_not_used(&cluster).await;
    grants::what_bears_no_seal_is_not_approved(&cluster, &one).await;
    grants::an_end_that_is_taken_away_is_an_end(&cluster, &one).await;
    grants::what_lasts_is_used_again(&cluster, &one).await;
    questions::answers_and_ends_are_seen(&cluster, &one).await;
    questions::withdrawn_by_the_door(&cluster, &one).await;
    questions::a_flood_stops_the_one_who_floods(&cluster, &one).await;
    questions::a_loop_of_asking_and_taking_back_ends(&cluster, &one).await;
}

#[tokio::test]
async fn without_a_cluster_holds_are_refused_in_words() {
    let request = sallyport_audit::record::RequestRef {
        name: "x".into(),
        namespace: "y".into(),
        uid: "z".into(),
    };
    assert!(NoCluster.find(&alice(), &once(DIGEST)).is_empty());
    let refused = NoCluster.claim(&alice(), &once(DIGEST), &request).await.unwrap_err();
    assert!(refused.to_string().contains("nobody can be asked"), "{refused}");
}
