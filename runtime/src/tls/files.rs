//! A certificate and its key in two files, read again when either changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Current, TlsError};

/// How often the files are looked at. Mounted Secrets change by renaming a directory, which file watches miss.
const EVERY: Duration = Duration::from_secs(10);

/// Two PEM files: a chain (leaf first) and its key.
#[derive(Clone, Debug)]
pub struct Files {
    /// The chain.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

// === impl Files ===

impl Files {
    /// Reads both files.
    ///
    /// # Errors
    /// When a file or what it holds cannot be read.
    pub fn load(&self) -> Result<Arc<Current>, TlsError> {
        let (chain, key) = self.read()?;
        Ok(Arc::new(Current::from_pem(&chain, &key)?))
    }

    /// Looks again whether the files changed and replaces `current` if they did, until `end`. A pair that cannot be used (half
    /// written, say) leaves the old one in place and is tried again.
    pub async fn follow(self, current: Arc<Current>, end: CancellationToken) {
        let mut seen = self.read().ok();
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let Ok((chain, key)) = self.read() else { continue };
            if seen.as_ref().is_some_and(|old| *old == (chain.clone(), key.clone())) {
                continue;
            }
            match current.replace(&chain, &key) {
                Ok(()) => {
                    tracing::info!(path = %self.chain.display(), "certificate replaced");
                    seen = Some((chain, key));
                }
                Err(error) => {
                    tracing::warn!(path = %self.chain.display(), %error, "the new certificate cannot be used; the old one stays")
                }
            }
        }
    }

    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        Ok((read(&self.chain)?, read(&self.key)?))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_a_change_and_survives_a_bad_one() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files {
            chain: dir.path().join("tls.crt"),
            key: dir.path().join("tls.key"),
        };
        let write = |name: &str| {
            let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
            std::fs::write(&files.chain, pair.cert.pem()).unwrap();
            pair.cert.der().clone()
        };
        let first = write("one");
        let current = files.load().unwrap();
        let end = CancellationToken::new();
        let task = tokio::spawn(files.clone().follow(current.clone(), end.clone()));
        tokio::time::advance(EVERY).await;
        tokio::task::yield_now().await;
        assert_eq!(current.leaf().unwrap(), first);

        std::fs::write(&files.chain, "half").unwrap();
        tokio::time::timeout(EVERY * 3, std::future::pending::<()>())
            .await
            .unwrap_err();
        assert_eq!(current.leaf().unwrap(), first);

        let second = write("two");
        tokio::time::timeout(EVERY * 3, std::future::pending::<()>())
            .await
            .unwrap_err();
        assert_eq!(current.leaf().unwrap(), second);
        end.cancel();
        task.await.unwrap();
    }
}
