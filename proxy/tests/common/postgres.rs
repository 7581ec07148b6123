//! A PostgreSQL server of its own, with TLS and SCRAM, gone when the last test that uses it ends.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// The role by which the door logs in.
pub const ROLE: &str = "sallyport";
/// Its password.
pub const PASSWORD: &str = "target-password-of-the-door";
/// A role that the server lets in by its certificate alone; a test makes it.
pub const CERTIFIED: &str = "certified";
/// A role that needs a certificate, whosever, and its password; a test makes it.
pub const BOTH: &str = "both";

/// A running server.
pub struct Postgres {
    directory: tempfile::TempDir,
    bin: PathBuf,
    /// Its major version.
    pub major: u8,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The CA of its certificate, in PEM.
    pub ca: String,
    /// The certificate of [`CERTIFIED`] and its key, in PEM.
    pub certified: (String, String),
    databases: AtomicU32,
}

static SERVERS: Mutex<Vec<(u8, Weak<Postgres>)>> = Mutex::new(Vec::new());

/// A server of the version that `SALLYPORT_POSTGRES` names, else of the newest that is installed; started if none of the
/// running tests has one.
pub fn server() -> Arc<Postgres> {
    server_of(wanted())
}

/// The same for one test alone, which changes what holds for a whole server.
pub fn server_alone() -> Arc<Postgres> {
    Arc::new(Postgres::start(wanted()))
}

fn wanted() -> u8 {
    let named = std::env::var("SALLYPORT_POSTGRES").ok();
    let named = named.map(|major| major.parse().expect("SALLYPORT_POSTGRES is a major version"));
    let newest = || [18, 17, 16, 15].into_iter().find(|major| installed(*major).exists());
    let major = named.or_else(newest);
    major.expect("install postgresql and postgresql-contrib")
}

/// The same of one version.
pub fn server_of(major: u8) -> Arc<Postgres> {
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    servers.retain(|(_, server)| server.strong_count() > 0);
    let running = servers.iter().find(|(known, _)| *known == major);
    if let Some(running) = running.and_then(|(_, server)| server.upgrade()) {
        return running;
    }
    let started = Arc::new(Postgres::start(major));
    servers.push((major, Arc::downgrade(&started)));
    started
}

fn installed(major: u8) -> PathBuf {
    PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))
}

/// The server's programs: installed, or else those that `e2e/postgresql-18` unpacks. A version that cannot be had fails the
/// test: nothing may pass because nothing was tried.
fn programs(major: u8, directory: &Path) -> PathBuf {
    if installed(major).exists() {
        return installed(major);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../e2e/postgresql-{major}"));
    let unpacked = Command::new(&script)
        .output()
        .unwrap_or_else(|error| panic!("PostgreSQL {major} is not installed, and {}: {error}", script.display()));
    let said = String::from_utf8_lossy(&unpacked.stderr);
    assert!(unpacked.status.success(), "PostgreSQL {major} cannot be had: {said}");
    let root = String::from_utf8_lossy(&unpacked.stdout).trim().to_owned();
    if !is_root() {
        return Path::new(&root).join("bin");
    }
    // The user that the server runs as need not be let into somebody's home.
    let copied = Command::new("cp")
        .args(["-r", &root])
        .arg(directory.join("programs"))
        .status();
    assert!(copied.unwrap().success());
    directory.join("programs/bin")
}

impl Postgres {
    fn start(major: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bin = programs(major, directory.path());
        let mut server = Self {
            directory,
            bin,
            major,
            port: super::door::free_port(),
            ca: String::new(),
            certified: Default::default(),
            databases: AtomicU32::new(0),
        };
        server.init();
        server.listen();
        server.sql(
            "postgres",
            &format!("CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{PASSWORD}'"),
        );
        server
    }

    fn init(&mut self) {
        let root = self.directory.path();
        std::fs::write(root.join("password"), "postgres").unwrap();
        give(root);
        let auth = [
            "-D",
            "data",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "-A",
            "scram-sha-256",
            "--pwfile",
            "password",
            "-N",
        ];
        self.run("initdb", &auth);
        let data = self.directory.path().join("data");
        (self.ca, self.certified) = certificates(&data);
        let settings = format!(
            "ssl = on\nssl_ca_file = 'ca.crt'\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
             shared_preload_libraries = 'pg_stat_statements'\nwal_level = logical\nmax_connections = 200\nmax_prepared_transactions = 8\nautovacuum = off\nlog_line_prefix = '%d '\n",
            self.directory.path().display()
        );
        let conf = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&conf).unwrap() + &settings;
        std::fs::write(conf, text).unwrap();
        std::fs::write(
            data.join("pg_hba.conf"),
            format!(
                "local all all trust\nlocal replication all trust\nhostssl all {CERTIFIED} 127.0.0.1/32 cert\n\
                 hostssl all {BOTH} 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n\
                 hostssl all all 127.0.0.1/32 scram-sha-256\n"
            ),
        )
        .unwrap();
        give(&data);
    }

    /// Starts it on a port that was free a moment ago. One that is somebody's by now is no server's, and another is taken.
    fn listen(&mut self) {
        let conf = self.directory.path().join("data/postgresql.conf");
        for _ in 0..10 {
            self.port = super::door::free_port();
            // The last one that stands there counts.
            let text = std::fs::read_to_string(&conf).unwrap() + &format!("port = {}\n", self.port);
            std::fs::write(&conf, text).unwrap();
            let Err(said) = self.try_run("pg_ctl", &["-D", "data", "-w", "-t", "300", "-l", "log", "start"]) else {
                return;
            };
            let log = self.log();
            assert!(log.contains("Address already in use"), "pg_ctl: {said}{log}");
        }
        panic!("no port is free");
    }

    /// What the server itself has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// The same from a byte on.
    pub fn log_from(&self, byte: u64) -> String {
        let mut log = std::fs::File::open(self.directory.path().join("log")).unwrap();
        log.seek(SeekFrom::Start(byte)).unwrap();
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    }

    /// What it has logged of one database.
    pub fn log_of(&self, database: &str) -> String {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| line.strip_prefix(database)?.strip_prefix(' '));
        lines.fold(String::new(), |all, line| all + line + "\n")
    }

    /// Where its socket is.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// A fresh database in which this SQL was run.
    pub fn database(&self, sql: &str) -> String {
        let name = format!("bank{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.sql(&name, sql);
        name
    }

    /// Runs SQL directly, as the superuser, past any door; gives unaligned rows.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        checked("psql", &self.psql("postgres", database, sql).output().unwrap())
    }

    /// The same as another role; what was said where it fails.
    pub fn sql_as(&self, role: &str, database: &str, sql: &str) -> Result<String, String> {
        let output = self.psql(role, database, sql).output().unwrap();
        let text = |said: Vec<u8>| String::from_utf8_lossy(&said).into_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }

    /// How many sessions of a database wait for a lock. A door's connection that reads the catalog is none of them: it gives up by itself,
    /// and what it reads for is sent on only then.
    pub fn waiting(&self, database: &str) -> usize {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
            and wait_event_type = 'Lock' and application_name <> 'sallyport catalog'";
        self.sql(database, waiting).trim().parse().unwrap()
    }

    /// Begins the same, and does not wait for it.
    pub fn sql_start(&self, database: &str, sql: &str) -> Child {
        self.psql("postgres", database, sql)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn psql(&self, role: &str, database: &str, sql: &str) -> Command {
        let socket = self.directory.path().display().to_string();
        let port = self.port.to_string();
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            &socket,
            "-p",
            &port,
            "-U",
            role,
            "-d",
            database,
        ])
        .args(["-c", sql]);
        psql
    }

    /// The same, with errors and notices in what is given.
    pub fn sql_lossy(&self, database: &str, sql: &str) -> String {
        let output = self.psql("postgres", database, sql).output().unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }

    fn run(&self, program: &str, args: &[&str]) {
        if let Err(said) = self.try_run(program, args) {
            panic!("{program}: {said}");
        }
    }

    /// Runs one of the server's programs, as its own user where the tests run as root; what it said if it failed.
    fn try_run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let path = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // pg_ctl leaves the server behind with its own output: a pipe would never end.
        let log = std::fs::File::create(self.directory.path().join("out")).unwrap();
        let status = command
            .args(args)
            .current_dir(self.directory.path())
            // By which dblink of a statement reaches the server that it runs in.
            .env("PGHOST", self.directory.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        let said = std::fs::read_to_string(self.directory.path().join("out")).unwrap();
        status.success().then_some(()).ok_or(said)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", "data", "-w", "-t", "300", "-m", "immediate", "stop"]);
    }
}

fn checked(program: &str, output: &Output) -> String {
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Everything below belongs to the user that the server runs as.
fn give(path: &Path) {
    if is_root() {
        let done = Command::new("chown")
            .args(["-R", "postgres"])
            .arg(path)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// A certificate for `localhost` in the server's data directory; gives the CA that signed it, and what it signed for
/// [`CERTIFIED`].
fn certificates(data: &Path) -> (String, (String, String)) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "CA of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    std::fs::write(data.join("server.crt"), own.pem()).unwrap();
    let path = data.join("server.key");
    std::fs::write(&path, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(data.join("ca.crt"), ca.pem()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CERTIFIED);
    let key = KeyPair::generate().unwrap();
    let certified = params.signed_by(&key, &ca).unwrap().pem();
    (ca.pem(), (certified, key.serialize_pem()))
}
