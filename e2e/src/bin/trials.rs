//! Attacks and faults on the installed cluster of `make demo`: `sallyport-trials [WORD]` tries those whose name holds WORD.

use std::process::ExitCode;

use sallyport_e2e::demo::Demo;
use sallyport_e2e::trial;

fn main() -> ExitCode {
    let filter = std::env::args().nth(1).unwrap_or_default();
    match Demo::open().map(|demo| trial::try_all(&demo, &filter)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(cause) => {
            eprintln!("{cause:#}");
            ExitCode::FAILURE
        }
    }
}
