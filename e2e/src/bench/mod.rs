//! `make bench`: the release door with its recorder inside, PgBouncer and a direct connection, measured in turn.
//!
//! Everything runs on one machine and shares its processors, so absolute numbers say little: what is reported are ratios
//! within one round, and processor time. Every peer takes its turn in every round, so that a machine that slows down slows
//! all of them. [`stage`] builds the parts, the other modules measure;
//! [`approval`] and [`pending`] need a whole cluster, and measure on that of `make demo`.

mod approval;
mod bouncer;
mod door;
mod issuer;
mod load;
mod memory;
mod pending;
mod points;
mod process;
mod report;
mod rows;
mod server;
mod stage;
mod stream;
mod target;

use std::path::Path;

use anyhow::Result;

use report::Report;
use stage::Stage;

/// Measures what `wanted` picks (all, if empty) and appends it to the file.
///
/// # Errors
/// When a part cannot be started or a client fails: then nothing more is measured.
pub fn run(file: &Path, wanted: &[String]) -> Result<()> {
    let mut report = Report::append(file, wanted)?;
    let stage = Stage::build()?;
    points::selects(&stage, &mut report)?;
    points::beside_approvals(&stage, &mut report)?;
    points::writes(&stage, &mut report)?;
    rows::results(&stage, &mut report)?;
    stream::copy_out(&stage, &mut report)?;
    stream::slow_client(&stage, &mut report)?;
    memory::idle(&stage, &mut report)?;
    drop(stage);
    approval::decision_to_execution(&mut report)?;
    Ok(())
}
