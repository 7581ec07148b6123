//! `sallyport-proxy`.

use std::process::ExitCode;

use crate::args::Args;
use crate::postgres::{Postgres, Shared};
use crate::run;
use clap::Parser;

/// The program: flags, logs, and everything until its end.
pub fn main() -> ExitCode {
    let args = Args::parse();
    sallyport_runtime::crypto::install();
    sallyport_runtime::logs::init(&args.logs);
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the door cannot be served");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> anyhow::Result<()> {
    // The control plane and the side connections; sessions have runtimes of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let shared = Shared::new(runtime.handle().clone());
    let heard = shared.hear();
    let result = runtime.block_on(run::run(args, heard, move |door| {
        Postgres::new(door.clone(), shared.clone())
    }));
    runtime.shutdown_background();
    result
}
