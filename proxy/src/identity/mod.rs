//! Who are you: tokens of the identity providers and of ServiceAccounts, checked at the moment of access.
//!
//! Reading order: [`Settings`] (whose tokens count, from the carrier), [`Identities`] (the way in), `token` (one OIDC token),
//! `keys` and `fetch` (an issuer's rotating keys), `claims` and `names` (from claims to a name that the API server would
//! give), `serviceaccount` (TokenReview), [`Refused`] (every way to fail).

mod claims;
mod fetch;
mod keys;
mod names;
mod pair;
mod refused;
mod serviceaccount;
mod settings;
mod token;
mod verifier;

#[cfg(test)]
mod tests;

pub use keys::Pace;
pub(crate) use names::{is_deceptive, visible};
pub use refused::Refused;
pub use serviceaccount::{Review, Reviewed, Reviewer};
pub use settings::Settings;
pub use verifier::Identities;
