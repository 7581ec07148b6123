//! A PostgreSQL server of its own, with TLS and SCRAM, and the data that is asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::process::{Background, done, give, listening, unprivileged};
use super::stage::{PASSWORD, ROLE, certify};
use super::target::Target;
use crate::run::wait_until;

/// Rows in `customers`.
pub(super) const CUSTOMERS: u32 = 10_000;
/// pgbench's scale: a hundred thousand accounts each.
pub(super) const SCALE: u32 = 10;

/// A running server.
pub(super) struct Server {
    pub(super) target: Target,
    bin: PathBuf,
    socket: PathBuf,
    _process: Background,
}

/// As the demo's customers: numbers that are well formed and belong to nobody.
const SCHEMA: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, ssn text NOT NULL, card text NOT NULL, iban text NOT NULL);
INSERT INTO customers SELECT i, 'Customer ' || i, lpad((100 + i % 500)::text, 3, '0') || '-' || lpad((1 + i % 97)::text, 2, '0')
  || '-' || lpad((1 + i % 9998)::text, 4, '0'), '4111 1111 1111 1111', 'DE89370400440532013000' FROM generate_series(1, 10000) i;
CREATE TABLE wide (LIKE customers INCLUDING ALL);
DO $$ BEGIN FOR i IN 1..195 LOOP EXECUTE format('ALTER TABLE wide ADD c%s text DEFAULT %L', i, 'order ' || i); END LOOP; END $$;
INSERT INTO wide SELECT * FROM customers WHERE id <= 1000;
VACUUM ANALYZE;
CHECKPOINT;
";

// === impl Server ===

impl Server {
    /// Starts it below `directory`; certificates are signed by the CA there.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let bin = ["18", "17", "16", "15"].map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")));
        let bin = bin
            .into_iter()
            .find(|bin| bin.join("postgres").exists())
            .ok_or_else(|| anyhow::anyhow!("install postgresql-15"))?;
        let home = directory.join("postgres");
        fs::create_dir(&home)?;
        fs::write(home.join("password"), PASSWORD)?;
        give(&home)?;
        let data = home.join("data");
        done(
            unprivileged(&bin.join("initdb").display().to_string())?
                .args([
                    "-U",
                    "postgres",
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "-A",
                    "scram-sha-256",
                    "--pwfile",
                ])
                .arg(home.join("password"))
                .arg("-D")
                .arg(&data),
        )?;
        certify(directory, &data.join("server"))?;
        let target = Target::here()?;
        configure(&data, &home, &target)?;
        give(&home)?;
        let log = directory.join("postgres.log");
        let postgres = bin.join("postgres").display().to_string();
        let process = Background::start(unprivileged(&postgres)?.arg("-D").arg(&data), &log)?;
        listening(target.address, "PostgreSQL", &log)?;
        let server = Self {
            target,
            bin,
            socket: home,
            _process: process,
        };
        // It takes connections before it answers them.
        wait_until(Duration::from_secs(60), "PostgreSQL is ready", || {
            Ok(server.is_ready().then_some(()))
        })?;
        server.fill()?;
        Ok(server)
    }

    fn is_ready(&self) -> bool {
        let mut ask = Command::new(self.bin.join("pg_isready"));
        ask.arg("-q")
            .arg("-h")
            .arg(&self.socket)
            .args(["-p", &self.target.port.to_string()]);
        ask.status().is_ok_and(|status| status.success())
    }

    fn fill(&self) -> Result<()> {
        self.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"))?;
        self.sql("postgres", &format!("CREATE DATABASE bank OWNER {ROLE}"))?;
        let mut init = Command::new(self.bin.join("pgbench"));
        init.args(["-i", "-q", "-I", "dtGvp", "-s", &SCALE.to_string(), "-h"])
            .arg(&self.socket)
            .args(["-p", &self.target.port.to_string(), "-U", "postgres", "bank"]);
        done(&mut init)?;
        self.sql("bank", SCHEMA)?;
        self.sql("bank", &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}"))
    }

    /// Runs SQL as the superuser.
    pub(super) fn sql(&self, database: &str, sql: &str) -> Result<()> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(&self.socket)
            .args(["-p", &self.target.port.to_string(), "-U", "postgres", "-d", database]);
        for statement in sql.split(";\n") {
            psql.args(["-c", statement]);
        }
        done(&mut psql).map(drop)
    }

    /// pgbench of the same version.
    pub(super) fn pgbench(&self) -> PathBuf {
        self.bin.join("pgbench")
    }
}

fn configure(data: &Path, socket: &Path, target: &Target) -> Result<()> {
    let conf = data.join("postgresql.conf");
    let settings = format!(
        "ssl = on\nport = {}\nlisten_addresses = '{}'\nunix_socket_directories = '{}'\nmax_connections = 2300\n\
         shared_buffers = 512MB\nmax_wal_size = 4GB\nautovacuum = off\n",
        target.port,
        target.address.ip(),
        socket.display()
    );
    fs::write(&conf, fs::read_to_string(&conf)? + &settings)?;
    let access = "local all all trust\nhostssl all all samehost scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), access)?;
    Ok(())
}
