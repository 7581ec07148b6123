//! A provider that is real in all but its people, and every token that must not open the door.

mod pairs;
mod provider;
mod rotation;
mod serviceaccounts;

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sallyport_audit::Time;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::provider::{Provider, SigningKey, forged, with};
use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn settings(provider: &Provider) -> Settings {
    Settings {
        issuers: vec![provider.issuer()],
        service_accounts: Some("sallyport://doors/bank".to_owned()),
        api_audiences: vec!["kubernetes".to_owned()],
        max_token_age: HOUR,
        agents: Vec::new(),
        any_agent: false,
    }
}

fn door(settings: Settings, pace: Pace) -> Identities {
    let identities = Identities::new(Handle::current(), None, pace);
    identities.apply(settings);
    identities
}

fn eager() -> Pace {
    Pace {
        refresh: HOUR,
        at_most: Duration::ZERO,
        stale: HOUR,
    }
}

async fn login(door: &Identities, token: &str) -> Result<Identity, LoginRefused> {
    door.verify(token.as_bytes(), Time::now()).await
}

#[tokio::test]
async fn a_genuine_token_says_who_and_for_whom() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let door = door(settings(&provider), eager());
    let act = json!({ "act": { "sub": "agent-1", "act": { "sub": "agent-2", "iss": "https://other" } } });
    let identity = login(&door, &key.sign(&with(&provider.claims(), act))).await.unwrap();

    assert_eq!(identity.person.username, "oidc:alice");
    assert_eq!(
        (identity.person.issuer.as_str(), identity.person.subject.as_str()),
        (provider.url.as_str(), "a-1")
    );
    assert_eq!(identity.groups, ["oidc:engineers"]);
    assert_eq!(identity.email.as_deref(), Some("alice@bank.example"));
    let agents: Vec<_> = identity
        .agents
        .iter()
        .map(|agent| (agent.issuer.as_deref(), agent.subject.as_str()))
        .collect();
    assert_eq!(
        agents,
        [
            (Some(provider.url.as_str()), "agent-1"),
            (Some("https://other"), "agent-2")
        ]
    );
    assert_eq!(identity.token.id.as_deref(), Some("t-1"));
    assert!(identity.token.expires.is_some() && identity.token.auth_time.is_some());
}

#[tokio::test]
async fn claims_that_do_not_serve() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let mut settings = settings(&provider);
    settings.issuers[0]
        .required_claims
        .insert("tenant".to_owned(), "bank".to_owned());
    let door = door(settings, eager());
    let good = with(&provider.claims(), json!({ "tenant": "bank" }));
    login(&door, &key.sign(&good)).await.unwrap();

    let now = jiff::Timestamp::now().as_second();
    let name = |what, fault| Refused::Name { what, fault };
    let table = [
        (json!({ "exp": now - 31 }), Refused::Expired),
        (json!({ "exp": null }), Refused::Claim("exp".to_owned())),
        (json!({ "exp": "soon" }), Refused::Claim("exp".to_owned())),
        (json!({ "nbf": now + 300 }), Refused::NotYetValid),
        (json!({ "iat": now + 300 }), Refused::NotYetValid),
        (json!({ "nbf": "soon" }), Refused::Claim("nbf".to_owned())),
        (json!({ "iat": now - 3_700 }), Refused::TooOld),
        (json!({ "iat": null }), Refused::Claim("iat".to_owned())),
        (json!({ "aud": "other" }), Refused::Audience),
        (json!({ "aud": [] }), Refused::Audience),
        (json!({ "aud": null }), Refused::Claim("aud".to_owned())),
        (json!({ "aud": ["sallyport", "kubernetes"] }), Refused::ApiAudience),
        (json!({ "iss": "https://other" }), Refused::UnknownIssuer),
        (
            json!({ "iss": [provider.url, "https://other"] }),
            Refused::UnknownIssuer,
        ),
        (json!({ "iss": format!("{}/", provider.url) }), Refused::UnknownIssuer),
        (json!({ "iss": null }), Refused::UnknownIssuer),
        (json!({ "sub": null }), Refused::Claim("sub".to_owned())),
        (json!({ "sub": "" }), name("the subject", names::Fault::Empty)),
        (json!({ "tenant": "shop" }), Refused::RequiredValue("tenant".to_owned())),
        (
            json!({ "tenant": ["bank"] }),
            Refused::RequiredValue("tenant".to_owned()),
        ),
        (
            json!({ "preferred_username": null }),
            Refused::Claim("preferred_username".to_owned()),
        ),
        (
            json!({ "preferred_username": "" }),
            Refused::Claim("preferred_username".to_owned()),
        ),
        (
            json!({ "preferred_username": "al\u{202e}ice" }),
            name("the user name", names::Fault::Deceptive),
        ),
        (
            json!({ "groups": ["engineers", "d\u{0}ba"] }),
            name("a group", names::Fault::Deceptive),
        ),
        (json!({ "groups": [1] }), Refused::Claim("groups".to_owned())),
        (json!({ "act": {} }), Refused::Agents),
        (json!({ "act": "agent" }), Refused::Agents),
    ];
    for (change, refused) in table {
        let error = login(&door, &key.sign(&with(&good, change.clone()))).await.unwrap_err();
        assert_eq!(error.detail, refused.to_string(), "{change}");
    }
    // Within the leeway of clocks.
    login(
        &door,
        &key.sign(&with(&good, json!({ "exp": now - 5, "nbf": now + 5, "iat": now + 5 }))),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn the_issuers_clock_may_be_a_minute_ahead() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let door = door(settings(&provider), eager());
    let now = jiff::Timestamp::now().as_second();
    let (soon, old) = (Some(Refused::NotYetValid), Some(Refused::TooOld));
    let table = [
        (json!({ "iat": now + 59, "nbf": now + 59 }), None),
        (json!({ "iat": now + 61 }), soon.clone()),
        (json!({ "nbf": now + 61 }), soon.clone()),
        (json!({ "iat": now + 61, "nbf": now }), soon),
        // How old a token may be is another matter.
        (json!({ "iat": now - 3_629 }), None),
        (json!({ "iat": now - 3_631 }), old),
    ];
    for (change, refused) in table {
        let token = key.sign(&with(&provider.claims(), change.clone()));
        let answer = door.verify(token.as_bytes(), Time::from_unix_secs(now)).await;
        let (said, wanted) = (
            answer.err().map(|error| error.detail),
            refused.map(|refused| refused.to_string()),
        );
        assert_eq!(said, wanted, "{change}");
    }
}

#[tokio::test]
async fn names_of_the_system_and_unverified_addresses() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let mut bare = settings(&provider);
    bare.issuers[0].username.prefix = String::new();
    bare.issuers[0].groups.as_mut().unwrap().prefix = String::new();
    let mut by_mail = settings(&provider);
    by_mail.issuers[0].username.claim = "email".to_owned();
    let mut narrow = settings(&provider);
    narrow.issuers[0].only_groups = vec!["oidc:dba".to_owned()];
    let system = |what| Refused::Name {
        what,
        fault: names::Fault::System,
    };
    let table = [
        (
            bare.clone(),
            json!({ "preferred_username": "system:admin" }),
            system("the user name"),
        ),
        (bare, json!({ "groups": "system:masters" }), system("a group")),
        (
            by_mail.clone(),
            json!({ "email_verified": false }),
            Refused::EmailNotVerified,
        ),
        (
            by_mail.clone(),
            json!({ "email_verified": "true" }),
            Refused::EmailNotVerified,
        ),
        (by_mail, json!({ "email_verified": null }), Refused::EmailNotVerified),
        (narrow, json!({}), Refused::Groups),
    ];
    for (settings, change, refused) in table {
        let door = door(settings, eager());
        let error = login(&door, &key.sign(&with(&provider.claims(), change.clone())))
            .await
            .unwrap_err();
        assert_eq!(
            (error.reason, error.detail),
            (refused.reason(), refused.to_string()),
            "{change}"
        );
    }
}

#[tokio::test]
async fn forgeries() {
    let key = SigningKey::new("k1");
    let stranger = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    // A symmetric key in the public set must not become a key.
    provider
        .state
        .lock()
        .unwrap()
        .keys
        .push(json!({ "kty": "oct", "kid": "oct", "k": "c2VjcmV0" }));
    let door = door(settings(&provider), eager());
    let claims = provider.claims();
    let genuine = key.sign(&claims);
    login(&door, &genuine).await.unwrap();

    let hmac = |secret: &[u8], kid: &str| {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let header = |extra: Value| with(&json!({ "alg": "ES256", "kid": "k1" }), extra);
    let signature = genuine.rsplit('.').next().unwrap();
    let table = [
        (
            forged(&header(json!({ "alg": "none" })), &claims, b""),
            Refused::Algorithm,
        ),
        (
            forged(&header(json!({ "alg": "None" })), &claims, b"x"),
            Refused::Algorithm,
        ),
        (
            forged(&header(json!({ "alg": null })), &claims, b"x"),
            Refused::Algorithm,
        ),
        (hmac(key.public_pem().as_bytes(), "k1"), Refused::Algorithm),
        (hmac(b"secret", "oct"), Refused::Algorithm),
        (stranger.sign(&claims), Refused::Signature),
        (forged(&header(json!({})), &claims, b""), Refused::Signature),
        (
            forged(&header(json!({ "alg": "RS256" })), &claims, &[0; 256]),
            Refused::UnknownKey,
        ),
        (
            forged(&header(json!({ "alg": "ES384" })), &claims, &[0; 96]),
            Refused::UnknownKey,
        ),
        (
            forged(&header(json!({ "crit": ["b64"], "b64": false })), &claims, &[0; 64]),
            Refused::Header,
        ),
        (
            forged(&header(json!({ "typ": "logout+jwt" })), &claims, &[0; 64]),
            Refused::Header,
        ),
        (forged(&header(json!({ "kid": 7 })), &claims, &[0; 64]), Refused::Header),
        (
            format!(
                "{}.{signature}",
                forged(&header(json!({})), &with(&claims, json!({ "sub": "root" })), b"").trim_end_matches('.')
            ),
            Refused::Signature,
        ),
        (format!("{genuine}.x"), Refused::Malformed),
        (genuine.replacen('.', "", 1), Refused::Malformed),
        (String::new(), Refused::Malformed),
        ("postgres".to_owned(), Refused::Malformed),
        ("x".repeat(70_000), Refused::TooLong),
    ];
    for (token, refused) in table {
        let error = login(&door, &token).await.unwrap_err();
        assert_eq!(error.detail, refused.to_string(), "{token:.200}");
        assert_eq!(error.person, None, "nobody is known by a token that did not verify");
    }
    assert!(door.verify(&[0xff, b'.', b'.'], Time::now()).await.is_err());
}
