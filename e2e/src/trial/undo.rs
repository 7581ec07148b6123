//! Putting back what a trial changed, also when it fails.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::client::ask_directly;
use crate::demo::Demo;
use crate::run::{Output, wait_until};

/// How long what cannot be put back is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kubectl command that is run when this is dropped.
pub(super) struct Undo<'a> {
    demo: &'a Demo,
    arguments: Vec<String>,
    /// What it puts back, removed once it is there again.
    file: Option<PathBuf>,
}

/// SQL at the target that is run when this is dropped.
pub(super) struct PutBack<'a>(pub(super) &'a Demo, pub(super) &'static str);

// === impl Undo ===

impl<'a> Undo<'a> {
    /// Will run `kubectl` with these arguments as the cluster's admin.
    pub(super) fn by(demo: &'a Demo, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Self {
            demo,
            arguments,
            file: None,
        }
    }

    /// Will make again what the file holds, and remove the file.
    pub(super) fn by_file(demo: &'a Demo, file: PathBuf) -> Self {
        let mut undo = Self::by(demo, &["create", "-f", &file.to_string_lossy()]);
        undo.file = Some(file);
        undo
    }

    /// Will apply the samples again, whole.
    pub(super) fn by_samples(demo: &'a Demo) -> Self {
        let samples = demo.repository().join("config/samples");
        Self::by(
            demo,
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "-k",
                &samples.to_string_lossy(),
            ],
        )
    }
}

impl Undo<'_> {
    fn put_back(&self) -> Result<()> {
        let words: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.demo.admin(&words)?;
        // One that could not be put back is all that is left.
        self.file.as_ref().map_or(Ok(()), std::fs::remove_file)?;
        Ok(())
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // What is refused now may pass in a moment: a sink that is deleted just behind its last Connection.
        let mut why = None;
        let put_back = wait_until(PATIENCE, "putting back what the trial changed", || {
            why = self.put_back().err();
            Ok(why.is_none().then_some(()))
        });
        if let (Err(_), Some(cause)) = (put_back, why) {
            eprintln!("could not put back what the trial changed: {cause:#}");
        }
    }
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if let Err(cause) = ask_directly(self.0, self.1).and_then(Output::ok) {
            eprintln!("could not put back what the trial changed: {cause:#}");
        }
    }
}
