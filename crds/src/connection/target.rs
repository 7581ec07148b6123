//! What is behind the door, and how its certificate is checked.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::ConfigMapKeyReference;

/// What is behind the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!self.host.contains(':') && !self.host.matches('^[0-9.]+$') || isIP(self.host)").message("host is a name or an address; the port stands in port").field_path(".host"))]
#[x_kube(validation = Rule::new("!self.host.matches('^(?i)(localhost|.*[.]localhost|0[.0]*|127[.].*|169[.]254[.].*|::1?|fe80:.*|::ffff:127[.].*|::ffff:169[.]254[.].*)$')").message("host must not be loopback, link-local or metadata: the door would dial itself or its node").field_path(".host"))]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Host name or address.
    #[schemars(length(min = 1, max = 253), pattern("^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// Port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// How the target's certificate is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TargetTls>,
}

/// How the target's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.mode == 'Disable') == has(self.insecureReason)").message("mode Disable needs insecureReason, in so many words; no other mode takes it"))]
#[x_kube(validation = Rule::new("self.mode != 'Disable' || !has(self.caBundle) && !has(self.serverName)").message("caBundle and serverName mean nothing with mode Disable"))]
#[serde(rename_all = "camelCase")]
pub struct TargetTls {
    /// VerifyFull (default), or Disable.
    #[serde(default)]
    pub mode: TlsMode,
    /// The CAs that may have signed it; the system's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// The name it must carry; `target.host` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Why values may cross the network in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 512))]
    pub insecure_reason: Option<String>,
}

/// TLS towards the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// The chain and the host name are checked.
    #[default]
    VerifyFull,
    /// No TLS.
    Disable,
}

/// A PEM bundle, in place or in a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.inline) != has(self.configMapKeyRef)").message("give exactly one of inline and configMapKeyRef"))]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// The PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    #[x_kube(validation = Rule::new("self.contains('-----BEGIN CERTIFICATE-----')").message("inline must be PEM: -----BEGIN CERTIFICATE-----"))]
    pub inline: Option<String>,
    /// A ConfigMap of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyReference>,
}
