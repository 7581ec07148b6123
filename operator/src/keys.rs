//! The operator's own keys: the carrier key, the witness key, the CA of workload certificates, the CA of door certificates.
//!
//! They are made at first start and live in one Secret of the operator's namespace. Pods get the public halves alone.

pub mod authority;
pub mod rotation;
pub mod signing;
pub mod store;
pub mod witness;

pub use authority::{Authority, AuthorityError, Leaf};
pub use signing::CarrierKey;
pub use store::{Keys, KeysError};
pub use witness::Witness;
