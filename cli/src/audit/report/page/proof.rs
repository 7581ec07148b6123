//! What holds the log to be what was written.

use sallyport_audit::Time;
use sallyport_audit::verify::{Report, Verdict};

use super::markup::Page;
use crate::audit::verify::pruned;

/// What the page says about the log itself.
pub struct Proof<'a> {
    /// What verification came to.
    pub report: &'a Report,
    /// What it was held against.
    pub from: &'a str,
    /// The log's key.
    pub key: String,
    /// The operator's key.
    pub witness: Option<String>,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
    /// When the page was made.
    pub made: Time,
    /// What was asked for, in words.
    pub asked: String,
}

/// What the log is proven by, and how anybody can check it.
pub fn proved(page: &mut Page, proof: &Proof<'_>) {
    let report = proof.report;
    let (class, words) = match report.verdict() {
        Verdict::Proven if report.pruned > 0 => (
            "proven",
            "Proven: no record up to the checkpoint was added, changed or moved, and none was removed but those that the log tells of.",
        ),
        Verdict::Proven => (
            "proven",
            "Proven: no record up to the checkpoint was added, changed, moved or removed.",
        ),
        Verdict::Unproven => (
            "unproven",
            "Unproven: nothing is wrong with the log, and nobody outside it vouches for it.",
        ),
        Verdict::Refuted => ("refuted", "Refuted: this log is not the one that was written."),
    };
    page.raw("<h2>The proof</h2><section class=\"proof ")
        .raw(class)
        .raw("\"><p class=verdict>")
        .raw(words)
        .raw("</p><p>");
    page.text(&format!(
        "{} of {} records are proven by {}.",
        report.proven, report.records, proof.from
    ));
    if report.unproven() > 0 && report.findings.is_empty() {
        page.text(&format!(
            " {} newer ones are signed by the log's own key and follow the proven ones unchanged; nobody outside has seen them yet.",
            report.unproven()
        ));
    }
    if report.findings.is_empty()
        && let Some(words) = pruned(report)
    {
        page.text(&format!(" {words}."));
    }
    page.raw("</p>");
    if !report.findings.is_empty() {
        page.raw("<ul>");
        for finding in &report.findings {
            page.raw("<li>").text(&finding.to_string()).raw("</li>");
        }
        page.raw("</ul>");
    }
    page.raw("<p class=soft>Records are leaves of an RFC 6962 Merkle tree in C2SP tlog-tiles form; the checkpoint is a C2SP signed note. Any such tool can check it, with keys that were kept elsewhere:</p><pre>");
    for line in proof.checkpoint.lines() {
        page.text(line).raw("\n");
    }
    page.raw("</pre><p class=soft>log key <code>")
        .text(&proof.key)
        .raw("</code>");
    if let Some(witness) = &proof.witness {
        page.raw("<br>operator's key for cosignatures <code>")
            .text(witness)
            .raw("</code>");
    }
    page.raw("</p></section>");
}
