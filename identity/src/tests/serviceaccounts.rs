//! Tokens of ServiceAccounts, which the API server judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sallyport_audit::record::Refusal;

use super::super::verifier::REVIEWS;
use super::*;

struct ApiServer {
    answer: Review,
    asked: Arc<AtomicUsize>,
}

impl Reviewer for ApiServer {
    fn review(&self, _: String, audience: String) -> BoxFuture<'static, Review> {
        assert_eq!(audience, "sallyport://doors/bank");
        self.asked.fetch_add(1, Ordering::SeqCst);
        futures::future::ready(self.answer.clone()).boxed()
    }
}

struct SilentServer;

impl Reviewer for SilentServer {
    fn review(&self, _: String, _: String) -> BoxFuture<'static, Review> {
        futures::future::pending().boxed()
    }
}

/// Claims of a token of the account `batch`.
fn claims() -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:apps:batch", "aud": ["sallyport://doors/bank"],
        "exp": now + 600, "iat": now - 5, "jti": "sa-1",
    })
}

/// What the API server says of it.
fn reviewed() -> Reviewed {
    Reviewed {
        username: "system:serviceaccount:apps:batch".to_owned(),
        uid: "uid-1".to_owned(),
        groups: vec!["system:serviceaccounts".to_owned()],
        audiences: vec!["sallyport://doors/bank".to_owned()],
    }
}

/// Accounts count, and nobody else.
fn accounts() -> Settings {
    Settings {
        service_accounts: Some("sallyport://doors/bank".to_owned()),
        api_audiences: vec!["https://kubernetes.default.svc".to_owned()],
        max_token_age: HOUR,
        ..Settings::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_keeps_nobody_waiting_behind_those_who_left() {
    let key = SigningKey::new("sa");
    let claims = claims();
    let door = Identities::new(Handle::current(), Some(Arc::new(SilentServer)), eager());
    door.apply(accounts());
    let token = key.sign(&claims);
    for _ in 0..3 {
        let many = futures::future::join_all((0..16).map(|_| login(&door, &token))).await;
        for refused in many {
            let detail = refused.unwrap_err().detail;
            assert_ne!(detail, Refused::Busy.to_string());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_door_that_shows_many_tokens_keeps_those_of_no_other_waiting() {
    let key = SigningKey::new("sa");
    let recorder = Identities::new(Handle::current(), Some(Arc::new(SilentServer)), eager());
    recorder.apply(accounts());
    let shown_at = async |connection: &str| {
        let audience = format!("sallyport://doors/{connection}");
        let token = key.sign(&with(&claims(), json!({ "aud": audience })));
        let shown = recorder.verify_at("doors", connection, token.as_bytes(), Time::now());
        shown.await.unwrap_err().detail
    };
    let flood = futures::future::join_all((0..2 * REVIEWS).map(|_| shown_at("bank")));
    let (flood, other) = tokio::join!(flood, shown_at("shop"));
    let busy = Refused::Busy.to_string();
    assert_eq!(flood.iter().filter(|detail| **detail == busy).count(), REVIEWS);
    assert_ne!(other, busy, "the API server is asked about it");
}

#[tokio::test]
async fn an_agents_account_is_asked_about_again_and_what_an_issuer_signed_is_not() {
    let (key, own) = (SigningKey::new("k1"), SigningKey::new("sa"));
    let provider = Provider::start(&[&key]).await;
    let now = jiff::Timestamp::now().as_second();
    let claims = claims();
    let reviewed = Reviewed {
        groups: Vec::new(),
        ..reviewed()
    };
    let rule = json!([{
        "agent": { "kind": "ServiceAccount", "name": "batch", "namespace": "apps" },
        "actsFor": [{ "kind": "User", "name": "oidc:alice" }],
    }]);
    let door = |answer: Review| {
        let asked = Arc::default();
        let reviewer: Arc<dyn Reviewer> = Arc::new(ApiServer { answer, asked });
        let door = Identities::new(Handle::current(), Some(reviewer), eager());
        door.apply(Settings {
            agents: serde_json::from_value(rule.clone()).unwrap(),
            ..settings(&provider)
        });
        door
    };
    let pair = |alice: Value| format!("{},{}", key.sign(&with(&provider.claims(), alice)), own.sign(&claims));
    let there = door(Review::Genuine(reviewed));
    let identity = login(&there, &pair(json!({}))).await.unwrap();
    assert!(there.again(&identity).is_some(), "the agent's account may be deleted");

    let over = pair(json!({ "exp": now - 3_600 }));
    assert!(login(&there, &over).await.is_err());
    for (answers, token, stands) in [
        (there, over.clone(), true),
        (door(Review::Unavailable), over.clone(), true),
        (door(Review::Forbidden), over.clone(), true),
        (door(Review::Refused), over, false),
    ] {
        let still = answers.still(token.as_bytes(), &identity.person, Time::now()).await;
        assert_eq!(still, stands);
    }
}

#[tokio::test]
async fn service_accounts_are_the_api_servers_to_judge() {
    let key = SigningKey::new("sa");
    let (claims, reviewed) = (claims(), reviewed());
    let asked = Arc::new(AtomicUsize::new(0));
    let door = |answer: Review| {
        let reviewer: Arc<dyn Reviewer> = Arc::new(ApiServer {
            answer,
            asked: Arc::clone(&asked),
        });
        let door = Identities::new(Handle::current(), Some(reviewer), eager());
        door.apply(accounts());
        door
    };
    let genuine = door(Review::Genuine(reviewed.clone()));
    let identity = login(&genuine, &key.sign(&claims)).await.unwrap();
    assert_eq!(identity.person.username, "system:serviceaccount:apps:batch");
    assert_eq!(identity.person.subject, "uid-1", "an account made again is another");

    let both = with(
        &claims,
        json!({ "aud": ["sallyport://doors/bank", "https://kubernetes.default.svc"] }),
    );
    assert_eq!(
        login(&genuine, &key.sign(&both)).await.unwrap_err().detail,
        Refused::ApiAudience.to_string()
    );

    let before = asked.load(Ordering::SeqCst);
    for strange in [
        json!({ "aud": "sallyport://doors/other" }),
        json!({ "sub": "alice" }),
        json!({ "aud": null }),
    ] {
        assert_eq!(
            login(&genuine, &key.sign(&with(&claims, strange)))
                .await
                .unwrap_err()
                .detail,
            Refused::UnknownIssuer.to_string()
        );
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        before,
        "the API server is not troubled with what cannot be for us"
    );

    let answers = [
        (Review::Refused, Refusal::BadToken),
        (Review::Unavailable, Refusal::IssuerUnavailable),
        (Review::Forbidden, Refusal::IssuerUnavailable),
        (
            Review::Genuine(Reviewed {
                audiences: vec![],
                ..reviewed.clone()
            }),
            Refusal::BadToken,
        ),
        (
            Review::Genuine(Reviewed {
                username: "bob".to_owned(),
                ..reviewed.clone()
            }),
            Refusal::BadToken,
        ),
        (
            Review::Genuine(Reviewed {
                uid: String::new(),
                ..reviewed
            }),
            Refusal::BadToken,
        ),
    ];
    for (answer, reason) in answers {
        let refused = login(&door(answer.clone()), &key.sign(&claims)).await.unwrap_err();
        assert_eq!(refused.reason, reason, "{answer:?}");
        let to_do = refused.detail.contains("bind ClusterRole sallyport-tokenreviews");
        assert_eq!(to_do, answer == Review::Forbidden, "{answer:?}: {}", refused.detail);
    }
}
