//! The directory that `make demo` leaves for people: kubeconfigs, tokens, programs, addresses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Output, run};

/// The namespaces and names of the story; the same as in `config/samples`.
pub const DOORS: &str = "doors";
/// The namespace of the recorder.
pub const EVIDENCE: &str = "evidence";
/// The namespace of the operator.
pub const SYSTEM: &str = "sallyport-system";
/// The Connection.
pub const CONNECTION: &str = "bank";

/// What `.demo` holds.
#[derive(Clone, Debug)]
pub struct Demo {
    directory: PathBuf,
    environment: BTreeMap<String, String>,
}

/// A person of the demo's identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(pub &'static str);

/// An engineer.
pub const ALICE: User = User("alice");
/// A database administrator.
pub const BOB: User = User("bob");
/// Another database administrator.
pub const CAROL: User = User("carol");
/// In no group.
pub const MALLORY: User = User("mallory");

// === impl Demo ===

impl Demo {
    /// Reads `.demo/env` of the directory named by `SALLYPORT_DEMO` (default `.demo`).
    ///
    /// # Errors
    /// When it is not there: `make demo` writes it.
    pub fn open() -> Result<Self> {
        let directory = std::env::var_os("SALLYPORT_DEMO").map_or_else(|| PathBuf::from(".demo"), PathBuf::from);
        let directory = directory
            .canonicalize()
            .with_context(|| format!("{} is not there: run `make demo`", directory.display()))?;
        let script = format!("set -a; . '{}/env'; env -0", directory.display());
        let output = Command::new("bash")
            .args(["-c", &script])
            .output()
            .context("reading .demo/env")?;
        let environment = String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter_map(|entry| entry.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { directory, environment })
    }

    /// A file of the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A variable of `.demo/env`; empty where it is not set.
    pub fn variable(&self, name: &str) -> &str {
        self.environment.get(name).map_or("", String::as_str)
    }

    /// A command in the environment of `.demo/env`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(&self.environment);
        command
    }

    /// A fresh OIDC access token.
    ///
    /// # Errors
    /// When the identity provider gives none.
    pub fn token(&self, user: User) -> Result<String> {
        self.token_by(user, "sallyport")
    }

    /// The same, given to that client of the realm.
    ///
    /// # Errors
    /// When the identity provider gives none.
    pub fn token_by(&self, user: User, client: &str) -> Result<String> {
        let output = run(Command::new(self.path("token")).args([user.0, client]))?.ok()?;
        Ok(output.stdout.trim().to_owned())
    }

    /// `kubectl` as the cluster's admin.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("kubectl");
        command.args(arguments);
        command
    }

    /// `kubectl` with that person's own kubeconfig.
    pub fn kubectl_as(&self, user: User, arguments: &[&str]) -> Command {
        let mut command = self.command("kubectl");
        command
            .env("KUBECONFIG", self.path(&format!("kubeconfig-{}", user.0)))
            .args(arguments);
        command
    }

    /// By which name the API server knows that person: `oidc:bob` where it knows the identity provider, else a certificate's.
    ///
    /// # Errors
    /// When it does not know them.
    pub fn name_of(&self, user: User) -> Result<String> {
        let mut ask = self.kubectl_as(user, &["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
        Ok(run(&mut ask)?.ok()?.stdout)
    }

    /// A command that reaches Pods by their addresses: run here where they can be reached from here, else in the cluster.
    pub fn command_inside(&self, program: &str) -> Command {
        if self.variable("SALLYPORT_FOREIGN").is_empty() {
            return self.command(program);
        }
        self.kubectl(&["-n", "sallyport-demo", "exec", "deploy/keycloak", "--", program])
    }

    /// Runs `kubectl` as the cluster's admin.
    ///
    /// # Errors
    /// When it fails; the error carries what it said.
    pub fn admin(&self, arguments: &[&str]) -> Result<Output> {
        run(&mut self.kubectl(arguments))?.ok()
    }

    /// Whether it is the cluster that `make` builds of this machine's processes: only there is a way to its containers.
    pub fn is_local(&self) -> bool {
        self.path("bin/ctr").exists()
    }

    /// The top of the repository.
    pub fn repository(&self) -> PathBuf {
        self.directory.parent().map(Path::to_path_buf).unwrap_or_default()
    }
}
