//! Our log in other people's hands: Go's own transparency log code reads what a recorder wrote, agrees with it, and refutes
//! what was changed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::Time;
use sallyport_audit::note::{Note, Signer};
use sallyport_audit::permit::Permit;
use sallyport_audit::record::{
    Batch, Claims, EndCause, Event, Instance, ObjectRef, Origin, Person, PodRef, Seal, SessionEnd, SessionId,
    SessionStart, Token, Writer,
};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Checked, Config, Log};
use sallyport_recorder::metrics::LogMetrics;

fn object(name: &str) -> ObjectRef {
    ObjectRef {
        name: name.to_owned(),
        namespace: "doors".to_owned(),
        uid: format!("{name}-uid"),
    }
}

fn pod() -> PodRef {
    PodRef {
        name: "pod".to_owned(),
        uid: "pod-uid".to_owned(),
    }
}

fn start() -> Event {
    Event::SessionStart(Box::new(SessionStart {
        agents: Vec::new(),
        claims: Claims::default(),
        client: "10.0.0.7:5".into(),
        groups: Vec::new(),
        groups_omitted: 0,
        person: Person {
            issuer: "https://idp".into(),
            subject: "1".into(),
            username: "oidc:alice".into(),
        },
        policy_revision: 1,
        protocol: "postgres".into(),
        target: "pg:5432".into(),
        token: Token::default(),
        token_elsewhere: None,
    }))
}

/// A log of more than two levels of tiles, and a checkpoint of when it was younger.
async fn written(root: &Path, witness: &Signer) -> (String, PathBuf) {
    let config = Config {
        sink: object("evidence"),
        pod: pod(),
        checkpoint_every: Duration::from_millis(50),
        grace: Duration::from_secs(60),
        witness: Some(witness.verifier().clone()),
        retention: None,
        metrics: LogMetrics::unregistered().unwrap(),
    };
    let log = Log::open(Arc::new(Folder::claim(root, Duration::ZERO).unwrap()), config).unwrap();
    let head = log.publish().await.unwrap();
    let permit = Permit {
        origin: log.key().name().to_owned(),
        size: head.size,
        root: head.root,
        boot: log.boot().clone(),
        epoch: 1,
    };
    log.permit(permit.sign(witness)).await.unwrap();
    let instance = Instance::random().unwrap();
    let seal = Seal::new(&Origin {
        connection: Some(object("bank").into()),
        instance,
        pod: pod().into(),
        writer: Writer::Proxy,
    })
    .unwrap();
    let older = root.join("older");
    for n in 0..700_u64 {
        let session = SessionId::random().unwrap();
        let mut batch = Batch::new();
        batch.push(Time::now(), Some(&session), start()).unwrap();
        let end = SessionEnd {
            cause: EndCause::ClientClosed,
            commands: n,
            duration_us: 1,
        };
        batch.push(Time::now(), Some(&session), Event::SessionEnd(end)).unwrap();
        let records = (n * 2 + 1..)
            .zip(batch.drafts())
            .map(|(seq, draft)| Checked::new(seal.seal(draft, seq).unwrap()).unwrap());
        log.append(records.collect(), None).await.unwrap().unwrap();
        if n == 200 {
            let head = log.publish().await.unwrap();
            let text = head.checkpoint(log.key().name()).text();
            std::fs::write(&older, log.key().note_of(&text, &head.signature)).unwrap();
        }
    }
    log.close("test").await;
    (log.key().to_string(), older)
}

fn verify(binary: &Path, root: &Path, key: &str, older: &Path, witness: &str) -> Output {
    let output = Command::new(binary)
        .arg(root.join("log"))
        .arg(key)
        .arg(older)
        .arg(witness)
        .output();
    output.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gos_transparency_log_agrees() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (witness, _) = Signer::generate("sallyport.dev/operator").unwrap();
    let (key, older) = written(root, &witness).await;
    let checkpoint = root.join("log/checkpoint");
    let note = std::fs::read_to_string(&checkpoint).unwrap();
    let cosignature = witness.cosign(Note::parse(&note).unwrap().text(), 1_700_000_000);
    std::fs::write(&checkpoint, format!("{note}{cosignature}")).unwrap();

    let binary = root.join("verify");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go");
    // As the cluster's programs are built, which Go keeps its own library of.
    let built = Command::new("go")
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(source)
        .output();
    let built = built.expect("Go is installed");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let vouched = witness.verifier().cosigner().to_string();
    let good = verify(&binary, root, &key, &older, &vouched);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(said.contains("1402 entries included, consistent with 403"), "{said}");

    let (stranger, _) = Signer::generate("sallyport.dev/operator").unwrap();
    let foreign = verify(&binary, root, &key, &older, &stranger.verifier().cosigner().to_string());
    assert!(!foreign.status.success(), "a cosignature of somebody else");
    let bundle = root.join("log/tile/entries/002");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let refuted = verify(&binary, root, &key, &older, &vouched);
    assert!(
        String::from_utf8_lossy(&refuted.stderr).contains("inclusion of"),
        "one bit of one entry"
    );
}
