//! What this door counts. Labels are closed sets: never error text, never a name that a user chose.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use sallyport_audit::record::{Action, EndCause, Fate, Refusal};

/// Every number of the door.
pub struct Metrics {
    sessions: IntGauge,
    ended: IntCounterVec,
    refused: IntCounterVec,
    commands: IntCounterVec,
    outcomes: IntCounterVec,
    masked: IntCounterVec,
    holds: IntGauge,
    hold_wait: Histogram,
    command_time: Histogram,
    decide_time: Histogram,
    record_time: Histogram,
    session_time: Histogram,
    evidence_failures: IntCounter,
    target_errors: IntCounterVec,
    broken_glass: IntCounterVec,
    revoked_grants: IntCounter,
    tokens_elsewhere: IntCounter,
}

static METRICS: OnceLock<Metrics> = OnceLock::new();

/// The numbers of this process.
pub fn get() -> &'static Metrics {
    METRICS.get_or_init(Metrics::new)
}

/// Seconds, from 50 µs to 100 s.
const FAST: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 100.0,
];
/// Seconds, from a second to a day.
const SLOW: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// What can fail about a target; see `DialError::kind`.
const TARGET_FAULTS: &[&str] = &["address", "connect", "slow", "tls", "login", "unsupported", "protocol"];

/// A gauge of this program.
pub(crate) fn gauge(name: &str, help: &str) -> IntGauge {
    named(IntGauge::with_opts(Opts::new(name, help)))
}

/// Counters of this program, one for each value of the labels.
pub(crate) fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    named(IntCounterVec::new(Opts::new(name, help), labels))
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    named(Histogram::with_opts(
        HistogramOpts::new(name, help).buckets(buckets.to_vec()),
    ))
}

/// A counter that is born at 1 never increases: what alerts look at is there from the beginning.
fn from_zero(counters: IntCounterVec, labels: &[&str]) -> IntCounterVec {
    for label in labels {
        counters.with_label_values(&[*label]).inc_by(0);
    }
    counters
}

/// What was made by a name and labels of our own.
#[expect(
    clippy::expect_used,
    reason = "names and labels are constants here and in `control::metrics`, and tests make them all"
)]
pub(crate) fn named<T>(made: prometheus::Result<T>) -> T {
    made.expect("a metric of ours has a lawful name")
}

// === impl Metrics ===

impl Metrics {
    fn new() -> Self {
        Self {
            sessions: gauge("sallyport_sessions", "Sessions alive."),
            ended: counters(
                "sallyport_sessions_ended_total",
                "Sessions that ended, by cause.",
                &["cause"],
            ),
            refused: counters(
                "sallyport_logins_refused_total",
                "Logins refused, by reason.",
                &["reason"],
            ),
            commands: counters("sallyport_commands_total", "Commands judged, by verdict.", &["verdict"]),
            outcomes: counters(
                "sallyport_command_outcomes_total",
                "Commands let through, by what became of them.",
                &["fate"],
            ),
            masked: counters(
                "sallyport_masked_fields_total",
                "Values masked, by rule kind or detector.",
                &["kind"],
            ),
            holds: gauge("sallyport_holds", "Commands that wait for a second person."),
            hold_wait: histogram(
                "sallyport_hold_wait_seconds",
                "How long commands waited for a second person.",
                SLOW,
            ),
            command_time: histogram(
                "sallyport_command_seconds",
                "From forwarding a command to the end of its answer.",
                FAST,
            ),
            decide_time: histogram("sallyport_decide_seconds", "Judging one unit.", FAST),
            record_time: histogram("sallyport_record_seconds", "Waiting until an intent is durable.", FAST),
            session_time: histogram("sallyport_session_seconds", "How long sessions lasted.", SLOW),
            evidence_failures: named(IntCounter::new(
                "sallyport_evidence_failures_total",
                "Records that could not be handed over.",
            )),
            target_errors: from_zero(
                counters(
                    "sallyport_target_errors_total",
                    "Targets that could not be used, by what failed.",
                    &["what"],
                ),
                TARGET_FAULTS,
            ),
            broken_glass: counters(
                "sallyport_break_glass_total",
                "Units that ran without the approval they need: the first of a use, and those after it.",
                &["unit"],
            ),
            revoked_grants: named(IntCounter::new(
                "sallyport_grants_revoked_total",
                "Sessions that ended because a grant in use was revoked.",
            )),
            tokens_elsewhere: named(IntCounter::new(
                "sallyport_tokens_elsewhere_total",
                "Sessions whose token was in use from another address when they began.",
            )),
        }
    }

    /// Puts every number on a registry.
    ///
    /// # Errors
    /// When one of the names is on it already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.ended.clone()))?;
        registry.register(Box::new(self.refused.clone()))?;
        registry.register(Box::new(self.commands.clone()))?;
        registry.register(Box::new(self.outcomes.clone()))?;
        registry.register(Box::new(self.masked.clone()))?;
        registry.register(Box::new(self.holds.clone()))?;
        registry.register(Box::new(self.hold_wait.clone()))?;
        registry.register(Box::new(self.command_time.clone()))?;
        registry.register(Box::new(self.decide_time.clone()))?;
        registry.register(Box::new(self.record_time.clone()))?;
        registry.register(Box::new(self.session_time.clone()))?;
        registry.register(Box::new(self.evidence_failures.clone()))?;
        registry.register(Box::new(self.broken_glass.clone()))?;
        registry.register(Box::new(self.revoked_grants.clone()))?;
        registry.register(Box::new(self.target_errors.clone()))
    }

    /// A session began.
    pub fn session_began(&self) {
        self.sessions.inc();
    }

    /// A session ended.
    pub fn session_ended(&self, cause: EndCause, after: Duration) {
        self.sessions.dec();
        self.ended.with_label_values(&[label(&cause).as_str()]).inc();
        self.session_time.observe(after.as_secs_f64());
    }

    /// A login was refused.
    pub fn refused(&self, reason: Refusal) {
        self.refused.with_label_values(&[label(&reason).as_str()]).inc();
    }

    /// A command was judged.
    pub fn judged(&self, action: Action) {
        self.commands.with_label_values(&[action_label(action)]).inc();
    }

    /// A unit was judged, in this time.
    pub fn decided(&self, took: Duration) {
        self.decide_time.observe(took.as_secs_f64());
    }

    /// An intent became durable.
    pub fn recorded(&self, took: Duration) {
        self.record_time.observe(took.as_secs_f64());
    }

    /// A command that was let through came to its end.
    pub fn outcome(&self, fate: Fate, took: Duration) {
        self.outcomes.with_label_values(&[fate_label(fate)]).inc();
        self.command_time.observe(took.as_secs_f64());
    }

    /// Values were masked. Kinds of own patterns count as one.
    pub fn masked(&self, kind: &str, n: u64) {
        let kind = if kind.starts_with("pattern/") { "pattern" } else { kind };
        self.masked.with_label_values(&[kind]).inc_by(n);
    }

    /// A command waits for a second person, until the returned value is dropped.
    pub fn holding(&'static self) -> Holding {
        self.holds.inc();
        Holding {
            metrics: self,
            since: std::time::Instant::now(),
        }
    }

    /// A record could not be handed over.
    pub fn evidence_failed(&self) {
        self.evidence_failures.inc();
    }

    /// A unit runs without the approval that it needs.
    pub fn broke_glass(&self, first: bool) {
        let unit = if first { "first" } else { "later" };
        self.broken_glass.with_label_values(&[unit]).inc();
    }

    /// A session began by a token that another address used at that moment.
    pub fn token_elsewhere(&self) {
        self.tokens_elsewhere.inc();
    }

    /// A session ends because a grant in use was revoked.
    pub fn grant_revoked(&self) {
        self.revoked_grants.inc();
    }

    /// A target could not be used.
    pub fn target_failed(&self, what: &'static str) {
        self.target_errors.with_label_values(&[what]).inc();
    }
}

/// A hold in progress.
pub struct Holding {
    metrics: &'static Metrics,
    since: std::time::Instant,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.metrics.holds.dec();
        self.metrics.hold_wait.observe(self.since.elapsed().as_secs_f64());
    }
}

/// The names of [`label`], without the work: every command asks.
fn action_label(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Hold => "hold",
    }
}

fn fate_label(fate: Fate) -> &'static str {
    match fate {
        Fate::Executed => "executed",
        Fate::Failed => "failed",
        Fate::NotRun => "notRun",
        Fate::Unknown => "unknown",
    }
}

/// The name by which records know a variant of a closed set.
fn label(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_names_in_records() {
        for action in [Action::Allow, Action::Deny, Action::Hold] {
            assert_eq!(action_label(action), label(&action));
        }
        for fate in [Fate::Executed, Fate::Failed, Fate::NotRun, Fate::Unknown] {
            assert_eq!(fate_label(fate), label(&fate));
        }
    }

    #[test]
    fn every_number_can_be_registered_and_labels_are_those_of_records() {
        let registry = Registry::new();
        get().register(&registry).unwrap();
        get().refused(Refusal::NotAdmitted);
        get().judged(Action::Hold);
        get().masked("pattern/employee-number", 2);
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        assert!(
            text.contains("sallyport_logins_refused_total{reason=\"notAdmitted\"}"),
            "{text}"
        );
        assert!(text.contains("sallyport_commands_total{verdict=\"hold\"}"));
        assert!(text.contains("sallyport_masked_fields_total{kind=\"pattern\"}"));
        assert!(
            text.contains("sallyport_target_errors_total{what=\"connect\"}"),
            "{text}"
        );
    }
}
