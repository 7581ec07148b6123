//! The operator's word on this door.

/// What the operator last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// The revision that the door is to run; None before it said one.
    pub(super) revision: Option<u64>,
    /// It knows no such Connection: deleted, or made again under the same name. Whatever is left of its children then, nobody looks
    /// after them.
    pub(super) gone: bool,
}
