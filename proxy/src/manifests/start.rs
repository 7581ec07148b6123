//! Doors from files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::ResourceExt as _;
use prometheus::Registry;
use sallyport_audit::record::{ObjectRef, PodRef, SessionId};
use sallyport_crds::{AuditSink, Connection, audit_sink, names};
use sallyport_policy::carrier::Carrier;
use sallyport_recorder::client::{self, Durability, Evidence};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Config, Log};
use sallyport_recorder::metrics::LogMetrics;
use sallyport_recorder::server;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::objects::Objects;
use super::state::{self, State};
use super::{Flags, Listen, files, resolve};
use crate::approval::NoCluster;
use crate::control::materials::{self, BINDING_FIELD, SecretObject, Secrets};
use crate::control::opening::{self, Opening, Reach};
use crate::control::{self, Control, Status};
use crate::door::{Door, Rules, Sessions, ThisProcess};
use crate::drain::Drain;
use crate::identity::{Identities, Pace, Settings};

/// The longest time between a record and the checkpoint that covers it.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// A pipe in one process does not break; a session whose end is missing at the next start is ended at once.
const GRACE: Duration = Duration::from_secs(1);
/// How long another process may hold on to a log's folder before this one gives up.
const PREDECESSOR: Duration = Duration::from_secs(10);
/// Bytes of a binding key that is made here.
const KEY: usize = 32;

/// One door and where it listens.
pub struct Local {
    /// Where clients dial.
    pub address: SocketAddr,
    /// The door.
    pub control: Control,
}

/// Why doors cannot be served from files.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// What is wrong with the objects, all of it.
    #[error("the manifests cannot be served:\n  {}", .0.join("\n  "))]
    Manifests(Vec<String>),
    /// No such Connection, or several.
    #[error("--listen {0}: {1}")]
    Listen(String, &'static str),
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Certificate(String),
    /// The system gives no thread.
    #[error("no thread for evidence can be had: {0}")]
    Thread(String),
    /// The log on this machine.
    #[error("the log of AuditSink {sink}: {why}")]
    Log {
        /// Whose.
        sink: String,
        /// Why.
        why: String,
    },
}

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What all doors of the process share.
struct Shared<'a> {
    objects: &'a Objects,
    state: &'a State,
    registry: &'a Registry,
    runtime: &'a Handle,
    pod: PodRef,
    logs: BTreeMap<String, Log>,
    metrics: Option<LogMetrics>,
    drain: Drain,
}

/// Serves the Connections that `flags` name from the files that `flags` name. Everything that is wrong is said at once; a door
/// opens whole or not at all.
///
/// # Errors
/// When files, objects or the log do not serve.
pub fn start(flags: &Flags, registry: &Registry, runtime: &Handle, drain: &Drain) -> Result<Vec<Local>, StartError> {
    let directory = flags.manifests.as_deref().unwrap_or(Path::new("."));
    let objects = Objects::read(files::read(directory)?);
    for ignored in &objects.ignored {
        tracing::warn!(document = %ignored, "passed over: no object that a door reads");
    }
    if !objects.faults.is_empty() {
        return Err(StartError::Manifests(objects.faults));
    }
    let state = State::open(flags.state.as_deref())?;
    let mut shared = Shared {
        objects: &objects,
        state: &state,
        registry,
        runtime,
        pod: this_machine(),
        logs: BTreeMap::new(),
        metrics: None,
        drain: drain.clone(),
    };
    flags.listen.iter().map(|listen| shared.door(listen)).collect()
}

// === impl Shared ===

impl Shared<'_> {
    fn door(&mut self, listen: &Listen) -> Result<Local, StartError> {
        let connection = self.find(listen)?;
        let carrier = resolve::carrier(self.objects, connection).map_err(StartError::Manifests)?;
        let secrets = self.secrets(&carrier, listen.address)?;
        let refused = |lack: crate::control::Lack| {
            StartError::Manifests(vec![format!("Connection {}: {}", listen.name, lack.message)])
        };
        let tls = materials::tls(&carrier, &secrets).map_err(refused)?;
        let Opening { open, lacks } = opening::open(&carrier, &secrets, Reach::Laptop).map_err(refused)?;
        if let Some(lack) = lacks.into_iter().next() {
            return Err(refused(lack));
        }
        let evidence = self.evidence(&carrier)?;
        let identities = Identities::new(self.runtime.clone(), None, Pace::default());
        let guard = self.runtime.enter();
        identities.apply(Settings::of(&carrier));
        drop(guard);
        let (rules, listening) = watch::channel(Rules::Open(Arc::new(open)));
        let door = Door {
            rules: listening,
            tls: Arc::new(ArcSwap::from_pointee(Some(tls))),
            verifier: Arc::new(identities),
            approvals: Arc::new(NoCluster),
            columns: Arc::new(ThisProcess),
            peers: Arc::new(ThisProcess),
            evidence,
            sessions: Sessions::default(),
            drain: self.drain.clone(),
        };
        let (keep, doors) = watch::channel(Some(door));
        let (keep_status, status) = watch::channel(Status {
            revision: Some(carrier.revision),
            ..Status::default()
        });
        // The rules of files do not change; the senders live as long as anybody listens.
        self.runtime.spawn(async move {
            tokio::join!(rules.closed(), keep.closed(), keep_status.closed());
        });
        tracing::info!(connection = %listen.name, address = %listen.address, "door from manifests");
        Ok(Local {
            address: listen.address,
            control: Control { doors, status },
        })
    }

    fn find(&self, listen: &Listen) -> Result<&Connection, StartError> {
        let fits = |connection: &&Connection| {
            connection.name_any() == listen.name
                && listen
                    .namespace
                    .as_ref()
                    .is_none_or(|namespace| connection.namespace().as_ref() == Some(namespace))
        };
        let mut found = self.objects.connections.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(connection), None) => Ok(connection),
            (None, _) => Err(StartError::Listen(
                listen.name.clone(),
                "the manifests hold no Connection of that name",
            )),
            (Some(_), Some(_)) => Err(StartError::Listen(
                listen.name.clone(),
                "several namespaces have it; write NAMESPACE/NAME=ADDR",
            )),
        }
    }

    /// The Secrets of the Connection; what the operator would have made is made here, once.
    fn secrets(&self, carrier: &Carrier, address: SocketAddr) -> Result<Secrets, StartError> {
        let connection = &carrier.connection;
        let mut secrets = Secrets::new();
        for name in materials::needed(carrier) {
            let given = self
                .objects
                .secrets
                .get(&(connection.namespace.clone(), name.clone()))
                .cloned();
            let secret = match given {
                Some(secret) => Some(secret),
                None if name == names::door_certificate(&connection.name) => Some(self.certificate(carrier, address)?),
                None if name == names::binding_key(&connection.name) => Some(self.binding_key(carrier)?),
                None => None,
            };
            secrets.insert(name, secret);
        }
        Ok(secrets)
    }

    fn certificate(&self, carrier: &Carrier, address: SocketAddr) -> Result<Arc<SecretObject>, StartError> {
        let connection = &carrier.connection;
        let stem = format!("{}.{}", connection.namespace, connection.name);
        let made = std::cell::OnceCell::new();
        let part = |index: usize| {
            if made.get().is_none() {
                let _ = made.set(state::certificate(&connection.spec.certificate.names, address.ip())?);
            }
            let parts = made
                .get()
                .map(|parts: &[Vec<u8>; 3]| parts.as_slice())
                .unwrap_or_default();
            parts
                .get(index)
                .cloned()
                .ok_or_else(|| StartError::Certificate("no such part".to_owned()))
        };
        let ca = format!("{stem}.ca.crt");
        self.state.file(&ca, || part(2))?;
        let chain = self.state.file(&format!("{stem}.crt"), || part(0))?;
        let private = self.state.file(&format!("{stem}.key"), || part(1))?;
        tracing::info!(ca = %self.state.path(&ca).display(), connection = %connection.name, "clients trust this CA (sslrootcert)");
        let data = BTreeMap::from([("tls.crt".to_owned(), chain), ("tls.key".to_owned(), private)]);
        Ok(Arc::new(SecretObject::new(BTreeMap::new(), data)))
    }

    fn binding_key(&self, carrier: &Carrier) -> Result<Arc<SecretObject>, StartError> {
        let connection = &carrier.connection;
        let key = self
            .state
            .file(&format!("{}.{}.binding", connection.namespace, connection.name), || {
                let mut key = vec![0; KEY];
                aws_lc_rs::rand::fill(&mut key).map_err(|_| StartError::Certificate("no random numbers".to_owned()))?;
                Ok(key)
            })?;
        Ok(Arc::new(SecretObject::new(
            BTreeMap::new(),
            BTreeMap::from([(BINDING_FIELD.to_owned(), key)]),
        )))
    }

    fn evidence(&mut self, carrier: &Carrier) -> Result<Evidence, StartError> {
        let connection = &carrier.connection;
        let speaker = server::Door {
            connection: ObjectRef {
                namespace: connection.namespace.clone(),
                name: connection.name.clone(),
                uid: connection.uid.clone(),
            },
            pod: self.pod.clone(),
        };
        let thread = client::thread().map_err(|error| StartError::Thread(error.to_string()))?;
        let mut ways = Vec::new();
        for sink in &carrier.sinks {
            let failed = |why: String| StartError::Log {
                sink: sink.name.clone(),
                why,
            };
            let reference = ObjectRef {
                namespace: sink.namespace.clone(),
                name: sink.name.clone(),
                uid: sink.uid.clone(),
            };
            let log = self.log(&reference)?;
            let limits = control::evidence::limits(sink);
            let durability = match sink.durability {
                audit_sink::Durability::BeforeExecution => Durability::BeforeExecution,
                audit_sink::Durability::Async => Durability::Async,
            };
            ways.push(
                Evidence::local(log, speaker.clone(), durability, limits, &thread)
                    .map_err(|error| failed(error.to_string()))?,
            );
        }
        Ok(Evidence::all(&ways))
    }

    /// How long a sink's records are kept; for ever where it does not say.
    fn retention(&self, sink: &ObjectRef) -> Option<Duration> {
        let named =
            |one: &&AuditSink| (one.namespace().as_ref(), one.name_any()) == (Some(&sink.namespace), sink.name.clone());
        let retention = self.objects.sinks.iter().find(named)?.spec.retention.as_ref()?;
        Some(Duration::from_secs(u64::try_from(retention.days).ok()? * DAY))
    }

    /// The log of a sink; several Connections share it.
    fn log(&mut self, sink: &ObjectRef) -> Result<Log, StartError> {
        let name = format!("{}.{}", sink.namespace, sink.name);
        if let Some(log) = self.logs.get(&name) {
            return Ok(log.clone());
        }
        let failed = |why: String| StartError::Log {
            sink: sink.name.clone(),
            why,
        };
        let folder = self.state.directory(&format!("log-{name}"))?;
        let disk = Folder::claim(folder, PREDECESSOR).map_err(|error| failed(error.to_string()))?;
        let metrics = match &self.metrics {
            Some(metrics) => metrics.clone(),
            None => LogMetrics::new(self.registry).map_err(|error| failed(error.to_string()))?,
        };
        self.metrics = Some(metrics.clone());
        let config = Config {
            sink: sink.clone(),
            pod: self.pod.clone(),
            checkpoint_every: CHECKPOINT,
            grace: GRACE,
            witness: None,
            retention: self.retention(sink),
            metrics,
        };
        let log = Log::open(Arc::new(disk), config).map_err(|error| failed(error.to_string()))?;
        self.logs.insert(name, log.clone());
        Ok(log)
    }
}

/// What one door is made from: its carrier and Secrets.
#[cfg(test)]
pub(super) fn resolved(directory: &Path, listen: &Listen, state: &Path) -> Result<(Carrier, Secrets), StartError> {
    let objects = Objects::read(files::read(directory)?);
    let state = State::open(Some(state))?;
    let (registry, drain) = (Registry::new(), Drain::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| StartError::file(directory, error))?;
    let (logs, metrics, pod) = (BTreeMap::new(), None, this_machine());
    let shared = Shared {
        objects: &objects,
        state: &state,
        registry: &registry,
        runtime: runtime.handle(),
        pod,
        logs,
        metrics,
        drain,
    };
    let carrier = resolve::carrier(&objects, shared.find(listen)?).map_err(StartError::Manifests)?;
    let secrets = shared.secrets(&carrier, listen.address)?;
    runtime.shutdown_background();
    Ok((carrier, secrets))
}

// === impl StartError ===

impl StartError {
    pub(super) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.display().to_string(),
            why: why.to_string(),
        }
    }
}

/// Host name and a name for this boot stand in for a Pod.
fn this_machine() -> PodRef {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let uid = read("/proc/sys/kernel/random/boot_id").or_else(|| SessionId::random().ok().map(|id| id.to_string()));
    PodRef {
        name: read("/proc/sys/kernel/hostname").unwrap_or_else(|| "localhost".to_owned()),
        uid: uid.unwrap_or_else(|| "local".to_owned()),
    }
}
