//! Replicas of one door: what one of them does not know, another does.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};

use crate::client::{ask_directly, psql};
use crate::demo::{ALICE, Demo};
use crate::narrator::Narrator;
use crate::run::{Running, wait_until};

use super::{SETTLE, pods};

const SLEEP: &str = "SELECT pg_sleep(410)";

/// A way that leads to one replica at first and to another later, as a Service without affinity may.
struct Ways {
    port: u16,
    later: Arc<AtomicBool>,
}

pub(super) fn cancel_elsewhere(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let addresses = addresses(demo)?;
    let [one, another, ..] = addresses.as_slice() else {
        bail!("two replicas are needed, there are {addresses:?}");
    };
    let ways = Ways::lead(*one, *another)?;
    let mut command = psql(demo, ALICE, &[SLEEP])?;
    command
        .args(["-v", "VERBOSITY=verbose"])
        .env("PGHOST", "door-bank.doors.svc")
        .env("PGHOSTADDR", "127.0.0.1")
        .env("PGPORT", ways.port.to_string());
    let session = Running::start(&mut command)?;
    wait_until(SETTLE, "the statement runs", || {
        let seen = format!("SELECT count(*) FROM pg_stat_activity WHERE query = '{SLEEP}' AND wait_event = 'PgSleep'");
        Ok((ask_directly(demo, &seen)?.stdout.trim() == "1").then_some(()))
    })?;
    ways.later.store(true, Ordering::SeqCst);
    // psql's CancelRequest is a connection of its own.
    session.interrupt()?;
    let ended = session.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(
        "a cancel that reached another replica stops the statement",
        ended.stderr.contains("57014"),
    )
}

/// Where the door's replicas listen.
fn addresses(demo: &Demo) -> Result<Vec<SocketAddr>> {
    let pods = pods::of_door(demo)?.into_iter();
    pods.map(|pod| Ok(SocketAddr::new(pod.address.parse()?, 5432)))
        .collect()
}

// === impl Ways ===

impl Ways {
    /// Listens as long as the program runs.
    fn lead(first: SocketAddr, later: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ways = Self {
            port: listener.local_addr()?.port(),
            later: Arc::default(),
        };
        let switched = Arc::clone(&ways.later);
        thread::spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                let replica = if switched.load(Ordering::SeqCst) { later } else { first };
                if let Err(error) = pass(client, replica) {
                    eprintln!("{replica}: {error}");
                }
            }
        });
        Ok(ways)
    }
}

fn pass(client: TcpStream, replica: SocketAddr) -> io::Result<()> {
    let replica = TcpStream::connect(replica)?;
    for (mut from, mut to) in [(client.try_clone()?, replica.try_clone()?), (replica, client)] {
        thread::spawn(move || {
            // Whichever end is over, the other hears it.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
