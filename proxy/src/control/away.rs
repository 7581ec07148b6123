//! Peers that stay away: what that stops, only those at the door would otherwise hear.

use std::collections::BTreeMap;
use std::time::Duration;

use sallyport_crds::Reason;
use tokio::time::Instant;

use super::lack::Lack;

/// Keys are fetched in the background when an issuer is first named, and statements wait for a recorder that restarts: being
/// without them for less is no news.
pub(super) const LATE: Duration = Duration::from_secs(15);

/// A peer that is away now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) name: String,
    /// It is news once it is away for this long.
    pub(super) late: Duration,
}

/// Since when peers of a kind are away, by name.
#[derive(Default)]
pub(super) struct Away {
    since: BTreeMap<String, Instant>,
}

/// The issuers of these names are away.
pub(super) fn issuers(names: &str) -> Lack {
    let message =
        format!("the keys of issuer {names} cannot be fetched: nobody whose token is of that issuer can log in");
    Lack::new(Reason::IssuerUnavailable, message)
}

/// The API server is away.
pub(super) fn apiserver() -> Lack {
    let message = "the API server does not answer a door: its known policy stays in force until limits.policyGrace is over, \
                   nothing can be approved there, and running grants pause";
    Lack::new(Reason::ApiServerUnavailable, message)
}

/// The recorders of these sinks are away.
pub(super) fn recorders(sinks: &str) -> Lack {
    let message = format!(
        "no records reach AuditSink {sinks}: what cannot be recorded as its durability says is refused; see its conditions \
         and the door's log"
    );
    Lack::new(Reason::RecorderUnavailable, message)
}

// === impl Away ===

impl Away {
    /// `away`: those that are away now, as `lack` is to name them.
    pub(super) fn look(&mut self, away: &[Missed], now: Instant, lack: impl FnOnce(&str) -> Lack) -> Option<Lack> {
        self.since
            .retain(|name, _| away.iter().any(|missed| missed.name == *name));
        let mut stay = Vec::new();
        for Missed { name, late } in away {
            let since = *self.since.entry(name.clone()).or_insert(now);
            if now.saturating_duration_since(since) >= *late {
                stay.push(name.as_str());
            }
        }
        (!stay.is_empty()).then(|| lack(&stay.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stays_away_is_named_until_they_are_back() {
        type Kind = fn(&str) -> Lack;
        let kinds: [(Kind, Reason, &str); 2] = [
            (issuers, Reason::IssuerUnavailable, "issuer bank"),
            (recorders, Reason::RecorderUnavailable, "AuditSink bank"),
        ];
        for (kind, reason, words) in kinds {
            let (mut peers, start) = (Away::default(), Instant::now());
            let missed = |name: &str, late| Missed {
                name: name.to_owned(),
                late,
            };
            let away = [missed("bank", LATE), missed("patient", 2 * LATE)];
            assert_eq!(peers.look(&away, start, kind), None, "it may be on its way");
            let lack = peers.look(&away, start + LATE, kind).unwrap();
            assert_eq!(lack.reason, reason);
            let named = |lack: &Lack, name: &str| lack.message.contains(name);
            assert!(named(&lack, words) && !named(&lack, "patient"), "{}", lack.message);
            let lack = peers.look(&away, start + 2 * LATE, kind).unwrap();
            assert!(named(&lack, "bank, patient"), "{}", lack.message);
            assert_eq!(peers.look(&[], start + 2 * LATE, kind), None);
            assert_eq!(peers.look(&away, start + 2 * LATE, kind), None, "it begins anew");
        }
    }
}
