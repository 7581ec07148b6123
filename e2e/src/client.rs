//! psql through the door, as a person uses it.

use std::process::Command;

use anyhow::Result;

use crate::demo::{Demo, User};
use crate::run::{Output, Running, run};

/// psql as `user`, through the door, with the statements in one go.
///
/// # Errors
/// When there is no token.
pub fn psql(demo: &Demo, user: User, statements: &[&str]) -> Result<Command> {
    Ok(psql_by(demo, user, &demo.token(user)?, statements))
}

/// The same by a password of the caller's: a token that was had in another way, or two.
pub fn psql_by(demo: &Demo, user: User, password: &str, statements: &[&str]) -> Command {
    let mut command = demo.command("psql");
    command
        .env("PGPASSWORD", password)
        .env("PGUSER", user.0)
        // Less than a program may take: a connection that nobody answers says so.
        .env("PGCONNECT_TIMEOUT", "60")
        .args(["-X", "-P", "pager=off"]);
    for statement in statements {
        command.args(["-c", statement]);
    }
    command
}

/// Runs psql through the door.
///
/// # Errors
/// When there is no token or psql does not end in time. What the server answers is in the output.
pub fn ask(demo: &Demo, user: User, statements: &[&str]) -> Result<Output> {
    run(&mut psql(demo, user, statements)?)
}

/// Starts psql through the door and leaves it running.
///
/// # Errors
/// When there is no token or psql cannot be started.
pub fn start(demo: &Demo, user: User, statements: &[&str]) -> Result<Running> {
    Running::start(&mut psql(demo, user, statements)?)
}

/// Runs psql at the target itself, past the door.
///
/// # Errors
/// When psql does not end in time.
pub fn ask_directly(demo: &Demo, statement: &str) -> Result<Output> {
    let mut command = demo.command("psql");
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD"] {
        command.env(name, demo.variable(&format!("DIRECT_{name}")));
    }
    command
        .env("PGSSLMODE", "require")
        .env_remove("PGSSLROOTCERT")
        .env_remove("PGHOSTADDR");
    run(command.args(["-X", "-At", "-c", statement]))
}
