//! What Secrets give, and what their keys may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::control::materials::{self, SecretObject};

fn with(secrets: &Secrets, name: &str, annotations: &[(&str, &str)], data: &[(&str, &str)]) -> Secrets {
    let annotations = annotations
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect();
    let mut secrets = secrets.clone();
    secrets.insert(name.to_owned(), Some(Arc::new(SecretObject::new(annotations, data))));
    secrets
}

#[test]
fn secrets_that_do_not_serve() {
    let (carrier, secrets) = sample();
    let hosts = [("sallyport.dev/hosts", "postgres.bank.svc")];
    let full = [("username", "u"), ("password", "p")];
    assert!(materials::credential(&carrier, &with(&secrets, "bank-credentials", &hosts, &full)).is_ok());
    let long = [(
        "sallyport.dev/hosts",
        "postgres.bank.svc.evil.example,notpostgres.bank.svc",
    )];
    let table = [
        (without(&secrets, "bank-credentials"), Reason::SecretMissing),
        (Secrets::new(), Reason::SecretMissing),
        (
            with(&secrets, "bank-credentials", &hosts, &full[..1]),
            Reason::SecretMissing,
        ),
        (
            with(
                &secrets,
                "bank-credentials",
                &hosts,
                &[("username", "u"), ("password", "")],
            ),
            Reason::SecretMissing,
        ),
        (with(&secrets, "bank-credentials", &[], &full), Reason::HostNotPermitted),
        (
            with(&secrets, "bank-credentials", &[("sallyport.dev/hosts", "")], &full),
            Reason::HostNotPermitted,
        ),
        (
            with(&secrets, "bank-credentials", &[("sallyport.dev/hosts", "*")], &full),
            Reason::HostNotPermitted,
        ),
        (
            with(&secrets, "bank-credentials", &long, &full),
            Reason::HostNotPermitted,
        ),
    ];
    for (number, (secrets, reason)) in table.into_iter().enumerate() {
        assert_eq!(
            materials::credential(&carrier, &secrets).err().map(|lack| lack.reason),
            Some(reason),
            "{number}"
        );
    }
    assert!(materials::tls(&carrier, &secrets).is_ok());
    assert!(materials::tls(&carrier, &without(&secrets, "door-bank-tls")).is_err());
    let half = with(&secrets, "door-bank-tls", &[], &[("tls.crt", "x"), ("tls.key", "y")]);
    assert!(materials::tls(&carrier, &half).is_err());
    assert!(
        materials::binding_key(
            &carrier,
            &with(&secrets, "door-bank-keys", &[], &[("binding", "short")])
        )
        .is_err()
    );
    let names: Vec<_> = materials::needed(&carrier).into_iter().collect();
    assert_eq!(
        names,
        ["bank-credentials", "door-bank-keys", "door-bank-tls", "hash-key"]
    );
}

/// A Secret of type kubernetes.io/tls with this common name, and more.
fn certified(common_name: &str, more: &[(&str, &str)]) -> (Carrier, Result<crate::door::Credential, Reason>) {
    let (carrier, secrets) = sample();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if !common_name.is_empty() {
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let (chain, key) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let mut data = BTreeMap::from([("tls.crt", chain.as_str()), ("tls.key", key.as_str())]);
    data.extend(more.iter().copied());
    let data: Vec<_> = data.into_iter().collect();
    let hosts = [("sallyport.dev/hosts", "postgres.bank.svc")];
    let secrets = with(&secrets, "bank-credentials", &hosts, &data);
    let credential = materials::credential(&carrier, &secrets).map_err(|lack| lack.reason);
    (carrier, credential)
}

#[test]
fn a_certificate_towards_the_target_names_the_role_and_needs_no_password() {
    let known = |common_name: &str, more: &[(&str, &str)]| -> Result<(String, bool), Reason> {
        let credential = certified(common_name, more).1?;
        assert!(credential.certificate.is_some());
        Ok((credential.username, credential.password.is_some()))
    };
    assert_eq!(known("door", &[]), Ok(("door".to_owned(), false)));
    assert_eq!(
        known("door", &[("username", "teller")]),
        Ok(("teller".to_owned(), false))
    );
    assert_eq!(known("door", &[("password", "p")]), Ok(("door".to_owned(), true)));
    assert_eq!(known("", &[("username", "teller")]), Ok(("teller".to_owned(), false)));
    for (number, (common_name, more, reason)) in [
        ("", &[][..], Reason::SecretMissing),
        ("door", &[("tls.key", "")], Reason::SecretMissing),
        ("door", &[("tls.crt", "")], Reason::SecretMissing),
        (
            "door",
            &[("tls.crt", "no PEM"), ("username", "teller")],
            Reason::Invalid,
        ),
        // A certificate that cannot be shown must not turn into a password alone.
        (
            "door",
            &[("tls.key", "no PEM"), ("username", "teller"), ("password", "p")],
            Reason::Invalid,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(known(common_name, more), Err(reason), "{number}");
    }
    let (mut carrier, _) = certified("door", &[]);
    let tls = carrier.connection.spec.target.tls.as_mut().unwrap();
    tls.mode = TlsMode::Disable;
    let own = rcgen::generate_simple_self_signed(vec!["door".to_owned()]).unwrap();
    let data = [
        ("tls.crt", own.cert.pem()),
        ("tls.key", own.signing_key.serialize_pem()),
        ("username", "door".to_owned()),
        ("password", "p".to_owned()),
    ];
    let data: Vec<(&str, &str)> = data.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let hosts = [("sallyport.dev/hosts", "postgres.bank.svc")];
    let secrets = with(&sample().1, "bank-credentials", &hosts, &data);
    let lack = materials::credential(&carrier, &secrets).unwrap_err();
    assert!(lack.message.contains("of no use without TLS"), "{}", lack.message);
}

#[test]
fn a_key_is_rotated_by_naming_another_beside_it() {
    let (carrier, secrets) = sample();
    let keys = ["o", "n"].map(|key| key.repeat(32));
    let [old, new] = keys.each_ref().map(String::as_str);
    let both = with(&secrets, "hash-key", &[], &[("key", old), ("next", new)]);
    let ids = |carrier: &Carrier, secrets: &Secrets| {
        let opened = opening::open(carrier, secrets, Reach::Cluster);
        opened.map(|opened| opened.open.policy.masks().hash_key_ids())
    };
    let before = ids(&carrier, &both).unwrap();
    assert!(!before.is_empty(), "or this tests nothing");
    assert_eq!(
        ids(&carrier, &with(&secrets, "hash-key", &[], &[("key", old)])).unwrap(),
        before,
        "a key that no rule names changes nothing"
    );
    let mut rotated = carrier.clone();
    for rule in &mut rotated.masking_rules {
        let hash = rule.spec.action.hash.iter_mut();
        hash.for_each(|hash| hash.key_secret_ref.key = "next".to_owned());
    }
    let after = ids(&rotated, &both).unwrap();
    assert!(after.keys().eq(before.keys()));
    assert!(
        before.iter().all(|(rule, id)| after[rule] != *id),
        "{before:?} {after:?}"
    );
    assert!(
        ids(&rotated, &with(&secrets, "hash-key", &[], &[("key", old)])).is_err(),
        "a door that does not have the new key yet shows no hashes by the old one under the new rule"
    );
}

#[test]
fn a_key_of_tokens_has_to_be_one_of_aes() {
    let (mut carrier, secrets) = sample();
    let action =
        serde_json::json!({"type": "Tokenize", "tokenize": {"keySecretRef": {"name": "token-key", "key": "key"}}});
    carrier.masking_rules[0].spec.action = serde_json::from_value(action).unwrap();
    assert!(materials::needed(&carrier).contains("token-key"));
    let opened = |secrets: &Secrets| opening::open(&carrier, secrets, Reach::Cluster);
    assert!(opened(&secrets).is_err(), "without the Secret");
    for (length, fits) in [
        (15, false),
        (16, true),
        (24, true),
        (31, false),
        (32, true),
        (64, false),
    ] {
        let key = "k".repeat(length);
        match opened(&with(&secrets, "token-key", &[], &[("key", key.as_str())])) {
            Ok(opened) => {
                let ids = opened.open.policy.masks().token_key_ids();
                assert!(
                    fits && ids.contains_key(&carrier.masking_rules[0].name),
                    "{length}: {ids:?}"
                );
            }
            Err(lack) => assert!(
                !fits && lack.reason == Reason::SecretMissing && lack.message.contains("16, 24 or 32 bytes"),
                "{length}: {}",
                lack.message
            ),
        }
    }
}

#[test]
fn secrets_do_not_show() {
    let (_, secrets) = sample();
    let shown = format!("{secrets:?}");
    assert!(
        shown.contains("password") && !shown.contains("not-to-be-seen"),
        "{shown}"
    );
    let _: &BTreeMap<_, _> = &secrets;
}
