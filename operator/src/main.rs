//! `sallyport-operator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport_operator::program::main()
}
