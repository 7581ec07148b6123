//! Nothing that is masked stands anywhere that people read later: logs, records, objects, events, metrics.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::client::{ask, ask_directly};
use crate::demo::{ALICE, DOORS, Demo, EVIDENCE, SYSTEM};
use crate::narrator::Narrator;
use crate::run::run;

use super::{answers, records, scrape};

/// Each makes the target, or the door, say a value of its own accord; none has a value in its text.
const TEMPTATIONS: [&str; 9] = [
    "SELECT id, ssn, card, iban, email, phone, notes FROM customers WHERE id < 50",
    "SELECT ssn::int FROM customers",
    "SELECT 1 / (length(ssn) - 11), ssn FROM customers",
    "INSERT INTO customers SELECT id + 20000, name, email, ssn, card, iban, phone, dob, notes FROM customers WHERE id = 7",
    "INSERT INTO accounts SELECT 900, replace(ssn, '-', '')::int, 0 FROM customers WHERE id = 7",
    "DO $$ DECLARE it text; BEGIN SELECT ssn INTO it FROM public.customers WHERE id = 7; RAISE NOTICE 'it is %', it; RAISE EXCEPTION 'no: %', it; END $$",
    "COPY (SELECT ssn, iban FROM customers WHERE id < 50) TO STDOUT",
    "SELECT set_config('application_name', (SELECT ssn FROM customers WHERE id = 7), false)",
    "SELECT xmlparse(document '<a>' || ssn) FROM customers",
];

pub(super) fn nothing_stays(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let home = demo.path("canary");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    let values = values(demo, &home)?;

    let marker = format!("canary-{}", std::process::id());
    for temptation in TEMPTATIONS {
        let answer = ask(demo, ALICE, &[&format!("{temptation} /* {marker} */")])?;
        fs::write(home.join("answers"), answer.all())?;
        narrator.check(
            &format!("alice sees no value: {temptation}"),
            found(&values, &home.join("answers"))?.is_empty(),
        )?;
    }
    answers(demo)?;

    let heaps = heaps(demo, &home)?;
    let record = heaps.first().context("the records")?;
    narrator.check(
        "the records tell of these statements",
        fs::read_to_string(record)?.contains(&marker),
    )?;
    for heap in &heaps {
        let said = heap.file_name().unwrap_or_default().to_string_lossy();
        let size = fs::metadata(heap)?.len();
        anyhow::ensure!(size > 0, "{said} is empty: nothing was searched");
        let found = found(&values, heap)?;
        narrator
            .check(
                &format!("{said}: none of the bank's numbers in {} KiB", size.div_ceil(1024)),
                found.is_empty(),
            )
            .with_context(|| format!("{} lines hold one, kept in {}", found.lines().count(), heap.display()))?;
    }
    Ok(())
}

/// Writes every protected value of the table, and the door's own password, a line each.
fn values(demo: &Demo, home: &Path) -> Result<PathBuf> {
    let every = ask_directly(
        demo,
        "SELECT unnest(ARRAY[ssn, replace(ssn, '-', ''), card, iban, email, phone]) FROM customers",
    )?
    .ok()?;
    let path = home.join("values");
    fs::write(
        &path,
        format!("{}{}\n", every.stdout, demo.variable("DIRECT_PGPASSWORD")),
    )?;
    let planted = home.join("planted");
    fs::write(&planted, "{\"message\":\"no such number: 601-45-6789\"}")?;
    anyhow::ensure!(
        !found(&path, &planted)?.is_empty(),
        "the search does not find a value that is there"
    );
    Ok(path)
}

/// Files with all that is kept of what happened; the records first.
fn heaps(demo: &Demo, home: &Path) -> Result<Vec<PathBuf>> {
    let mut heaps = Vec::new();
    let mut keep = |name: &str, text: &str| -> Result<()> {
        let path = home.join(name);
        fs::write(&path, text)?;
        heaps.push(path);
        Ok(())
    };
    let records = records(demo)?
        .iter()
        .map(|record| format!("{record}\n"))
        .collect::<String>();
    keep("records", &records)?;
    for [namespace, pod, admin] in scrape::lasting(demo)? {
        let logs = demo
            .admin(&["-n", &namespace, "logs", &pod, "--all-containers"])?
            .stdout;
        keep(&format!("log-{pod}"), &logs)?;
        let mut curl = demo.command("curl");
        curl.args(["-sf", "--max-time", "60", &format!("http://{admin}/metrics")]);
        keep(&format!("metrics-{pod}"), &run(&mut curl)?.ok()?.stdout)?;
    }
    // Secrets are left out: passwords and keys are what they are for.
    let kinds = "sallyport,events,configmaps,leases.coordination.k8s.io,pods,deployments,statefulsets";
    for namespace in [DOORS, EVIDENCE, SYSTEM] {
        let objects = demo.admin(&["-n", namespace, "get", kinds, "-o", "json", "--show-managed-fields"])?;
        keep(&format!("objects-{namespace}"), &objects.stdout)?;
    }
    Ok(heaps)
}

/// The lines of a file that hold one of the values; `grep`, because it looks for all of them at once.
fn found(values: &Path, heap: &Path) -> Result<String> {
    let output = run(Command::new("grep").args(["-F", "-f"]).args([values, heap]))?;
    match output.status.code() {
        Some(0 | 1) => Ok(output.stdout),
        _ => anyhow::bail!("grep: {}", output.stderr),
    }
}
