use super::*;
use crate::assemble::tests::{carrier, objects};

fn key() -> (Ed25519KeyPair, Vec<Vec<u8>>) {
    let key = Ed25519KeyPair::generate().unwrap();
    let public = key.public_key().as_ref().to_vec();
    (key, vec![public])
}

#[test]
fn what_was_signed_is_read_again() {
    let (key, trusted) = key();
    let carrier = carrier(&objects());
    let bytes = sign(&carrier, &key).unwrap();
    assert_eq!(verify(&bytes, &trusted).unwrap(), carrier);
    assert_eq!(
        sign(&carrier, &key).unwrap(),
        bytes,
        "the same carrier gives the same bytes"
    );
}

#[test]
fn every_changed_payload_is_refused() {
    let (key, trusted) = key();
    let bytes = sign(&carrier(&objects()), &key).unwrap();
    let signed: SignedCarrier = serde_json::from_slice(&bytes).unwrap();
    let mut payload = STANDARD.decode(&signed.payload).unwrap();
    for index in (0..payload.len()).step_by(37) {
        payload[index] ^= 1;
        let forged = SignedCarrier {
            payload: STANDARD.encode(&payload),
            ..signed.clone()
        };
        assert_eq!(
            verify(&serde_json::to_vec(&forged).unwrap(), &trusted),
            Err(CarrierError::Signature)
        );
        payload[index] ^= 1;
    }
}

#[test]
fn other_keys_and_no_keys_are_not_trusted() {
    let bytes = sign(&carrier(&objects()), &key().0).unwrap();
    assert_eq!(verify(&bytes, &key().1), Err(CarrierError::Signature));
    assert_eq!(verify(&bytes, &[]), Err(CarrierError::Signature));
    assert_eq!(verify(b"{}", &key().1), Err(CarrierError::Unreadable));
}

#[test]
fn a_format_of_the_future_is_refused_by_name() {
    let (key, trusted) = key();
    let carrier = Carrier {
        format: FORMAT + 1,
        ..carrier(&objects())
    };
    assert_eq!(
        verify(&sign(&carrier, &key).unwrap(), &trusted),
        Err(CarrierError::Format(FORMAT + 1))
    );
}

#[test]
fn what_does_not_fit_is_not_signed() {
    let mut carrier = carrier(&objects());
    carrier.connection.labels.insert("x".into(), "y".repeat(MAX_BYTES));
    assert_eq!(sign(&carrier, &key().0), Err(CarrierError::TooLarge));
}
