//! Where Pods reach the leader: an EndpointSlice of the operator's Service, written by whoever leads.
//!
//! Reports must reach the process that judges them, so the Service has no selector and this one address.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use sallyport_crds::names::FIELD_MANAGER;

use crate::shared::labels;

/// Points the Service at this process.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn publish(
    client: &Client,
    namespace: &str,
    service: &str,
    address: IpAddr,
    port: u16,
) -> Result<(), kube::Error> {
    let api = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
    let slice = slice(namespace, service, address, port);
    let name = slice.metadata.name.clone().unwrap_or_default();
    api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(slice))
        .await
        .map(drop)
}

fn slice(namespace: &str, service: &str, address: IpAddr, port: u16) -> EndpointSlice {
    let mut labels = labels::operator();
    labels.insert("kubernetes.io/service-name".to_owned(), service.to_owned());
    labels.insert(
        "endpointslice.kubernetes.io/managed-by".to_owned(),
        labels::MANAGED_BY.to_owned(),
    );
    // The address type of a slice cannot change, so each has its own.
    let (address_type, suffix) = if address.is_ipv4() {
        ("IPv4", "leader")
    } else {
        ("IPv6", "leader-6")
    };
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(format!("{service}-{suffix}")),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        address_type: address_type.to_owned(),
        endpoints: vec![Endpoint {
            addresses: vec![address.to_string()],
            conditions: Some(EndpointConditions {
                ready: Some(true),
                ..EndpointConditions::default()
            }),
            ..Endpoint::default()
        }],
        ports: Some(vec![EndpointPort {
            name: Some("api".to_owned()),
            port: Some(i32::from(port)),
            protocol: Some("TCP".to_owned()),
            ..EndpointPort::default()
        }]),
    }
}
