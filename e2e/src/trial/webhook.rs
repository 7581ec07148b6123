//! Notices: a webhook that fails at first hears of everything in the end, signed, in each shape, and nobody waits for it.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::start;
use crate::demo::{ALICE, BOB, CAROL, DOORS, Demo, SYSTEM};
use crate::narrator::Narrator;
use crate::run::{Running, run, wait_until};

use super::beside::{enforced, insert};
use super::glass::{Glass, Reviewed};
use super::requests::{answer, text};
use super::second_person::named;
use super::undo::Undo;
use super::{SETTLE, Skipped, login, pods};

/// A request is over soon when nobody answers it, and not before the operator has told that it was asked.
const SHORT: &str = "holdFor: 20s, expiresAfter: 20s";

/// How long a notice is waited for before the next request is made: of those that are over after [`SHORT`], few wait at a time, or
/// alice would have asked for as many as one person may.
const HEARD: Duration = Duration::from_secs(4);

/// The shapes of notices: where each comes, and where in its body the lines for people stand.
const SHAPES: [(&str, &str, Option<&str>); 3] = [
    ("/", "Generic", None),
    ("/slack", "Slack", Some("/said/blocks/0/text/text")),
    (
        "/teams",
        "Teams",
        Some("/said/attachments/0/content/body/0/inlines/0/text"),
    ),
];
const SECRET: &str = "sallyport-notifications";
/// The key by which the operator signs; nobody else has it.
const SIGNING_KEY: &str = "trial-trial-trial-trial-trial-trial-trial";
/// An authority and a certificate of it, for the address in `$1`, in the directory `$0`.
const CERTIFICATES: &str = r#"
set -euo pipefail
cd "$0"
make() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 \
    -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') "$@" 2>/dev/null
}
make -keyout ca.key -out ca.crt -subj '/CN=Trial' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
make -CA ca.crt -CAkey ca.key -keyout tls.key -out tls.crt -subj '/CN=webhook' -addext basicConstraints=critical,CA:FALSE \
  -addext extendedKeyUsage=serverAuth -addext "subjectAltName=IP:$1"
"#;

/// A webhook that takes each notice at the third attempt.
struct Webhook {
    running: Running,
    url: String,
    home: PathBuf,
}

/// Notices by where they came and their own id, with every attempt.
#[derive(Default)]
struct Told(BTreeMap<(String, String), Vec<Value>>);

pub(super) fn told(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    if !demo.is_local() {
        bail!(Skipped("this cluster's webhooks are not the trial's to replace"));
    }
    let mut webhook = Webhook::start(demo)?;
    let _secret = webhook.configured(demo)?;
    let _policy = enforced(demo, "trial-short", "inserting needs another", SHORT)?;
    let mut id = 7700;
    wait_until(SETTLE, "the operator knows the webhook", || {
        id += 1;
        insert(demo, id)?;
        let heard = webhook.running.wait_for_line(HEARD, |line| line.contains("notice"));
        Ok(heard.ok().map(drop))
    })?;
    let _open = Reviewed::after(demo)?;
    let wanted = happen(demo, narrator, id + 1)?;
    let told = webhook.hears(&wanted)?;
    let each = |(event, name): &(String, String)| -> Result<()> {
        for (path, format, words) in SHAPES {
            let attempts = told.attempts(path, event, name);
            let each = |holds: &dyn Fn(&Value) -> bool| attempts.iter().all(holds);
            let first = attempts.first().context("an attempt")?;
            let taken = attempts.len() == 3
                && each(&|one| one.get("signed") == Some(&Value::Bool(true)))
                && each(&|one| one.get("said") == first.get("said"))
                && words.is_none_or(|words| text(first, words).contains(&format!("{DOORS}/{name}: ")));
            if !taken {
                eprintln!("{attempts:?}");
            }
            narrator.check(
                &format!("{event} of {name} is sent again as {format}, signed each time, until it is taken"),
                taken,
            )?;
        }
        Ok(())
    };
    wanted.iter().try_for_each(each)
}

/// Somebody asks and is answered, goes ahead and is reviewed, asks and is not answered; gives what a webhook is to hear of it.
fn happen(demo: &Demo, narrator: &mut Narrator, id: u32) -> Result<Vec<(String, String)>> {
    let unanswered = named(&insert(demo, id)?.stderr)?;
    let mut held = start(demo, ALICE, &["DELETE FROM accounts WHERE id = -7701"])?;
    let approved = named(&held.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?)?;
    answer(demo, BOB, "approve", &approved)?.ok()?;
    let ended = held.finish(SETTLE)?;
    narrator.shows(&ended);
    narrator.check(
        "while the webhook takes nothing, what is approved runs",
        ended.stdout.contains("DELETE 0"),
    )?;
    let mut held = start(demo, ALICE, &["DELETE FROM accounts WHERE id = -7703"])?;
    let denied = named(&held.wait_for_line(SETTLE, |line| line.contains("kubectl sallyport approve"))?)?;
    answer(demo, BOB, "deny", &denied)?.ok()?;
    let ended = held.finish(SETTLE)?;
    narrator.check("and what is denied does not", !ended.stdout.contains("DELETE"))?;
    let glass = Glass::by(demo, BOB, login::token(demo, BOB)?);
    let went = glass.delete(-7702)?;
    narrator.check("and glass is broken", went.stdout.contains("DELETE 0"))?;
    let used = glass.used()?;
    answer(demo, CAROL, "review", &used)?.ok()?;
    let all = [
        ("Requested", &unanswered),
        ("Expired", &unanswered),
        ("Requested", &approved),
        ("Approved", &approved),
        ("Requested", &denied),
        ("Denied", &denied),
        ("BreakGlass", &used),
        ("Reviewed", &used),
    ];
    Ok(all
        .into_iter()
        .map(|(event, name)| (event.to_owned(), name.clone()))
        .collect())
}

// === impl Webhook ===

impl Webhook {
    /// Listens on this machine, where the operator's Pods reach it.
    fn start(demo: &Demo) -> Result<Self> {
        let operators = pods::found(demo, SYSTEM, "app.kubernetes.io/component=operator")?;
        let operator = operators.first().context("the operator's Pods")?;
        // Nothing is sent: it tells by which address of this machine that Pod is spoken to.
        let towards = UdpSocket::bind("0.0.0.0:0")?;
        towards.connect((operator.address.as_str(), 9))?;
        let address = towards.local_addr()?.ip().to_string();
        let home = demo.path("trial-webhook");
        std::fs::create_dir_all(&home)?;
        let mut certificates = demo.command("bash");
        certificates.args(["-c", CERTIFICATES]).arg(&home).arg(&address);
        run(&mut certificates)?.ok()?;
        let mut server = demo.command("python3");
        server
            .arg(demo.repository().join("e2e/demo/webhook"))
            .arg(&address)
            .args([home.join("tls.crt"), home.join("tls.key")])
            .arg(SIGNING_KEY);
        let mut running = Running::start(&mut server)?;
        let port = running.wait_for_line(SETTLE, |_| true)?;
        let url = format!("https://{address}:{}", port.trim());
        Ok(Self { running, url, home })
    }

    /// Lets the operator tell it; until the guard goes.
    fn configured<'a>(&self, demo: &'a Demo) -> Result<Undo<'a>> {
        let file = self.home.join("notifications.yaml");
        let authority = std::fs::read_to_string(self.home.join("ca.crt"))?;
        let webhooks = SHAPES.map(|(path, format, _)| {
            json!({
                "name": format, "url": format!("{}{path}", self.url), "format": format, "key": SIGNING_KEY,
                "certificateAuthority": authority, "namespaces": [DOORS],
            })
        });
        std::fs::write(&file, json!({ "webhooks": webhooks }).to_string())?;
        let delete = ["-n", SYSTEM, "delete", "secret", SECRET, "--ignore-not-found"];
        demo.admin(&delete)?;
        let undo = Undo::by(demo, &delete);
        let from = format!("--from-file={}", file.display());
        demo.admin(&["-n", SYSTEM, "create", "secret", "generic", SECRET, &from])?;
        Ok(undo)
    }

    /// Waits until it has taken all of these, in every shape.
    fn hears(&mut self, wanted: &[(String, String)]) -> Result<Told> {
        loop {
            let told = Told::of(&self.running.wait_for_line(SETTLE, |_| true)?);
            let taken = |(event, name): &(String, String)| {
                SHAPES.iter().all(|(path, ..)| {
                    let last = told.attempts(path, event, name).last();
                    last.and_then(|attempt| attempt.get("status")).and_then(Value::as_u64) == Some(200)
                })
            };
            if wanted.iter().all(taken) {
                return Ok(told);
            }
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let ended = self.running.interrupt();
        if let Err(cause) = ended.and_then(|()| std::fs::remove_dir_all(&self.home).map_err(Into::into)) {
            eprintln!("the trial's webhook is left: {cause:#}");
        }
    }
}

// === impl Told ===

impl Told {
    /// What the webhook said of each attempt, a line of JSON each; other lines are none.
    fn of(said: &str) -> Self {
        let mut told = Self::default();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for attempt in lines.filter(Value::is_object) {
            let key = (text(&attempt, "/path").to_owned(), text(&attempt, "/notice").to_owned());
            told.0.entry(key).or_default().push(attempt);
        }
        told
    }

    /// Attempts at a path of what the notice itself tells that came as JSON.
    fn attempts(&self, path: &str, event: &str, name: &str) -> &[Value] {
        let mut all = self.0.values().flatten();
        let told = all.find(|one| text(one, "/said/event") == event && text(one, "/said/name") == name);
        let key = told.map(|one| (path.to_owned(), text(one, "/notice").to_owned()));
        key.and_then(|key| self.0.get(&key))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_those_of_one_notice() {
        let line = |path: &str, event: &str, attempt: u64| {
            let said = match path {
                "/" => json!({"event": event, "name": "bank-1"}),
                _ => json!({"text": "in words"}),
            };
            json!({"path": path, "notice": format!("r-{event}"), "attempt": attempt, "said": said}).to_string()
        };
        let said = [
            "8443".into(),
            line("/", "Requested", 1),
            line("/slack", "Requested", 1),
            line("/", "Expired", 1),
            line("/", "Requested", 2),
        ]
        .join("\n");
        let told = Told::of(&said);
        let numbers = |path: &str, event: &str| -> Vec<u64> {
            let attempts = told.attempts(path, event, "bank-1").iter();
            attempts
                .filter_map(|attempt| attempt.get("attempt")?.as_u64())
                .collect()
        };
        assert_eq!(numbers("/", "Requested"), [1, 2]);
        assert_eq!(numbers("/slack", "Requested"), [1]);
        assert_eq!(numbers("/", "Expired"), [1]);
        assert!(told.attempts("/", "Approved", "bank-1").is_empty());
    }
}
