//! A door's process that dies and begins anew in its Pod, within the minute by which clocks may differ.

use sallyport_crds::access_request::Decision;

use super::*;

/// Whether the door took it back.
async fn is_taken_back(cluster: &Cluster, held: &Held) -> bool {
    let status = cluster.get(&held.request.name).await.status.unwrap_or_default();
    let mut answers = status.approvals.into_iter().flatten();
    answers.any(|answer| answer.decision == Decision::Withdraw)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_taken_back_by_the_process_that_comes_next() {
    sallyport_runtime::crypto::install();
    let cluster = Cluster::start(crate::manifests::sample().0);
    let ask = async |door: &Arc<Requests>, digest: char, on_hold: OnHold| {
        let mut asked = question(&cluster.carrier, &digest.to_string().repeat(64), GrantScope::Command);
        asked.on_hold = on_hold;
        let held = door.ask(asked).await.unwrap();
        cluster.require(&held.request.name).await;
        held
    };
    let before = requests(&cluster, "door-bank-0").await;
    let elsewhere = requests(&cluster, "door-bank-1").await;
    let waits = ask(&before, '1', OnHold::Wait).await;
    let approved = ask(&before, '2', OnHold::Wait).await;
    cluster.answer("bob", &approved.request.name, "Approve").await;
    cluster.derive(&approved.request.name, "Approved").await;
    let others = [
        approved,
        // A program comes again.
        ask(&before, '3', OnHold::Refuse).await,
        ask(&elsewhere, '4', OnHold::Wait).await,
    ];
    let after = requests(&cluster, "door-bank-0").await;
    // It may ask before it has seen what is there.
    let own = ask(&after, '5', OnHold::Wait).await;
    until("it is taken back", || is_taken_back(&cluster, &waits)).await;
    for held in others.iter().chain([&own]) {
        assert!(!is_taken_back(&cluster, held).await, "{}", held.request.name);
    }
}
