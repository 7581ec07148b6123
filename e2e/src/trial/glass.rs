//! Break-glass: whoever may goes ahead without waiting, everybody hears of it, and another person looks at it afterwards.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client::{ask_directly, psql_by};
use crate::demo::{BOB, CAROL, CONNECTION, DOORS, Demo, User};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::requests::{answer, items, shown, text};
use super::second_person::named;
use super::undo::PutBack;
use super::{SETTLE, becomes, login, pods, records};

const ROWS: &str = "INSERT INTO accounts VALUES (7401, 1, 0), (7402, 1, 0), (7403, 1, 0) ON CONFLICT DO NOTHING";
/// What `config/admission/request-answers.yaml` says to who answers their own request.
const OWN_REQUEST: &str = "nobody answers their own request, under any name";

/// A way in for somebody who goes ahead.
pub(super) struct Glass<'a> {
    demo: &'a Demo,
    user: User,
    token: String,
    reason: String,
}

pub(super) fn reviewed(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let _open = Reviewed::after(demo)?;
    ask_directly(demo, ROWS)?.ok()?;
    let _rows = PutBack(demo, "DELETE FROM accounts WHERE id BETWEEN 7401 AND 7403");
    let refreshed = Glass::by(demo, BOB, demo.token(BOB)?);
    let refusal = refreshed.delete(7401)?;
    narrator.shows(&refusal);
    narrator.check(
        "a token that does not say when bob logged in breaks no glass",
        !refusal.stdout.contains("DELETE") && refusal.stderr.contains("your login is not recent enough"),
    )?;
    answer(demo, BOB, "withdraw", &named(&refusal.stderr)?)?.ok()?;
    let before = counted(demo)?;
    let glass = Glass::by(demo, BOB, login::token(demo, BOB)?);
    let went = glass.delete(7401)?;
    narrator.shows(&went);
    narrator.check(
        "bob, who logged in just now, goes ahead at once",
        went.stdout.contains("DELETE 1"),
    )?;
    let request = glass.used()?;
    narrator.check(
        "his client tells him that he did, and by which request",
        went.stderr.contains("break-glass is in use until ")
            && went.stderr.contains(&format!(": AccessRequest {request}")),
    )?;
    loud(&glass, narrator, &request)?;
    narrator.check("a metric counts it", counted(demo)? == before + 1)?;
    let denied = glass.ask("DROP TABLE accounts")?;
    narrator.shows(&denied);
    narrator.check(
        "what a rule denies stays denied",
        !denied.status.success() && denied.stderr.contains("changed by migrations"),
    )?;
    locked_until_reviewed(&glass, narrator, &request)
}

/// Event, condition and record tell of the use.
fn loud(glass: &Glass<'_>, narrator: &mut Narrator, request: &str) -> Result<()> {
    let (demo, reason) = (glass.demo, glass.reason.as_str());
    let said = becomes(
        demo,
        &format!("accessrequest/{request}"),
        "Reviewed",
        "False AwaitingReview",
    )?;
    narrator.shows_text(&said);
    narrator.check("it stays to be reviewed, and says why it was", said.contains(reason))?;
    wait_until(SETTLE, "Events of type Warning on request and Connection", || {
        let events = shown(demo, "events")?;
        let warned = |kind: &str, name: &str| {
            items(&events).any(|event| {
                text(event, "/type") == "Warning"
                    && text(event, "/involvedObject/kind") == kind
                    && text(event, "/involvedObject/name") == name
                    && text(event, "/message").contains(reason)
            })
        };
        Ok((warned("AccessRequest", request) && warned("Connection", CONNECTION)).then_some(()))
    })?;
    narrator.check("an Event warns on the request and on the Connection", true)?;
    on_record(demo, "breakGlass", request, |record| {
        text(record, "/event/breakGlass/reason") == reason
    })?;
    narrator.check("a record of its own kind has the reason", true)
}

fn locked_until_reviewed(glass: &Glass<'_>, narrator: &mut Narrator, request: &str) -> Result<()> {
    let (demo, object) = (glass.demo, format!("accessrequest/{request}"));
    // Its time would be over in an hour; a reviewer may end it before.
    answer(demo, CAROL, "revoke", request)?.ok()?;
    becomes(demo, &object, "Revoked", "True")?;
    // No such row: doors hear of it a moment later.
    let refusal = wait_until(SETTLE, "bob is locked", || {
        let output = glass.delete(-1)?;
        Ok(output.stderr.contains("locked for you").then_some(output))
    })?;
    narrator.shows(&refusal);
    narrator.check(
        "carol ended it: bob breaks no more until it is reviewed, and is told which",
        refusal
            .stderr
            .contains(&format!("locked for you until AccessRequest {request}")),
    )?;
    answer(demo, BOB, "withdraw", &named(&refusal.stderr)?)?.ok()?;
    let own = answer(demo, BOB, "review", request)?;
    narrator.shows(&own);
    narrator.check(
        "bob's own review is refused",
        !own.status.success() && own.stderr.contains(OWN_REQUEST),
    )?;
    let review = answer(demo, CAROL, "review", request)?;
    narrator.shows(&review);
    narrator.check("carol reviews it", review.status.success())?;
    becomes(demo, &object, "Reviewed", "True")?;
    on_record(demo, "reviewed", request, |record| {
        text(record, "/event/reviewed/reviewers/0/username").contains(CAROL.0)
    })?;
    narrator.check("the record says that it was carol", true)?;
    let again = wait_until(SETTLE, "bob is unlocked", || {
        let output = glass.delete(7402)?;
        Ok(output.stdout.contains("DELETE 1").then_some(output))
    })?;
    narrator.shows(&again);
    narrator.check("then bob may go ahead again", true)
}

/// Waits until the log holds a record of that kind about the request that is as wanted.
fn on_record(demo: &Demo, kind: &str, request: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    let about = format!("/event/{kind}/request/name");
    wait_until(SETTLE, &format!("a record {kind} of {request}"), || {
        let found = records(demo)?
            .iter()
            .any(|record| text(record, &about) == request && wanted(record));
        Ok(found.then_some(()))
    })
}

/// How often glass was broken, by all Pods of the door.
fn counted(demo: &Demo) -> Result<u64> {
    let mut sum = 0;
    for pod in pods::of_door(demo)? {
        let mut curl = demo.command("curl");
        curl.args([
            "-sf",
            "--max-time",
            "60",
            &format!("http://{}:9090/metrics", pod.address),
        ]);
        let metrics = run(&mut curl)?.ok()?.stdout;
        let uses = metrics
            .lines()
            .filter(|line| line.starts_with("sallyport_break_glass_total{"));
        for value in uses.filter_map(|line| line.rsplit(' ').next()) {
            sum += value
                .parse::<u64>()
                .with_context(|| format!("{value:?} is no number of uses"))?;
        }
    }
    Ok(sum)
}

// === impl Glass ===

impl<'a> Glass<'a> {
    /// For that person, with a reason that no other use has.
    pub(super) fn by(demo: &'a Demo, user: User, token: String) -> Self {
        let reason = format!("the branch is down {}", std::process::id());
        Self {
            demo,
            user,
            token,
            reason,
        }
    }

    /// Deletes an account, which needs a second person.
    pub(super) fn delete(&self, id: i32) -> Result<Output> {
        self.ask(&format!("DELETE FROM accounts WHERE id = {id}"))
    }

    fn ask(&self, statement: &str) -> Result<Output> {
        let mut command = psql_by(self.demo, self.user, &self.token, &[statement]);
        // Whoever breaks no glass is told so at once.
        let options = format!(
            "-c sallyport.on_hold=refuse -c sallyport.break_glass={}",
            self.reason.replace(' ', r"\ ")
        );
        run(command.env("PGOPTIONS", options))
    }

    /// The request that stands for the use.
    pub(super) fn used(&self) -> Result<String> {
        let requests = shown(self.demo, "accessrequests")?;
        let used = items(&requests).find(|request| is_open(request) && text(request, "/spec/reason") == self.reason);
        let name = used.map(|request| text(request, "/metadata/name").to_owned());
        name.context("no AccessRequest stands for the use of break-glass")
    }
}

/// A use of break-glass that nobody has reviewed.
fn is_open(request: &Value) -> bool {
    let conditions = request.pointer("/status/conditions").and_then(Value::as_array);
    let reviewed = conditions
        .into_iter()
        .flatten()
        .any(|one| text(one, "/type") == "Reviewed" && text(one, "/status") == "True");
    request.pointer("/spec/breakGlass") == Some(&Value::Bool(true)) && !reviewed
}

/// What is open in the end is reviewed, so that nobody stays locked.
pub(super) struct Reviewed<'a>(&'a Demo);

// === impl Reviewed ===

impl<'a> Reviewed<'a> {
    /// Begins with nothing open, whatever a trial before left.
    pub(super) fn after(demo: &'a Demo) -> Result<Self> {
        let reviewed = Self(demo);
        reviewed.review()?;
        Ok(reviewed)
    }

    fn review(&self) -> Result<()> {
        let requests = shown(self.0, "accessrequests")?;
        for request in items(&requests).filter(|request| is_open(request)) {
            let name = text(request, "/metadata/name");
            answer(self.0, CAROL, "review", name)?.ok()?;
            becomes(self.0, &format!("accessrequest/{name}"), "Reviewed", "True")?;
        }
        Ok(())
    }
}

impl Drop for Reviewed<'_> {
    fn drop(&mut self) {
        if let Err(cause) = self.review() {
            eprintln!("a use of break-glass in namespace {DOORS} is left to be reviewed: {cause:#}");
        }
    }
}
