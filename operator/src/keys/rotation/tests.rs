//! A replacement from its beginning to its end: whoever holds what a step gave meets whoever holds what the next one gives.

use std::sync::Arc;

use sallyport_runtime::PeerIdentity;
use sallyport_runtime::tls::Accept;
use sallyport_runtime::workload::Credential;

use super::*;
use crate::api::certificates::own;
use crate::keys::Keys;

fn at(seconds: i64) -> Timestamp {
    later(Timestamp::now(), seconds)
}

fn asked(secret: &mut Secret, what: &str) {
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.insert(ROTATE_ANNOTATION.to_owned(), what.to_owned());
}

/// What somebody gets who asks for a certificate now.
fn issued(secret: &Secret) -> Credential {
    let keys = Keys::read(secret).unwrap();
    let (certificate, key) = own(&keys.workload).unwrap();
    let bundle = keys.workload.bundle();
    Credential::from_pem(certificate.as_bytes(), key.as_bytes(), bundle.as_bytes()).unwrap()
}

fn meet(client: &Credential, server: &Credential) -> bool {
    let anybody: Accept = Arc::new(|_: &PeerIdentity| true);
    let client = client.client_config(anybody.clone()).unwrap();
    let server = server.server_config(anybody, &[]).unwrap();
    let mut client = rustls::ClientConnection::new(client, "any.name".try_into().unwrap()).unwrap();
    let mut server = rustls::ServerConnection::new(server).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        if server.process_new_packets().is_err() {
            return false;
        }
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    !client.is_handshaking() && !server.is_handshaking()
}

#[test]
fn nobody_is_refused_while_an_authority_is_replaced() {
    let mut secret = Keys::make().unwrap().secret();
    let door = Keys::read(&secret).unwrap().door.bundle().to_owned();
    assert!(turn(&mut secret, at(0)).unwrap().is_empty(), "nothing is due");
    let mut stages = vec![issued(&secret)];
    asked(&mut secret, "workload");
    for (due, words) in [
        (0, "the next one is trusted, and signs from"),
        (DAY + 1, "the next one signs; the old one is trusted until"),
        (2 * DAY + 3, "the old one is no longer trusted"),
    ] {
        if due > 0 {
            let early = at(due - 60);
            assert!(
                turn(&mut secret.clone(), early).unwrap().is_empty(),
                "{words}: too early"
            );
        }
        let done = turn(&mut secret, at(due)).unwrap();
        assert!(done.len() == 1 && done[0].contains(words), "{done:?}");
        assert!(turn(&mut secret, at(due)).unwrap().is_empty(), "one step at a time");
        stages.push(issued(&secret));
    }
    for (stage, pair) in stages.windows(2).enumerate() {
        assert!(meet(&pair[0], &pair[1]) && meet(&pair[1], &pair[0]), "{stage}");
    }
    assert!(!meet(&stages[0], &stages[2]), "a step was left out");
    assert!(!meet(&stages[1], &stages[3]), "what the old one signed is over");
    assert!(
        turn(&mut secret, at(3 * DAY)).unwrap().is_empty(),
        "asked once, done once"
    );
    assert_eq!(Keys::read(&secret).unwrap().door.bundle(), door, "the other one stays");
}

#[test]
fn what_pods_are_told_at_their_start_changes_only_with_what_is_trusted() {
    let mut secret = Keys::make().unwrap().secret();
    let bundle = |secret: &Secret| Keys::read(secret).unwrap().workload.bundle().to_owned();
    let before = bundle(&secret);
    asked(&mut secret, "door, workload");
    turn(&mut secret, at(0)).unwrap();
    let both = bundle(&secret);
    assert!(both.starts_with(&before) && both.matches("BEGIN CERTIFICATE").count() == 2);
    turn(&mut secret, at(DAY + 1)).unwrap();
    assert_eq!(bundle(&secret), both, "a promotion rolls no Pods");
    turn(&mut secret, at(2 * DAY + 3)).unwrap();
    assert!(both.ends_with(&bundle(&secret)) && bundle(&secret) != before);
    // Clients of doors get a month to fetch the next one.
    let door = Keys::read(&secret).unwrap().door;
    assert_eq!(door.bundle().matches("BEGIN CERTIFICATE").count(), 2);
    assert!(
        door.bundle().starts_with(door.certificate()),
        "the one that is known signs"
    );
    turn(&mut secret, at(30 * DAY + 1)).unwrap();
    let door = Keys::read(&secret).unwrap().door;
    assert!(door.bundle().ends_with(door.certificate()), "the next one signs");
    assert!(secret.metadata.annotations.unwrap().is_empty());
}

#[test]
fn an_authority_about_to_end_is_replaced_by_itself() {
    let mut secret = Keys::make().unwrap().secret();
    assert!(turn(&mut secret, at(9 * 365 * DAY - DAY)).unwrap().is_empty());
    let done = turn(&mut secret, at(9 * 365 * DAY + DAY)).unwrap();
    assert_eq!(done.len(), 2, "{done:?}");
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_done() {
    let mut secret = Keys::make().unwrap().secret();
    asked(&mut secret, "workload");
    turn(&mut secret, at(0)).unwrap();
    type Change = fn(&mut Data);
    let cases: [(Change, &str); 3] = [
        (|data| put(data, WORKLOAD.next_from, "soon"), "workload-ca-next.from"),
        (|data| drop(data.remove(WORKLOAD.next_key)), "workload-ca-next.key"),
        (|data| drop(data.remove(WORKLOAD.next)), "workload-ca-next.crt"),
    ];
    for (change, named) in cases {
        let mut broken = secret.clone();
        change(broken.data.as_mut().unwrap());
        let error = turn(&mut broken, at(DAY + 1)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    // A next one that is no certificate must not take away the trust in the present one.
    put(secret.data.as_mut().unwrap(), WORKLOAD.next, "no PEM");
    let error = Keys::read(&secret).unwrap_err().to_string();
    assert!(error.contains(WORKLOAD.next), "{error}");
}
