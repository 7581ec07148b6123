//! `sallyport-recorder`.

use std::process::ExitCode;

use clap::Parser;
use sallyport_runtime::{crypto, logs};

use crate::args::Args;
use crate::run::run;

/// The program: flags, logs, and everything until its end.
#[tokio::main]
pub async fn main() -> ExitCode {
    crypto::install();
    let args = Args::parse();
    logs::init(&args.logs);
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the recorder ends");
            ExitCode::FAILURE
        }
    }
}
