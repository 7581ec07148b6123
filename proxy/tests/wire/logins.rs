//! Tokens at the real door, from an identity provider that is real in all but its people.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sallyport_audit::Digest;
use sallyport_audit::record::{Event, Finding, Refusal};
use sallyport_proxy::identity::{Identities, Pace, Settings, Trusted};
use sallyport_recorder::attest::{Attestor, People as Recorder};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::provider::{Provider, SigningKey, forged, with};
use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags};

#[path = "../../../identity/src/tests/provider.rs"]
mod provider;

const HOUR: Duration = Duration::from_secs(3_600);

struct Stage {
    door: TestDoor,
    provider: Provider,
    key: SigningKey,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(pace: Pace) -> Self {
        Self::confirmed(pace, |_, _| Recorder::SameProcess)
    }

    fn confirmed(pace: Pace, recorder: impl FnOnce(&Provider, Handle) -> Recorder) -> Self {
        sallyport_runtime::crypto::install();
        let runtime = super::common::runtime();
        let key = SigningKey::new("k1");
        let provider = runtime.block_on(Provider::start(&[&key]));
        let identities = Identities::new(runtime.handle().clone(), None, pace);
        identities.apply(Settings {
            issuers: vec![provider.issuer()],
            service_accounts: Some("sallyport://doors/bank".to_owned()),
            api_audiences: vec!["kubernetes".to_owned()],
            max_token_age: HOUR,
            agents: Vec::new(),
            any_agent: false,
        });
        let server = super::common::postgres::server();
        let database = server.database(SCHEMA);
        let recorder = recorder(&provider, runtime.handle().clone());
        let door = TestDoor::confirmed_by(&Given::open(), server, database, Arc::new(identities), recorder);
        Self {
            door,
            provider,
            key,
            runtime,
        }
    }

    /// Logs in with a token as password; the last words where it is refused.
    fn enter(&self, token: &str) -> Result<Client, Message> {
        Client::present(&self.door, token).map_err(|said| said.last().unwrap().clone())
    }

    fn claims(&self, changes: Value) -> Value {
        with(&self.provider.claims(), changes)
    }
}

fn eager() -> Pace {
    Pace {
        refresh: HOUR,
        at_most: Duration::ZERO,
        stale: HOUR,
    }
}

#[test]
fn a_token_that_does_not_serve_is_refused_in_the_same_words_whatever_is_wrong() {
    let stage = Stage::new(eager());
    let good = stage.provider.claims();
    let now = jiff::Timestamp::now().as_second();
    let other = SigningKey::new("k1");
    let header = |value: Value| {
        let base = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
        let mut header = base.as_object().unwrap().clone();
        header.extend(value.as_object().unwrap().clone());
        Value::Object(header)
    };
    // A genuine signature under a header that somebody wrote around it.
    let signed = |extra: Value| {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k1".to_owned());
        match extra.as_object().and_then(|extra| extra.iter().next()) {
            Some((name, value)) if name == "jku" => header.jku = value.as_str().map(str::to_owned),
            Some((name, value)) if name == "jwk" => header.jwk = serde_json::from_value(value.clone()).ok(),
            _ => {}
        }
        other.sign_with(&header, &good)
    };
    let hs256 = {
        let header = Header {
            kid: Some("k1".to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(
            &header,
            &good,
            &EncodingKey::from_secret(stage.key.public_pem().as_bytes()),
        )
        .unwrap()
    };
    let genuine = stage.key.sign(&good);
    let (unsigned, signature) = genuine.rsplit_once('.').unwrap();
    let with = |changes: Value| stage.key.sign(&stage.claims(changes));
    let cases: Vec<(&str, String, &str)> = vec![
        ("no token", "hunter2".to_owned(), "not a signed JSON web token"),
        (
            "signed by somebody else",
            other.sign(&good),
            "signature does not verify",
        ),
        (
            "changed",
            format!(
                "{unsigned}.{}{}",
                if signature.starts_with('A') { "B" } else { "A" },
                &signature[1..]
            ),
            "signature does not verify",
        ),
        ("not signed", format!("{unsigned}."), "signature does not verify"),
        (
            "alg none",
            forged(&header(json!({"alg": "none"})), &good, b""),
            "algorithm is none",
        ),
        (
            "alg NoNe",
            forged(&header(json!({"alg": "NoNe"})), &good, b""),
            "algorithm is none",
        ),
        ("HS256 with the public key", hs256, "algorithm is none, symmetric"),
        (
            "crit",
            forged(&header(json!({"crit": ["exp"], "exp": 1})), &good, b"x"),
            "header asks for",
        ),
        (
            "a key of its own",
            signed(json!({"jwk": other.jwk()})),
            "signature does not verify",
        ),
        (
            "a key set of its own",
            signed(json!({"jku": "https://attacker.example/keys"})),
            "signature does not verify",
        ),
        (
            "a logout token",
            forged(&header(json!({"typ": "logout+jwt"})), &good, b"x"),
            "header asks for",
        ),
        ("expired", with(json!({"exp": now - 120})), "has expired"),
        ("of the future", with(json!({"nbf": now + 300})), "not valid yet"),
        ("issued in the future", with(json!({"iat": now + 300})), "not valid yet"),
        (
            "too old",
            with(json!({"iat": now - 4_000, "nbf": now - 4_000})),
            "longer ago than",
        ),
        (
            "for another audience",
            with(json!({"aud": "elsewhere"})),
            "not for this connection",
        ),
        (
            "for the API server, too",
            with(json!({"aud": ["sallyport", "kubernetes"]})),
            "also good for the API server",
        ),
        (
            "of another issuer",
            with(json!({"iss": "https://other.example"})),
            "none of this connection's",
        ),
        ("without exp", with(json!({"exp": null})), "no usable claim exp"),
        ("without sub", with(json!({"sub": null})), "no usable claim sub"),
        ("without aud", with(json!({"aud": null})), "no usable claim aud"),
        ("without iat", with(json!({"iat": null})), "no usable claim iat"),
        (
            "without a name",
            with(json!({"preferred_username": null})),
            "no usable claim preferred_username",
        ),
        (
            "a name of the system",
            with(json!({"preferred_username": "system:admin\n"})),
            "the user name",
        ),
    ];
    let mut words = std::collections::BTreeSet::new();
    for (what, token, detail) in &cases {
        let told = stage.enter(token).err().unwrap_or_else(|| panic!("{what}: came in"));
        words.insert(format!("{:?} {:?}", told.field('C'), told.field('M')));
        stage.door.recorded(what, |event| match event {
            Event::LoginRefused(refused) => refused.detail.contains(detail).then_some(()),
            _ => None,
        });
    }
    assert_eq!(words.len(), 1, "nobody feels their way in: {words:?}");
    for record in stage.door.records() {
        assert!(
            !format!("{record:?}").contains(&genuine[..40]),
            "a token stands in a record"
        );
    }
    // A long token of many groups serves; one beyond the limit is not even read.
    let groups: Vec<String> = (0..1_500)
        .map(|i| format!("group-with-a-long-name-{i:04}"))
        .chain(["engineers".into()])
        .collect();
    let long = with(json!({"groups": groups}));
    assert!(long.len() > 40_000);
    assert_eq!(tags(&stage.enter(&long).unwrap().query("select 1")), "TDCZ");
    assert!(
        stage
            .enter(&"a".repeat(66_000))
            .err()
            .unwrap()
            .text()
            .contains("length")
    );
}

#[test]
fn an_issuer_that_is_away_or_changes_its_keys() {
    let pace = Pace {
        refresh: Duration::from_millis(50),
        at_most: Duration::ZERO,
        stale: Duration::from_secs(8),
    };
    let stage = Stage::new(pace);
    let token = stage.key.sign(&stage.provider.claims());
    assert!(stage.enter(&token).is_ok());
    // Another key beside the old one, then without it.
    let next = SigningKey::new("k2");
    stage.provider.state.lock().unwrap().keys.push(next.jwk());
    assert!(stage.enter(&next.sign(&stage.provider.claims())).is_ok());
    stage.provider.state.lock().unwrap().keys.remove(0);
    super::common::eventually("the old key to be withdrawn", || stage.enter(&token).err());
    // A key set that is none: those known serve until they are stale, then nobody comes in, in words.
    let token = next.sign(&stage.provider.claims());
    stage.provider.state.lock().unwrap().keys = vec![json!("x".repeat(700_000))];
    assert!(stage.enter(&token).is_ok());
    super::common::eventually("the keys to be stale", || stage.enter(&token).err());
    stage.door.recorded("why", |event| match event {
        Event::LoginRefused(refused) if refused.reason == Refusal::IssuerUnavailable => {
            assert!(refused.detail.contains("too large"), "{}", refused.detail);
            Some(())
        }
        _ => None,
    });
    stage.provider.state.lock().unwrap().keys = vec![json!({"kty": "oct", "k": "c2VjcmV0"}), next.jwk()];
    super::common::eventually("the keys to be back", || stage.enter(&token).ok());
    // Away: the same.
    stage.provider.stop();
    super::common::eventually("the keys to be stale", || stage.enter(&token).err());
    stage.door.recorded("that it is away", |event| match event {
        Event::LoginRefused(refused) => refused.detail.contains("cannot be reached").then_some(()),
        _ => None,
    });
    drop(stage.runtime);
}

/// A recorder that was told whose tokens count.
fn told(whose: fn(&Provider) -> Trusted) -> impl FnOnce(&Provider, Handle) -> Recorder {
    move |provider, runtime| {
        let attestor = Attestor::new(runtime, None, eager());
        attestor.trust(&whose(provider), Digest::of(b"told"));
        Recorder::Checked(Arc::new(attestor))
    }
}

#[test]
fn whom_the_recorder_does_not_find_in_the_token_comes_through_no_door() {
    let found = |stage: &Stage| {
        stage.door.recorded("what the recorder found", |event| match event {
            Event::Attested(attested) => Some((attested.finding, attested.person.clone())),
            _ => None,
        })
    };
    let stage = Stage::confirmed(
        eager(),
        told(|provider| Trusted {
            issuers: vec![provider.issuer()],
            ..Trusted::default()
        }),
    );
    let token = stage.key.sign(&stage.provider.claims());
    assert_eq!(tags(&stage.enter(&token).unwrap().query("select 1")), "TDCZ");
    let (finding, person) = found(&stage);
    assert_eq!(
        (finding, person.unwrap().username.as_str()),
        (Finding::Proved, "oidc:alice")
    );

    // The door's own issuers are not those of the installation.
    let stage = Stage::confirmed(eager(), told(|_| Trusted::default()));
    let token = stage.key.sign(&stage.provider.claims());
    let words = stage.enter(&token).err().expect("the recorder knows nobody").text();
    assert!(words.contains("refused by the recorder"), "{words}");
    assert_eq!(found(&stage).0, Finding::Refused);
    stage.door.recorded("the refusal", |event| match event {
        Event::LoginRefused(refused) => {
            assert_eq!(refused.reason, Refusal::BadToken);
            assert!(refused.detail.contains("issuer"), "{}", refused.detail);
            Some(())
        }
        _ => None,
    });
    for record in stage.door.records() {
        assert!(!matches!(record.event, Event::SessionStart(_)), "nobody came in");
        assert!(
            !format!("{record:?}").contains(&token[..40]),
            "a token stands in a record"
        );
    }
}
