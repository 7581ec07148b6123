//! Tokens in the hands of programs: what a person's own token says of who acts for them, and what it is worth to an approver.

use anyhow::Result;
use serde_json::Value;

use crate::demo::{ALICE, BOB, DOORS, Demo};
use crate::narrator::Narrator;
use crate::run::run;

use super::agent::{AGENT, DELETE, USERNAME, came, claim, login, mark};
use super::kubeconfig::Kubeconfig;
use super::requests::{answer, asked, shown, text};
use super::second_person::named;
use super::{SSN, api_knows_people, records};

pub(super) fn said_by_the_token(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    let agent = demo.token(AGENT)?;
    let subject = claim(&agent, "sub")?;
    let acts = demo.token_by(ALICE, "sallyport-act")?;
    let read = login(demo, ALICE, &acts, "act", SSN)?;
    narrator.shows(&read);
    narrator.check(
        "a token that says who acts (act) opens the door, masked",
        read.stdout.contains("[REDACTED]"),
    )?;
    let held = login(demo, ALICE, &acts, "act", DELETE)?;
    narrator.shows(&held);
    let name = named(&held.stderr)?;
    let request = shown(demo, &format!("accessrequest/{name}"))?;
    narrator.check(
        "what is asked for by it names alice and the agent",
        text(&request, "/spec/requester/username") == "oidc:alice"
            && text(&request, "/spec/agents/0/username") == USERNAME
            && text(&request, "/spec/agents/0/subject") == subject,
    )?;
    answer(demo, ALICE, "withdraw", &name)?.ok()?;

    let may = demo.token_by(ALICE, "sallyport-may-act")?;
    let pair = login(demo, ALICE, &format!("{may},{agent}"), "may-act", SSN)?;
    narrator.shows(&pair);
    narrator.check(
        "a token that says who may act (may_act) opens it beside that agent's own",
        pair.stdout.contains("[REDACTED]"),
    )?;
    let alone = login(demo, ALICE, &may, "may-act-alone", SSN)?;
    narrator.check("and by itself it is alice's own", alone.stdout.contains("[REDACTED]"))?;
    let records = records(demo)?;
    let by_herself = mark("may-act-alone");
    narrator.check(
        "the record names the agent where it acted, and only there",
        came(&records, &mark("act"), &subject)
            && came(&records, &mark("may-act"), &subject)
            && !came(&records, &by_herself, &subject)
            && records
                .iter()
                .any(|record| text(record, "/event/sessionStart/claims/application") == by_herself),
    )
}

pub(super) fn answers_nothing(demo: &Demo, narrator: &mut Narrator) -> Result<()> {
    api_knows_people(demo)?;
    let request = asked(demo, ALICE, DELETE)?;
    {
        let agent = Kubeconfig::of(demo, &demo.token_by(BOB, "kubernetes-agent")?)?;
        let whoami = run(&mut agent.kubectl(demo, &["auth", "whoami", "-o", "json"]))?
            .ok()?
            .stdout;
        narrator.shows_text(&whoami);
        narrator.check(
            "to the API server it is bob's own, in the group that approves, and an agent's",
            ["oidc:bob", "oidc:dba", "sallyport.dev/agent"]
                .iter()
                .all(|word| whoami.contains(word)),
        )?;
        for verb in ["approve", "deny"] {
            let words = ["sallyport", verb, &request, "-n", DOORS, "--reason", "for the trial"];
            let refusal = run(&mut agent.kubectl(demo, &words))?;
            narrator.shows(&refusal);
            narrator.check(
                &format!("it may not {verb}, in words"),
                !refusal.status.success() && refusal.stderr.contains("an agent answers nothing"),
            )?;
        }
    }
    let object = shown(demo, &format!("accessrequest/{request}"))?;
    let answers = object.pointer("/status/approvals").and_then(Value::as_array);
    narrator.check("no answer of it was kept", answers.is_some_and(Vec::is_empty))?;
    narrator.check(
        "what bob says by a client of people counts",
        answer(demo, BOB, "deny", &request)?.status.success(),
    )
}
