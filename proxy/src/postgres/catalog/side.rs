//! The connection that reads one database's catalog for all sessions.

mod protected;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_policy::Policy;
use sallyport_policy::catalog::{Relation, Snapshot};
use sallyport_policy::mask::ProtectedColumns;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::footprint::Footprint;
use super::kept::{Ended, KeptCode, unknown};
use super::latest::Latest;
use super::near::value;
use super::reader::Expressions;
use super::service::{CatalogError, PATIENCE};
use super::telling::Telling;
use super::{Known, queries, reader};
use crate::door::{Columns, Fits, Sessions};
use crate::postgres::ask::{AskError, Row, ask, text};
use crate::postgres::dial::{Asking, DialError, Reached, dial};
use crate::session::Target;

/// A side connection that nobody asks is given back after this, and what it read where no session looks at that any more.
const IDLE: Duration = Duration::from_secs(300);
/// Longer than any question takes; what waits for somebody's lock is given up. To compile a question takes longer than to answer it.
const SETTINGS: [(&str, &str); 5] = [
    ("search_path", ""),
    ("statement_timeout", "15s"),
    ("lock_timeout", "500ms"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
];

/// The digest as a question that is planned once.
const DIGEST: &str = "sallyport_digest";

/// How old the target's statistics may be: they change without anything else, and only inform.
const COUNTED: Duration = Duration::from_secs(60);

/// How soon a catalog is read again that was not read whole.
const AGAIN: Duration = Duration::from_secs(5);

/// What a session asks.
pub(super) struct Request {
    pub(super) target: Arc<Target>,
    pub(super) footprints: Vec<Arc<Footprint>>,
    pub(super) policy: Arc<Policy>,
    pub(super) columns: Arc<dyn Columns>,
    /// Where it is told which names of rules fit nothing.
    pub(super) sessions: Sessions,
    /// Whether it asks for the code as well.
    pub(super) code: bool,
    pub(super) reply: oneshot::Sender<Result<Told, CatalogError>>,
}

/// What it is told.
pub(super) struct Told {
    pub(super) known: Arc<Known>,
    /// A digest of the code that everybody sees, if it asked for that.
    pub(super) code: Row,
}

/// One database's side connection and what it read last.
pub(super) struct Side {
    database: String,
    reached: Option<Reached>,
    position: String,
    digest: Row,
    /// The relations that the server has of its own.
    built_in: Vec<Relation>,
    /// Since when the snapshot lacks what somebody's lock held back.
    lacking: Option<Instant>,
    expressions: Expressions,
    code: Option<KeptCode>,
    snapshot: Arc<Snapshot>,
    ended: Ended,
    /// Whether the connection has the questions for [what is not known](queries::rest).
    prepared: bool,
    types: Arc<HashMap<u32, sallyport_policy::mask::types::Class>>,
    rows: Arc<HashMap<u32, u64>>,
    /// When `rows` were read.
    counted: Option<Instant>,
    /// Counts changes of `snapshot` and `rows`.
    version: u64,
    /// What it found last: at which version, with how many entries of what was handed on.
    known: Option<(u64, usize, Arc<Known>)>,
    /// What was protected then: protection stays with a column, whatever becomes of its name.
    protected: Option<Arc<ProtectedColumns>>,
    /// What the names of rules fitted then.
    fits: Arc<Fits>,
    latest: Arc<Latest>,
    telling: Telling,
}

impl Side {
    pub(super) fn new(database: String, latest: Arc<Latest>, runtime: &Handle) -> Self {
        Self {
            telling: Telling::start(database.clone(), runtime),
            database,
            reached: None,
            position: String::new(),
            digest: Row::new(),
            built_in: Vec::new(),
            lacking: None,
            expressions: Expressions::new(),
            code: None,
            snapshot: Arc::default(),
            ended: Ended::default(),
            prepared: false,
            types: Arc::default(),
            rows: Arc::default(),
            counted: None,
            version: 0,
            known: None,
            protected: None,
            fits: Arc::default(),
            latest,
        }
    }

    /// Gives back the connection, and what was read but for what it said of protection.
    fn rest(&mut self) {
        self.reached = None;
        if self.latest.is_looked_at() {
            return;
        }
        self.latest.forget();
        self.position.clear();
        self.digest.clear();
        self.built_in = Vec::new();
        self.expressions = Expressions::new();
        self.code = None;
        self.snapshot = Arc::default();
        self.types = Arc::default();
        self.known = None;
        self.version += 1;
    }

    pub(super) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        loop {
            let first = match tokio::time::timeout(IDLE, requests.recv()).await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(_) => {
                    self.rest();
                    continue;
                }
            };
            // Everybody who asked before the check begins may share it; who asks later waits for the next.
            let mut waiting = vec![first];
            while let Ok(more) = requests.try_recv() {
                waiting.push(more);
            }
            self.serve(waiting).await;
        }
    }

    async fn serve(&mut self, waiting: Vec<Request>) {
        let seen = self.see(&waiting).await;
        let mut left = Vec::with_capacity(waiting.len());
        for request in waiting {
            match self.latest.by(&request.footprints, &seen, request.policy.revision()) {
                // Who does not wait any more does not mind.
                Some(known) => {
                    let code = Row::new();
                    let _ = request.reply.send(Ok(Told { known, code }));
                }
                None => left.push(request),
            }
        }
        let code = left.iter().any(|request| request.code);
        let Some(target) = left.first().map(|request| request.target.clone()) else {
            return;
        };
        let before = self.version;
        let mut checked = self.check(&target, code).await;
        if checked.is_err() {
            // A connection that was closed while it was idle looks like an error once.
            self.reached = None;
            checked = self.check(&target, code).await;
        }
        // They were looked at before the catalog: where that is the one that was known, they were what they are in it.
        let same = checked.is_ok() && self.version == before;
        for request in left {
            let answer = match &checked {
                Ok(code) => {
                    let known = self.known(&request.policy, &request.columns);
                    let at = request.target.name();
                    request.sessions.looked(&at, &self.database, &self.fits);
                    if same {
                        let each = request.footprints.iter().cloned();
                        let read = each.filter_map(|one| Some((Arc::clone(&one), seen.get(&one)?.clone())));
                        self.latest.footprints().keep(&known, read);
                    }
                    let code = code.clone();
                    Ok(Told { known, code })
                }
                Err(error) => Err(error.clone()),
            };
            let _ = request.reply.send(answer);
        }
    }

    /// What footprints are now. Nothing is lost where it cannot be told: then the whole catalog is looked at.
    async fn see(&mut self, waiting: &[Request]) -> HashMap<Arc<Footprint>, String> {
        let mut seen = HashMap::new();
        let Some(reached) = &mut self.reached else { return seen };
        for footprint in waiting.iter().flat_map(|request| &request.footprints) {
            if seen.contains_key(footprint) {
                continue;
            }
            let asked = tokio::time::timeout(PATIENCE, ask(&mut reached.wire, footprint.question())).await;
            match asked {
                Ok(Ok(answer)) => {
                    let value = answer.into_iter().next().and_then(value);
                    seen.extend(value.map(|value| (Arc::clone(footprint), value)));
                }
                Ok(Err(_)) | Err(_) => {
                    self.reached = None;
                    break;
                }
            }
        }
        seen
    }

    /// Makes sure that what is known is fresh. Gives a digest of the `code`, if that is wanted.
    async fn check(&mut self, target: &Target, code: bool) -> Result<Row, CatalogError> {
        // A target that is gone without a word must not hold up those who come when it is back.
        let result = match tokio::time::timeout(PATIENCE, self.look(target, code)).await {
            Ok(result) => result,
            Err(_) => Err(SideError::Slow),
        };
        result.map_err(|error| {
            self.reached = None;
            tracing::warn!(database = %self.database, %error, "the catalog cannot be read");
            CatalogError::Unreadable(error.to_string())
        })
    }

    async fn look(&mut self, target: &Target, code: bool) -> Result<Row, SideError> {
        self.refresh(target).await?;
        match &mut self.reached {
            Some(reached) if code => Ok(single(ask(&mut reached.wire, &queries::code_digest()).await?)),
            _ => Ok(Row::new()),
        }
    }

    async fn refresh(&mut self, target: &Target) -> Result<(), SideError> {
        let reached = match &mut self.reached {
            Some(reached) => reached,
            none => {
                let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let asking = Asking {
                    database: &self.database,
                    application: "sallyport catalog",
                    settings: &settings,
                };
                let mut reached = dial(target, &asking).await?;
                // Another server may answer now, whose log stands where that of the last one stood, and whose rows have the same
                // numbers.
                self.position.clear();
                (self.ended, self.expressions) = (Ended::default(), Expressions::new());
                (self.code, self.prepared) = (None, false);
                let built_in = ask(&mut reached.wire, &queries::built_in()).await?;
                self.built_in = reader::read_built_in(built_in).ok_or(SideError::NoCatalog)?;
                // Planning it takes longer than the answer.
                ask(&mut reached.wire, &format!("PREPARE {DIGEST} AS {}", queries::digest())).await?;
                ask(&mut reached.wire, &queries::footprint_prepared()).await?;
                none.insert(reached)
            }
        };
        // The position is read before the catalog, so what is written in between makes the next check look again.
        let question = format!("SELECT {}, {}", queries::POSITION, queries::ENDED);
        let moment = single(ask(&mut reached.wire, &question).await?);
        let position = text(&moment, 0).to_owned();
        let [ended, next] = [1, 2].map(|column| text(&moment, column).parse().ok());
        let complete = self.lacking.is_none_or(|since| since.elapsed() < AGAIN);
        if !position.is_empty() && position == self.position && complete {
            return Ok(());
        }
        if self.counted.is_none_or(|at| at.elapsed() >= COUNTED) {
            let rows = reader::statistics(&ask(&mut reached.wire, queries::STATISTICS).await?);
            self.counted = Some(Instant::now());
            if rows != *self.rows {
                self.rows = Arc::new(rows);
                self.version += 1;
            }
        }
        let digest = single(ask(&mut reached.wire, &format!("EXECUTE {DIGEST}")).await?);
        if !digest.is_empty() && digest == self.digest && complete {
            self.position = position;
            return Ok(());
        }
        let since = self.ended.since(next, &self.snapshot);
        // Without it everything is read the next time, if this fails.
        let code = self.code.take().filter(|code| code.is_worth(&self.expressions));
        let (mut results, same) = unknown(reached, &mut self.prepared, since.as_ref(), code.as_ref()).await?;
        let (Some(_commit), Some(versions)) = (results.pop(), results.pop()) else {
            return Err(SideError::NoCatalog);
        };
        let code = code.filter(|_| same);
        let whole = code.as_ref().map(|code| code.whole);
        if let (Some(code), Some(namesakes)) = (code, results.last_mut()) {
            *namesakes = code.namesakes;
        }
        let [_begin, parts @ ..] = results.as_slice() else {
            return Err(SideError::NoCatalog);
        };
        let mut read = reader::read(parts, &self.expressions, &self.snapshot).ok_or(SideError::NoCatalog)?;
        self.ended.follow(ended);
        self.lacking = read.lacking.then(Instant::now);
        match whole {
            Some(_) => self.expressions.extend(read.expressions),
            None => self.expressions = read.expressions,
        }
        self.code = Some(KeptCode {
            versions,
            namesakes: results.pop().unwrap_or_default(),
            watched: read.watched,
            whole: whole.unwrap_or(self.expressions.len()),
        });
        read.relations.extend(self.built_in.iter().cloned());
        self.snapshot = Arc::new(Snapshot::new(read.relations).with_code(read.code));
        self.types = Arc::new(read.types);
        self.version += 1;
        self.position = position;
        self.digest = digest;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum SideError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the target's answer is no catalog")]
    NoCatalog,
    #[error("it took too long")]
    Slow,
}

/// The one row of a question with one row.
fn single(results: Vec<Vec<Row>>) -> Row {
    results.into_iter().flatten().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
