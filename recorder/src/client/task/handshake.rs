//! Getting in: the recorder and the door tell each other who they are and how far they have come.

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::note::VerifierKey;
use sallyport_audit::permit::Permit;
use sallyport_audit::record::{Instance, ObjectRef, Origin, PodRef};
use sallyport_audit::wire::{Frame, Hello, PROTOCOL, Welcome};
use tokio::time::timeout;

use super::{Break, Task};
use crate::client::State;
use crate::client::road::{Dial, Live, Road};
use crate::frames::{FrameReader, write};
use crate::log::{Attached, Log};
use crate::server::Door;

const CONNECT: Duration = Duration::from_secs(5);

impl Task {
    pub(super) async fn connect(&mut self) -> Result<Live, Break> {
        let live = match &self.road {
            Road::Stream(dial) => {
                let dial = Arc::clone(dial);
                self.greet(dial).await?
            }
            Road::Here { log, door } => {
                let (log, door) = (log.clone(), Arc::clone(door));
                self.enter(log, door).await?
            }
        };
        if self.refusal.is_none() {
            tracing::info!("records go to the recorder");
        }
        let tree_size = self.head.map_or(0, |head| head.size);
        self.state.send_replace(State {
            connected: self.refusal.is_none(),
            problem: self.refusal.clone().unwrap_or_default(),
            tree_size,
        });
        Ok(live)
    }

    fn names(&self) -> Result<(ObjectRef, Instance, PodRef), Break> {
        let Origin {
            connection,
            instance,
            pod,
            ..
        } = self.queue.origin().clone();
        let connection = connection.ok_or_else(|| Break::Problem("a door without a Connection".to_owned()))?;
        Ok((Arc::unwrap_or_clone(connection), instance, Arc::unwrap_or_clone(pod)))
    }

    /// Opens a stream and greets the recorder at its end.
    async fn greet(&mut self, dial: Dial) -> Result<Live, Break> {
        let stream = timeout(CONNECT, dial())
            .await
            .map_err(|_| Break::Problem("the recorder does not answer".to_owned()))??;
        let (read, mut out) = tokio::io::split(stream);
        let mut reader = FrameReader::new(read);
        let (connection, instance, pod) = self.names()?;
        let hello = Hello {
            connection,
            head: self.head,
            instance,
            permit: self.permit.clone(),
            pod,
            version: PROTOCOL,
        };
        write(&mut out, &[Frame::Hello(hello)]).await?;
        match timeout(CONNECT, reader.next()).await {
            Ok(Ok(Frame::Welcome(welcome))) => self.welcomed(welcome)?,
            Ok(Ok(Frame::Refuse(refuse))) => return Err(self.refused(refuse)),
            Ok(Ok(_)) => return Err(Break::Problem("the recorder does not greet".to_owned())),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(Break::Problem("the recorder does not greet in time".to_owned())),
        }
        Ok(Live::Stream { reader, out })
    }

    /// Tells the log in this process of us.
    async fn enter(&mut self, log: Log, door: Arc<Door>) -> Result<Live, Break> {
        let (connection, instance, pod) = self.names()?;
        let standing = log
            .attach(instance.clone(), connection, pod, self.head, self.permit.clone())
            .await
            .map_err(|error| self.refused_by_log(error))?;
        let attached = Attached::new(log, instance);
        self.welcomed(Welcome {
            acked: standing.acked,
            fenced: standing.fenced,
            head: standing.head,
            permit: standing.permit,
            tokens: false,
            vkey: attached.log.key().to_string(),
        })?;
        Ok(Live::Here { attached, door })
    }

    fn welcomed(&mut self, welcome: Welcome) -> Result<(), Break> {
        let Welcome {
            acked,
            fenced,
            head,
            permit,
            tokens,
            vkey,
        } = welcome;
        let key: VerifierKey = vkey.parse()?;
        if self.key.as_ref().is_some_and(|known| *known != key) {
            return Err(Break::Problem("the recorder came back with another key".to_owned()));
        }
        if !head.verifies(&key) {
            return Err(Break::Problem(
                "the recorder's tree head is not signed by its key".to_owned(),
            ));
        }
        self.see_permit(permit)?;
        self.see(head)?;
        self.key = Some(key);
        self.tokens = tokens;
        self.presents.begin(tokens);
        if tokens {
            self.queue.abandon_starts();
        }
        let cannot = || Break::Problem(format!("the recorder claims {acked} records of this instance"));
        if fenced {
            // Only our own fence forgets numbers; take what the recorder has before the new instance begins at one.
            let released = self.queue.resume(acked).ok_or_else(cannot)?;
            self.release(released);
            tracing::error!("the recorder declared this door's sessions over; going on as a new instance");
            self.renew()?;
            return Err(Break::Problem("beginning a new instance".to_owned()));
        }
        let released = self.queue.resume(acked).ok_or_else(cannot)?;
        self.release(released);
        Ok(())
    }

    /// Of two recorders the one with the later permit writes the log. Only the recorder can check the operator's signature;
    /// the door passes on what it was shown.
    fn see_permit(&mut self, permit: Option<String>) -> Result<(), Break> {
        let epoch = |permit: &Option<String>| permit.as_deref().and_then(Permit::stated_epoch);
        if epoch(&permit) < epoch(&self.permit) {
            return Err(Break::Problem(
                "this recorder was replaced by another, which the operator let write after it".to_owned(),
            ));
        }
        self.permit = permit;
        Ok(())
    }
}
