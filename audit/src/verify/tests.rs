use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::Time;
use crate::merkle::{Frontier, leaf_hash};
use crate::note::Signer;
use crate::record::tests::{command, source_of};
use crate::record::{Batch, Event, Instance, Pruned, Seal, Writer};
use crate::store::Dir;
use crate::tiles::{Kind, Tile, WIDTH, push_entry};

mod hostile;

/// A log in a directory, written the plain way.
struct Written {
    dir: tempfile::TempDir,
    signer: Signer,
    records: Vec<Vec<u8>>,
}

fn records(count: u64) -> Vec<Vec<u8>> {
    let seal = Seal::new(&source_of(&Instance::random().unwrap())).unwrap();
    (1..=count)
        .map(|n| {
            let event = Event::Command(Box::new(command(&format!("select {n}"))));
            let batch = Batch::of(Time::from_unix_micros(i64::try_from(n).unwrap()), None, event).unwrap();
            seal.seal(&batch.drafts()[0], n).unwrap()
        })
        .collect()
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn checkpoint(records: &[Vec<u8>], signer: &Signer) -> String {
    let mut frontier = Frontier::new();
    records.iter().for_each(|record| frontier.push(leaf_hash(record)));
    Checkpoint {
        origin: signer.verifier().name().into(),
        size: frontier.size(),
        root: frontier.root(),
    }
    .sign(signer)
}

fn write_bundles(root: &Path, records: &[Vec<u8>]) {
    let _ = fs::remove_dir_all(root.join("tile/entries"));
    let size = records.len() as u64;
    for (index, chunk) in (0..).zip(records.chunks(256)) {
        let mut bundle = Vec::new();
        chunk.iter().for_each(|record| assert!(push_entry(&mut bundle, record)));
        put(
            root,
            &Tile::at(Kind::Entries, index, size).unwrap().to_string(),
            &bundle,
        );
    }
}

fn write_tiles(root: &Path, records: &[Vec<u8>]) {
    let size = records.len() as u64;
    let mut row: Vec<_> = records.iter().map(|record| leaf_hash(record)).collect();
    for level in 0..8 {
        for (index, chunk) in (0..).zip(row.chunks(256)) {
            let tile = Tile::at(Kind::Hashes(level), index, size).unwrap();
            put(
                root,
                &tile.to_string(),
                &chunk.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<_>>(),
            );
        }
        row = row
            .chunks_exact(256)
            .map(|chunk| {
                let mut top = Frontier::new();
                chunk.iter().for_each(|hash| top.push(*hash));
                top.root()
            })
            .collect();
    }
}

impl Written {
    fn new(count: u64) -> Self {
        let (signer, _) = Signer::generate("example.com/log").unwrap();
        let written = Self {
            dir: tempfile::tempdir().unwrap(),
            signer,
            records: records(count),
        };
        written.rewrite(&written.records);
        written
    }

    /// The whole log as somebody with its key would write it.
    fn rewrite(&self, records: &[Vec<u8>]) {
        let _ = fs::remove_dir_all(self.root().join("tile"));
        write_bundles(&self.root(), records);
        write_tiles(&self.root(), records);
        put(&self.root(), "checkpoint", checkpoint(records, &self.signer).as_bytes());
    }

    fn root(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    fn verify_at(&self, outside: &[usize]) -> Report {
        let mut trust = Trust::new(self.signer.verifier().clone());
        for size in outside {
            trust.add(&checkpoint(&self.records[..*size], &self.signer)).unwrap();
        }
        verify(&Dir::new(self.root()), &trust, |_, _| {}).unwrap()
    }

    /// The first finding, with everything up to the end vouched for.
    fn first(&self) -> Finding {
        let report = self.verify_at(&[self.records.len()]);
        assert_eq!(report.verdict(), Verdict::Refuted);
        report.findings[0].clone()
    }
}

#[test]
fn a_genuine_log_is_proven_as_far_as_the_outside_checkpoint() {
    for count in [1, 255, 256, 257, 700] {
        let log = Written::new(count);
        let size = usize::try_from(count).unwrap();
        let report = log.verify_at(&[size]);
        assert_eq!(
            (report.verdict(), report.proven, report.unproven()),
            (Verdict::Proven, count, 0),
            "{:?}",
            report.findings
        );
        let report = log.verify_at(&[1, size.div_ceil(2)]);
        assert_eq!(
            (report.verdict(), report.unproven()),
            (Verdict::Proven, count - count.div_ceil(2))
        );
        assert_eq!(log.verify_at(&[]).verdict(), Verdict::Unproven);
    }
}

#[test]
fn every_record_is_seen_in_order() {
    let log = Written::new(300);
    let mut seen = Vec::new();
    verify(
        &Dir::new(log.root()),
        &Trust::new(log.signer.verifier().clone()),
        |index, entry| {
            assert_eq!(index, seen.len() as u64);
            seen.push(entry.to_vec());
        },
    )
    .unwrap();
    assert_eq!(seen, log.records);
}

#[test]
fn the_first_record_that_was_touched_is_named() {
    let log = Written::new(700);
    for at in [0_usize, 1, 255, 256, 511, 512, 600, 698] {
        let index = at as u64;
        let mut changed = log.records.clone();
        changed[at] = String::from_utf8(changed[at].clone())
            .unwrap()
            .replace("select", "delete")
            .into_bytes();
        write_bundles(&log.root(), &changed);
        assert!(
            matches!(log.first(), Finding::Changed(spot) if spot.index == index && spot.says.is_some()),
            "changed {at}"
        );

        let mut removed = log.records.clone();
        removed.remove(at);
        write_bundles(&log.root(), &removed);
        let findings = log.verify_at(&[700]).findings;
        assert!(
            findings
                .iter()
                .any(|f| matches!(f, Finding::Removed { index: i, .. } if *i == index)),
            "removed {at}: {findings:?}"
        );
        assert!(
            findings.iter().any(|f| matches!(f, Finding::Gap { .. })),
            "its number is missed: {findings:?}"
        );

        let mut swapped = log.records.clone();
        swapped.swap(at, 699);
        write_bundles(&log.root(), &swapped);
        assert!(
            matches!(log.first(), Finding::Moved { index: i, to } if i == index && to.index == 699),
            "moved {at}: {:?}",
            log.first()
        );

        let mut inserted = log.records.clone();
        inserted.insert(at, log.records[at].iter().rev().copied().collect());
        write_bundles(&log.root(), &inserted);
        assert!(
            matches!(log.first(), Finding::Inserted(spot) if spot.index == index) || at == 698,
            "inserted {at}: {:?}",
            log.first()
        );
    }
}

#[test]
fn a_record_changed_together_with_its_hash_is_narrowed_to_its_tile() {
    let log = Written::new(700);
    let mut changed = log.records.clone();
    changed[300] = changed[299].clone();
    write_bundles(&log.root(), &changed);
    let tile = Tile {
        kind: Kind::Hashes(0),
        index: 1,
        width: 256,
    };
    let row: Vec<u8> = changed[256..512]
        .iter()
        .flat_map(|record| *leaf_hash(record).as_bytes())
        .collect();
    put(&log.root(), &tile.to_string(), &row);
    assert_eq!(log.first(), Finding::Rewritten { from: 256, to: 512 });
}

#[test]
fn a_log_rewritten_whole_with_the_true_key_is_refuted_between_two_outside_checkpoints() {
    let log = Written::new(700);
    let mut forged = log.records.clone();
    forged[400] = forged[399].clone();
    log.rewrite(&forged);
    let report = log.verify_at(&[100, 350, 650]);
    assert_eq!((report.verdict(), report.proven), (Verdict::Refuted, 350));
    assert_eq!(report.findings[0], Finding::Rewritten { from: 350, to: 650 });
    // Nobody outside knew: then only its own oddities speak.
    let mut clean = log.records.clone();
    clean.truncate(400);
    log.rewrite(&clean);
    assert_eq!(log.verify_at(&[]).verdict(), Verdict::Unproven);
}

#[test]
fn a_cut_tail_and_a_missing_log_are_refuted() {
    let log = Written::new(700);
    log.rewrite(&log.records[..500]);
    assert_eq!(
        log.first(),
        Finding::Truncated {
            left: 500,
            stated: 700,
            outside: true
        }
    );
    // Cut behind the back of its own checkpoint.
    log.rewrite(&log.records);
    fs::remove_dir_all(log.root().join("tile/entries/002.p")).unwrap();
    let report = log.verify_at(&[400]);
    assert_eq!(
        report.findings[0],
        Finding::Truncated {
            left: 512,
            stated: 700,
            outside: false
        }
    );
    assert_eq!(report.proven, 400);
    fs::remove_dir_all(log.root().join("tile")).unwrap();
    assert_eq!(log.first(), Finding::MissingLog { proven: 700 });
    fs::remove_file(log.root().join("checkpoint")).unwrap();
    assert_eq!(log.first(), Finding::MissingLog { proven: 700 });
}

#[test]
fn a_checkpoint_by_another_key_does_not_count() {
    let log = Written::new(10);
    let (other, _) = Signer::generate("example.com/log").unwrap();
    put(&log.root(), "checkpoint", checkpoint(&log.records, &other).as_bytes());
    assert!(matches!(log.first(), Finding::Checkpoint(NoteError::Unsigned(_))));
    let mut trust = Trust::new(log.signer.verifier().clone());
    assert!(trust.add(&checkpoint(&log.records, &other)).is_err());
    fs::remove_file(log.root().join("checkpoint")).unwrap();
    assert_eq!(log.first(), Finding::NoCheckpoint);
}

#[test]
fn every_flipped_byte_of_every_file_is_noticed() {
    let log = Written::new(300);
    let mut paths = Vec::new();
    let mut folders = vec![log.root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                paths.push(path)
            }
        }
    }
    assert!(paths.len() > 4);
    for path in paths {
        let genuine = fs::read(&path).unwrap();
        for at in (0..genuine.len()).step_by(genuine.len().div_ceil(60)) {
            let mut changed = genuine.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert_eq!(
                log.verify_at(&[300]).verdict(),
                Verdict::Refuted,
                "{} at {at}",
                path.display()
            );
        }
        fs::write(&path, &genuine).unwrap();
    }
    assert_eq!(log.verify_at(&[300]).verdict(), Verdict::Proven);
    assert_eq!(WIDTH, 256);
}

/// A log of 700 records whose recorder says that those before `told` were removed, and of which the first `gone` bundles are.
fn pruned(told: u64, gone: u64, by: Writer) -> Report {
    let mut log = Written::new(700);
    let origin = crate::record::Origin {
        writer: by,
        ..source_of(&Instance::random().unwrap())
    };
    let event = Event::Pruned(Pruned {
        before: told,
        kept_secs: 86_400,
    });
    let batch = Batch::of(Time::from_unix_micros(1), None, event).unwrap();
    log.records
        .push(Seal::new(&origin).unwrap().seal(&batch.drafts()[0], 1).unwrap());
    log.rewrite(&log.records);
    for index in 0..gone {
        let bundle = Tile::at(Kind::Entries, index, 700).unwrap();
        fs::remove_file(log.root().join(bundle.to_string())).unwrap();
    }
    log.verify_at(&[300, 701])
}

#[test]
fn what_the_log_says_was_removed_may_be_gone_and_the_rest_is_proven() {
    let report = pruned(512, 2, Writer::Recorder);
    assert_eq!(
        (report.verdict(), report.pruned, report.proven),
        (Verdict::Proven, 512, 701),
        "{:?}",
        report.findings
    );
    assert_eq!(
        (report.pruned_after, report.pruned_by, report.pruning_proven()),
        (Some(86_400), Some(700), true)
    );
    let earlier = pruned(512, 1, Writer::Recorder);
    assert_eq!(
        (earlier.verdict(), earlier.pruned),
        (Verdict::Proven, 256),
        "not all of it has gone yet"
    );
}

#[test]
fn what_is_gone_unsaid_is_refuted() {
    for (told, gone, by) in [
        (0, 1, Writer::Recorder),
        (256, 2, Writer::Recorder),
        (512, 2, Writer::Proxy),
    ] {
        let report = pruned(told, gone, by);
        assert_eq!(report.verdict(), Verdict::Refuted);
        let missing =
            |finding: &Finding| matches!(finding, Finding::Missing { gone: found, .. } if *found == gone * 256);
        assert!(report.findings.iter().any(missing), "{:?}", report.findings);
    }
    // In the middle nothing may be gone.
    let log = Written::new(700);
    fs::remove_file(log.root().join(Tile::at(Kind::Entries, 1, 700).unwrap().to_string())).unwrap();
    assert_eq!(log.verify_at(&[700]).verdict(), Verdict::Refuted);
}
