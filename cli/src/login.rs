//! `login` and `token`: a person's token from the identity provider, by the device grant (RFC 8628), kept fresh.
//!
//! Reading order: `provider` (the identity provider's endpoints), `store` (what is kept on this machine), `service` (the
//! entry that makes `psql service=NAME` work).

mod provider;
mod service;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Api;
use sallyport_crds::Connection;

use crate::cluster::Flags;
use crate::output;
use provider::{Answer, Provider, Tokens};
use store::{Login, Store};

/// A token that ends sooner is not given out.
const MARGIN: i64 = 30;
/// So long a login waits for its person, whatever the provider says.
const LONGEST_LOGIN: Duration = Duration::from_secs(3_600);
/// So long it waits between two questions at first, whatever the provider says.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Flags of login.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// URL of the issuer, as the operator's configuration has it.
    #[arg(long, env = "SALLYPORT_ISSUER", value_name = "URL")]
    issuer: String,
    /// The client at the issuer that people use; it needs the device grant.
    #[arg(long, env = "SALLYPORT_CLIENT_ID", value_name = "ID")]
    client_id: String,
    /// What is asked for. `offline_access` keeps the login over days where the issuer permits it.
    #[arg(long, default_value = "openid")]
    scope: String,
    /// CA bundle in PEM, for an issuer that public CAs do not vouch for.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Also write an entry for this Connection into pg_service.conf, so that `psql service=CONNECTION` works.
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
    /// The database of that entry.
    #[arg(long, value_name = "DATABASE", requires = "connection")]
    database: Option<String>,
    /// Let that entry begin with TLS at once, which saves a round trip; libpq 17 and later know it.
    #[arg(long, requires = "connection")]
    direct_tls: bool,
}

/// Flags of token.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// URL of the issuer, where there are several logins.
    #[arg(long, env = "SALLYPORT_ISSUER", value_name = "URL")]
    issuer: Option<String>,
}

/// Logs in: the person opens a page and types a code; the tokens are kept.
///
/// # Errors
/// When the issuer refuses, or nobody comes before the code ends.
pub async fn run(flags: &Flags, args: Args) -> Result<ExitCode> {
    if let Some(connection) = &args.connection {
        write_service(flags, connection, &args).await?;
    }
    let provider = Provider::discover(&args.issuer, args.ca.as_deref()).await?;
    // Tokens are asked for from other directories, too.
    let ca = args.ca.map(std::path::absolute).transpose()?;
    let tokens = by_device(&provider, &args.client_id, &args.scope).await?;
    Store::open()?.keep(Login::new(&args.issuer, &args.client_id, ca, tokens, now()))?;
    output::aside(format_args!("logged in at {}", args.issuer));
    if let Some(connection) = &args.connection {
        output::aside(format_args!(
            "now: PGPASSWORD=$(kubectl sallyport token) psql service={connection}"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an access token that is still good for a while, with a new one from the issuer where that is needed.
///
/// # Errors
/// When nobody has logged in, or the login has ended.
pub async fn token(args: TokenArgs) -> Result<ExitCode> {
    output::line(fresh(&Store::open()?, args.issuer.as_deref(), now()).await?)?;
    Ok(ExitCode::SUCCESS)
}

async fn fresh(store: &Store, issuer: Option<&str>, now: i64) -> Result<String> {
    let login = store.find(issuer)?;
    if login.expires > now + MARGIN {
        return Ok(login.access_token);
    }
    // Several programs ask at one time, and issuers take a refresh token once: whoever comes second finds what the first one got.
    let _turn = store.turn()?;
    let login = store.find(issuer)?;
    if login.expires > now + MARGIN {
        return Ok(login.access_token);
    }
    let again = "the login has ended: kubectl sallyport login";
    let refresh = login.refresh_token.as_deref().context(again)?;
    let provider = Provider::discover(&login.issuer, login.ca.as_deref()).await?;
    let tokens = provider.refresh(&login.client_id, refresh).await.context(again)?;
    let mut renewed = Login::new(&login.issuer, &login.client_id, login.ca.clone(), tokens, now);
    // An issuer that does not rotate refresh tokens does not repeat them either.
    renewed.refresh_token = renewed.refresh_token.or(login.refresh_token);
    let token = renewed.access_token.clone();
    store.keep(renewed)?;
    Ok(token)
}

async fn by_device(provider: &Provider, client_id: &str, scope: &str) -> Result<Tokens> {
    let device = provider.device(client_id, scope).await?;
    match &device.verification_uri_complete {
        Some(url) => output::aside(format_args!("open {url}\nand compare the code: {}", device.user_code)),
        None => output::aside(format_args!(
            "open {}\nand type the code: {}",
            device.verification_uri, device.user_code
        )),
    }
    let mut pause = Duration::from_secs(device.interval).min(LONGEST_PAUSE);
    let ends = tokio::time::Instant::now() + Duration::from_secs(device.expires_in).min(LONGEST_LOGIN);
    while tokio::time::Instant::now() < ends {
        tokio::time::sleep(pause).await;
        match provider.poll(client_id, &device.device_code).await? {
            Answer::Tokens(tokens) => return Ok(tokens),
            Answer::Pending => {}
            Answer::SlowDown => pause += Duration::from_secs(5),
        }
    }
    bail!("nobody typed the code in time")
}

async fn write_service(flags: &Flags, name: &str, args: &Args) -> Result<()> {
    let (client, namespace) = flags.client().await?;
    let connection = Api::<Connection>::namespaced(client, &namespace)
        .get(name)
        .await
        .with_context(|| format!("Connection {name} in namespace {namespace}"))?;
    let status = connection.status.unwrap_or_default();
    let address = status
        .address
        .context("the Connection has no address yet: is it accepted?")?;
    let entry = service::Entry {
        name: name.to_owned(),
        address,
        authority: status.ca_bundle,
        database: args.database.clone(),
        direct_tls: args.direct_tls,
    };
    let (path, led) = service::write(&entry, &store::directory()?)?;
    let before = led.map(|host| format!("; it led to {host} before"));
    output::aside(format_args!(
        "wrote service {name} into {}{}",
        path.display(),
        before.unwrap_or_default()
    ));
    Ok(())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests;
