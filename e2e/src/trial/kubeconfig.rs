//! People at the API server by a token of the caller's.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::demo::Demo;

/// The cluster as the admin knows it, with nothing of the admin's own; the file goes when this does.
pub(super) struct Kubeconfig(PathBuf);

// === impl Kubeconfig ===

impl Kubeconfig {
    /// For whoever has this token.
    pub(super) fn of(demo: &Demo, token: &str) -> Result<Self> {
        let shown = demo.admin(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
        let mut config: Value = serde_json::from_str(&shown.stdout)?;
        *config.pointer_mut("/users/0/user").context("a user")? = json!({ "token": token });
        let file = Self(demo.path("trial-kubeconfig"));
        std::fs::write(&file.0, config.to_string())?;
        Ok(file)
    }

    /// `kubectl` by it.
    pub(super) fn kubectl(&self, demo: &Demo, arguments: &[&str]) -> Command {
        let mut command = demo.command("kubectl");
        command.env("KUBECONFIG", &self.0).args(arguments);
        command
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        if let Err(cause) = std::fs::remove_file(&self.0) {
            eprintln!("the trial's kubeconfig is left: {cause}");
        }
    }
}
