//! Power that is cut at any moment.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sallyport_audit::merkle::root_at;
use sallyport_audit::record::Record;
use sallyport_audit::tiles::TileHashes;

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
