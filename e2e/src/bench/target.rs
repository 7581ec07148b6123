//! Where the target is: on this machine, under a name that is not the loopback's, since no Connection may name that.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};

use anyhow::{Context as _, Result};

/// Never routed (RFC 5737): asking for the way there sends nothing, and says which address of ours would be used.
const ELSEWHERE: &str = "192.0.2.1:9";

/// A name of this machine, and a free port.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What clients dial.
    pub(super) host: String,
    pub(super) port: u16,
    /// What the name means.
    pub(super) address: SocketAddr,
}

// === impl Target ===

impl Target {
    /// A free port of this machine.
    pub(super) fn here() -> Result<Self> {
        let name = fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
        let resolved = (name.as_str(), 0).to_socket_addrs().into_iter().flatten();
        let usable = |address: SocketAddr| TcpListener::bind((address.ip(), 0)).ok()?.local_addr().ok();
        let named = resolved.filter(SocketAddr::is_ipv4).find_map(usable);
        let address = match named {
            Some(address) => address,
            None => usable(own()?).context("no port of this machine's address can be had")?,
        };
        Ok(Self {
            host: if named.is_some() {
                name
            } else {
                address.ip().to_string()
            },
            port: address.port(),
            address,
        })
    }

    /// How a certificate names it.
    pub(super) fn alternative(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(address) => format!("IP:{address}"),
            Err(_) => format!("DNS:{},IP:{}", self.host, self.address.ip()),
        }
    }
}

fn own() -> Result<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(ELSEWHERE).context(
        "this machine's name means no address, and it has no way to a network: give it a name in /etc/hosts",
    )?;
    Ok(socket.local_addr()?)
}
