//! What a session calls.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_all};
use kube::{Api, Client, ResourceExt as _};
use sallyport_audit::record::{RequestRef, SessionId};
use sallyport_crds::AccessRequest;
use sallyport_crds::access_request::RuleIdentity;
use sallyport_crds::approval_policy::{GrantScope, OnHold};
use sallyport_policy::carrier::Carrier;
use sallyport_recorder::client::Evidence;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::behind::Behind;
use super::board::Board;
use super::{answers, claim, pulse, spec, withdraw};
use crate::control::{Contact, Place};
use crate::door::{Approvals, ApprovalsError, Ask, Claim, Glass, GrantSought, Held, HoldState, Identity, all_asked};

/// Grants pause when the watch has been silent for this long: a revocation could not be seen.
pub(crate) const BLIND: Duration = Duration::from_secs(60);
/// One question to the API server.
pub(super) const WITHIN: Duration = Duration::from_secs(15);
/// For each question that a person may have open, as many may have come to nothing a short while ago: the operator deletes them
/// after ten minutes, and a loop that asks and takes back is stopped before they fill the cluster.
const IN_VAIN: i32 = 5;

/// AccessRequests of one Connection.
pub struct Requests {
    api: Api<AccessRequest>,
    place: Place,
    /// When the watch last showed what is there.
    watched: Arc<Contact>,
    runtime: Handle,
    board: Arc<Board>,
    carrier: ArcSwapOption<Carrier>,
    evidence: Arc<ArcSwapOption<Evidence>>,
    withdrawals: mpsc::Sender<(RequestRef, String)>,
    behind: Arc<Behind>,
}

// === impl Requests ===

impl Requests {
    /// Begins to watch the requests of this Connection on `runtime`.
    pub fn start(client: Client, place: Place, contact: Arc<Contact>, runtime: &Handle) -> Arc<Self> {
        let pods = Api::namespaced(client.clone(), &place.connection.namespace);
        let guarded = Api::namespaced(client.clone(), &place.connection.namespace);
        let api: Api<AccessRequest> = Api::namespaced(client, &place.connection.namespace);
        let board = Arc::new(Board::new(place.connection.uid.clone(), place.keys.clone()));
        // Of its own: that the carrier is still shown says nothing about this watch.
        let watched = Arc::new(Contact::new());
        let contacts = [contact, Arc::clone(&watched)];
        let withdrawals = withdraw::start(api.clone(), place.clone(), runtime);
        let behind = Arc::new(Behind::new(place.pod.uid.clone(), withdrawals.clone()));
        runtime.spawn(follow(guarded, Arc::clone(&board), contacts, Arc::clone(&behind)));
        runtime.spawn(pulse::keep(Arc::clone(&watched), api.clone(), Arc::clone(&board)));
        let evidence = Arc::new(ArcSwapOption::empty());
        runtime.spawn(answers::tell(
            Arc::clone(&board),
            place.clone(),
            pods,
            Arc::clone(&evidence),
        ));
        let (runtime, carrier) = (runtime.clone(), ArcSwapOption::empty());
        Arc::new(Self {
            api,
            place,
            watched,
            runtime,
            board,
            carrier,
            evidence,
            withdrawals,
            behind,
        })
    }

    /// The policy by which grants are checked from now on.
    pub fn apply(&self, carrier: &Arc<Carrier>) {
        self.carrier.store(Some(Arc::clone(carrier)));
    }

    /// Where answers are recorded from now on that no session waits for.
    pub fn record_to(&self, evidence: &Evidence) {
        self.evidence.store(Some(Arc::new(evidence.clone())));
    }

    /// How many requests of this Connection can still come to something.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.board.count(|_| true)
    }

    /// How long ago the API server last showed what requests there are.
    #[must_use]
    pub fn unseen(&self) -> Duration {
        self.watched.away()
    }

    fn seeing(&self) -> Result<Arc<Carrier>, ApprovalsError> {
        if self.unseen() > BLIND {
            return Err(ApprovalsError::Unavailable(
                "the API server does not show requests, so nothing can be approved".to_owned(),
            ));
        }
        self.carrier
            .load_full()
            .ok_or_else(|| ApprovalsError::Unavailable("there is no policy".to_owned()))
    }

    /// The person's own quota comes first: whoever floods is told so, and stops nobody else before that.
    fn check_quota(&self, carrier: &Carrier, ask: &Ask) -> Result<(), ApprovalsError> {
        let limits = &carrier.connection.spec.limits;
        let reached = |number: usize, allowed: i32| number >= usize::try_from(allowed).unwrap_or(0);
        let own = |request: &AccessRequest| spec::is_by(request, &ask.identity) && !request.spec.break_glass;
        let open = self.board.count(own);
        if reached(open, limits.max_open_requests_per_person) {
            return Err(ApprovalsError::TooMany { open });
        }
        let in_vain = self.board.in_vain(own);
        if reached(in_vain, limits.max_open_requests_per_person.saturating_mul(IN_VAIN)) {
            return Err(ApprovalsError::TooOften { in_vain });
        }
        let open = self.board.count(|request| !request.spec.break_glass);
        if reached(open, limits.max_open_requests) {
            return Err(ApprovalsError::Crowded { open });
        }
        let held = self.board.held_bytes();
        if held.saturating_add(spec::bytes(&ask.command)) > usize::try_from(limits.max_held_bytes).unwrap_or(0) {
            return Err(ApprovalsError::TooMuch { held });
        }
        Ok(())
    }

    /// Runs on the control plane's runtime, whose client it uses, and ends in time.
    async fn there<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApprovalsError>> + Send + 'static,
    ) -> Result<T, ApprovalsError> {
        let late = || ApprovalsError::Unavailable("the API server does not answer in time".to_owned());
        let task = self.runtime.spawn(tokio::time::timeout(WITHIN, work));
        task.await.map_err(|_| late())?.map_err(|_| late())?
    }
}

impl Approvals for Requests {
    fn find(&self, identity: &Identity, sought: &GrantSought) -> Vec<Held> {
        let found = self.board.find(|request| spec::fits(request, identity, sought));
        match self.seeing() {
            Ok(_) => found,
            Err(error) => found
                .into_iter()
                .map(|held| Held {
                    request: held.request,
                    expires: held.expires,
                    on_hold: held.on_hold,
                    state: watch::channel(HoldState::Unavailable(error.to_string())).1,
                })
                .collect(),
        }
    }

    fn glass(&self, identity: &Identity, asked_by: &[RuleIdentity]) -> Glass {
        // A use that is under way pauses as grants do: that it was revoked could not be seen.
        let carrier = match self.seeing() {
            Ok(carrier) => carrier,
            Err(error) => return Glass::Unseen(error.to_string()),
        };
        self.board.glass(
            |request| request.spec.break_glass && spec::is_by(request, identity),
            |request| all_asked(asked_by, &request.spec.asked_by),
            |request| claim::glass_until(request, &carrier),
            jiff::Timestamp::now(),
        )
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Held, ApprovalsError>> {
        async move {
            let carrier = self.seeing()?;
            let window = match &ask.break_glass {
                Some((_, duration)) => Some(sallyport_crds::Duration::from_secs(duration.as_secs())),
                None => {
                    self.check_quota(&carrier, &ask)?;
                    claim::valid_for(&ask.asked_by, &carrier)
                }
            };
            let waits = ask.on_hold == OnHold::Wait && ask.break_glass.is_none();
            self.behind.asks(ask.session.to_string());
            let request = spec::request(ask, &self.place, window);
            let (api, board) = (self.api.clone(), Arc::clone(&self.board));
            let create = async move {
                let made = api
                    .create(&PostParams::default(), &request)
                    .await
                    .map_err(|error| claim::failed(&error))?;
                let held = board
                    .show(made)
                    .ok_or_else(|| ApprovalsError::Refused("the API server gave back another object".to_owned()))?;
                if waits {
                    board.wait_for(&held.request.uid);
                }
                Ok(held)
            };
            self.there(create).await
        }
        .boxed()
    }

    fn claim<'a>(
        &'a self,
        identity: &'a Identity,
        sought: &'a GrantSought,
        request: &'a RequestRef,
    ) -> BoxFuture<'a, Result<Claim, ApprovalsError>> {
        async move {
            let carrier = self.seeing()?;
            let nonce = SessionId::random()
                .map_err(|error| ApprovalsError::Unavailable(error.to_string()))?
                .to_string();
            let (api, place, reference, own) = (self.api.clone(), self.place.clone(), request.clone(), nonce.clone());
            let (identity, sought) = (identity.clone(), sought.clone());
            let spend = async move {
                let found = claim::get(&api, &reference.name, Some(&reference.uid)).await?;
                if found.spec.connection.uid != place.connection.uid || !spec::fits(&found, &identity, &sought) {
                    return Err(ApprovalsError::Gone(
                        "it was given for another person, command or connection".to_owned(),
                    ));
                }
                if found.spec.scope == GrantScope::Command {
                    claim::spend(&api, &place, &carrier, &found, &own).await
                } else {
                    // What lasts is not spent; every use of it is a record.
                    claim::check(&found, &carrier, &place.keys, jiff::Timestamp::now())
                }
            };
            let approvers = self.there(spend).await?;
            Ok(Claim {
                request: request.clone(),
                nonce,
                approvers,
            })
        }
        .boxed()
    }

    fn withdraw(&self, request: &RequestRef, reason: &str) {
        if self.withdrawals.try_send((request.clone(), reason.to_owned())).is_err() {
            tracing::warn!(request = %request.name, "too many withdrawals wait; this request will expire");
        }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

/// Keeps the board as the API server shows it.
async fn follow(
    api: Api<DeserializeGuard<AccessRequest>>,
    board: Arc<Board>,
    contacts: [Arc<Contact>; 2],
    behind: Arc<Behind>,
) {
    let mut events = Box::pin(watch_all(api, watcher::Config::default()).default_backoff());
    // Those that were here before the list and that the list has not shown.
    let mut missing = HashSet::new();
    while let Some(event) = events.next().await {
        let Ok(event) = event else { continue };
        contacts.iter().for_each(|contact| contact.heard());
        match event {
            Event::Init => missing = board.uids(),
            Event::InitApply(request) => {
                missing.remove(&request.uid().unwrap_or_default());
                show(&board, request);
            }
            Event::InitDone => {
                missing.drain().for_each(|uid| board.remove(&uid));
                behind.listed(&board);
            }
            Event::Apply(request) => show(&board, request),
            Event::Delete(request) => board.remove(&request.uid().unwrap_or_default()),
        }
    }
}

/// Shows a request. One that does not decode is nobody's: its author wrote a time that is none, or a later version wrote it. It must
/// not blind the door to all others.
fn show(board: &Board, request: DeserializeGuard<AccessRequest>) {
    let (name, uid, version) = (request.name_any(), request.uid(), request.resource_version());
    match request.0 {
        Ok(request) => drop(board.show(request)),
        Err(_) => {
            tracing::warn!(request = name, "an AccessRequest cannot be read and is passed over");
            board.remove(uid.as_deref().unwrap_or_default());
        }
    }
    if let (Some(uid), Some(version)) = (uid, version) {
        board.seen(uid, version);
    }
}
