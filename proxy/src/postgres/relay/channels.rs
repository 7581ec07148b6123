//! Channels that a client listens on in so many words.
//!
//! Code can make the name of a channel of any value. A name that the client wrote itself tells it nothing but that somebody
//! notifies there, which it hears in any case, and programs that listen on several tell them apart by it.

use std::collections::HashSet;

use sallyport_policy::sql::Effect;

use crate::postgres::names::Stated;

/// Channels that are remembered.
const MAX_CHANNELS: usize = 1_000;

/// The channels that a client named.
#[derive(Default)]
pub struct Channels {
    named: HashSet<String>,
}

// === impl Channels ===

impl Channels {
    /// Whether the client itself named this channel.
    pub fn knows(&self, channel: &str) -> bool {
        self.named.contains(channel)
    }

    /// Remembers the channel that a client's statement listens on. It stays known: one that is left sends nothing.
    pub fn stated(&mut self, stated: &Stated) {
        for statement in stated.readings() {
            if let Effect::Listen { channel } = &statement.effect
                && self.named.len() < MAX_CHANNELS
            {
                self.named.insert(channel.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_known_once_the_client_named_it() {
        let mut channels = Channels::default();
        let text = crate::postgres::script::read("listen Jobs; listen \"A b\"; notify c; unlisten d").unwrap();
        for index in 0..4 {
            channels.stated(&Stated {
                text: text.text.clone(),
                script: text.script.clone(),
                index,
            });
        }
        let known = ["jobs", "A b", "Jobs", "c", "d"].map(|channel| channels.knows(channel));
        assert_eq!(known, [true, true, false, false, false]);
    }
}
