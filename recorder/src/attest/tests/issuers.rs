//! Whose tokens count: issuers that are away or have two names, accounts, and an operator that has said nothing.

use futures::FutureExt;
use futures::future::BoxFuture;
use sallyport_identity::{Review, Reviewed};

use super::*;

#[tokio::test]
async fn an_issuer_that_is_away_confirms_nobody_and_its_keys_serve_on() {
    let stage = Stage::new().await;
    let pen = Pen::new(&door("a"));
    let mut peer = stage.door(&pen).await;
    let token = stage.token(json!({}));
    assert_eq!(peer.present(&pen, stage.alice(), Vec::new(), &token).await, None);
    stage.provider.stop();
    let known = Pen::new(&door("a"));
    assert_eq!(peer.present(&known, stage.alice(), Vec::new(), &token).await, None);
    // Keys that were never had cannot be asked for.
    let mut moved = stage.provider.issuer();
    moved.discovery_url = Some(format!("{}/elsewhere", stage.provider.url));
    stage.attestor.trust(&trusted(vec![moved]), Digest::of(b"second"));
    let unknown = Pen::new(&door("a"));
    let refused = peer.present(&unknown, stage.alice(), Vec::new(), &token).await.unwrap();
    assert!(refused.later && refused.reason.contains("keys"), "{refused:?}");
}

#[tokio::test]
async fn until_the_operator_has_spoken_nothing_is_checked() {
    let stage = Stage {
        attestor: Arc::new(Attestor::new(Handle::current(), None, Pace::default())),
        ..Stage::new().await
    };
    assert_eq!(stage.attestor.trusts(), None);
    let mut pen = Pen::new(&door("a"));
    let mut peer = stage.door(&pen).await;
    assert_eq!(peer.present(&pen, stage.alice(), Vec::new(), "any").await, None);
    assert!(matches!(
        peer.record(1, pen.write(start_of(stage.alice(), Vec::new()))).await,
        Frame::Ack(_)
    ));
    assert_eq!(stage.attested().await[0].1.finding, Finding::NotChecked);
}

#[tokio::test]
async fn an_issuer_under_two_names_is_asked_by_both() {
    let stage = Stage::new().await;
    let other = sallyport_identity::Issuer {
        name: "partners".to_owned(),
        audiences: vec!["partners".to_owned()],
        ..stage.provider.issuer()
    };
    let both = trusted(vec![stage.provider.issuer(), other]);
    stage.attestor.trust(&both, Digest::of(b"second"));
    assert_eq!(stage.attestor.trusts(), Some(Digest::of(b"second")));
    for (audience, taken) in [("sallyport", true), ("partners", true), ("others", false)] {
        let pen = Pen::new(&door("a"));
        let mut peer = stage.door(&pen).await;
        let token = stage.token(json!({ "aud": audience }));
        let refused = peer.present(&pen, stage.alice(), Vec::new(), &token).await;
        assert_eq!(refused.is_none(), taken, "{audience}: {refused:?}");
    }
}

struct ApiServer;

impl Reviewer for ApiServer {
    fn review(&self, _: String, audience: String) -> BoxFuture<'static, Review> {
        let reviewed = Reviewed {
            username: "system:serviceaccount:apps:batch".to_owned(),
            uid: "uid-1".to_owned(),
            groups: Vec::new(),
            audiences: vec![audience],
        };
        futures::future::ready(Review::Genuine(reviewed)).boxed()
    }
}

#[tokio::test]
async fn a_door_that_shows_many_tokens_keeps_no_other_from_showing_theirs() {
    let stage = Stage::new().await;
    // It takes connections and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = sallyport_identity::Issuer {
        name: "silent".to_owned(),
        url: format!("https://{}", listener.local_addr().unwrap()),
        ..stage.provider.issuer()
    };
    let waits = stage.token(json!({ "iss": silent.url }));
    let both = trusted(vec![stage.provider.issuer(), silent]);
    stage.attestor.trust(&both, Digest::of(b"second"));
    let shown = |at: &'static str, token: &str| {
        let (attestor, log) = (Arc::clone(&stage.attestor), stage.log.clone());
        let present = Present {
            agents: Vec::new(),
            person: stage.alice(),
            session: SessionId::random().unwrap(),
            token: Token::new(token.as_bytes()).unwrap(),
        };
        async move { attestor.check(present, &door(at), &log).await.refused }
    };
    let mut flood: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(shown("a", &waits))).collect();
    let turned: Vec<_> = flood
        .iter_mut()
        .filter_map(|one| one.now_or_never().flatten())
        .collect();
    assert!(turned.len() == AT_ONCE / 2 && turned.iter().all(|refused| refused.later));
    assert_eq!(shown("b", &stage.token(json!({}))).await, None, "it is checked");
}

#[tokio::test]
async fn an_account_is_asked_about_by_the_connection_of_the_certificate() {
    let stage = Stage::reviewed_by(Some(Arc::new(ApiServer))).await;
    let batch = Person {
        issuer: "https://kubernetes.default.svc".into(),
        subject: "uid-1".into(),
        username: "system:serviceaccount:apps:batch".into(),
    };
    for (audience, taken) in [("sallyport://doors/bank", true), ("sallyport://doors/shop", false)] {
        let pen = Pen::new(&door("a"));
        let mut peer = stage.door(&pen).await;
        let token = stage.token(json!({
            "iss": batch.issuer, "sub": "system:serviceaccount:apps:batch", "aud": [audience],
        }));
        let refused = peer.present(&pen, batch.clone(), Vec::new(), &token).await;
        assert_eq!(refused.is_none(), taken, "{audience}: {refused:?}");
    }
}
