//! The operator's `POST /v1/certificates`, as both ends write it.

use serde::{Deserialize, Serialize};

/// Path of the request. The caller shows its Pod-bound ServiceAccount token (audience `sallyport-operator`) as
/// `Authorization: Bearer …`.
pub const PATH: &str = "/v1/certificates";
/// Bodies larger than this are refused by both ends.
pub const MAX_BODY: usize = 64 * 1024;

/// What a Pod asks. The operator takes only the public key and the proof that the caller holds its private half from the
/// CSR: the name comes from the token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// PKCS #10, PEM.
    pub csr: String,
}

/// What the operator gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The chain, leaf first, PEM.
    pub certificate: String,
    /// Every CA that may have signed a workload certificate, the coming one included, PEM.
    pub ca_bundle: String,
}
