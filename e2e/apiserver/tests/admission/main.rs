//! Every forgery that admission must refuse, tried on a real API server, and beside each what is meant to work.
//!
//! Tables say who tries what and in which words it is refused; this code makes the requests in their states and tries.
//! Nothing that is tried is kept (`--dry-run=server` runs all of admission), so that the cases do not depend on each other.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON that is not as expected fails the test, as it should"
)]

mod answers;
mod line;
mod namespaces;
mod outcomes;
mod requests;
mod roads;
mod stage;
mod states;
mod tokens;

use anyhow::{Result, ensure};
use stage::Stage;

#[test]
fn the_api_server_refuses_every_forgery() -> Result<()> {
    let mut stage = Stage::set()?;
    namespaces::before_admission(&stage)?;
    tokens::try_real_tokens(&mut stage)?;
    states::prepare(&mut stage)?;
    requests::try_all(&mut stage)?;
    answers::try_all(&mut stage)?;
    line::try_all(&mut stage)?;
    outcomes::try_all(&mut stage)?;
    roads::try_all(&mut stage)?;
    namespaces::try_all(&mut stage)?;
    let failures = stage.failures();
    ensure!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        stage.tried(),
        failures.join("\n")
    );
    println!("{} cases", stage.tried());
    Ok(())
}
