//! Tokens on their way to the recorder, and who waits for what it says of them. In memory, and never in the queue of records.

use std::collections::HashMap;
use std::future::Future;

use sallyport_audit::record::SessionId;
use sallyport_audit::wire::{Present, Vouched};
use tokio::sync::oneshot;

use super::{Durability, Evidence, EvidenceError, Message, Sink};

pub(super) type Reply = oneshot::Sender<Result<(), EvidenceError>>;

/// Tokens that the recorder has said nothing of.
#[derive(Default)]
pub(super) struct Presents {
    /// Not on the stream.
    waiting: Vec<(Present, Reply)>,
    /// On it.
    asked: HashMap<SessionId, (Present, Reply)>,
}

impl Evidence {
    /// Shows the token by which a session is about to start to every sink's recorder, before its start is handed over: a
    /// recorder that checks tokens itself takes no session whose token does not prove whom the door states. One of an earlier
    /// version, or in this process, is asked nothing.
    ///
    /// The future fails with [`EvidenceError::Unvouched`] where a recorder does not take it, and with
    /// [`EvidenceError::Unavailable`] where it says nothing within [`super::Limits::accept_within`]. Records of a sink of
    /// [`Durability::Async`] do not wait for a recorder that is away, and neither does this: the log then tells that nobody
    /// confirmed the person.
    pub fn present(
        &self,
        present: Present,
    ) -> impl Future<Output = Result<(), EvidenceError>> + Send + 'static + use<> {
        let waits = self.ask(present);
        async move {
            for wait in waits? {
                wait.await?;
            }
            Ok(())
        }
    }

    fn ask(
        &self,
        present: Present,
    ) -> Result<Vec<impl Future<Output = Result<(), EvidenceError>> + Send + use<>>, EvidenceError> {
        if !present.fits() {
            return Err(EvidenceError::Unvouched {
                later: false,
                reason: "what was presented is longer than any token".to_owned(),
            });
        }
        self.sinks.iter().map(|sink| sink.present(present.clone())).collect()
    }
}

impl Sink {
    fn present(
        &self,
        present: Present,
    ) -> Result<impl Future<Output = Result<(), EvidenceError>> + Send + use<>, EvidenceError> {
        let must = self.durability == Durability::BeforeExecution;
        let asked = must || self.state.borrow().connected;
        let (send, reply) = oneshot::channel();
        if asked && !self.queue.send(Message::Present { present, reply: send }, true) {
            return Err(EvidenceError::Closed);
        }
        let within = self.limits.accept_within;
        Ok(async move {
            if !asked {
                return Ok(());
            }
            match tokio::time::timeout(within, reply).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(EvidenceError::Closed),
                Err(_) if must => Err(EvidenceError::Unavailable { waited: within }),
                Err(_) => Ok(()),
            }
        })
    }
}

impl Presents {
    pub(super) fn push(&mut self, present: Present, reply: Reply) {
        // While the recorder is away nobody takes them: tokens of clients that left must not pile up.
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        self.waiting.push((present, reply));
    }

    /// A new stream is up: everything is asked again, or, of a recorder that takes no tokens, nothing.
    pub(super) fn begin(&mut self, wanted: bool) {
        self.waiting.extend(std::mem::take(&mut self.asked).into_values());
        if !wanted {
            self.pass();
        }
    }

    /// This recorder takes no tokens.
    pub(super) fn pass(&mut self) {
        for (_, reply) in self.waiting.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(Ok(()));
        }
    }

    /// What goes on the stream now. A client that left takes its token along.
    pub(super) fn next(&mut self) -> Vec<Present> {
        self.asked.retain(|_, (_, reply)| !reply.is_closed());
        let mut next = Vec::new();
        for (present, reply) in self.waiting.drain(..).filter(|(_, reply)| !reply.is_closed()) {
            next.push(present.clone());
            self.asked.insert(present.session.clone(), (present, reply));
        }
        next
    }

    /// The recorder takes nothing of this door: whoever waits is told.
    pub(super) fn fail(&mut self, error: impl Fn() -> EvidenceError) {
        let asked = std::mem::take(&mut self.asked).into_values();
        for (_, reply) in self.waiting.drain(..).chain(asked) {
            let _ = reply.send(Err(error()));
        }
    }

    /// The recorder has said something of a token.
    pub(super) fn answer(&mut self, vouched: Vouched) {
        let Some((_, reply)) = self.asked.remove(&vouched.session) else {
            return;
        };
        let result = match vouched.refused {
            None => Ok(()),
            Some(refused) => Err(EvidenceError::Unvouched {
                later: refused.later,
                reason: refused.reason,
            }),
        };
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use sallyport_audit::wire::Token;

    use super::*;
    use crate::testing;

    #[test]
    fn tokens_of_clients_that_left_do_not_pile_up() {
        let mut presents = Presents::default();
        let mut push = || {
            let (reply, answer) = oneshot::channel();
            let present = Present {
                agents: Vec::new(),
                person: testing::person(),
                session: SessionId::random().unwrap(),
                token: Token::new(b"a.b.c").unwrap(),
            };
            presents.push(present, reply);
            answer
        };
        let stays = push();
        for _ in 0..100 {
            drop(push());
        }
        assert_eq!(presents.waiting.len(), 2, "who waits, and the last who left");
        drop(stays);
    }
}
