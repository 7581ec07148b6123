use super::*;

fn candidate(identity: &str) -> Candidate {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, std::io::Error>(std::io::Error::other("nobody is asked"))
    });
    Candidate::new(
        Client::new(service, "sallyport-system"),
        "sallyport-system",
        "lease",
        identity,
        Heard::default(),
    )
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
