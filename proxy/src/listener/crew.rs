//! Which thread a connection is served by: the one with the fewest.
//!
//! The kernel spreads connections over sockets by a hash, and of four connections as often as not three or four meet on one
//! thread while another has nothing to do.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sallyport_identity::Place;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::door::Door;

/// A connection that was taken, on its way to the thread that serves it.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) door: Door,
    pub(super) places: Places,
    /// Its place on the thread.
    pub(super) seat: Seat,
}

/// Its place among all connections, and among those of which nobody is known yet.
pub(super) type Places = (OwnedSemaphorePermit, Place<IpAddr>);

/// All threads.
#[derive(Clone)]
pub(super) struct Crew(Arc<[Worker]>);

struct Worker {
    connections: Arc<AtomicUsize>,
    inbox: UnboundedSender<Arrival>,
}

/// A place on a thread, given back when dropped.
pub(super) struct Seat {
    connections: Arc<AtomicUsize>,
    inbox: UnboundedSender<Arrival>,
    /// A drain waits for whoever has a seat, also on the way to it.
    _session: TaskTrackerToken,
}

// === impl Crew ===

impl Crew {
    /// A crew of so many threads, with each one's inbox.
    pub(super) fn of(threads: usize) -> (Self, Vec<UnboundedReceiver<Arrival>>) {
        let (workers, inboxes): (Vec<_>, Vec<_>) = (0..threads)
            .map(|_| {
                let (inbox, arrivals) = unbounded_channel();
                let connections = Arc::default();
                (Worker { connections, inbox }, arrivals)
            })
            .unzip();
        (Self(workers.into()), inboxes)
    }

    /// A place on the thread with the fewest connections, of those that still serve.
    pub(super) fn seat(&self, sessions: &TaskTracker) -> Option<Seat> {
        let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let serving = self.0.iter().filter(|worker| !worker.inbox.is_closed());
        let idlest = serving.min_by_key(load)?;
        idlest.connections.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            connections: Arc::clone(&idlest.connections),
            inbox: idlest.inbox.clone(),
            _session: sessions.token(),
        })
    }
}

// === impl Seat ===

impl Seat {
    /// Hands a connection to the seat's thread. One that does not serve any more closes it.
    pub(super) fn take(self, stream: TcpStream, peer: SocketAddr, door: Door, places: Places) {
        let inbox = self.inbox.clone();
        let arrival = Arrival {
            stream,
            peer,
            door,
            places,
            seat: self,
        };
        // What comes back is dropped, and with it the connection.
        let _ = inbox.send(arrival);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_where_the_fewest_are() {
        let (crew, _inboxes) = Crew::of(3);
        let sessions = TaskTracker::new();
        let loads = || {
            crew.0
                .iter()
                .map(|worker| worker.connections.load(Ordering::Relaxed))
                .collect::<Vec<_>>()
        };
        let mut seats: Vec<_> = (0..6).filter_map(|_| crew.seat(&sessions)).collect();
        assert_eq!(loads(), [2, 2, 2]);
        // The first of the second thread and the second of the same go.
        seats.remove(4);
        seats.remove(1);
        assert_eq!(loads(), [2, 0, 2]);
        seats.extend((0..2).filter_map(|_| crew.seat(&sessions)));
        assert_eq!(loads(), [2, 2, 2]);
    }

    #[test]
    fn a_thread_that_serves_no_more_gets_nobody() {
        let (crew, mut inboxes) = Crew::of(2);
        let sessions = TaskTracker::new();
        drop(inboxes.remove(0));
        let seats: Vec<_> = (0..2).filter_map(|_| crew.seat(&sessions)).collect();
        assert!(seats.iter().all(|seat| !seat.inbox.is_closed()));
        assert_eq!(seats.len(), 2);
        drop(inboxes);
        assert!(crew.seat(&sessions).is_none());
    }

    #[test]
    fn a_drain_waits_for_whoever_has_a_seat() {
        let (crew, _inboxes) = Crew::of(1);
        let sessions = TaskTracker::new();
        let seat = crew.seat(&sessions);
        assert_eq!(sessions.len(), 1);
        drop(seat);
        assert!(sessions.is_empty());
    }
}
