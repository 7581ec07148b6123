//! How fast text full of sensitive values is masked, with every built-in detector on.
//!
//! Prints one JSON object a line: name, value (the median), unit, runs, and how it was measured. An argument names the
//! measurements to take: those whose name contains it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_policy::mask::action::Action;
use sallyport_policy::mask::detect::DETECTORS;
use sallyport_policy::mask::{ColumnInfo, Format, Keys, MaskSet, Masker, Profile, RowPlan, Rule, RuleSet, Source};

const RUNS: usize = 9;
const RUN: Duration = Duration::from_millis(300);

fn main() {
    let dense = rows(&dense_fields);
    report(
        "mask/dense-all-detectors/gb-per-s",
        &plan(9, true),
        &dense,
        "one core, DataRows of about 276 bytes in 9 text columns, 6 of them sensitive, all built-in detectors redacting; bytes of rows in, over the time the thread ran",
    );
    let plain = rows(&plain_fields);
    report(
        "mask/plain-all-detectors/gb-per-s",
        &plan(9, true),
        &plain,
        "the same with rows in which nothing is found",
    );
    let hostile = HOSTILE.map(|unit| framed(&[unit.repeat((1 << 16) / unit.len())]));
    report(
        "mask/hostile-all-detectors/gb-per-s",
        &plan(1, true),
        &hostile,
        "the same with texts of 64 KiB, each built to cost one of the detectors the most",
    );
    report(
        "mask/dense-three-columns/gb-per-s",
        &plan(9, false),
        &dense,
        "the dense rows with three columns masked by column rules and no detector",
    );
    let binary: Vec<Vec<u8>> = (0..4096).map(binary_row).collect();
    report(
        "mask/binary-three-columns/gb-per-s",
        &binary_plan(),
        &binary,
        "rows of 69 bytes in binary: int4, text, and int8, text and date masked by column rules",
    );
}

/// What texts are made of that cost the most a byte.
const HOSTILE: [&str; 12] = [
    "pass=",
    "password: a\n",
    " password '",
    "xoxb-12345678-",
    "xoxb-",
    "BIC",
    "::",
    "a:*:",
    "1-",
    "1 1 1 1 1 ",
    "=+a+",
    "&#65;",
];

/// Rows of int4, text, int8, text and date in binary; the last three are masked.
fn binary_row(i: usize) -> Vec<u8> {
    let number = i32::try_from(i).unwrap_or(0);
    let fields = [
        number.to_be_bytes().to_vec(),
        b"Ada Lovelace".to_vec(),
        (536_900_000 + i64::from(number)).to_be_bytes().to_vec(),
        format!("4111 1111 1111 {i:04}").into_bytes(),
        (-7_000 + number).to_be_bytes().to_vec(),
    ];
    framed(&fields)
}

fn dense_fields(i: usize) -> Vec<String> {
    let ssn = format!("{:03}-{:02}-{:04}", 100 + i % 500, 1 + i % 98, 1 + i % 9998);
    vec![
        i.to_string(),
        "Ada Lovelace".into(),
        format!("ada.lovelace{i}@example.org"),
        ssn,
        "4111 1111 1111 1111".into(),
        "DE89 3704 0044 0532 0130 00".into(),
        "+1 415 555 0132".into(),
        "1815-12-10".into(),
        "Called about invoice 4711 on Monday, wants the statement sent to ada@analytical.example and asks that nobody \
         rings before nine; see ticket 88123."
            .into(),
    ]
}

fn plain_fields(i: usize) -> Vec<String> {
    vec![
        i.to_string(),
        "Ada Lovelace".into(),
        "mathematics".into(),
        format!("order {i}"),
        "analytical engine".into(),
        "2026-11-22 10:15:30".into(),
        "London".into(),
        "1815-12-10".into(),
        "Called about invoice 4711 on Monday, wants the statement sent by post and asks that nobody rings before nine; \
         see ticket 88123. No further action until the end of the month."
            .into(),
    ]
}

fn rows(fields: &dyn Fn(usize) -> Vec<String>) -> Vec<Vec<u8>> {
    (0..4096).map(|i| framed(&fields(i))).collect()
}

/// The body of a DataRow.
fn framed(fields: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(fields.len()).unwrap_or(0).to_be_bytes().to_vec();
    for field in fields {
        let field = field.as_ref();
        body.extend_from_slice(&i32::try_from(field.len()).unwrap_or(0).to_be_bytes());
        body.extend_from_slice(field);
    }
    body
}

fn masker(detectors: bool) -> Arc<Masker> {
    let rule = Rule {
        name: "bench".into(),
        uid: "bench".into(),
        generation: 1,
        action: Action::Redact,
        detectors: if detectors {
            DETECTORS.iter().map(|d| d.kind).collect()
        } else {
            Vec::new()
        },
        patterns: Vec::new(),
        columns: Vec::new(),
        profile: Profile::Standard,
        observe: false,
        integers: false,
        allow_writes: false,
        allow_equality: false,
    };
    MaskSet::new(vec![rule], Keys::default()).masker(&RuleSet::default())
}

fn binary_plan() -> RowPlan {
    let columns = [(23, false), (25, false), (20, true), (25, true), (1082, true)];
    let columns = columns.map(|(type_oid, protected)| ColumnInfo {
        name: "c".into(),
        type_oid,
        type_modifier: -1,
        format: Format::Binary,
        source: if protected {
            Source::Column(RuleSet::one(0))
        } else {
            Source::Plain
        },
        class: None,
    });
    masker(false).plan(&columns)
}

fn plan(columns: usize, detectors: bool) -> RowPlan {
    let masker = masker(detectors);
    let columns: Vec<ColumnInfo> = (0..columns)
        .map(|i| ColumnInfo {
            name: format!("c{i}"),
            type_oid: 25,
            type_modifier: -1,
            format: Format::Text,
            source: if !detectors && (2..5).contains(&i) {
                Source::Column(RuleSet::one(0))
            } else {
                Source::Plain
            },
            class: None,
        })
        .collect();
    masker.plan(&columns)
}

fn report(name: &str, plan: &RowPlan, rows: &[Vec<u8>], what: &str) {
    // Cargo itself passes `--bench`.
    if !std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .all(|arg| name.contains(&arg))
    {
        return;
    }
    let mut runs: Vec<f64> = (0..RUNS).map(|_| gigabytes_per_second(plan, rows)).collect();
    let shown: Vec<String> = runs.iter().map(|run| format!("{run:.3}")).collect();
    runs.sort_by(f64::total_cmp);
    let median = runs.get(RUNS / 2).copied().unwrap_or_default();
    println!(
        r#"{{"name":"{name}","value":{median:.3},"unit":"GB/s","runs":[{}],"what":"{what}"}}"#,
        shown.join(",")
    );
}

fn gigabytes_per_second(plan: &RowPlan, rows: &[Vec<u8>]) -> f64 {
    let (mut out, mut counts) = (Vec::with_capacity(1 << 20), plan.counts());
    let (start, mut bytes) = (Clock::start(), 0usize);
    while start.wall.elapsed() < RUN {
        out.clear();
        for row in rows {
            if plan.row(black_box(row), &mut out, &mut counts).is_err() {
                return 0.0;
            }
            bytes = bytes.saturating_add(row.len());
        }
        black_box(&out);
    }
    #[expect(clippy::cast_precision_loss, reason = "a throughput, not an account")]
    let bytes = bytes as f64;
    bytes / start.seconds() / 1e9
}

/// Time that this thread ran, so that a busy machine does not look like a slow mask; where the kernel does not say, time that
/// passed.
struct Clock {
    wall: Instant,
    ran: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            ran: ran(),
        }
    }

    fn seconds(&self) -> f64 {
        let ran = self.ran.and_then(|before| ran()?.checked_sub(before));
        ran.unwrap_or_else(|| self.wall.elapsed()).as_secs_f64()
    }
}

fn ran() -> Option<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
