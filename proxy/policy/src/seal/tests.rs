use aws_lc_rs::signature::KeyPair;
use serde_json::{Value, json};

use super::*;

/// What the first version wrote: a grant that lasts, and a use of break-glass that was reviewed.
const WRITTEN: &str = include_str!("../../testdata/requests-v1.json");
/// The key by which it sealed them. Only tests trust it.
const GOLDEN_KEY: &str = "XWPGQI3YyJzxZRfrue9LdnvVDRVJLmIhGVhGghUHnkE=";

fn written(index: usize) -> Value {
    let all: Value = serde_json::from_str(WRITTEN).unwrap();
    all[index].clone()
}

fn read(request: Value) -> AccessRequest {
    serde_json::from_value(request).unwrap()
}

fn golden() -> Vec<Vec<u8>> {
    vec![STANDARD.decode(GOLDEN_KEY).unwrap()]
}

#[test]
fn what_the_first_version_sealed_is_believed() {
    for index in [0, 1] {
        let request = read(written(index));
        assert!(is_due(&request) && is_sealed(&request, &golden()), "{index}");
        // And what is sealed today is what it would have sealed.
        let key = Ed25519KeyPair::generate().unwrap();
        let mut again = request.clone();
        let seal = seal(&request, &key).unwrap();
        assert_eq!(seal.by, request.status.as_ref().unwrap().seal.as_ref().unwrap().by);
        again.status.as_mut().unwrap().seal = Some(seal);
        assert!(is_sealed(&again, &[key.public_key().as_ref().to_vec()]), "{index}");
        assert!(!is_sealed(&again, &golden()), "by another key");
        assert!(!is_sealed(&again, &[]));
    }
}

#[test]
fn whatever_a_door_goes_by_cannot_be_changed() {
    let changes = [
        (0, "/metadata/uid", json!("uid-bank-3")),
        (0, "/metadata/name", json!("bank-3")),
        (0, "/metadata/namespace", json!("elsewhere")),
        (0, "/metadata/labels/sallyport.dev~1grant", json!("f".repeat(60))),
        (0, "/spec/connection/uid", json!("uid-ledger")),
        (0, "/spec/requester/subject", json!("sub-mallory")),
        (0, "/spec/requester/issuer", json!("https://idp.example/realms/other")),
        (0, "/spec/agents", json!([])),
        (0, "/spec/scope", json!("Command")),
        (0, "/spec/command/digest", json!("f".repeat(64))),
        (0, "/spec/askedBy", json!([])),
        (0, "/spec/expiresAt", json!("2100-01-01T00:00:00Z")),
        (0, "/spec/session/id", json!("ffff")),
        (0, "/spec/breakGlass", json!(true)),
        (0, "/status/grantedUntil", json!("2100-01-01T00:00:00Z")),
        (0, "/status/target", json!("elsewhere:5432")),
        (0, "/status/requirements", json!([])),
        (
            0,
            "/status/conditions/0/lastTransitionTime",
            json!("2026-11-28T12:30:00Z"),
        ),
        (0, "/status/conditions", json!([])),
        (0, "/status/approvals", json!([])),
        (0, "/status/approvals/0/user", json!("oidc:carol")),
        (0, "/status/approvals/0/decision", json!("Deny")),
        (0, "/status/approvals/0/subject", json!("sub-carol")),
        (0, "/status/approvals/0/groups", json!(["oidc:dba", "oidc:admins"])),
        (0, "/status/approvals/0/reason", json!("another")),
        (0, "/status/approvals/0/authTime", json!(1)),
        (0, "/status/logins/0/seen", json!("2026-11-28T11:00:00Z")),
        (0, "/status/logins/0/tooOld", json!(true)),
        (0, "/status/seal/by", json!([])),
        (0, "/status/seal/by", json!(["oidc:bob", "oidc:carol"])),
        (0, "/status/seal/signature", json!("not base64")),
        (0, "/status/seal/signature", json!("AAAA")),
        (1, "/metadata/uid", json!("uid-bank-1")),
        (1, "/spec/window/duration", json!("24h")),
        (1, "/spec/breakGlass", json!(false)),
        (1, "/status/conditions/0/type", json!("Approved")),
        (1, "/status/conditions/0/status", json!("False")),
    ];
    for (index, path, value) in changes {
        let mut changed = written(index);
        *changed.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value.clone();
        assert!(!is_sealed(&read(changed), &golden()), "{path} {value}");
    }
    for path in ["seal", "approvals", "conditions"] {
        let mut less = written(0);
        less["status"].as_object_mut().unwrap().remove(path);
        assert!(!is_sealed(&read(less), &golden()), "{path}");
    }
}

#[test]
fn what_comes_later_breaks_nothing_and_is_not_covered() {
    let mut more = written(0);
    let mut carol = more["status"]["approvals"][0].clone();
    carol["user"] = json!("oidc:carol");
    let mut denied = carol.clone();
    denied["decision"] = json!("Revoke");
    let answers = more["status"]["approvals"].as_array_mut().unwrap();
    answers.insert(0, carol);
    answers.push(denied);
    more["status"]["consumed"] =
        json!({ "nonce": "0123456789abcdef", "pod": "p", "time": "2026-11-28T12:06:00.000000Z" });
    more["status"]["left"] = json!("<1m");
    more["status"]["ofALaterVersion"] = json!(1);
    let more = read(more);
    assert!(is_sealed(&more, &golden()));
    let covered = covered(more.status.as_ref().unwrap());
    let covered: Vec<_> = covered
        .iter()
        .map(|answer| (answer.user.as_str(), answer.decision))
        .collect();
    assert_eq!(
        covered,
        [("oidc:bob", Decision::Approve), ("oidc:carol", Decision::Revoke)]
    );
}

#[test]
fn a_review_stands_though_policies_and_times_are_others_by_now() {
    let mut later = written(1);
    for (path, value) in [
        ("/status/requirements", json!([])),
        ("/status/approvals", json!([])),
        ("/status/target", json!("elsewhere:5432")),
        ("/status/grantedUntil", json!("2026-11-28T12:45:00Z")),
    ] {
        *later.pointer_mut(path).unwrap() = value;
    }
    assert!(is_sealed(&read(later), &golden()));
}

#[test]
fn nothing_is_sealed_that_people_did_not_say_yes_to() {
    let key = Ed25519KeyPair::generate().unwrap();
    for (index, path, value) in [
        (0, "/status/conditions/0/status", json!("False")),
        // A use of break-glass is approved by nobody, and what was approved is not reviewed.
        (1, "/status/conditions/0/type", json!("Approved")),
        (0, "/status/conditions/0/type", json!("Reviewed")),
    ] {
        let mut request = written(index);
        *request.pointer_mut(path).unwrap() = value;
        let request = read(request);
        assert!(!is_due(&request), "{path}");
        assert_eq!(seal(&request, &key), None, "{path}");
    }
}

#[test]
fn a_seal_of_a_later_form_is_none() {
    let key = Ed25519KeyPair::generate().unwrap();
    let trusted = [key.public_key().as_ref().to_vec()];
    let mut request = read(written(0));
    let by = vec!["oidc:bob".to_owned()];
    let words = serde_json::to_vec(&content(&request, &by).unwrap()).unwrap();
    for (form, believed) in [("v1", true), ("v2", false)] {
        let message = [format!("sallyport request {form}\n").as_bytes(), &words].concat();
        request.status.as_mut().unwrap().seal = Some(Seal {
            by: by.clone(),
            signature: STANDARD.encode(key.sign(&message)),
        });
        assert_eq!(is_sealed(&request, &trusted), believed, "{form}");
    }
}
