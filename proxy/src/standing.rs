//! How the ways to recorders stand, looked at when somebody asks: what is in memory only would be lost with the process.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec, Opts};
use sallyport_recorder::client::{Evidence, Standing};
use tokio::sync::watch;

use crate::door::Door;

/// The doors of a process, whichever they are at the moment.
#[derive(Clone)]
pub struct Ways(Vec<watch::Receiver<Option<Door>>>);

/// The ways' numbers. A sink is known by its place in the Connection's list: names are their authors'.
pub struct Gauges {
    ways: Ways,
    records: IntGaugeVec,
    oldest: GaugeVec,
    connected: IntGaugeVec,
}

// === impl Ways ===

impl Ways {
    /// Of these doors.
    pub fn of(doors: impl Iterator<Item = watch::Receiver<Option<Door>>>) -> Self {
        Self(doors.collect())
    }

    fn evidence(&self) -> Vec<Evidence> {
        let open = self
            .0
            .iter()
            .filter_map(|door| door.borrow().as_ref().map(|door| door.evidence.clone()));
        open.collect()
    }

    /// Whether what sends records has ended by itself, so that none will ever be accepted again.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.evidence().iter().any(Evidence::ended)
    }
}

// === impl Gauges ===

impl Gauges {
    /// Of these ways.
    ///
    /// # Errors
    /// Never, as a test shows: names are constants.
    pub fn new(ways: Ways) -> prometheus::Result<Self> {
        Ok(Self {
            ways,
            records: IntGaugeVec::new(
                Opts::new(
                    "sallyport_evidence_queue_records",
                    "Records on their way to a recorder that has not acknowledged them, by the sink's place in the Connection's list.",
                ),
                &["sink"],
            )?,
            oldest: GaugeVec::new(
                Opts::new(
                    "sallyport_evidence_oldest_seconds",
                    "How long the oldest of these records has been on its way; 0 where there is none.",
                ),
                &["sink"],
            )?,
            connected: IntGaugeVec::new(
                Opts::new(
                    "sallyport_evidence_connected",
                    "1 while the sink's recorder takes records.",
                ),
                &["sink"],
            )?,
        })
    }

    fn set(&self, all: &[Vec<Standing>]) {
        let most = all.iter().map(Vec::len).max().unwrap_or_default();
        // A sink that is no longer named has no number.
        self.records.reset();
        self.oldest.reset();
        self.connected.reset();
        for place in 0..most {
            let here = || all.iter().filter_map(move |standings| standings.get(place));
            let label = place.to_string();
            let label = &[label.as_str()];
            let records = here().map(|standing| standing.records).sum::<u64>();
            let oldest = here().map(|standing| standing.oldest).max().unwrap_or(Duration::ZERO);
            self.records
                .with_label_values(label)
                .set(i64::try_from(records).unwrap_or(i64::MAX));
            self.oldest.with_label_values(label).set(oldest.as_secs_f64());
            self.connected
                .with_label_values(label)
                .set(i64::from(here().all(|standing| standing.connected)));
        }
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        [self.records.desc(), self.oldest.desc(), self.connected.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all: Vec<_> = self.ways.evidence().iter().map(Evidence::standings).collect();
        self.set(&all);
        [self.records.collect(), self.oldest.collect(), self.connected.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_doors_show_their_worst_and_a_sink_that_went_shows_nothing() {
        let standing = |connected, records, seconds| Standing {
            connected,
            records,
            oldest: Duration::from_secs(seconds),
        };
        let gauges = Gauges::new(Ways(Vec::new())).unwrap();
        let text = || {
            let families = [
                gauges.records.collect(),
                gauges.oldest.collect(),
                gauges.connected.collect(),
            ]
            .concat();
            prometheus::TextEncoder::new().encode_to_string(&families).unwrap()
        };
        gauges.set(&[
            vec![standing(true, 2, 1), standing(true, 0, 0)],
            vec![standing(false, 3, 7)],
        ]);
        for line in [
            "sallyport_evidence_queue_records{sink=\"0\"} 5",
            "sallyport_evidence_oldest_seconds{sink=\"0\"} 7",
            "sallyport_evidence_connected{sink=\"0\"} 0",
            "sallyport_evidence_connected{sink=\"1\"} 1",
        ] {
            assert!(text().contains(line), "{line}: {}", text());
        }
        gauges.set(&[vec![standing(true, 0, 0)]]);
        assert!(!text().contains("sink=\"1\""), "{}", text());
        let registry = prometheus::Registry::new();
        registry.register(Box::new(gauges)).unwrap();
        assert!(registry.gather().is_empty(), "no door, no numbers");
    }
}
