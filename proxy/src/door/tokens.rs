//! Tokens in use, and from where: one that two addresses use at once may be in somebody else's hands.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sallyport_audit::Digest;

/// Tokens of the sessions alive in this process, by hash. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens(Arc<Mutex<HashMap<Digest, Vec<IpAddr>>>>);

/// One session's use of its token; dropping it ends it.
#[derive(Debug)]
pub(super) struct Use {
    tokens: Tokens,
    token: Digest,
    from: IpAddr,
}

// === impl Use ===

impl Use {
    /// The address.
    pub(super) fn address(&self) -> IpAddr {
        self.from
    }

    /// The hash of the token.
    pub(super) fn token(&self) -> Digest {
        self.token
    }
}

// === impl Tokens ===

impl Tokens {
    /// A session uses a token from an address. Gives another address by which the token is in use at this moment.
    pub(super) fn using(&self, presented: &[u8], from: IpAddr) -> (Use, Option<IpAddr>) {
        // Of two, the person's: whose it is does not hang on whom it is shown with.
        let token = Digest::of(presented.split(|byte| *byte == b',').next().unwrap_or_default());
        let from = from.to_canonical();
        let mut all = self.lock();
        let addresses = all.entry(token).or_default();
        let other = addresses.iter().find(|one| **one != from).copied();
        addresses.push(from);
        drop(all);
        let tokens = self.clone();
        (Use { tokens, token, from }, other)
    }

    /// Another address by which a token is in use at this moment.
    pub(super) fn elsewhere(&self, token: &Digest, from: IpAddr) -> Option<IpAddr> {
        let from = from.to_canonical();
        let all = self.lock();
        all.get(token)?.iter().find(|one| **one != from).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Vec<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut all = self.tokens.lock();
        let Some(addresses) = all.get_mut(&self.token) else {
            return;
        };
        if let Some(place) = addresses.iter().position(|one| *one == self.from) {
            addresses.swap_remove(place);
        }
        if addresses.is_empty() {
            all.remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_is_seen_while_it_lasts() {
        let tokens = Tokens::default();
        let [home, mapped, cafe] = ["10.0.0.1", "::ffff:10.0.0.1", "10.9.9.9"].map(|text| text.parse().unwrap());
        let (first, other) = tokens.using(b"t", home);
        assert_eq!(other, None);
        let (second, other) = tokens.using(b"t,agent", mapped);
        assert_eq!(other, None, "it is the same address");
        let (third, other) = tokens.using(b"t", cafe);
        assert_eq!(other, Some(home));
        assert_eq!(tokens.using(b"u", cafe).1, None, "another token");
        assert_eq!(tokens.using(b"t", home).1, Some(cafe));
        let asked = |token: &[u8], from| tokens.elsewhere(&Digest::of(token), from);
        assert_eq!((asked(b"t", cafe), asked(b"t", home)), (Some(home), Some(cafe)));
        assert_eq!(asked(b"u", home), None, "it is over");
        drop((first, second));
        assert_eq!(tokens.using(b"t", cafe).1, None, "nobody else is left");
        drop(third);
        assert!(tokens.lock().is_empty());
    }
}
