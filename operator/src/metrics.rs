//! Metrics of the operator. Labels are closed sets: kinds and condition types, never names of objects.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters and gauges of the operator.
#[derive(Clone)]
pub struct Metrics {
    reconciles: IntCounterVec,
    durations: HistogramVec,
    /// Objects of ours by kind, condition and status.
    pub conditions: IntGaugeVec,
    /// Certificates signed (`outcome` signed, refused).
    pub certificates: IntCounterVec,
    /// Reports heard from proxies.
    pub reports: IntCounterVec,
    /// Processes of doors (`state` enforcing, behind).
    pub processes: IntGaugeVec,
    /// 1 while this process leads.
    pub leader: IntGauge,
    /// Problems in the issuers' configuration.
    pub issuer_problems: IntGauge,
    /// What should be looked at in the issuers' configuration.
    pub issuer_warnings: IntGauge,
    /// Forgeries that the operator tried (`outcome` refused, passed).
    pub forgeries: IntCounterVec,
    /// Requests that were closed since admission objects changed while they were open. It begins at 0, and counts a change that was
    /// taken back before anybody scraped.
    pub closed_by_admission: IntCounter,
    /// 1 while the admission objects that guard approvals cannot be trusted.
    pub admission_faults: IntGauge,
    /// Admission objects that ship with this version (`state` whole, changed, missing).
    pub guards: IntGaugeVec,
    /// 1 while the installed definitions are others than this operator's.
    pub schema_mismatch: IntGauge,
    /// Connections at targets that no door holds, as far as doors may see them.
    pub past_doors: IntGauge,
    /// Checks of recorders' checkpoints (`outcome` consistent, inconsistent, unavailable).
    pub checkpoints: IntCounterVec,
    /// Notices to webhooks (`outcome` delivered, failed, dropped).
    pub notifications: IntCounterVec,
}

// === impl Metrics ===

impl Metrics {
    /// Metrics in a registry.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "sallyport_operator_reconcile_duration_seconds",
                "How long one look at an object took.",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(durations.clone()))?;
        let prefix = |name: &str| format!("sallyport_operator_{name}");
        let closed_by_admission = IntCounter::new(
            prefix("requests_closed_by_admission_total"),
            "Requests that were closed since admission objects changed while they were open.",
        )?;
        registry.register(Box::new(closed_by_admission.clone()))?;
        Ok(Self {
            durations,
            reconciles: counter(
                &prefix("reconciles_total"),
                "Looks at objects by kind and outcome.",
                &["kind", "outcome"],
            )?,
            conditions: gauges(
                &prefix("conditions"),
                "Objects by kind, condition and status.",
                &["kind", "condition", "status"],
            )?,
            certificates: counter(
                &prefix("certificates_total"),
                "Workload certificates asked for, by outcome.",
                &["outcome"],
            )?,
            reports: counter(
                &prefix("reports_total"),
                "Reports heard from proxies, by outcome.",
                &["outcome"],
            )?,
            processes: gauges(
                &prefix("processes"),
                "Processes of doors that count, by whether they enforce.",
                &["state"],
            )?,
            leader: gauge(
                &prefix("leader"),
                "1 while this process leads; where it is 0, all other metrics of the operator say nothing.",
            )?,
            issuer_problems: gauge(
                &prefix("issuer_problems"),
                "Issuers of the configuration that cannot be used.",
            )?,
            issuer_warnings: gauge(
                &prefix("issuer_warnings"),
                "Warnings about issuers: names that people can often change at the provider, agents that the API server does not tell from people.",
            )?,
            forgeries: counter(
                &prefix("forgeries_total"),
                "Forgeries that the operator tried and admission must refuse, by outcome.",
                &["outcome"],
            )?,
            closed_by_admission,
            admission_faults: gauge(
                &prefix("admission_faults"),
                "1 while the admission objects that guard approvals are missing, not as they ship, or let a forgery pass.",
            )?,
            guards: gauges(
                &prefix("guards"),
                "Admission objects that ship with this version, by whether they are there as they ship.",
                &["state"],
            )?,
            schema_mismatch: gauge(
                &prefix("schema_mismatch"),
                "1 while the installed definitions of our kinds are others than this operator's.",
            )?,
            past_doors: gauge(
                &prefix("connections_past_doors"),
                "Connections at targets that did not come through a door, as far as doors may see them.",
            )?,
            checkpoints: counter(
                &prefix("checkpoints_total"),
                "Checks of recorders' checkpoints, by outcome.",
                &["outcome"],
            )?,
            notifications: counter(
                &prefix("notifications_total"),
                "Notices about requests to webhooks, by outcome.",
                &["outcome"],
            )?,
        })
    }

    /// One look at an object is over.
    pub fn reconciled(&self, kind: &str, took: Duration, ok: bool) {
        self.reconciles
            .with_label_values(&[kind, if ok { "ok" } else { "error" }])
            .inc();
        self.durations.with_label_values(&[kind]).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_and_our_prefix() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.reconciled("connection", Duration::from_millis(3), true);
        metrics.leader.set(1);
        let families = registry.gather();
        assert!(families.len() >= 3);
        for family in families {
            assert!(
                family.name().starts_with("sallyport_operator_") && !family.help().is_empty(),
                "{}",
                family.name()
            );
        }
    }
}
