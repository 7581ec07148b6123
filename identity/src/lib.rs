//! Who are you: tokens of the identity providers and of ServiceAccounts, checked at the moment of access. The door checks
//! them to let people in, and the recorder once more by itself, so that no door can invent people.
//!
//! Reading order: [`Verifier`] and [`Identity`] (what is asked and what is answered), [`Settings`] (whose tokens count),
//! [`Identities`] (the way in), `token` (one OIDC token), `keys` and `fetch` (an issuer's rotating keys), `claims` and
//! `names` (from claims to a name that the API server would give), `pair` (a person's token beside their agent's),
//! `serviceaccount` (TokenReview), [`Shares`] (that who asks much keeps nobody else from asking), [`Refused`] (every way to fail).

mod claims;
mod fetch;
mod identity;
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

pub use identity::{Identity, LoginRefused, Verifier};
pub use keys::Pace;
pub use names::visible;
pub use refused::Refused;
pub use sallyport_policy::issuer::{Issuer, Trusted};
pub use sallyport_policy::subject::is_deceptive;
pub use sallyport_runtime::shares::{Place, Shares};
pub use serviceaccount::{Review, Reviewed, Reviewer};
pub use settings::Settings;
pub use verifier::Identities;
