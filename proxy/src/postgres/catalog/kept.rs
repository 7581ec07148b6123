//! What is known of a catalog from before, and what is asked for beside it.

use sallyport_policy::catalog::{Catalog as _, Oid, Snapshot};

use super::queries::{self, Since};
use super::reader::Expressions;
use crate::postgres::ask::{AskError, Row, ask};
use crate::postgres::dial::Reached;

/// What a lock cannot be had for.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// How often a catalog is asked for: a lock that was taken while it was read is left alone the next time.
const TRIES: u32 = 3;

/// Expressions that may have gone since all were read, before all are read again.
const GONE: usize = 1_024;

/// Code as the last reading of the catalog found it.
pub(super) struct KeptCode {
    /// The versions of what it was told by, of the same moment.
    pub(super) versions: Vec<Row>,
    /// Its names.
    pub(super) namesakes: Vec<Row>,
    /// Expressions that are read each time.
    pub(super) watched: Vec<Oid>,
    /// How many there were when all were read.
    pub(super) whole: usize,
}

/// What [`queries::ENDED`] said in front of the last two questions for the catalog, on this connection. What the last one brought
/// could be told by names that a commit had just changed, so what is known has to be as old as the one before.
#[derive(Default)]
pub(super) struct Ended {
    last: Option<u64>,
    before: Option<u64>,
}

// === impl KeptCode ===

impl KeptCode {
    /// Whether this answer, which ends with the versions and COMMIT, is of the same code.
    pub(super) fn is_same(&self, results: &[Vec<Row>]) -> bool {
        matches!(results, [.., versions, _] if !versions.is_empty() && *versions == self.versions)
    }

    /// Whether it is worth to go by it: expressions that are gone are remembered, too.
    pub(super) fn is_worth(&self, expressions: &Expressions) -> bool {
        expressions.len() <= self.whole * 2 + GONE
    }
}

// === impl Ended ===

impl Ended {
    /// What the next question leaves out, where this was read last. `next`: the first transaction that has no number yet.
    pub(super) fn since(&self, next: Option<u64>, last: &Snapshot) -> Option<Since> {
        let undefined = last.relations().filter(|one| one.is_undefined()).map(|one| one.oid);
        Since::new(self.before?, next?, undefined.collect())
    }

    pub(super) fn follow(&mut self, now: Option<u64>) {
        self.before = std::mem::replace(&mut self.last, now);
    }
}

/// The whole catalog, or what of it is not known; and whether its code is what it was, and left out.
pub(super) async fn unknown(
    reached: &mut Reached,
    prepared: &mut bool,
    since: Option<&Since>,
    code: Option<&KeptCode>,
) -> Result<(Vec<Vec<Row>>, bool), AskError> {
    let Some(since) = since else {
        return Ok((read(reached, &queries::snapshot()).await?, false));
    };
    if !*prepared {
        ask(&mut reached.wire, &queries::rest_prepared()).await?;
        *prepared = true;
    }
    if let Some(code) = code {
        let results = read(reached, &queries::rest(since, Some(&code.watched))).await?;
        if code.is_same(&results) {
            return Ok((results, true));
        }
    }
    Ok((read(reached, &queries::rest(since, None)).await?, false))
}

/// The answer to a question for the catalog, once nobody's lock is in its way.
async fn read(reached: &mut Reached, question: &str) -> Result<Vec<Vec<Row>>, AskError> {
    let mut tries = 1;
    loop {
        match ask(&mut reached.wire, question).await {
            Err(AskError::Refused(code)) if code == LOCK_NOT_AVAILABLE && tries < TRIES => {
                ask(&mut reached.wire, "ROLLBACK").await?;
                tries += 1;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_the_same_by_the_versions_of_its_moment() {
        let row = |value: &str| vec![vec![Some(value.to_owned())]];
        let kept = |versions: Vec<Row>| KeptCode {
            versions,
            namesakes: Vec::new(),
            watched: Vec::new(),
            whole: 0,
        };
        assert!(kept(row("{7,1}")).is_same(&[row("f"), row("{7,1}"), Vec::new()]));
        assert!(!kept(row("{7,1}")).is_same(&[row("{7,1}"), row("{7,2}"), Vec::new()]));
        assert!(
            !kept(Vec::new()).is_same(&[row("f"), Vec::new(), Vec::new()]),
            "nothing was said"
        );
        assert!(!kept(row("{7,1}")).is_same(&[]));
    }

    #[test]
    fn what_is_gone_is_not_remembered_for_ever() {
        let kept = KeptCode {
            versions: Vec::new(),
            namesakes: Vec::new(),
            watched: Vec::new(),
            whole: 1,
        };
        let many =
            |count: u32| -> Expressions { (0..count).map(|oid| ((2604, oid), (String::new(), false))).collect() };
        assert!(kept.is_worth(&many(1_026)) && !kept.is_worth(&many(1_027)));
    }

    #[test]
    fn what_may_run_code_and_what_is_not_here_is_read_each_time() {
        let row = |values: &[Option<&str>]| -> Row { values.iter().map(|value| value.map(str::to_owned)).collect() };
        let expression = |owner, text, ours, object, types| {
            let columns = [
                Some(owner),
                Some("w"),
                text,
                Some(ours),
                Some("2604"),
                Some(object),
                Some("7"),
                types,
            ];
            row(&columns)
        };
        let results = [
            vec![row(&["10", "public", "t", "r", "f"].map(Some))],
            Vec::new(),
            Vec::new(),
            Vec::new(),
            vec![
                expression("10", Some("now()"), "f", "31", None),
                expression("10", Some("public.f()"), "t", "32", None),
                expression("10", Some("'a'::public.label"), "f", "33", Some("20000")),
                expression("10", None, "f", "34", None),
                expression("99", Some("now()"), "f", "35", None),
            ],
            Vec::new(),
        ];
        let read = super::super::reader::read(&results, &Expressions::new(), &Snapshot::default()).unwrap();
        assert_eq!(read.watched, [32, 33, 34, 35]);
    }
}
