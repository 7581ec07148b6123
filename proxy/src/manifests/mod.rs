//! The same door without a cluster: objects from YAML files, the recorder inside.
//!
//! Reading order: [`Flags`], `files` (YAML to documents), `schema` (what the API server would refuse at apply), `objects`
//! (documents to objects), `resolve` (the same assembling and compiling as the operator's), `state` (what is kept on this
//! machine: the log, the door's certificate, the binding key), [`start`].

mod files;
mod objects;
mod resolve;
mod schema;
mod start;
mod state;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::sample;

pub use start::{Local, StartError, start};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Flags of a door without a cluster; for `#[command(flatten)]`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Without a cluster")]
#[group(skip)]
pub struct Flags {
    /// Directory of YAML files with the five kinds, Secrets, ConfigMaps and one AuthenticationConfiguration. Columns that are
    /// renamed, and copies of protected values, stay protected as long as the process lives: in a cluster the operator keeps
    /// them.
    #[arg(long, env = "SALLYPORT_MANIFESTS", value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Which Connection to serve where, such as bank=127.0.0.1:15432 (doors/bank=… names the namespace too). Repeatable.
    #[arg(long, env = "SALLYPORT_LISTEN", value_name = "NAME=ADDR", value_delimiter = ',')]
    pub listen: Vec<Listen>,
    /// Directory for what outlives the process: the log, its key, the door's certificate. By default
    /// $XDG_STATE_HOME/sallyport or ~/.local/state/sallyport.
    #[arg(long, env = "SALLYPORT_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// One Connection and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Namespace; any, if only one Connection has the name.
    pub namespace: Option<String>,
    /// Name of the Connection.
    pub name: String,
    /// Where clients dial.
    pub address: SocketAddr,
}

// === impl Listen ===

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?}: write NAME=ADDRESS:PORT, such as bank=127.0.0.1:15432");
        let (name, address) = text.split_once('=').ok_or_else(form)?;
        let address = address.parse().map_err(|_| form())?;
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, name),
        };
        if name.is_empty() {
            Err(form())
        } else {
            Ok(Self {
                namespace,
                name: name.to_owned(),
                address,
            })
        }
    }
}
