//! What was measured.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

/// The lines of one run, written as they come.
pub(super) struct Report {
    file: File,
    wanted: Vec<String>,
}

/// One measurement.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    /// One value a round, in order.
    pub(super) runs: Vec<f64>,
    /// How it was measured, in one sentence.
    pub(super) what: &'a str,
}

// === impl Report ===

impl Report {
    pub(super) fn append(path: &Path, wanted: &[String]) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| path.display().to_string())?;
        Ok(Self {
            file,
            wanted: wanted.to_vec(),
        })
    }

    /// Whether anybody wants a measurement of this name, or one that begins with it.
    pub(super) fn wants(&self, name: &str) -> bool {
        let picks = |part: &String| name.contains(part) || part.starts_with(name);
        self.wanted.is_empty() || self.wanted.iter().any(picks)
    }

    pub(super) fn add(&mut self, line: Line<'_>) -> Result<()> {
        let value = median(&line.runs);
        let rounded: Vec<f64> = line.runs.iter().copied().map(digits).collect();
        let object = json!({
            "name": line.name, "value": digits(value), "unit": line.unit, "runs": rounded, "what": line.what,
        });
        writeln!(self.file, "{object}")?;
        eprintln!("  {:<44} {:>10} {}", line.name, digits(value), line.unit);
        Ok(())
    }
}

/// The middle value; of an even number the lower one.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

/// Four digits that count.
fn digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_runs_is_reported_with_four_digits() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!((digits(0.123_456), digits(1234.56), digits(0.0)), (0.1235, 1235.0, 0.0));
    }
}
