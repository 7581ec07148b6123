//! Measures the door against a direct connection and PgBouncer, in interleaved rounds of one run.
//!
//! Writes one JSON object a line to the file that the first argument names; further arguments pick measurements: those whose
//! name contains one of them.

use std::process::ExitCode;

use sallyport_e2e::bench;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        eprintln!("usage: sallyport-bench REPORT [PART OF A NAME...]");
        return ExitCode::FAILURE;
    };
    match bench::run(file.as_ref(), &arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("the bench broke off: {cause:#}");
            ExitCode::FAILURE
        }
    }
}
