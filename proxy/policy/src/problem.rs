//! Why an object cannot be run, in words for its author.

use std::fmt;

use sallyport_crds::Reason;

/// Kinds that a [`Problem`] can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A Connection.
    Connection,
    /// A MaskingRule.
    MaskingRule,
    /// An ApprovalPolicy.
    ApprovalPolicy,
    /// An AuditSink.
    AuditSink,
}

/// One reason why an object is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Kind of the object at fault.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// The field at fault, as a path such as `spec.rules[2].match.cel`; empty where the whole object is.
    pub field: String,
    /// The reason of the condition.
    pub reason: Reason,
    /// What is wrong and what to do, in one sentence. Holds no secret.
    pub message: String,
}

// === impl Problem ===

impl Problem {
    /// A problem of one field.
    pub fn new(kind: ObjectKind, name: &str, field: &str, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            field: field.to_owned(),
            reason,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}
