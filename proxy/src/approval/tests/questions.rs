//! Questions that end without a grant, and those that are too many.

use sallyport_crds::access_request::Decision;

use super::*;
use crate::door::ApprovalsError;

pub(super) async fn answers_and_ends_are_seen(cluster: &Cluster, one: &Arc<Requests>) {
    let ask = async || {
        one.ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
            .await
            .unwrap()
    };
    let mut denied = ask().await;
    cluster.require(&denied.request.name).await;
    becomes(&mut denied, |state| {
        *state == HoldState::Waiting { progress: "0/1".into() }
    })
    .await;
    cluster.answer("bob", &denied.request.name, "Deny").await;
    cluster.derive(&denied.request.name, "Denied").await;
    let HoldState::Denied { deniers } = becomes(&mut denied, |state| matches!(state, HoldState::Denied { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(deniers[0].reason.as_deref(), Some("looked at it"));

    let mut expired = ask().await;
    cluster.require(&expired.request.name).await;
    cluster.derive(&expired.request.name, "Expired").await;
    becomes(&mut expired, |state| *state == HoldState::Expired).await;

    let mut changed = ask().await;
    cluster.require(&changed.request.name).await;
    cluster.derive(&changed.request.name, "AdmissionChanged").await;
    becomes(
        &mut changed,
        |state| matches!(state, HoldState::Revoked(why) if why.contains("admission")),
    )
    .await;

    let mut deleted = ask().await;
    cluster.delete(&deleted.request.name).await;
    becomes(
        &mut deleted,
        |state| matches!(state, HoldState::Closed(why) if why.contains("deleted")),
    )
    .await;
}

pub(super) async fn withdrawn_by_the_door(cluster: &Cluster, one: &Arc<Requests>) {
    let held = one
        .ask(question(&cluster.carrier, DIGEST, GrantScope::Command))
        .await
        .unwrap();
    // Before the operator has written that anybody may answer: the withdrawal waits for it.
    one.withdraw(&held.request, "the client left");
    cluster.require(&held.request.name).await;
    until("the withdrawal is there", || async {
        let answers = cluster
            .get(&held.request.name)
            .await
            .status
            .unwrap()
            .approvals
            .unwrap_or_default();
        answers.iter().any(|answer| {
            answer.decision == Decision::Withdraw && answer.user == "system:serviceaccount:doors:door-bank"
        })
    })
    .await;
    cluster.derive(&held.request.name, "Withdrawn").await;
    until("it is over", || async { one.find(&alice(), &once(DIGEST)).is_empty() }).await;
}

pub(super) async fn a_flood_stops_the_one_who_floods(cluster: &Cluster, one: &Arc<Requests>) {
    let mut carrier = cluster.carrier.clone();
    carrier.connection.spec.limits.max_open_requests_per_person = 2;
    one.apply(&Arc::new(carrier));
    let digest = |number: usize| format!("{number:064x}");
    let mut open = 0;
    let refused = loop {
        match one
            .ask(question(&cluster.carrier, &digest(open), GrantScope::Command))
            .await
        {
            Ok(_) => open += 1,
            Err(refused) => break refused,
        }
        assert!(open <= 2, "no limit");
    };
    assert!(matches!(refused, ApprovalsError::TooMany { .. }), "{refused:?}");
    let mut carol = question(&cluster.carrier, DIGEST, GrantScope::Command);
    carol.identity.person.subject = "carol-sub".into();
    assert!(one.ask(carol.clone()).await.is_ok(), "others are not stopped");

    let mut limited = async |change: fn(&mut sallyport_crds::connection::Limits)| {
        let mut carrier = cluster.carrier.clone();
        change(&mut carrier.connection.spec.limits);
        one.apply(&Arc::new(carrier));
        carol.command.digest = digest(77);
        one.ask(carol.clone()).await
    };
    let crowded = limited(|limits| limits.max_open_requests = 3).await.unwrap_err();
    assert!(matches!(crowded, ApprovalsError::Crowded { .. }), "{crowded:?}");
    let much = limited(|limits| limits.max_held_bytes = 40).await.unwrap_err();
    assert!(matches!(much, ApprovalsError::TooMuch { .. }), "{much:?}");
    assert!(limited(|_| ()).await.is_ok());
}

pub(super) async fn a_loop_of_asking_and_taking_back_ends(cluster: &Cluster, one: &Arc<Requests>) {
    let mut carrier = cluster.carrier.clone();
    carrier.connection.spec.limits.max_open_requests_per_person = 1;
    one.apply(&Arc::new(carrier));
    let mut dave = question(&cluster.carrier, DIGEST, GrantScope::Command);
    dave.identity.person.subject = "dave-sub".into();
    let mut in_vain = Vec::new();
    let refused = loop {
        dave.command.digest = format!("{:064x}", 1_000 + in_vain.len());
        let held = match one.ask(dave.clone()).await {
            Ok(held) => held,
            Err(refused) => break refused,
        };
        // He cancels, or nobody answers in time.
        let end = if in_vain.len() % 2 == 0 { "Withdrawn" } else { "Expired" };
        cluster.require(&held.request.name).await;
        cluster.derive(&held.request.name, end).await;
        until("it is over", || async {
            one.find(&dave.identity, &once(&dave.command.digest)).is_empty()
        })
        .await;
        in_vain.push(held.request.name);
        assert!(in_vain.len() <= 5, "no limit");
    };
    assert_eq!(refused, ApprovalsError::TooOften { in_vain: 5 });
    let mut erin = dave.clone();
    erin.identity.person.subject = "erin-sub".into();
    assert!(one.ask(erin).await.is_ok(), "others are not stopped");
    // What the operator deletes in its time counts no more.
    cluster.delete(&in_vain[0]).await;
    until("one more is taken", || async { one.ask(dave.clone()).await.is_ok() }).await;
}
