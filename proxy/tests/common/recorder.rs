//! A recorder in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::{ObjectRef, PodRef};
use sallyport_recorder::attest::People;
use sallyport_recorder::client::{Durability, Evidence, Limits};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Config, Log};
use sallyport_recorder::metrics::LogMetrics;
use sallyport_recorder::server::{Door, Limits as PortLimits, Shared};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::door::bank;

/// A log of a test's own, and a door's way to it.
pub fn evidence(directory: &Path, runtime: &Runtime, recorder: People) -> (Log, Evidence) {
    let log = log(directory, runtime);
    let pod = PodRef {
        name: "door".into(),
        uid: "uid-pod".into(),
    };
    let speaker = Door {
        connection: bank(),
        pod,
    };
    let (durability, limits) = (Durability::BeforeExecution, Limits::default());
    let evidence = match recorder {
        People::SameProcess => Evidence::local(log.clone(), speaker, durability, limits, runtime.handle()),
        asked => {
            let port = Shared::new(log.clone(), PortLimits::default(), CancellationToken::new()).attesting(asked);
            Evidence::piped(port, speaker, durability, limits, runtime.handle())
        }
    };
    (log, evidence.unwrap())
}

fn log(directory: &Path, runtime: &Runtime) -> Log {
    let _guard = runtime.enter();
    let config = Config {
        sink: ObjectRef {
            name: "evidence".into(),
            namespace: "doors".into(),
            uid: "uid-sink".into(),
        },
        pod: PodRef {
            name: "recorder".into(),
            uid: "uid-recorder".into(),
        },
        checkpoint_every: Duration::from_millis(20),
        grace: Duration::from_secs(1),
        witness: None,
        retention: None,
        metrics: LogMetrics::unregistered().unwrap(),
    };
    Log::open(
        Arc::new(Folder::claim(directory.join("log"), Duration::ZERO).unwrap()),
        config,
    )
    .unwrap()
}
