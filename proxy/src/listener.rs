//! Sockets to sessions: one thread, one runtime and one listening socket for each processor.
//!
//! A session lives on one thread, so the data path shares nothing between threads but what the door's handles share. The
//! kernel spreads connections over the sockets (SO_REUSEPORT), and whichever thread takes one hands it to the idlest.

mod crew;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_audit::record::Refusal;
use sallyport_identity::Shares;
use sallyport_runtime::vitals::{Part, Vitals};
use socket2::{Domain, Protocol as Transport, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::door::Door;
use crate::metrics;
use crate::session::{self, Protocol, Turned};
use crew::{Arrival, Crew};

/// Connections that the kernel may keep waiting on one socket.
const BACKLOG: i32 = 1_024;
/// A peer that is gone without a word is noticed after about a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Between two records of connections that found no room, on each thread.
const TELL_EVERY: Duration = Duration::from_secs(10);
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
    /// Those among them of which nobody is known yet, by their address: who has as many as they leave to others gets no more, so
    /// that one address does not fill the door.
    pub strangers: Arc<Shares<IpAddr>>,
    /// Where it is known which socket is no longer served.
    pub vitals: Vitals,
}

/// Binds every entrance once for each of `threads` and serves. `make` makes the protocol for one connection. The threads end
/// after `shared.drain` when their last session has. Gives the addresses that were bound: a port 0 has become a real one.
///
/// # Errors
/// When an address cannot be bound, also because another process listens there, or a thread not started.
pub fn serve<P, F>(entrances: &[Entrance], threads: usize, shared: &Shared, make: F) -> std::io::Result<Vec<SocketAddr>>
where
    P: Protocol + 'static,
    F: Fn(&Door) -> P + Clone + Send + 'static,
{
    let addresses: Vec<_> = entrances
        .iter()
        .map(|entrance| alone(entrance.address))
        .collect::<std::io::Result<_>>()?;
    let (crew, inboxes) = Crew::of(threads);
    for (number, inbox) in inboxes.into_iter().enumerate() {
        // Every socket is bound before any thread serves: an address that is taken ends the program, not a thread.
        let sockets = entrances.iter().zip(&addresses);
        let sockets = sockets.map(|(entrance, address)| Ok((bind(*address)?, entrance.doors.clone())));
        let sockets: Vec<_> = sockets.collect::<std::io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (shared, make, crew) = (shared.clone(), make.clone(), crew.clone());
        let thread = std::thread::Builder::new().name(format!("sessions-{number}"));
        // Not joined: what does not end in time ends with the process, and the recorder writes its end.
        thread.spawn(move || {
            // On the runtime and not among the sessions, which are waited for. Because of it no timer of a session is ever
            // the next one, which would wake this thread for nothing.
            runtime.spawn(shared.vitals.beat("a thread of sessions"));
            let sessions = LocalSet::new();
            for (socket, doors) in sockets {
                let part = shared.vitals.part("accepting connections");
                sessions.spawn_local(accept(socket, doors, shared.clone(), crew.clone(), part));
            }
            sessions.spawn_local(seat(inbox, shared, make));
            // Ends when every task of this thread has ended.
            runtime.block_on(sessions);
        })?;
    }
    Ok(addresses)
}

/// Takes connections, and has the idlest thread serve each.
async fn accept(
    socket: std::net::TcpListener,
    doors: watch::Receiver<Option<Door>>,
    shared: Shared,
    crew: Crew,
    part: Part,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a socket cannot be served"),
    };
    let mut crowd = Crowd::default();
    loop {
        let accepted = tokio::select! {
            () = shared.drain.cancelled() => return part.over(),
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let door = doors.borrow().clone();
        // Not open yet, or full: closed without a word, since a word could only be said after TLS. Without a door there is no
        // log, either.
        let Some(door) = door else {
            metrics::get().refused(Refusal::DoorShut);
            continue;
        };
        let slot = Arc::clone(&shared.slots).try_acquire_owned();
        let (Ok(slot), Some(stranger)) = (slot, shared.strangers.take(&network(peer.ip()))) else {
            crowd.turned_away(&door, peer);
            continue;
        };
        prepare(&stream);
        if let (Some(seat), Ok(stream)) = (crew.seat(&shared.sessions), stream.into_std()) {
            seat.take(stream, peer, door, (slot, stranger));
        }
    }
}

/// Serves the connections that this thread is handed.
async fn seat<P, F>(mut inbox: UnboundedReceiver<Arrival>, shared: Shared, make: F)
where
    P: Protocol + 'static,
    F: Fn(&Door) -> P,
{
    loop {
        let arrival = tokio::select! {
            biased;
            arrival = inbox.recv() => arrival,
            () = shared.drain.cancelled() => return,
        };
        let Some(arrival) = arrival else { return };
        let protocol = make(&arrival.door);
        tokio::task::spawn_local(one(protocol, arrival));
    }
}

/// Connections that found no room: each is counted, and one in a while is recorded, since whoever fills the door must not
/// fill the log.
#[derive(Default)]
struct Crowd {
    told: Option<Instant>,
    untold: u64,
}

impl Crowd {
    fn turned_away(&mut self, door: &Door, peer: SocketAddr) {
        if self.told.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            self.untold += 1;
            return metrics::get().refused(Refusal::Limit);
        }
        let mut words = "this door has as many connections as it takes, or of this address".to_owned();
        if self.untold > 0 {
            words.push_str(&format!("; {} more were closed since the record before", self.untold));
        }
        session::turned_away(door, peer, &Turned::new(Refusal::Limit, words));
        (self.told, self.untold) = (Some(Instant::now()), 0);
    }
}

async fn one<P: Protocol>(protocol: P, arrival: Arrival) {
    let Arrival {
        stream,
        peer,
        door,
        places: (slot, stranger),
        seat,
    } = arrival;
    match TcpStream::from_std(stream) {
        Ok(stream) => session::run(&protocol, &door, stream, peer, stranger).await,
        Err(error) => tracing::warn!(%error, "a connection cannot be served"),
    }
    drop((slot, seat));
}

/// Whose an address is taken to be: of IPv6, one customer has a whole network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address => address,
    }
}

fn prepare(stream: &TcpStream) {
    // Without these a session works all the same, only later.
    let _ = stream.set_nodelay(true);
    keep_alive(stream);
}

/// Lets the kernel notice a peer that is gone without a word. Without it a session works all the same.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// Sockets that share a port would share it with another process of the same user, too, and half of the clients would be
/// that one's. A plain socket is refused where anybody listens.
fn alone(address: SocketAddr) -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind(address)
        .and_then(|socket| socket.local_addr())
        .map_err(|error| taken(address, &error))
}

fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).map_err(|error| taken(address, &error))?;
    socket.listen(BACKLOG).map_err(|error| taken(address, &error))?;
    Ok(socket.into())
}

fn taken(address: SocketAddr, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_belongs_to_one_process() {
        let free = alone("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(free.port(), 0);
        let (_one, _two) = (bind(free).unwrap(), bind(free).unwrap());
        let error = alone(free).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&free.to_string()), "{error}");
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        for (address, whose) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), whose);
        }
    }

    #[tokio::test]
    async fn a_client_that_waits_without_a_word_is_kept_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (stream, _) = accepted.unwrap();
        prepare(&stream);
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap() && stream.nodelay().unwrap());
        drop(client);
    }
}
