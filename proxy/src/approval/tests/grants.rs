//! Grants: claimed once or for as long as they last, by whom and for what they were given.

use kube::Client;
use kube::api::{Patch, PatchParams};
use kube::client::Body;
use sallyport_crds::AccessRequest;
use serde_json::json;

use super::*;
use crate::door::ApprovalsError;

pub(super) async fn asked_approved_and_claimed_once(cluster: &Cluster, one: &Arc<Requests>, two: &Arc<Requests>) {
    let mut held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    assert!(held.request.name.starts_with("bank-"), "{:?}", held.request);
    assert_eq!(
        *held.state.borrow(),
        HoldState::Waiting {
            progress: String::new()
        }
    );
    let made = cluster.get(&held.request.name).await;
    assert_eq!(made.spec.requester.subject, "alice-sub");
    assert_eq!(cluster::labels(&made)["sallyport.dev/connection"], "bank");
    let early = one.claim(&alice(), &once(DIGEST), &held.request).await.unwrap_err();
    assert!(matches!(early, ApprovalsError::Gone(_)), "{early:?}");

    // A retry joins the question that is there, at any replica.
    until("the other replica sees it", || async {
        !two.find(&alice(), &once(DIGEST)).is_empty()
    })
    .await;
    assert_eq!(two.find(&alice(), &once(DIGEST))[0].request, held.request);
    assert!(one.find(&mallory(), &once(DIGEST)).is_empty());

    cluster.approve(&held.request.name).await;
    let state = becomes(&mut held, |state| matches!(state, HoldState::Approved { .. })).await;
    let HoldState::Approved { approvers } = state else {
        unreachable!()
    };
    assert_eq!(
        (approvers[0].username.as_str(), approvers[0].uid.as_deref()),
        ("oidc:bob", Some("bob-sub"))
    );

    let (identity, request) = (alice(), held.request.clone());
    let wanted = once(DIGEST);
    let (first, second) = tokio::join!(
        one.claim(&identity, &wanted, &request),
        two.claim(&identity, &wanted, &request)
    );
    let (claimed, lost) = if first.is_ok() {
        (first, second)
    } else {
        (second, first)
    };
    let claim = claimed.expect("one of the two");
    assert!(matches!(lost, Err(ApprovalsError::Gone(_))), "{lost:?}");
    assert_eq!(claim.approvers[0].username, "oidc:bob");
    let status = cluster.get(&request.name).await.status.unwrap();
    assert_eq!(status.consumed.unwrap().nonce, claim.nonce);
    assert!(
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "Consumed" && c.status == "True")
    );

    assert!(
        one.claim(&identity, &once(DIGEST), &request).await.is_err(),
        "used is used"
    );
    until("nobody finds it any more", || async {
        one.find(&alice(), &once(DIGEST)).is_empty() && two.find(&alice(), &once(DIGEST)).is_empty()
    })
    .await;
}

pub(super) async fn a_grant_fits_what_it_was_given_for(cluster: &Cluster, one: &Arc<Requests>) {
    let held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&held.request.name).await;
    let mut with_agent = alice();
    with_agent.agents.push(sallyport_audit::record::Agent {
        issuer: None,
        subject: "agent".into(),
        username: None,
    });
    let mut namesake = held.request.clone();
    namesake.uid = "made-again".into();
    // Of two rules that ask by now, the one that asked then; and the other, of a policy that came since.
    let mut rules = question(&cluster.carrier, DIGEST, GrantScope::Command).asked_by;
    let asks_as_ever = GrantSought {
        asked_by: rules.clone(),
        ..once(DIGEST)
    };
    rules.push(RuleIdentity {
        policy: "seniors".into(),
        uid: "uid-seniors".into(),
        generation: 1,
        rule: "deletes".into(),
    });
    let asks_more = GrantSought {
        asked_by: rules,
        ..once(DIGEST)
    };
    let refused = [
        one.claim(&mallory(), &once(DIGEST), &held.request).await,
        one.claim(&with_agent, &once(DIGEST), &held.request).await,
        one.claim(&alice(), &once(&DIGEST.replace('0', "1")), &held.request)
            .await,
        one.claim(&alice(), &once(DIGEST), &namesake).await,
        one.claim(&alice(), &asks_more, &held.request).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(ApprovalsError::Gone(_))), "{refused:?}");
    }
    assert!(one.find(&alice(), &asks_more).is_empty(), "nobody was asked that");
    one.claim(&alice(), &asks_as_ever, &held.request).await.unwrap();
}

pub(super) async fn policy_counts_at_the_time_of_use(cluster: &Cluster, one: &Arc<Requests>) {
    let held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&held.request.name).await;
    let claim = async |change: fn(&mut sallyport_crds::approval_policy::PolicyRule)| {
        let mut carrier = cluster.carrier.clone();
        let rules = &mut carrier.approval_policies[0].spec.rules;
        change(rules.iter_mut().find(|rule| rule.name == "delete-needs-a-dba").unwrap());
        one.apply(&Arc::new(carrier));
        one.claim(&alice(), &once(DIGEST), &held.request).await
    };
    let two = claim(|rule| rule.approval.as_mut().unwrap().required = 2)
        .await
        .unwrap_err();
    assert!(two.to_string().contains("1/2"), "{two}");
    let others = claim(|rule| rule.approval.as_mut().unwrap().approvers[0].name = "oidc:others".into())
        .await
        .unwrap_err();
    assert!(others.to_string().contains("0/1"), "{others}");
    let recent = claim(|rule| rule.approval.as_mut().unwrap().max_login_age = Some("10m".parse().unwrap()))
        .await
        .unwrap_err();
    assert!(recent.to_string().contains("0/1"), "{recent}");
    let renamed = claim(|rule| rule.name = "another".into()).await.unwrap_err();
    assert!(
        renamed.to_string().contains("policy that asked for it changed"),
        "{renamed}"
    );
    claim(|_| ()).await.unwrap();
}

pub(super) async fn what_lasts_is_used_again(cluster: &Cluster, one: &Arc<Requests>) {
    let mut carrier = cluster.carrier.clone();
    let rules = &mut carrier.approval_policies[0].spec.rules;
    let approval = rules
        .iter_mut()
        .find(|rule| rule.name == "delete-needs-a-dba")
        .unwrap()
        .approval
        .as_mut()
        .unwrap();
    approval.grant.valid_for = Some(sallyport_crds::Duration::from_secs(600));
    one.apply(&Arc::new(carrier.clone()));
    for (number, scope) in [GrantScope::Fingerprint, GrantScope::Session, GrantScope::Window]
        .into_iter()
        .enumerate()
    {
        let digest = DIGEST.replace('9', &number.to_string());
        let held = one.ask(question(&cluster.carrier, &digest, scope)).await.unwrap();
        let shown = cluster.get(&held.request.name).await.spec;
        let reason = shown.reason.unwrap_or_default();
        assert!(
            shown.command.is_some() || reason.contains("DELETE FROM accounts WHERE id = 7"),
            "{scope:?} is approved blind"
        );
        cluster.approve(&held.request.name).await;
        for _ in 0..2 {
            one.claim(&alice(), &once(&digest), &held.request)
                .await
                .unwrap_or_else(|error| panic!("{scope:?}: {error}"));
        }
        assert_eq!(cluster.get(&held.request.name).await.status.unwrap().consumed, None);
        assert_eq!(one.find(&alice(), &once(&digest))[0].request, held.request);
        // Revoked: the use after that is refused.
        cluster.answer("carol", &held.request.name, "Revoke").await;
        assert!(
            one.claim(&alice(), &once(&digest), &held.request).await.is_err(),
            "{scope:?}"
        );
    }
    one.apply(&Arc::new(cluster.carrier.clone()));
}

/// Who switched admission off for a moment claims at once: what the operator says until the claim is read back counts.
pub(super) async fn what_is_ended_while_it_is_claimed_is_not_used(cluster: &Cluster) {
    for (digest, ended, reason, said) in [
        ("ab", "AdmissionChanged", "AdmissionNotTrusted", "admission changed"),
        ("af", "Denied", "DeniedByPerson", "denied"),
        ("ba", "Withdrawn", "WithdrawnByDoor", "withdrawn"),
        ("bb", "Expired", "NobodyDecided", "not approved"),
    ] {
        ended_while_it_is_claimed(cluster, &digest.repeat(32), (ended, reason), said).await;
    }
}

async fn ended_while_it_is_claimed(
    cluster: &Cluster,
    digest: &str,
    (ended, reason): (&'static str, &'static str),
    said: &str,
) {
    let operator = "system:serviceaccount:sallyport-system:sallyport-operator";
    let operator = cluster.client(operator, "", &[], &[]).await;
    let (door, requests) = (cluster.door("door-bank-0").await, cluster.requests(operator).await);
    let serve = move |request: http::Request<Body>| {
        let (door, requests) = (door.clone(), requests.clone());
        async move {
            let claimed = (*request.method() == http::Method::PATCH).then(|| {
                let object = request.uri().path().trim_end_matches("/status");
                object.rsplit('/').next().unwrap().to_owned()
            });
            let answer = door.send(request).await?;
            if let Some(name) = claimed {
                let condition = json!({
                    "type": ended, "status": "True", "reason": reason, "message": "changed",
                    "lastTransitionTime": "2026-11-28T00:00:00Z",
                });
                let patch = json!([{ "op": "add", "path": "/status/conditions/-", "value": condition }]);
                let patch = Patch::<AccessRequest>::Json(serde_json::from_value(patch).unwrap());
                requests.patch_status(&name, &PatchParams::default(), &patch).await?;
            }
            Ok::<_, kube::Error>(answer)
        }
    };
    let door = Requests::start(
        Client::new(tower::service_fn(serve), "doors"),
        place(&cluster.carrier, "door-bank-0"),
        Arc::new(Contact::new()),
        &Handle::current(),
    );
    door.apply(&Arc::new(cluster.carrier.clone()));
    let mut held = door
        .ask(question(&cluster.carrier, digest, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&held.request.name).await;
    becomes(&mut held, |state| matches!(state, HoldState::Approved { .. })).await;
    let refused = door.claim(&alice(), &once(digest), &held.request).await.unwrap_err();
    let ApprovalsError::Gone(why) = &refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains(said), "{ended}: {why}");
    let status = cluster.get(&held.request.name).await.status.unwrap();
    assert!(status.consumed.is_some(), "it was claimed, and is spent");
}

/// Who is past admission for a moment writes what the operator would: without its key nothing comes of it.
pub(super) async fn what_bears_no_seal_is_not_approved(cluster: &Cluster, one: &Arc<Requests>) {
    let digest = "ac".repeat(32);
    let mut held = one
        .ask(question(&cluster.carrier, &digest, GrantScope::Command))
        .await
        .unwrap();
    let name = held.request.name.clone();
    cluster.require(&name).await;
    cluster.answer("bob", &name, "Approve").await;
    let condition = json!({
        "type": "Approved", "status": "True", "reason": "ApprovedByPeople", "message": "", "lastTransitionTime": jiff::Timestamp::now(),
    });
    let forged = json!({ "by": ["oidc:bob"], "signature": "A".repeat(88) });
    let patch = json!([
        { "op": "add", "path": "/status/progress", "value": "1/1" },
        { "op": "add", "path": "/status/conditions/-", "value": condition },
        { "op": "add", "path": "/status/seal", "value": forged },
    ]);
    cluster.operate(&name, patch).await;
    becomes(
        &mut held,
        |state| matches!(state, HoldState::Waiting { progress } if progress == "1/1"),
    )
    .await;
    let refused = one.claim(&alice(), &once(&digest), &held.request).await.unwrap_err();
    assert!(matches!(refused, ApprovalsError::Gone(_)), "{refused:?}");
    assert_eq!(cluster.get(&name).await.status.unwrap().consumed, None);
    // The operator says so itself; carol, who comes later, is not needed.
    cluster.say(&name, |_| ()).await;
    cluster.answer("carol", &name, "Approve").await;
    becomes(&mut held, |state| matches!(state, HoldState::Approved { .. })).await;
    let claim = one.claim(&alice(), &once(&digest), &held.request).await.unwrap();
    let approvers: Vec<&str> = claim.approvers.iter().map(|one| one.username.as_str()).collect();
    assert_eq!(approvers, ["oidc:bob"]);
}

/// The seal of before speaks of what was revoked as well: a door that has seen the end goes by that.
pub(super) async fn an_end_that_is_taken_away_is_an_end(cluster: &Cluster, one: &Arc<Requests>) {
    let digest = "ad".repeat(32);
    let mut held = one
        .ask(question(&cluster.carrier, &digest, GrantScope::Command))
        .await
        .unwrap();
    let name = held.request.name.clone();
    cluster.approve(&name).await;
    becomes(&mut held, |state| matches!(state, HoldState::Approved { .. })).await;
    cluster.derive(&name, "Revoked").await;
    becomes(&mut held, |state| matches!(state, HoldState::Revoked(_))).await;
    cluster
        .say(&name, |status| {
            status.conditions.retain(|one| one.type_ != "Revoked");
            status.progress = Some("again".into());
        })
        .await;
    // What is asked after that is seen after that.
    let after = "ae".repeat(32);
    let mut later = one
        .ask(question(&cluster.carrier, &after, GrantScope::Command))
        .await
        .unwrap();
    cluster.approve(&later.request.name).await;
    becomes(&mut later, |state| matches!(state, HoldState::Approved { .. })).await;
    one.claim(&alice(), &once(&after), &later.request).await.unwrap();
    assert!(one.find(&alice(), &once(&digest)).is_empty());
    assert!(matches!(*held.state.borrow(), HoldState::Revoked(_)));
}
