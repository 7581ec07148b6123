//! From a carrier and what Secrets give to what a door enforces; the same with a cluster and without.

use std::sync::Arc;

use rustls_pki_types::ServerName;
use sallyport_audit::record::ObjectRef;
use sallyport_crds::Reason;
use sallyport_crds::audit_sink::CommandText;
use sallyport_crds::connection::{CaBundle, TargetTls, TlsMode};
use sallyport_policy::Policy;
use sallyport_policy::carrier::Carrier;
use sallyport_policy::mask::Keys;
use sallyport_runtime::tls;

use super::lack::Lack;
use super::materials::{self, Secrets};
use crate::door::{Network, Open, TargetTrust};

/// Where no target may be, whatever the configuration says: this very Pod, its node's neighbours, the cloud's metadata
/// service, and what is no host at all. A Connection could otherwise make the door its author's hand in there.
const NEVER: [&str; 11] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.100.100.200/32",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "fe80::/10",
    "fd00:ec2::254/128",
    "ff00::/8",
];

/// What a carrier opens, and what it lacks that does not shut the door for live sessions.
#[derive(Debug)]
pub struct Opening {
    /// What is enforced.
    pub open: Open,
    /// Why nobody new can be admitted all the same.
    pub lacks: Vec<Lack>,
}

/// Where targets may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere but where a door in a cluster has no business.
    Cluster,
    /// Also on this machine: for trying a policy on a laptop.
    Laptop,
}

/// Compiles a carrier.
///
/// # Errors
/// What shuts the door: the carrier says so, a rule does not compile, a key is missing.
pub fn open(carrier: &Carrier, secrets: &Secrets, reach: Reach) -> Result<Opening, Lack> {
    if let Some(closed) = &carrier.closed {
        // The operator's words and reason; the reason is in the carrier as text and in the object's condition anyway.
        return Err(Lack::new(
            Reason::NotReady,
            format!("{}: {}", closed.reason, closed.message),
        ));
    }
    let connection = &carrier.connection;
    let binding_key = materials::binding_key(carrier, secrets)?;
    let policy = compile(carrier, materials::rule_keys(carrier, secrets)?)?;
    let mut lacks = Vec::new();
    let credential = materials::credential(carrier, secrets)
        .map(Arc::new)
        .map_err(|lack| lacks.push(lack))
        .ok();
    let open = Open {
        revision: carrier.revision,
        connection: ObjectRef {
            namespace: connection.namespace.clone(),
            name: connection.name.clone(),
            uid: connection.uid.clone(),
        },
        spec: connection.spec.clone(),
        policy: Arc::new(policy),
        mask_command_text: carrier
            .sinks
            .iter()
            .any(|sink| sink.command_text == CommandText::Masked),
        credential,
        trust: trust(carrier)?,
        denied_networks: denied(carrier, reach)?,
        binding_key: Arc::new(binding_key),
    };
    Ok(Opening { open, lacks })
}

fn compile(carrier: &Carrier, keys: Keys) -> Result<Policy, Lack> {
    Policy::with_keys(carrier, keys).map_err(|problems| {
        // The operator compiled the same carrier with the same code: only versions that differ can bring us here.
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        Lack::new(Reason::Invalid, format!("the policy does not compile here: {first}"))
    })
}

fn trust(carrier: &Carrier) -> Result<Option<TargetTrust>, Lack> {
    let target = &carrier.connection.spec.target;
    let invalid = |message: String| Lack::new(Reason::Invalid, message);
    let Some(TargetTls {
        mode,
        ca_bundle,
        server_name,
        ..
    }) = &target.tls
    else {
        return Err(invalid("target.tls is not set".to_owned()));
    };
    if *mode == TlsMode::Disable {
        return Ok(None);
    }
    let roots = match ca_bundle {
        None => tls::system_roots(),
        Some(CaBundle { inline: Some(pem), .. }) => tls::roots(pem.as_bytes()),
        Some(_) => {
            return Err(invalid(
                "target.tls.caBundle was not resolved by the operator".to_owned(),
            ));
        }
    };
    let config = roots
        .and_then(tls::client_config)
        .map_err(|error| invalid(format!("target.tls.caBundle: {error}")))?;
    let name = server_name.as_ref().unwrap_or(&target.host);
    let server_name =
        ServerName::try_from(name.clone()).map_err(|_| invalid(format!("{name} can be no name of a certificate")))?;
    Ok(Some(TargetTrust {
        config: Arc::new(config),
        server_name,
    }))
}

fn denied(carrier: &Carrier, reach: Reach) -> Result<Arc<[Network]>, Lack> {
    let never: &[&str] = if reach == Reach::Cluster { &NEVER } else { &[] };
    let configured = carrier.settings.denied_cidrs.iter().map(String::as_str);
    let parse = |range: &str| {
        range
            .parse()
            .map_err(|error| Lack::new(Reason::Invalid, format!("denied range {range}: {error}")))
    };
    never.iter().copied().chain(configured).map(parse).collect()
}
