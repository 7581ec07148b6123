mod kept;

use sallyport_audit::Digest;
use sallyport_audit::checkpoint::Checkpoint;
use sallyport_audit::merkle::{Frontier, leaf_hash};
use sallyport_audit::note::Signer;
use sallyport_policy::issuer::Trusted;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::keys::Witness;

const ORIGIN: &str = "sallyport.dev/log/evidence/main/uid";

fn root(leaves: &[&str]) -> Digest {
    let mut tree = Frontier::new();
    for leaf in leaves {
        tree.push(leaf_hash(leaf.as_bytes()));
    }
    tree.root()
}

fn answer(signer: &Signer, leaves: &[&str], proof: &[Digest]) -> Answer {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: leaves.len() as u64,
        root: root(leaves),
    };
    Answer::new(checkpoint.sign(signer), signer.verifier().to_string(), proof)
}

fn look(before: &Sight, answer: Answer) -> Sight {
    judge(
        before,
        Ok(answer),
        ORIGIN,
        &Witness::make().unwrap(),
        jiff::Timestamp::UNIX_EPOCH,
    )
}

fn signer() -> Signer {
    Signer::generate(ORIGIN).unwrap().0
}

#[test]
fn a_log_that_grows_is_consistent_and_cosigned() {
    let signer = signer();
    let first = look(&Sight::default(), answer(&signer, &["a"], &[]));
    assert_eq!(first.outcome, Outcome::Consistent);
    let second = look(&first, answer(&signer, &["a", "b"], &[leaf_hash(b"b")]));
    assert_eq!(second.outcome, Outcome::Consistent);
    let checkpoint = second.checkpoint.unwrap();
    assert_eq!(checkpoint.size, 2);
    assert!(
        checkpoint.note.contains("sallyport.dev/operator"),
        "{}",
        checkpoint.note
    );
}

#[test]
fn a_log_that_was_rewritten_is_refuted_though_its_own_key_signed() {
    let signer = signer();
    let first = look(&Sight::default(), answer(&signer, &["a"], &[]));
    let forged = look(&first, answer(&signer, &["x", "b"], &[leaf_hash(b"b")]));
    assert!(matches!(forged.outcome, Outcome::Inconsistent(_)));
    assert_eq!(forged.checkpoint, first.checkpoint, "what was seen before stands");
}

#[test]
fn another_key_and_a_shorter_log_are_refuted() {
    let first = look(&Sight::default(), answer(&signer(), &["a"], &[]));
    assert!(matches!(
        look(&first, answer(&signer(), &["a"], &[])).outcome,
        Outcome::Inconsistent(_)
    ));
    let shorter = judge(
        &first,
        Err(AskError::Shorter),
        ORIGIN,
        &Witness::make().unwrap(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert!(matches!(shorter.outcome, Outcome::Inconsistent(_)));
}

#[test]
fn a_recorder_that_is_away_changes_nothing_that_was_seen() {
    let first = look(&Sight::default(), answer(&signer(), &["a"], &[]));
    let away = judge(
        &first,
        Err(AskError::Unreachable),
        ORIGIN,
        &Witness::make().unwrap(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert_eq!(
        away,
        Sight {
            outcome: away.outcome.clone(),
            ..first
        }
    );
    assert_eq!(away.outcome.label(), "unavailable");
}

#[test]
fn the_log_of_a_namesake_is_another_log() {
    let (signer, _) = Signer::generate("sallyport.dev/log/evidence/main/other").unwrap();
    let checkpoint = Checkpoint {
        origin: "sallyport.dev/log/evidence/main/other".into(),
        size: 1,
        root: root(&["a"]),
    };
    let answer = Answer::new(checkpoint.sign(&signer), signer.verifier().to_string(), &[]);
    assert!(matches!(
        look(&Sight::default(), answer).outcome,
        Outcome::Inconsistent(_)
    ));
}

fn fenced(answer: Answer, boot: &str) -> Answer {
    let mut answer = answer;
    answer.boot = boot.to_owned();
    answer.fenced = true;
    answer
}

const FIRST: &str = "00000000000000000000000000000001";
const SECOND: &str = "00000000000000000000000000000002";

#[test]
fn each_start_of_a_recorder_gets_the_next_number_and_the_same_start_the_same() {
    let signer = signer();
    let answer = answer(&signer, &["a"], &[]);
    let first = permit(&Sight::default(), &fenced(answer.clone(), FIRST), ORIGIN).unwrap();
    assert_eq!((first.epoch, first.size, first.root), (1, 1, root(&["a"])));
    let writes = |boot: &str, epoch| Sight {
        writes: Some(Writes {
            boot: boot.to_owned(),
            epoch,
        }),
        ..Sight::default()
    };
    assert_eq!(
        permit(&writes(FIRST, 1), &fenced(answer.clone(), FIRST), ORIGIN)
            .unwrap()
            .epoch,
        1
    );
    assert_eq!(
        permit(&writes(FIRST, 1), &fenced(answer.clone(), SECOND), ORIGIN)
            .unwrap()
            .epoch,
        2
    );
    assert_eq!(
        permit(&Sight::default(), &answer, ORIGIN),
        None,
        "who is not fenced asks for nothing"
    );
}

#[test]
fn who_writes_without_the_last_permit_is_found_out() {
    let signer = signer();
    let before = Sight {
        writes: Some(Writes {
            boot: SECOND.to_owned(),
            epoch: 2,
        }),
        ..Sight::default()
    };
    let writing = |boot: &str| {
        let mut answer = answer(&signer, &["a"], &[]);
        answer.boot = boot.to_owned();
        answer
    };
    assert_eq!(look(&before, writing(SECOND)).outcome, Outcome::Consistent);
    assert!(matches!(
        look(&before, writing(FIRST)).outcome,
        Outcome::Inconsistent(_)
    ));
    let back = look(&before, fenced(answer(&signer, &["a"], &[]), FIRST));
    assert_eq!(
        back.outcome,
        Outcome::Consistent,
        "a start that waits is judged by its log alone"
    );
}

/// One issuer that the admin names.
fn keycloak() -> Issuers {
    let issuer = serde_json::json!({
        "name": "keycloak", "url": "https://idp", "audiences": ["sallyport"], "username": { "claim": "email" },
    });
    Issuers {
        issuers: [("keycloak".to_owned(), serde_json::from_value(issuer).unwrap())].into(),
        api_server_audiences: vec!["kubernetes".to_owned()],
        ..Issuers::default()
    }
}

#[test]
fn a_recorder_that_checks_tokens_is_told_whose_count_until_it_knows() {
    let issuers = keycloak();
    let knowing = |issuers: Option<&str>| {
        let mut answer = answer(&signer(), &["a"], &[]);
        answer.issuers = issuers.map(str::to_owned);
        answer
    };
    let said = untold(&knowing(Some("")), &issuers).expect("it was told nothing");
    let trusted: Trusted = serde_json::from_str(&said).unwrap();
    assert_eq!((trusted.issuers.len(), trusted.api_server_audiences.len()), (1, 1));
    let digest = Digest::of(said.as_bytes()).to_string();
    assert_eq!(untold(&knowing(Some(&digest)), &issuers), None);
    assert!(
        untold(&knowing(Some(&digest)), &Issuers::default()).is_some(),
        "one fewer"
    );
    assert_eq!(
        untold(&knowing(None), &issuers),
        None,
        "a recorder of an earlier version checks none"
    );
}

/// The way to a recorder that takes whatever it is told, and states this of whose tokens count.
async fn stating(issuers: String) -> Recorder {
    sallyport_runtime::crypto::install();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let is_whole = |got: &[u8]| {
        let text = String::from_utf8_lossy(got).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
        lengths
            .next()
            .is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut got = Vec::new();
            while !is_whole(&got) {
                assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "the request is not whole");
            }
            let body = serde_json::json!({ "checkpoint": "", "vkey": "", "issuers": issuers }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let config = sallyport_runtime::tls::client_config(rustls::RootCertStore::empty()).unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .build()
        .unwrap();
    Recorder { client, base }
}

#[tokio::test]
async fn a_recorder_that_is_told_and_states_something_else_is_not_available() {
    let (issuers, before) = (keycloak(), Sight::default());
    let sink = ObjectRef {
        namespace: "evidence".to_owned(),
        name: "main".to_owned(),
        uid: "uid".to_owned(),
    };
    let asked = || {
        let mut answer = answer(&signer(), &["a"], &[]);
        answer.issuers = Some(String::new());
        answer
    };
    let right = Digest::of(untold(&asked(), &issuers).unwrap().as_bytes()).to_string();
    let told = async |states: &str| {
        let recorder = Ok(stating(states.to_owned()).await);
        tell(&sink, &before, &issuers, &recorder, Ok(asked())).await
    };
    assert_eq!(told(&right).await.unwrap().issuers, Some(right));
    let refused = told(&Digest::of(b"something else").to_string()).await;
    let witness = Witness::make().unwrap();
    let sight = judge(&before, refused, ORIGIN, &witness, jiff::Timestamp::UNIX_EPOCH);
    assert!(
        matches!(&sight.outcome, Outcome::Unavailable(why) if why.contains("states something else")),
        "{:?}",
        sight.outcome
    );
}

const LEDGER: &str = "/api/v1/namespaces/sallyport-system/configmaps/sallyport-logs";
const SINK: &str = "/apis/sallyport.dev/v1alpha1/namespaces/evidence/auditsinks/evidence";

/// The sink `evidence/evidence` as the watch shows it, and what a ledger holds.
async fn stands(scenario: &mut crate::testing::scenario::Scenario) -> (Arc<Guarded<AuditSink>>, ObjectRef, Ledger) {
    scenario.apply_sink().await;
    let guarded = scenario.context.world.audit_sinks.state().remove(0);
    let sink = reference(&guarded).unwrap();
    let ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    (guarded, sink, ledger)
}

#[tokio::test]
async fn a_ledger_that_was_lost_is_no_leave_to_begin_anew() {
    let mut scenario = crate::testing::scenario::Scenario::new();
    let signer = signer();
    scenario.apply_sink().await;
    let known = look(&Sight::default(), answer(&signer, &["a"], &[])).checkpoint;
    let mut object = scenario.api.get(SINK).unwrap();
    object["status"]["checkpoint"] = serde_json::to_value(&known).unwrap();
    object["status"]["verifierKey"] = signer.verifier().to_string().into();
    scenario.api.put(SINK, object);
    let (guarded, sink, ledger) = stands(&mut scenario).await;
    let before = seen(&scenario.context, &ledger, &guarded, &sink).unwrap().unwrap();
    assert_eq!(before.checkpoint, known);
    let rewritten = look(&before, answer(&signer, &["x", "b"], &[leaf_hash(b"b")]));
    assert!(matches!(rewritten.outcome, Outcome::Inconsistent(_)));
    let grown = answer(&signer, &["a", "b"], &[leaf_hash(b"b")]);
    assert_eq!(look(&before, grown.clone()).outcome, Outcome::Consistent);
    let next = permit(&before, &fenced(grown, FIRST), ORIGIN).unwrap();
    assert!(next.epoch > 1_000_000, "doors may know any number of permits of before");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_gets_no_permit_until_it_is_mended() {
    let mut scenario = crate::testing::scenario::Scenario::new();
    let map =
        |entry: &str| serde_json::json!({ "metadata": { "name": "sallyport-logs" }, "data": { "uid-sink": entry } });
    scenario.api.put(LEDGER, map("{}"));
    let (guarded, sink, mut ledger) = stands(&mut scenario).await;
    let why = seen(&scenario.context, &ledger, &guarded, &sink).unwrap_err();
    refuse(&scenario.context, &sink, why);
    scenario.apply_sink().await;
    let ready = scenario.condition("auditsinks", "evidence", "evidence", "Ready");
    assert_eq!(ready, ("False".to_owned(), "Inconsistent".to_owned()));

    let entry = r#"{"namespace":"evidence","name":"evidence","born":"2026-11-01T00:00:00Z","verifierKey":"key"}"#;
    scenario.api.put(LEDGER, map(entry));
    mend(&scenario.context, &mut ledger).await;
    let before = seen(&scenario.context, &ledger, &guarded, &sink).unwrap().unwrap();
    assert_eq!(before.verifier_key.as_deref(), Some("key"));
}
