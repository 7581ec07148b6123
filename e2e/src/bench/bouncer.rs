//! PgBouncer as people run it: TLS on both sides with names checked, SCRAM, session pooling.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::process::{Background, free_address, give, listening, unprivileged};
use super::stage::{PASSWORD, ROLE, certify};
use super::target::Target;

/// A running PgBouncer.
pub(super) struct Bouncer {
    pub(super) address: SocketAddr,
    pub(super) process: Background,
}

// === impl Bouncer ===

impl Bouncer {
    pub(super) fn start(directory: &Path, target: &Target) -> Result<Self> {
        let home = directory.join("pgbouncer");
        fs::create_dir(&home)?;
        certify(directory, &home.join("server"))?;
        fs::copy(directory.join("ca.crt"), home.join("ca.crt"))?;
        let (address, at) = (free_address()?, home.display());
        let port = address.port();
        let settings = format!(
            "[databases]\nbank = host={} port={} dbname=bank\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\npool_mode = session\n\
             auth_type = scram-sha-256\nauth_file = {at}/users\nmax_client_conn = 500\ndefault_pool_size = 200\n\
             client_tls_sslmode = require\nclient_tls_key_file = {at}/server.key\nclient_tls_cert_file = {at}/server.crt\n\
             server_tls_sslmode = verify-full\nserver_tls_ca_file = {at}/ca.crt\nlog_connections = 0\nlog_disconnections = 0\n\
             ignore_startup_parameters = extra_float_digits\n",
            target.host, target.port
        );
        fs::write(home.join("settings.ini"), settings)?;
        fs::write(home.join("users"), format!("\"{ROLE}\" \"{PASSWORD}\"\n"))?;
        give(&home)?;
        let log = directory.join("pgbouncer.log");
        let mut command = unprivileged("/usr/sbin/pgbouncer")?;
        let process = Background::start(command.arg(home.join("settings.ini")), &log)?;
        listening(address, "PgBouncer", &log)?;
        Ok(Self { address, process })
    }
}
