use sallyport_audit::record::{Action, Attested, Event, Finding, Writer};
use sallyport_audit::verify::{Report, Verdict};

use super::*;
use crate::audit::samples;

fn page(report: &Report) -> String {
    let (mut people, mut story) = (People::default(), Story::default());
    for (index, record) in (0..).zip(samples::history()) {
        let person = people.of(&record);
        story.tell(index, record, person);
    }
    page::render(&story, &words(report))
}

fn words(report: &Report) -> Proof<'_> {
    Proof {
        report,
        from: "a checkpoint <of> the operator",
        key: "name+00+key".to_owned(),
        witness: Some("operator+00+key".to_owned()),
        checkpoint: "origin\n9\nroot\n\n\u{2014} origin c2ln\n".to_owned(),
        made: Time::from_unix_micros(0),
        asked: "all records".to_owned(),
    }
}

fn proven() -> Report {
    Report {
        origin: "sallyport.dev/log/x".to_owned(),
        records: 9,
        stated: Some(9),
        pruned: 0,
        pruned_after: None,
        pruned_by: None,
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
fn whom_the_recorder_did_not_confirm_is_told() {
    let told = |finding, writer| {
        let mut story = Story::default();
        let mut records = samples::history();
        let found = Event::Attested(Box::new(Attested::saying(finding, "the issuer <is> away")));
        let mut record = samples::record(1, records[0].session.as_ref().unwrap(), found);
        record.source.writer = writer;
        records.insert(1, record);
        for (index, record) in (0..).zip(records) {
            story.tell(index, record, None);
        }
        let report = proven();
        page::render(&story, &words(&report))
    };
    let alone = "<b>0</b>by the door's word alone";
    let proved = told(Finding::Proved, Writer::Recorder);
    assert!(proved.contains(alone) && proved.contains("it proves the person"));
    let unchecked = told(Finding::NotChecked, Writer::Recorder);
    assert!(
        !unchecked.contains(alone) && unchecked.contains("not confirmed by the recorder: the issuer &lt;is&gt; away")
    );
    let claimed = told(Finding::Proved, Writer::Proxy);
    assert!(!claimed.contains(alone) && claimed.contains("the recorder checked no token"));
}

#[test]
fn a_session_that_is_several_peoples_is_nobodys_proved_one() {
    let told = |second: Event| {
        let mut story = Story::default();
        let mut records = samples::history();
        let session = records[0].session.clone().unwrap();
        let found = Event::Attested(Box::new(Attested::new(Finding::Proved)));
        let mut proved = samples::record(1, &session, found);
        proved.source.writer = Writer::Recorder;
        records.insert(1, proved);
        records.insert(2, samples::record(1, &session, second));
        for (index, record) in (0..).zip(records) {
            story.tell(index, record, None);
        }
        let report = proven();
        let html = page::render(&story, &words(&report));
        assert_eq!(
            html.contains("<b>0</b>by the door's word alone"),
            !html.contains("began twice")
        );
        html.contains("began twice")
    };
    let command = |name: &str| samples::command(9, name, "select", Action::Allow, "select 9");
    assert!(!told(command("alice")));
    assert!(told(command("bob")));
    assert!(told(samples::start("alice")));
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

#[test]
fn what_was_removed_is_told_and_by_whose_word() {
    let removed = Report {
        pruned: 256,
        pruned_after: Some(30 * 86_400),
        pruned_by: Some(300),
        records: 400,
        proven: 350,
        ..proven()
    };
    let html = page(&removed);
    for told in [
        "none was removed but those that the log tells of",
        "of the first 256 only the hashes are left: they were kept for 30 days and removed, as the log says in record 300.",
    ] {
        assert!(html.contains(told), "{told}: {html}");
    }
    let own_word = Report {
        pruned_after: Some(1),
        proven: 300,
        ..removed
    };
    assert!(
        page(&own_word)
            .contains("kept for 1 s and removed, as the log says in record 300, which nobody outside has seen yet")
    );
}
