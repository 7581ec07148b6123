//! What approvers are given to read: nothing that a terminal obeys, and nothing that nobody can read whole.

use anyhow::Result;

use crate::client::psql;
use crate::demo::{ALICE, BOB, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::run;

use super::requests::{answer, asked};
use super::second_person::named;

/// Takes a line back, turns the direction of what follows, and has something that is not seen.
const DECEIVING: &str = "DELETE FROM accounts WHERE id = -7831 AND 'x\u{1b}[2K\r\u{202e}\u{200b}' <> ''";
/// The same as it is to be seen.
const SEEN: &str = r"'x\u{1b}[2K\u{d}\u{202e}\u{200b}'";
/// What is to be seen nowhere.
const OBEYED: [char; 4] = ['\u{1b}', '\r', '\u{202e}', '\u{200b}'];
/// The most that a command may have.
const MOST: usize = 32 * 1024;

pub(super) fn nothing_to_obey(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let request = asked(demo, ALICE, DECEIVING)?;
    let name = request.as_str();
    for (what, words) in [
        ("in full", &["sallyport", "requests", name, "-n", DOORS][..]),
        ("in a list", &["sallyport", "requests", "-n", DOORS][..]),
        ("by plain kubectl", &["-n", DOORS, "get", "accessrequest", name][..]),
    ] {
        let shown = run(&mut demo.kubectl_as(BOB, words))?.ok()?;
        narrator.shows(&shown);
        narrator.check(
            &format!("bob reads it {what}, and his terminal obeys nothing"),
            shown.stdout.contains(SEEN) && !shown.stdout.contains(OBEYED),
        )?;
    }
    answer(demo, ALICE, "withdraw", name)?.ok().map(drop)
}

pub(super) fn too_long(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let statement = format!("DELETE FROM accounts WHERE id = -7841 /* {} */", "x".repeat(MOST));
    let mut command = psql(demo, ALICE, &[&statement])?;
    let refusal = run(command.env("PGOPTIONS", "-c sallyport.on_hold=refuse"))?;
    narrator.shows(&refusal);
    narrator.check(
        "a longer command is refused, and alice is told why",
        !refusal.stdout.contains("DELETE")
            && refusal.stderr.contains(&format!(
                "a command over {MOST} bytes with its parameters cannot be shown to an approver whole"
            )),
    )?;
    narrator.check("nobody is asked", named(&refusal.stderr).is_err())
}
