//! The program: control plane on one runtime, sessions on others, an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use prometheus::Registry;
use sallyport_identity::Shares;
use sallyport_runtime::vitals::Vitals;
use sallyport_runtime::{admin, shutdown};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::args::Args;
use crate::control::{self, Control};
use crate::door::Door;
use crate::drain::Drain;
use crate::listener::{self, Entrance, Shared};
use crate::peers::Hear;
use crate::session::Protocol;
use crate::standing::{Gauges, Ways};
use crate::{manifests, metrics};

/// Where metrics and probes are in a cluster.
const ADMIN: ([u8; 4], u16) = ([0, 0, 0, 0], 9090);
/// Records that are on their way when the last session has ended have this long.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// Runs the program until SIGTERM or SIGINT and the end of its sessions. To be called on the control plane's runtime. `heard`
/// takes cancels that other replicas do not know; `make` makes the protocol for one connection.
///
/// # Errors
/// When it cannot begin: flags, files, addresses.
pub async fn run<P, F>(args: Args, heard: Hear, make: F) -> anyhow::Result<()>
where
    P: Protocol + 'static,
    F: Fn(&Door) -> P + Clone + Send + 'static,
{
    let (drain, vitals) = (Drain::at(shutdown::on_signals()?), Vitals::default());
    let registry = Registry::new();
    metrics::get().register(&registry)?;
    control::metrics::get().register(&registry)?;
    let doors = doors(&args, heard, &registry, &drain, &vitals).await?;
    let ways = Ways::of(doors.iter().map(|(_, control)| control.doors.clone()));
    registry.register(Box::new(Gauges::new(ways.clone())?))?;
    if let Some(address) = admin_address(&args) {
        let (liveness, readiness) = (liveness(&ways, &vitals), readiness(&doors, &drain));
        admin::serve(address, registry, liveness, readiness).with_context(|| format!("admin port {address}"))?;
    }
    let shared = Shared {
        drain: drain.closed.clone(),
        sessions: TaskTracker::new(),
        slots: Arc::new(Semaphore::new(args.max_connections)),
        strangers: Shares::new(args.max_connections),
        vitals,
    };
    let entrances: Vec<_> = doors
        .iter()
        .map(|(address, control)| Entrance {
            address: *address,
            doors: control.doors.clone(),
        })
        .collect();
    for address in listener::serve(&entrances, args.threads(), &shared, make)? {
        tracing::info!(%address, "listening");
    }
    drain.follow(&shared.sessions, args.linger(), args.drain()).await;
    for (_, control) in &doors {
        let door = control.doors.borrow().clone();
        if let Some(door) = door {
            door.evidence.close(LAST_RECORDS).await;
        }
    }
    Ok(())
}

/// Where each door listens.
async fn doors(
    args: &Args,
    heard: Hear,
    registry: &Registry,
    drain: &Drain,
    vitals: &Vitals,
) -> anyhow::Result<Vec<(SocketAddr, Control)>> {
    if args.manifests.manifests.is_none() {
        if !args.manifests.listen.is_empty() {
            bail!("--listen belongs to --manifests; in a cluster use --door-address");
        }
        let control = control::start(&args.place, heard, drain.clone(), vitals).await?;
        return Ok(vec![(args.door_address, control)]);
    }
    if args.manifests.listen.is_empty() {
        bail!("--manifests needs --listen NAME=ADDR, such as --listen bank=127.0.0.1:15432");
    }
    let local = manifests::start(&args.manifests, registry, &Handle::current(), drain)?;
    Ok(local.into_iter().map(|local| (local.address, local.control)).collect())
}

fn admin_address(args: &Args) -> Option<SocketAddr> {
    args.admin_address
        .or_else(|| args.manifests.manifests.is_none().then(|| ADMIN.into()))
}

/// Alive while every part of the process is, and so is every door's way to its recorders.
fn liveness(ways: &Ways, vitals: &Vitals) -> admin::Probe {
    let (parts, ways) = (vitals.probe(), ways.clone());
    Arc::new(move || {
        parts()?;
        match ways.ended() {
            true => Err("ended by itself: sending records".to_owned()),
            false => Ok(()),
        }
    })
}

/// Ready when every door is.
fn readiness(doors: &[(SocketAddr, Control)], drain: &Drain) -> admin::Probe {
    let probes: Vec<_> = doors
        .iter()
        .map(|(_, control)| control::readiness(control.status.clone(), drain.begun.clone()))
        .collect();
    Arc::new(move || probes.iter().try_for_each(|probe| probe()))
}
