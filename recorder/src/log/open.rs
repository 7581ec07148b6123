//! Starting: read back what is on the volume, and refuse to go on from anything that is not whole.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sallyport_audit::checkpoint::{Checkpoint, origin};
use sallyport_audit::merkle::root_at;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::record::{Header, Instance, Kind, Writer as Author};
use sallyport_audit::tiles::{TileHashes, WIDTH};
use tokio::sync::watch;

use super::ages::Ages;
use super::disk::Disk;
use super::doors::Doors;
use super::error::OpenError;
use super::heads::PublishedLog;
use super::publish::CHECKPOINT;
use super::state::State;
use super::tree::Tree;
use super::wal::{Found, Wal};
use super::writer::{self, Pipes, Writer};
use super::{Config, Log, Status, key, publish};

/// What was read back.
pub(super) struct Recovered {
    pub(super) tree: Tree,
    pub(super) doors: Doors,
    pub(super) ages: Ages,
    pub(super) wal: Wal,
    /// Size of the checkpoint that is published.
    pub(super) published: u64,
}

pub(super) fn open(disk: Arc<dyn Disk>, config: Config) -> Result<Log, OpenError> {
    let signer = key::load_or_make(disk.as_ref(), &origin(&config.sink))?;
    let key = signer.verifier().clone();
    let boot = Instance::random().map_err(|_| std::io::Error::other("the system gives no randomness"))?;
    let mut found = recover(disk.as_ref(), &key)?;
    found.doors.all_alone(Instant::now());
    let (commands, inbox) = mpsc::channel();
    let (publications, work) = mpsc::channel();
    let (report, published) = mpsc::channel();
    let (status, watch) = watch::channel(Status {
        size: found.tree.size(),
        fenced: config.witness.is_some(),
        ..Status::default()
    });
    let pipes = Pipes {
        publications,
        reports: published,
        status,
    };
    let writer = Writer::new(Arc::clone(&disk), config, signer, boot.clone(), found, pipes)?;
    let writer = Arc::new(Mutex::new(Some(writer)));
    let desk = Arc::clone(&writer);
    let publisher_disk = Arc::clone(&disk);
    std::thread::Builder::new()
        .name("log-publisher".to_owned())
        .spawn(move || publish::run(&publisher_disk, &work, &report))?;
    std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || writer::run(&desk, &inbox))?;
    Ok(Log {
        commands,
        writer,
        status: watch,
        key,
        boot,
        disk,
    })
}

fn recover(disk: &dyn Disk, key: &VerifierKey) -> Result<Recovered, OpenError> {
    let State {
        size: known,
        mut doors,
        ages,
        ..
    } = State::load(disk, key)?;
    let checkpoint = match disk.read(CHECKPOINT)? {
        Some(note) => Some(Checkpoint::open(&String::from_utf8_lossy(&note), key)?),
        None => None,
    };
    // Bundles below this size are full, published and synced: the state is stored after them.
    let base = known - known % WIDTH;
    let published = PublishedLog { disk, size: base };
    let mut tree = Tree::load(base, &published)?;
    check_published(checkpoint.as_ref(), base, &published)?;
    let wal = Wal::recover(disk, |found| {
        replay(found, known, checkpoint.as_ref(), &mut tree, &mut doors)
    })?;
    let least = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size).max(known);
    if tree.size() < least {
        return Err(OpenError::Damaged(format!(
            "{} records are left of {least} that were published",
            tree.size()
        )));
    }
    let wal = match wal {
        Some(wal) => wal,
        None => Wal::create(disk)?,
    };
    Ok(Recovered {
        tree,
        doors,
        ages,
        wal,
        published: checkpoint.map_or(0, |checkpoint| checkpoint.size),
    })
}

/// The checkpoint against the tiles, as far as these go; [`replay`] compares the rest.
fn check_published(checkpoint: Option<&Checkpoint>, base: u64, published: &PublishedLog<'_>) -> Result<(), OpenError> {
    match checkpoint {
        Some(checkpoint) if checkpoint.size <= base => {
            let root = root_at(checkpoint.size, &mut TileHashes::new(published, base))?;
            contradiction(root == checkpoint.root)
        }
        _ => Ok(()),
    }
}

fn contradiction(fits: bool) -> Result<(), OpenError> {
    if fits {
        Ok(())
    } else {
        Err(OpenError::Damaged(
            "its own checkpoint speaks of other records".to_owned(),
        ))
    }
}

fn replay(
    found: Found,
    known: u64,
    checkpoint: Option<&Checkpoint>,
    tree: &mut Tree,
    doors: &mut Doors,
) -> Result<(), OpenError> {
    let Found { index, leaf, record } = found;
    if index > tree.size() {
        return Err(OpenError::Damaged(format!(
            "records {} to {index} are in no file",
            tree.size()
        )));
    }
    if index == tree.size() {
        tree.push(&record, leaf);
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.size == tree.size()) {
            contradiction(tree.frontier().root() == checkpoint.root)?;
        }
    }
    if index >= known {
        let header = Header::parse(&record)?;
        doors
            .apply(&header, index)
            .map_err(|error| OpenError::Damaged(format!("record {index}: {error}")))?;
        if header.source.writer == Author::Recorder
            && header.kind.as_str() == Kind::SESSION_END
            && let Some(session) = &header.session
        {
            doors.ended_by_recorder(session);
        }
    }
    Ok(())
}
