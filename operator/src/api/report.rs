//! `POST /v1/report`: a door's account of itself, answered at once when it should run something else, and held otherwise.

use std::time::Duration;

use hyper::StatusCode;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::report::{ANSWER_AFTER, Answer, Report};
use tokio::time::{Instant, timeout_at};

use super::server::Refused;
use crate::context::Context;
use crate::world::find;
use kube::Resource;

/// A door that was told what to run gets this long before it is told again: it has to read the carrier first.
const TOLD: Duration = Duration::from_millis(250);

/// Answers a report.
pub async fn answer(context: &Context, peer: &Workload, report: &Report) -> Result<Answer, Refused> {
    let outcome = |label| context.metrics.reports.with_label_values(&[label]).inc();
    present(context, peer).inspect_err(|_| outcome("refused"))?;
    if report.connection_uid != peer.uid || report.pod != peer.pod {
        tracing::warn!(
            pod = peer.pod,
            "a report names another than its certificate; the certificate counts"
        );
    }
    outcome("heard");
    context.fleet.heard(peer, report);
    let mut programs = context.programs.follow(&peer.uid);
    let begin = Instant::now();
    let wanted = |programs: &mut tokio::sync::watch::Receiver<Option<crate::enforce::programs::Program>>| {
        programs.borrow_and_update().as_ref().map(|program| program.revision)
    };
    // A door reports the oldest revision that a live session still enforces, so a difference may last: it is no reason to
    // answer in a tight circle.
    if wanted(&mut programs) != report.revision {
        let _ = timeout_at(begin + TOLD, programs.changed()).await;
    } else {
        while timeout_at(begin + ANSWER_AFTER, programs.changed()).await.is_ok() {
            if wanted(&mut programs) != report.revision {
                break;
            }
        }
    }
    let wanted_revision =
        wanted(&mut programs).ok_or(Refused(StatusCode::SERVICE_UNAVAILABLE, "no policy was decided yet"))?;
    Ok(Answer { wanted_revision })
}

/// The Connection whose door asks is there, and no namesake.
pub(super) fn present(context: &Context, peer: &Workload) -> Result<(), Refused> {
    let known = find(&context.world.connections, &peer.namespace, &peer.name);
    if known.and_then(|connection| connection.meta().uid.clone()).as_deref() == Some(&peer.uid) {
        Ok(())
    } else {
        Err(Refused(StatusCode::GONE, "the Connection is gone or is another"))
    }
}
