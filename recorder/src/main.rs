//! `sallyport-recorder`.

use clap::Parser;
use sallyport_recorder::args::Args;
use sallyport_recorder::run::run;
use sallyport_runtime::{crypto, logs};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    crypto::install();
    let args = Args::parse();
    logs::init(&args.logs);
    run(args).await
}
