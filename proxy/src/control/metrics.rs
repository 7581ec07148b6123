//! What the control plane counts. Labels are closed sets.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

use super::status::Status;
use crate::metrics::{counters, gauge, named};

/// Every number of the control plane.
pub struct Metrics {
    revision: IntGauge,
    open: IntGauge,
    away: Gauge,
    issuers: IntGauge,
    reports: IntCounterVec,
}

static METRICS: OnceLock<Metrics> = OnceLock::new();

/// The numbers of this process.
pub fn get() -> &'static Metrics {
    METRICS.get_or_init(Metrics::new)
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            revision: gauge(
                "sallyport_proxy_policy_revision",
                "Revision of the policy in force; 0 while there is none.",
            ),
            open: gauge(
                "sallyport_proxy_open",
                "1 while somebody can be admitted, 0 while the door is shut.",
            ),
            away: named(Gauge::with_opts(Opts::new(
                "sallyport_proxy_apiserver_silence_seconds",
                "How long ago the API server answered last.",
            ))),
            issuers: gauge(
                "sallyport_proxy_issuers_unavailable",
                "Issuers of the Connection whose keys are not known: nobody of theirs can log in.",
            ),
            reports: counters(
                "sallyport_proxy_reports_total",
                "Reports to the operator, by outcome.",
                &["outcome"],
            ),
        }
    }

    /// Puts every number on a registry.
    ///
    /// # Errors
    /// When a name is taken there.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.revision.clone()))?;
        registry.register(Box::new(self.open.clone()))?;
        registry.register(Box::new(self.away.clone()))?;
        registry.register(Box::new(self.issuers.clone()))?;
        registry.register(Box::new(self.reports.clone()))
    }

    pub(super) fn stand(&self, status: &Status, away: Duration) {
        self.revision.set(
            status
                .revision
                .and_then(|revision| i64::try_from(revision).ok())
                .unwrap_or(0),
        );
        self.open.set(i64::from(status.shut.is_none()));
        self.away.set(away.as_secs_f64());
    }

    /// How long ago the API server answered last, as it is shown.
    #[cfg(test)]
    pub(super) fn silence(&self) -> f64 {
        self.away.get()
    }

    pub(super) fn issuers(&self, unavailable: usize) {
        self.issuers.set(i64::try_from(unavailable).unwrap_or(i64::MAX));
    }

    pub(super) fn reported(&self, answered: bool) {
        self.reports
            .with_label_values(&[if answered { "answered" } else { "failed" }])
            .inc();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_names_are_lawful_and_differ() {
        let registry = prometheus::Registry::new();
        super::get().register(&registry).unwrap();
        super::get().reported(true);
        assert_eq!(registry.gather().len(), 5);
    }
}
