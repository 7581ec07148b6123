//! A request in full, as an approver reads it before they answer.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sallyport_crds::access_request::{CommandView, Requirement};
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::subject::some_of;
use sallyport_crds::{AccessRequest, ConditionType, Duration};

use crate::visible::visible;

/// Who asks for what and why, what an approval gives and for how long, and who is asked by which rules.
pub fn told(request: &AccessRequest) -> String {
    let spec = &request.spec;
    let (who, connection) = (&spec.requester.username, &spec.connection.name);
    let mut lines = vec![match spec.break_glass {
        false => format!("{who} asks for {:?} on connection {connection}", spec.scope),
        true => format!("{who} went ahead by break-glass on connection {connection}"),
    }];
    if !spec.requester.groups.is_empty() {
        lines.push(format!("  in the groups {}", spec.requester.groups.join(", ")));
    }
    let agents = spec.agents.iter();
    lines.extend(agents.map(|agent| format!("  through the agent {}", agent.username)));
    lines.push(format!("  {}", given(request)));
    lines.push(format!("  {}", stands(request)));
    lines.extend(spec.command.iter().flat_map(command));
    let reason = spec.reason.iter();
    lines.extend(reason.map(|reason| format!("  because: {reason}")));
    lines.extend(requirements(request).iter().map(|one| format!("  {}", asks(one))));
    // Doors escape what they show; what people asked for by themselves, and why somebody broke glass, is as they wrote it.
    lines.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n")
}

/// The condition that counts, in one word.
pub fn state(request: &AccessRequest) -> &str {
    let state = request.status.as_ref().and_then(|status| status.state.as_deref());
    state.unwrap_or("Pending")
}

/// Who may answer; nothing as long as the operator has not looked.
pub fn requirements(request: &AccessRequest) -> &[Requirement] {
    let status = request.status.as_ref();
    status
        .and_then(|status| status.requirements.as_deref())
        .unwrap_or_default()
}

/// What an approval lets through, and for how long.
fn given(request: &AccessRequest) -> String {
    let spec = &request.spec;
    let what = match spec.scope {
        GrantScope::Command => return "an approval allows this very command with these values, once".to_owned(),
        GrantScope::Fingerprint => "this statement with other values of its parameters too",
        GrantScope::Session => "whatever the rules below ask about in this session",
        GrantScope::Window => "whatever the rules below ask about on this connection",
    };
    let allows = match spec.break_glass {
        false => "an approval allows",
        true => "it needs no approval for",
    };
    format!("{allows} {what}, {}", lasts(request))
}

/// The shortest time that a rule or the request itself states.
fn lasts(request: &AccessRequest) -> String {
    let asked = request.spec.window.as_ref().map(|window| window.duration);
    let rules = requirements(request);
    let shortest: Option<Duration> = rules.iter().filter_map(|one| one.valid_for).chain(asked).min();
    let known = request.spec.break_glass || !rules.is_empty() && rules.iter().all(|one| one.valid_for.is_some());
    match shortest {
        Some(time) if known => format!("for {time}"),
        Some(time) => format!("for {time} or less, as the policies say"),
        None => "for as long as the policies say".to_owned(),
    }
}

/// How it stands: until when, or what became of it, and what it waits for.
fn stands(request: &AccessRequest) -> String {
    let mut words = format!("state {}", state(request));
    match (until(request), state(request)) {
        (Some(until), "Pending") => words += &format!(": it can be decided until {until}"),
        (Some(until), "Approved" | "BreakGlass" | "Reviewed") => words += &format!(", until {until}"),
        _ => {}
    }
    let ended = ConditionType::ENDS
        .iter()
        .find_map(|kind| condition(request, *kind, "True"));
    words.extend(ended.map(|end| format!(": {}", end.message)));
    let waits = match request.spec.break_glass {
        false => condition(request, ConditionType::Approved, "False"),
        true => condition(request, ConditionType::Reviewed, "False").filter(|_| ended.is_some()),
    };
    // That it is over is told by what ended it.
    let waits = waits.filter(|_| ended.is_none() || request.spec.break_glass);
    words.extend(waits.map(|one| format!("; {}", one.message)));
    words
}

/// Until when it can be decided, or what it granted can be used; `None` once it is over.
pub fn until(request: &AccessRequest) -> Option<Timestamp> {
    let mut over = ConditionType::ENDS.iter().chain(&[ConditionType::Consumed]);
    if over.any(|kind| condition(request, *kind, "True").is_some()) {
        return None;
    }
    let granted = request.status.as_ref().and_then(|status| status.granted_until.as_ref());
    Some(granted.map_or(request.spec.expires_at.0, |granted| granted.0))
}

/// The condition of this type, where it has this status.
fn condition<'a>(request: &'a AccessRequest, kind: ConditionType, status: &str) -> Option<&'a Condition> {
    let mut conditions = request.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|one| one.type_ == kind.as_str() && one.status == status)
}

/// The command: what is known of it, its text, and its parameters as the door words them.
fn command(command: &CommandView) -> Vec<String> {
    let mut lines = vec![format!(
        "  risk {}, verbs {}, tables {}",
        command.risk,
        command.verbs.join(" "),
        command.tables.join(" ")
    )];
    let database = command.database.iter().filter(|name| !name.is_empty());
    lines.extend(database.map(|name| format!("  in database {name}")));
    let rows = command.rows.into_iter();
    lines
        .extend(rows.map(|rows| format!("  the target's statistics count {rows} rows there, whatever its conditions")));
    let text = command.text.lines();
    lines.extend(text.map(|line| format!("  | {}", line.replace('\t', "    "))));
    let parameters = command.parameters.iter();
    lines.extend(parameters.map(|parameter| format!("  | {parameter}")));
    lines
}

/// Which rule asks, and whom.
fn asks(requirement: &Requirement) -> String {
    let (rule, approvers) = (&requirement.asked_by, &requirement.approvers);
    let login = requirement
        .max_login_age
        .map(|most| format!(", logged in within {most}"));
    format!(
        "rule {}/{} asks {}{}",
        rule.policy,
        rule.rule,
        some_of(requirement.required, approvers),
        login.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A request of alice's with these fields of spec and status over others that every request has.
    fn request(spec: Value, status: Value) -> AccessRequest {
        let mut whole = json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "AccessRequest", "metadata": {"name": "bank-1"},
            "spec": {
                "connection": {"name": "bank", "uid": "u"}, "requester": {"username": "oidc:alice"},
                "scope": "Command", "expiresAt": "2026-11-24T10:00:00Z",
            },
            "status": status,
        });
        let fields = spec.as_object().unwrap().clone();
        whole["spec"].as_object_mut().unwrap().extend(fields);
        serde_json::from_value(whole).unwrap()
    }

    /// What a rule asks, with these fields over others.
    fn rule(name: &str, fields: Value) -> Value {
        let mut rule = json!({
            "askedBy": {"policy": "changes", "uid": "u", "generation": 1, "rule": name}, "required": 1,
            "approvers": [{"kind": "Group", "name": "oidc:dba"}],
        });
        let fields = fields.as_object().unwrap().clone();
        rule.as_object_mut().unwrap().extend(fields);
        rule
    }

    #[test]
    fn an_approver_reads_all_of_it() {
        // Parameters as doors word them: of two Binds, and with a range.
        let parameters = ["$1 = 7", "$2::int4 = NULL", "$1::int4 = 5 (may vary 1 to 10)"];
        let request = request(
            json!({
                "requester": {"username": "oidc:alice", "groups": ["oidc:engineers", "oidc:payments"]},
                "agents": [{"username": "oidc:bot"}], "reason": "ticket\u{1b}[2K\u{202e} 4711",
                "command": {
                    "text": "DELETE FROM accounts\nWHERE id = $1", "summary": "DELETE FROM accounts", "digest": "d".repeat(64),
                    "risk": 50, "rows": 120, "verbs": ["delete"], "tables": ["public.accounts"], "parameters": parameters,
                    "database": "bank",
                },
            }),
            json!({"requirements": [rule("deletes", json!({
                "required": 2, "maxLoginAge": "10m", "approvers": [
                    {"kind": "Group", "name": "oidc:dba"}, {"kind": "User", "name": "oidc:carol"},
                    {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"},
                ],
            }))]}),
        );
        let wanted = [
            "oidc:alice asks for Command on connection bank",
            "  in the groups oidc:engineers, oidc:payments",
            "  through the agent oidc:bot",
            "  an approval allows this very command with these values, once",
            "  state Pending: it can be decided until 2026-11-24T10:00:00Z",
            "  risk 50, verbs delete, tables public.accounts",
            "  in database bank",
            "  the target's statistics count 120 rows there, whatever its conditions",
            "  | DELETE FROM accounts",
            "  | WHERE id = $1",
            "  | $1 = 7",
            "  | $2::int4 = NULL",
            "  | $1::int4 = 5 (may vary 1 to 10)",
            "  because: ticket\\u{1b}[2K\\u{202e} 4711",
            "  rule changes/deletes asks 2 of group oidc:dba, oidc:carol, ServiceAccount ci/robot, logged in within 10m",
        ];
        assert_eq!(told(&request), wanted.join("\n"));
    }

    #[test]
    fn an_approver_reads_what_is_given_and_for_how_long() {
        let hour = || rule("deletes", json!({"validFor": "1h"}));
        let quarter = || rule("inserts", json!({"validFor": "15m"}));
        let older = || rule("updates", json!({}));
        let window = |time: &str| json!({"scope": "Window", "window": {"duration": time}});
        let cases = [
            (
                json!({"scope": "Fingerprint"}),
                vec![hour()],
                "an approval allows this statement with other values of its parameters too, for 1h",
            ),
            (
                json!({"scope": "Session"}),
                vec![hour(), quarter()],
                "an approval allows whatever the rules below ask about in this session, for 15m",
            ),
            (
                json!({"scope": "Window"}),
                vec![hour()],
                "an approval allows whatever the rules below ask about on this connection, for 1h",
            ),
            // Who asks beforehand says for how long, and gets no longer than rules give.
            (window("30m"), vec![hour()], "on this connection, for 30m"),
            (window("30m"), vec![hour(), quarter()], "on this connection, for 15m"),
            // The operator has not looked, or is of a version that does not say.
            (
                window("30m"),
                vec![],
                "on this connection, for 30m or less, as the policies say",
            ),
            (
                window("30m"),
                vec![older()],
                "on this connection, for 30m or less, as the policies say",
            ),
            (
                json!({"scope": "Session"}),
                vec![older()],
                "in this session, for as long as the policies say",
            ),
            // What lies outside of the ranges of a rule is asked about on its own.
            (
                json!({"scope": "Command"}),
                vec![hour()],
                "an approval allows this very command with these values, once",
            ),
        ];
        for (spec, rules, words) in cases {
            let request = request(spec.clone(), json!({"requirements": rules}));
            let told = told(&request);
            assert!(told.lines().any(|line| line.ends_with(words)), "{spec}: {told}");
        }
    }

    #[test]
    fn a_reviewer_reads_that_it_was_break_glass() {
        let spec = json!({
            "scope": "Window", "window": {"duration": "1h"}, "breakGlass": true, "reason": "the branch is down",
            "session": {"id": "s", "pod": "door", "podUid": "1", "onHold": "Wait"},
        });
        let status = json!({
            "state": "BreakGlass", "grantedUntil": "2026-11-24T09:00:00Z", "requirements": [rule("deletes", json!({}))],
        });
        let wanted = [
            "oidc:alice went ahead by break-glass on connection bank",
            "  it needs no approval for whatever the rules below ask about on this connection, for 1h",
            "  state BreakGlass, until 2026-11-24T09:00:00Z",
            "  because: the branch is down",
            "  rule changes/deletes asks 1 of group oidc:dba",
        ];
        assert_eq!(told(&request(spec, status)), wanted.join("\n"));
    }

    #[test]
    fn how_it_stands_is_told_with_its_end() {
        let granted = "2026-11-24T09:15:00Z";
        for (status, words) in [
            (json!({}), "state Pending: it can be decided until 2026-11-24T10:00:00Z"),
            (
                json!({"state": "Approved"}),
                "state Approved, until 2026-11-24T10:00:00Z",
            ),
            (
                json!({"state": "Approved", "grantedUntil": granted}),
                "state Approved, until 2026-11-24T09:15:00Z",
            ),
            (json!({"state": "Denied"}), "state Denied"),
            (json!({"state": "Revoked", "grantedUntil": granted}), "state Revoked"),
        ] {
            assert_eq!(stands(&request(json!({}), status)), words);
        }
    }

    #[test]
    fn what_is_over_says_why_and_what_waits_for_what() {
        let said = |kind: &str, status: &str, message: &str| {
            json!({
                "type": kind, "status": status, "reason": "R", "message": message,
                "lastTransitionTime": "2026-11-24T08:00:00Z",
            })
        };
        let granted = "2026-11-24T09:15:00Z";
        for (glass, state, conditions, words) in [
            (
                false,
                "Pending",
                vec![said("Approved", "False", "1/2 approvals")],
                "state Pending: it can be decided until 2026-11-24T10:00:00Z; 1/2 approvals",
            ),
            (
                false,
                "Expired",
                vec![
                    said("Approved", "False", "the request is over"),
                    said("Expired", "True", "nobody decided in time"),
                ],
                "state Expired: nobody decided in time",
            ),
            (
                true,
                "BreakGlass",
                vec![said("Reviewed", "False", "to be reviewed")],
                "state BreakGlass, until 2026-11-24T09:15:00Z",
            ),
            (
                true,
                "BreakGlass",
                vec![
                    said("Reviewed", "False", "to be reviewed"),
                    said("Revoked", "True", "revoked by oidc:carol"),
                ],
                "state BreakGlass: revoked by oidc:carol; to be reviewed",
            ),
            (
                true,
                "Reviewed",
                vec![said("Reviewed", "True", "reviewed by oidc:bob")],
                "state Reviewed, until 2026-11-24T09:15:00Z",
            ),
            (
                true,
                "Revoked",
                vec![
                    said("Reviewed", "True", "reviewed by oidc:bob"),
                    said("Expired", "True", "the time of the grant is over"),
                    said("Revoked", "True", "revoked by oidc:carol"),
                ],
                "state Revoked: revoked by oidc:carol",
            ),
        ] {
            let granted = glass.then_some(granted);
            let status = json!({"state": state, "grantedUntil": granted, "conditions": conditions});
            assert_eq!(stands(&request(json!({"breakGlass": glass}), status)), words);
        }
    }
}
