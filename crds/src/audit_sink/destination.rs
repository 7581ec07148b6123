//! Places to which a log is copied.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::{LocalReference, SecretKeyReference};

/// One place to which the log is copied. Exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.s3), has(self.webhook), has(self.syslog), has(self.nats), has(self.kafka), has(self.stdout)].filter(x, x).size() == 1").message("give exactly one of s3, webhook, syslog, nats, kafka, stdout"))]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Name, unique within the sink.
    #[schemars(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// An S3 bucket with object lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// An HTTPS endpoint; bodies are signed by HMAC-SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Syslog (RFC 5424) over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
    /// NATS JetStream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<Nats>,
    /// Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Kafka>,
    /// The recorder's standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Stdout>,
}

/// An S3 bucket. Its default retention makes objects immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3 {
    /// Endpoint, for services other than AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), pattern("^https://"))]
    pub endpoint: Option<String>,
    /// Region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Prefix of all object names.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub prefix: String,
    /// Secret with `accessKeyId` and `secretAccessKey`; the Pod's own identity if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<LocalReference>,
}

/// An HTTPS endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Address; https only.
    #[schemars(length(min = 9, max = 1024), pattern("^https://"))]
    pub url: String,
    /// Key of the signature.
    pub hmac_key_secret_ref: SecretKeyReference,
    /// PEM bundle by which the endpoint's certificate is checked; the system's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    #[x_kube(validation = Rule::new("self.contains('-----BEGIN CERTIFICATE-----')").message("caBundle must be PEM: -----BEGIN CERTIFICATE-----"))]
    pub ca_bundle: Option<String>,
}

/// Syslog over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Syslog {
    /// Host and port, such as `siem.bank.example:6514`.
    #[schemars(length(min = 3, max = 261), pattern(r"^[^\s]+:[0-9]{1,5}$"))]
    pub address: String,
    /// PEM bundle by which the server's certificate is checked; the system's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    #[x_kube(validation = Rule::new("self.contains('-----BEGIN CERTIFICATE-----')").message("caBundle must be PEM: -----BEGIN CERTIFICATE-----"))]
    pub ca_bundle: Option<String>,
    /// Client certificate (a kubernetes.io/tls Secret).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<LocalReference>,
}

/// NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nats {
    /// Servers, such as `tls://nats.bank.example:4222`.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 512), pattern("^tls://")))]
    pub servers: Vec<String>,
    /// Stream.
    #[schemars(length(min = 1, max = 256))]
    pub stream: String,
    /// Secret with credentials (`nats.creds`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<LocalReference>,
    /// Whether this stream, not the recorder's volume, is what makes a record durable.
    #[serde(default)]
    pub authoritative: bool,
}

/// Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// Bootstrap servers, host and port.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 3, max = 261), pattern(r"^[^\s]+:[0-9]{1,5}$"))
    )]
    pub bootstrap_servers: Vec<String>,
    /// Topic.
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// Secret with `username` and `password` (SCRAM-SHA-512).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<LocalReference>,
    /// Whether this topic, not the recorder's volume, is what makes a record durable.
    #[serde(default)]
    pub authoritative: bool,
}

/// The recorder's standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stdout {}
