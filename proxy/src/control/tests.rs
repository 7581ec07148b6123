//! Which carrier counts, what opens a door and what does not.

mod secrets;

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use sallyport_audit::record::{ObjectRef, PodRef};
use sallyport_crds::Reason;
use sallyport_crds::connection::{CaBundle, TlsMode};
use sallyport_crds::reference::ConfigMapKeyReference;
use sallyport_policy::carrier::{Carrier, Closed, FIRST, FORMAT, payload_digest, sign};
use tokio::time::Instant;

use super::guard::{Guard, MAY_LAG};
use super::materials::Secrets;
use super::opening::{self, Reach};
use super::*;
use crate::manifests::sample;

pub(super) fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

pub(super) fn place(carrier: &Carrier, keys: &[&Ed25519KeyPair]) -> Place {
    let connection = &carrier.connection;
    Place {
        connection: ObjectRef {
            namespace: connection.namespace.clone(),
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        pod: PodRef {
            name: "door-bank-0".to_owned(),
            uid: "pod-uid".to_owned(),
        },
        keys: keys.iter().map(|key| key.public_key().as_ref().to_vec()).collect(),
    }
}

fn at(revision: u64) -> Carrier {
    Carrier { revision, ..sample().0 }
}

#[test]
fn a_carrier_is_believed_for_its_signature_and_its_place() {
    let (ours, next, stranger) = (key(), key(), key());
    let carrier = at(5);
    let now = Instant::now();
    let guard = || {
        let mut guard = Guard::new(place(&carrier, &[&ours, &next]));
        guard.want(5);
        guard
    };
    for signer in [&ours, &next] {
        let taken = guard().look(Some(&sign(&carrier, signer).unwrap()), now).ok().unwrap();
        assert_eq!((taken.carrier.revision, taken.odd), (5, None));
    }
    let mut other_uid = carrier.clone();
    other_uid.connection.uid = "a-namesake".to_owned();
    let mut other_name = carrier.clone();
    other_name.connection.name = "shop".to_owned();
    let mut tampered = sign(&carrier, &ours).unwrap();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    let table = [
        ("stranger's", sign(&carrier, &stranger).unwrap()),
        ("namesake's", sign(&other_uid, &ours).unwrap()),
        ("another connection's", sign(&other_name, &ours).unwrap()),
        ("tampered", tampered),
        ("empty", Vec::new()),
        ("unsigned", serde_json::to_vec(&carrier).unwrap()),
    ];
    for (what, bytes) in table {
        assert_eq!(
            guard().look(Some(&bytes), now).err().map(|lack| lack.reason),
            Some(Reason::Invalid),
            "{what}"
        );
    }
    assert_eq!(
        guard().look(None, now).err().map(|lack| lack.reason),
        Some(Reason::Pending)
    );
}

#[test]
fn revisions_never_go_back() {
    let ours = key();
    let signed = |revision| sign(&at(revision), &ours).unwrap();
    let mut guard = Guard::new(place(&at(1), &[&ours]));
    let now = Instant::now();
    guard.want(4);
    assert!(
        guard.look(Some(&signed(3)), now).is_err(),
        "a fresh process has no memory: the operator says what counts"
    );
    assert!(guard.look(Some(&signed(4)), now).is_ok());
    let fifth = signed(5);
    assert_eq!(
        guard.look(Some(&fifth), now).ok().unwrap().carrier.revision,
        5,
        "ahead of the operator's word is fine"
    );
    let taken = guard.look(Some(&signed(4)), now).ok().unwrap();
    assert_eq!(
        (taken.carrier.revision, taken.odd.map(|lack| lack.reason)),
        (5, Some(Reason::Invalid))
    );

    let mut same_revision = at(5);
    same_revision.connection.spec.subjects.clear();
    let taken = guard
        .look(Some(&sign(&same_revision, &ours).unwrap()), now)
        .ok()
        .unwrap();
    assert!(
        !taken.carrier.connection.spec.subjects.is_empty() && taken.odd.is_some(),
        "a revision means one content"
    );
    assert_eq!(guard.digest(), payload_digest(&fifth), "and that is told");
}

#[test]
fn older_formats_are_read_and_one_of_the_future_is_refused_by_name() {
    let ours = key();
    let signed = |format, revision| sign(&Carrier { format, ..at(revision) }, &ours).unwrap();
    let mut guard = Guard::new(place(&at(1), &[&ours]));
    let now = Instant::now();
    guard.want(1);
    // A door of the release before comes and goes: the format goes down and up, the revision only up.
    for (revision, format) in (1..).zip([FIRST, FORMAT, FIRST, FORMAT]) {
        let taken = guard.look(Some(&signed(format, revision)), now).ok().unwrap();
        assert_eq!((taken.carrier.format, taken.carrier.revision), (format, revision));
        assert_eq!(taken.odd, None);
    }
    let lack = guard.look(Some(&signed(FORMAT + 1, 5)), now).err().unwrap();
    assert_eq!(lack.reason, Reason::Invalid);
    let words = format!("format {}, which this version does not know", FORMAT + 1);
    assert!(lack.message.contains(&words), "{}", lack.message);
}

#[test]
fn whoever_keeps_the_newest_policy_away_closes_the_door() {
    let ours = key();
    let old = sign(&at(4), &ours).unwrap();
    let mut guard = Guard::new(place(&at(4), &[&ours]));
    let begin = Instant::now();
    assert!(guard.look(Some(&old), begin).is_err(), "before the operator has spoken");
    guard.want(4);
    assert!(guard.look(Some(&old), begin).is_ok());
    guard.want(5);
    guard.want(2);
    assert!(guard.look(Some(&old), begin).is_ok(), "the watch may be a moment late");
    assert!(guard.look(Some(&old), begin + MAY_LAG).is_ok());
    assert!(
        guard
            .look(Some(&old), begin + MAY_LAG + Duration::from_millis(1))
            .is_err()
    );
    assert!(
        guard
            .look(Some(&sign(&at(5), &ours).unwrap()), begin + MAY_LAG * 2)
            .is_ok()
    );
    assert!(
        guard.look(Some(&old), begin + MAY_LAG * 3).is_ok(),
        "revision 5 is still in memory"
    );
}

fn without(secrets: &Secrets, name: &str) -> Secrets {
    let mut secrets = secrets.clone();
    secrets.insert(name.to_owned(), None);
    secrets
}

#[test]
fn what_shuts_the_door_and_what_only_keeps_new_people_out() {
    let (carrier, secrets) = sample();
    let opened = opening::open(&carrier, &secrets, Reach::Cluster).unwrap();
    assert!(opened.lacks.is_empty() && opened.open.credential.is_some());

    // Live sessions go on without the credential; nobody new comes in.
    let opened = opening::open(&carrier, &without(&secrets, "bank-credentials"), Reach::Cluster).unwrap();
    assert!(opened.open.credential.is_none() && opened.lacks[0].reason == Reason::SecretMissing);

    type Change = fn(&mut Carrier);
    let shut: [(&str, Change, &str); 5] = [
        (
            "the operator closed it",
            |c| c.closed = Some(Closed::new(Reason::RequiredRuleMissing, "gone")),
            "RequiredRuleMissing: gone",
        ),
        (
            "unresolved bundle",
            |c| {
                let reference = ConfigMapKeyReference {
                    name: "x".into(),
                    key: "y".into(),
                };
                let bundle = CaBundle {
                    inline: None,
                    config_map_key_ref: Some(reference),
                };
                c.connection.spec.target.tls.as_mut().unwrap().ca_bundle = Some(bundle);
            },
            "not resolved",
        ),
        (
            "no word about TLS",
            |c| c.connection.spec.target.tls = None,
            "target.tls is not set",
        ),
        (
            "a range that is none",
            |c| c.settings.denied_cidrs = vec!["everywhere".into()],
            "everywhere",
        ),
        (
            "a rule that does not compile",
            |c| c.approval_policies[0].spec.rules[0].matches.cel = Some("nonsense(".into()),
            "does not compile",
        ),
    ];
    for (what, change, words) in shut {
        let mut carrier = carrier.clone();
        change(&mut carrier);
        let lack = opening::open(&carrier, &secrets, Reach::Cluster)
            .err()
            .unwrap_or_else(|| panic!("{what}: open"));
        assert!(lack.message.contains(words), "{what}: {}", lack.message);
    }
    for name in ["door-bank-keys", "hash-key"] {
        assert!(
            opening::open(&carrier, &without(&secrets, name), Reach::Cluster).is_err(),
            "{name}"
        );
    }
}

#[test]
fn targets_are_not_where_a_door_has_no_business() {
    let (mut carrier, secrets) = sample();
    carrier.settings.denied_cidrs = vec!["10.9.0.0/16".to_owned()];
    carrier.connection.spec.target.tls.as_mut().unwrap().mode = TlsMode::Disable;
    let denied = |reach, address: &str| {
        let open = opening::open(&carrier, &secrets, reach).unwrap().open;
        assert!(open.trust.is_none());
        open.denied_networks
            .iter()
            .any(|network| network.contains(address.parse().unwrap()))
    };
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "10.9.1.1",
    ] {
        assert!(denied(Reach::Cluster, address), "{address}");
    }
    for address in ["10.8.1.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"] {
        assert!(!denied(Reach::Cluster, address), "{address}");
    }
    assert!(!denied(Reach::Laptop, "127.0.0.1") && denied(Reach::Laptop, "10.9.1.1"));
}

#[test]
fn flags_that_are_missing_are_named() {
    let flags = |change: fn(&mut Flags)| {
        let mut flags = Flags {
            namespace: "doors".into(),
            connection: "bank".into(),
            connection_uid: "uid".into(),
            pod_name: "pod".into(),
            pod_uid: "pod-uid".into(),
            pod_ip: None,
            peer_address: "127.0.0.1:0".parse().unwrap(),
            carrier_keys: vec!["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()],
            enrollment: sallyport_runtime::workload::Enrollment {
                operator_url: String::new(),
                operator_ca: String::new(),
                token_file: "/token".into(),
            },
        };
        change(&mut flags);
        flags.place()
    };
    assert_eq!(flags(|_| ()).unwrap().keys, [vec![0; 32]]);
    assert_eq!(
        flags(|f| f.connection_uid.clear()),
        Err(FlagError::Missing("SALLYPORT_CONNECTION_UID"))
    );
    assert_eq!(
        flags(|f| f.carrier_keys.clear()),
        Err(FlagError::Missing("SALLYPORT_CARRIER_KEYS"))
    );
    assert_eq!(flags(|f| f.carrier_keys.push("AAAA".into())), Err(FlagError::Key));
    assert_eq!(
        flags(|f| f.carrier_keys = vec!["not base64!".into()]),
        Err(FlagError::Key)
    );
}

#[test]
fn readiness_tells_why_not() {
    let (tell, status) = tokio::sync::watch::channel(Status {
        shut: Some("no policy".into()),
        ..Status::default()
    });
    let drain = tokio_util::sync::CancellationToken::new();
    let probe = readiness(status, drain.clone());
    assert_eq!(probe(), Err("no policy".to_owned()));
    tell.send_replace(Status {
        revision: Some(3),
        ..Status::default()
    });
    assert_eq!(probe(), Ok(()));
    drain.cancel();
    assert_eq!(probe(), Err("draining".to_owned()));
}
