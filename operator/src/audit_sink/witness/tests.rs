use sallyport_audit::Digest;
use sallyport_audit::merkle::{Frontier, leaf_hash};
use sallyport_audit::note::Signer;

use super::*;

const ORIGIN: &str = "sallyport.dev/log/evidence/main/uid";

fn root(leaves: &[&str]) -> Digest {
    let mut tree = Frontier::new();
    for leaf in leaves {
        tree.push(leaf_hash(leaf.as_bytes()));
    }
    tree.root()
}

fn answer(signer: &Signer, leaves: &[&str], proof: &[Digest]) -> Answer {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: leaves.len() as u64,
        root: root(leaves),
    };
    Answer::new(checkpoint.sign(signer), signer.verifier().to_string(), proof)
}

fn look(before: &Sight, answer: Answer) -> Sight {
    judge(
        before,
        Ok(answer),
        ORIGIN,
        &Witness::make().unwrap(),
        jiff::Timestamp::UNIX_EPOCH,
    )
}

fn signer() -> Signer {
    Signer::generate(ORIGIN).unwrap().0
}

#[test]
fn a_log_that_grows_is_consistent_and_cosigned() {
    let signer = signer();
    let first = look(&Sight::default(), answer(&signer, &["a"], &[]));
    assert_eq!(first.outcome, Outcome::Consistent);
    let second = look(&first, answer(&signer, &["a", "b"], &[leaf_hash(b"b")]));
    assert_eq!(second.outcome, Outcome::Consistent);
    let checkpoint = second.checkpoint.unwrap();
    assert_eq!(checkpoint.size, 2);
    assert!(
        checkpoint.note.contains("sallyport.dev/operator"),
        "{}",
        checkpoint.note
    );
}

#[test]
fn a_log_that_was_rewritten_is_refuted_though_its_own_key_signed() {
    let signer = signer();
    let first = look(&Sight::default(), answer(&signer, &["a"], &[]));
    let forged = look(&first, answer(&signer, &["x", "b"], &[leaf_hash(b"b")]));
    assert!(matches!(forged.outcome, Outcome::Inconsistent(_)));
    assert_eq!(forged.checkpoint, first.checkpoint, "what was seen before stands");
}

#[test]
fn another_key_and_a_shorter_log_are_refuted() {
    let first = look(&Sight::default(), answer(&signer(), &["a"], &[]));
    assert!(matches!(
        look(&first, answer(&signer(), &["a"], &[])).outcome,
        Outcome::Inconsistent(_)
    ));
    let shorter = judge(
        &first,
        Err(AskError::Shorter),
        ORIGIN,
        &Witness::make().unwrap(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert!(matches!(shorter.outcome, Outcome::Inconsistent(_)));
}

#[test]
fn a_recorder_that_is_away_changes_nothing_that_was_seen() {
    let first = look(&Sight::default(), answer(&signer(), &["a"], &[]));
    let away = judge(
        &first,
        Err(AskError::Unreachable),
        ORIGIN,
        &Witness::make().unwrap(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert_eq!(
        away,
        Sight {
            outcome: away.outcome.clone(),
            ..first
        }
    );
    assert_eq!(away.outcome.label(), "unavailable");
}

#[test]
fn the_log_of_a_namesake_is_another_log() {
    let (signer, _) = Signer::generate("sallyport.dev/log/evidence/main/other").unwrap();
    let checkpoint = Checkpoint {
        origin: "sallyport.dev/log/evidence/main/other".into(),
        size: 1,
        root: root(&["a"]),
    };
    let answer = Answer::new(checkpoint.sign(&signer), signer.verifier().to_string(), &[]);
    assert!(matches!(
        look(&Sight::default(), answer).outcome,
        Outcome::Inconsistent(_)
    ));
}
