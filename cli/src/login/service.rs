//! The entry of pg_service.conf by which libpq finds a door and checks its certificate.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::store::write_private;

/// What the entry says.
pub struct Entry {
    /// Name of the service: the Connection's.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// PEM bundle by which the door's certificate is checked; the system's own CAs if left out.
    pub authority: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// Whether TLS begins at once.
    pub direct_tls: bool,
}

/// Writes the entry in the place of an earlier one of its name, and the bundle beside the state of this program. Gives the
/// file's name, and where the earlier one led, if elsewhere: Connections of two clusters may share a name.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(entry: &Entry, state: &Path) -> Result<(PathBuf, Option<String>)> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf"));
    let file = std::env::var_os("PGSERVICEFILE").map(PathBuf::from).or_else(home);
    let file = file.context("set HOME or PGSERVICEFILE")?;
    let authority = match &entry.authority {
        Some(bundle) => {
            let path = state.join(format!("{}.ca.pem", entry.name));
            write_private(&path, bundle)?;
            path.display().to_string()
        }
        None => "system".to_owned(),
    };
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    write_private(&file, &replaced(&before, &entry.name, &text(entry, &authority)?))?;
    let led = host(&before, &entry.name).filter(|host| !entry.address.starts_with(&format!("{host}:")));
    Ok((file, led.map(str::to_owned)))
}

/// The entry. `prefer`, libpq's default, would send a token in clear to whoever says that there is no TLS.
pub fn text(entry: &Entry, authority: &str) -> Result<String> {
    let fields = [Some(&entry.name), Some(&entry.address), entry.database.as_ref()];
    if fields
        .into_iter()
        .flatten()
        .any(|field| field.chars().any(char::is_control))
    {
        bail!("the Connection's status holds what no service file can");
    }
    let Some((host, port)) = entry.address.rsplit_once(':') else {
        bail!("the Connection's address {} has no port", entry.address);
    };
    if host.starts_with('<') {
        bail!(
            "the Connection is reached at port {port} of any node, of which an entry has to name one: log in without --connection, and \
             write the entry yourself, with a name that the door's certificate has (spec.certificate.names)"
        );
    }
    let mut out = format!(
        "[{}]\nhost={host}\nport={port}\nsslmode=verify-full\nsslrootcert={authority}\n",
        entry.name
    );
    if entry.direct_tls {
        out += "sslnegotiation=direct\n";
    }
    if let Some(database) = &entry.database {
        out += &format!("dbname={database}\n");
    }
    Ok(out)
}

/// The host of one section of the file.
pub fn host<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let head = format!("[{name}]");
    let own = file.lines().map(str::trim).skip_while(|line| *line != head).skip(1);
    let mut own = own.take_while(|line| !line.starts_with('['));
    own.find_map(|line| line.strip_prefix("host="))
}

/// The file with one section replaced or added; everything else stays as it is.
pub fn replaced(file: &str, name: &str, entry: &str) -> String {
    let head = format!("[{name}]");
    let mut out = String::new();
    let mut inside = false;
    for line in file.lines() {
        if line.trim_start().starts_with('[') {
            inside = line.trim() == head;
        }
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    out + entry
}
