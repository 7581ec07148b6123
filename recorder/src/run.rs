//! Wiring: every flag is used here, every task begins here.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use prometheus::Registry;
use sallyport_audit::record::{ObjectRef, PodRef};
use sallyport_identity::{Pace, Reviewer};
use sallyport_runtime::admin::{self, Probe};
use sallyport_runtime::shutdown;
use sallyport_runtime::workload::Credential;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::attest::{Attestor, People};
use crate::log::disk::Folder;
use crate::log::{Config, Log, Status};
use crate::metrics::LogMetrics;
use crate::read;
use crate::server::{self, Limits, Shared};

/// Files of certificates are read again this often.
const FOLLOW: Duration = Duration::from_secs(5);

/// How long a recorder that is ending may hold on to the volume: it drains for up to half a minute.
const PREDECESSOR: Duration = Duration::from_secs(40);

/// Runs until a signal comes, or until the volume lost a write and only a restart helps.
///
/// # Errors
/// When the recorder cannot start, or must be restarted.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let end = shutdown::on_signals().context("signals")?;
    let registry = Registry::new();
    let log = open(&args, &registry)?;
    let status = log.status();
    admin::serve(
        args.admin_listen,
        registry,
        liveness(status.clone()),
        readiness(status.clone(), end.clone()),
    )
    .with_context(|| format!("admin port {}", args.admin_listen))?;
    let loopback = TcpListener::bind(args.loopback_listen).await.context("loopback port")?;
    let (readers, stop_reading) = (log.clone(), end.clone());
    tokio::spawn(async move { read::serve_loopback(loopback, &readers, stop_reading).await });

    let people = people(&args).await;
    let credential = credential(&args, &end).await?;
    let reading = TcpListener::bind(args.read_listen)
        .await
        .with_context(|| format!("read port {}", args.read_listen))?;
    let evidence = TcpListener::bind(args.evidence_listen)
        .await
        .with_context(|| format!("evidence port {}", args.evidence_listen))?;
    let (operator, readers, stop_reading) = (credential.clone(), log.clone(), end.clone());
    let trusting = people.clone();
    tokio::spawn(async move {
        if let Err(error) = read::serve_tls(reading, &operator, &readers, &trusting, stop_reading).await {
            tracing::error!(%error, "the read port is not served");
        }
    });
    tracing::info!(origin = log.key().name(), "recording");
    let mut shared = Shared::new(log.clone(), Limits::default(), end.clone()).attesting(people);
    if let Some(namespaces) = args.sink_namespaces.clone() {
        shared = shared.only_from(namespaces);
    }
    tokio::select! {
        served = server::serve(evidence, &credential, shared) => served.context("evidence port")?,
        broken = broken(status) => bail!("{broken}"),
    }
    log.close("the recorder was told to stop").await;
    Ok(())
}

fn open(args: &Args, registry: &Registry) -> anyhow::Result<Log> {
    let folder =
        Folder::claim(&args.data, PREDECESSOR).with_context(|| format!("the volume {}", args.data.display()))?;
    let config = Config {
        sink: ObjectRef {
            name: args.sink.clone(),
            namespace: args.namespace.clone(),
            uid: args.sink_uid.clone(),
        },
        pod: PodRef {
            name: args.pod_name.clone(),
            uid: args.pod_uid.clone(),
        },
        checkpoint_every: args.checkpoint_every_ms,
        grace: args.grace_ms,
        witness: args.witness_key.clone(),
        retention: args
            .retention_days
            .map(|days| Duration::from_secs(u64::from(days) * 86_400)),
        metrics: LogMetrics::new(registry)?,
    };
    Ok(Log::open(Arc::new(folder), config)?)
}

/// With an operator that says whose tokens count, the recorder checks them itself.
async fn people(args: &Args) -> People {
    if args.witness_key.is_none() {
        return People::Door;
    }
    let reviewer = match kube::Client::try_default().await {
        Ok(client) => Some(Arc::new(client) as Arc<dyn Reviewer>),
        Err(error) => {
            tracing::error!(%error, "no way to the API server: tokens of ServiceAccounts prove nobody here");
            None
        }
    };
    let attestor = Attestor::new(Handle::current(), reviewer, Pace::default()).requiring(args.tokens_required);
    People::Checked(Arc::new(attestor))
}

async fn credential(args: &Args, end: &CancellationToken) -> anyhow::Result<Credential> {
    let (Some(chain), Some(key), Some(ca)) = (args.tls_cert.clone(), args.tls_key.clone(), args.client_ca.clone())
    else {
        return Ok(args.enrollment.clone().start(end.clone()).await?);
    };
    let load = move || -> anyhow::Result<[Vec<u8>; 3]> {
        let read = |path: &std::path::Path| std::fs::read(path).with_context(|| path.display().to_string());
        Ok([read(&chain)?, read(&key)?, read(&ca)?])
    };
    let mut known = load()?;
    let [chain, key, ca] = &known;
    let credential = Credential::from_pem(chain, key, ca)?;
    let (followed, end) = (credential.clone(), end.clone());
    tokio::spawn(async move {
        while tokio::time::timeout(FOLLOW, end.cancelled()).await.is_err() {
            match load() {
                Ok(found) if found != known => {
                    let [chain, key, ca] = &found;
                    match followed.replace(chain, key, ca) {
                        Ok(()) => known = found,
                        // Half of a rotation: the next look finds the whole.
                        Err(error) => tracing::warn!(%error, "changed certificate files are not taken yet"),
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "certificate files cannot be read"),
            }
        }
    });
    Ok(credential)
}

/// A recorder whose volume lost a write must be restarted.
fn liveness(status: watch::Receiver<Status>) -> Probe {
    Arc::new(move || status.borrow().broken.clone().map_or(Ok(()), Err))
}

/// Ready means: who comes now gets an answer. A recorder whose volume is full still takes what ends things on record, serves
/// readers, and refuses the rest in words; metric and condition say so.
fn readiness(status: watch::Receiver<Status>, end: CancellationToken) -> Probe {
    Arc::new(move || {
        if end.is_cancelled() {
            return Err("draining".to_owned());
        }
        let status = status.borrow();
        if status.fenced {
            return Err("waits until the operator has vouched for the volume".to_owned());
        }
        status.broken.clone().map_or(Ok(()), Err)
    })
}

async fn broken(mut status: watch::Receiver<Status>) -> String {
    match status.wait_for(|status| status.broken.is_some()).await {
        Ok(status) => status.broken.clone().unwrap_or_default(),
        Err(_) => "the log's writer ended".to_owned(),
    }
}
