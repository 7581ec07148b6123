use super::*;
use crate::digest::unhex;

/// The eight leaves that certificate-transparency implementations test with.
fn leaves() -> Vec<Vec<u8>> {
    [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    .map(|hex| unhex(hex).unwrap())
    .to_vec()
}

/// Their roots for sizes 1 to 8.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// The definition, word for word: the oracle for everything cleverer.
fn mth(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = hashes.len().next_power_of_two() / 2;
            node_hash(&mth(&hashes[..k]), &mth(&hashes[k..]))
        }
    }
}

fn subtrees(hashes: &[Digest]) -> impl FnMut(u8, u64) -> Result<Digest, ()> + '_ {
    move |level, index| {
        let (n, start) = (1_usize << level, usize::try_from(index << level).unwrap());
        hashes.get(start..start + n).map(mth).ok_or(())
    }
}

fn many(n: u64) -> Vec<Digest> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

#[test]
fn known_roots() {
    assert_eq!(
        empty_root().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let hashes: Vec<Digest> = leaves().iter().map(|leaf| leaf_hash(leaf)).collect();
    let mut frontier = Frontier::new();
    for (hash, root) in hashes.iter().zip(ROOTS) {
        frontier.push(*hash);
        let size = frontier.size();
        assert_eq!(frontier.root().to_string(), root);
        assert_eq!(root_at(size, &mut subtrees(&hashes)).unwrap().to_string(), root);
    }
}

#[test]
fn a_frontier_can_be_picked_up_at_any_size() {
    let hashes = many(70);
    let mut grown = Frontier::new();
    for size in 0..70_u64 {
        let mut find = subtrees(&hashes);
        let peaks = Frontier::peak_names(size)
            .into_iter()
            .map(|(level, index)| find(level, index).unwrap())
            .collect();
        assert_eq!(Frontier::from_peaks(size, peaks), Some(grown.clone()));
        assert_eq!(grown.root(), mth(&hashes[..usize::try_from(size).unwrap()]));
        grown.push(hashes[usize::try_from(size).unwrap()]);
    }
    assert_eq!(Frontier::from_peaks(3, vec![empty_root()]), None);
}

#[test]
fn every_inclusion_is_proven_and_nothing_else_is() {
    let hashes = many(40);
    for size in 1..=40_u64 {
        let root = root_at(size, &mut subtrees(&hashes)).unwrap();
        for index in 0..size {
            let leaf = hashes[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(index, size, &mut subtrees(&hashes)).unwrap();
            assert_eq!(verify_inclusion(&leaf, index, size, &root, &proof), Ok(()));
            assert!(verify_inclusion(&empty_root(), index, size, &root, &proof).is_err());
            assert!(verify_inclusion(&leaf, index, size, &empty_root(), &proof).is_err());
            assert!(verify_inclusion(&leaf, size, size, &root, &proof).is_err());
            if index > 0 {
                assert!(verify_inclusion(&leaf, index - 1, size, &root, &proof).is_err());
            }
            refuses_wrong_lengths(&proof, |proof| verify_inclusion(&leaf, index, size, &root, proof));
        }
    }
}

#[test]
fn every_growth_is_proven_and_nothing_else_is() {
    let hashes = many(40);
    for new in 1..=40_u64 {
        let new_root = root_at(new, &mut subtrees(&hashes)).unwrap();
        for old in 1..=new {
            let old_root = root_at(old, &mut subtrees(&hashes)).unwrap();
            let proof = consistency_proof(old, new, &mut subtrees(&hashes)).unwrap();
            assert_eq!(
                verify_consistency(old, &old_root, new, &new_root, &proof),
                Ok(()),
                "{old} {new}"
            );
            assert!(verify_consistency(old, &empty_root(), new, &new_root, &proof).is_err());
            assert!(verify_consistency(old, &old_root, new, &empty_root(), &proof).is_err());
            assert!(verify_consistency(new + 1, &old_root, new, &new_root, &proof).is_err());
            refuses_wrong_lengths(&proof, |proof| {
                verify_consistency(old, &old_root, new, &new_root, proof)
            });
        }
        assert_eq!(verify_consistency(0, &empty_root(), new, &new_root, &[]), Ok(()));
        assert!(verify_consistency(0, &new_root, new, &new_root, &[]).is_err());
    }
}

fn refuses_wrong_lengths(proof: &[Digest], verify: impl Fn(&[Digest]) -> Result<(), ProofError>) {
    let mut longer = proof.to_vec();
    longer.push(empty_root());
    assert!(verify(&longer).is_err());
    if let Some((_, shorter)) = proof.split_last() {
        assert!(verify(shorter).is_err());
    }
    for at in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[at] = empty_root();
        assert!(verify(&changed).is_err());
    }
}
