//! A real Prometheus scrapes all three programs under the configuration and the alert rules that ship.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::client::ask;
use crate::demo::{ALICE, DOORS, Demo, EVIDENCE, MALLORY, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{Running, run, wait_until};

use super::{SETTLE, pods};

const LISTEN: &str = "127.0.0.1:19090";

/// What an admin asks first, each with the least that must come back after a session of alice's and a refused one, while
/// another statement of hers waits for a second person.
const QUESTIONS: [&str; 22] = [
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
    "sum(sallyport_holds) > 0",
    "sum(sallyport_evidence_failures_total) >= 0",
    "sum(sallyport_evidence_connected) >= 2",
    "sum(sallyport_evidence_queue_records) >= 0",
    "max(sallyport_evidence_oldest_seconds) < 5",
    "sum by (what) (sallyport_target_errors_total) >= 0",
    "max(sallyport_proxy_issuers_unavailable) == 0",
    "sum(sallyport_recorder_log_size) > 0",
    "sum(sallyport_recorder_writable) == 1",
    "sum(sallyport_operator_leader) == 1",
    "sum(sallyport_operator_processes{state=\"enforcing\"}) >= 2",
    "sum by (status) (sallyport_operator_conditions{kind=\"Connection\", condition=\"Ready\"}) > 0",
];
/// What can only be asked when that statement no longer waits.
const AFTER: &str = "sum(sallyport_hold_wait_seconds_count) > 0";
/// How the shipped configuration finds Pods. Debian builds Prometheus without it: there its answers come from a file.
const DISCOVERY: &str = "    kubernetes_sd_configs:\n      - role: pod\n";

/// What is scraped.
const OURS: &str = "app.kubernetes.io/component in (door, recorder, operator)";

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
    let targets = lasting(demo)?;
    for [_, pod, address] in &targets {
        let lawful = lawful(demo, address, narrator)?;
        narrator.check(&format!("promtool finds nothing to say of {pod}'s metrics"), lawful)?;
    }
    let configuration = configured(demo, &shipped, &home)?;
    let mut check = demo.command("promtool");
    check.args(["check", "config"]).arg(&configuration);
    narrator.types("admin", &check);
    let checked = run(&mut check)?;
    narrator.shows(&checked);
    narrator.check("promtool takes the configuration", checked.status.success())?;
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
    let mut held = crate::client::start(demo, ALICE, &["DELETE FROM accounts WHERE id = 7301"])?;
    held.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?;
    for question in QUESTIONS {
        answered(demo, narrator, question)?;
    }
    held.interrupt()?;
    held.finish(SETTLE)?;
    answered(demo, narrator, AFTER)?;
    answered(demo, narrator, &format!("count(up) == {}", targets.len()))?;
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
fn targets(demo: &Demo) -> Result<Vec<[String; 3]>> {
    let mut found = Vec::new();
    for namespace in [DOORS, EVIDENCE, SYSTEM] {
        for pod in pods::found(demo, namespace, OURS)? {
            found.push([namespace.to_owned(), pod.name, format!("{}:9090", pod.address)]);
        }
    }
    Ok(found)
}

/// The same once none of them is about to end: whoever is told of one that goes scrapes it in vain.
pub(super) fn lasting(demo: &Demo) -> Result<Vec<[String; 3]>> {
    wait_until(SETTLE, "no Pod of ours is about to end", || {
        let ending = "jsonpath={.items[*].metadata.deletionTimestamp}";
        let ours = ["get", "pods", "-A", "-l", OURS, "-o", ending];
        let ends = demo.admin(&ours)?.stdout;
        ends.trim().is_empty().then(|| targets(demo)).transpose()
    })
}

fn answered(demo: &Demo, narrator: &mut Narrator, question: &str) -> Result<()> {
    let answer = wait_until(SETTLE, question, || {
        Ok(asked(demo, question).filter(|answer| !answer.is_empty()))
    })?;
    narrator.check(&format!("{question}  ({answer})"), true)
}

/// Whether promtool takes what an admin port says for well-formed metrics with lawful names.
fn lawful(demo: &Demo, address: &str, narrator: &mut Narrator) -> Result<bool> {
    let mut check = demo.command("bash");
    check.args([
        "-o",
        "pipefail",
        "-c",
        "curl -sf --max-time 60 \"$0\" | promtool check metrics",
        &format!("http://{address}/metrics"),
    ]);
    let said = run(&mut check)?;
    narrator.shows(&said);
    Ok(said.status.success())
}

/// The shipped configuration, scraping each second, with every Pod of the cluster as Kubernetes discovery describes it: which
/// of them are ours, and under which labels, is for the shipped rules to say.
fn configured(demo: &Demo, shipped: &Path, home: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(shipped.join("prometheus.yaml"))?;
    ensure!(
        text.contains(DISCOVERY),
        "config/prometheus/prometheus.yaml finds no Pods"
    );
    let found = "    file_sd_configs:\n      - files: [targets.json]\n";
    let text = text.replace(DISCOVERY, found);
    let quick = text.replace("scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s");
    let configuration = home.join("prometheus.yaml");
    fs::write(&configuration, quick)?;
    fs::copy(shipped.join("alerts.yaml"), home.join("alerts.yaml"))?;
    let pods = demo.admin(&["get", "pods", "-A", "-o", "json"])?.stdout;
    let discovered = discovered(&serde_json::from_str(&pods)?);
    fs::write(home.join("targets.json"), serde_json::to_vec(&discovered)?)?;
    Ok(configuration)
}

/// One target for each port of each container, as `kubernetes_sd_configs` of role `pod` gives them.
fn discovered(pods: &Value) -> Vec<Value> {
    let mut targets = Vec::new();
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for pod in list(pods.get("items")) {
        let at = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let mut labels = Map::new();
        labels.insert(
            "__meta_kubernetes_namespace".to_owned(),
            at("/metadata/namespace").into(),
        );
        labels.insert("__meta_kubernetes_pod_name".to_owned(), at("/metadata/name").into());
        let own = pod.pointer("/metadata/labels").and_then(Value::as_object);
        for (name, value) in own.into_iter().flatten() {
            let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            labels.insert(format!("__meta_kubernetes_pod_label_{name}"), value.clone());
        }
        for container in list(pod.pointer("/spec/containers")) {
            for port in list(container.get("ports")) {
                let mut labels = labels.clone();
                let name = port.get("name").cloned().unwrap_or_else(|| "".into());
                labels.insert("__meta_kubernetes_pod_container_port_name".to_owned(), name);
                let number = port.get("containerPort").and_then(Value::as_u64).unwrap_or_default();
                let address = format!("{}:{number}", at("/status/podIP"));
                targets.push(json!({"targets": [address], "labels": labels}));
            }
        }
    }
    targets
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_a_target_under_the_labels_of_its_pod() {
        let pods = json!({"items": [{
            "metadata": {"namespace": "doors", "name": "door-1", "labels": {"app.kubernetes.io/name": "sallyport-proxy"}},
            "spec": {"containers": [{"ports": [{"name": "door", "containerPort": 5432}, {"name": "admin", "containerPort": 9090}]}]},
            "status": {"podIP": "10.0.0.1"},
        }, {"metadata": {"namespace": "x", "name": "none"}, "spec": {"containers": [{}]}}]});
        let found = discovered(&pods);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1]["targets"], json!(["10.0.0.1:9090"]));
        let label = |name: &str| found[1]["labels"][format!("__meta_kubernetes_{name}")].clone();
        assert_eq!(label("pod_label_app_kubernetes_io_name"), "sallyport-proxy");
        assert_eq!(label("pod_container_port_name"), "admin");
        assert_eq!(label("namespace"), "doors");
    }
}
