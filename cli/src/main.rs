//! `kubectl sallyport`: what people do at a door that plain kubectl makes long-winded.

// They panic where nobody reads any more: `output` prints.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod answer;
mod audit;
mod cluster;
mod login;
mod output;
mod policy;
mod requests;
mod told;
mod visible;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sallyport_crds::access_request::Decision;

/// Approvals and evidence of Sallyport, from the command line.
#[derive(Debug, Parser)]
#[command(name = "kubectl sallyport", bin_name = "kubectl sallyport", version)]
struct Args {
    #[command(flatten)]
    cluster: cluster::Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in at the identity provider: open a page, type a code.
    Login(login::Args),
    /// Print a token that a door takes, fresh: PGPASSWORD=$(kubectl sallyport token) psql service=bank
    Token(login::TokenArgs),
    /// List requests and how they stand.
    Requests(requests::Args),
    /// Say yes to a request. The API server says who you are; the asker never counts.
    Approve(answer::Args),
    /// Say no to a request, and why (`--reason`).
    Deny(answer::Args),
    /// End what a request granted, at once.
    Revoke(answer::Args),
    /// Take back a request of your own.
    Withdraw(answer::Args),
    /// Review a break-glass use.
    Review(answer::Args),
    /// Say what a command would get, by which rule and why. Nothing is run.
    Explain(policy::explain::Args),
    /// Try declared cases against manifests, without a cluster.
    Test(policy::test::Args),
    /// Judge what people really ran by proposed manifests, and list the verdicts that would change.
    ///
    /// Exit status: 0 none would, 1 some would, or it could not be looked at, 4 the log is refuted.
    Simulate(Box<policy::simulate::Args>),
    /// Read the evidence log, and prove it.
    #[command(subcommand)]
    Audit(Box<audit::Command>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    sallyport_runtime::crypto::install();
    let args = Args::parse();
    match run(args).await {
        Ok(code) => code,
        Err(cause) if cause.is::<output::Unread>() => ExitCode::from(output::UNREAD),
        Err(cause) => {
            output::aside(format_args!("error: {}", words::words(&cause)));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = args.cluster;
    match args.command {
        Command::Login(args) => login::run(&cluster, args).await,
        Command::Token(args) => login::token(args).await,
        Command::Requests(args) => requests::run(&cluster, args).await,
        Command::Approve(args) => answer::run(&cluster, args, Decision::Approve).await,
        Command::Deny(args) => answer::run(&cluster, args, Decision::Deny).await,
        Command::Revoke(args) => answer::run(&cluster, args, Decision::Revoke).await,
        Command::Withdraw(args) => answer::run(&cluster, args, Decision::Withdraw).await,
        Command::Review(args) => answer::run(&cluster, args, Decision::Review).await,
        Command::Explain(args) => policy::explain::run(&cluster, args).await,
        Command::Test(args) => policy::test::run(&args),
        Command::Simulate(args) => policy::simulate::run(&cluster, *args).await,
        Command::Audit(command) => audit::run(&cluster, *command).await,
    }
}
