//! People as they log in: at the identity provider's own page. Only such a token says when that was.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::demo::{Demo, User};
use crate::run::{LIMIT, Running, run};

use super::Skipped;

/// A token for the door by which that person has logged in just now.
pub(super) fn token(demo: &Demo, user: User) -> Result<String> {
    token_of(demo, user, "sallyport")
}

/// The same of any client at the identity provider: `kubectl sallyport login` asks for it, and they say yes in a browser.
pub(super) fn token_of(demo: &Demo, user: User, client: &str) -> Result<String> {
    if !demo.variable("SALLYPORT_FOREIGN").is_empty() {
        bail!(Skipped("this machine has no route to the identity provider"));
    }
    let kept = demo.path(&format!("trial-login-{}", user.0));
    let sallyport = |words: &[&str]| -> Command {
        let mut command = demo.kubectl(&[&["sallyport"][..], words].concat());
        command.env("XDG_STATE_HOME", &kept);
        command
    };
    let authority = demo.variable("SALLYPORT_ISSUER_CA");
    let mut login = Running::start(&mut sallyport(&["login", "--client-id", client, "--ca", authority]))?;
    let said = login.wait_for_line(LIMIT, |line| line.starts_with("and compare the code"))?;
    let page = said.lines().find_map(|line| line.strip_prefix("open "));
    let page = page.with_context(|| format!("no page is named in: {said}"))?;
    let mut browser = demo.command("bash");
    browser
        .arg(demo.repository().join("e2e/demo/sign-in"))
        .args([page, user.0]);
    run(&mut browser)?.ok()?;
    login.finish(LIMIT)?.ok()?;
    let token = run(&mut sallyport(&["token"]))?.ok()?.stdout;
    std::fs::remove_dir_all(&kept)?;
    Ok(token.trim().to_owned())
}
