//! Who loses their right is out: everybody who is in, at every replica, in words.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::client::ask;
use crate::demo::{ALICE, CONNECTION, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::Running;

use super::identity::refused;
use super::requests::{shown, text};
use super::session::at_work;
use super::undo::Undo;
use super::{SETTLE, answers, pods};

const GROUP: &str = "oidc:engineers";
const LONG: &str = "SELECT pg_sleep(420)";
/// How soon whoever is taken out is out.
const SOON: Duration = Duration::from_secs(1);
/// A machine that has something else to do may need another try.
const TRIES: usize = 3;

/// How long it took until the last one was out.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// Since the edit was sent, with the time that kubectl needs for itself.
    sent: Duration,
    /// Since the API server's answer to it was there.
    answered: Duration,
}

pub(super) fn taken_out(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let connection = shown(demo, &format!("connection/{CONNECTION}"))?;
    let subjects = connection.pointer("/spec/subjects").and_then(Value::as_array);
    let (out, others): (Vec<&Value>, Vec<&Value>) = subjects
        .context("the Connection's subjects")?
        .iter()
        .partition(|subject| text(subject, "/name") == GROUP);
    ensure!(out.len() == 1, "{GROUP} is not among the subjects: {subjects:?}");
    let mut fastest: Option<Took> = None;
    for _ in 0..TRIES {
        let took = round(demo, narrator, &[&out[..], &others[..]].concat(), &others)?;
        narrator.shows_text(&format!(
            "out {} ms after the API server's answer, {} ms after kubectl was started",
            took.answered.as_millis(),
            took.sent.as_millis()
        ));
        fastest = fastest.into_iter().chain([took]).min_by_key(|took| took.answered);
        if took.answered <= SOON {
            break;
        }
    }
    let fastest = fastest.context("nothing was tried")?;
    narrator.check(
        &format!("out within {SOON:?} of the edit's being stored"),
        fastest.answered <= SOON,
    )
}

/// Somebody works at every replica; the group is taken out and put back.
fn round(demo: &Demo, narrator: &mut Narrator, subjects: &[&Value], others: &[&Value]) -> Result<Took> {
    let edit = ["-n", DOORS, "patch", "connection", CONNECTION, "--type=merge", "-p"];
    let naming = |subjects: &[&Value]| json!({"spec": {"subjects": subjects}}).to_string();
    let (fewer, as_before) = (naming(others), naming(subjects));
    let mut sessions = Vec::new();
    for pod in pods::of_door(demo)? {
        sessions.push(Running::start(&mut pods::psql(demo, &pod, LONG)?)?);
    }
    at_work(demo, LONG, sessions.len())?;
    let took = {
        let _undo = Undo::by(demo, &[&edit[..], &[&as_before]].concat());
        let sent = Instant::now();
        demo.admin(&[&edit[..], &[&fewer]].concat())?;
        let answered = Instant::now();
        let (mut said, mut last) = (Vec::new(), answered);
        for session in &mut sessions {
            let (came, words) = session.line_came(SETTLE, |line| line.contains("FATAL"))?;
            last = last.max(came);
            said.push(words);
        }
        let took = Took {
            sent: last.saturating_duration_since(sent),
            answered: last.saturating_duration_since(answered),
        };
        narrator.shows_text(&said.concat());
        narrator.check(
            &format!("each of {} sessions is told in words", said.len()),
            !said.is_empty()
                && said
                    .iter()
                    .all(|said| said.contains("may not go on under the present rules")),
        )?;
        narrator.check(
            "and nobody of the group comes in",
            refused(&ask(demo, ALICE, &["SELECT 1"])?),
        )?;
        took
    };
    for session in sessions {
        session.finish(SETTLE)?;
    }
    answers(demo)?;
    Ok(took)
}
