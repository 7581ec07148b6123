//! `POST /v1/certificates`: a workload certificate against a Pod-bound token.
//!
//! The name comes from what the API server says of the token, never from the request: ServiceAccount, Pod and its uid. Only
//! the public key, and the proof that the caller holds its private half, is taken from the CSR.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::{Api, ObjectMeta, PostParams};
use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, SanType};
use sallyport_crds::names::OPERATOR_AUDIENCE;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::peer::Workload;
use sallyport_runtime::workload::api::{Request, Response};

use super::server::Refused;
use crate::context::Context;
use crate::keys::{Authority, AuthorityError, Leaf};
use crate::world::{World, find};

/// How long a workload certificate is valid; holders renew at two thirds.
const LIFETIME: Duration = Duration::from_secs(6 * 3_600);
/// Workload certificates may act as server and as client, which door certificates may not.
static USAGES: [ExtendedKeyUsagePurpose; 2] =
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Who the API server says a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Namespace of ServiceAccount and Pod.
    pub namespace: String,
    /// Name of the ServiceAccount.
    pub account: String,
    /// Name of the Pod that the token is bound to.
    pub pod: String,
    /// The Pod's uid.
    pub pod_uid: String,
}

/// Answers a request for a certificate.
pub async fn answer(context: &Context, token: &str, asked: &Request) -> Result<Response, Refused> {
    let bearer = review(context, token).await?;
    let identity = identity(&context.world, &bearer)
        .ok_or(Refused(StatusCode::FORBIDDEN, "no object of ours has this account"))?;
    lives(context, &bearer).await?;
    let request = CertificateSigningRequestParams::from_pem(&asked.csr)
        .map_err(|_| Refused(StatusCode::BAD_REQUEST, "a CSR that cannot be read"))?;
    let certificate = sign(&context.keys.workload, &request, &identity)
        .map_err(|_| Refused(StatusCode::INTERNAL_SERVER_ERROR, "the certificate could not be signed"))?;
    tracing::info!(%identity, "certificate signed");
    Ok(Response {
        certificate,
        ca_bundle: context.keys.workload.bundle().to_owned(),
    })
}

/// Signs for an identity.
fn sign(
    authority: &Authority,
    request: &CertificateSigningRequestParams,
    identity: &PeerIdentity,
) -> Result<String, AuthorityError> {
    authority.sign(&request.public_key, &leaf(identity))
}

/// What the certificate of an identity says.
fn leaf(identity: &PeerIdentity) -> Leaf<'_> {
    Leaf {
        common_name: match identity {
            PeerIdentity::Connection(workload) | PeerIdentity::Sink(workload) => &workload.pod,
            PeerIdentity::Operator => "sallyport-operator",
        },
        names: identity
            .to_string()
            .as_str()
            .try_into()
            .map(SanType::URI)
            .into_iter()
            .collect(),
        usages: &USAGES,
        lifetime: LIFETIME,
    }
}

/// A key and certificate for the operator itself: (certificate PEM, key PEM).
///
/// # Errors
/// When it cannot be signed.
pub fn own(authority: &Authority) -> Result<(String, String), AuthorityError> {
    authority.issue(&leaf(&PeerIdentity::Operator))
}

/// How long before the operator's own certificate is replaced.
pub const OWN_RENEWAL: Duration = Duration::from_secs(2 * 3_600);

async fn review(context: &Context, token: &str) -> Result<Bearer, Refused> {
    let review = TokenReview {
        metadata: ObjectMeta::default(),
        spec: TokenReviewSpec {
            token: Some(token.to_owned()),
            audiences: Some(vec![OPERATOR_AUDIENCE.to_owned()]),
        },
        status: None,
    };
    let reviewed = Api::<TokenReview>::all(context.client.clone())
        .create(&PostParams::default(), &review)
        .await
        .map_err(|error| {
            tracing::warn!(%error, "tokens cannot be reviewed");
            Refused(StatusCode::SERVICE_UNAVAILABLE, "tokens cannot be reviewed")
        })?;
    bearer(reviewed.status.as_ref()).ok_or(Refused(StatusCode::UNAUTHORIZED, "no Pod-bound token for the operator"))
}

/// What a review says, if it says enough: authenticated, our audience, a ServiceAccount, bound to a Pod.
fn bearer(status: Option<&TokenReviewStatus>) -> Option<Bearer> {
    let status = status?;
    let ours = status
        .audiences
        .as_ref()?
        .iter()
        .any(|audience| audience == OPERATOR_AUDIENCE);
    if status.authenticated != Some(true) || !ours {
        return None;
    }
    let user = status.user.as_ref()?;
    let (namespace, account) = user
        .username
        .as_ref()?
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    let extra = user.extra.as_ref()?;
    Some(Bearer {
        namespace: namespace.to_owned(),
        account: account.to_owned(),
        pod: only(extra, POD_NAME)?,
        pod_uid: only(extra, POD_UID)?,
    })
}

fn only(extra: &BTreeMap<String, Vec<String>>, key: &str) -> Option<String> {
    match extra.get(key)?.as_slice() {
        [one] if !one.is_empty() => Some(one.clone()),
        _ => None,
    }
}

/// Whose workload the account is: a Connection's or a sink's that exists, in a namespace that is opted in.
fn identity(world: &World, bearer: &Bearer) -> Option<PeerIdentity> {
    if !world.is_enabled(&bearer.namespace) {
        return None;
    }
    let workload = |name: &str, uid: Option<&String>| {
        Some(Workload {
            namespace: bearer.namespace.clone(),
            name: name.to_owned(),
            uid: uid?.clone(),
            pod: bearer.pod.clone(),
            pod_uid: bearer.pod_uid.clone(),
        })
    };
    if let Some(name) = bearer.account.strip_prefix("door-") {
        let connection = find(&world.connections, &bearer.namespace, name)?;
        return workload(name, connection.meta().uid.as_ref()).map(PeerIdentity::Connection);
    }
    let name = bearer.account.strip_prefix("recorder-")?;
    let sink = find(&world.audit_sinks, &bearer.namespace, name)?;
    workload(name, sink.meta().uid.as_ref()).map(PeerIdentity::Sink)
}

/// The Pod must be there now: a token may outlive it by minutes.
async fn lives(context: &Context, bearer: &Bearer) -> Result<(), Refused> {
    let pods = Api::<Pod>::namespaced(context.client.clone(), &bearer.namespace);
    let pod = pods
        .get_opt(&bearer.pod)
        .await
        .map_err(|_| Refused(StatusCode::SERVICE_UNAVAILABLE, "the Pod cannot be looked up"))?;
    let account = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let same = pod.is_some_and(|pod| {
        pod.metadata.uid.as_ref() == Some(&bearer.pod_uid) && account(&pod).as_ref() == Some(&bearer.account)
    });
    if same {
        Ok(())
    } else {
        Err(Refused(StatusCode::FORBIDDEN, "the Pod is gone or is another"))
    }
}

#[cfg(test)]
mod tests;
