//! A provider that is real in all but its people, and every token that must not open the door.

mod provider;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sallyport_audit::Time;
use sallyport_audit::record::Refusal;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::provider::{Provider, SigningKey, forged};
use super::*;
use crate::door::{Identity, LoginRefused, Verifier};

const HOUR: Duration = Duration::from_secs(3_600);

fn settings(provider: &Provider) -> Settings {
    Settings {
        issuers: vec![provider.issuer()],
        service_accounts: Some("sallyport://doors/bank".to_owned()),
        api_audiences: vec!["kubernetes".to_owned()],
        max_token_age: HOUR,
        agents: Vec::new(),
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

/// `claims` with some of them replaced; null takes one away.
fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
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
        (json!({ "nbf": now + 60 }), Refused::NotYetValid),
        (json!({ "iat": now + 60 }), Refused::NotYetValid),
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
            stale: Duration::from_millis(200),
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
    let error = tokio::time::timeout(Duration::from_secs(10), stale)
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

#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_keeps_nobody_waiting_behind_those_who_left() {
    let key = SigningKey::new("sa");
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:apps:batch", "aud": ["sallyport://doors/bank"],
        "exp": now + 600, "iat": now - 5, "jti": "sa-1",
    });
    let door = Identities::new(Handle::current(), Some(Arc::new(SilentServer)), eager());
    door.apply(Settings {
        service_accounts: Some("sallyport://doors/bank".to_owned()),
        api_audiences: vec!["https://kubernetes.default.svc".to_owned()],
        max_token_age: HOUR,
        ..Settings::default()
    });
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

#[tokio::test]
async fn an_agents_account_is_asked_about_again_and_what_an_issuer_signed_is_not() {
    let (key, own) = (SigningKey::new("k1"), SigningKey::new("sa"));
    let provider = Provider::start(&[&key]).await;
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:apps:batch", "aud": ["sallyport://doors/bank"],
        "exp": now + 600, "iat": now - 5, "jti": "sa-1",
    });
    let reviewed = Reviewed {
        username: "system:serviceaccount:apps:batch".to_owned(),
        uid: "uid-1".to_owned(),
        groups: Vec::new(),
        audiences: vec!["sallyport://doors/bank".to_owned()],
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
        (door(Review::Refused), over, false),
    ] {
        let still = answers.still(token.as_bytes(), &identity.person, Time::now()).await;
        assert_eq!(still, stands);
    }
}

#[tokio::test]
async fn service_accounts_are_the_api_servers_to_judge() {
    let key = SigningKey::new("sa");
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:apps:batch", "aud": ["sallyport://doors/bank"],
        "exp": now + 600, "iat": now - 5, "jti": "sa-1",
    });
    let reviewed = Reviewed {
        username: "system:serviceaccount:apps:batch".to_owned(),
        uid: "uid-1".to_owned(),
        groups: vec!["system:serviceaccounts".to_owned()],
        audiences: vec!["sallyport://doors/bank".to_owned()],
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let door = |answer: Review| {
        let reviewer: Arc<dyn Reviewer> = Arc::new(ApiServer {
            answer,
            asked: Arc::clone(&asked),
        });
        let door = Identities::new(Handle::current(), Some(reviewer), eager());
        let settings = Settings {
            service_accounts: Some("sallyport://doors/bank".to_owned()),
            api_audiences: vec!["https://kubernetes.default.svc".to_owned()],
            max_token_age: HOUR,
            ..Settings::default()
        };
        door.apply(settings);
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
        assert_eq!(
            login(&door(answer.clone()), &key.sign(&claims))
                .await
                .unwrap_err()
                .reason,
            reason,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_no_client_of_people_was_given_is_an_agents() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let mut told_apart = settings(&provider);
    told_apart.issuers[0].human_clients = vec!["psql".to_owned(), "kubectl".to_owned()];
    let (any, listed) = (door(settings(&provider), eager()), door(told_apart, eager()));
    let table: [(&str, &Identities, Value, &[&str]); 5] = [
        ("a client of people", &listed, json!({ "azp": "psql" }), &[]),
        ("another", &listed, json!({ "azp": "copilot" }), &["copilot"]),
        (
            "by the name that RFC 9068 has for it",
            &listed,
            json!({ "azp": null, "client_id": "copilot" }),
            &["copilot"],
        ),
        (
            "one whose token says who acts",
            &listed,
            json!({ "azp": "copilot", "act": { "sub": "bot-1" } }),
            &["bot-1"],
        ),
        ("where none are told apart", &any, json!({ "azp": "copilot" }), &[]),
    ];
    for (what, door, changes, agents) in table {
        let token = key.sign(&with(&provider.claims(), changes));
        let identity = login(door, &token)
            .await
            .unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        assert_eq!(identity.person.username, "oidc:alice", "{what}");
        let got: Vec<_> = identity.agents.iter().map(|agent| agent.subject.as_str()).collect();
        assert_eq!(got, agents, "{what}");
    }
    let nobodys = key.sign(&with(&provider.claims(), json!({ "azp": null, "client_id": null })));
    let refused = login(&listed, &nobodys).await.unwrap_err();
    assert_eq!(refused.detail, Refused::Claim("azp".to_owned()).to_string());
}

#[tokio::test]
async fn two_tokens_prove_two_identities_and_not_consent() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let rule = json!([{
        "agent": { "kind": "User", "name": "oidc:bot" }, "actsFor": [{ "kind": "Group", "name": "oidc:engineers" }],
    }]);
    let listed = Settings {
        agents: serde_json::from_value(rule).unwrap(),
        ..settings(&provider)
    };
    let alice = |changes| key.sign(&with(&provider.claims(), changes));
    let bot = |changes| {
        let own = json!({ "sub": "bot-1", "preferred_username": "bot", "groups": ["tools"] });
        key.sign(&with(&with(&provider.claims(), own), changes))
    };
    let plain = || json!({});
    let pair = |person: String, agent: String| format!("{person},{agent}");
    let other = |name: &str| json!({ "sub": name, "preferred_username": name });
    let (open, strict) = (door(listed, eager()), door(settings(&provider), eager()));
    let may = |name: &str| json!({ "may_act": { "sub": name } });
    let act = |name: &str| json!({ "act": { "sub": name } });

    for (what, door, token) in [
        ("the connection lists it", &open, pair(alice(plain()), bot(plain()))),
        ("the token permits it", &strict, pair(alice(may("bot-1")), bot(plain()))),
        (
            "the token says that it acts",
            &strict,
            pair(alice(act("bot-1")), bot(plain())),
        ),
    ] {
        let identity = login(door, &token)
            .await
            .unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        assert_eq!(identity.person.username, "oidc:alice", "{what}");
        let agents: Vec<_> = identity.agents.iter().map(|agent| agent.subject.as_str()).collect();
        assert_eq!(agents, ["bot-1"], "{what}");
    }
    let foreign = json!({ "aud": "somebody-else" });
    let elsewhere = json!({ "may_act": { "sub": "bot-1", "iss": "https://other" } });
    for (what, door, token, reason) in [
        (
            "nobody says so",
            &strict,
            pair(alice(plain()), bot(plain())),
            Refusal::NotAdmitted,
        ),
        (
            "another may",
            &strict,
            pair(alice(may("bot-2")), bot(plain())),
            Refusal::NotAdmitted,
        ),
        (
            "another issuer's may",
            &strict,
            pair(alice(elsewhere), bot(plain())),
            Refusal::NotAdmitted,
        ),
        (
            "another acts",
            &open,
            pair(alice(act("bot-2")), bot(plain())),
            Refusal::NotAdmitted,
        ),
        (
            "an agent that is not listed",
            &open,
            pair(alice(plain()), bot(other("bot-9"))),
            Refusal::NotAdmitted,
        ),
        (
            "for somebody it may not act for",
            &open,
            pair(alice(json!({ "groups": [] })), bot(plain())),
            Refusal::NotAdmitted,
        ),
        (
            "the person as their own agent",
            &open,
            pair(alice(plain()), alice(plain())),
            Refusal::BadToken,
        ),
        (
            "an agent that is led by another",
            &open,
            pair(alice(plain()), bot(act("x"))),
            Refusal::BadToken,
        ),
        (
            "an agent's token for elsewhere",
            &open,
            pair(alice(plain()), bot(foreign.clone())),
            Refusal::BadToken,
        ),
        (
            "a person's token for elsewhere",
            &open,
            pair(alice(foreign), bot(plain())),
            Refusal::BadToken,
        ),
        (
            "three",
            &open,
            pair(pair(alice(plain()), bot(plain())), bot(plain())),
            Refusal::BadToken,
        ),
        ("half", &open, pair(alice(plain()), String::new()), Refusal::BadToken),
    ] {
        let refused = login(door, &token).await.unwrap_err();
        assert_eq!(refused.reason, reason, "{what}: {refused:?}");
        if reason == Refusal::NotAdmitted {
            assert_eq!(
                refused.person.unwrap().username,
                "oidc:alice",
                "{what}: on record is whose token it was"
            );
        }
    }
}
