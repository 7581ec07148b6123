//! What is in force, as far as it is to be recorded.

use std::collections::BTreeMap;

use sallyport_audit::digest::Digest;
use sallyport_audit::record::PolicyChange;

/// What a door's records have to say of what it enforces.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InForce {
    pub(super) revision: u64,
    /// Ids of the keys of Hash rules: a Secret that changes makes other hashes under the same revision.
    pub(super) hash_keys: BTreeMap<String, String>,
    /// The same of Tokenize rules.
    pub(super) token_keys: BTreeMap<String, String>,
}

// === impl InForce ===

impl InForce {
    /// What is to be recorded where this comes after what was `told`; None: nothing.
    pub(super) fn change(&self, told: Option<&Self>, digest: Digest) -> Option<PolicyChange> {
        (told != Some(self)).then(|| PolicyChange {
            digest,
            from: told.map(|told| told.revision),
            hash_keys: self.hash_keys.clone(),
            to: self.revision,
            token_keys: self.token_keys.clone(),
        })
    }
}
