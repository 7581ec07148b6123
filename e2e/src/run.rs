//! Running programs as a person would, with a limit on time.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a program may take unless a step says otherwise.
pub const LIMIT: Duration = Duration::from_secs(180);
/// How often a program is run where the API server is too busy to shake hands.
const TRIES: usize = 6;

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A running program whose standard error is read line by line as it comes.
pub struct Running {
    child: Child,
    /// Each with when it came.
    lines: mpsc::Receiver<(Instant, String)>,
    seen: String,
    stdout: thread::JoinHandle<String>,
    what: String,
}

// === impl Output ===

impl Output {
    /// Both streams, as a terminal would show them.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The output if the program succeeded.
    ///
    /// # Errors
    /// When it did not; the error carries what it said.
    pub fn ok(self) -> Result<Self> {
        if self.status.success() {
            Ok(self)
        } else {
            bail!("{}: {}", self.status, self.all())
        }
    }
}

// === impl Running ===

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let what = describe(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        let mut out = child.stdout.take().context("standard output")?;
        let err = child.stderr.take().context("standard error")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        let stdout = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = out.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self {
            child,
            lines,
            seen: String::new(),
            stdout,
            what,
        })
    }

    /// Waits until a line of standard error satisfies `wanted`, and gives all lines up to it.
    ///
    /// # Errors
    /// When the program ends or the limit passes first; the error carries what was said.
    pub fn wait_for_line(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.line_came(limit, wanted).map(|(_, said)| said)
    }

    /// The same, with when that line came, which may be long before anybody looks.
    ///
    /// # Errors
    /// As [`Running::wait_for_line`].
    pub fn line_came(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<(Instant, String)> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok((came, line)) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if wanted(&line) {
                        return Ok((came, self.seen.clone()));
                    }
                }
                Err(cause) => bail!("{}: no such line ({cause}); it said: {}", self.what, self.seen),
            }
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not come within the limit; the program is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                self.child.kill()?;
                bail!("{}: did not end within {limit:?}; it said: {}", self.what, self.seen);
            }
            thread::park_timeout(Duration::from_millis(20));
        };
        for (_, line) in self.lines.iter() {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
        let stdout = self.stdout.join().unwrap_or_default();
        Ok(Output {
            status,
            stdout,
            stderr: self.seen,
        })
    }

    /// Sends the interrupt that Ctrl-C sends.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn interrupt(&self) -> Result<()> {
        Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()?;
        Ok(())
    }
}

/// Runs a program to its end: again where it is kubectl and gave up before it had asked anything, after ten seconds without a
/// handshake, which a busy machine may take.
///
/// # Errors
/// When it cannot be started or does not end within [`LIMIT`].
pub fn run(command: &mut Command) -> Result<Output> {
    for _ in 1..TRIES {
        let output = Running::start(command)?.finish(LIMIT)?;
        if output.status.success() || !output.stderr.contains("TLS handshake timeout") {
            return Ok(output);
        }
    }
    Running::start(command)?.finish(LIMIT)
}

/// Polls until `condition` gives a value.
///
/// # Errors
/// When it does not within the limit; the error names `what`.
pub fn wait_until<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {limit:?}");
        }
        thread::park_timeout(Duration::from_millis(100));
    }
}

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}
