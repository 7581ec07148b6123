//! How the protection of columns outlives a process and reaches the others.

use futures::future::BoxFuture;
use sallyport_policy::columns::Told;

/// Why nobody has promised to protect columns elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The operator does not answer, or some process does not protect them yet.
    #[error(
        "nothing that copies protected values may run while not every replica of the door can protect the copy: try again"
    )]
    Away,
    /// The list is as long as it may be.
    #[error(
        "nothing more may be copied from protected columns: the list of columns that their rule keeps protected is full. Copy \
         into tables that were copied into before, or have the rule made anew"
    )]
    Full,
}

/// Keeps columns protected beyond this process.
///
/// Callable from any runtime.
pub trait Columns: Send + Sync {
    /// Answers once every process that may hold a session of a Connection concerned protects these columns, and whatever
    /// starts later will.
    fn keep(&self, told: Told) -> BoxFuture<'static, Result<(), NotKept>>;
}

/// Where there is no cluster there are no other processes, and what is kept lives as long as this one.
#[derive(Clone, Copy, Debug)]
pub struct ThisProcess;

impl Columns for ThisProcess {
    fn keep(&self, _: Told) -> BoxFuture<'static, Result<(), NotKept>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
