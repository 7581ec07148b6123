//! A door's hold on a log.

use sallyport_audit::record::Instance;

use super::Log;

/// Tells the log that the door is gone, whatever ends its stream.
pub(crate) struct Attached {
    /// The log.
    pub(crate) log: Log,
    /// Which start of the door.
    pub(crate) instance: Instance,
    /// Whether it will not come back.
    pub(crate) goodbye: bool,
}

impl Attached {
    /// The hold of a door that [`Log::attach`] has let in.
    pub(crate) fn new(log: Log, instance: Instance) -> Self {
        Self {
            log,
            instance,
            goodbye: false,
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.log.detach(self.instance.clone(), self.goodbye);
    }
}
