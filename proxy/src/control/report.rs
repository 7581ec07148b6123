//! Tells the operator what this process enforces, and hears which revision it should.

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::record::Instance;
use sallyport_policy::carrier::FORMAT;
use sallyport_runtime::PeerIdentity;
use sallyport_runtime::report::{ANSWER_AFTER, Answer, Backends, MAX_BACKENDS, PATH, Report};
use sallyport_runtime::tls::TlsError;
use sallyport_runtime::workload::Credential;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lack::Lack;
use super::status::Status;
use super::word::Word;
use super::{Place, metrics};
use crate::door::Sessions;
use crate::postgres::held;

/// The operator holds a report for [`ANSWER_AFTER`]; one that takes longer by this is lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries of an operator that does not answer, and between two reports while it wants what we have not got yet.
const PAUSE: Duration = Duration::from_millis(250);
/// An answer is a few bytes.
const MAX_ANSWER: u64 = 4_096;

/// What a report is made from.
pub(super) struct Reporter {
    pub(super) place: Place,
    pub(super) instance: Instance,
    pub(super) sessions: Sessions,
    pub(super) status: watch::Receiver<Status>,
    pub(super) drain: CancellationToken,
    /// Where the operator's answers go.
    pub(super) word: watch::Sender<Word>,
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Untaken {
    /// The operator answered that there is no such Connection.
    Gone,
    /// It did not answer, or could not.
    Silent,
}

// === impl Reporter ===

impl Reporter {
    /// Reports until the process ends. Needs nothing but the operator: it goes on while the API server is away.
    pub(super) async fn run(mut self, operator_url: String, credential: Credential) {
        let url = format!("{}{PATH}", operator_url.trim_end_matches('/'));
        let client = match client(&credential, ANSWER_AFTER + PATIENCE) {
            Ok(client) => client,
            Err(error) => return tracing::error!(%error, "reports to the operator cannot be made"),
        };
        let mut silent = false;
        loop {
            self.status.mark_unchanged();
            let report = self.report();
            let answer = tokio::select! {
                answer = post(&client, &url, &report) => Some(answer),
                // What is being said is no longer true: say it anew.
                Ok(()) = self.status.changed() => None,
            };
            match answer {
                None => continue,
                Some(Ok(answer)) => {
                    silent = self.said(silent, false);
                    self.heard(Word {
                        revision: Some(answer.wanted_revision),
                        gone: false,
                    });
                    if Some(answer.wanted_revision) == report.revision {
                        continue;
                    }
                }
                Some(Err(untaken)) => {
                    silent = self.said(silent, true);
                    if untaken == Untaken::Gone {
                        let said = *self.word.borrow();
                        self.heard(Word { gone: true, ..said });
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                Ok(()) = self.status.changed() => {}
            }
        }
    }

    fn report(&self) -> Report {
        let status = self.status.borrow();
        // A session that is still under an older revision is what the whole process enforces.
        let oldest = self.sessions.oldest_revision();
        let revision = status
            .revision
            .map(|loaded| oldest.map_or(loaded, |oldest| loaded.min(oldest)));
        let terminating = self.drain.is_cancelled();
        // No login comes any more that could take it back.
        let refusals = match terminating {
            true => Vec::new(),
            false => self.sessions.refusals(),
        };
        Report {
            instance: self.instance.to_string(),
            pod: self.place.pod.name.clone(),
            connection_uid: self.place.connection.uid.clone(),
            revision,
            loaded: status.revision,
            digest: status.digest.map(|digest| digest.to_string()),
            format: FORMAT,
            sessions: u64::try_from(self.sessions.count()).unwrap_or(u64::MAX),
            problems: status
                .lacks
                .iter()
                .chain(&self.sessions.caveat())
                .chain(&refusals)
                .map(Lack::problem)
                .collect(),
            columns: status.columns.clone(),
            terminating,
            backends: Some(self.backends()),
        }
    }

    fn backends(&self) -> Backends {
        let mut backends = self.sessions.seen().unwrap_or(Backends {
            whole: true,
            ..Backends::default()
        });
        backends.held = held::all();
        if backends.held.values().map(Vec::len).sum::<usize>() > MAX_BACKENDS {
            backends.whole = false;
            backends.held.values_mut().for_each(Vec::clear);
            backends.others.clear();
        }
        backends
    }

    fn heard(&self, word: Word) {
        self.word.send_if_modified(|old| std::mem::replace(old, word) != word);
    }

    fn said(&self, was_silent: bool, is_silent: bool) -> bool {
        metrics::get().reported(!is_silent);
        if was_silent != is_silent {
            if is_silent {
                tracing::warn!("the operator does not answer: Enforced will be False");
            } else {
                tracing::info!("the operator answers again");
            }
        }
        is_silent
    }
}

/// A client that speaks with the operator and nobody else.
pub(super) fn client(credential: &Credential, patience: Duration) -> Result<reqwest::Client, TlsError> {
    let config = credential.client_config(Arc::new(|peer: &PeerIdentity| *peer == PeerIdentity::Operator))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured((*config).clone())
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience)
        .build()
        .map_err(|_| TlsError::NoCertificate)
}

async fn post(client: &reqwest::Client, url: &str, report: &Report) -> Result<Answer, Untaken> {
    let silent = |_| Untaken::Silent;
    let response = client.post(url).json(report).send().await.map_err(silent)?;
    if response.status() == reqwest::StatusCode::GONE {
        return Err(Untaken::Gone);
    }
    if !response.status().is_success() || response.content_length().is_none_or(|length| length > MAX_ANSWER) {
        return Err(Untaken::Silent);
    }
    response.json().await.map_err(silent)
}

#[cfg(test)]
mod tests {
    use sallyport_crds::Reason;

    use super::*;
    use crate::control::tests::{key, place};
    use crate::door::{Refusal, Scope};
    use crate::manifests::sample;

    #[test]
    fn a_door_that_drains_tells_of_no_refusal_since_no_login_could_take_it_back() {
        let drain = CancellationToken::new();
        let reporter = Reporter {
            place: place(&sample().0, &[&key()]),
            instance: Instance::random().unwrap(),
            sessions: Sessions::default(),
            status: watch::channel(Status::default()).1,
            drain: drain.clone(),
            word: watch::channel(Word::default()).0,
        };
        let refusal = Refusal {
            lack: Lack::new(Reason::TargetRefused, "28P01"),
            scope: Scope::Credential,
            sure: true,
        };
        reporter.sessions.target_refused("bank", refusal);
        let told = reporter.report();
        assert_eq!((told.problems.len(), told.terminating), (1, false));
        drain.cancel();
        let told = reporter.report();
        assert_eq!((told.problems.len(), told.terminating), (0, true));
    }
}
