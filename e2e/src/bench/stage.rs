//! All parts together.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::bouncer::Bouncer;
use super::door::Door;
use super::issuer::Issuer;
use super::load::Peer;
use super::process::done;
use super::server::Server;
use super::target::Target;

/// The role at the target, of the door and of PgBouncer's users.
pub(super) const ROLE: &str = "bench";
/// Its password, of no worth.
pub(super) const PASSWORD: &str = "of-no-worth-beyond-this-bench";

/// Everything that is measured. Parts end when it is dropped.
pub(super) struct Stage {
    pub(super) door: Door,
    pub(super) bouncer: Bouncer,
    pub(super) server: Server,
    pub(super) directory: Directory,
    _issuer: Issuer,
    token: String,
}

/// A directory that goes when this does.
pub(super) struct Directory(PathBuf);

// === impl Stage ===

impl Stage {
    /// Starts every part and loads the data.
    pub(super) fn build() -> Result<Self> {
        let directory = Directory::new()?;
        let at = &directory.0;
        authority(at)?;
        eprintln!("» PostgreSQL, PgBouncer, an issuer and the door");
        let server = Server::start(at)?;
        let bouncer = Bouncer::start(at, &server.target)?;
        let issuer = Issuer::start(at)?;
        let door = Door::start(at, &server.target, &issuer)?;
        let token = issuer.token()?;
        Ok(Self {
            door,
            bouncer,
            server,
            directory,
            _issuer: issuer,
            token,
        })
    }

    /// Straight to the target.
    pub(super) fn direct(&self) -> Peer {
        self.peer(
            self.server.target.address,
            &self.directory.0.join("ca.crt"),
            PASSWORD,
            None,
        )
    }

    /// Through PgBouncer.
    pub(super) fn bouncer(&self) -> Peer {
        let pid = Some(self.bouncer.process.pid());
        self.peer(self.bouncer.address, &self.directory.0.join("ca.crt"), PASSWORD, pid)
    }

    /// Through the door, by the Connection of this name.
    pub(super) fn door(&self, name: &str) -> Result<Peer> {
        let pid = Some(self.door.process.pid());
        Ok(self.peer(self.door.address(name)?, &self.door.ca(name), &self.token, pid))
    }

    fn peer(&self, address: SocketAddr, ca: &Path, password: &str, pid: Option<u32>) -> Peer {
        Peer {
            conninfo: format!(
                "host=localhost hostaddr={} port={} dbname=bank user={ROLE} sslmode=verify-full sslrootcert={}",
                address.ip(),
                address.port(),
                ca.display()
            ),
            password: password.to_owned(),
            pid,
        }
    }
}

// === impl Directory ===

impl Directory {
    fn new() -> Result<Self> {
        // Everybody may pass through: the servers run as somebody else.
        let path = std::env::temp_dir().join(format!("sallyport-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind, it is only in the way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn authority(directory: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command
        .current_dir(directory)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-days",
            "3",
            "-subj",
            "/CN=CA of the bench",
        ]);
    done(&mut command).map(drop)
}

/// A certificate for localhost, signed by the CA in `directory`, as `STEM.crt` and `STEM.key`.
pub(super) fn certify(directory: &Path, stem: &Path) -> Result<()> {
    let names = format!("subjectAltName=DNS:localhost,{}", Target::here()?.alternative());
    let [key, request, certificate] = ["key", "csr", "crt"].map(|extension| stem.with_extension(extension));
    let mut command = Command::new("openssl");
    command
        .args([
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", &names, "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&request);
    done(&mut command)?;
    let mut command = Command::new("openssl");
    command
        .current_dir(directory)
        .args([
            "x509",
            "-req",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "3",
        ])
        .args(["-copy_extensions", "copy", "-in"])
        .arg(&request)
        .arg("-out")
        .arg(&certificate);
    done(&mut command).map(drop)
}
