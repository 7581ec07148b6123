//! Listing requests: what waits for me?

use std::process::ExitCode;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};
use sallyport_crds::AccessRequest;

use crate::answer::told;
use crate::cluster::Flags;

/// Flags of requests.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this one, in full: what an approver reads before they answer.
    #[arg(conflicts_with = "watch")]
    name: Option<String>,
    /// Keep watching, one line for each change.
    #[arg(short, long)]
    watch: bool,
    /// Also requests that are decided.
    #[arg(short, long)]
    all: bool,
}

/// Prints requests of a namespace.
///
/// # Errors
/// When they cannot be listed.
pub async fn run(flags: &Flags, args: Args) -> Result<ExitCode> {
    let (client, namespace) = flags.client().await?;
    let api: Api<AccessRequest> = Api::namespaced(client, &namespace);
    if let Some(name) = &args.name {
        let request = api.get(name).await?;
        println!("{}", told(&request));
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{}",
        line([
            "NAME",
            "REQUESTER",
            "CONNECTION",
            "RISK",
            "APPROVALS",
            "STATE",
            "LEFT",
            "COMMAND"
        ])
    );
    if args.watch {
        let mut changes = watcher(api, watcher::Config::default()).applied_objects().boxed();
        while let Some(request) = changes.try_next().await? {
            print(&request, args.all);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut requests = api.list(&ListParams::default()).await?.items;
    requests.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
    for request in &requests {
        print(request, args.all);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(request: &AccessRequest, all: bool) {
    let status = request.status.clone().unwrap_or_default();
    let state = status.state.unwrap_or_else(|| "Pending".to_owned());
    if !all && state != "Pending" {
        return;
    }
    let spec = &request.spec;
    let left = spec.expires_at.0.duration_since(jiff::Timestamp::now()).as_secs();
    let left = if left > 0 {
        format!("{}m{:02}s", left / 60, left % 60)
    } else {
        "-".to_owned()
    };
    let command = spec.command.as_ref();
    println!(
        "{}",
        line([
            request.metadata.name.as_deref().unwrap_or_default(),
            &spec.requester.username,
            &spec.connection.name,
            &command.map_or_else(|| "-".to_owned(), |command| command.risk.to_string()),
            &status.progress.unwrap_or_default(),
            &state,
            &left,
            command.map_or("", |command| command.summary.as_str()),
        ])
    );
}

fn line(cells: [&str; 8]) -> String {
    let [name, requester, connection, risk, approvals, state, left, command] = cells;
    format!("{name:<24} {requester:<16} {connection:<12} {risk:>4} {approvals:>9} {state:<10} {left:>8}  {command}")
}
