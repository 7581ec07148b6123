//! Looks now and then at who else is connected to the target: what is no door's came past all of them. And at what the door's own
//! role may do there.
//!
//! No single process can tell: replicas and other Connections' doors hold connections, too. So a process says what it holds and
//! what else it sees, and the operator puts that together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sallyport_runtime::report::{Backends, MAX_BACKENDS};
use tokio::runtime::Handle;

use super::ask::{AskError, ask};
use super::dial::{Asking, DialError, dial};
use super::{held, role};
use crate::control::Lack;
use crate::door::{Door, Open, Rules};
use crate::session::Target;

/// Between two looks while somebody is in.
const EVERY: Duration = Duration::from_secs(60);
/// Younger connections are left out: the door that holds one may not have said so yet.
const YOUNG: Duration = Duration::from_secs(30);
/// One look takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks for all doors of a process. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Lookout {
    runtime: Handle,
    /// Where to look, by the Connection's uid, as the session that began last had it.
    places: Arc<Mutex<HashMap<String, Place>>>,
}

#[derive(Clone, Debug)]
struct Place {
    target: Target,
    database: String,
}

/// What one look found.
#[derive(Debug)]
pub struct Seen {
    /// Who else is connected.
    pub backends: Backends,
    /// What the door's role could undo.
    pub caveat: Option<Lack>,
}

/// Why a look found nothing out.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The target cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It takes too long.
    #[error("it took too long")]
    Slow,
}

// === impl Lookout ===

impl Lookout {
    /// Nothing to look at yet.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            places: Arc::default(),
        }
    }

    /// Looks at a target for as long as the door has sessions. Called for each that begins.
    pub fn keep(&self, door: &Door, target: &Target, database: &str) {
        let rules = door.rules.borrow();
        let Rules::Open(open) = &*rules else { return };
        let place = Place {
            target: target.clone(),
            database: database.to_owned(),
        };
        let uid = open.connection.uid.clone();
        let before = self.lock().insert(uid.clone(), place);
        if before.is_none() {
            self.runtime.spawn(self.clone().run(uid, door.clone()));
        }
    }

    async fn run(self, uid: String, door: Door) {
        loop {
            let Some(place) = self.lock().get(&uid).cloned() else {
                return;
            };
            let databases = databases(&door);
            let look = look(&place.target, &place.database, &databases, YOUNG);
            match tokio::time::timeout(PATIENCE, look)
                .await
                .unwrap_or(Err(LookError::Slow))
            {
                Ok(seen) => {
                    door.sessions.saw(Some(seen.backends));
                    door.sessions.found(seen.caveat);
                }
                Err(error) => {
                    tracing::debug!(%error, "who else is connected to the target is not known");
                    // With a credential that is no longer good it would knock in vain for hours: the next session begins anew.
                    self.lock().remove(&uid);
                    return door.sessions.saw(None);
                }
            }
            tokio::time::sleep(EVERY).await;
            if self.is_over(&uid, &door) {
                return door.sessions.saw(None);
            }
        }
    }

    /// Whether nobody is in any more. A session has its place in the door before it comes here, so none falls between.
    fn is_over(&self, uid: &str, door: &Door) -> bool {
        let mut places = self.lock();
        let over = door.sessions.count() == 0;
        if over {
            places.remove(uid);
        }
        over
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The databases that the Connection offers; none named: all.
fn databases(door: &Door) -> Vec<String> {
    let of = |open: &Open| {
        let postgresql = open.spec.postgresql.as_ref();
        postgresql.map(|postgresql| postgresql.databases.clone())
    };
    match &*door.rules.borrow() {
        Rules::Open(open) => of(open).unwrap_or_default(),
        Rules::Shut(_) => Vec::new(),
    }
}

/// Who is connected to a target and not held by this process: clients of these databases (of all where none is named) for
/// longer than `young`. Rows that the door's role may not see are not counted: `pg_read_all_stats` shows them all. And what that
/// role could undo.
///
/// # Errors
/// When the target does not let the door in or does not answer.
pub async fn look(target: &Target, database: &str, databases: &[String], young: Duration) -> Result<Seen, LookError> {
    let asking = Asking {
        database,
        application: "sallyport lookout",
        settings: &[],
    };
    let name = target.name();
    let mut own: BTreeSet<i32> = held::at(&name).into_iter().collect();
    let mut reached = dial(target, &asking).await?;
    let answer = ask(&mut reached.wire, &format!("{}; {}", query(young), role::QUESTION)).await?;
    let result = |place: usize| answer.get(place).map(Vec::as_slice).unwrap_or_default();
    // What came meanwhile is young; what was there and went is in the first list.
    own.extend(held::at(&name));
    let mut others: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let mut count = 0;
    for row in result(0) {
        let [Some(pid), Some(role), datname] = row.as_slice() else {
            continue;
        };
        let wanted = databases.is_empty() || datname.as_ref().is_some_and(|name| databases.contains(name));
        let Some(pid) = pid.parse::<i32>().ok().filter(|pid| wanted && !own.contains(pid)) else {
            continue;
        };
        others.entry(role::shown(role)).or_default().push(pid);
        count += 1;
    }
    let whole = count <= MAX_BACKENDS;
    Ok(Seen {
        backends: Backends {
            target: name,
            held: BTreeMap::new(),
            others: if whole { others } else { BTreeMap::new() },
            whole,
        },
        caveat: role::asked(result(1)),
    })
}

fn query(young: Duration) -> String {
    format!(
        "SELECT pid, usename, datname FROM pg_catalog.pg_stat_activity \
         WHERE backend_type OPERATOR(pg_catalog.=) 'client backend'::pg_catalog.text \
         AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() \
         AND backend_start OPERATOR(pg_catalog.<=) (pg_catalog.now() OPERATOR(pg_catalog.-) '{} s'::pg_catalog.interval)",
        young.as_secs()
    )
}
