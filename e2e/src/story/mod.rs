//! The story: what Sallyport is for, in ten steps.

mod approval;
mod evidence;
mod operations;
mod reading;
mod refusal;
mod setup;

use anyhow::{Context, Result};

use crate::demo::Demo;
use crate::narrator::Narrator;

type Step = fn(&Demo, &mut Narrator) -> Result<()>;

/// The steps in order. Each can be told again on the same cluster.
const STEPS: [(&str, Step); 10] = [
    (
        "GitOps applies the samples, and waits until every proxy enforces them",
        setup::apply_samples,
    ),
    ("alice reads customers; what she may not see is masked", reading::table),
    ("alias, COPY, an error, a view: still masked", reading::ways_out),
    ("bob, a DBA, is exempt where the rule says so", reading::exempt),
    (
        "a DELETE waits for a second person, and runs in place once bob approves",
        approval::held_delete,
    ),
    (
        "alice cannot approve herself: the API server refuses",
        approval::self_approval,
    ),
    ("DROP TABLE is refused, and the session lives on", refusal::drop_table),
    ("mallory gets no further than the door", refusal::mallory),
    ("the log is proved, and a tampered copy refuted", evidence::verify),
    ("what an admin scrapes", operations::metrics),
];

/// Tells the whole story.
///
/// # Errors
/// At the first step that does not hold.
pub fn tell(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    for (title, step) in STEPS {
        narrator.step(title);
        step(demo, narrator).with_context(|| title.to_owned())?;
    }
    Ok(())
}
