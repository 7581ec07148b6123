//! A real kube-apiserver for one test: etcd and kube-apiserver alone, on loopback, gone when dropped.
//!
//! Schemas, admission and reconcilers need no kubelet. Starting takes about three seconds, and several may run side by
//! side, so that each test binary has one of its own. The programs come from `e2e/cluster/build`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// How often kubectl is run where the API server is too busy to shake hands.
const TRIES: usize = 6;

/// A running API server. Dropping it ends it; so does the end of this process, however it comes.
pub struct ApiServer {
    script: Child,
    // The script lives until its input is closed, which a killed process does as well as a finished one.
    input: Option<ChildStdin>,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
}

/// Who a request is made as: the cluster's administrator impersonates them, as the API server would have authenticated them.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Groups. `system:authenticated` is the API server's own affair.
    pub groups: Vec<String>,
    /// Uid: for people the `sub` of their token.
    pub uid: String,
    /// Extra: key and value.
    pub extra: Vec<(String, String)>,
}

// === impl ApiServer ===

impl ApiServer {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When the programs have not been built, or do not come up; the script's own words say which.
    pub fn start() -> Result<Self> {
        Self::with_controllers(&[])
    }

    /// Starts one with some of the controllers of kube-controller-manager beside it, by their names there.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::start`].
    pub fn with_controllers(controllers: &[&str]) -> Result<Self> {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/run"))
            .env("CONTROLLERS", controllers.join(","))
            .args([
                "sh",
                "-c",
                r#"echo "$KUBECONFIG"; command -v kubectl; exec cat >/dev/null"#,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("e2e/apiserver/run cannot be started")?;
        let input = script.stdin.take();
        let mut lines = BufReader::new(script.stdout.take().context("no output")?).lines();
        let mut path = || match lines.next() {
            Some(line) => Ok(PathBuf::from(line?)),
            None => bail!("the API server did not start; the reason stands above"),
        };
        let (kubeconfig, kubectl) = (path()?, path()?);
        Ok(Self {
            script,
            input,
            kubeconfig,
            kubectl,
        })
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubectl that speaks to this server.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs kubectl with `input` on its standard input, as the administrator or as somebody else.
    ///
    /// # Errors
    ///
    /// When kubectl cannot be run at all. A refusal by the API server is an [`Output`].
    pub fn run(&self, identity: Option<&Identity>, arguments: &[&str], input: &str) -> Result<Output> {
        for _ in 1..TRIES {
            let output = self.run_once(identity, arguments, input)?;
            if !went_unheard(&output) {
                return Ok(output);
            }
        }
        self.run_once(identity, arguments, input)
    }

    fn run_once(&self, identity: Option<&Identity>, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = self.kubectl();
        if let Some(identity) = identity {
            command.args(identity.arguments());
        }
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("kubectl cannot be started")?;
        let mut pipe = child.stdin.take().context("no input")?;
        pipe.write_all(input.as_bytes())?;
        drop(pipe);
        Ok(child.wait_with_output()?)
    }

    /// Runs a line of shell as somebody: `kubectl` in it is a kubectl that speaks to this server as them.
    ///
    /// # Errors
    ///
    /// When no shell can be run. What the line itself comes to is an [`Output`].
    pub fn shell(&self, identity: &Identity, line: &str) -> Result<Output> {
        let quoted = |argument: &String| format!("'{}'", argument.replace('\'', r"'\''"));
        let as_them: Vec<String> = identity.arguments().iter().map(quoted).collect();
        let kubectl = format!(r#"kubectl() {{ "$KUBECTL" {} "$@"; }}"#, as_them.join(" "));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{kubectl}\n{line}")])
            .env("KUBECTL", &self.kubectl)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        shell.output().context("sh cannot be started")
    }

    /// What stands under a path of the API, to the administrator; None where nothing does. For what is asked again and again: kubectl
    /// takes many times as long to start.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or with anything else.
    pub fn read(&self, path: &str) -> Result<Option<String>> {
        let config = std::fs::read_to_string(&self.kubeconfig)?;
        let part = |before: &str| config.split(before).nth(1).and_then(|rest| rest.split('"').next());
        let server = part("server: \"").context("the kubeconfig names no server")?;
        let authority = part("certificate-authority: \"").context("the kubeconfig names no authority")?;
        let token = part("token: \"").context("the kubeconfig holds no token")?;
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--write-out",
                "\n%{http_code}",
            ])
            .args([
                "--cacert",
                authority,
                "--header",
                &format!("Authorization: Bearer {token}"),
            ])
            .arg(format!("{server}{path}"))
            .output()
            .context("curl cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.rsplit_once('\n') {
            Some((object, "200")) => Ok(Some(object.to_owned())),
            Some((_, "404")) => Ok(None),
            _ => bail!("GET {path}: {said}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Runs kubectl as the administrator and gives what it printed.
    ///
    /// # Errors
    ///
    /// When kubectl fails, with its own words.
    pub fn admin(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.run(None, arguments, input)?;
        ensure!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.script.wait();
    }
}

/// Whether kubectl gave up before it had asked anything: after ten seconds without a handshake, which a busy machine may take.
fn went_unheard(output: &Output) -> bool {
    !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("TLS handshake timeout")
}

// === impl Identity ===

impl Identity {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--as={}", self.user)];
        arguments.extend(self.groups.iter().map(|group| format!("--as-group={group}")));
        if !self.uid.is_empty() {
            arguments.push(format!("--as-uid={}", self.uid));
        }
        arguments.extend(
            self.extra
                .iter()
                .map(|(key, value)| format!("--as-user-extra={key}={value}")),
        );
        arguments
    }
}
