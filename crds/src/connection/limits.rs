//! Limits of a session.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Limits of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(self.idle) <= duration(self.maxDuration)").message("idle is longer than maxDuration: it could never end a session").field_path(".idle"))]
#[x_kube(validation = Rule::new("self.maxSessionsPerPerson <= self.maxSessions").message("maxSessionsPerPerson is more than maxSessions").field_path(".maxSessionsPerPerson"))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// A session ends after this time.
    #[serde(default = "max_duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("maxDuration must be between 10s and 168h"))]
    pub max_duration: Duration,
    /// A session ends after this time without a command.
    #[serde(default = "idle")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("idle must be between 10s and 168h"))]
    pub idle: Duration,
    /// A token may be at most this old at login (`iat`).
    #[serde(default = "max_token_age")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("maxTokenAge must be between 10s and 168h"))]
    pub max_token_age: Duration,
    /// Sessions at one time, of each proxy.
    #[serde(default = "max_sessions")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_sessions: i32,
    /// Sessions at one time, of each person and proxy.
    #[serde(default = "max_sessions_per_person")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_sessions_per_person: i32,
    /// Open AccessRequests of each person.
    #[serde(default = "max_open_requests")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_open_requests_per_person: i32,
    /// Open AccessRequests of the Connection.
    #[serde(default = "max_open_requests_in_all")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_open_requests: i32,
    /// Bytes of the commands and parameters that open AccessRequests of the Connection hold, together.
    #[serde(default = "max_held_bytes")]
    #[schemars(range(min = 65_536, max = 268_435_456))]
    pub max_held_bytes: i32,
    /// How long a known policy is enforced while the API server is away; then the door closes.
    #[serde(default = "policy_grace")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')").message("policyGrace must be between 10s and 168h"))]
    pub policy_grace: Duration,
}

fn max_duration() -> Duration {
    Duration::from_secs(8 * 3_600)
}

fn idle() -> Duration {
    Duration::from_secs(30 * 60)
}

fn max_token_age() -> Duration {
    Duration::from_secs(12 * 3_600)
}

fn max_sessions() -> i32 {
    2_000
}

fn max_sessions_per_person() -> i32 {
    200
}

fn max_open_requests() -> i32 {
    20
}

fn max_open_requests_in_all() -> i32 {
    500
}

fn max_held_bytes() -> i32 {
    4 << 20
}

fn policy_grace() -> Duration {
    Duration::from_secs(3_600)
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration: max_duration(),
            idle: idle(),
            max_token_age: max_token_age(),
            max_sessions: max_sessions(),
            max_sessions_per_person: max_sessions_per_person(),
            max_open_requests_per_person: max_open_requests(),
            max_open_requests: max_open_requests_in_all(),
            max_held_bytes: max_held_bytes(),
            policy_grace: policy_grace(),
        }
    }
}
