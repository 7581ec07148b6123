use serde_json::Value;

use super::*;
use crate::assemble::tests::{carrier, objects};
use crate::columns::Kept;

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

/// The key that signed what stands in `testdata`. Only tests trust it.
const GOLDEN_KEY: &str = "hQJCXoESpTCejZfQP2akW7BwNKw+21+rTq0nnNOC2QE=";

/// Everything that `old` says is said by `new`, too.
fn kept(old: &Value, new: &Value, path: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                let path = format!("{path}.{name}");
                kept(value, new.get(name).unwrap_or_else(|| panic!("{path} is lost")), &path);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{path}");
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                kept(old, new, &format!("{path}[{at}]"));
            }
        }
        (old, new) => assert_eq!(old, new, "{path}"),
    }
}

fn payload(golden: &[u8]) -> Value {
    let signed: SignedCarrier = serde_json::from_slice(golden).unwrap();
    serde_json::from_slice(&STANDARD.decode(signed.payload).unwrap()).unwrap()
}

#[test]
fn what_the_first_version_of_the_format_carried_is_read_whole() {
    let trusted = [STANDARD.decode(GOLDEN_KEY).unwrap()];
    let golden = include_bytes!("../../../testdata/carrier-v1.json");
    let carrier = verify(golden, &trusted).unwrap();
    let again = serde_json::to_value(&carrier).unwrap();
    kept(&payload(golden), &again, "carrier");
    // What came later has the value that the first version acted by.
    assert!(carrier.columns.is_empty() && carrier.closed.is_none());
    assert_eq!(carrier.connection.spec.limits.max_open_requests, 500);
    crate::Policy::compile(&carrier).unwrap_or_else(|problems| panic!("{problems:?}"));

    let golden = include_bytes!("../../../testdata/columns-v1.json");
    let columns = Kept::verify(golden, "uid-pii", &trusted).unwrap();
    kept(&payload(golden), &serde_json::to_value(&columns).unwrap(), "columns");
    // One is never taken for the other, whoever signed it.
    assert_eq!(verify(golden, &trusted), Err(CarrierError::Signature));
}

#[test]
fn every_format_up_to_the_newest_is_read() {
    let (key, trusted) = key();
    for format in FIRST..=FORMAT {
        let mut carrier = carrier(&objects());
        carrier.lower(format);
        assert_eq!(carrier.format, format);
        assert_eq!(verify(&sign(&carrier, &key).unwrap(), &trusted), Ok(carrier));
    }
    let none = Carrier {
        format: 0,
        ..carrier(&objects())
    };
    assert_eq!(
        verify(&sign(&none, &key).unwrap(), &trusted),
        Err(CarrierError::Format(0))
    );
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
    // Also where nothing in it looks as it does today.
    let bytes = seal(CONTEXT, b"{\"format\":3,\"rules\":\"elsewhere\"}", &key).unwrap();
    let error = verify(&bytes, &trusted).unwrap_err();
    assert!(
        error.to_string().contains("format 3, which this version does not know"),
        "{error}"
    );
    let kept = Kept {
        format: crate::columns::FORMAT + 1,
        ..Kept::new("uid-pii")
    };
    assert_eq!(
        Kept::verify(&kept.sign(&key).unwrap(), "uid-pii", &trusted),
        Err(CarrierError::Format(crate::columns::FORMAT + 1))
    );
}

#[test]
fn what_a_later_version_adds_to_a_known_format_is_passed_over() {
    let (key, trusted) = key();
    let carrier = carrier(&objects());
    let mut more = serde_json::to_value(&carrier).unwrap();
    more["ofALaterVersion"] = Value::from(1);
    more["connection"]["ofALaterVersion"] = Value::from(1);
    let bytes = seal(CONTEXT, more.to_string().as_bytes(), &key).unwrap();
    assert_eq!(verify(&bytes, &trusted), Ok(carrier));
}

#[test]
fn what_does_not_fit_is_not_signed() {
    let mut carrier = carrier(&objects());
    carrier.connection.labels.insert("x".into(), "y".repeat(MAX_BYTES));
    assert_eq!(sign(&carrier, &key().0), Err(CarrierError::TooLarge));
}
