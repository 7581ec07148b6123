//! Reading through the masks.

use anyhow::Result;

use crate::client::{ask, ask_directly, psql};
use crate::demo::{ALICE, BOB, Demo};
use crate::narrator::Narrator;
use crate::run::{Output, run};

/// Row 1 of the demo's bank: what must never be seen.
const SECRETS: [&str; 5] = [
    "536-90-4399",
    "5100000000000016",
    "DE38100100100000007919",
    "customer1@mail.example",
    "415 555 0001",
];

pub(super) fn table(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let direct = ask_directly(demo, "SELECT * FROM customers WHERE id = 1")?;
    narrator.check(
        "asked directly, the database shows everything",
        SECRETS.iter().all(|secret| direct.stdout.contains(secret)),
    )?;
    let mut command = psql(demo, ALICE, &["SELECT * FROM customers ORDER BY id LIMIT 4"])?;
    narrator.types("alice", &command);
    let output = run(&mut command)?.ok()?;
    narrator.shows(&output);
    narrator.check("the rows are there", output.stdout.contains("(4 rows)"))?;
    hidden(narrator, &output)?;
    let all = ask(demo, ALICE, &["SELECT * FROM customers"])?.ok()?;
    narrator.check("all 10,000 of them", all.stdout.contains("(10000 rows)"))?;
    narrator.check("a number in a note is found too", !all.stdout.contains("601-45-6789"))?;
    narrator.check(
        "an order number is not mistaken for one",
        all.stdout.contains("order 1002000004"),
    )
}

pub(super) fn ways_out(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let ways: [(&str, bool); 6] = [
        ("SELECT c.ssn AS harmless FROM customers AS c WHERE c.id = 1", true),
        (
            "COPY (SELECT * FROM customers WHERE id = 1) TO STDOUT WITH (FORMAT csv, DELIMITER '6')",
            true,
        ),
        ("SELECT tax_reference FROM customer_directory WHERE id = 1", true),
        (
            "SELECT left(ssn, 11) || '' AS glued, reverse(ssn) FROM customers WHERE id = 1",
            true,
        ),
        ("SELECT ssn::int FROM customers WHERE id = 1", false),
        (
            "INSERT INTO customers SELECT 20000, name, 'x@y.example', ssn, card, iban, phone, dob, notes FROM customers WHERE id = 1",
            false,
        ),
    ];
    for (statement, answered) in ways {
        let mut command = psql(demo, ALICE, &[statement])?;
        narrator.types("alice", &command);
        let output = run(&mut command)?;
        narrator.shows(&output);
        hidden(narrator, &output)?;
        if answered {
            narrator.check("answered", output.status.success())?;
        }
    }
    Ok(())
}

pub(super) fn exempt(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let mut command = psql(demo, BOB, &["SELECT id, dob FROM customers WHERE id = 1"])?;
    narrator.types("bob", &command);
    let output = run(&mut command)?.ok()?;
    narrator.shows(&output);
    narrator.check("bob sees the date of birth", output.stdout.contains("1940-02-07"))?;
    let alice = ask(demo, ALICE, &["SELECT id, dob FROM customers WHERE id = 1"])?.ok()?;
    narrator.check("alice does not", !alice.stdout.contains("1940-02-07"))
}

fn hidden(narrator: &mut Narrator, output: &Output) -> Result<()> {
    let all = output.all();
    let backwards: String = "536-90-4399".chars().rev().collect();
    let leaked = SECRETS.iter().any(|secret| all.contains(secret)) || all.contains(&backwards);
    narrator.check("no protected value in the answer", !leaked)
}
