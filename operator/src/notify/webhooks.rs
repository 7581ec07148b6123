//! The admin's webhooks: a file of a mounted Secret, read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::hook::Hook;
use super::notice::Format;

/// Its name in the directory.
pub const FILE: &str = "notifications.yaml";
/// How often it is looked at. A mounted Secret itself lags by up to a minute.
const PERIOD: Duration = Duration::from_secs(5);
/// The shortest key, in bytes.
const MIN_KEY: usize = 32;

/// The file.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhooks {
    webhooks: Vec<Webhook>,
}

/// One webhook. Without `Debug`: addresses of webhooks are secrets, as their keys are.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Its name in logs.
    pub name: String,
    /// An https address.
    pub url: String,
    /// The shape of bodies.
    #[serde(default)]
    pub format: Format,
    /// The key that signs, at least 32 bytes.
    pub key: String,
    /// PEM bundle by which its server is checked; the system's if there is none.
    #[serde(default)]
    pub certificate_authority: Option<String>,
    /// Requests of these namespaces; of all where the list is empty.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

/// Reads the file in `directory`, and again and again until `end` while the returned future is polled; stores what can be told.
/// Whom to tell is known before anything is looked at: what the process before did not deliver is told with the first look.
pub fn follow(
    directory: PathBuf,
    hooks: Arc<ArcSwap<Vec<Arc<Hook>>>>,
    end: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let mut last = read(&directory);
    hooks.store(Arc::new(ready(last.as_ref())));
    async move {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
            let read = read(&directory);
            if last != read {
                hooks.store(Arc::new(ready(read.as_ref())));
                last = read;
            }
        }
    }
}

/// What the file says; None where it is not understood. What a parser says could repeat a key, so nobody repeats that.
fn read(directory: &Path) -> Option<Webhooks> {
    match std::fs::read_to_string(directory.join(FILE)) {
        Ok(text) => serde_saphyr::from_str(&text).ok(),
        // Nobody wants to be told.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Webhooks::default()),
        Err(_) => None,
    }
}

/// Those that can be told; of the others the log says why not.
fn ready(read: Option<&Webhooks>) -> Vec<Arc<Hook>> {
    let Some(read) = read else {
        tracing::error!(
            "{FILE} is not understood, so nobody is notified: compare it with config/reference/notifications/{FILE}"
        );
        return Vec::new();
    };
    let mut hooks = Vec::new();
    for webhook in &read.webhooks {
        match usable(webhook) {
            Ok(hook) => hooks.push(Arc::new(hook)),
            Err(why) => tracing::error!(webhook = webhook.name, why, "a webhook cannot be used"),
        }
    }
    hooks
}

fn usable(webhook: &Webhook) -> Result<Hook, String> {
    if !webhook.url.starts_with("https://") {
        return Err("its url is no https address".to_owned());
    }
    if webhook.key.len() < MIN_KEY {
        return Err("its key is shorter than 32 bytes: openssl rand -hex 32 makes one".to_owned());
    }
    Hook::new(webhook).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(text: &str) -> Option<Webhooks> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), text).unwrap();
        read(directory.path())
    }

    #[test]
    fn the_file_that_people_copy_is_read_to_the_last_field() {
        let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/reference/notifications");
        let read = read(Path::new(reference)).expect("it is understood");
        let formats: Vec<Format> = read.webhooks.iter().map(|one| one.format).collect();
        assert_eq!(formats, [Format::Generic, Format::Slack, Format::Teams]);
        assert_eq!(read.webhooks[0].namespaces, ["doors"]);
    }

    #[tokio::test]
    async fn whom_to_tell_is_known_before_anything_is_looked_at() {
        sallyport_runtime::crypto::install();
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "webhooks: [{{name: a, url: 'https://hooks.example', key: {}}}]",
            "k".repeat(MIN_KEY)
        );
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let hooks = Arc::default();
        let _following = follow(
            directory.path().to_owned(),
            Arc::clone(&hooks),
            CancellationToken::new(),
        );
        assert_eq!(hooks.load().len(), 1);
    }

    #[test]
    fn what_cannot_be_used_tells_nobody() {
        sallyport_runtime::crypto::install();
        assert!(in_file("webhooks: [{name: a, adress: x}]").is_none());
        assert!(read(Path::new("/nonexistent")).is_some_and(|none| none.webhooks.is_empty()));
        let key = "k".repeat(MIN_KEY);
        for (url, key) in [
            ("http://hooks.example", key.as_str()),
            ("https://hooks.example", "short"),
        ] {
            let text = format!("webhooks: [{{name: a, url: '{url}', key: {key}}}]");
            assert!(ready(in_file(&text).as_ref()).is_empty(), "{url} {key}");
        }
        let text =
            format!("webhooks: [{{name: a, url: 'https://hooks.example', key: {key}, certificateAuthority: x}}]");
        assert!(ready(in_file(&text).as_ref()).is_empty(), "no certificate is in it");
    }
}
