//! Which log, and what is known about it from outside: flags or an AuditSink become a directory and a [`Trust`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sallyport_audit::Time;
use sallyport_audit::note::VerifierKey;
use sallyport_audit::verify::Trust;

use super::fetch::Fetch;
use super::mirror::{self, Newest, mirror};
use super::sink::Sink;
use crate::cluster;

/// Which log, and whom to believe.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// The AuditSink, as NAME or NAMESPACE/NAME: its status has the keys and a checkpoint, its recorder the log.
    #[arg(long, value_name = "SINK", required_unless_present = "log")]
    pub sink: Option<String>,
    /// Directory or http(s) URL of a log; with --sink, what is known still comes from the AuditSink.
    #[arg(long, value_name = "DIR|URL")]
    pub log: Option<String>,
    /// The log's public key (verifier key), or a file that holds it. Must not come from the log itself.
    #[arg(long, value_name = "VKEY|FILE")]
    pub key: Option<String>,
    /// The operator's public key for cosignatures (verifier key), or a file that holds it; the AuditSink's status.witnessKey
    /// if left out.
    #[arg(long, value_name = "VKEY|FILE")]
    pub witness_key: Option<String>,
    /// File with a checkpoint that was kept outside the log. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// Client certificate and key in PEM, for an https URL that asks for one.
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// CA bundle in PEM, for an https URL.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// A log at hand.
pub struct Known {
    /// Where its files are.
    pub dir: PathBuf,
    /// What is believed; `None` where no key was given.
    pub trust: Option<Trust>,
    /// Where what is believed comes from, in words.
    pub from: String,
    /// Removes a copy that nobody asked to keep.
    _copy: Option<Scratch>,
}

/// What to do with a log that is somewhere else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copying<'a> {
    /// Keep the copy here.
    pub save: Option<&'a Path>,
    /// How long to wait until the operator has cosigned what the recorder had when it was asked.
    pub wait: Duration,
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Flags {
    /// Gets hold of log and trust.
    pub async fn resolve(&self, cluster: &cluster::Flags, copying: Copying<'_>) -> Result<Known> {
        copying.save.map_or(Ok(()), is_free)?;
        let mut sink = match &self.sink {
            Some(sink) => Some(Sink::find(cluster, sink).await?),
            None => None,
        };
        let mut fetch = match (&self.log, &sink) {
            (Some(log), _) if log.starts_with("http://") || log.starts_with("https://") => {
                Fetch::url(log, self.ca.as_deref(), self.client_cert.as_deref())?
            }
            (Some(dir), _) => return self.local(dir, sink.as_ref(), copying),
            (None, Some(sink)) => Fetch::recorder(sink.client.clone(), &sink.namespace, &sink.name).await?,
            (None, None) => bail!("give --sink or --log"),
        };
        // First what is known, then the log: a log is never younger than the checkpoint that it is held against.
        let now = mirror::newest(&mut fetch).await?;
        if let (Some(sink), Some(now)) = (&mut sink, &now) {
            sink.wait_for_cosignature(now.size, copying.wait).await?;
        }
        let (mut trust, mut from) = self.trust(sink.as_ref())?;
        let own = now.as_ref().map(|now| now.note.clone());
        let copied = now.map(|now| to_copy(now, sink.as_ref().and_then(Sink::note), trust.as_mut()));
        // Only now: how much is copied hangs on what came from elsewhere.
        if let (Some(trust), Some(own)) = (&mut trust, own) {
            from = self.with_own(trust, &own, from);
        }
        let (dir, copy) = match copying.save {
            Some(dir) => (dir.to_owned(), None),
            None => {
                let dir = scratch()?;
                (dir.clone(), Some(Scratch(dir)))
            }
        };
        if let Some(Newest { note, size }) = copied {
            mirror(fetch, &note, size, &dir).await?;
        }
        Ok(Known {
            dir,
            trust,
            from,
            _copy: copy,
        })
    }

    /// A log that is here already.
    fn local(&self, dir: &str, sink: Option<&Sink>, copying: Copying<'_>) -> Result<Known> {
        let (mut trust, mut from) = self.trust(sink)?;
        if let Some(trust) = &mut trust
            && let Ok(own) = std::fs::read_to_string(Path::new(dir).join("checkpoint"))
        {
            from = self.with_own(trust, &own, from);
        }
        // A directory that is not there is a log that is missing: verification says so.
        let dir = PathBuf::from(dir);
        if copying.save.is_some() {
            bail!(
                "--save copies a log out of the cluster or from a URL; {} is here already",
                dir.display()
            );
        }
        Ok(Known {
            dir,
            trust,
            from,
            _copy: None,
        })
    }

    /// A copy that was kept with its cosignature brings the operator's word along, wherever it is read. `from`: what is believed
    /// beside that.
    fn with_own(&self, trust: &mut Trust, own: &str, from: String) -> String {
        let Ok(time) = trust.add_cosigned(own) else { return from };
        let own = format!("the log's own checkpoint, which the operator cosigned at {}", at(time));
        if self.sink.is_some() || !self.checkpoint.is_empty() {
            format!("{from}, and {own}")
        } else {
            own
        }
    }

    fn trust(&self, sink: Option<&Sink>) -> Result<(Option<Trust>, String)> {
        let status = sink.map(|sink| &sink.status);
        let key = match (&self.key, status.and_then(|status| status.verifier_key.clone())) {
            (Some(key), _) => key_of(key)?,
            (None, Some(key)) => key.parse().context("the AuditSink's status.verifierKey")?,
            (None, None) => return Ok((None, "nothing".to_owned())),
        };
        let mut trust = Trust::new(key);
        let witness = match (&self.witness_key, status.and_then(|status| status.witness_key.clone())) {
            (Some(key), _) => Some(key_of(key)?),
            (None, Some(key)) => Some(key.parse().context("the AuditSink's status.witnessKey")?),
            (None, None) => None,
        };
        if let Some(witness) = witness {
            trust = trust.with_witness(witness);
        }
        let mut from = Vec::new();
        if let Some(sink) = sink {
            from.extend(sink.vouch(&mut trust)?);
        }
        for path in &self.checkpoint {
            let name = path.display().to_string();
            let note = std::fs::read_to_string(path).with_context(|| name.clone())?;
            let size = trust.add(&note).with_context(|| name.clone())?.size;
            // A checkpoint from somebody's own drawer needs nobody else's word; the operator's is told where it is there.
            from.push(match trust.add_cosigned(&note) {
                Ok(time) => format!("the checkpoint over {size} records in {name}, cosigned {}", at(time)),
                Err(_) => format!("the checkpoint over {size} records in {name}"),
            });
        }
        if from.is_empty() {
            from.push("no checkpoint".to_owned());
        }
        Ok((Some(trust), from.join(", and ")))
    }
}

/// A copy goes where none is: what the log lost since would be found in the older one.
fn is_free(dir: &Path) -> Result<()> {
    if ["checkpoint", "tile"].iter().any(|name| dir.join(name).exists()) {
        bail!(
            "{} holds a copy of a log already: give each a directory of its own",
            dir.display()
        );
    }
    Ok(())
}

/// Under which checkpoint a log is copied that shows `now`, and how much of it. `cosigned`: the note in the AuditSink's status.
fn to_copy(now: Newest, cosigned: Option<&str>, trust: Option<&mut Trust>) -> Newest {
    let Some(trust) = trust else { return now };
    let kept = trust.checkpoints().last().map_or(0, |checkpoint| checkpoint.size);
    // One that its key did not sign says nothing of how much there is, and stays for verification to name.
    if trust.add_shown(&now.note).is_err() {
        return Newest { size: kept, ..now };
    }
    match cosigned {
        // What is cosigned holds all that the recorder had when it was asked: nothing beyond it is looked at.
        Some(note) if kept >= now.size => Newest {
            note: note.to_owned(),
            size: kept,
        },
        _ => now,
    }
}

/// A moment in words.
pub fn at(unix_secs: u64) -> String {
    let micros = i64::try_from(unix_secs)
        .unwrap_or(i64::MAX / 1_000_000)
        .saturating_mul(1_000_000);
    let time = Time::from_unix_micros(micros).to_string();
    time.split_once('.')
        .map_or(time.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn key_of(text: &str) -> Result<VerifierKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let file = std::fs::read_to_string(text).with_context(|| format!("{text} is neither a verifier key nor a file"))?;
    file.trim().parse().with_context(|| text.to_owned())
}

fn scratch() -> Result<PathBuf> {
    let name = sallyport_audit::record::Instance::random()?;
    let dir = std::env::temp_dir().join(format!("sallyport-log-{name}"));
    std::fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::is_free;

    #[test]
    fn a_copy_is_not_mended_from_an_older_one() {
        let dir = tempfile::tempdir().unwrap();
        is_free(dir.path()).unwrap();
        is_free(&dir.path().join("new")).unwrap();
        std::fs::write(dir.path().join("checkpoint"), "").unwrap();
        assert!(is_free(dir.path()).unwrap_err().to_string().contains("already"));
    }
}
