//! The admin's issuers: two files of a mounted ConfigMap, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sallyport_policy::issuer::{AuthenticationConfiguration, Issuers, Names};
use tokio_util::sync::CancellationToken;

use crate::audiences::Audiences;

/// `AuthenticationConfiguration` (apiserver.config.k8s.io/v1), best the very file that the API server reads.
pub const CONFIGURATION: &str = "authentication.yaml";
/// Short names, audiences of doors, declared names of approvers.
pub const NAMES: &str = "names.yaml";
/// How often the files are looked at. A mounted ConfigMap itself lags by up to a minute.
const PERIOD: Duration = Duration::from_secs(5);

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
    api_server: Audiences,
}

/// What the files say.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    /// Issuers that can be used.
    pub issuers: Issuers,
    /// What cannot be used, and why.
    pub problems: Vec<String>,
}

// === impl Files ===

impl Files {
    /// The files in a directory. What the API server accepts is no audience for doors, whatever the files say.
    pub fn new(directory: &Path, api_server: Audiences) -> Self {
        Self {
            directory: directory.to_owned(),
            api_server,
        }
    }

    /// Reads both files. A file that is missing or cannot be read makes no issuer known: doors that name one are closed.
    pub fn read(&self) -> Read {
        let mut problems = Vec::new();
        let configuration = self.parse::<AuthenticationConfiguration>(CONFIGURATION, &mut problems);
        let names = self.parse::<Names>(NAMES, &mut problems);
        let (Some(configuration), Some(mut names)) = (configuration, names) else {
            return Read {
                issuers: Issuers::default(),
                problems,
            };
        };
        names
            .api_server_audiences
            .extend(self.api_server.known().iter().cloned());
        let (issuers, errors) = Issuers::resolve(&configuration, &names);
        problems.extend(errors.iter().map(ToString::to_string));
        Read { issuers, problems }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, name: &str, problems: &mut Vec<String>) -> Option<T> {
        let path = self.directory.join(name);
        let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        match read.and_then(|text| serde_saphyr::from_str(&text).map_err(|error| error.to_string())) {
            Ok(value) => Some(value),
            Err(error) => {
                problems.push(format!("{}: {error}", path.display()));
                None
            }
        }
    }

    /// Reads again and again until `end`, and calls `changed` when what is said changed.
    pub async fn follow(self, current: Arc<ArcSwap<Issuers>>, mut changed: impl FnMut(&Read), end: CancellationToken) {
        let mut last = Read::default();
        let mut first = true;
        loop {
            let read = self.read();
            if std::mem::take(&mut first) || read != last {
                for problem in &read.problems {
                    tracing::error!(%problem, "an issuer cannot be used");
                }
                for warning in &read.issuers.warnings {
                    tracing::warn!(%warning, "an issuer should be looked at");
                }
                tracing::info!(
                    issuers = read.issuers.issuers.len(),
                    problems = read.problems.len(),
                    "issuers read"
                );
                current.store(Arc::new(read.issuers.clone()));
                changed(&read);
                last = read;
            }
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHENTICATION: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://idp/realms/bank
    audiences: [kubernetes]
    certificateAuthority: |
      -----BEGIN CERTIFICATE-----
      -----END CERTIFICATE-----
  claimMappings:
    username: {claim: preferred_username, prefix: 'oidc:'}
    groups: {claim: groups, prefix: 'oidc:'}
    uid: {claim: sub}
    extra:
    - {key: sallyport.dev/issuer, valueExpression: claims.iss}
";

    fn read(authentication: &str, names: &str) -> Read {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(CONFIGURATION), authentication).unwrap();
        std::fs::write(directory.path().join(NAMES), names).unwrap();
        Files::new(directory.path(), Audiences::default()).read()
    }

    #[test]
    fn reads_the_api_servers_own_file() {
        let read = read(
            AUTHENTICATION,
            "issuers: [{name: keycloak, url: 'https://idp/realms/bank', audiences: [sallyport]}]",
        );
        assert_eq!(read.problems, Vec::<String>::new());
        assert_eq!(read.issuers.issuers["keycloak"].audiences, ["sallyport"]);
        assert_eq!(read.issuers.warnings.len(), 1, "preferred_username can be edited");
    }

    #[test]
    fn the_files_that_people_copy_are_read_to_the_last_field() {
        let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/reference/issuers");
        let read = Files::new(Path::new(reference), Audiences::default()).read();
        assert_eq!(read.problems, Vec::<String>::new());
        let keycloak = &read.issuers.issuers["keycloak"];
        assert_eq!(keycloak.audiences, ["sallyport"]);
        assert_eq!(keycloak.human_clients, ["kubectl", "sallyport"]);
        assert!(keycloak.discovery_url.is_some() && keycloak.required_claims.len() == 1);
        assert!(read.issuers.agents_unmarked.is_empty(), "{:?}", read.issuers.warnings);
        assert_eq!(
            read.issuers.api_server_audiences,
            ["https://kubernetes.default.svc", "kubernetes"]
        );
        assert_eq!(read.issuers.approver_mappings.len(), 1);
        assert!(read.issuers.approver_max_login_age.is_some());
    }

    #[test]
    fn what_the_api_server_was_seen_to_accept_is_no_audience_for_doors() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(CONFIGURATION), AUTHENTICATION).unwrap();
        let names = "issuers: [{name: keycloak, url: 'https://idp/realms/bank', audiences: [sallyport]}]";
        std::fs::write(directory.path().join(NAMES), names).unwrap();
        let api_server = Audiences::default();
        let files = Files::new(directory.path(), api_server.clone());
        api_server.learn(["https://kubernetes.default.svc".to_owned()]);
        let read = files.read();
        assert_eq!(
            read.issuers.api_server_audiences,
            ["https://kubernetes.default.svc", "kubernetes"]
        );
        api_server.learn(["sallyport".to_owned()]);
        let read = files.read();
        assert!(
            read.issuers.issuers.is_empty(),
            "bob's token for the door would approve"
        );
        assert!(read.problems[0].contains("the API server accepts audience sallyport too"));
    }

    #[test]
    fn a_file_that_cannot_be_read_makes_no_issuer_known() {
        for (authentication, names) in [("{", "{}"), (AUTHENTICATION, "unknown: 1"), ("jwt: 1", "{}")] {
            let read = read(authentication, names);
            assert!(
                read.issuers.issuers.is_empty() && !read.problems.is_empty(),
                "{authentication} {names}"
            );
        }
        assert_eq!(
            Files::new(Path::new("/nonexistent"), Audiences::default())
                .read()
                .problems
                .len(),
            2
        );
    }
}
