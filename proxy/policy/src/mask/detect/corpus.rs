//! Precision and recall of each detector over the labelled corpus, `corpus.txt`.
//!
//! Every run of the test prints the report.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::*;

const CORPUS: &str = include_str!("corpus.txt");

/// From this score on a hit has a check digit or a distinctive shape, and is to be right for that.
const STRONG: u8 = 90;

/// Fewest texts that hold what a detector has to find.
const FINDS: usize = 12;

/// A line of the corpus.
struct Line {
    kind: Kind,
    label: &'static str,
    text: String,
    /// Where what is to be found stands; `None` for a look-alike.
    wanted: Option<Span>,
}

/// What became of the lines of one detector.
#[derive(Default)]
struct Score {
    positives: usize,
    negatives: usize,
    found: usize,
    wrong: Vec<String>,
}

impl Score {
    fn recall(&self) -> f64 {
        ratio(self.found, self.positives)
    }

    fn precision(&self) -> f64 {
        let false_hits = self.wrong.iter().filter(|line| line.starts_with('+')).count();
        ratio(self.found, self.found + false_hits)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap());
    number(part) / number(whole.max(1))
}

fn lines() -> Vec<Line> {
    let lines = CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let [name, label, text] = line.splitn(3, '|').collect::<Vec<_>>()[..] else {
                panic!("{line}: DETECTOR|column|text");
            };
            let text = text.replace("\\n", "\n");
            let wanted = text.find('⟦').map(|start| {
                let end = text.find('⟧').unwrap() - '⟦'.len_utf8();
                Span { start, end }
            });
            Line {
                kind: Kind::from_name(name).unwrap_or_else(|| panic!("{line}: no such detector")),
                label,
                text: text.replace(['⟦', '⟧'], ""),
                wanted,
            }
        })
        .collect()
}

fn scores() -> BTreeMap<Kind, Score> {
    let mut scores: BTreeMap<Kind, Score> = BTreeMap::new();
    for line in lines() {
        let scanner = Scanner::new(&[(line.kind, 0, true)], Vec::new());
        let mut hits = Vec::new();
        scanner.scan(line.text.as_bytes(), Context::value(line.label.as_bytes()), &mut hits);
        let score = scores.entry(line.kind).or_default();
        let right = |hit: &Hit| {
            line.wanted
                .is_some_and(|wanted| (hit.start, hit.end) == (wanted.start, wanted.end))
        };
        match line.wanted {
            Some(_) => score.positives += 1,
            None => score.negatives += 1,
        }
        if hits.iter().any(right) {
            score.found += 1;
        } else if line.wanted.is_some() {
            score.wrong.push(format!("- {}={}", line.label, line.text));
        }
        if !hits.iter().all(right) {
            score.wrong.push(format!("+ {}={}", line.label, line.text));
        }
    }
    scores
}

#[test]
fn detectors_are_right_on_the_corpus() {
    let scores = scores();
    for detector in DETECTORS {
        let score = scores.get(&detector.kind);
        let score = score.unwrap_or_else(|| panic!("{} has no lines in the corpus", detector.name));
        // Past the harness, which keeps to itself what a test that passes prints.
        let _ = writeln!(
            std::io::stdout(),
            "{:24} precision {:.3} recall {:.3} ({} finds, {} look-alikes)",
            detector.name,
            score.precision(),
            score.recall(),
            score.positives,
            score.negatives
        );
        assert!(
            score.positives >= FINDS,
            "{}: {FINDS} finds, or a share of them says nothing",
            detector.name
        );
        assert!(
            score.negatives >= 5 * score.positives,
            "{}: five look-alikes for each find",
            detector.name
        );
    }
    for detector in DETECTORS {
        let Some(score) = scores.get(&detector.kind) else {
            continue;
        };
        let least = if detector.score >= STRONG { 0.98 } else { 0.9 };
        assert!(
            score.precision() >= least && score.recall() >= least,
            "{}: {:#?}",
            detector.name,
            score.wrong
        );
    }
}

#[test]
fn every_card_of_the_second_series_is_found() {
    // 2221 to 2720 (Mastercard), one number of each prefix with its check digit.
    for prefix in 2221..=2720 {
        let found = (0..10).filter(|digit| {
            let text = format!("{prefix} 0012 3400 567{digit}");
            let mut hits = Vec::new();
            Scanner::new(&[(Kind::CreditCard, 0, true)], Vec::new()).scan(
                text.as_bytes(),
                Context::value(b""),
                &mut hits,
            );
            !hits.is_empty()
        });
        assert_eq!(found.count(), 1, "{prefix}");
    }
}
