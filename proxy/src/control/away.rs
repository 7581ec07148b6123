//! Peers that stay away: what that stops, only those at the door would otherwise hear.

use std::time::Duration;

use sallyport_crds::Reason;
use tokio::time::Instant;

use super::lack::Lack;

/// Keys are fetched in the background when an issuer is first named, and statements wait for a recorder that restarts: being
/// without them for less is no news.
const LATE: Duration = Duration::from_secs(15);

/// Since when some peer of a kind is away.
#[derive(Default)]
pub(super) struct Away {
    since: Option<Instant>,
}

/// The issuers of these names are away.
pub(super) fn issuers(names: &str) -> Lack {
    let message =
        format!("the keys of issuer {names} cannot be fetched: nobody whose token is of that issuer can log in");
    Lack::new(Reason::IssuerUnavailable, message)
}

/// The recorders of these sinks are away.
pub(super) fn recorders(sinks: &str) -> Lack {
    let message = format!(
        "no records reach AuditSink {sinks}: what cannot be recorded as its durability says is refused; see its conditions"
    );
    Lack::new(Reason::RecorderUnavailable, message)
}

// === impl Away ===

impl Away {
    /// `away`: those that are away now, as `lack` is to name them.
    pub(super) fn look(&mut self, away: &[String], now: Instant, lack: impl FnOnce(&str) -> Lack) -> Option<Lack> {
        if away.is_empty() {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        (now.saturating_duration_since(since) >= LATE).then(|| lack(&away.join(", ")))
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
            let away = ["bank".to_owned()];
            assert_eq!(peers.look(&away, start, kind), None, "it may be on its way");
            let lack = peers.look(&away, start + LATE, kind).unwrap();
            assert_eq!(lack.reason, reason);
            assert!(lack.message.contains(words), "{}", lack.message);
            assert_eq!(peers.look(&[], start + LATE, kind), None);
            assert_eq!(peers.look(&away, start + LATE, kind), None, "it begins anew");
        }
    }
}
