//! Grants of a door that cannot see whether they were revoked. Time is tokio's own and costs none.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sallyport_crds::approval_policy::{BreakGlass, GrantScope};
use sallyport_policy::carrier::Carrier;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{DIGEST, alice, once, place, question};
use crate::approval::requests::BLIND;
use crate::approval::{Requests, spec};
use crate::control::Contact;
use crate::control::apiserver::ApiServer;
use crate::door::{Approvals, ApprovalsError, Ask, Glass, HoldState};
use crate::manifests::sample;

const REQUEST: &str = "/apis/sallyport.dev/v1alpha1/namespaces/doors/accessrequests/bank-1";

/// A door with one request, which waits; and the API server that shows it.
fn stage() -> (ApiServer, Arc<Requests>) {
    let carrier = sample().0;
    let asked = question(&carrier, DIGEST, GrantScope::Command);
    showing(carrier, asked, None)
}

fn showing(carrier: Carrier, asked: Ask, window: Option<sallyport_crds::Duration>) -> (ApiServer, Arc<Requests>) {
    let server = ApiServer::default();
    let place = place(&carrier, "door-bank-0");
    let mut asked = spec::request(asked, &place, window);
    asked.metadata.creation_timestamp = Some(Time(jiff::Timestamp::now()));
    server.put(REQUEST, serde_json::to_value(&asked).unwrap());
    let requests = Requests::start(server.client(), place, Arc::new(Contact::new()), &Handle::current());
    requests.apply(&Arc::new(carrier));
    (server, requests)
}

fn state(requests: &Requests) -> HoldState {
    let found = requests.find(&alice(), &once(DIGEST));
    found.first().expect("the request").state.borrow().clone()
}

fn waits() -> HoldState {
    HoldState::Waiting {
        progress: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn grants_pause_when_the_api_server_was_away_for_a_minute() {
    let (server, requests) = stage();
    sleep(10 * BLIND).await;
    assert_eq!(state(&requests), waits(), "nothing happened");

    server.is_silent(true);
    sleep(BLIND / 2).await;
    assert_eq!(state(&requests), waits());
    sleep(BLIND / 2 + Duration::from_secs(1)).await;
    assert!(matches!(state(&requests), HoldState::Unavailable(_)));
    let request = requests.find(&alice(), &once(DIGEST))[0].request.clone();
    let claimed = requests.claim(&alice(), &once(DIGEST), &request).await;
    assert!(
        matches!(&claimed, Err(ApprovalsError::Unavailable(why)) if why.contains("does not show")),
        "{claimed:?}"
    );

    server.is_silent(false);
    sleep(BLIND / 2).await;
    assert_eq!(state(&requests), waits(), "it answers again");
}

#[tokio::test(start_paused = true)]
async fn grants_pause_when_the_watch_no_longer_shows_what_changed() {
    let (server, requests) = stage();
    sleep(BLIND).await;
    assert_eq!(state(&requests), waits());
    // A revocation, say.
    server.touch(REQUEST);
    sleep(BLIND / 2).await;
    assert_eq!(state(&requests), waits(), "it may be a moment late");
    sleep(BLIND).await;
    assert!(matches!(state(&requests), HoldState::Unavailable(_)));
}

#[tokio::test(start_paused = true)]
async fn a_use_of_break_glass_pauses_as_grants_do() {
    let (mut carrier, hour) = (sample().0, sallyport_crds::Duration::from_secs(3_600));
    carrier.approval_policies[0].spec.break_glass = Some(BreakGlass {
        subjects: Vec::new(),
        reviewers: Vec::new(),
        max_duration: hour,
        max_login_age: hour,
    });
    let use_of_it = Ask {
        break_glass: Some(("branch is down".into(), hour.get())),
        ..question(&carrier, DIGEST, GrantScope::Window)
    };
    let mut asked_by = use_of_it.asked_by.clone();
    let (server, requests) = showing(carrier, use_of_it, Some(hour));
    sleep(BLIND).await;
    assert!(
        matches!(requests.glass(&alice(), &asked_by), Glass::Broken(_)),
        "it is under way"
    );

    server.is_silent(true);
    sleep(BLIND + Duration::from_secs(1)).await;
    let glass = requests.glass(&alice(), &asked_by);
    assert!(
        matches!(&glass, Glass::Unseen(why) if why.contains("does not show")),
        "{glass:?}"
    );

    server.is_silent(false);
    sleep(BLIND / 2).await;
    assert!(
        matches!(requests.glass(&alice(), &asked_by), Glass::Broken(_)),
        "it answers again"
    );

    // Another rule has other reviewers: what is broken where it asks is a use of its own.
    asked_by[0].rule = "another".into();
    assert!(matches!(requests.glass(&alice(), &asked_by), Glass::Whole));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_blinds_nobody() {
    let (carrier, server) = (sample().0, ApiServer::default());
    let place = place(&carrier, "door-bank-0");
    let asked = spec::request(question(&carrier, DIGEST, GrantScope::Command), &place, None);
    let asked = serde_json::to_value(&asked).unwrap();
    server.put(REQUEST, asked.clone());
    // What API servers take for times, and no clock shows.
    for (number, never) in ["9999-12-31T23:59:59Z", "2026-11-28T18:00:00+99:99"].iter().enumerate() {
        let mut unreadable = asked.clone();
        unreadable["spec"]["expiresAt"] = (*never).into();
        server.put(&format!("{}-never-{number}", REQUEST), unreadable);
    }
    let requests = Requests::start(server.client(), place, Arc::new(Contact::new()), &Handle::current());
    requests.apply(&Arc::new(carrier));
    sleep(10 * BLIND).await;
    assert_eq!(state(&requests), waits());
    assert_eq!(requests.open_requests(), 1);
}
