use sallyport_audit::verify::{Report, Verdict};

use super::*;
use crate::audit::samples;

fn page(report: &Report) -> String {
    let (mut people, mut story) = (People::default(), Story::default());
    for (index, record) in (0..).zip(samples::history()) {
        let person = people.of(&record);
        story.tell(index, record, person);
    }
    let proof = Proof {
        report,
        from: "a checkpoint <of> the operator",
        key: "name+00+key".to_owned(),
        witness: Some("operator+00+key".to_owned()),
        checkpoint: "origin\n9\nroot\n\n\u{2014} origin c2ln\n".to_owned(),
        made: Time::from_unix_micros(0),
        asked: "all records".to_owned(),
    };
    page::render(&story, &proof)
}

fn proven() -> Report {
    Report {
        origin: "sallyport.dev/log/x".to_owned(),
        records: 9,
        stated: Some(9),
        pruned: 0,
        proven: 9,
        findings: Vec::new(),
    }
}

#[test]
fn the_page_tells_who_did_what_and_is_closed_in_itself() {
    let html = page(&proven());
    for told in [
        "oidc:alice",
        "delete from accounts where id = 1",
        "oidc:bob: ticket &lt;4711&gt;",
        "drop table customers",
        "ssn/US_SSN",
        "notAdmitted: not among the subjects",
        "9 of 9 records are proven by a checkpoint &lt;of&gt; the operator",
        "name+00+key",
    ] {
        assert!(html.contains(told), "{told:?} is not told");
    }
    for outside in [
        "http://",
        "src=",
        "<script",
        "<img",
        "<link",
        "<iframe",
        "url(",
        "@import",
        "javascript:",
    ] {
        let found = html.match_indices(outside).next();
        // What a client wrote is on the page as text.
        assert!(
            found.is_none() || outside == "src=" && html.contains("&lt;img src=x"),
            "{outside}"
        );
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn what_clients_wrote_stays_text() {
    let html = page(&proven());
    assert!(
        html.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;\\u{202e}"),
        "escaped, and no reordering"
    );
    assert!(!html.contains("<img") && !html.contains('\u{202e}') && !html.contains("<b>mallory"));
}

#[test]
fn a_refuted_log_says_so_first() {
    let refuted = Report {
        findings: vec![sallyport_audit::verify::Finding::OwnCheckpointDiffers],
        proven: 3,
        ..proven()
    };
    assert_eq!(refuted.verdict(), Verdict::Refuted);
    let html = page(&refuted);
    let (proof, sessions) = (html.find("Refuted:").unwrap(), html.find("Who did what").unwrap());
    assert!(proof < sessions && html.contains("speaks of other records than the log holds"));
}
