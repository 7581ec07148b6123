//! What is seen of a log is kept, or said not to be.

use super::*;
use crate::audit_sink::witness;
use crate::testing::scenario::Scenario;

/// One look at the recorder of [`ORIGIN`], which answers so.
async fn asked(scenario: &Scenario, ledger: &mut Ledger, answer: Result<Answer, AskError>) -> Sight {
    let sink = ObjectRef {
        namespace: "evidence".to_owned(),
        name: "main".to_owned(),
        uid: "uid".to_owned(),
    };
    let context = &scenario.context;
    let asked = Asked {
        before: context.sights.get("uid").unwrap_or_default(),
        recorder: Err(AskError::Unreachable),
        sink,
        answer,
    };
    witness::look(context, ledger, asked).await;
    context.sights.get("uid").unwrap()
}

#[tokio::test]
async fn a_sink_of_which_no_log_was_seen_takes_no_room_in_the_ledger() {
    let scenario = Scenario::new();
    let mut ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    let away = asked(&scenario, &mut ledger, Err(AskError::Unreachable)).await;
    assert_eq!(away.outcome.label(), "unavailable");
    assert_eq!(ledger.entry("uid"), None);
    let seen = asked(&scenario, &mut ledger, Ok(answer(&signer(), &["a"], &[]))).await;
    assert_eq!(seen.outcome, Outcome::Consistent);
    assert_eq!(ledger.entry("uid").unwrap().checkpoint, seen.checkpoint);
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_kept_is_said() {
    let scenario = Scenario::new();
    let mut ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    let signer = signer();
    let first = asked(&scenario, &mut ledger, Ok(answer(&signer, &["a"], &[]))).await;
    scenario.api.forbid(LEDGER);
    let grown = || answer(&signer, &["a", "b"], &[leaf_hash(b"b")]);
    for _ in 0..2 {
        let unkept = asked(&scenario, &mut ledger, Ok(grown())).await;
        assert!(
            matches!(&unkept.outcome, Outcome::Unavailable(why) if why.contains("cannot be kept: Forbidden")),
            "{:?}",
            unkept.outcome
        );
        assert_eq!(unkept.checkpoint, first.checkpoint, "nobody is told what is not kept");
    }
}
