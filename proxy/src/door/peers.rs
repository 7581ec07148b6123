//! The other replicas of a door, which may hold the session that this one does not know.

use std::net::IpAddr;

use futures::future::BoxFuture;
use sallyport_audit::Digest;

use super::ThisProcess;

/// The other replicas of the door.
///
/// Callable from any runtime.
pub trait Peers: Send + Sync {
    /// Tells all of them of a cancel that names no session of this process, by the key that it carries. Ends when they have
    /// heard it, or soon; whether one of them knew it is not said.
    fn cancel(&self, key: Vec<u8>) -> BoxFuture<'static, ()>;

    /// Asks all of them for another address than `from` by which a token, by its hash, is in use at this moment. Ends soon,
    /// whoever answers.
    fn elsewhere(&self, token: Digest, from: IpAddr) -> BoxFuture<'static, Option<IpAddr>>;
}

impl Peers for ThisProcess {
    fn cancel(&self, _: Vec<u8>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn elsewhere(&self, _: Digest, _: IpAddr) -> BoxFuture<'static, Option<IpAddr>> {
        Box::pin(std::future::ready(None))
    }
}
