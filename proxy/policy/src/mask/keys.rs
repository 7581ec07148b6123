//! The keys that rules go by.

use std::collections::HashMap;
use std::sync::Arc;

use sallyport_crds::reference::SecretKeyReference;

use super::action::Action;
use super::hash::HashKey;
use super::token::{TokenKey, Tokenizer};

/// Keys of rules by where they are kept.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Of Hash rules.
    pub hash: HashMap<SecretKeyReference, HashKey>,
    /// Of Tokenize rules.
    pub token: HashMap<SecretKeyReference, TokenKey>,
}

/// A key, made ready for the action of one rule.
#[derive(Clone)]
pub(crate) enum Keyed {
    Hash(HashKey),
    Token(Arc<Tokenizer>),
}

// === impl Keys ===

impl Keys {
    /// The key of an action; `None`: it needs none, or its key is missing.
    pub(super) fn ready(&self, action: &Action) -> Option<Keyed> {
        match action {
            Action::Hash { key, .. } => self.hash.get(key).cloned().map(Keyed::Hash),
            Action::Tokenize(tokens) => {
                let tokenizer = Tokenizer::new(tokens, self.token.get(&tokens.key)?)?;
                Some(Keyed::Token(Arc::new(tokenizer)))
            }
            _ => None,
        }
    }

    /// Where the key is that an action needs and that is missing.
    pub(super) fn missing<'a>(&self, action: &'a Action) -> Option<&'a SecretKeyReference> {
        match action {
            Action::Hash { key, .. } => (!self.hash.contains_key(key)).then_some(key),
            Action::Tokenize(tokens) => (!self.token.contains_key(&tokens.key)).then_some(&tokens.key),
            _ => None,
        }
    }
}
