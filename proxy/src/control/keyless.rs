//! Issuers whose keys cannot be had: nobody of theirs comes in, which only those at the door would otherwise hear.

use std::time::Duration;

use sallyport_crds::Reason;
use tokio::time::Instant;

use super::lack::Lack;

/// Keys are fetched in the background when an issuer is first named; being without them for less is no news.
const LATE: Duration = Duration::from_secs(15);

/// Since when some issuer's keys are not known.
#[derive(Default)]
pub(super) struct Keyless {
    since: Option<Instant>,
}

// === impl Keyless ===

impl Keyless {
    /// `away`: names of the issuers whose keys are not known now.
    pub(super) fn look(&mut self, away: &[String], now: Instant) -> Option<Lack> {
        if away.is_empty() {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let message = || {
            format!(
                "the keys of issuer {} cannot be fetched: nobody whose token is of that issuer can log in",
                away.join(", ")
            )
        };
        (now.saturating_duration_since(since) >= LATE).then(|| Lack::new(Reason::IssuerUnavailable, message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_stays_away_is_named_until_it_is_back() {
        let (mut keyless, start) = (Keyless::default(), Instant::now());
        let away = ["bank".to_owned()];
        assert_eq!(keyless.look(&away, start), None, "its keys may be on their way");
        let lack = keyless.look(&away, start + LATE).unwrap();
        assert_eq!(lack.reason, Reason::IssuerUnavailable);
        assert!(lack.message.contains("issuer bank"), "{}", lack.message);
        assert_eq!(keyless.look(&[], start + LATE), None);
        assert_eq!(keyless.look(&away, start + LATE), None, "it begins anew");
    }
}
