//! The ways to the recorders that a carrier names.

use std::sync::Arc;
use std::time::Duration;

use sallyport_crds::Reason;
use sallyport_crds::audit_sink;
use sallyport_policy::carrier::CarriedSink;
use sallyport_recorder::client::{self, Durability, Evidence, Limits, Link, State};
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::workload::Credential;
use tokio::runtime::Handle;

use super::Place;
use super::away::{LATE, Missed};
use super::lack::Lack;

/// Connects to every sink; each must accept a record before it counts.
pub(super) fn connect(sinks: &[CarriedSink], place: &Place, credential: &Credential) -> Result<Evidence, Lack> {
    if sinks.is_empty() {
        return Err(Lack::new(
            Reason::SinkNotAvailable,
            "the policy names no sink: nobody gets in unrecorded",
        ));
    }
    let thread = client::thread().map_err(|error| {
        Lack::new(
            Reason::SinkNotAvailable,
            format!("no thread for evidence can be had: {error}"),
        )
    })?;
    let handles: Vec<_> = sinks
        .iter()
        .map(|sink| one(sink, place, credential, &thread))
        .collect::<Result<_, _>>()?;
    Ok(Evidence::all(&handles))
}

fn one(sink: &CarriedSink, place: &Place, credential: &Credential, runtime: &Handle) -> Result<Evidence, Lack> {
    let unavailable = |error: &dyn std::fmt::Display| {
        Lack::new(
            Reason::SinkNotAvailable,
            format!("AuditSink {}/{}: {error}", sink.namespace, sink.name),
        )
    };
    let wanted = (sink.namespace.clone(), sink.name.clone(), sink.uid.clone());
    let accept = Arc::new(move |peer: &PeerIdentity| match peer {
        PeerIdentity::Sink(recorder) => {
            (&recorder.namespace, &recorder.name, &recorder.uid) == (&wanted.0, &wanted.1, &wanted.2)
        }
        _ => false,
    });
    let config = credential.client_config(accept).map_err(|error| unavailable(&error))?;
    let server_name = sink
        .address
        .rsplit_once(':')
        .map_or(sink.address.as_str(), |(host, _)| host)
        .to_owned();
    let link = Link {
        endpoint: sink.address.clone(),
        server_name,
        tls: Arc::new(move || Arc::clone(&config)),
        connection: place.connection.clone(),
        pod: place.pod.clone(),
        durability: match sink.durability {
            audit_sink::Durability::BeforeExecution => Durability::BeforeExecution,
            audit_sink::Durability::Async => Durability::Async,
        },
        limits: limits(sink),
    };
    Evidence::connect(link, runtime).map_err(|error| unavailable(&error))
}

/// Those of the sinks that take no records. `states` are in the order of the sinks. By name alone: the reason in words is another
/// at each try, and stands in the log.
pub(super) fn unreached(sinks: &[CarriedSink], states: impl Iterator<Item = State>) -> Vec<Missed> {
    let away = sinks.iter().zip(states).filter(|(_, state)| !state.connected);
    let missed = away.map(|(sink, _)| Missed {
        name: format!("{}/{}", sink.namespace, sink.name),
        late: late(sink),
    });
    missed.collect()
}

/// How long a sink may be away before that is news. Where records may lag for longer, it stops nothing until then.
fn late(sink: &CarriedSink) -> Duration {
    match sink.durability {
        audit_sink::Durability::BeforeExecution => LATE,
        audit_sink::Durability::Async => LATE.max(limits(sink).max_lag),
    }
}

/// What a sink says of how far its records may lag.
pub(crate) fn limits(sink: &CarriedSink) -> Limits {
    let mut limits = Limits::default();
    if let (audit_sink::Durability::Async, Some(bounds)) = (sink.durability, &sink.asynchronous) {
        limits.max_records = u64::try_from(bounds.max_records).unwrap_or(1);
        limits.max_lag = bounds.max_lag.get().max(Duration::from_millis(100));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::sample;

    #[test]
    fn the_sinks_that_take_no_records_are_named_once_they_stop_somebody() {
        let sink = sample().0.sinks.remove(0);
        let named = |name: &str| CarriedSink {
            namespace: "evidence".to_owned(),
            name: name.to_owned(),
            ..sink.clone()
        };
        let lagging = |name: &str, lag: u64| CarriedSink {
            durability: audit_sink::Durability::Async,
            asynchronous: Some(audit_sink::Asynchronous {
                max_records: 10,
                max_lag: sallyport_crds::Duration::from_secs(lag),
            }),
            ..named(name)
        };
        let away = |problem: &str| State {
            problem: problem.to_owned(),
            ..State::default()
        };
        let there = State {
            connected: true,
            ..State::default()
        };
        let sinks = [named("one"), named("two"), lagging("three", 60), lagging("four", 1)];
        let states = [away("it was rolled back"), there.clone(), away(""), away("")];
        let missed = |name: &str, late| Missed {
            name: name.to_owned(),
            late,
        };
        assert_eq!(
            unreached(&sinks, states.into_iter()),
            [
                missed("evidence/one", LATE),
                missed("evidence/three", Duration::from_secs(60)),
                missed("evidence/four", LATE)
            ]
        );
        assert!(unreached(&sinks[..1], [there].into_iter()).is_empty());
    }
}
