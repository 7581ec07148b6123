//! Debian's psql through a door.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use super::door::TestDoor;

/// What psql printed.
#[derive(Debug)]
pub struct Printed {
    /// Rows, unaligned.
    pub out: String,
    /// Errors and notices.
    pub err: String,
    /// Its exit status.
    pub code: i32,
}

impl TestDoor {
    /// How to connect as `user`.
    pub fn conninfo(&self, user: &str) -> String {
        format!(
            "host=127.0.0.1 port={} dbname={} user={user} password={user} sslmode=verify-full sslrootcert={} connect_timeout=120",
            self.address.port(),
            self.database,
            self.ca.path().display()
        )
    }

    fn psql_command(&self, conninfo: &str, commands: &[&str]) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "VERBOSITY=verbose", "-d", conninfo]);
        for command in commands {
            psql.args(["-c", command]);
        }
        psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        psql
    }

    /// Runs commands as `user`, in one session.
    pub fn psql(&self, user: &str, commands: &[&str]) -> Printed {
        self.psql_with(&self.conninfo(user), commands)
    }

    /// The same with a connection string of one's own.
    pub fn psql_with(&self, conninfo: &str, commands: &[&str]) -> Printed {
        let child = self.psql_command(conninfo, commands).spawn().unwrap();
        finish(child)
    }

    /// Starts psql and does not wait for it.
    pub fn psql_start(&self, user: &str, commands: &[&str]) -> Child {
        self.psql_command(&self.conninfo(user), commands).spawn().unwrap()
    }
}

/// Ctrl-C: psql sends a CancelRequest of its own.
pub fn interrupt(child: &Child) {
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
}

/// Reads what psql prints on its error stream until that holds all of `words`, and not a byte more.
///
/// Who is approved before its notice was written is told nothing: a test that reads the notice waits for it first.
pub fn told(child: &mut Child, words: &[&str]) -> String {
    let stream = child.stderr.as_mut().unwrap();
    let mut read = Vec::new();
    while !words.iter().all(|words| String::from_utf8_lossy(&read).contains(words)) {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            panic!("psql ended without {words:?}: {}", String::from_utf8_lossy(&read));
        }
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

/// Waits for psql.
pub fn finish(child: Child) -> Printed {
    let output = child.wait_with_output().unwrap();
    Printed {
        out: String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        err: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        code: output.status.code().unwrap_or(-1),
    }
}
