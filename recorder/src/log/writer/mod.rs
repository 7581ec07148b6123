//! The one thread that appends: it takes commands in order, and gathers appends into groups.

mod commit;
mod fence;
mod reserve;
mod retention;
mod stage;
mod upkeep;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sallyport_audit::Digest;
use sallyport_audit::checkpoint::Head;
use sallyport_audit::note::Signer;
use sallyport_audit::record::{Attested, Instance, LogStart, ObjectRef, PodRef};
use sallyport_audit::wire::RefuseCode;
use tokio::sync::{oneshot, watch};

use crate::log::ages::Ages;
use crate::log::disk::Disk;
use crate::log::doors::{Doors, Undo};
use crate::log::error::{LogError, OpenError};
use crate::log::heads::{Heads, PublishedLog};
use crate::log::open::Recovered;
use crate::log::publish::{Publication, Published};
use crate::log::tree::Tree;
use crate::log::wal::Wal;
use crate::log::{Checked, Config, Receipt, Standing, Status};

pub(in crate::log) use fence::Fence;
use reserve::Reserve;

/// One group, written with one fdatasync, holds at most this much.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Between two looks at the publisher while somebody waits for it.
const SOON: Duration = Duration::from_millis(3);
/// Full tiles that may wait in memory for a volume that takes no files.
const WAITING_BYTES: usize = 128 * 1024 * 1024;

/// What the handles of a log ask of its writer.
pub(in crate::log) enum Command {
    Append(Submission),
    Attach {
        instance: Instance,
        connection: ObjectRef,
        pod: PodRef,
        echo: Option<Head>,
        permit: Option<String>,
        reply: oneshot::Sender<Result<Standing, LogError>>,
    },
    /// Publish what is on disk now, and say when it is.
    Publish {
        reply: oneshot::Sender<Head>,
    },
    Permit {
        note: String,
        reply: oneshot::Sender<Result<(), LogError>>,
    },
    Detach {
        instance: Instance,
        goodbye: bool,
    },
    /// Write down whom the recorder did not take.
    Attest {
        connection: ObjectRef,
        attested: Box<Attested>,
    },
    Close {
        reason: String,
        reply: oneshot::Sender<()>,
    },
}

/// Records of one door, in sequence.
pub(in crate::log) struct Submission {
    pub(in crate::log) records: Vec<Checked>,
    pub(in crate::log) echo: Option<Head>,
    pub(in crate::log) reply: oneshot::Sender<Result<Receipt, LogError>>,
}

/// Submissions that go to disk together.
#[derive(Default)]
struct Group {
    records: Vec<(Vec<u8>, Digest)>,
    /// How many of them are the recorder's own.
    own: u64,
    undo: Vec<Undo>,
    /// Who waits, and up to which running number of theirs.
    waiting: Vec<(u64, oneshot::Sender<Result<Receipt, LogError>>)>,
}

pub(in crate::log) struct Writer {
    disk: Arc<dyn Disk>,
    config: Config,
    signer: Signer,
    tree: Tree,
    doors: Doors,
    ages: Ages,
    /// Records before the first place go as soon as the log of the second size, which says so, is published.
    removal: Option<(u64, u64)>,
    wal: Wal,
    heads: Heads,
    /// The newest head that was signed, see [`Writer::head`].
    signed: Head,
    fence: Fence,
    /// The recorder's own name and numbers.
    instance: Instance,
    own: u64,
    /// The record of this start, until it is on disk: nothing comes before it.
    start: Option<LogStart>,
    publications: Sender<Publication>,
    reports: Receiver<Published>,
    publishing: bool,
    published: u64,
    /// Who waits until this head is published.
    asked: Vec<(Head, oneshot::Sender<Head>)>,
    last_publication: Option<Instant>,
    /// Why the volume took no record, until it takes one.
    problem: Option<String>,
    /// Why the publisher could write nothing, until it does.
    unpublished: Option<String>,
    broken: Option<String>,
    last_look: Option<Instant>,
    reserve: Reserve,
    status: watch::Sender<Status>,
}

/// The writer's ends of its channels.
pub(in crate::log) struct Pipes {
    pub(in crate::log) publications: Sender<Publication>,
    pub(in crate::log) reports: Receiver<Published>,
    pub(in crate::log) status: watch::Sender<Status>,
}

/// Serves until [`Command::Close`] or until no handle is left; then the writer is no more.
pub(in crate::log) fn run(desk: &Mutex<Option<Writer>>, inbox: &Receiver<Command>) {
    let _leaving = Leaving(desk);
    // Whoever appends on their own thread may panic there: nothing is written after that.
    while let Some(tick) = at(desk, |writer| writer.next_look()) {
        let command = inbox.recv_timeout(tick);
        let goes_on = at(desk, |writer| {
            let closing = match command {
                Ok(command) => writer.serve(command, inbox),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(("every handle is gone".to_owned(), None)),
            };
            if closing.is_none() {
                writer.look_around_if_due(tick);
            }
            closing
        });
        let Some(None) = goes_on else {
            end(desk, goes_on.flatten());
            return;
        };
    }
}

fn at<T>(desk: &Mutex<Option<Writer>>, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
    desk.lock().ok()?.as_mut().map(work)
}

/// Takes the writer away when its thread ends, by a panic too: handles would keep it, and nobody would be told that it is gone.
struct Leaving<'a>(&'a Mutex<Option<Writer>>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

type Closing = (String, Option<oneshot::Sender<()>>);

fn end(desk: &Mutex<Option<Writer>>, closing: Option<Closing>) {
    let Ok(mut writer) = desk.lock() else { return };
    let Some((reason, reply)) = closing else { return };
    if let Some(mut writer) = writer.take() {
        writer.end(reason);
    }
    drop(writer);
    // Whoever asked may have stopped waiting.
    reply.map(|reply| reply.send(()));
}

impl Writer {
    pub(in crate::log) fn new(
        disk: Arc<dyn Disk>,
        config: Config,
        signer: Signer,
        instance: Instance,
        found: Recovered,
        pipes: Pipes,
    ) -> Result<Self, OpenError> {
        let Recovered {
            tree,
            doors,
            ages,
            wal,
            published,
        } = found;
        let Pipes {
            publications,
            reports,
            status,
        } = pipes;
        let (size, root, partial) = (tree.size(), tree.frontier().root(), tree.partial_bytes());
        let head = Head::sign(signer.verifier().name(), size, root, &signer);
        let start = LogStart {
            epoch: None,
            origin: signer.verifier().name().to_owned(),
            root: (size > 0).then_some(root),
            sink: config.sink.clone(),
            size,
            vkey: signer.verifier().to_string(),
        };
        let fence = Fence::new(config.witness.clone());
        Ok(Self {
            disk,
            config,
            signer,
            tree,
            doors,
            ages,
            removal: None,
            wal,
            heads: Heads::default(),
            signed: head,
            fence,
            instance,
            own: 0,
            start: Some(start),
            publications,
            reports,
            publishing: false,
            published,
            asked: Vec::new(),
            last_publication: None,
            problem: None,
            unpublished: None,
            broken: None,
            last_look: None,
            reserve: Reserve::new(if published > 0 { partial as u64 } else { 0 }),
            status,
        })
    }

    /// How long to wait for a command until it is time to look around.
    fn next_look(&mut self) -> Duration {
        self.write_start();
        // Somebody who waits for a publication is told at once.
        if self.asked.is_empty() { self.tick() } else { SOON }
    }

    fn tick(&self) -> Duration {
        let shortest = self.config.checkpoint_every.min(self.config.grace);
        shortest.max(Duration::from_millis(2)) / 2
    }

    /// Looking around costs a walk over all doors: not at every group.
    fn look_around_if_due(&mut self, tick: Duration) {
        if self.last_look.is_none_or(|at| at.elapsed() >= tick) {
            self.last_look = Some(Instant::now());
            self.look_around();
        }
    }

    fn look_around(&mut self) {
        self.end_vanished();
        self.hear_publisher();
        self.publish_if_due();
        self.look_at_room();
        self.try_volume_again();
        self.remove_old();
        self.tell();
    }

    /// Takes a command and everything queued behind it; appends in a row go to disk together.
    fn serve(&mut self, first: Command, inbox: &Receiver<Command>) -> Option<Closing> {
        let mut group = Group::default();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(submission) => {
                    bytes += submission
                        .records
                        .iter()
                        .map(|record| record.bytes.len())
                        .sum::<usize>();
                    self.stage(submission, &mut group);
                }
                other => {
                    self.commit(std::mem::take(&mut group));
                    match other {
                        Command::Close { reason, reply } => return Some((reason, Some(reply))),
                        other => self.control(other),
                    }
                }
            }
            next = match inbox.try_recv() {
                _ if bytes >= GROUP_BYTES => None,
                Ok(command) => Some(command),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            };
        }
        self.commit(group);
        None
    }

    fn control(&mut self, command: Command) {
        match command {
            Command::Attach {
                instance,
                connection,
                pod,
                echo,
                permit,
                reply,
            } => {
                let own = self.own_instance(&instance, &connection, &pod);
                let standing = own.and_then(|()| self.may_attach(echo, permit)).map(|()| {
                    self.doors.attach(&instance, &connection, &pod, self.tree.size());
                    let (acked, fenced) = self.doors.standing(&instance);
                    Standing {
                        acked,
                        fenced,
                        head: self.head(),
                        permit: self.fence.shown().map(str::to_owned),
                    }
                });
                let attached = standing.is_ok();
                if reply.send(standing).is_err() && attached {
                    self.doors.detach(&instance, false, Instant::now(), self.config.grace);
                }
            }
            Command::Detach { instance, goodbye } => {
                self.doors.detach(&instance, goodbye, Instant::now(), self.config.grace)
            }
            Command::Publish { reply } => self.publish_for(reply),
            Command::Permit { note, reply } => {
                // The operator asks again if it did not hear this.
                let _ = reply.send(self.take_permit(note));
            }
            Command::Attest { connection, attested } => self.attest(connection, attested),
            Command::Append(_) | Command::Close { .. } => {}
        }
    }

    fn own_instance(&self, instance: &Instance, connection: &ObjectRef, pod: &PodRef) -> Result<(), LogError> {
        // Ours counts our own records: whoever verifies the log would miss some.
        match *instance == self.instance || self.doors.is_of_another(instance, connection, pod) {
            true => Err(LogError::new(
                RefuseCode::Identity,
                "the instance is one of another Connection or Pod, or of a recorder",
            )),
            false => Ok(()),
        }
    }

    fn may_attach(&mut self, echo: Option<Head>, permit: Option<String>) -> Result<(), LogError> {
        if let Some(refused) = self.fence.refusal() {
            return Err(refused);
        }
        permit.map_or(Ok(()), |note| self.hear_of_permit(&note))?;
        echo.map_or(Ok(()), |head| self.check_echo(&head))
    }

    fn check_echo(&self, head: &Head) -> Result<(), LogError> {
        let published = PublishedLog {
            disk: self.disk.as_ref(),
            size: self.published,
        };
        self.heads
            .check(head, self.signer.verifier(), self.tree.size(), &published)
    }

    /// What is wrong with the volume.
    fn problem(&self) -> Option<&String> {
        self.problem.as_ref().or(self.unpublished.as_ref())
    }

    /// Why nothing can be taken now.
    fn refusal(&self) -> Option<LogError> {
        if let Some(refused) = self.fence.refusal() {
            return Some(refused);
        }
        let storage = |reason: &String| LogError::new(RefuseCode::Storage, reason.clone());
        if let Some(reason) = &self.broken {
            return Some(storage(reason));
        }
        if self.start.is_some() || self.tree.waiting_bytes() > WAITING_BYTES {
            return Some(storage(
                self.problem().unwrap_or(&"the volume takes no files".to_owned()),
            ));
        }
        None
    }
}
