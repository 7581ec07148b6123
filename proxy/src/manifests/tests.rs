//! The samples that are shipped, served from files; and every mistake that must be said at once.

use std::path::Path;
use std::sync::Arc;

use sallyport_audit::Time;
use sallyport_audit::record::{Batch, Claims, Event, LoginRefused, Refusal};
use sallyport_policy::carrier::Carrier;
use sallyport_recorder::client::EvidenceError;
use tokio::runtime::Handle;

use super::*;
use crate::control::materials::Secrets;
use crate::door::{Door, Rules};
use crate::drain::Drain;

/// What the samples leave to the cluster: Secrets, a CA, whose tokens count.
fn beside() -> String {
    let ca = rcgen::generate_simple_self_signed(vec!["postgres.bank.svc".to_owned()])
        .unwrap()
        .cert
        .pem()
        .replace('\n', "\n    ");
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: bank-ca, namespace: doors}}
data:
  ca.crt: |
    {ca}
---
apiVersion: v1
kind: Secret
metadata:
  name: bank-credentials
  namespace: doors
  annotations: {{sallyport.dev/hosts: "other.svc, Postgres.bank.svc"}}
stringData: {{username: sallyport, password: not-to-be-seen}}
---
apiVersion: v1
kind: Secret
metadata: {{name: hash-key, namespace: doors}}
data: {{key: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}}
---
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer:
      url: https://idp.example/realms/bank
      audiences: [sallyport]
    claimMappings:
      username: {{claim: preferred_username, prefix: "oidc:"}}
      groups: {{claim: groups, prefix: "oidc:"}}
"#
    )
}

/// The samples in a directory of their own, with `change` made to each file's text.
fn manifests(change: impl Fn(&str, String) -> String) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples");
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        std::fs::write(
            directory.path().join(&name),
            change(&name, std::fs::read_to_string(&path).unwrap()),
        )
        .unwrap();
    }
    std::fs::write(directory.path().join("beside.yaml"), change("beside.yaml", beside())).unwrap();
    directory
}

fn serve(directory: &Path, listen: &str, state: &Path) -> Result<Vec<Local>, StartError> {
    sallyport_runtime::crypto::install();
    let flags = Flags {
        manifests: Some(directory.to_owned()),
        listen: vec![listen.parse().unwrap()],
        state: Some(state.to_owned()),
    };
    start(
        &flags,
        &prometheus::Registry::new(),
        &Handle::current(),
        &Drain::default(),
    )
}

/// The carrier of the samples, and the Secrets that it needs: for tests of other rooms.
pub(crate) fn sample() -> (Carrier, Secrets) {
    sallyport_runtime::crypto::install();
    let (directory, state) = (manifests(|_, text| text), tempfile::tempdir().unwrap());
    start::resolved(directory.path(), &"bank=127.0.0.1:15432".parse().unwrap(), state.path()).unwrap()
}

fn only(doors: &[Local]) -> Door {
    doors[0].control.doors.borrow().clone().unwrap()
}

fn refused() -> LoginRefused {
    LoginRefused {
        claims: Claims::default(),
        client: "127.0.0.1:1".to_owned(),
        detail: "a test".to_owned(),
        person: None,
        reason: Refusal::BadToken,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_samples_open_a_door_that_records() {
    let (directory, state) = (manifests(|_, text| text), tempfile::tempdir().unwrap());
    let doors = serve(directory.path(), "bank=127.0.0.1:15432", state.path()).unwrap();
    let door = only(&doors);
    let Rules::Open(open) = door.rules.borrow().clone() else {
        panic!("shut")
    };
    assert_eq!(open.spec.target.host, "postgres.bank.svc");
    assert_eq!(open.credential.as_ref().unwrap().username, "sallyport");
    assert!(!format!("{open:?}{:?}", open.credential).contains("not-to-be-seen"));
    assert!(open.trust.is_some() && door.tls.load().is_some());
    assert_eq!(doors[0].control.status.borrow().shut, None);

    let batch = Batch::of(Time::now(), None, Event::LoginRefused(Box::new(refused()))).unwrap();
    assert!(door.evidence.append(batch).await.unwrap().on_disk());
    let ca = std::fs::read(state.path().join("doors.bank.ca.crt")).unwrap();
    door.evidence.close(std::time::Duration::from_secs(10)).await;
    drop((door, doors));

    // What was made once stays: clients keep trusting the door.
    let again = serve(directory.path(), "doors/bank=127.0.0.1:15432", state.path());
    assert_eq!(std::fs::read(state.path().join("doors.bank.ca.crt")).unwrap(), ca);
    assert!(again.is_ok(), "{:?}", again.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_as_they_were_first_written_open_the_same_door() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/manifests-v1alpha1");
    let mut read = 0;
    for entry in std::fs::read_dir(&golden).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(golden.join("../../../config/samples").join(&name).exists(), "{name:?}");
        read += 1;
    }
    assert_eq!(read, 4);
    let first = |name: &str, text: String| std::fs::read_to_string(golden.join(name)).unwrap_or(text);
    let (directory, state) = (manifests(first), tempfile::tempdir().unwrap());
    let doors = serve(directory.path(), "bank=127.0.0.1:15432", state.path()).unwrap();
    let door = only(&doors);
    let Rules::Open(open) = door.rules.borrow().clone() else {
        panic!("shut")
    };
    assert_eq!(doors[0].control.status.borrow().shut, None);
    // What they could not say yet has the value that it had by itself.
    let limits = &open.spec.limits;
    assert_eq!((limits.max_open_requests, limits.max_held_bytes), (500, 4 << 20));
}

#[test]
fn what_kubectl_lists_is_read_item_by_item() {
    let listed = |name: &str, text: String| {
        if name != "masking-rules.yaml" {
            return text;
        }
        let items: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    };
    let as_ever = sample().0;
    let (directory, state) = (manifests(listed), tempfile::tempdir().unwrap());
    let listen = "bank=127.0.0.1:15432".parse().unwrap();
    let (carrier, _) = start::resolved(directory.path(), &listen, state.path()).unwrap();
    assert_eq!(carrier.masking_rules, as_ever.masking_rules);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_an_asynchronous_sink_count_here_too() {
    let asynchronous = |_: &str, text: String| {
        text.replace(
            "durability: BeforeExecution",
            "durability: Async\n  async: {maxRecords: 1, maxLag: 1s}",
        )
    };
    let (directory, state) = (manifests(asynchronous), tempfile::tempdir().unwrap());
    let doors = serve(directory.path(), "bank=127.0.0.1:15432", state.path()).unwrap();
    let door = only(&doors);
    let event = || Event::LoginRefused(Box::new(refused()));
    let mut batch = Batch::of(Time::now(), None, event()).unwrap();
    batch.push(Time::now(), None, event()).unwrap();
    let error = door.evidence.append(batch).await.unwrap_err();
    assert!(matches!(error, EvidenceError::Full { .. }), "{error}");
}

#[tokio::test]
async fn every_mistake_is_said_at_once() {
    type Change = fn(&str, String) -> String;
    let table: [(&str, Change, &str); 18] = [
        (
            "field that nobody knows",
            |_, t| {
                t.replace(
                    "    environment: production\nspec:",
                    "    environment: production\nspec:\n  colour: red",
                )
            },
            "spec.colour: unknown field",
        ),
        (
            "CEL rule",
            |_, t| t.replace("mode: VerifyFull", "mode: Disable"),
            "insecureReason",
        ),
        (
            "out of bounds",
            |_, t| t.replace("port: 5432\n    tls", "port: 70000\n    tls"),
            "spec.target.port: too large",
        ),
        (
            "not of its type",
            |_, t| t.replace("protocol: PostgreSQL", "protocol: MySQL"),
            "unknown variant",
        ),
        (
            "duration",
            |_, t| t.replace("idle: 30m", "idle: 30 minutes"),
            "is not a duration",
        ),
        (
            "required rule gone",
            |n, t| if n == "approval-policy.yaml" { String::new() } else { t },
            "does not exist; the Connection requires it",
        ),
        (
            "rule that does not compile",
            |_, t| {
                t.replace(
                    "command.verbs.exists(v, v in ['delete', 'merge'])",
                    "command.verbz == 1",
                )
            },
            "ApprovalPolicy changes",
        ),
        (
            "sink gone",
            |n, t| if n == "audit-sink.yaml" { String::new() } else { t },
            "AuditSink evidence/evidence",
        ),
        (
            "copies that nobody makes",
            |_, t| {
                t.replace(
                    "  commandText: Exact",
                    "  commandText: Exact\n  destinations: [{name: out, stdout: {}}]",
                )
            },
            "spec.destinations is not implemented",
        ),
        (
            "people whom only another process could confirm",
            |_, t| t.replace("  commandText: Exact", "  commandText: Exact\n  unconfirmed: Refuse"),
            "needs a recorder in a process of its own",
        ),
        (
            "sink for others",
            |_, t| t.replace("namespaces: [doors]", "namespaces: [others]"),
            "does not take Connections",
        ),
        (
            "no issuers",
            |n, t| {
                if n == "beside.yaml" {
                    t.replace("AuthenticationConfiguration", "Other")
                } else {
                    t
                }
            },
            "no AuthenticationConfiguration",
        ),
        (
            "Secret gone",
            |_, t| t.replace("name: bank-credentials\n  namespace", "name: other\n  namespace"),
            "Secret bank-credentials does not exist",
        ),
        (
            "host not named",
            |_, t| t.replace(", Postgres.bank.svc", ""),
            "may not be used for postgres.bank.svc",
        ),
        (
            "short key",
            |_, t| t.replace("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "c2hvcnQ="),
            "at least 32 bytes",
        ),
        (
            "rule of a version to come",
            |n, t| {
                if n == "masking-rules.yaml" {
                    t.replacen("sallyport.dev/v1alpha1", "sallyport.dev/v1beta1", 1)
                } else {
                    t
                }
            },
            "MaskingRule of sallyport.dev/v1beta1; this version reads sallyport.dev/v1alpha1",
        ),
        (
            "rule of a kind that nobody knows",
            |_, t| t.replacen("kind: MaskingRule", "kind: MaskingRules", 1),
            "sallyport.dev/v1alpha1 has no kind MaskingRules",
        ),
        (
            "CA gone",
            |_, t| t.replace("name: bank-ca, namespace: doors", "name: bank-ca, namespace: other"),
            "ConfigMap bank-ca",
        ),
    ];
    for (what, change, words) in table {
        let (directory, state) = (manifests(change), tempfile::tempdir().unwrap());
        let error = serve(directory.path(), "bank=127.0.0.1:15432", state.path())
            .err()
            .unwrap_or_else(|| panic!("{what}: opened"));
        assert!(error.to_string().contains(words), "{what}: {error}");
        assert!(!error.to_string().contains("not-to-be-seen"));
    }
}

#[tokio::test]
async fn a_door_is_named_without_doubt() {
    let (directory, state) = (manifests(|_, text| text), tempfile::tempdir().unwrap());
    for name in ["other", "elsewhere/bank"] {
        assert!(
            matches!(
                serve(directory.path(), &format!("{name}=127.0.0.1:1"), state.path()),
                Err(StartError::Listen(..))
            ),
            "{name}"
        );
    }
    for bad in ["bank", "=127.0.0.1:1", "bank=localhost", "bank=127.0.0.1"] {
        assert!(bad.parse::<Listen>().is_err(), "{bad}");
    }
    let listen: Listen = "doors/bank=[::1]:5432".parse().unwrap();
    assert_eq!(
        (listen.namespace.as_deref(), listen.name.as_str()),
        (Some("doors"), "bank")
    );
}

#[test]
fn made_things_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let state = super::state::State::open(Some(&directory.path().join("a/b"))).unwrap();
    let made = state.file("key", || Ok(b"one".to_vec())).unwrap();
    assert_eq!(made, state.file("key", || Ok(b"two".to_vec())).unwrap(), "made once");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&state.path("key")), mode(&directory.path().join("a/b"))),
        (0o600, 0o700)
    );
}

#[test]
fn the_made_certificate_is_believed_by_name_and_address() {
    let [chain, key, ca] =
        super::state::certificate(&["bank.example".to_owned()], "127.0.0.9".parse().unwrap()).unwrap();
    sallyport_runtime::crypto::install();
    let current = sallyport_runtime::tls::Current::from_pem(&chain, &key).unwrap();
    let server = Arc::new(sallyport_runtime::tls::server_config(Arc::new(current), &[]).unwrap());
    let client = Arc::new(sallyport_runtime::tls::client_config(sallyport_runtime::tls::roots(&ca).unwrap()).unwrap());
    for (name, good) in [
        ("localhost", true),
        ("127.0.0.9", true),
        ("bank.example", true),
        ("other.example", false),
    ] {
        let mut client = rustls::ClientConnection::new(client.clone(), name.to_owned().try_into().unwrap()).unwrap();
        let mut server = rustls::ServerConnection::new(server.clone()).unwrap();
        assert_eq!(handshake(&mut client, &mut server), good, "{name}");
    }
}

fn handshake(client: &mut rustls::ClientConnection, server: &mut rustls::ServerConnection) -> bool {
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
