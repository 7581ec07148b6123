//! `sallyport-operator`.

use clap::Parser;
use sallyport_operator::args::Args;
use sallyport_operator::run::run;
use sallyport_runtime::{crypto, logs};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    crypto::install();
    let args = Args::parse();
    logs::init(&args.logs);
    run(args).await
}
