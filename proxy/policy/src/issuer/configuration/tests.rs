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
            json!({
                "configurationFor": "Doors", "apiServerAudiences": ["kubernetes"],
                "issuers": [{ "name": "idp", "url": "https://idp" }],
            }),
        ),
        (
            with("/issuer/audiences", json!([])),
            json!({ "configurationFor": "Doors", "issuers": [{ "name": "idp", "url": "https://idp" }] }),
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
fn clients_of_people_are_told_apart_where_they_are_listed() {
    let named = |clients: serde_json::Value| {
        let names = json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["sallyport"], "humanClients": clients }] });
        resolve(jwt(), names).0.issuers["idp"].human_clients.clone()
    };
    assert_eq!(named(json!(["kubectl"])), ["kubectl"]);
    assert!(named(json!([])).is_empty());
}

#[test]
fn names_that_could_be_an_accounts_are_told() {
    let names = json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["sallyport"] }] });
    let cases: [(&str, &str, &[&str]); 3] = [
        ("email", "oidc:", &[]),
        ("email", "", &["names get no prefix"]),
        ("upn", "", &["claim upn themselves", "names get no prefix"]),
    ];
    for (claim, prefix, words) in cases {
        let mut jwt = jwt();
        jwt["claimMappings"]["username"] = json!({ "claim": claim, "prefix": prefix });
        let warnings = resolve(jwt, names.clone()).0.warnings;
        assert_eq!(warnings.is_empty(), words.is_empty(), "{claim} {prefix}: {warnings:?}");
        for word in words {
            assert!(warnings.concat().contains(word), "{claim} {prefix}: {warnings:?}");
        }
    }
}

#[test]
fn the_admin_asks_for_recent_logins_where_policies_do_not() {
    let rule = |own: Option<&str>, approver: serde_json::Value| {
        let mut approval = json!({ "approvers": [{ "kind": "Group", "name": "oidc:dba" }, approver] });
        if let Some(own) = own {
            approval["maxLoginAge"] = own.into();
        }
        json!({ "name": "writes", "match": { "any": true }, "action": "RequireApproval", "approval": approval })
    };
    let carol = json!({ "kind": "User", "name": "oidc:carol" });
    let robot = json!({ "kind": "ServiceAccount", "name": "robot", "namespace": "ci" });
    let policy = json!({
        "connectionSelector": {},
        "rules": [
            rule(None, carol.clone()), rule(Some("10m"), carol.clone()), rule(Some("24h"), carol), rule(None, robot),
            { "name": "else", "match": { "any": true }, "action": "Allow" },
        ],
    });
    let ages = |names: serde_json::Value| -> Vec<Option<String>> {
        let mut policy: sallyport_crds::ApprovalPolicySpec = serde_json::from_value(policy.clone()).unwrap();
        resolve(jwt(), names).0.ask_for_logins(&mut policy);
        let each = policy.rules.into_iter().filter_map(|rule| rule.approval);
        each.map(|approval| approval.max_login_age.map(|age| age.to_string()))
            .collect()
    };
    let said = |ages: [Option<&str>; 4]| ages.map(|age| age.map(str::to_owned)).to_vec();
    assert_eq!(ages(json!({})), said([None, Some("10m"), Some("24h"), None]));
    assert_eq!(
        ages(json!({ "approverMaxLoginAge": "8h" })),
        said([Some("8h"), Some("10m"), Some("8h"), None])
    );
}

#[test]
fn an_api_server_that_takes_agents_for_people_is_told() {
    let named = |clients: serde_json::Value| json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["sallyport"], "humanClients": clients }] });
    let mut marking = jwt();
    let extra = marking["claimMappings"]["extra"].as_array_mut().unwrap();
    extra.push(json!({ "key": "sallyport.dev/agent", "valueExpression": "has(claims.act) ? 'agent' : ''" }));
    let mut for_doors = named(json!(["kubectl"]));
    for_doors["configurationFor"] = json!("Doors");
    for (what, jwt, names, told) in [
        ("not marked", jwt(), named(json!(["kubectl"])), true),
        ("marked", marking, named(json!(["kubectl"])), false),
        ("nobody is told apart", jwt(), named(json!([])), false),
        ("another file than the API server's", jwt(), for_doors, false),
    ] {
        let (issuers, errors) = resolve(jwt, names);
        assert_eq!(errors, [], "{what}");
        assert_eq!(issuers.agents_unmarked.contains_key("idp"), told, "{what}");
        let warned = issuers.warnings.iter().any(|one| one.contains("sallyport.dev/agent"));
        assert_eq!(warned, told, "{what}: {:?}", issuers.warnings);
    }
}

#[test]
fn a_name_given_twice_stands_for_nobody() {
    let one = json!({ "name": "idp", "url": "https://idp", "audiences": ["sallyport"] });
    let (issuers, errors) = resolve(jwt(), json!({ "issuers": [one.clone(), one] }));
    assert!(issuers.issuers.is_empty());
    assert_eq!(errors, [ConfigurationError::Twice("idp".into())]);
}

#[test]
fn the_api_servers_own_audiences_are_never_those_of_doors() {
    let (issuers, errors) = resolve(jwt(), json!({ "issuers": [{ "name": "idp", "url": "https://idp" }] }));
    assert!(issuers.issuers.is_empty(), "bob's token for the door would approve");
    assert_eq!(errors, [ConfigurationError::NoAudience("idp".into())]);
    let words = errors[0].to_string();
    assert!(
        words.contains("audiences: [NAME]") && words.contains("configurationFor: Doors"),
        "{words}"
    );
    assert_eq!(issuers.api_server_audiences, ["kubernetes"]);
}

#[test]
fn audiences_of_issuers_without_a_short_name_are_the_api_servers_too() {
    let mut other = jwt();
    other["issuer"] = json!({ "url": "https://other", "audiences": ["internal"] });
    let configuration = serde_json::from_value(json!({ "jwt": [jwt(), other] })).unwrap();
    let names = json!({ "issuers": [{ "name": "idp", "url": "https://idp", "audiences": ["internal"] }] });
    let (issuers, errors) = Issuers::resolve(&configuration, &serde_json::from_value(names).unwrap());
    assert!(issuers.issuers.is_empty() && errors.len() == 1, "{errors:?}");
}

#[test]
fn a_file_that_is_said_to_be_for_doors_alone_gives_them_its_audiences() {
    let names = json!({ "configurationFor": "Doors", "issuers": [{ "name": "idp", "url": "https://idp" }] });
    let (issuers, errors) = resolve(jwt(), names);
    assert_eq!(errors, []);
    assert_eq!(issuers.issuers["idp"].audiences, ["kubernetes"]);
    assert!(issuers.api_server_audiences.is_empty());
}

#[test]
fn what_is_not_understood_is_refused_wherever_it_stands() {
    let whole = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "anonymous": { "enabled": true, "conditions": [{ "path": "/livez" }] },
        "jwt": [{
            "issuer": { "url": "https://idp", "audiences": ["kubernetes"], "audienceMatchPolicy": "MatchAny" },
            "claimMappings": jwt()["claimMappings"],
            "claimValidationRules": [{ "claim": "hd", "requiredValue": "bank.example" }],
        }],
    });
    let parse = |value: &serde_json::Value| serde_json::from_value::<AuthenticationConfiguration>(value.clone());
    parse(&whole).unwrap();
    for place in [
        "",
        "/jwt/0",
        "/jwt/0/issuer",
        "/jwt/0/claimMappings",
        "/jwt/0/claimMappings/username",
        "/jwt/0/claimMappings/extra/0",
        "/jwt/0/claimValidationRules/0",
    ] {
        let mut changed = whole.clone();
        changed.pointer_mut(place).unwrap()["newer"] = json!("x");
        let words = parse(&changed).unwrap_err().to_string();
        assert!(words.contains("newer"), "{place}: {words}");
    }
    let mut all = whole.clone();
    all["jwt"][0]["issuer"]["audienceMatchPolicy"] = json!("MatchAll");
    assert!(parse(&all).is_err(), "doors ask for any");
}
