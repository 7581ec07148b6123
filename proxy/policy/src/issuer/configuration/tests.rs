use serde_json::json;

use super::*;

fn resolve(jwt: serde_json::Value, names: serde_json::Value) -> (Issuers, Vec<ConfigurationError>) {
    let configuration = serde_json::from_value(json!({ "jwt": [jwt] })).unwrap();
    Issuers::resolve(&configuration, &serde_json::from_value(names).unwrap())
}

fn jwt() -> serde_json::Value {
    json!({
        "issuer": { "url": "https://idp", "audiences": ["kubernetes"] },
        "claimMappings": {
            "username": { "claim": "email", "prefix": "oidc:" },
            "groups": { "claim": "groups", "prefix": "oidc:" },
            "uid": { "claim": "sub" },
            "extra": [{ "key": "sallyport.dev/issuer", "valueExpression": "claims.iss" }],
        },
    })
}

#[test]
fn the_api_servers_own_file_with_an_audience_for_doors() {
    let (issuers, errors) = resolve(
        jwt(),
        json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["sallyport"] }] }),
    );
    assert_eq!(errors, []);
    assert_eq!(issuers.issuers["idp"].audiences, ["sallyport"]);
    assert_eq!(
        issuers.issuers["idp"].username,
        ClaimSource {
            claim: "email".into(),
            prefix: "oidc:".into()
        }
    );
    assert_eq!(issuers.api_server_audiences, ["kubernetes"]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let names = json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["sallyport"] }] });
    let with = |path: &str, value: serde_json::Value| {
        let mut changed = jwt();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    let cases = [
        (
            with("/claimMappings/username", json!({ "expression": "claims.email" })),
            names.clone(),
        ),
        (with("/claimMappings/uid", json!({ "claim": "email" })), names.clone()),
        (with("/issuer/url", json!("https://other")), names.clone()),
        (
            jwt(),
            json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["kubernetes"] }] }),
        ),
        (
            jwt(),
            json!({ "apiServerAudiences": ["kubernetes"], "issuers": [{ "name": "idp", "url": "https://idp" }] }),
        ),
        (
            with("/issuer/audiences", json!([])),
            json!({ "issuers": [{ "name": "idp", "url": "https://idp" }] }),
        ),
    ];
    for (jwt, names) in cases {
        let (issuers, errors) = resolve(jwt.clone(), names);
        assert!(issuers.issuers.is_empty() && errors.len() == 1, "{jwt}: {errors:?}");
    }
}

#[test]
fn rules_that_doors_cannot_run_are_refused_and_those_they_can_are_kept() {
    let names = json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["sallyport"] }] });
    let mut with_claim = jwt();
    with_claim["claimValidationRules"] = json!([{ "claim": "hd", "requiredValue": "bank.example" }]);
    let (issuers, errors) = resolve(with_claim, names.clone());
    assert_eq!(errors, []);
    assert_eq!(issuers.issuers["idp"].required_claims["hd"], "bank.example");
    for field in ["claimValidationRules", "userValidationRules"] {
        let mut with_expression = jwt();
        with_expression[field] = json!([{ "expression": "true" }]);
        assert_eq!(resolve(with_expression, names.clone()).1.len(), 1, "{field}");
    }
}

#[test]
fn a_name_given_twice_stands_for_nobody() {
    let one = json!({ "name": "idp", "url": "https://idp", "audiences": ["sallyport"] });
    let (issuers, errors) = resolve(jwt(), json!({ "issuers": [one.clone(), one] }));
    assert!(issuers.issuers.is_empty());
    assert_eq!(errors, [ConfigurationError::Twice("idp".into())]);
}
