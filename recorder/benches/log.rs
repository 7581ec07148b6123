//! What the log costs on this disk: appends against a bare fdatasync, verification against a bare SHA-256.
//!
//! Prints one JSON object a line: name, value (the median), unit, runs, and how it was measured.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use sallyport_audit::Time;
use sallyport_audit::record::{
    Batch, Claims, Event, Instance, LoginRefused, ObjectRef, Origin, PodRef, Refusal, Seal, Writer,
};
use sallyport_audit::store::Store as _;
use sallyport_audit::verify::{Trust, Verdict, verify};
use sallyport_recorder::log::disk::Folder;
use sallyport_recorder::log::{Checked, Config, Log};
use sallyport_recorder::metrics::LogMetrics;

const RUNS: usize = 9;
/// Appends of one run, each awaited before the next.
const APPENDS: u64 = 300;
/// Records that are verified.
const RECORDS: u64 = 40_000;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let directory = tempfile::tempdir()?;
    runtime.block_on(async {
        let mut door = Door::open(directory.path()).await?;
        appends(&mut door, directory.path()).await?;
        verification(door).await
    })
}

/// A log, and a door that fills it.
struct Door {
    log: Log,
    seal: Seal,
    sent: u64,
}

impl Door {
    async fn open(directory: &Path) -> Result<Self> {
        let pod = PodRef {
            name: "bench".into(),
            uid: "1".into(),
        };
        let object = |name: &str| ObjectRef {
            name: name.into(),
            namespace: "bench".into(),
            uid: "2".into(),
        };
        let config = Config {
            sink: object("sink"),
            pod: pod.clone(),
            checkpoint_every: Duration::from_secs(1),
            grace: Duration::from_secs(60),
            witness: None,
            retention: None,
            metrics: LogMetrics::new(&prometheus::Registry::new())?,
        };
        let log = Log::open(
            Arc::new(Folder::claim(directory.join("log"), Duration::from_secs(1))?),
            config,
        )?;
        let instance = Instance::random()?;
        let connection = object("door");
        log.attach(instance.clone(), connection.clone(), pod.clone(), None, None)
            .await
            .map_err(|error| anyhow::anyhow!(error.reason))?;
        let seal = Seal::new(&Origin {
            connection: Some(connection.into()),
            instance,
            pod: pod.into(),
            writer: Writer::Proxy,
        })?;
        Ok(Self { log, seal, sent: 0 })
    }

    /// The next record, as it comes from a door.
    fn record(&mut self) -> Result<Vec<u8>> {
        let event = Event::LoginRefused(Box::new(LoginRefused {
            claims: Claims::default(),
            client: "192.0.2.7:50123".into(),
            detail: "x".repeat(400),
            person: None,
            reason: Refusal::BadToken,
        }));
        let batch = Batch::of(Time::now(), None, event)?;
        self.sent += 1;
        let draft = batch.drafts().first().context("a draft")?;
        Ok(self.seal.seal(draft, self.sent)?)
    }

    async fn append(&mut self, count: u64) -> Result<()> {
        let records = (0..count)
            .map(|_| Checked::new(self.record()?).map_err(|error| anyhow::anyhow!(error.reason)))
            .collect::<Result<Vec<_>>>()?;
        let receipt = self.log.append(records, None).await?;
        receipt.map(drop).map_err(|error| anyhow::anyhow!(error.reason))
    }
}

/// One record after the other, each on disk before the next, against writing and syncing as many bytes.
async fn appends(door: &mut Door, directory: &Path) -> Result<()> {
    let record = door.record()?;
    door.sent -= 1;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("bare"))?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        for _ in 0..APPENDS {
            bare(&mut file, &record)?;
        }
        let bare = began.elapsed();
        let began = Instant::now();
        for _ in 0..APPENDS {
            door.append(1).await?;
        }
        runs.push(bare.as_secs_f64() / began.elapsed().as_secs_f64());
    }
    let what = "300 records of about 700 bytes, each awaited before the next, appends a second over writing and fdatasync of the \
                same bytes in the same round";
    print("audit/append/vs-fdatasync", "ratio", &runs, what);
    Ok(())
}

fn bare(file: &mut File, record: &[u8]) -> Result<()> {
    file.write_all(record)?;
    Ok(file.sync_data()?)
}

/// Proving a whole log against a checkpoint, against hashing its records and nothing else.
async fn verification(mut door: Door) -> Result<()> {
    while door.sent < RECORDS {
        door.append(500).await?;
    }
    let key = door.log.key().clone();
    door.log.close("bench").await;
    let store = door.log.published();
    let mut trust = Trust::new(key);
    let note = store.read("checkpoint")?.context("no checkpoint")?;
    trust.add(&String::from_utf8(note)?)?;
    let mut records = Vec::new();
    verify(&store, &trust, |_, record| records.push(record.to_vec()))?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        for record in &records {
            std::hint::black_box(digest(&SHA256, record));
        }
        let hashed = began.elapsed();
        let began = Instant::now();
        let report = verify(&store, &trust, |_, _| ())?;
        ensure!(report.verdict() == Verdict::Proven, "the log is not proven");
        runs.push(began.elapsed().as_secs_f64() / hashed.as_secs_f64());
    }
    let what = "40,000 records of about 700 bytes read from files and proven against a checkpoint: time over hashing the same \
                records from memory once";
    print("audit/verify/vs-sha256", "ratio", &runs, what);
    Ok(())
}

fn print(name: &str, unit: &str, runs: &[f64], what: &str) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rounded = |value: f64| format!("{value:.3}").parse::<f64>().unwrap_or(value);
    let value = rounded(sorted.get(sorted.len() / 2).copied().unwrap_or_default());
    let runs: Vec<f64> = runs.iter().copied().map(rounded).collect();
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": unit, "runs": runs, "what": what })
    );
}
