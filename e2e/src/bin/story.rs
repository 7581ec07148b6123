//! Tells the story of `make demo` on the installed cluster, step by step, each step checked.

use std::process::ExitCode;

use sallyport_e2e::demo::Demo;
use sallyport_e2e::narrator::Narrator;
use sallyport_e2e::story;

fn main() -> ExitCode {
    let told = Demo::open().and_then(|demo| story::tell(&demo, &mut Narrator::default()));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("\n\x1b[31mthe story broke off:\x1b[0m {cause:#}");
            ExitCode::FAILURE
        }
    }
}
