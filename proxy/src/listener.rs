//! Sockets to sessions: one thread, one runtime and one listening socket for each processor.
//!
//! A session lives on the thread that accepted it, so the data path shares nothing between threads but what the door's
//! handles share. The kernel spreads connections over the sockets (SO_REUSEPORT).

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol as Transport, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::door::Door;
use crate::session::{self, Protocol};

/// Connections that the kernel may keep waiting on one socket.
const BACKLOG: i32 = 1_024;
/// A peer that is gone without a word is noticed after about a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// After an accept that failed, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Where one Connection is dialled, and its door.
#[derive(Clone)]
pub struct Entrance {
    /// The address.
    pub address: SocketAddr,
    /// The door to hand to each connection; while there is none, connections are closed.
    pub doors: watch::Receiver<Option<Door>>,
}

/// What all threads share.
#[derive(Clone)]
pub struct Shared {
    /// Cancelled when no more connections are taken.
    pub drain: CancellationToken,
    /// Every session.
    pub sessions: TaskTracker,
    /// Connections at one time.
    pub slots: Arc<Semaphore>,
}

/// Binds every entrance once for each of `threads` and serves. `make` makes the protocol for one connection. The threads end
/// after `shared.drain` when their last session has.
///
/// # Errors
/// When an address cannot be bound or a thread not started.
pub fn serve<P, F>(
    entrances: &[Entrance],
    threads: usize,
    shared: &Shared,
    make: F,
) -> std::io::Result<Vec<JoinHandle<()>>>
where
    P: Protocol + 'static,
    F: Fn(&Door) -> P + Clone + Send + 'static,
{
    let mut handles = Vec::new();
    for number in 0..threads {
        // Every socket is bound before any thread serves: an address that is taken ends the program, not a thread.
        let sockets = entrances
            .iter()
            .map(|entrance| Ok((bind(entrance.address)?, entrance.doors.clone())));
        let sockets: Vec<_> = sockets.collect::<std::io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (shared, make) = (shared.clone(), make.clone());
        let thread = std::thread::Builder::new().name(format!("sessions-{number}"));
        handles.push(thread.spawn(move || {
            let sessions = LocalSet::new();
            for (socket, doors) in sockets {
                sessions.spawn_local(accept(socket, doors, shared.clone(), make.clone()));
            }
            // Ends when every task of this thread has ended.
            runtime.block_on(sessions);
        })?);
    }
    Ok(handles)
}

async fn accept<P, F>(socket: std::net::TcpListener, doors: watch::Receiver<Option<Door>>, shared: Shared, make: F)
where
    P: Protocol + 'static,
    F: Fn(&Door) -> P + Clone + Send + 'static,
{
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a socket cannot be served"),
    };
    loop {
        let accepted = tokio::select! {
            () = shared.drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let door = doors.borrow().clone();
        // Full, or not open yet: closed without a word, since a word could only be said after TLS.
        let (Some(door), Ok(slot)) = (door, Arc::clone(&shared.slots).try_acquire_owned()) else {
            continue;
        };
        prepare(&stream);
        let protocol = make(&door);
        tokio::task::spawn_local(shared.sessions.track_future(one(protocol, door, stream, peer, slot)));
    }
}

async fn one<P: Protocol>(protocol: P, door: Door, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
    session::run(&protocol, &door, stream, peer).await;
    drop(slot);
}

fn prepare(stream: &TcpStream) {
    // Without these a session works all the same, only later.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    let named = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{address}: {error}"));
    socket.bind(&address.into()).map_err(named)?;
    socket.listen(BACKLOG).map_err(named)?;
    Ok(socket.into())
}
