//! Forgeries by people of the identity provider, by their own tokens: what they write of others, and of what is not theirs to say.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::demo::{ALICE, BOB, CAROL, DOORS, Demo, MALLORY, User};
use crate::narrator::Narrator;
use crate::run::{Output, run, wait_until};

use super::requests::{Known, answer, asked, known, shown, text};
use super::undo::Undo;
use super::{SETTLE, api_knows_people, becomes, window};

/// Whose members approve.
const DBA: &str = "oidc:dba";
/// Where somebody's answer is added.
const ANSWERS: &str = "/status/approvals/-";
/// By which mallory may write what approvers write, and mallory and bob may ask: what is left is admission.
const RIGHTS: [(&str, &str, &[&str]); 2] = [
    (
        "trial-forged-answers",
        "--clusterrole=sallyport-approver",
        &["--user=oidc:mallory"],
    ),
    (
        "trial-forged-requests",
        "--clusterrole=sallyport-requester",
        &["--user=oidc:mallory", "--user=oidc:bob"],
    ),
];

/// What somebody tries to write into a request, and by which words it is refused.
struct Forgery {
    what: &'static str,
    by: User,
    patch: Value,
    words: &'static str,
}

/// Those who write, as the API server knows them.
struct People {
    bob: Known,
    carol: Known,
    mallory: Known,
}

pub(super) fn by_people(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    api_knows_people(demo)?;
    let _rights = rights(demo)?;
    let people = People {
        bob: known(demo, BOB)?,
        carol: known(demo, CAROL)?,
        mallory: known(demo, MALLORY)?,
    };
    let alices = asked(demo, ALICE, "DELETE FROM accounts WHERE id = -7811")?;
    let bobs = asked(demo, BOB, "DELETE FROM accounts WHERE id = -7812")?;
    wait_until(SETTLE, "mallory has the rights of an approver", || {
        let get = ["-n", DOORS, "get", "accessrequest", &alices];
        Ok(run(&mut demo.kubectl_as(MALLORY, &get))?.status.success().then_some(()))
    })?;

    let waiting = object(demo, &alices)?;
    for forgery in answers(&people, &waiting).into_iter().chain(outcomes(&people.mallory)) {
        refused(demo, narrator, &alices, &forgery)?;
    }
    let own = forgery(
        "bob, who approves, approves what he asks for himself",
        BOB,
        added(&entry(&people.bob, "Approve", &[DBA], &object(demo, &bobs)?)),
        "nobody answers their own request, under any name",
    );
    refused(demo, narrator, &bobs, &own)?;
    for request in [&alices, &bobs] {
        let left = object(demo, request)?;
        narrator.check(
            "nothing of it was kept, and the request waits as before",
            left.pointer("/status/approvals") == Some(&json!([])) && text(&left, "/status/state") == "Pending",
        )?;
    }
    answer(demo, BOB, "withdraw", &bobs)?.ok()?;

    answer(demo, CAROL, "approve", &alices)?.ok()?;
    becomes(demo, &format!("accessrequest/{alices}"), "Approved", "True")?;
    for forgery in edits() {
        refused(demo, narrator, &alices, &forgery)?;
    }
    let left = object(demo, &alices)?;
    narrator.check(
        "carol's answer stands as she gave it",
        text(&left, "/status/approvals/0/user") == people.carol.user
            && text(&left, "/status/approvals/0/reason") == "for the trial",
    )?;
    answer(demo, CAROL, "revoke", &alices)?.ok()?;
    asks_for_another(demo, narrator, &people)
}

/// Answers that are not their author's to give.
fn answers(people: &People, asked: &Value) -> [Forgery; 7] {
    let People { bob, carol, mallory } = people;
    let bob_as_carol = Known {
        subject: carol.subject.clone(),
        ..bob.clone()
    };
    let approves = |whose: &Known, groups: &[&str]| added(&entry(whose, "Approve", groups, asked));
    [
        forgery(
            "mallory approves in bob's name",
            MALLORY,
            approves(bob, &[DBA]),
            "an entry names its own author, and you are oidc:mallory",
        ),
        forgery(
            "bob approves in carol's name",
            BOB,
            approves(carol, &[DBA]),
            "an entry names its own author, and you are oidc:bob",
        ),
        forgery(
            "bob approves as another subject of his issuer",
            BOB,
            approves(&bob_as_carol, &[DBA]),
            "an entry says who you are to the API server",
        ),
        forgery(
            "mallory approves in her own name",
            MALLORY,
            approves(mallory, &[]),
            "oidc:mallory is not an approver",
        ),
        forgery(
            "mallory puts herself into the group",
            MALLORY,
            approves(mallory, &[DBA]),
            "groups holds a group that you are not in",
        ),
        forgery(
            "bob does not say by which group he approves",
            BOB,
            approves(bob, &[]),
            "an entry lists the groups by which its author is one",
        ),
        forgery(
            "mallory withdraws what alice asks for",
            MALLORY,
            added(&entry(mallory, "Withdraw", &[], asked)),
            "only the person who asked and the door that holds the command withdraw",
        ),
    ]
}

/// What the operator and the door write.
fn outcomes(mallory: &Known) -> [Forgery; 3] {
    [
        forgery(
            "mallory writes herself among those who may answer",
            MALLORY,
            replaced(
                "/status/requirements/0/approvers",
                &json!([{"kind": "User", "name": mallory.user}]),
            ),
            "are written by the operator alone",
        ),
        forgery(
            "bob writes that it is approved",
            BOB,
            replaced("/status/conditions/0/status", &json!("True")),
            "conditions are derived by the operator",
        ),
        forgery(
            "bob claims the grant in the door's place",
            BOB,
            json!([{"op": "add", "path": "/status/consumed", "value": {
                "pod": "door-bank", "nonce": "0123456789abcdef", "time": "2026-01-01T00:00:00Z",
            }}]),
            "a grant is claimed by the door of its Connection, from its own Pod",
        ),
    ]
}

/// What is tried with carol's answer.
fn edits() -> [Forgery; 3] {
    let words = "entries of status.approvals are never changed or removed";
    let rewritten = replaced("/status/approvals/0/reason", &json!("carol said so"));
    let removed = || json!([{"op": "remove", "path": "/status/approvals/0"}]);
    [
        forgery("bob rewrites carol's reason", BOB, rewritten, words),
        forgery("mallory removes carol's answer", MALLORY, removed(), words),
        forgery("carol removes her own", CAROL, removed(), words),
    ]
}

fn forgery(what: &'static str, by: User, patch: Value, words: &'static str) -> Forgery {
    Forgery { what, by, patch, words }
}

/// Windows in somebody else's name.
fn asks_for_another(demo: &Demo, narrator: &mut Narrator, people: &People) -> Result<()> {
    let alice = known(demo, ALICE)?;
    let mallory_as_alice = Known {
        user: people.mallory.user.clone(),
        ..alice.clone()
    };
    for (what, by, whose, words) in [
        (
            "mallory asks in alice's name",
            MALLORY,
            &alice,
            "spec.requester.username is oidc:alice, and you are oidc:mallory",
        ),
        (
            "bob asks in alice's name",
            BOB,
            &alice,
            "spec.requester.username is oidc:alice, and you are oidc:bob",
        ),
        (
            "mallory asks under alice's subject",
            MALLORY,
            &mallory_as_alice,
            "as the API server knows you",
        ),
    ] {
        let refusal = window::created(demo, by, &window::of(demo, whose, "1m")?)?;
        in_words(narrator, what, words, &refusal)?;
    }
    Ok(())
}

/// Somebody tries it, and is refused.
fn refused(demo: &Demo, narrator: &mut Narrator, request: &str, forgery: &Forgery) -> Result<()> {
    let patch = forgery.patch.to_string();
    let mut forge = demo.kubectl_as(forgery.by, &["-n", DOORS, "patch", "accessrequest", request]);
    forge.args(["--subresource=status", "--type=json", "-p", &patch]);
    in_words(narrator, forgery.what, forgery.words, &run(&mut forge)?)
}

fn in_words(narrator: &mut Narrator, what: &str, words: &str, refusal: &Output) -> Result<()> {
    narrator
        .check(
            &format!("{what}: {words}"),
            !refusal.status.success() && refusal.stderr.contains(words),
        )
        .with_context(|| refusal.all())
}

/// An answer to that request, which says of its author what is known of somebody.
fn entry(of: &Known, decision: &str, groups: &[&str], asked: &Value) -> Value {
    json!({
        "user": of.user, "issuer": of.issuer, "subject": of.subject, "groups": groups, "decision": decision,
        "requestUID": text(asked, "/metadata/uid"), "digest": text(asked, "/spec/command/digest"),
    })
}

fn added(entry: &Value) -> Value {
    json!([{"op": "add", "path": ANSWERS, "value": entry}])
}

fn replaced(path: &str, value: &Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

fn object(demo: &Demo, request: &str) -> Result<Value> {
    shown(demo, &format!("accessrequest/{request}"))
}

/// Gives [`RIGHTS`] until the guards go.
fn rights(demo: &Demo) -> Result<Vec<Undo<'_>>> {
    let mut undo = Vec::new();
    for (name, role, people) in RIGHTS {
        let delete = ["-n", DOORS, "delete", "rolebinding", name, "--ignore-not-found"];
        demo.admin(&delete)?;
        undo.push(Undo::by(demo, &delete));
        let create = ["-n", DOORS, "create", "rolebinding", name, role];
        demo.admin(&[&create[..], people].concat())?;
    }
    Ok(undo)
}
