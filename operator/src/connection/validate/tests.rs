//! What is wrong is found, named, and closes the door: one change against a Connection that is served.

use sallyport_crds::Reason;
use sallyport_policy::carrier::{Closed, MAX_BYTES, sign};
use serde_json::{Value, json};

use super::fits;
use crate::keys::Keys;
use crate::testing::scenario::Scenario;
use crate::testing::{connection, masking_rule};

fn bank() -> Value {
    serde_json::to_value(connection()).unwrap()
}

const CREDENTIALS: &str = "/api/v1/namespaces/doors/secrets/bank-credentials";

async fn accepted_with(change: impl AsyncFnOnce(&mut Scenario, &mut Value)) -> (String, String) {
    let mut scenario = Scenario::furnished().await;
    let mut bank = bank();
    change(&mut scenario, &mut bank).await;
    scenario.apply_connection(bank).await;
    scenario.bank("Accepted")
}

#[tokio::test]
async fn a_connection_with_everything_it_needs_is_accepted() {
    assert_eq!(accepted_with(async |_, _| {}).await, ("True".into(), "Accepted".into()));
}

#[tokio::test]
async fn every_fault_has_its_reason() {
    type Change = fn(&mut Scenario, &mut Value);
    let cases: [(&str, Change, &str); 11] = [
        ("no credentials", |s, _| s.api.delete(CREDENTIALS), "SecretMissing"),
        (
            "credentials without a password",
            |s, _| without(s, "/data/password"),
            "SecretMissing",
        ),
        (
            "credentials for another host",
            |_, c| c["spec"]["target"]["host"] = json!("elsewhere"),
            "HostNotPermitted",
        ),
        (
            "credentials for no host",
            |s, _| without(s, "/metadata/annotations"),
            "HostNotPermitted",
        ),
        (
            "certificate of one's own that is missing",
            |_, c| c["spec"]["certificate"] = json!({ "secretRef": { "name": "x" } }),
            "SecretMissing",
        ),
        (
            "a name of another namespace's door",
            |_, c| c["spec"]["certificate"] = json!({ "names": ["door-bank.elsewhere.svc"] }),
            "Invalid",
        ),
        (
            "authorities that are missing",
            |_, c| c["spec"]["target"]["tls"]["caBundle"] = json!({ "configMapKeyRef": { "name": "x", "key": "y" } }),
            "SecretMissing",
        ),
        (
            "an unknown issuer",
            |_, c| c["spec"]["identity"]["issuers"][0]["name"] = json!("rogue"),
            "UnknownIssuer",
        ),
        (
            "a sink that is not there",
            |_, c| c["spec"]["sinks"][0]["name"] = json!("x"),
            "SinkNotAvailable",
        ),
        (
            "a rule that is not there",
            |_, c| c["spec"]["requires"]["maskingRules"] = json!(["x"]),
            "RequiredRuleMissing",
        ),
        (
            "a label taken off",
            |_, c| c["metadata"]["labels"] = json!({}),
            "RequiredRuleNotSelecting",
        ),
    ];
    for (what, change, reason) in cases {
        let mut scenario = Scenario::furnished().await;
        let mut bank = bank();
        change(&mut scenario, &mut bank);
        scenario.apply_connection(bank).await;
        assert_eq!(
            scenario.bank("Accepted"),
            ("False".to_owned(), reason.to_owned()),
            "{what}"
        );
        assert_eq!(scenario.carrier().closed.unwrap().reason, reason, "{what}");
        assert_eq!(scenario.bank("Ready").0, "False", "{what}");
    }
}

fn without(scenario: &mut Scenario, pointer: &str) {
    let mut secret = scenario.api.get(CREDENTIALS).unwrap();
    *secret.pointer_mut(pointer).unwrap() = Value::Null;
    scenario.api.put(CREDENTIALS, secret);
}

#[tokio::test]
async fn what_this_version_cannot_serve_has_no_door() {
    for (field, value, reason) in [
        ("/spec/protocol", json!("Kubernetes"), "NotImplemented"),
        (
            "/metadata/name",
            json!("a-name-that-is-far-too-long-for-what-is-made-of-it"),
            "Invalid",
        ),
    ] {
        let mut scenario = Scenario::furnished().await;
        let mut bank = bank();
        let at = bank.pointer_mut(field).unwrap();
        match (at.as_object_mut(), value) {
            (Some(fields), Value::Object(more)) => fields.extend(more),
            (_, value) => *at = value,
        }
        let name = bank["metadata"]["name"].as_str().unwrap().to_owned();
        scenario.api.writes();
        scenario.apply_connection(bank).await;
        assert_eq!(scenario.condition("connections", "doors", &name, "Accepted").1, reason);
        let made: Vec<String> = scenario
            .api
            .writes()
            .into_iter()
            .filter(|write| !write.contains("/status") && !write.contains("/events"))
            .collect();
        assert_eq!(made, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_door_that_stood_is_closed_when_its_connection_cannot_be_served_any_more() {
    for change in [
        json!({ "/spec/protocol": "Kubernetes" }),
        json!({ "/spec/subjects": "not a list" }),
    ] {
        let mut scenario = Scenario::furnished().await;
        scenario.apply_bank().await;
        assert_eq!(scenario.carrier().closed, None);
        let mut bank = bank();
        for (field, value) in change.as_object().unwrap() {
            *bank.pointer_mut(field).unwrap() = value.clone();
        }
        scenario.apply_connection(bank).await;
        let carrier = scenario.carrier();
        assert!(carrier.closed.is_some(), "{change}");
        assert_eq!(carrier.revision, 2);
    }
}

/// Rules as large as the definitions let them be.
fn wide(number: usize) -> Value {
    let mut rule = serde_json::to_value(masking_rule(&format!("wide-{number}"))).unwrap();
    let name = "n".repeat(83);
    let columns: Vec<String> = (0..256).map(|column| format!("{name}.{name}.c{column:082}")).collect();
    rule["spec"]["match"] = json!({ "columns": columns });
    rule
}

#[tokio::test]
async fn a_policy_that_is_too_large_closes_the_door_and_forgets_nothing() {
    const RULES: usize = 12;
    let mut scenario = Scenario::furnished().await;
    scenario.apply_bank().await;
    let before = scenario.carrier();
    for number in 0..RULES {
        scenario.apply_masking_rule(wide(number)).await;
    }
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Accepted"), ("False".into(), "TooLarge".into()));
    let closed = scenario.carrier();
    assert_eq!(closed.closed.unwrap().reason, "TooLarge");
    assert_eq!((closed.revision, closed.masking_rules), (2, before.masking_rules));

    // Where nothing ran before there is nothing to remember.
    scenario.context.programs.retain(|_| false);
    scenario
        .api
        .delete("/api/v1/namespaces/doors/configmaps/door-bank-policy");
    scenario.context.applier.forget("doors");
    scenario.look_at_connection("doors", "bank").await;
    let closed = scenario.carrier();
    assert_eq!(closed.closed.unwrap().reason, "TooLarge");
    assert!(closed.masking_rules.is_empty());

    for number in 0..RULES {
        scenario.take("maskingrules", "doors", &format!("wide-{number}"));
    }
    scenario.look_at_connection("doors", "bank").await;
    assert_eq!(scenario.bank("Accepted"), ("True".into(), "Accepted".into()));
    assert_eq!(scenario.carrier().closed, None);
}

#[test]
fn what_just_fits_can_be_closed() {
    let filled = |bytes: usize| {
        let mut carrier = crate::testing::carrier();
        carrier.settings.denied_cidrs = vec!["x".repeat(bytes)];
        carrier
    };
    let (mut fitting, mut too_much) = (0, MAX_BYTES);
    while too_much - fitting > 1 {
        let middle = fitting.midpoint(too_much);
        match fits(&filled(middle)) {
            true => fitting = middle,
            false => too_much = middle,
        }
    }
    let mut carrier = filled(fitting);
    carrier.closed = Some(Closed::new(Reason::Invalid, "x".repeat(4 * 1_024)));
    assert!(fitting > MAX_BYTES / 2 && sign(&carrier, Keys::make().unwrap().carrier.pair()).is_ok());
}

/// A rule with this action, of which the key stands in the Secret `keys`: what becomes of it without the key, and with keys of
/// these lengths; and whether the door may read that Secret.
async fn needs_a_key(column: &str, action: Value, lengths: &[(usize, &str)]) {
    let mut scenario = Scenario::furnished().await;
    let mut rule = serde_json::to_value(masking_rule("keyed")).unwrap();
    rule["spec"]["match"] = json!({ "columns": [column] });
    rule["spec"]["profile"] = json!("Standard");
    rule["spec"]["action"] = action;
    scenario.apply_masking_rule(rule).await;
    scenario.apply_bank().await;
    assert_eq!(scenario.bank("Accepted").1, "SecretMissing");
    for (length, reason) in lengths {
        let key = serde_json::to_value(k8s_openapi::ByteString(vec![7; *length])).unwrap();
        scenario.api.put(
            "/api/v1/namespaces/doors/secrets/keys",
            json!({ "metadata": { "name": "keys" }, "data": { "key": key } }),
        );
        scenario.look_at_connection("doors", "bank").await;
        assert_eq!(scenario.bank("Accepted").1, *reason, "{length} bytes");
    }
    let role = scenario
        .api
        .get("/apis/rbac.authorization.k8s.io/v1/namespaces/doors/roles/door-bank")
        .unwrap();
    assert!(
        role["rules"][0]["resourceNames"]
            .as_array()
            .unwrap()
            .contains(&json!("keys")),
        "{role}"
    );
}

#[tokio::test]
async fn hash_rules_need_their_keys() {
    let action = json!({ "type": "Hash", "hash": { "keySecretRef": { "name": "keys", "key": "key" }, "length": 32 } });
    let lengths = [(16, "SecretMissing"), (32, "Accepted")];
    needs_a_key("public.customers.email", action, &lengths).await;
}

#[tokio::test]
async fn tokenize_rules_need_a_key_of_aes() {
    let action = json!({ "type": "Tokenize", "tokenize": { "keySecretRef": { "name": "keys", "key": "key" } } });
    let lengths = [
        (64, "SecretMissing"),
        (32, "Accepted"),
        (20, "SecretMissing"),
        (16, "Accepted"),
    ];
    needs_a_key("public.customers.card", action, &lengths).await;
}

#[tokio::test]
async fn the_targets_authorities_travel_in_the_carrier() {
    let mut scenario = Scenario::furnished().await;
    scenario.api.put(
        "/api/v1/namespaces/doors/configmaps/bank-ca",
        json!({ "metadata": { "name": "bank-ca" }, "data": { "ca.crt": "PEM" } }),
    );
    let mut bank = bank();
    bank["spec"]["target"]["tls"]["caBundle"] = json!({ "configMapKeyRef": { "name": "bank-ca", "key": "ca.crt" } });
    scenario.apply_connection(bank).await;
    let bundle = scenario
        .carrier()
        .connection
        .spec
        .target
        .tls
        .unwrap()
        .ca_bundle
        .unwrap();
    assert_eq!(
        (bundle.inline.as_deref(), bundle.config_map_key_ref),
        (Some("PEM"), None)
    );
}

#[tokio::test]
async fn a_rule_that_a_label_alone_took_away_closes_until_its_author_lets_it_go() {
    let mut scenario = Scenario::furnished().await;
    let mut open = bank();
    open["spec"]["requires"] = json!({ "none": true });
    scenario.apply_connection(open.clone()).await;
    assert_eq!(scenario.bank("Accepted").0, "True");
    let mut bare = open.clone();
    bare["metadata"]["labels"] = json!({});
    // The second look finds only what the first one wrote.
    for _ in 0..2 {
        scenario.apply_connection(bare.clone()).await;
        assert_eq!(scenario.bank("Accepted"), ("False".into(), "RuleDeselected".into()));
        assert_eq!(scenario.carrier().closed.unwrap().reason, "RuleDeselected");
    }
    scenario.apply_connection(open).await;
    assert_eq!(scenario.bank("Accepted").0, "True", "the labels are back");
    scenario.apply_connection(bare.clone()).await;
    for (plural, name) in [("maskingrules", "pii"), ("approvalpolicies", "writes")] {
        assert_eq!(scenario.bank("Accepted").0, "False", "{name}");
        scenario.take(plural, "doors", name);
        scenario.apply_connection(bare.clone()).await;
    }
    assert_eq!(scenario.bank("Accepted").0, "True", "their authors took them away");
}

fn certificate(ends: i64) -> Value {
    let mut parameters = rcgen::CertificateParams::new(vec!["bank.example".to_owned()]).unwrap();
    let offset = std::time::Duration::from_secs(ends.unsigned_abs());
    let now = std::time::SystemTime::now();
    parameters.not_before = (now - std::time::Duration::from_secs(90 * 86_400)).into();
    parameters.not_after = if ends < 0 { now - offset } else { now + offset }.into();
    let key = rcgen::KeyPair::generate().unwrap();
    let text = parameters.self_signed(&key).unwrap().pem();
    let data = |text: &str| serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap();
    json!({
        "metadata": { "name": "own", "namespace": "doors" },
        "data": { "tls.crt": data(&text), "tls.key": data(&key.serialize_pem()) },
    })
}

#[tokio::test]
async fn a_certificate_of_ones_own_closes_when_it_ends_and_warns_before() {
    for (ends, accepted, advisory) in [
        (-60, ("False", "CertificateExpired"), None),
        (86_400, ("True", "Accepted"), Some("CertificateExpiresSoon")),
        (60 * 86_400, ("True", "Accepted"), None),
    ] {
        let mut scenario = Scenario::furnished().await;
        scenario
            .api
            .put("/api/v1/namespaces/doors/secrets/own", certificate(ends));
        let mut bank = bank();
        bank["spec"]["certificate"] = json!({ "secretRef": { "name": "own" } });
        scenario.apply_connection(bank).await;
        let (status, reason) = scenario.bank("Accepted");
        assert_eq!((status.as_str(), reason.as_str()), accepted, "{ends}");
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
        let object = scenario.api.get(path).unwrap();
        let said = object["status"]["conditions"].as_array().unwrap();
        let found = said.iter().find(|one| one["type"] == "Advisory");
        assert_eq!(found.and_then(|one| one["reason"].as_str()), advisory, "{ends}");
    }
}

#[tokio::test]
async fn a_certificate_towards_the_target_is_held_to_the_same() {
    type Change = fn(&mut Value, &mut Value);
    let cases: [(&str, i64, Change, &str, &str); 7] = [
        ("good", 60 * 86_400, |_, _| {}, "Accepted", ""),
        ("ended", -60, |_, _| {}, "CertificateExpired", ""),
        ("about to end", 86_400, |_, _| {}, "Accepted", "CertificateExpiresSoon"),
        (
            "half of it",
            60 * 86_400,
            |secret, _| *secret.pointer_mut("/data/tls.key").unwrap() = Value::Null,
            "SecretMissing",
            "",
        ),
        (
            "another's key",
            86_400,
            |secret, _| secret["data"]["tls.key"] = certificate(1)["data"]["tls.key"].clone(),
            "Invalid",
            "CertificateExpiresSoon",
        ),
        (
            "without TLS",
            60 * 86_400,
            |_, c| c["spec"]["target"]["tls"] = json!({ "mode": "Disable", "insecureReason": "a test of it" }),
            "Invalid",
            "TargetNotEncrypted",
        ),
        (
            "for another host",
            60 * 86_400,
            |secret, _| secret["metadata"]["annotations"] = Value::Null,
            "HostNotPermitted",
            "",
        ),
    ];
    for (what, ends, change, accepted, advisory) in cases {
        let mut scenario = Scenario::furnished().await;
        let (mut secret, mut bank) = (certificate(ends), bank());
        secret["metadata"] = scenario.api.get(CREDENTIALS).unwrap()["metadata"].clone();
        change(&mut secret, &mut bank);
        scenario.api.put(CREDENTIALS, secret);
        scenario.apply_connection(bank).await;
        assert_eq!(scenario.bank("Accepted").1, accepted, "{what}");
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
        let object = scenario.api.get(path).unwrap();
        let said = object["status"]["conditions"].as_array().unwrap();
        let found = said.iter().find(|one| one["type"] == "Advisory");
        let found = found.and_then(|one| one["reason"].as_str()).unwrap_or_default();
        assert_eq!(found, advisory, "{what}");
    }
}

#[tokio::test]
async fn names_that_people_can_change_are_an_advice_on_the_connection() {
    let mut scenario = Scenario::furnished().await;
    let mut issuers = sallyport_policy::issuer::Issuers::clone(&scenario.context.issuers.load());
    issuers.issuers.get_mut("keycloak").unwrap().username.claim = "preferred_username".into();
    scenario.context.issuers.store(std::sync::Arc::new(issuers));
    scenario.apply_bank().await;
    assert_eq!(scenario.bank("Accepted").0, "True");
    assert_eq!(scenario.bank("Advisory"), ("True".into(), "EditableName".into()));
}

#[tokio::test]
async fn agents_that_the_api_server_takes_for_people_are_an_advice_on_the_connection() {
    for (issuer, told) in [("keycloak", true), ("another", false)] {
        let mut scenario = Scenario::furnished().await;
        let mut issuers = sallyport_policy::issuer::Issuers::clone(&scenario.context.issuers.load());
        issuers.agents_unmarked.insert(issuer.into(), "map the extra".into());
        scenario.context.issuers.store(std::sync::Arc::new(issuers));
        scenario.apply_bank().await;
        assert_eq!(scenario.bank("Accepted").0, "True");
        let path = "/apis/sallyport.dev/v1alpha1/namespaces/doors/connections/bank";
        let said = scenario.api.get(path).unwrap()["status"]["conditions"].to_string();
        assert_eq!(
            said.contains("AgentsNotMarked") && said.contains("map the extra"),
            told,
            "{said}"
        );
    }
}
