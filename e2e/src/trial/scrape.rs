//! A real Prometheus scrapes all three programs under the alert rules that ship.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client::ask;
use crate::demo::{ALICE, DOORS, Demo, EVIDENCE, MALLORY, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{Running, run, wait_until};

use super::SETTLE;

const LISTEN: &str = "127.0.0.1:19090";

/// What an admin asks first, each with the least that must come back after a session of alice's and a refused one.
const QUESTIONS: [&str; 14] = [
    "min(up) == 1",
    "count(up) >= 5",
    "sum(sallyport_proxy_open) >= 2",
    "sum(sallyport_proxy_policy_revision) > 0",
    "sum by (verdict) (sallyport_commands_total) > 0",
    "sum(sallyport_masked_fields_total) > 0",
    "sum(sallyport_logins_refused_total) > 0",
    "sum(sallyport_session_seconds_count) > 0",
    "sum(sallyport_command_seconds_count) > 0",
    "sum(sallyport_record_seconds_count) > 0",
    "sum(sallyport_recorder_log_size) > 0",
    "sum(sallyport_recorder_writable) == 1",
    "sum(sallyport_operator_leader) == 1",
    "sum(sallyport_operator_processes{state=\"enforcing\"}) >= 2",
];

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn scraped(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let shipped = demo.repository().join("config/prometheus");
    let mut rules = demo.command("promtool");
    rules.args(["test", "rules", "alerts.test.yaml"]).current_dir(&shipped);
    narrator.types("admin", &rules);
    narrator.check(
        "the alert rules do what their tests say",
        run(&mut rules)?.status.success(),
    )?;

    let home = demo.path("prometheus");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    let configuration = home.join("prometheus.yaml");
    let targets = targets(demo)?;
    fs::write(&configuration, configured(&targets, &shipped)?)?;
    let mut start = demo.command("prometheus");
    start
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
        .arg(format!("--web.listen-address={LISTEN}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _prometheus = Prometheus(start.spawn().context("starting prometheus")?);

    ask(demo, ALICE, &["SELECT ssn FROM customers WHERE id = 1"])?.ok()?;
    ask(demo, MALLORY, &["SELECT 1"])?;
    for question in QUESTIONS {
        let answer = wait_until(SETTLE, question, || {
            Ok(asked(demo, question).filter(|answer| !answer.is_empty()))
        })?;
        narrator.check(&format!("{question}  ({answer})"), true)?;
    }
    let rules = fetch(demo, "/api/v1/rules")?;
    let healths = rules
        .pointer("/data/groups")
        .and_then(Value::as_array)
        .context("groups of rules")?
        .iter()
        .flat_map(|group| group.get("rules").and_then(Value::as_array).into_iter().flatten())
        .map(|rule| (text(rule, "name"), text(rule, "health"), text(rule, "state")))
        .collect::<Vec<_>>();
    narrator.check(&format!("{} alert rules are loaded", healths.len()), healths.len() > 5)?;
    narrator.check(
        "each can be evaluated",
        healths.iter().all(|(_, health, _)| health != "err"),
    )?;
    let firing: Vec<&str> = healths
        .iter()
        .filter(|(_, _, state)| state == "firing")
        .map(|(name, ..)| name.as_str())
        .collect();
    narrator.check(
        &format!("none fires on a healthy installation {firing:?}"),
        firing.is_empty(),
    )
}

/// Namespace, Pod and admin address of each of our processes.
pub(super) fn targets(demo: &Demo) -> Result<Vec<[String; 3]>> {
    let mut found = Vec::new();
    for namespace in [DOORS, EVIDENCE, SYSTEM] {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{\"\\n\"}{end}";
        let pods = demo.admin(&[
            "-n",
            namespace,
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/component in (door, recorder, operator)",
            "-o",
            path,
        ])?;
        let pods = pods.stdout;
        for (pod, address) in pods.lines().filter_map(|line| line.split_once(' ')) {
            found.push([namespace.to_owned(), pod.to_owned(), format!("{address}:9090")]);
        }
    }
    Ok(found)
}

fn configured(targets: &[[String; 3]], shipped: &Path) -> Result<String> {
    let mut text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: sallyport\n    static_configs:\n",
        shipped.join("alerts.yaml").display()
    );
    for [namespace, pod, address] in targets {
        writeln!(
            text,
            "      - {{targets: ['{address}'], labels: {{namespace: {namespace}, pod: {pod}}}}}"
        )?;
    }
    Ok(text)
}

/// The values that a PromQL query gives, joined; None while Prometheus does not answer.
fn asked(demo: &Demo, query: &str) -> Option<String> {
    let mut curl = demo.command("curl");
    curl.args(["-sf", "--max-time", "5", "-G", &format!("http://{LISTEN}/api/v1/query")])
        .arg("--data-urlencode")
        .arg(format!("query={query}"));
    let answer: Value = serde_json::from_str(&run(&mut curl).ok()?.stdout).ok()?;
    let results = answer.pointer("/data/result")?.as_array()?;
    let values = results.iter().filter_map(|result| result.pointer("/value/1")?.as_str());
    Some(values.collect::<Vec<_>>().join(", "))
}

fn fetch(demo: &Demo, path: &str) -> Result<Value> {
    let mut curl = demo.command("curl");
    curl.args(["-sf", "--max-time", "5", &format!("http://{LISTEN}{path}")]);
    Ok(serde_json::from_str(
        &Running::start(&mut curl)?.finish(SETTLE)?.ok()?.stdout,
    )?)
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
