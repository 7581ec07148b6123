//! Whether a case came to what it has to.

use std::time::Duration;

use super::case::{Case, Expected, Seen};
use super::databases::Secrets;
use super::heard::Heard;

/// Whether the case leaks without the door: if not, it tests nothing.
pub fn seen_to_leak(case: &Case, direct: &[Heard; 2]) -> Result<(), String> {
    let [one, two] = direct;
    let seen = match case.seen {
        Seen::Values => one.content() != two.content(),
        Seen::Marks => marks(Secrets::BOTH[0]).iter().any(|mark| one.holds(mark)),
        Seen::Time => one.took > Duration::from_millis(200),
        Seen::Done => one.messages.iter().all(|message| message.tag != 'E') && !one.broken,
        Seen::No => true,
    };
    if seen {
        Ok(())
    } else {
        Err(format!("nothing leaks without the door: {one:?}"))
    }
}

/// Whether the answers through the door are as they have to be.
pub fn is_answered_as(
    expected: &Expected,
    case: &Case,
    direct: &[Heard; 2],
    masked: &[Heard; 2],
) -> Result<(), String> {
    let [one, two] = masked;
    if *expected == Expected::Any {
        return Ok(());
    }
    if (one.broken || two.broken) && *expected != Expected::Hidden {
        return Err(format!("the session broke: {one:?}"));
    }
    if *expected == Expected::Documented {
        return Ok(());
    }
    for (heard, secrets) in masked.iter().zip(Secrets::BOTH) {
        if let Some(mark) = marks(secrets).iter().find(|mark| heard.holds(mark)) {
            return Err(format!("LEAK of {}: {heard:?}", mark.escape_ascii()));
        }
    }
    match (one.refusal(), expected) {
        (Some(_), Expected::Mask) => return Err(format!("refused: {one:?}")),
        (None, Expected::Deny) => return Err(format!("not refused: {one:?}")),
        _ => {}
    }
    // Which of its ends a moment comes to is a matter of milliseconds: there the values have to be in neither.
    let momentary = case.seen == Seen::No && *expected == Expected::Hidden;
    let compared = !momentary && !matches!(case.seen, Seen::Marks | Seen::Time);
    if compared && one.content() != two.content() {
        return Err(format!("LEAK, the answers differ:\n    {one:?}\n    {two:?}"));
    }
    if one.broken {
        return Ok(());
    }
    let course = |heard: &Heard| {
        let mut course: Vec<char> = heard.course().chars().collect();
        if case.crowd {
            course.dedup();
        }
        course
    };
    if one.refusal().is_none() && course(one) != course(&direct[0]) {
        return Err(format!(
            "not answered as PostgreSQL answers, {} for {}: {one:?}",
            one.course(),
            direct[0].course()
        ));
    }
    if one.refusal().is_none() && one.shapes() != direct[0].shapes() {
        let (through, without) = (one.shapes(), direct[0].shapes());
        return Err(format!("columns are described otherwise, {through:?} for {without:?}"));
    }
    if case.whole && one.refusal().is_none() && one.rows() != direct[0].rows() {
        return Err(format!("rows are masked that tell nothing: {one:?}"));
    }
    Ok(())
}

/// The values as they stand in an answer, plainly or in the commonest disguises.
fn marks(secrets: Secrets) -> Vec<Vec<u8>> {
    let digits = secrets.card.replace(' ', "");
    let number: i64 = secrets.nine.parse().unwrap();
    let hex: String = secrets.ssn.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        secrets.ssn.into(),
        secrets.ssn.bytes().rev().collect(),
        secrets.nine.into(),
        secrets.card.into(),
        digits.into(),
        hex.into(),
        number.to_be_bytes().to_vec(),
    ]
}
