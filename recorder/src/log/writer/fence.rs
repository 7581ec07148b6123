//! Whether this recorder may append: only under the operator's permit for the log that it found, and only until another
//! recorder has a later one.

use sallyport_audit::note::VerifierKey;
use sallyport_audit::permit::Permit;
use sallyport_audit::wire::RefuseCode;

use super::Writer;
use crate::log::error::LogError;

/// What the operator has said so far.
#[derive(Debug)]
pub(in crate::log) enum Fence {
    /// There is no operator to ask (a log in one process with its door).
    None,
    /// Nothing may be appended yet.
    Shut {
        /// Who may open it.
        witness: VerifierKey,
    },
    /// This recorder writes.
    Open {
        /// Who opened it.
        witness: VerifierKey,
        /// By which number.
        epoch: u64,
        /// The permit, to be shown to doors.
        note: String,
    },
}

impl Fence {
    pub(in crate::log) fn new(witness: Option<VerifierKey>) -> Self {
        witness.map_or(Self::None, |witness| Self::Shut { witness })
    }

    /// Why nothing may be appended.
    pub(super) fn refusal(&self) -> Option<LogError> {
        self.is_shut().then(|| {
            LogError::new(
                RefuseCode::Fenced,
                "the recorder waits until the operator has vouched for its volume",
            )
        })
    }

    pub(super) fn is_shut(&self) -> bool {
        matches!(self, Self::Shut { .. })
    }

    /// The permit that doors are shown.
    pub(super) fn shown(&self) -> Option<&str> {
        match self {
            Self::Open { note, .. } => Some(note),
            Self::None | Self::Shut { .. } => None,
        }
    }

    /// The number of the permit.
    pub(super) fn epoch(&self) -> Option<u64> {
        match self {
            Self::Open { epoch, .. } => Some(*epoch),
            Self::None | Self::Shut { .. } => None,
        }
    }

    fn witness(&self) -> Option<&VerifierKey> {
        match self {
            Self::None => None,
            Self::Shut { witness } | Self::Open { witness, .. } => Some(witness),
        }
    }
}

impl Writer {
    /// The operator lets this recorder write, if the permit is for this log as it stands and for this start.
    pub(super) fn take_permit(&mut self, note: String) -> Result<(), LogError> {
        let refuse = |reason: &str| Err(LogError::new(RefuseCode::Fenced, reason));
        let Some(witness) = self.fence.witness().cloned() else {
            return refuse("no permit is needed here");
        };
        let permit = Permit::open(&note, &witness)
            .map_err(|error| LogError::new(RefuseCode::Fenced, format!("the permit: {error}")))?;
        if permit.origin != self.signer.verifier().name() {
            return refuse("the permit is for another log");
        }
        if permit.boot != self.instance {
            return refuse("the permit is for another start of a recorder");
        }
        if !self.fence.is_shut() {
            // Said twice.
            return Ok(());
        }
        // Nothing is appended while the fence is shut, so the head is still the one that was found.
        let head = self.head();
        if (permit.size, permit.root) != (head.size, head.root) {
            return refuse("the permit is for another state of the log");
        }
        tracing::info!(
            epoch = permit.epoch,
            size = permit.size,
            "the operator lets this recorder write"
        );
        self.fence = Fence::Open {
            witness,
            epoch: permit.epoch,
            note,
        };
        // Doors could not come back before: their time begins now.
        self.doors.all_alone(std::time::Instant::now());
        self.write_start();
        self.tell();
        Ok(())
    }

    /// A door shows the newest permit that it has seen: if it is later than ours, another recorder writes this log.
    pub(super) fn hear_of_permit(&mut self, note: &str) -> Result<(), LogError> {
        let Fence::Open { witness, epoch, .. } = &self.fence else {
            return Ok(());
        };
        let later = Permit::open(note, witness)
            .is_ok_and(|permit| permit.origin == self.signer.verifier().name() && permit.epoch > *epoch);
        if !later {
            return Ok(());
        }
        let reason = "another recorder was let write to this log: this one is over".to_owned();
        tracing::error!("{reason}");
        self.broken = Some(reason.clone());
        self.tell();
        Err(LogError::new(RefuseCode::Fenced, reason))
    }
}
