//! Power that is cut at any moment.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sallyport_audit::merkle::root_at;
use sallyport_audit::record::Record;
use sallyport_audit::store::Store as _;
use sallyport_audit::tiles::TileHashes;
use sallyport_audit::verify::{Trust, verify};

use super::*;

/// A door of the crash test: what it sent, and what was acknowledged.
struct Sender {
    pen: Pen,
    sent: Vec<Vec<u8>>,
    acked: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    /// Whenever the power is cut, everything that was acknowledged is there, once, in its door's order, under a tree that
    /// contains every head that was ever answered.
    #[test]
    fn no_acknowledged_record_is_lost(rounds in proptest::collection::vec((1_usize..200, any::<u8>(), any::<u8>()), 1..5)) {
        let mut disk = Arc::new(MemoryDisk::default());
        let mut senders: Vec<Sender> = (0..3).map(|n| Sender { pen: Pen::new(&door(&format!("p{n}"))), sent: Vec::new(), acked: 0 }).collect();
        for sender in &mut senders {
            let first = sender.pen.write(start());
            sender.sent.push(first);
        }
        let mut heads = Vec::new();
        for (count, unanswered, torn) in rounds {
            let log = open(&disk);
            let mut answers = Vec::new();
            for n in 0..count {
                let at = n % 3;
                let sender = &mut senders[at];
                if n >= 3 {
                    let text = format!("select {n}");
                    sender.sent.push(sender.pen.write(command(n as u64, &text)));
                }
                // As a door does after a break: again from what was acknowledged.
                let rest: Vec<Checked> = sender.sent[sender.acked..].iter().map(|leaf| Checked::new(leaf.clone()).unwrap()).collect();
                if rest.is_empty() {
                    continue;
                }
                let upto = sender.sent.len();
                answers.push((at, upto, log.append(rest, None)));
                if answers.len() > usize::from(unanswered) {
                    let (at, upto, answer) = answers.remove(0);
                    let receipt = answer.blocking_recv().unwrap().unwrap();
                    prop_assert_eq!(receipt.up_to, upto as u64);
                    heads.push(receipt.head);
                    senders[at].acked = senders[at].acked.max(upto);
                }
            }
            disk = Arc::new(disk.crash(torn));
        }
        let log = open(&disk);
        close(&log);
        let records = read(&log);
        let store = log.published();
        for head in heads {
            prop_assert!(head.verifies(log.key()));
            let root = root_at(head.size, &mut TileHashes::new(&store, records.len() as u64)).unwrap();
            prop_assert_eq!(root, head.root);
        }
        for sender in &senders {
            let own: Vec<_> = records.iter().filter(|leaf| Record::parse(leaf).unwrap().source.instance == sender.pen.origin.instance).collect();
            prop_assert!(own.len() >= sender.acked);
            prop_assert!(own.iter().zip(&sender.sent).all(|(found, sent)| *found == sent));
        }
        let distinct: BTreeSet<_> = records.iter().collect();
        prop_assert_eq!(distinct.len(), records.len());
    }
}

/// What a door sends at once.
const BATCH: u64 = 40;

/// Segments of 128 KiB, a checkpoint a millisecond and records that are kept no longer: the disk is at all of it when the
/// power goes.
fn busy(disk: &Arc<MemoryDisk>) -> Result<Log, OpenError> {
    disk.set_volume(Some((1 << 30, 4 << 20)));
    let config = Config {
        checkpoint_every: Duration::from_millis(1),
        retention: Some(Duration::from_millis(1)),
        ..config()
    };
    Log::open(Arc::clone(disk) as Arc<dyn Disk>, config)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// At whichever change of the disk the power goes, and however often: within an append, a publication, a removal of what
    /// was kept long enough, the beginning of a segment or a recovery.
    #[test]
    fn the_power_may_go_at_any_change(cuts in proptest::collection::vec((1_usize..120, any::<u8>()), 1..5)) {
        let mut disk = Arc::new(MemoryDisk::default());
        let mut sender = Sender { pen: Pen::new(&door("a")), sent: Vec::new(), acked: 0 };
        let first = sender.pen.write(start());
        sender.sent.push(first);
        let mut heads = Vec::new();
        for (changes, torn) in cuts {
            disk.cut_after(changes);
            // The power may go before the log is open, and a new one has no key then.
            if let Ok(log) = busy(&disk) {
                loop {
                    for n in 0..BATCH {
                        sender.sent.push(sender.pen.write(command(n + 1, "select 1")));
                    }
                    let rest = sender.sent[sender.acked..].iter().map(|leaf| Checked::new(leaf.clone()).unwrap());
                    let answer = log.append(rest.collect(), None).blocking_recv();
                    let Ok(Ok(receipt)) = answer else { break };
                    sender.acked = sender.sent.len();
                    prop_assert_eq!(receipt.up_to, sender.acked as u64);
                    heads.push(receipt.head);
                }
            }
            disk = Arc::new(disk.crash(torn));
        }
        let log = busy(&disk).unwrap();
        close(&log);
        let store = log.published();
        let note = store.read("checkpoint").unwrap().unwrap();
        let mut trust = Trust::new(log.key().clone());
        trust.add(&String::from_utf8(note).unwrap()).unwrap();
        let (mut own, mut leaves) = (Vec::new(), BTreeSet::new());
        let report = verify(&store, &trust, |_, leaf| {
            let source = Record::parse(leaf).unwrap().source;
            if source.instance == sender.pen.origin.instance {
                own.push((source.seq, leaf.to_vec()));
            }
            assert!(leaves.insert(leaf.to_vec()), "a record stands there twice");
        });
        let report = report.unwrap();
        // What is gone was kept long enough, as the log itself says: anything else is a finding.
        prop_assert!(report.findings.is_empty(), "{:?}", report.findings);
        for head in heads {
            prop_assert!(head.verifies(log.key()));
            let root = root_at(head.size, &mut TileHashes::new(&store, report.records)).unwrap();
            prop_assert_eq!(root, head.root);
        }
        // The newest are left, without a hole, and as they were sent.
        let last = own.last().map(|(seq, _)| *seq);
        prop_assert!(last.map_or(report.pruned > 0 || sender.acked == 0, |last| last >= sender.acked as u64));
        for (pair, place) in own.windows(2).zip(1..) {
            prop_assert_eq!(pair[0].0 + 1, pair[1].0, "after the {}th", place);
        }
        for (seq, leaf) in &own {
            prop_assert_eq!(leaf, &sender.sent[usize::try_from(*seq).unwrap() - 1]);
        }
    }
}
