//! What a door tells the operator and what it hears back: `POST /v1/report`, a long poll over mutual TLS.
//!
//! The operator answers at once when the revision it wants differs from the one reported, else after [`ANSWER_AFTER`]; a
//! process silent for [`SILENT_AFTER`] counts as not enforcing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Path of the report.
pub const PATH: &str = "/v1/report";
/// The operator holds a report at most this long.
pub const ANSWER_AFTER: Duration = Duration::from_secs(2);
/// A process that was silent for this long does not count as enforcing.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);

/// A report names at most so many backends that a process holds, and as many that it sees beside them.
pub const MAX_BACKENDS: usize = 3_500;
/// What a report says of columns has at most so many bytes: the operator takes 64 KiB in all, most of which backends may need.
pub const MAX_SOUGHT: usize = 4 * 1_024;

/// One process's account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// This start of the process: random, as in the records.
    pub instance: String,
    /// The Pod. The operator takes it from the certificate and only logs a difference.
    pub pod: String,
    /// `metadata.uid` of the Connection. Must be the certificate's.
    pub connection_uid: String,
    /// The oldest policy revision that any live session of this process still enforces, or the current one where there is no
    /// session. None before the first policy, and when the door is shut for want of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The policy revision by which every statement is judged that begins from now on, whatever older ones run to their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<u64>,
    /// SHA-256 of the payload of the policy that is loaded, in hexadecimal: a revision that two leaders wrote may stand for two
    /// policies. None from a version that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The newest format of policies that the process reads, with all before it. The first, from a version that does not tell.
    #[serde(default = "first")]
    pub format: u32,
    /// Live sessions.
    pub sessions: u64,
    /// Why the door cannot admit, or what makes a promise advisory. Empty when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// What the columns that rules name fit in the databases that the process has looked at, by the rule's uid: of rules whose names
    /// were all looked for, as far as there is room. Empty from a version that does not tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Sought>,
    /// Whether the process is draining: it takes no new session but still counts while it holds one.
    #[serde(default)]
    pub terminating: bool,
    /// Who is connected to its target. None from a version that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<Backends>,
}

/// Processes of a target (as PostgreSQL numbers them) that serve clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backends {
    /// Those that serve this process, by target (host and port).
    #[serde(default)]
    pub held: BTreeMap<String, Vec<i32>>,
    /// The target that it looked at; empty while it does not look.
    #[serde(default)]
    pub target: String,
    /// Those there that do not serve it, by role, as far as the door's role may see them. They may be other doors'.
    #[serde(default)]
    pub others: BTreeMap<String, Vec<i32>>,
    /// False: there are more than a report takes, and nothing follows from those that are named.
    #[serde(default)]
    pub whole: bool,
}

/// Something the operator should say in a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// A reason of the closed set of `sallyport_crds::Reason`, by its text.
    pub reason: String,
    /// One sentence for people. Holds no value and no secret.
    pub message: String,
}

/// What the columns that one rule names fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sought {
    /// The rule's generation.
    pub generation: i64,
    /// Names that fit no column of any database that was looked at, as they stand in the rule. Of the others nothing is to be said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, Absent>,
}

/// Where a name fits no column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Absent {
    /// The databases that were looked at, or some of them.
    #[serde(default)]
    pub databases: BTreeSet<String>,
    /// The name by which it would fit a column, where that is almost the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant: Option<String>,
}

/// The operator's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The revision that proxies are to run.
    pub wanted_revision: u64,
}

fn first() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_does_not_tell_reads_the_first_format() {
        let told = r#"{"instance":"i","pod":"a","connectionUid":"uid","revision":3,"sessions":0,"terminating":false}"#;
        let report: Report = serde_json::from_str(told).unwrap();
        assert_eq!((report.format, &report.digest), (1, &None));
        assert!(report.columns.is_empty());
        let again = serde_json::to_string(&Report { format: 2, ..report }).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&again).unwrap().format, 2);
    }

    #[test]
    fn what_a_later_version_tells_besides_is_passed_over() {
        let told = r#"{"instance":"i","pod":"a","connectionUid":"uid","sessions":0,"format":9,"backends":{"later":1},"later":[1]}"#;
        let report: Report = serde_json::from_str(told).unwrap();
        assert_eq!((report.format, report.revision), (9, None));
        let answer: Answer = serde_json::from_str(r#"{"wantedRevision":4,"later":{}}"#).unwrap();
        assert_eq!(answer.wanted_revision, 4);
    }
}
