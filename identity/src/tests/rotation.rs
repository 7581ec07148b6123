//! Keys that rotate, and providers that are away, or others.

use sallyport_audit::record::Refusal;

use super::*;

#[tokio::test]
async fn keys_rotate_and_retire() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let provider = Provider::start(&[&old]).await;
    let door = door(settings(&provider), eager());
    let claims = provider.claims();
    login(&door, &old.sign(&claims)).await.unwrap();

    provider.state.lock().unwrap().keys = vec![new.jwk()];
    login(&door, &new.sign(&claims))
        .await
        .expect("an unknown key id makes the door ask again");
    let error = login(&door, &old.sign(&claims)).await.unwrap_err();
    assert_eq!(
        error.detail,
        Refused::UnknownKey.to_string(),
        "a key that was withdrawn no longer serves"
    );

    // A provider with a single key may leave the id out.
    let unnamed = new.sign_with(&Header::new(Algorithm::ES256), &claims);
    login(&door, &unnamed).await.unwrap();
}

#[tokio::test]
async fn invented_key_ids_do_not_flood_the_provider() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let door = door(
        settings(&provider),
        Pace {
            at_most: HOUR,
            ..eager()
        },
    );
    login(&door, &key.sign(&provider.claims())).await.unwrap();
    for invented in 0..20 {
        let error = login(
            &door,
            &SigningKey::new(&format!("x{invented}")).sign(&provider.claims()),
        )
        .await
        .unwrap_err();
        assert_eq!(error.detail, Refused::UnknownKey.to_string());
    }
    assert_eq!(provider.state.lock().unwrap().fetched, 1);
}

#[tokio::test]
async fn a_provider_that_is_away() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let known = door(settings(&provider), eager());
    let forgetful = door(
        settings(&provider),
        Pace {
            stale: Duration::from_secs(1),
            ..eager()
        },
    );
    let token = key.sign(&provider.claims());
    login(&known, &token).await.unwrap();
    login(&forgetful, &token).await.unwrap();
    assert_eq!(known.unavailable(), Vec::<String>::new());
    provider.stop();

    login(&known, &token)
        .await
        .expect("keys known a moment ago still serve");
    let late = door(settings(&provider), eager());
    let error = login(&late, &token).await.unwrap_err();
    assert_eq!(error.reason, Refusal::IssuerUnavailable, "{error:?}");
    assert_eq!(late.unavailable(), ["idp"]);
    let stale = async {
        while login(&forgetful, &token).await.is_ok() {
            tokio::task::yield_now().await;
        }
        login(&forgetful, &token).await.unwrap_err()
    };
    let error = tokio::time::timeout(Duration::from_secs(60), stale)
        .await
        .expect("keys must not serve for ever");
    assert_eq!(error.reason, Refusal::IssuerUnavailable);
}

#[tokio::test]
async fn a_provider_that_is_another() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let token = key.sign(&provider.claims());
    let mut foreign = settings(&provider);
    foreign.issuers[0].certificate_authority = Some(Provider::start(&[]).await.ca.clone());
    let error = login(&door(foreign, eager()), &token).await.unwrap_err();
    assert!(
        error.detail.contains("no certificate of the configured CA"),
        "{error:?}"
    );

    provider.state.lock().unwrap().calls_itself = Some("https://other".to_owned());
    let error = login(&door(settings(&provider), eager()), &token).await.unwrap_err();
    assert!(error.detail.contains("names another issuer"), "{error:?}");
}

#[tokio::test]
async fn settings_change_and_keys_stay() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let door = door(settings(&provider), eager());
    let token = key.sign(&provider.claims());
    login(&door, &token).await.unwrap();
    let before = provider.state.lock().unwrap().fetched;

    let mut narrower = settings(&provider);
    narrower.issuers[0].audiences = vec!["other".to_owned()];
    door.apply(narrower);
    assert_eq!(
        login(&door, &token).await.unwrap_err().detail,
        Refused::Audience.to_string()
    );
    assert_eq!(provider.state.lock().unwrap().fetched, before);
    door.apply(Settings::default());
    assert_eq!(
        login(&door, &token).await.unwrap_err().detail,
        Refused::UnknownIssuer.to_string()
    );
}
