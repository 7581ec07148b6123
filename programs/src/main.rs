//! The programs of the image in one file. Which of them it is, its name says: `sallyport-operator`, `sallyport-proxy` and
//! `sallyport-recorder` are links to it.

use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    match Path::new(&called).file_name().and_then(|name| name.to_str()) {
        Some("sallyport-operator") => sallyport_operator::program::main(),
        Some("sallyport-proxy") => sallyport_proxy::program::main(),
        Some("sallyport-recorder") => sallyport_recorder::program::main(),
        _ => {
            eprintln!("call it by a link named sallyport-operator, sallyport-proxy or sallyport-recorder");
            ExitCode::FAILURE
        }
    }
}
