use super::*;
use crate::testing::scenario::Scenario;

const PATH: &str = "/api/v1/namespaces/sallyport-system/configmaps/sallyport-logs";
const ENTRY: &str = r#"{"namespace":"evidence","name":"evidence","born":"2026-11-01T00:00:00Z","verifierKey":"key"}"#;

fn stored(scenario: &Scenario, entry: &str) {
    let map = json!({ "metadata": { "name": "sallyport-logs", "namespace": "sallyport-system" }, "data": { "uid-sink": entry } });
    scenario.api.put(PATH, map);
}

#[tokio::test]
async fn an_entry_that_does_not_decode_is_a_fault_and_no_new_log() {
    let scenario = Scenario::new();
    stored(&scenario, r#"{"namespace":"evidence"}"#);
    let mut ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    assert_eq!(ledger.entry("uid-sink"), None);
    let why = ledger.fault("uid-sink").unwrap();
    assert!(why.contains("entry uid-sink of ConfigMap sallyport-logs"), "{why}");
    assert_eq!(ledger.fault("uid-another"), None);

    assert_eq!(
        ledger.open_again(&scenario.context.client).await.unwrap(),
        Vec::<String>::new()
    );
    stored(&scenario, ENTRY);
    assert_eq!(ledger.open_again(&scenario.context.client).await.unwrap(), ["uid-sink"]);
    assert_eq!(ledger.fault("uid-sink"), None);
    assert_eq!(ledger.entry("uid-sink").unwrap().verifier_key.as_deref(), Some("key"));
}

#[tokio::test]
async fn what_was_read_once_is_not_read_again() {
    let scenario = Scenario::new();
    stored(&scenario, ENTRY);
    let mut ledger = Ledger::open(&scenario.context.client, "sallyport-system")
        .await
        .unwrap();
    stored(&scenario, "{}");
    assert_eq!(
        ledger.open_again(&scenario.context.client).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(ledger.entry("uid-sink").unwrap().verifier_key.as_deref(), Some("key"));
}

/// What the ledger holds of the log, as it is stored.
fn kept(scenario: &Scenario) -> Entry {
    let map = scenario.api.get(PATH).unwrap();
    serde_json::from_str(map["data"]["uid-sink"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_log_whose_sink_is_gone_has_ended_once_and_stays_known() {
    let scenario = Scenario::new();
    stored(&scenario, ENTRY);
    let client = &scenario.context.client;
    let [first, later]: [Timestamp; 2] = ["2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"].map(|at| at.parse().unwrap());
    let present = |uid: &str| BTreeSet::from([uid.to_owned()]);
    let mut ledger = Ledger::open(client, "sallyport-system").await.unwrap();
    ledger.ended(client, &present("uid-sink"), first).await.unwrap();
    assert_eq!(kept(&scenario).ended, None);

    // A sink that was made again under the same name has another log.
    ledger.ended(client, &present("uid-namesake"), first).await.unwrap();
    let ended = kept(&scenario);
    assert_eq!(ended.ended, Some(first));
    assert_eq!(
        (ended.name.as_str(), ended.verifier_key.as_deref()),
        ("evidence", Some("key"))
    );
    assert_eq!(ledger.entry("uid-sink"), Some(&ended));

    // The end stays where it was, for the next operator, too.
    ledger.ended(client, &BTreeSet::new(), later).await.unwrap();
    let mut next = Ledger::open(client, "sallyport-system").await.unwrap();
    next.ended(client, &BTreeSet::new(), later).await.unwrap();
    assert_eq!(kept(&scenario), ended);
}

#[tokio::test]
async fn an_end_that_cannot_be_noted_is_not_taken_for_noted() {
    let scenario = Scenario::new();
    stored(&scenario, ENTRY);
    let client = &scenario.context.client;
    let mut ledger = Ledger::open(client, "sallyport-system").await.unwrap();
    scenario.api.forbid(PATH);
    let ended = ledger.ended(client, &BTreeSet::new(), Timestamp::UNIX_EPOCH).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(
        ledger.entry("uid-sink").unwrap().ended,
        None,
        "the next round tries again"
    );
}

/// As the first version wrote one: with a checkpoint, and the start of a recorder that may write.
const WRITTEN: &str = r#"{"namespace":"evidence","name":"evidence","born":"2026-11-01T00:00:00Z","origin":"sallyport.dev/log/evidence/evidence/uid-sink","verifierKey":"key","checkpoint":{"size":7,"root":"SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=","note":"note","time":"2026-11-01T00:00:01Z"},"writes":{"boot":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","epoch":3}}"#;

#[tokio::test]
async fn what_the_first_version_noted_is_known_and_what_a_later_one_means_is_not_guessed() {
    let scenario = Scenario::new();
    let client = &scenario.context.client;
    stored(&scenario, WRITTEN);
    let ledger = Ledger::open(client, "sallyport-system").await.unwrap();
    let entry = ledger.entry("uid-sink").unwrap();
    assert_eq!(serde_json::to_string(entry).unwrap(), WRITTEN);
    for (format, known) in [(1, true), (2, false)] {
        stored(&scenario, &WRITTEN.replacen('{', &format!("{{\"format\":{format},"), 1));
        let ledger = Ledger::open(client, "sallyport-system").await.unwrap();
        assert_eq!(ledger.entry("uid-sink").is_some(), known, "{format}");
        assert_eq!(ledger.fault("uid-sink").is_none(), known, "{format}");
    }
}

#[tokio::test]
async fn who_makes_logs_without_end_leaves_room_for_those_of_others() {
    let scenario = Scenario::new();
    let client = &scenario.context.client;
    let mut ended: Entry = serde_json::from_str(WRITTEN).unwrap();
    ended.namespace = "greedy".into();
    ended.ended = Some(Timestamp::UNIX_EPOCH);
    let text = serde_json::to_string(&ended).unwrap();
    // As many as take half of the room, and a few less.
    for (count, taken) in [(ROOM / 2 / text.len(), false), (ROOM / 4 / text.len(), true)] {
        let data: serde_json::Map<_, _> = (0..count)
            .map(|number| (format!("uid-{number}"), json!(text)))
            .collect();
        scenario
            .api
            .put(PATH, json!({ "metadata": { "name": "sallyport-logs" }, "data": data }));
        let mut ledger = Ledger::open(client, "sallyport-system").await.unwrap();
        let more = ledger.note(client, "uid-more", ended.clone()).await;
        assert_eq!(more.is_ok(), taken, "{count}: {more:?}");
        if let Err(full) = more {
            assert!(full.to_string().contains("namespace greedy"), "{full}");
        }
        // What is known already is kept up, and others' logs are born.
        let again = Entry {
            ended: None,
            ..ended.clone()
        };
        ledger.note(client, "uid-1", again).await.unwrap();
        let other: Entry = serde_json::from_str(WRITTEN).unwrap();
        ledger.note(client, "uid-of-another", other).await.unwrap();
        assert!(ledger.entry("uid-of-another").is_some());
    }
}
