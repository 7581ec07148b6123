//! `sallyport-recorder`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport_recorder::program::main()
}
