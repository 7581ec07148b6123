//! `sallyport-operator`.

use std::process::ExitCode;

use clap::Parser;
use sallyport_operator::args::Args;
use sallyport_operator::run::run;
use sallyport_runtime::{crypto, logs};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    crypto::install();
    logs::init(&args.logs);
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "the operator ends and is to be started again"
            );
            ExitCode::FAILURE
        }
    }
}
