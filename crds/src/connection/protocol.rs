//! What only one of the protocols knows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// PostgreSQL 15 to 18.
    PostgreSQL,
    /// SSH.
    #[serde(rename = "SSH")]
    Ssh,
    /// A Kubernetes API.
    Kubernetes,
}

/// What belongs to PostgreSQL alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgreSql {
    /// Databases that may be asked for; any if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub databases: Vec<String>,
    /// Opens what is otherwise denied whatever the rules say. Policies still apply to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub open: Vec<AlwaysDenied>,
}

/// What is denied on PostgreSQL whatever the rules say, since one shared role at the target makes each everybody's problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AlwaysDenied {
    /// CREATE, ALTER and DROP of roles, and settings of roles and databases.
    Roles,
    /// SET SESSION AUTHORIZATION and SET ROLE to another role.
    SessionAuthorization,
    /// ALTER SYSTEM, and changes to rows of PostgreSQL's own catalogs.
    AlterSystem,
    /// LOAD.
    Load,
    /// COPY to and from files and programs, and tablespaces.
    ServerFiles,
    /// Functions that read and write files of the server, large objects among them.
    ServerFileFunctions,
    /// pg_terminate_backend, pg_cancel_backend and their like.
    SignalBackends,
    /// Logical decoding, replication slots and origins.
    Replication,
    /// Code that cannot be read: functions in C or another language than SQL and PL/pgSQL, languages, foreign data wrappers, and
    /// extensions that PostgreSQL does not call trusted.
    UntrustedFunctions,
}

/// What belongs to SSH alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ssh {
    /// The target's host keys, as in known_hosts without the host (`ssh-ed25519 AAAA…`).
    #[schemars(
        length(min = 1, max = 8),
        inner(
            length(min = 16, max = 2_048),
            pattern(
                "^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-[-a-z0-9@.]+) AAAA[A-Za-z0-9+/]+=*( .*)?$"
            )
        )
    )]
    pub host_keys: Vec<String>,
    /// Accounts of the target that may be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub accounts: Vec<String>,
    /// What may be forwarded. Nothing if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 3, max = 261), pattern("^[^:\\s]+:[0-9]{1,5}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub forward_to: Vec<String>,
}

/// What belongs to Kubernetes APIs alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesApi {
    /// Prefix put before the user names that are impersonated at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub user_prefix: Option<String>,
    /// Groups that may be impersonated; all of the person's if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub groups: Vec<String>,
}

// === impl Protocol ===

impl Protocol {
    /// The port of the protocol where none is given.
    pub fn default_port(self) -> i32 {
        match self {
            Self::PostgreSQL => 5432,
            Self::Ssh => 22,
            Self::Kubernetes => 443,
        }
    }
}
