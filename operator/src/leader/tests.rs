use super::*;
use crate::testing::api::ApiServer;

/// A candidate whose API server is `client`'s.
fn candidate_of(client: Client, identity: &str) -> Candidate {
    Candidate::new(client, "sallyport-system", "lease", identity, Heard::default())
}

fn candidate(identity: &str) -> Candidate {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, std::io::Error>(std::io::Error::other("nobody is asked"))
    });
    candidate_of(Client::new(service, "sallyport-system"), identity)
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_renew_stops_before_another_may_lead() {
    let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
    });
    let mut candidate = candidate_of(Client::new(silent, "sallyport-system"), "a");
    let (lead, sent) = (candidate.lead(), Instant::now());
    lead.renewed(sent);
    assert!(candidate.hold(&CancellationToken::new()).await.is_err());
    assert!(
        sent.elapsed() >= GIVE_UP && sent.elapsed() < DURATION,
        "{:?}",
        sent.elapsed()
    );
    assert!(!lead.holds());
}

#[tokio::test(start_paused = true)]
async fn whoever_was_stopped_and_lost_the_lease_does_not_lead_again() {
    let server = ApiServer::default();
    let end = CancellationToken::new();
    let (mut one, mut two) = (candidate_of(server.client(), "a"), candidate_of(server.client(), "b"));
    assert!(one.win(&end).await);
    assert!(one.lead().holds());
    // Nobody renews: the first one is stopped. The second one waits until the Lease has stood still for long enough.
    assert!(two.win(&end).await);
    assert!(!one.lead().holds(), "it writes nothing from before that on");
    assert!(two.lead().holds());
    assert!(one.hold(&end).await.is_err());
    assert!(!one.lead().holds());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_free_and_nothing_is_written_after_it() {
    let server = ApiServer::default();
    let end = CancellationToken::new();
    let (mut one, mut two) = (candidate_of(server.client(), "a"), candidate_of(server.client(), "b"));
    assert!(one.win(&end).await);
    let over = CancellationToken::new();
    over.cancel();
    assert!(one.hold(&over).await.is_ok());
    assert!(!one.lead().holds());
    let freed = Instant::now();
    assert!(two.win(&end).await);
    assert!(freed.elapsed() < PERIOD, "nobody waits for it");
}

#[tokio::test(start_paused = true)]
async fn readiness_falls_when_the_api_server_stays_away() {
    let mut candidate = candidate("b");
    let heard = candidate.heard.clone();
    candidate.attempt().await.unwrap_err();
    assert!(heard.answers().is_err(), "a failure is no answer");
    heard.now();
    assert_eq!(heard.answers(), Ok(()));
    tokio::time::advance(AWAY + Duration::from_secs(1)).await;
    candidate.attempt().await.unwrap_err();
    assert_eq!(
        heard.answers(),
        Err("the API server has not answered for 31 s".to_owned())
    );
}

fn held_by(holder: &str, renewed: i64) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
        ..LeaseSpec::default()
    }
}

#[tokio::test]
async fn a_lease_is_taken_when_it_stood_still_by_our_own_clock() {
    let mut candidate = candidate("b");
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    // The holder's clock is a year behind; that says nothing.
    assert!(!candidate.may_take(&held_by("a", 1), at(0)));
    assert!(!candidate.may_take(&held_by("a", 1), at(14)));
    assert!(!candidate.may_take(&held_by("a", 2), at(16)), "it was renewed");
    assert!(!candidate.may_take(&held_by("a", 2), at(30)));
    assert!(candidate.may_take(&held_by("a", 2), at(31)));
}

#[tokio::test]
async fn our_own_and_a_released_lease_are_taken_at_once() {
    let mut candidate = candidate("b");
    assert!(candidate.may_take(&held_by("b", 1), Instant::now()));
    assert!(candidate.may_take(&held_by("", 1), Instant::now()));
}

#[tokio::test]
async fn a_claim_keeps_since_when_it_leads_and_counts_changes() {
    let candidate = candidate("b");
    let first = candidate.claim(Some(&LeaseSpec {
        lease_transitions: Some(3),
        ..held_by("a", 1)
    }));
    assert_eq!(
        (first.holder_identity.as_deref(), first.lease_transitions),
        (Some("b"), Some(4))
    );
    let renewed = candidate.claim(Some(&first));
    assert_eq!(
        (renewed.acquire_time, renewed.lease_transitions),
        (first.acquire_time, Some(4))
    );
}
