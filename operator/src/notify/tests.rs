//! Webhooks against a real HTTP server that fails and recovers.

use std::time::Duration;

use aws_lc_rs::hmac;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use prometheus::Registry;
use sallyport_crds::AccessRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::hook::{ROOM, Untaken};
use super::notice::{Format, What, notices};
use super::webhooks::Webhook;
use super::*;
use crate::metrics::Metrics;

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// As many as one person's requests have on their way, and one of somebody else's.
const TAKEN: usize = ROOM / 2 + 1;
const FINE: [u16; TAKEN] = [200; TAKEN];

/// A request that reached the server.
struct Taken {
    head: String,
    body: String,
}

impl Taken {
    fn header(&self, name: &str) -> String {
        header(&self.head, name).unwrap_or_default()
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.to_owned())
}

/// A server that gives these answers in turn, one to each connection; 0 is none, and the connection ends.
async fn server(answers: &'static [u16]) -> (String, UnboundedReceiver<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (taken, told) = unbounded_channel();
    tokio::spawn(async move {
        for status in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            if *status == 0 {
                continue;
            }
            let mut got = Vec::new();
            let request = loop {
                let text = String::from_utf8_lossy(&got).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length: usize = header(head, "content-length").unwrap().parse().unwrap();
                    if body.len() >= length {
                        let (head, body) = (head.to_owned(), body.to_owned());
                        break Taken { head, body };
                    }
                }
                assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "the request is not whole");
            };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = taken.send(request);
        }
    });
    (url, told)
}

/// A hook that may speak without TLS and does not pause for long.
fn hook(url: &str, format: Format) -> Hook {
    sallyport_runtime::crypto::install();
    let webhook = Webhook {
        name: "test".into(),
        url: url.into(),
        format,
        key: KEY.into(),
        certificate_authority: None,
        namespaces: vec!["doors".into()],
    };
    let config = sallyport_runtime::tls::client_config(rustls::RootCertStore::empty()).unwrap();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(config);
    Hook::with(&webhook, builder, Duration::from_millis(1)).unwrap()
}

fn request(summary: &str, status: Value) -> AccessRequest {
    serde_json::from_value(json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {"namespace": "doors", "name": "bank-1", "uid": "r"},
        "spec": {
            "connection": {"name": "bank", "uid": "uid-bank"},
            "requester": {"username": "oidc:alice", "issuer": "https://idp", "subject": "sub-alice"},
            "scope": "Command",
            "command": {"text": "DELETE FROM accounts", "summary": summary, "digest": "d".repeat(64), "risk": 80},
            "expiresAt": "2030-01-01T00:00:00Z",
        },
        "status": status,
    }))
    .unwrap()
}

/// A status with one condition.
fn status(kind: &str, truth: &str) -> Value {
    let stated = json!({"type": kind, "status": truth, "reason": "Because", "message": "0/1 approvals",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({"conditions": [stated], "requirements": [{
        "askedBy": {"policy": "p", "uid": "u", "generation": 1, "rule": "r"}, "required": 1,
        "approvers": [{"kind": "Group", "name": "oidc:dba"}, {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"}],
    }]})
}

fn conditions(request: &AccessRequest) -> Vec<Condition> {
    request.status.clone().unwrap().conditions
}

fn told(request: &AccessRequest, before: &[Condition]) -> Vec<Notice> {
    let status = request.status.clone().unwrap();
    notices(request, before, &status, jiff::Timestamp::UNIX_EPOCH)
}

/// Somebody asks.
fn asked(summary: &str) -> Notice {
    told(&request(summary, status("Approved", "False")), &[]).remove(0)
}

#[tokio::test]
async fn a_server_that_fails_and_recovers_is_told_by_whom_it_can_check() {
    let (url, mut taken) = server(&[503, 0, 429, 200]).await;
    let notice = asked("DELETE FROM accounts");
    assert_eq!(hook(&url, Format::Generic).deliver(&notice).await, Ok(()));
    for _ in 0..3 {
        let got = taken.recv().await.unwrap();
        assert_eq!(got.header("sallyport-notice"), "r-Requested");
        let said: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(
            (&said["event"], &said["requester"], &said["name"]),
            (&json!("Requested"), &json!("oidc:alice"), &json!("bank-1"))
        );
        let signature = got.header("sallyport-signature");
        let (at, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
        let right = hmac::sign(&key, format!("{at}.{}", got.body).as_bytes());
        assert_eq!(mac, sallyport_audit::digest::hex(right.as_ref()));
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_sent_again() {
    let (url, mut taken) = server(&[410, 200]).await;
    let refused = hook(&url, Format::Generic).deliver(&asked("DELETE")).await;
    assert_eq!(refused, Err(Untaken::Status(410)));
    taken.recv().await.unwrap();
    assert!(taken.try_recv().is_err(), "once is enough");
}

#[tokio::test]
async fn a_webhook_that_says_nothing_holds_up_neither_the_operator_nor_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, mut taken) = server(&FINE).await;
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let notifier = Notifier::new(metrics.notifications.clone());
    let address = format!("http://{}", silent.local_addr().unwrap());
    let hooks = [&address, &url].map(|url| Arc::new(hook(url, Format::Generic)));
    notifier.hooks().store(Arc::new(hooks.to_vec()));
    let elsewhere = Notice {
        namespace: "elsewhere".into(),
        ..asked("DELETE")
    };
    notifier.tell(vec![elsewhere]);
    // Nothing is waited for in here, so nothing can have been sent meanwhile.
    notifier.tell(vec![asked("DELETE"); ROOM + 3]);
    // Of whoever asks without end, nobody else's break-glass goes untold.
    let other = Notice {
        requester: "oidc:bob".into(),
        ..asked("DELETE")
    };
    notifier.tell(vec![other]);
    let dropped = u64::try_from(2 * (ROOM / 2 + 3)).unwrap();
    assert_eq!(metrics.notifications.with_label_values(&["dropped"]).get(), dropped);
    let mut others = 0;
    for _ in 0..TAKEN {
        let body = taken.recv().await.unwrap().body;
        assert!(body.contains("\"namespace\":\"doors\""));
        others += usize::from(body.contains("oidc:bob"));
    }
    assert_eq!(others, 1);
}

#[test]
fn everything_that_becomes_of_a_request_is_told_once() {
    let first = request("DELETE", status("Approved", "False"));
    let events = |request: &AccessRequest, before: &[Condition]| -> Vec<What> {
        told(request, before).into_iter().map(|notice| notice.event).collect()
    };
    assert_eq!(events(&first, &[]), [What::Requested]);
    assert!(events(&first, &conditions(&first)).is_empty());
    for (kind, what) in [
        ("Approved", What::Approved),
        ("Denied", What::Denied),
        ("Withdrawn", What::Withdrawn),
        ("Expired", What::Expired),
        ("Revoked", What::Revoked),
        ("AdmissionChanged", What::Closed),
        ("Reviewed", What::Reviewed),
    ] {
        let then = request("DELETE", status(kind, "True"));
        assert_eq!(events(&then, &conditions(&first)), [what]);
        assert!(events(&then, &conditions(&then)).is_empty(), "{kind}");
    }
    let mut glass = request("DELETE", status("Reviewed", "False"));
    glass.spec.break_glass = true;
    assert_eq!(events(&glass, &[]), [What::BreakGlass]);
}

#[tokio::test]
async fn what_the_process_before_may_not_have_delivered_is_told_again_and_once() {
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let notifier = Notifier::new(metrics.notifications.clone());
    let began = jiff::Timestamp::now();
    let ago = |minutes: i64| jiff::SignedDuration::from_mins(-minutes);
    let at = |kind: &str, truth: &str, made: i64, said: i64| {
        let mut request = request("DELETE", status(kind, truth));
        request.metadata.creation_timestamp = Some(Time(began + ago(made)));
        request.status.as_mut().unwrap().conditions[0].last_transition_time = Time(began + ago(said));
        request
    };
    let missed = |request: &AccessRequest, now: jiff::Timestamp| -> Vec<What> {
        let missed = notifier.missed(request, now);
        missed.into_iter().map(|notice| notice.event).collect()
    };
    let waits = at("Approved", "False", 5, 5);
    assert!(missed(&waits, began).is_empty(), "there is nobody to tell yet");
    // It is on its way for ever, which nobody waits for.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    notifier
        .hooks()
        .store(Arc::new(vec![Arc::new(hook(&url, Format::Generic))]));
    assert_eq!(missed(&waits, began), [What::Requested]);
    assert_eq!(
        missed(&at("Approved", "True", 5, 5), began),
        [What::Approved],
        "it waits no more"
    );
    assert_eq!(missed(&at("Denied", "True", 60, 5), began), [What::Denied]);
    assert!(
        missed(&at("Denied", "True", 60, 16), began).is_empty(),
        "it was delivered, or given up"
    );
    let mut glass = at("Expired", "True", 5, 1);
    glass.spec.break_glass = true;
    assert_eq!(missed(&glass, began), [What::BreakGlass, What::Expired]);
    let mut new = waits.clone();
    new.status = None;
    assert!(
        missed(&new, began).is_empty(),
        "it was never looked at, and is told as what is new"
    );

    assert!(
        missed(&at("Denied", "True", 5, -2), began).is_empty(),
        "this process says so itself"
    );

    notifier.catch_up(&waits, began);
    assert!(missed(&waits, began).is_empty(), "once");
    let later = began + jiff::SignedDuration::from_mins(16);
    assert!(
        missed(&glass, later).is_empty(),
        "by then it was delivered, or given up"
    );
}

#[test]
fn what_somebody_typed_is_no_markup() {
    let notice = asked("DELETE <!channel> & [x](https://evil)");
    let slack = notice.body(Format::Slack);
    assert!(
        slack["text"]
            .as_str()
            .unwrap()
            .contains("DELETE &lt;!channel&gt; &amp; ["),
        "{slack}"
    );
    assert_eq!(slack["blocks"][0]["text"]["type"], "plain_text");
    let teams = notice.body(Format::Teams);
    let said = &teams["attachments"][0]["content"]["body"][0];
    assert_eq!(
        (&said["type"], &said["inlines"][0]["type"]),
        (&json!("RichTextBlock"), &json!("TextRun"))
    );
    let words = said["inlines"][0]["text"].as_str().unwrap();
    for part in [
        "Approval is asked for doors/bank-1: oidc:alice on connection bank",
        "risk 80",
        "It takes 1 of group oidc:dba, ServiceAccount ci/robot: kubectl sallyport approve bank-1 -n doors",
    ] {
        assert!(words.contains(part), "{words}");
    }
    assert!(
        !notice.body(Format::Generic).to_string().contains("FROM accounts"),
        "the text stays in the cluster"
    );
}

#[test]
fn what_somebody_typed_begins_no_line_and_hides_no_answer() {
    let answer = "It takes 1 of group oidc:dba, ServiceAccount ci/robot: kubectl sallyport approve bank-1 -n doors";
    let forged = "x\nIt takes 1 of group oidc:dba: kubectl sallyport approve evil -n doors\u{202e}\u{2028}";
    for (agent, summary, reason) in [
        ("oidc:bot", "DELETE", forged.to_owned()),
        (forged, "It takes nobody", "\u{202e}".repeat(1_024)),
    ] {
        let mut request = request(summary, status("Approved", "False"));
        request.spec.reason = Some(reason);
        request.spec.agents = serde_json::from_value(json!([{ "username": agent }])).unwrap();
        let notice = told(&request, &[]).remove(0);
        let slack = notice.body(Format::Slack)["blocks"][0]["text"]["text"].clone();
        let slack = slack.as_str().unwrap();
        let lines: Vec<&str> = slack.lines().filter(|line| line.starts_with("It takes")).collect();
        assert_eq!(lines, [answer], "{slack}");
        assert!(!slack.contains(['\u{202e}', '\u{2028}']), "{slack:?}");
        assert!(slack.chars().count() <= 2_900);
    }
    let mut many = told(&request("DELETE", status("Approved", "False")), &[]).remove(0);
    many.approvers = vec!["1 of group oidc:dba".into(); 300];
    let slack = many.body(Format::Slack)["blocks"][0]["text"]["text"].clone();
    let slack = slack.as_str().unwrap();
    assert!(
        slack.contains("DELETE") && slack.ends_with(": kubectl sallyport approve bank-1 -n doors"),
        "{slack}"
    );
    assert!(slack.chars().count() <= 2_900);
}
