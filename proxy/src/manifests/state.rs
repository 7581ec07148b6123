//! What outlives the process: the log, the door's certificate and the binding key, in a directory of this machine.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::StartError;

/// A directory that only its owner reads.
pub(super) struct State(PathBuf);

// === impl State ===

impl State {
    /// Opens or makes the directory.
    pub(super) fn open(given: Option<&Path>) -> Result<Self, StartError> {
        let path = given.map_or_else(usual, Path::to_owned);
        make(&path)?;
        Ok(Self(path))
    }

    /// A directory below.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, StartError> {
        let path = self.0.join(name);
        make(&path)?;
        Ok(path)
    }

    /// A file's bytes; made by `make` where there is none yet.
    pub(super) fn file(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, StartError>,
    ) -> Result<Vec<u8>, StartError> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let bytes = make()?;
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(|error| StartError::file(&path, error))?;
                file.write_all(&bytes).map_err(|error| StartError::file(&path, error))?;
                Ok(bytes)
            }
            Err(error) => Err(StartError::file(&path, error)),
        }
    }

    /// Where a file is, for messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// A certificate for a door on this machine, with the CA that clients are to trust: chain, key and CA, PEM.
pub(super) fn certificate(names: &[String], address: IpAddr) -> Result<[Vec<u8>; 3], StartError> {
    let failed = |error: rcgen::Error| StartError::Certificate(error.to_string());
    let ca_key = KeyPair::generate().map_err(failed)?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "sallyport on this machine");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_certificate = ca.self_signed(&ca_key).map_err(failed)?;
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_unspecified() {
        all.push(address.to_string());
    }
    all.extend(names.iter().cloned());
    let key = KeyPair::generate().map_err(failed)?;
    let mut leaf = CertificateParams::new(all).map_err(failed)?;
    leaf.distinguished_name.push(DnType::CommonName, "sallyport door");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let signed = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).map_err(failed)?;
    let (chain, ca) = (signed.pem(), ca_certificate.pem());
    Ok([
        format!("{chain}{ca}").into_bytes(),
        key.serialize_pem().into_bytes(),
        ca.into_bytes(),
    ])
}

fn make(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StartError::file(path, error))
}

fn usual() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("sallyport")
}
