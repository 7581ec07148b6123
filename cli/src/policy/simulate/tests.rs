//! Commands as they stand in a log, judged by the samples and by rules about what a log holds and what not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::audit::samples;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");

#[test]
fn verdicts_that_would_change_are_grouped_and_others_are_not_listed() {
    let manifests = Manifests::read(DIRECTORY.as_ref()).unwrap();
    let policy = manifests.compile("doors/bank").map_err(|error| format!("{error:#}"));
    let session = SessionId::random().unwrap();
    let Event::SessionStart(start) = samples::start("alice") else {
        panic!("no start")
    };
    let start: SessionStart = *start;
    let mut found = Found::default();
    let mut ran = |action: Action, rule: &str, text: &str, start: Option<&SessionStart>| {
        let (tables, risk) = if text.starts_with("DELETE") {
            (vec!["public.accounts".to_owned()], 50)
        } else {
            (vec![], 5)
        };
        let mut event = samples::command(1, "alice", "delete", action, text);
        let Event::Command(command) = &mut event else {
            panic!("no command")
        };
        command.verdict.rules[0].rule = rule.into();
        (command.tables, command.verdict.risk) = (tables, risk);
        let command = (**command).clone();
        let record = samples::record(7, &session, event);
        found.take(7, &record, &command, start, &policy);
    };
    let delete = "DELETE FROM accounts WHERE id = 7";
    ran(Action::Allow, "everything-else", "SELECT 1", Some(&start));
    ran(Action::Hold, "delete-needs-a-dba", delete, Some(&start));
    ran(Action::Allow, "everything-else", delete, Some(&start));
    ran(
        Action::Allow,
        "everything-else",
        "DELETE FROM accounts\nWHERE id = 8",
        Some(&start),
    );
    ran(Action::Allow, "everything-else", delete, None);
    // Another rule says the same: nobody gets another verdict by that.
    ran(Action::Allow, "reads", "SELECT 2", Some(&start));
    let told = found.told();
    assert_eq!(
        told,
        "5 commands judged again, 2 would get another verdict\n\n\
         2 times: Allow by changes/everything-else\n  \
         would be: RequireApproval by changes/delete-needs-a-dba\n    \
         record 7, oidc:alice: DELETE FROM accounts WHERE id = 7\n    \
         record 7, oidc:alice: DELETE FROM accounts WHERE id = 8\n\n\
         1 would get the same verdict by other rules\n\n\
         1 times: Allow by changes/reads\n  \
         would be: Allow by changes/everything-else\n    \
         record 7, oidc:alice: SELECT 2\n\n\
         1 could not be judged again: the session's start is not in the log\n"
    );
}

#[test]
fn what_hangs_on_more_than_the_log_holds_is_judged_where_all_of_it_gets_one_verdict() {
    let now = |word: &str, rule: &str| Now {
        word: word.to_owned(),
        recorded: Some(format!("{word} by {rule}")),
        told: format!("{word} by {rule}"),
    };
    assert_eq!(one_of(BTreeSet::new()), None);
    let known = one_of(BTreeSet::from([now("Deny", "a")])).unwrap();
    assert_eq!(known, Ok(now("Deny", "a")));
    let some = one_of(BTreeSet::from([now("Deny", "a"), now("Deny", "b")]));
    let some = some.unwrap().unwrap();
    assert_eq!((some.recorded, some.told.as_str()), (None, "Deny by a, or Deny by b"));
    let unknown = one_of(BTreeSet::from([now("Allow", "a"), now("Deny", "b")]));
    assert!(unknown.unwrap().is_err());
}

/// A door whose first rule denies what this expression matches.
fn denies(cel: &str) -> Result<Policy, String> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let text = format!(
        r#"
apiVersion: sallyport.dev/v1alpha1
kind: Connection
metadata: {{name: bank, namespace: doors, labels: {{data: pay}}}}
spec:
  protocol: PostgreSQL
  target: {{host: postgres.example, port: 5432}}
  credentialsRef: {{name: credentials}}
  subjects: [{{kind: Group, name: "oidc:engineers"}}]
  requires: {{none: true}}
  sinks: [{{name: evidence, namespace: evidence}}]
  identity: {{issuers: [{{name: keycloak}}]}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ApprovalPolicy
metadata: {{name: pay, namespace: doors}}
spec:
  connectionSelector: {{matchLabels: {{data: pay}}}}
  rules:
    - {{name: asked, match: {{cel: "{cel}"}}, action: Deny}}
    - {{name: rest, match: {{any: true}}, action: Allow}}
"#
    );
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("sallyport-simulate-{}-{number}.yaml", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, text).unwrap();
    let manifests = Manifests::read(&file);
    std::fs::remove_file(&file).unwrap();
    manifests
        .unwrap()
        .compile("doors/bank")
        .map_err(|error| format!("{error:#}"))
}

/// What a command of alice's would get, of which the door recorded these tables and this risk.
fn replayed(cel: &str, text: &str, tables: &[&str], risk: u8, omitted: u32) -> Result<String, String> {
    let Event::SessionStart(start) = samples::start("alice") else {
        panic!("no start")
    };
    let mut event = samples::command(1, "alice", "select", Action::Allow, text);
    let Event::Command(command) = &mut event else {
        panic!("no command")
    };
    command.tables = tables.iter().map(|table| (*table).to_owned()).collect();
    command.tables_omitted = omitted;
    command.verdict.risk = risk;
    let command = (**command).clone();
    let record = samples::record(7, &SessionId::random().unwrap(), event);
    let verdict = again(&record, &command, Some(&start), &denies(cel));
    verdict.map(|now| now.recorded.unwrap_or(now.told))
}

const DENIED: Result<&str, &str> = Ok("Deny by pay/asked");
const ALLOWED: Result<&str, &str> = Ok("Allow by pay/rest");

/// The verdict, or words out of why there is none.
fn is(found: &Result<String, String>, wanted: Result<&str, &str>) -> bool {
    match (found, wanted) {
        (Ok(found), Ok(wanted)) => found == wanted,
        (Err(found), Err(wanted)) => found.contains(wanted),
        _ => false,
    }
}

#[test]
fn names_mean_what_the_door_recorded() {
    const READS: &str = "'payroll.salaries' in command.tables";
    const WRITES: &str = "'payroll.salaries' in command.written";
    let pay = ["payroll.salaries"];
    let view = ["public.payable", "payroll.salaries"];
    for (cel, text, tables, risk, wanted) in [
        // Under a search_path that leads to the schema.
        (READS, "SELECT * FROM salaries", &pay[..], 5, DENIED),
        (
            "'public.salaries' in command.tables",
            "SELECT * FROM salaries",
            &pay[..],
            5,
            ALLOWED,
        ),
        (WRITES, "UPDATE salaries SET pay = 0 WHERE id = 1", &pay[..], 40, DENIED),
        (WRITES, "SELECT * FROM salaries", &pay[..], 5, ALLOWED),
        // By way of a view: that it is read is known, whether it is written is not.
        (READS, "SELECT * FROM payable", &view[..], 5, DENIED),
        (WRITES, "SELECT * FROM payable", &view[..], 5, ALLOWED),
        (
            WRITES,
            "UPDATE payable SET pay = 0 WHERE id = 1",
            &view[..],
            40,
            Err("hangs on what the door saw"),
        ),
        // One name of two tables.
        (
            READS,
            "SELECT * FROM salaries",
            &["payroll.salaries", "hr.salaries"][..],
            5,
            Err("in several schemas"),
        ),
        (
            READS,
            "SELECT * FROM hr.salaries",
            &["payroll.salaries", "hr.salaries"][..],
            5,
            DENIED,
        ),
    ] {
        let found = replayed(cel, text, tables, risk, 0);
        assert!(is(&found, wanted), "{cel}, {text}: {found:?}");
    }
    let cut = replayed(READS, "SELECT * FROM salaries", &["public.other"], 5, 3);
    assert!(is(&cut, Err("more tables than one record holds")), "{cut:?}");
}

#[test]
fn what_the_log_does_not_hold_decides_nothing() {
    const UPDATE: &str = "UPDATE salaries SET pay = 0 WHERE id = 1";
    let unknown = |field: &'static str| Err(field);
    for (cel, text, risk, wanted) in [
        (
            "command.rows > 100",
            UPDATE,
            40,
            unknown("command.rows, which the log does not hold"),
        ),
        (
            "command.columns.exists(c, c == 'payroll.salaries.pay')",
            UPDATE,
            40,
            unknown("command.columns"),
        ),
        ("command.in_transaction", UPDATE, 40, unknown("command.in_transaction")),
        // Without a table there is nothing to be counted.
        ("command.rows > 100", "SELECT 1", 5, ALLOWED),
        // The risk is recorded: ten more for many rows, fifteen for what could not be seen into.
        ("command.risk >= 50", UPDATE, 40, ALLOWED),
        ("command.risk >= 50", UPDATE, 50, DENIED),
        ("command.risk >= 50", UPDATE, 55, DENIED),
        ("command.risk >= 50", UPDATE, 45, unknown("the risk, and that of then")),
        // What could not be seen into may have been triggers, or code that may drop.
        ("command.verbs.exists(v, v == 'drop')", UPDATE, 40, ALLOWED),
        (
            "command.verbs.exists(v, v == 'drop')",
            UPDATE,
            55,
            unknown("hangs on what the door saw"),
        ),
        // A risk that nobody looks at is no matter.
        ("command.verbs.exists(v, v == 'drop')", UPDATE, 45, ALLOWED),
    ] {
        let tables: &[&str] = if text == UPDATE { &["payroll.salaries"] } else { &[] };
        let found = replayed(cel, text, tables, risk, 0);
        assert!(is(&found, wanted), "{cel}, {text}, {risk}: {found:?}");
    }
}

#[test]
fn what_a_mask_refuses_changes_and_what_a_record_may_have_masked_is_passed_over() {
    let manifests = Manifests::read(DIRECTORY.as_ref()).unwrap();
    let policy = manifests.compile("doors/bank").map_err(|error| format!("{error:#}"));
    let session = SessionId::random().unwrap();
    let Event::SessionStart(start) = samples::start("alice") else {
        panic!("no start")
    };
    let start: SessionStart = *start;
    let mut found = Found::default();
    let mut ran = |action: Action, text: &str, tables: &[&str]| {
        let mut event = samples::command(1, "alice", "update", action, text);
        let Event::Command(command) = &mut event else {
            panic!("no command")
        };
        match action {
            Action::Deny => command.verdict.rules.clear(),
            _ => command.verdict.rules[0].rule = "everything-else".into(),
        }
        // An UPDATE, of a protected column.
        command.verdict.risk = 50;
        command.tables = tables.iter().map(|table| (*table).to_owned()).collect();
        let command = (**command).clone();
        let record = samples::record(7, &session, event);
        found.take(7, &record, &command, Some(&start), &policy);
    };
    let update = "UPDATE customers SET ssn = 'x' WHERE id = 7";
    let customers = ["public.customers"];
    ran(Action::Allow, update, &customers);
    ran(Action::Deny, update, &customers);
    let back = "UPDATE customers SET name = '[REDACTED]' WHERE id = 7";
    ran(Action::Allow, back, &customers);
    let view = ["public.people", "public.customers"];
    ran(Action::Allow, "UPDATE people SET tax_ref = 'x' WHERE id = 7", &view);
    let told = found.told();
    for words in [
        "2 commands judged again, 1 would get another verdict\n",
        "1 times: Allow by changes/everything-else\n  would be: Deny by customer-numbers\n",
        "1 could not be judged again: its text holds what masks show",
        "1 could not be judged again: it reaches tables by way of others",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
