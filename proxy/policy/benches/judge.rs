//! What judging one statement costs: read it, follow its values, decide.
//!
//! Prints one JSON object a line: name, value (the median), unit, runs, and how it was measured. An argument names the
//! measurements to take: those whose name contains it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sallyport_policy::carrier::Carrier;
use sallyport_policy::catalog::{Column, Relation, SearchPath, Snapshot};
use sallyport_policy::decide::Command;
use sallyport_policy::{Policy, Subject, sql};

const RUNS: usize = 9;
const RUN: Duration = Duration::from_millis(200);

const SIMPLE: &str = "select id, name from customers where id = $1";
const JOIN: &str = "select c.name, o.total, sum(o.total) over (partition by c.id) from customers c join orders o on \
                    o.customer = c.id left join items i using (oid) where c.id = $1 and o.state in ('a', 'b') order by 1 limit 10";

/// The same but for a number.
const LITERALS: [&str; 3] = [
    "select id, name from customers where id = 1001",
    "select id, name from customers where id = 2002",
    "select id, name from customers where id = 3003",
];

fn main() {
    trees();
    let (catalog, path) = (
        snapshot(),
        SearchPath::from_setting("public", "app", None).unwrap_or_default(),
    );
    for (name, text) in [("simple", SIMPLE), ("join", JOIN)] {
        report(&format!("judge/parse-{name}/us"), "parse alone", || {
            black_box(sql::parse(black_box(text)).is_ok());
        });
        let Ok(script) = sql::parse(text) else { return };
        let Some(statement) = script.statements.first() else {
            return;
        };
        report(
            &format!("judge/lineage-{name}/us"),
            "lineage of a parsed statement",
            || {
                black_box(sql::lineage(black_box(statement), &catalog, &path));
            },
        );
        let Some(policy) = policy() else { return };
        let subject = Subject {
            username: "oidc:alice".into(),
            ..Subject::default()
        };
        report(
            &format!("judge/decide-{name}/us"),
            "one policy of three rules, two of them expressions",
            || {
                let command = Command::of(black_box(statement), text);
                black_box(policy.decide(&subject, &command));
            },
        );
    }
}

/// What a tree costs that is kept, and one that is not.
fn trees() {
    let mut shapes = sql::Shapes::default();
    let [first, second, third] = LITERALS;
    shapes.note(first);
    shapes.note(second);
    report(
        "judge/tree-cache-miss/us",
        "a text of a shape that is not known, parsed",
        || {
            black_box(sql::parse(black_box(third)).is_ok());
        },
    );
    // A line that tells of nothing is worse than none.
    if shapes.read(third).is_some() {
        report(
            "judge/tree-cache-hit/us",
            "the same text, read off the tree of another",
            || {
                black_box(shapes.read(black_box(third)).is_some());
            },
        );
    }
}

fn report(name: &str, what: &str, work: impl Fn()) {
    if std::env::args()
        .skip(1)
        .any(|wanted| !wanted.starts_with('-') && !name.contains(&wanted))
    {
        return;
    }
    let mut runs: Vec<f64> = (0..RUNS).map(|_| run(&work)).collect();
    runs.sort_by(f64::total_cmp);
    let value = runs.get(RUNS / 2).copied().unwrap_or_default();
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": "us", "runs": runs, "what": what })
    );
}

fn run(work: &impl Fn()) -> f64 {
    let (start, mut count) = (Instant::now(), 0u32);
    while start.elapsed() < RUN {
        (0..64).for_each(|_| work());
        count += 64;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count.max(1))
}

fn snapshot() -> Snapshot {
    let relation = |oid: u32, name: &str, columns: &[&str]| Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: columns
            .iter()
            .zip(1..)
            .map(|(name, attnum)| Column {
                attnum,
                name: (*name).into(),
                type_oid: 25,
                generated: None,
            })
            .collect(),
        ..Relation::default()
    };
    Snapshot::new(vec![
        relation(
            10,
            "customers",
            &["id", "name", "ssn", "card", "iban", "phone", "dob", "notes"],
        ),
        relation(11, "orders", &["oid", "customer", "total", "state"]),
        relation(12, "items", &["oid", "item", "count"]),
    ])
}

fn policy() -> Option<Policy> {
    let carrier = serde_json::json!({
        "format": 1,
        "revision": 1,
        "connection": {
            "namespace": "doors", "name": "bank", "uid": "u", "generation": 1,
            "spec": {
                "protocol": "PostgreSQL",
                "target": { "host": "db", "port": 5432 },
                "credentialsRef": { "name": "c" },
                "subjects": [],
                "requires": { "none": true },
                "sinks": [],
                "identity": {},
            },
        },
        "maskingRules": [],
        "approvalPolicies": [{ "name": "p", "uid": "u", "generation": 1, "spec": {
            "connectionSelector": { "matchLabels": { "a": "b" } },
            "rules": [
                { "name": "drop", "match": { "cel": "command.verbs.exists(v, v in ['drop', 'truncate'])" }, "action": "Deny" },
                { "name": "risky", "match": { "riskAtLeast": 60 }, "action": "Deny" },
                { "name": "reads", "match": { "cel": "command.read_only && 'select' in command.verbs" }, "action": "Allow" },
            ],
        } }],
        "sinks": [],
        "issuers": [],
        "settings": {},
    });
    let carrier: Carrier = serde_json::from_value(carrier).ok()?;
    Policy::compile(&carrier).ok()
}
