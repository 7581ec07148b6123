//! What a door does about those who stay away: the API server, and a recorder. Time is tokio's own and costs none.

use sallyport_policy::mask::Fit;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::apiserver::ApiServer;
use crate::control::tests::{key, place};
use crate::door::{Fits, ThisProcess};
use crate::identity::Pace;
use crate::manifests::sample;

const GRACE: Duration = Duration::from_secs(60);
/// A test that fails ends.
const LIMIT: Duration = Duration::from_secs(300);

/// A door with everything that it needs from the API server; its recorder is nowhere.
struct Stage {
    server: ApiServer,
    status: watch::Receiver<Status>,
    /// Digest of the policy that stands there.
    digest: Option<Digest>,
    metrics: &'static Metrics,
    doors: watch::Receiver<Option<Door>>,
    /// The operator's word, which counts as long as somebody may take it back.
    operator: watch::Sender<Word>,
    sessions: Sessions,
    carrier: Carrier,
}

impl Stage {
    fn open(grace: Duration) -> Self {
        let (mut carrier, secrets) = sample();
        carrier.revision = 5;
        carrier.issuers.clear();
        carrier.connection.spec.limits.policy_grace = sallyport_crds::Duration::from_secs(grace.as_secs());
        let (key, server) = (key(), ApiServer::default());
        let namespace = format!("/api/v1/namespaces/{}", carrier.connection.namespace);
        let signed = String::from_utf8(sallyport_policy::carrier::sign(&carrier, &key).unwrap()).unwrap();
        let digest = sallyport_policy::carrier::payload_digest(signed.as_bytes()).map(Digest::from_bytes);
        let name = names::carrier(&carrier.connection.name);
        server.put(
            &format!("{namespace}/configmaps/{name}"),
            json!({ "data": { (names::CARRIER_KEY): signed } }),
        );
        for (name, secret) in &secrets {
            server.put(&format!("{namespace}/secrets/{name}"), secret.as_ref().unwrap().shown());
        }
        let (client, runtime, contact) = (server.client(), Handle::current(), Arc::new(Contact::new()));
        let place = place(&carrier, &[&key]);
        let (operator, word) = watch::channel(Word {
            revision: Some(carrier.revision),
            gone: false,
        });
        let (publish_doors, doors) = watch::channel(None);
        let shut = Some("nothing was looked at yet".to_owned());
        let (publish_status, status) = watch::channel(Status {
            shut,
            ..Status::default()
        });
        let metrics: &'static Metrics = Box::leak(Box::new(Metrics::new()));
        let sessions = Sessions::default();
        let parts = Parts {
            metrics,
            requests: Requests::start(client.clone(), place.clone(), Arc::clone(&contact), &runtime),
            identities: Arc::new(Identities::new(runtime, None, Pace::default())),
            columns: Arc::new(ThisProcess),
            peers: Arc::new(ThisProcess),
            sessions: sessions.clone(),
            drain: Drain::default(),
            doors: publish_doors,
            status: publish_status,
            credential: credential(),
            place,
            client,
            contact,
            word,
        };
        tokio::spawn(Keeper::new(parts).run());
        Self {
            server,
            status,
            digest,
            metrics,
            doors,
            operator,
            sessions,
            carrier,
        }
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Status) -> bool) -> Status {
        let found = timeout(LIMIT, self.status.wait_for(holds)).await;
        found.expect(what).unwrap().clone()
    }

    /// Whether sessions may be admitted.
    fn admits(&self) -> bool {
        let door = self.doors.borrow().clone().unwrap();
        let rules = door.rules.borrow().clone();
        matches!(rules, Rules::Open(_))
    }
}

fn credential() -> Credential {
    let own = rcgen::generate_simple_self_signed(vec!["door".to_owned()]).unwrap();
    let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    Credential::from_pem(chain.as_bytes(), key.as_bytes(), chain.as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_operator_knows_no_more_has_no_door_whatever_is_left_of_it() {
    let mut stage = Stage::open(GRACE);
    stage.until("the door opens", |status| status.shut.is_none()).await;
    assert!(stage.admits());
    stage.operator.send_modify(|word| word.gone = true);
    let status = stage.until("the door shuts", |status| status.shut.is_some()).await;
    assert!(status.shut.unwrap().contains("was deleted"));
    assert_eq!((status.revision, status.lacks[0].reason), (None, Reason::Deleted));
    assert!(!stage.admits());
    // An operator that spoke too soon takes it back.
    stage.operator.send_modify(|word| word.gone = false);
    stage
        .until("the door opens again", |status| status.shut.is_none())
        .await;
    assert!(stage.admits());
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_nobody_can_renew_is_in_force_for_policy_grace_and_no_longer() {
    let mut stage = Stage::open(GRACE);
    let status = stage.until("the door opens", |status| status.shut.is_none()).await;
    assert!(stage.admits());
    assert!(status.digest.is_some() && status.digest == stage.digest);
    let shut = timeout(3 * GRACE, stage.status.wait_for(|status| status.shut.is_some()));
    assert!(shut.await.is_err(), "an API server that answers is not away");

    stage.server.is_silent(true);
    let gone = Instant::now();
    let status = stage.until("the door shuts", |status| status.shut.is_some()).await;
    let after = gone.elapsed();
    // It may have answered last a beat before.
    assert!(after > GRACE / 2 && after <= GRACE + 2 * LOOK, "{after:?}");
    assert!(status.shut.unwrap().contains("policyGrace"));
    assert!((status.revision, status.digest) == (None, None) && !stage.admits());

    stage.server.is_silent(false);
    let status = stage
        .until("the door opens again", |status| status.shut.is_none())
        .await;
    assert!(status.revision == Some(5) && stage.admits());
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_stays_away_is_told_while_the_door_stays_open() {
    let mut stage = Stage::open(GRACE);
    let status = stage.until("the door opens", |status| status.shut.is_none()).await;
    assert!(status.lacks.is_empty(), "it may be on its way: {:?}", status.lacks);
    let status = stage
        .until("the recorder is missed", |status| !status.lacks.is_empty())
        .await;
    assert_eq!(status.lacks[0].reason, Reason::RecorderUnavailable);
    assert!(status.shut.is_none() && stage.admits());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_stays_away_is_told_while_the_door_stays_open() {
    let mut stage = Stage::open(10 * BLIND);
    let probe = crate::control::readiness(stage.status.clone(), CancellationToken::new());
    let misses = |status: &Status| {
        let mut reasons = status.lacks.iter().map(|lack| lack.reason);
        reasons.any(|reason| reason == Reason::ApiServerUnavailable)
    };
    stage.until("the door opens", |status| status.shut.is_none()).await;
    let missed = timeout(3 * BLIND, stage.status.wait_for(misses));
    assert!(missed.await.is_err(), "it answers");
    assert!(stage.metrics.silence() < BLIND.as_secs_f64() / 2.0);

    stage.server.is_silent(true);
    let gone = Instant::now();
    let status = stage.until("the API server is missed", misses).await;
    let after = gone.elapsed();
    // It may have answered last a beat before.
    assert!(after > BLIND / 2 && after <= BLIND + 2 * LOOK, "{after:?}");
    assert!(stage.metrics.silence() > BLIND.as_secs_f64() / 2.0);
    assert!(status.shut.is_none() && status.revision == Some(5) && stage.admits());
    assert_eq!(probe(), Ok(()), "a Service without endpoints says nothing to anybody");

    stage.server.is_silent(false);
    stage.until("it is back", |status| !misses(status)).await;
}

#[tokio::test(start_paused = true)]
async fn names_that_fit_no_column_are_told_once_a_session_has_looked() {
    let mut stage = Stage::open(GRACE);
    let status = stage.until("the door opens", |status| status.shut.is_none()).await;
    assert!(status.columns.is_empty(), "{:?}", status.columns);
    let mut rules = stage.carrier.masking_rules.iter();
    let rule = rules.find(|rule| !rule.spec.matches.columns.is_empty()).unwrap();
    let (uid, names) = (rule.uid.clone(), rule.spec.matches.columns.clone());
    let at = &stage.carrier.connection.spec.target;
    let at = sallyport_policy::columns::target(&at.host, at.port);
    let fits = |fit: &Fit| -> Arc<Fits> { Arc::new(names.iter().map(|name| (name.clone(), fit.clone())).collect()) };
    stage.sessions.looked(&at, "bank", &fits(&Fit::Nothing(None)));
    let status = stage
        .until("it is told", |status| status.columns.contains_key(&uid))
        .await;
    assert_eq!(status.columns[&uid].absent.len(), names.len());
    stage.sessions.looked(&at, "bank", &fits(&Fit::Column));
    let status = stage
        .until("it is told no more", |status| status.columns[&uid].absent.is_empty())
        .await;
    assert!(status.columns.contains_key(&uid), "that somebody found them is told");
}

#[test]
fn a_key_that_changes_is_on_record_as_a_revision_is() {
    let in_force = |revision, key: &str| InForce {
        revision,
        hash_keys: BTreeMap::from([("accounts".to_owned(), key.to_owned())]),
        token_keys: BTreeMap::new(),
    };
    let change = |told: Option<&InForce>, now: &InForce| {
        let change = now.change(told, Digest::of(b"carrier"))?;
        Some((change.from, change.to, change.hash_keys["accounts"].clone()))
    };
    let first = in_force(5, "a");
    assert_eq!(change(None, &first), Some((None, 5, "a".to_owned())));
    assert_eq!(change(Some(&first), &first), None);
    assert_eq!(
        change(Some(&first), &in_force(5, "b")),
        Some((Some(5), 5, "b".to_owned())),
        "the Secret changed"
    );
    assert_eq!(
        change(Some(&first), &in_force(6, "b")),
        Some((Some(5), 6, "b".to_owned()))
    );
    let mut tokens = first.clone();
    tokens.token_keys.insert("cards".to_owned(), "c".to_owned());
    let told = tokens.change(Some(&first), Digest::of(b"carrier"));
    assert_eq!(told.map(|change| change.token_keys), Some(tokens.token_keys));
}
