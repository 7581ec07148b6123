//! What a door lacks to admit anybody, in the words of conditions.

use sallyport_crds::Reason;
use sallyport_runtime::report::Problem;

/// Something that is missing or wrong. Holds no secret and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The reason of the condition.
    pub reason: Reason,
    /// One sentence: what, and what to do.
    pub message: String,
}

// === impl Lack ===

impl Lack {
    /// A lack in words.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// As it is reported to the operator.
    pub fn problem(&self) -> Problem {
        Problem {
            reason: self.reason.as_str(),
            message: self.message.clone(),
        }
    }
}
