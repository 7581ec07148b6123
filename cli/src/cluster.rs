//! Which cluster, which namespace, and who is asking.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use sallyport_crds::names::{AUTH_TIME_EXTRA, ISSUER_EXTRA};

/// What kubectl itself takes, under the same names.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Namespace; the context's own if left out.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; the current one if left out.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Kubeconfig file; KUBECONFIG or ~/.kube/config if left out.
    #[arg(long, global = true)]
    pub kubeconfig: Option<std::path::PathBuf>,
}

/// The caller, as the API server authenticates them.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
    /// The uid at the API server: the `sub` claim of an OIDC user.
    pub subject: Option<String>,
    /// The issuer, where the API server carries it.
    pub issuer: Option<String>,
    /// When they logged in, in seconds since 1970, where the API server carries it.
    pub auth_time: Option<i64>,
}

// === impl Flags ===

impl Flags {
    /// A client and the namespace it works in.
    ///
    /// # Errors
    /// When there is no usable kubeconfig.
    pub async fn client(&self) -> Result<(Client, String)> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match &self.kubeconfig {
            Some(path) => {
                let place = || format!("the kubeconfig {}", path.display());
                let file = Kubeconfig::read_from(path).with_context(place)?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .with_context(place)?
            }
            None => Config::from_kubeconfig(&options)
                .await
                .context("no usable kubeconfig (KUBECONFIG, --kubeconfig, --context)")?,
        };
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        Ok((Client::try_from(config)?, namespace))
    }
}

/// The name of an object as people give it: bare, since a namespace or a kind before it would ask for something else.
///
/// # Errors
/// When it is none.
pub fn object_name(name: &str) -> Result<&str> {
    let lawful = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '.');
    ensure!(
        !name.is_empty() && name.chars().all(lawful),
        "{name:?} is no name of an object: give it without its kind, and its namespace by -n"
    );
    Ok(name)
}

// === impl Caller ===

impl Caller {
    /// Asks the API server who is asking.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn of(client: &Client) -> Result<Self> {
        let api: Api<SelfSubjectReview> = Api::all(client.clone());
        let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let UserInfo {
            username,
            groups,
            uid,
            extra,
        } = review
            .context("asking the API server who you are")?
            .status
            .and_then(|status| status.user_info)
            .context("the API server did not say who you are")?;
        let mut extra = extra.unwrap_or_default();
        let mut first = |key: &str| extra.remove(key).and_then(|values| values.into_iter().next());
        let issuer = first(ISSUER_EXTRA);
        let auth_time = first(AUTH_TIME_EXTRA).and_then(|seconds| seconds.parse().ok());
        Ok(Self {
            user: username.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
            subject: uid.filter(|uid| !uid.is_empty()),
            issuer,
            auth_time,
        })
    }
}
