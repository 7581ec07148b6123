//! Precision and recall of each detector over the labelled corpus, `corpus.txt`, and apart from it over `heldout.txt`, which no
//! detector was mended by, and `fresh.txt`, which was written apart from the detectors and their documentation.
//!
//! Every run of the tests prints the reports.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::*;

const CORPUS: &str = include_str!("corpus.txt");
const HELD_OUT: &str = include_str!("heldout.txt");
const FRESH: &str = include_str!("fresh.txt");

/// From this score on a hit has a check digit or a distinctive shape, and is to be right for that.
const STRONG: u8 = 90;

/// Fewest texts that hold what a detector has to find.
const FINDS: usize = 12;

/// A line of the corpus.
#[derive(Clone)]
struct Line {
    /// Whose line it is; each has to leave alone one of nobody.
    kind: Option<Kind>,
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

fn lines(corpus: &'static str) -> Vec<Line> {
    let lines = corpus.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let [name, label, text] = line.splitn(3, '|').collect::<Vec<_>>()[..] else {
                panic!("{line}: DETECTOR|column|text");
            };
            let text = unescaped(text);
            let wanted = text.find('⟦').map(|start| {
                let end = text.find('⟧').unwrap() - '⟦'.len_utf8();
                Span::new(start, end).unwrap()
            });
            Line {
                kind: (name != "*")
                    .then(|| Kind::from_name(name).unwrap_or_else(|| panic!("{line}: no such detector"))),
                label,
                text: text.replace(['⟦', '⟧'], ""),
                wanted,
            }
        })
        .collect()
}

/// `\n` as a new line, `\\` as one backslash, `\u{200b}` as that character; other backslashes stand for themselves.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let (character, length) = match escape.as_bytes() {
            [_, b'n', ..] => ('\n', 2),
            [_, b'\\', ..] => ('\\', 2),
            [_, b'u', b'{', ..] => {
                let (_, number) = escape.split_at(3);
                let (number, _) = number.split_once('}').unwrap();
                let character = u32::from_str_radix(number, 16).ok().and_then(char::from_u32);
                (character.unwrap(), number.len() + 4)
            }
            _ => ('\\', 1),
        };
        out.push_str(before);
        out.push(character);
        (_, rest) = escape.split_at(length);
    }
    out + rest
}

/// By detector, each of which has lines; told past the harness, which keeps to itself what a test that passes prints.
fn scores(name: &str, corpus: &'static str) -> BTreeMap<Kind, Score> {
    let mut scores: BTreeMap<Kind, Score> = BTreeMap::new();
    let tried = |line: Line| {
        let kinds = DETECTORS.iter().map(|detector| detector.kind);
        let kinds = kinds.filter(move |kind| line.kind.is_none_or(|of| of == *kind));
        kinds.map(|kind| (kind, line.clone())).collect::<Vec<_>>()
    };
    for (kind, line) in lines(corpus).into_iter().flat_map(tried) {
        let scanner = Scanner::new(&[(kind, 0, true)], Vec::new());
        let mut hits = Vec::new();
        scanner.scan(line.text.as_bytes(), Context::value(line.label.as_bytes()), &mut hits);
        let score = scores.entry(kind).or_default();
        let right = |hit: &Hit| {
            line.wanted
                .is_some_and(|wanted| (hit.start, hit.end) == (wanted.start, wanted.end()))
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
    for detector in DETECTORS {
        let score = scores.get(&detector.kind);
        let score = score.unwrap_or_else(|| panic!("{} has no lines in {name}", detector.name));
        let _ = writeln!(
            std::io::stdout(),
            "{name} {:24} precision {:.3} recall {:.3} ({} finds, {} look-alikes)",
            detector.name,
            score.precision(),
            score.recall(),
            score.positives,
            score.negatives
        );
    }
    scores
}

#[test]
fn detectors_are_right_on_the_corpus() {
    let scores = scores("corpus", CORPUS);
    for detector in DETECTORS {
        let score = &scores[&detector.kind];
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
fn what_has_a_check_digit_or_a_fixed_shape_is_held_to_more() {
    for kind in [
        Kind::CreditCard,
        Kind::IbanCode,
        Kind::UsNpi,
        Kind::AbaRoutingNumber,
        Kind::UsSsn,
        Kind::UsItin,
        Kind::EmailAddress,
        Kind::MacAddress,
        Kind::SwiftCode,
        Kind::UrlWithCredentials,
        Kind::AwsCredentials,
        Kind::GcpApiKey,
        Kind::AzureAuthToken,
        Kind::GithubToken,
        Kind::SlackToken,
        Kind::StripeApiKey,
        Kind::JsonWebToken,
        Kind::PemPrivateKey,
    ] {
        let detector = DETECTORS.iter().find(|detector| detector.kind == kind).unwrap();
        assert!(detector.score >= STRONG, "{}", detector.name);
    }
}

#[test]
fn detectors_are_right_on_what_none_was_mended_by() {
    are_right_together("held-out", HELD_OUT);
}

#[test]
fn detectors_are_right_on_what_was_written_apart_from_them() {
    are_right_together("fresh", FRESH);
}

fn are_right_together(name: &str, corpus: &'static str) {
    let scores = scores(name, corpus);
    let sum = |part: fn(&Score) -> usize| scores.values().map(part).sum::<usize>();
    let (wanted, found) = (sum(|score| score.positives), sum(|score| score.found));
    let false_hits = sum(|score| score.wrong.iter().filter(|line| line.starts_with('+')).count());
    let (precision, recall) = (ratio(found, found + false_hits), ratio(found, wanted));
    let _ = writeln!(std::io::stdout(), "{name} precision {precision:.3} recall {recall:.3}");
    // So few lines of each say little about one detector: all of them together are held to a bound.
    let wrong: Vec<_> = scores.iter().map(|(kind, score)| (kind.name(), &score.wrong)).collect();
    assert!(precision >= 0.85 && recall >= 0.85, "{wrong:#?}");
}

#[test]
fn what_is_to_be_found_is_hidden_whole_where_all_detectors_are_on() {
    let kinds: Vec<_> = (0..)
        .zip(DETECTORS)
        .map(|(entry, one)| (one.kind, entry, true))
        .collect();
    let scanner = Scanner::new(&kinds, Vec::new());
    let mut shown = Vec::new();
    for line in [CORPUS, HELD_OUT].into_iter().flat_map(lines) {
        let Some(wanted) = line.wanted else { continue };
        let mut hits = Vec::new();
        scanner.scan(line.text.as_bytes(), Context::value(line.label.as_bytes()), &mut hits);
        // What another detector finds around it hides it as well.
        let hidden = |byte: usize| hits.iter().any(|hit| (hit.start..hit.end).contains(&byte));
        if !(wanted.start..wanted.end()).all(hidden) {
            let kind = line.kind.map_or("*", Kind::name);
            shown.push(format!("{kind} {}={}", line.label, line.text));
        }
    }
    assert!(shown.is_empty(), "{shown:#?}");
}

#[test]
fn no_text_is_in_both_files() {
    let corpus: Vec<_> = lines(CORPUS).into_iter().map(|line| line.text).collect();
    for line in lines(HELD_OUT) {
        let told = corpus.iter().any(|text| line.wanted.is_some() && *text == line.text);
        assert!(!told, "{}", line.text);
    }
}

#[test]
fn every_card_of_the_second_series_is_found() {
    // 2221 to 2720 (Mastercard), one number of each prefix with its check digit, as it is written.
    for (prefix, sign) in (2221..=2720).flat_map(|prefix| ["", " ", "-"].map(|sign| (prefix, sign))) {
        let found = (0..10).filter(|digit| {
            let text = [prefix.to_string(), "0012".into(), "3400".into(), format!("567{digit}")].join(sign);
            let mut hits = Vec::new();
            Scanner::new(&[(Kind::CreditCard, 0, true)], Vec::new()).scan(
                text.as_bytes(),
                Context::value(b""),
                &mut hits,
            );
            hits.iter().any(|hit| (hit.start, hit.end) == (0, text.len()))
        });
        assert_eq!(found.count(), 1, "{prefix} {sign:?}");
    }
}
