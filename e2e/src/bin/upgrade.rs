//! An upgrade from an earlier version, which is installed on the cluster of `make upgrade-test`, to the present one, under load, and
//! the way back: `sallyport-upgrade CHECKOUT IMAGE-OF-BEFORE IMAGE-OF-NOW`.

use std::path::Path;
use std::process::ExitCode;

use sallyport_e2e::demo::Demo;
use sallyport_e2e::trial;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkout, before, after] = arguments.as_slice() else {
        eprintln!("usage: sallyport-upgrade CHECKOUT IMAGE-OF-BEFORE IMAGE-OF-NOW");
        return ExitCode::FAILURE;
    };
    match Demo::open().and_then(|demo| trial::upgrade_from(&demo, Path::new(checkout), before, after)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("\x1b[31mfailed:\x1b[0m {cause:#}");
            ExitCode::FAILURE
        }
    }
}
