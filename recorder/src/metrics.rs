//! What the recorder counts. Label sets are closed.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use sallyport_audit::wire::RefuseCode;

use crate::log::Status;

/// Counts of one log.
#[derive(Clone, Debug)]
pub struct LogMetrics {
    records: IntCounter,
    commits: Histogram,
    batch: Histogram,
    refused: IntCounterVec,
    size: IntGauge,
    published: IntGauge,
    sessions: IntGauge,
    doors: IntGauge,
    writable: IntGauge,
}

impl LogMetrics {
    /// Counts under `sallyport_recorder_*`, registered in `registry`.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(format!("sallyport_recorder_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| -> Result<Histogram, prometheus::Error> {
            let histogram =
                Histogram::with_opts(HistogramOpts::new(format!("sallyport_recorder_{name}"), help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let records = IntCounter::new(
            "sallyport_recorder_records_total",
            "Records brought to disk since the start.",
        )?;
        registry.register(Box::new(records.clone()))?;
        let refused = Opts::new(
            "sallyport_recorder_refused_total",
            "Batches and streams refused, by reason.",
        );
        let refused = IntCounterVec::new(refused, &["code"])?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self {
            records,
            commits: histogram(
                "commit_seconds",
                "Time to bring one group of records to disk (write and fdatasync).",
                prometheus::exponential_buckets(0.000_05, 2.0, 16)?,
            )?,
            batch: histogram(
                "commit_records",
                "Records in one group.",
                prometheus::exponential_buckets(1.0, 2.0, 14)?,
            )?,
            refused,
            size: gauge("log_size", "Records on disk.")?,
            published: gauge("log_published", "Records under the published checkpoint.")?,
            sessions: gauge("sessions", "Sessions that are open by their records.")?,
            doors: gauge("doors", "Doors with a stream to this recorder.")?,
            writable: gauge("writable", "1 when the volume takes records, else 0.")?,
        })
    }

    /// Counts that nobody collects.
    ///
    /// # Errors
    /// Never with the names above.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::new(&Registry::new())
    }

    pub(crate) fn committed(&self, records: usize, took: Duration) {
        self.records.inc_by(records as u64);
        self.batch
            .observe(f64::from(u32::try_from(records).unwrap_or(u32::MAX)));
        self.commits.observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, code: RefuseCode) {
        let code = match code {
            RefuseCode::Version => "version",
            RefuseCode::Identity => "identity",
            RefuseCode::Namespace => "namespace",
            RefuseCode::Fenced => "fenced",
            RefuseCode::Sequence => "sequence",
            RefuseCode::Record => "record",
            RefuseCode::RolledBack => "rolledBack",
            RefuseCode::Storage => "storage",
            RefuseCode::Busy => "busy",
            RefuseCode::Stopping => "stopping",
            RefuseCode::Other => "other",
        };
        self.refused.with_label_values(&[code]).inc();
    }

    pub(crate) fn standing(&self, status: &Status) {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.size.set(signed(status.size));
        self.published.set(signed(status.published));
        self.sessions.set(signed(status.sessions as u64));
        self.doors.set(signed(status.doors as u64));
        self.writable.set(i64::from(
            !status.fenced && status.problem.is_none() && status.broken.is_none(),
        ));
    }
}
