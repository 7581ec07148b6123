//! Listing requests: what waits for me?

use std::process::ExitCode;

use anyhow::{Context, Result};
use futures::{Stream, StreamExt};
use kube::Api;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::{WatchStreamExt, watcher};
use sallyport_crds::AccessRequest;

use crate::cluster::{Flags, object_name};
use crate::output;
use crate::told::{state, told, until};
use crate::visible::visible;

/// A request, or why this program cannot read it: one of a later version keeps nobody from those that it can.
type Guarded = DeserializeGuard<AccessRequest>;

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
    if let Some(name) = &args.name {
        let api: Api<AccessRequest> = Api::namespaced(client, &namespace);
        let request = api.get(object_name(name)?).await;
        let request = request.with_context(|| format!("AccessRequest {name} in namespace {namespace}"))?;
        output::line(told(&request))?;
        return Ok(ExitCode::SUCCESS);
    }
    let api: Api<Guarded> = Api::namespaced(client, &namespace);
    if args.watch {
        // Who may not list is told so; whoever may goes on watching when the API server comes back.
        api.list(&ListParams::default().limit(1)).await?;
        output::line(head())?;
        let mut changes = changes(api).boxed();
        while let Some(change) = changes.next().await {
            match change {
                Ok(DeserializeGuard(Ok(request))) => print(&request, args.all)?,
                Ok(DeserializeGuard(Err(unread))) => output::aside(not_read(&unread)),
                Err(error) => output::aside(format_args!("still watching: {error}")),
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut requests = Vec::new();
    for one in api.list(&ListParams::default()).await?.items {
        match one.0 {
            Ok(request) => requests.push(request),
            Err(unread) => output::aside(not_read(&unread)),
        }
    }
    requests.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
    output::line(head())?;
    for request in &requests {
        print(request, args.all)?;
    }
    if !requests.iter().any(|request| args.all || waits(request)) {
        let more = if requests.is_empty() {
            ""
        } else {
            "; --all shows those that are decided"
        };
        output::aside(format_args!("no request waits in namespace {namespace}{more}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Requests as they are and as they change, without end: an API server that went away is an error, and asked again.
fn changes(api: Api<Guarded>) -> impl Stream<Item = watcher::Result<Guarded>> {
    watcher(api, watcher::Config::default())
        .default_backoff()
        .applied_objects()
}

fn not_read(unread: &InvalidObject) -> String {
    let name = unread.metadata.name.as_deref().unwrap_or_default();
    let words = format!(
        "AccessRequest {name} cannot be read by this version of kubectl-sallyport: {}",
        unread.error
    );
    visible(&words)
}

fn head() -> String {
    line([
        "NAME",
        "REQUESTER",
        "CONNECTION",
        "RISK",
        "APPROVALS",
        "STATE",
        "LEFT",
        "COMMAND",
    ])
}

fn print(request: &AccessRequest, all: bool) -> Result<()> {
    if all || waits(request) {
        output::line(row(request, jiff::Timestamp::now()))?;
    }
    Ok(())
}

/// Whether somebody else has something to say: what went ahead by break-glass waits for its review.
fn waits(request: &AccessRequest) -> bool {
    matches!(state(request), "Pending" | "BreakGlass")
}

fn row(request: &AccessRequest, now: jiff::Timestamp) -> String {
    let spec = &request.spec;
    let progress = request.status.as_ref().and_then(|status| status.progress.as_deref());
    let left = until(request).map_or(0, |until| until.duration_since(now).as_secs());
    let left = if left > 0 {
        format!("{}m{:02}s", left / 60, left % 60)
    } else {
        "-".to_owned()
    };
    let command = spec.command.as_ref();
    line([
        request.metadata.name.as_deref().unwrap_or_default(),
        &spec.requester.username,
        &spec.connection.name,
        &command.map_or_else(|| "-".to_owned(), |command| command.risk.to_string()),
        progress.unwrap_or_default(),
        state(request),
        &left,
        command.map_or("", |command| command.summary.as_str()),
    ])
}

fn line(cells: [&str; 8]) -> String {
    // People ask beforehand by objects of their own, whose texts the API server takes as they are.
    let [name, requester, connection, risk, approvals, state, left, command] = cells.map(visible);
    format!("{name:<24} {requester:<16} {connection:<12} {risk:>4} {approvals:>9} {state:<10} {left:>8}  {command}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An API server with one request that ends with the first watch, or tells that watch of another one.
    async fn serve(listener: TcpListener, news: Option<Value>) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "the request is not whole");
            }
            let watches = String::from_utf8(head).unwrap().contains("watch=true");
            let list = json!({
                "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequestList",
                "metadata": {"resourceVersion": "1"}, "items": [named("bank-1"), of_a_later_version()],
            });
            let body = match (watches, &news) {
                (false, _) => list.to_string(),
                (true, Some(news)) => format!("{}\n", json!({"type": "ADDED", "object": news})),
                (true, None) => String::new(),
            };
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            if watches && news.is_none() {
                return;
            }
        }
    }

    fn named(name: &str) -> Value {
        json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
            "metadata": {"name": name, "namespace": "doors", "uid": name, "resourceVersion": "2"},
            "spec": {
                "connection": {"name": "bank", "uid": "u"}, "requester": {"username": "oidc:alice"}, "scope": "Window",
                "window": {"duration": "1h"}, "reason": "migration", "expiresAt": "2026-11-24T10:00:00Z",
            },
        })
    }

    fn of_a_later_version() -> Value {
        let mut request = named("bank-0");
        request["spec"]["scope"] = json!("Hereafter");
        request
    }

    #[tokio::test]
    async fn who_watches_is_told_what_comes_after_the_api_server_was_away() {
        sallyport_runtime::crypto::install();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let mut changes = changes(Api::namespaced(client, "doors")).boxed();
        let name = |request: Guarded| request.0.unwrap().metadata.name.unwrap();
        let serving = tokio::spawn(serve(listener, None));
        assert_eq!(name(changes.next().await.unwrap().unwrap()), "bank-1");
        let unread = changes.next().await.unwrap().unwrap().0.unwrap_err();
        assert!(
            not_read(&unread).starts_with("AccessRequest bank-0 cannot be read"),
            "{unread}"
        );
        let away = changes.next().await.unwrap();
        assert!(away.is_err(), "it is away: {away:?}");
        serving.await.unwrap();

        let back = TcpListener::bind(address).await.unwrap();
        tokio::spawn(serve(back, Some(named("bank-2"))));
        let came = async {
            loop {
                if let Ok(request) = changes.next().await.unwrap() {
                    return name(request);
                }
            }
        };
        let came = tokio::time::timeout(std::time::Duration::from_secs(60), came).await;
        assert_eq!(came.unwrap(), "bank-2");
    }

    #[test]
    fn a_row_says_what_waits_and_gives_a_terminal_nothing_to_obey() {
        let request = |connection: &str| -> AccessRequest {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest", "metadata": {"name": "bank-1"},
                "spec": {
                    "connection": {"name": connection, "uid": "u"}, "requester": {"username": "oidc:alice"}, "scope": "Command",
                    "command": {
                        "text": "DELETE FROM accounts", "summary": "DELETE FROM accounts", "digest": "d".repeat(64), "risk": 50,
                    },
                    "expiresAt": "2026-11-24T10:00:00Z",
                },
                "status": {"progress": "0/2"},
            }))
            .unwrap()
        };
        let row = |request: &AccessRequest, now: &str| -> Vec<String> {
            row(request, now.parse().unwrap())
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        let waiting = row(&request("bank"), "2026-11-24T09:50:55Z").join(" ");
        assert_eq!(
            waiting,
            "bank-1 oidc:alice bank 50 0/2 Pending 9m05s DELETE FROM accounts"
        );
        let mut used = request("bank");
        let ends = json!({"state": "BreakGlass", "grantedUntil": "2026-11-24T09:55:00Z"});
        used.status = serde_json::from_value(ends).unwrap();
        assert_eq!(row(&used, "2026-11-24T09:50:55Z")[5], "4m05s");
        let revoked = json!({
            "type": "Revoked", "status": "True", "reason": "RevokedByPerson", "message": "",
            "lastTransitionTime": "2026-11-24T09:50:00Z",
        });
        let conditions = &mut used.status.as_mut().unwrap().conditions;
        conditions.push(serde_json::from_value(revoked).unwrap());
        assert_eq!(row(&used, "2026-11-24T09:50:55Z")[5], "-");
        let deceiving = row(&request("bank\u{1b}[2K\r\u{202e}"), "2026-11-24T11:00:00Z");
        assert_eq!(deceiving[2], "bank\\u{1b}[2K\\r\\u{202e}");
        assert_eq!(deceiving[6], "-");
        let in_state = |state: &str| {
            let mut request = request("bank");
            request.status.as_mut().unwrap().state = Some(state.to_owned());
            waits(&request)
        };
        assert!(waits(&request("bank")) && in_state("BreakGlass"));
        assert!(!in_state("Approved") && !in_state("Reviewed"));
    }
}
