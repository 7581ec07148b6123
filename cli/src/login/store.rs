//! Logins that are kept: one file, readable by its owner alone, in $XDG_STATE_HOME/sallyport or ~/.local/state/sallyport.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::provider::Tokens;

/// A login. Holds secrets, hence no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The issuer.
    pub issuer: String,
    /// The client at the issuer.
    pub client_id: String,
    /// CA bundle for the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// For doors.
    pub access_token: String,
    /// For the next access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token ends, in seconds since 1970.
    pub expires: i64,
}

/// The file.
pub struct Store(PathBuf);

/// Where state is kept.
///
/// # Errors
/// When neither XDG_STATE_HOME nor HOME is set.
pub fn directory() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    Ok(base.context("set HOME or XDG_STATE_HOME")?.join("sallyport"))
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// When the file system refuses.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let context = || path.display().to_string();
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(context)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(context)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // It may hold a secret; if it cannot be removed either, it is still its owner's alone.
        let _ = std::fs::remove_file(&beside);
    }
    written.with_context(context)
}

// === impl Login ===

impl Login {
    /// What a provider gave at this moment.
    pub fn new(issuer: &str, client_id: &str, ca: Option<PathBuf>, tokens: Tokens, now: i64) -> Self {
        Self {
            issuer: issuer.trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            ca,
            expires: now.saturating_add(tokens.expires_in.unwrap_or(60)),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
        }
    }
}

// === impl Store ===

impl Store {
    /// This user's.
    ///
    /// # Errors
    /// As [`directory`].
    pub fn open() -> Result<Self> {
        Ok(Self::at(&directory()?))
    }

    /// In a directory.
    pub fn at(directory: &Path) -> Self {
        Self(directory.join("logins.json"))
    }

    fn all(&self) -> Result<Vec<Login>> {
        match std::fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| anyhow::anyhow!("{} cannot be read: log in again", self.0.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| self.0.display().to_string()),
        }
    }

    /// The login at an issuer; the only one, where none is named.
    ///
    /// # Errors
    /// When there is none, or several and none is named, or the file cannot be read.
    pub fn find(&self, issuer: Option<&str>) -> Result<Login> {
        let mut all = self.all()?;
        if let Some(issuer) = issuer {
            all.retain(|login| login.issuer == issuer.trim_end_matches('/'));
        }
        match (all.pop(), all.is_empty()) {
            (Some(login), true) => Ok(login),
            (Some(_), false) => bail!("you are logged in at several issuers: say which by --issuer"),
            (None, _) => bail!("you are not logged in: kubectl sallyport login"),
        }
    }

    /// Waits until no other process renews a login. They may again when this is dropped.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn turn(&self) -> Result<std::fs::File> {
        let path = self.0.with_extension("lock");
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let locked = opened.and_then(|file| file.lock().map(|()| file));
        locked.with_context(|| path.display().to_string())
    }

    /// Keeps a login in the place of an earlier one at the same issuer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, login: Login) -> Result<()> {
        let mut all = self.all().unwrap_or_default();
        all.retain(|known| known.issuer != login.issuer);
        all.push(login);
        write_private(&self.0, &serde_json::to_string_pretty(&all)?)
    }
}
