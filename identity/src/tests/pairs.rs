//! An agent's token beside the token of the person that it acts for.

use sallyport_audit::record::Refusal;

use super::*;

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
        let agents: Vec<_> = identity
            .agents
            .iter()
            .map(|agent| (agent.subject.as_str(), agent.name()))
            .collect();
        assert_eq!(agents, [("bot-1", "oidc:bot")], "{what}");
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

#[tokio::test]
async fn an_agent_has_the_name_that_its_issuer_says() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let door = door(settings(&provider), eager());
    for (what, act, name) in [
        (
            "by the claim that names people",
            json!({ "preferred_username": "bot" }),
            "oidc:bot",
        ),
        (
            "of its own, in as many words",
            json!({ "preferred_username": "bot", "iss": provider.url }),
            "oidc:bot",
        ),
        ("not said", json!({}), "bot-1"),
        ("no text", json!({ "preferred_username": 7 }), "bot-1"),
        (
            "a name that deceives",
            json!({ "preferred_username": "b\u{202e}ot" }),
            "bot-1",
        ),
        (
            "another issuer's",
            json!({ "preferred_username": "bot", "iss": "https://other" }),
            "bot-1",
        ),
    ] {
        let act = json!({ "act": with(&json!({ "sub": "bot-1" }), act) });
        let token = key.sign(&with(&provider.claims(), act));
        let identity = login(&door, &token)
            .await
            .unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        assert_eq!(
            (identity.agents[0].subject.as_str(), identity.agents[0].name()),
            ("bot-1", name),
            "{what}"
        );
    }
}

#[tokio::test]
async fn an_agent_without_a_name_is_not_called_as_somebody_else_is() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let mut told_apart = settings(&provider);
    told_apart.issuers[0].human_clients = vec!["psql".to_owned()];
    let door = door(told_apart, eager());
    let act = |sub: &str, iss: &str| json!({ "azp": "psql", "act": { "sub": sub, "iss": iss } });
    let named = json!({ "azp": "psql", "act": { "sub": "oidc:bot", "preferred_username": "other" } });
    for (what, changes, taken) in [
        ("another issuer's", act("oidc:bot", "https://other"), false),
        ("of its own issuer", act("oidc:bot", &provider.url), false),
        ("a client's", json!({ "azp": "oidc:bot" }), false),
        (
            "at the end of a chain",
            json!({ "azp": "psql", "act": { "sub": "bot-1", "act": { "sub": "oidc:bot" } } }),
            false,
        ),
        ("which has a name", named, true),
        ("which is like no name", act("bot", "https://other"), true),
    ] {
        let token = key.sign(&with(&provider.claims(), changes));
        match login(&door, &token).await {
            Ok(identity) => assert!(taken && identity.agents[0].name() != "oidc:bot", "{what}: {identity:?}"),
            Err(refused) => {
                let expected = Refused::AgentName("oidc:".to_owned()).to_string();
                assert!(!taken && refused.detail == expected, "{what}: {refused:?}");
            }
        }
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
async fn whoever_knows_no_connection_takes_two_tokens_for_two_identities() {
    let key = SigningKey::new("k1");
    let provider = Provider::start(&[&key]).await;
    let trusted = Trusted {
        api_server_audiences: vec!["kubernetes".to_owned()],
        issuers: vec![provider.issuer()],
    };
    let anywhere = door(Settings::anywhere(&trusted), eager());
    let old = jiff::Timestamp::now().as_second() - 100 * 86_400;
    let alice = key.sign(&with(&provider.claims(), json!({ "iat": old })));
    let own = json!({ "sub": "bot-1", "preferred_username": "bot" });
    let bot = |changes| key.sign(&with(&with(&provider.claims(), own.clone()), changes));
    let pair = format!("{alice},{}", bot(json!({})));
    let identity = login(&anywhere, &pair).await.unwrap();
    let agents: Vec<_> = identity.agents.iter().map(|agent| agent.subject.as_str()).collect();
    assert_eq!(
        (identity.person.username.as_str(), agents),
        ("oidc:alice", vec!["bot-1"])
    );
    // Both have to be what they claim.
    let expired = bot(json!({ "exp": old }));
    let refused = login(&anywhere, &format!("{alice},{expired}")).await.unwrap_err();
    assert_eq!(refused.detail, Refused::Expired.to_string());
    let api = key.sign(&with(&provider.claims(), json!({ "aud": ["sallyport", "kubernetes"] })));
    let refused = login(&anywhere, &api).await.unwrap_err();
    assert_eq!(refused.detail, Refused::ApiAudience.to_string());
}
