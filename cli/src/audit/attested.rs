//! Whom the recorder itself confirmed: how many of those who came in, and in words.

use sallyport_audit::record::{Attested, Event, Finding, Record, Writer};

/// How canonical records of the two kinds begin: all others need not be read.
const BEGINNINGS: [&[u8]; 2] = [b"{\"event\":{\"sessionStart\":", b"{\"event\":{\"attested\":"];

/// Sessions of a log, by what its recorder found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that started.
    pub sessions: u64,
    /// Of them, those whose token the recorder found to prove the person.
    pub proved: u64,
    /// Those of which no token was presented.
    pub not_presented: u64,
    /// Those that it could not check.
    pub not_checked: u64,
    /// Those recorded in the door's own process.
    pub same_process: u64,
    /// Sessions that it did not take.
    pub refused: u64,
}

// === impl Tally ===

impl Tally {
    /// Takes the next record.
    pub fn take(&mut self, leaf: &[u8]) {
        if !BEGINNINGS.iter().any(|beginning| leaf.starts_with(beginning)) {
            return;
        }
        let Ok(record) = Record::parse(leaf) else { return };
        match record.event {
            Event::SessionStart(_) => self.sessions += 1,
            // What a door says of itself confirms nothing.
            Event::Attested(attested) if record.source.writer == Writer::Recorder => {
                *match attested.finding {
                    Finding::Proved => &mut self.proved,
                    Finding::NotPresented => &mut self.not_presented,
                    Finding::NotChecked => &mut self.not_checked,
                    Finding::SameProcess => &mut self.same_process,
                    Finding::Refused => &mut self.refused,
                } += 1;
            }
            _ => {}
        }
    }

    /// Sessions whose person is the door's word alone.
    pub fn unconfirmed(&self) -> u64 {
        self.sessions.saturating_sub(self.proved)
    }

    /// For people; nothing where nobody came in.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.sessions > 0 {
            out += &format!(
                "the recorder itself confirmed the person of {} of {} sessions",
                self.proved, self.sessions
            );
            let told = self.not_presented + self.not_checked + self.same_process;
            let parts = [
                (self.not_presented, "no token was presented"),
                (self.not_checked, "it could not check the token"),
                (self.same_process, "it ran in the door's own process"),
                (self.unconfirmed().saturating_sub(told), "it checked none"),
            ];
            for (count, why) in parts.into_iter().filter(|(count, _)| *count > 0) {
                out += &format!("; of {count} {why}");
            }
            out.push('\n');
        }
        if self.refused > 0 {
            out += &format!(
                "{} sessions it did not take: their tokens do not prove whom the door stated (audit show --kind attested)\n",
                self.refused
            );
        }
        out
    }
}

/// What a recorder found of one session, in words.
pub fn words(attested: &Attested) -> String {
    let detail = attested.detail.as_deref().unwrap_or("it says no more");
    match attested.finding {
        Finding::Proved => "the recorder checked the token itself, and it proves the person".to_owned(),
        Finding::NotPresented => "not confirmed by the recorder: no token was presented to it".to_owned(),
        Finding::NotChecked => format!("not confirmed by the recorder: {detail}"),
        Finding::SameProcess => "not confirmed: the recorder runs in the door's own process".to_owned(),
        Finding::Refused => format!("not taken by the recorder: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use sallyport_audit::record::SessionId;

    use super::*;
    use crate::audit::samples;

    #[test]
    fn the_recorders_word_counts_and_a_doors_does_not() {
        let session = SessionId::parse(&"ab".repeat(16)).unwrap();
        let mut tally = Tally::default();
        let mut take = |event, writer| {
            let mut record = samples::record(1, &session, event);
            record.source.writer = writer;
            tally.take(&serde_json::to_vec(&record).unwrap());
        };
        let found = |finding| Event::Attested(Box::new(Attested::new(finding)));
        for _ in 0..4 {
            take(samples::start("alice"), Writer::Proxy);
        }
        take(found(Finding::Proved), Writer::Recorder);
        take(found(Finding::NotPresented), Writer::Recorder);
        take(found(Finding::Refused), Writer::Recorder);
        take(found(Finding::Proved), Writer::Proxy);
        take(samples::end(), Writer::Proxy);
        tally.take(b"{\"event\":{\"sessionStart\":");
        assert_eq!((tally.sessions, tally.proved, tally.unconfirmed()), (4, 1, 3));
        let text = tally.text();
        assert!(
            text.contains("1 of 4 sessions; of 1 no token was presented; of 2 it checked none"),
            "{text}"
        );
        assert!(text.contains("1 sessions it did not take"), "{text}");
        assert_eq!(Tally::default().text(), "");
    }
}
