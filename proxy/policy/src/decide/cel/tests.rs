//! Which expressions are accepted, and what they come to.

mod page;

use std::collections::BTreeMap;

use super::*;
use crate::decide::{Command, Parameter};
use crate::sql::{self, Verb};
use crate::subject::{Agent, Subject};

#[test]
fn what_could_never_work_is_refused_when_the_rule_is_accepted() {
    let bad = [
        "",
        "command.risk",
        "'yes'",
        "command.risk >=",
        "comand.risk > 1",
        "command.textt == 'a'",
        "command['nope'] == 'a'",
        "identity.name == 'oidc:alice'",
        "connection.label == 'a'",
        "command.tables.exists(t, u == 'a')",
        "nope(command.text)",
        "command.text.nope()",
        "true || nonsense",
        "true || nope(1)",
        "false && command.nope",
        "command.verbs == 'delete'",
        "'delete' == command.verbs",
        "command.has_where == 'false'",
        "command.hasWhere == 'false'",
        "command.writes == 'orders'",
        "command.verb == ['delete']",
        "command.risk != '50'",
        "command.text == 1",
        "command.risk > 'a'",
        "command.text > 1",
        "'delete' in command.text",
        "!command.risk",
        "command.text.matches('(')",
        "command.text.matches(command.database)",
        "identity.user.matches(command.text)",
        "duration('1s') < duration('2s')",
        "timestamp('2020-01-01T00:00:00Z') < timestamp('2021-01-01T00:00:00Z')",
        "command.tables.all(a, command.tables.all(b, command.tables.all(c, a == b && b == c)))",
        "google.protobuf.Value{}.x == 1",
        "connection.labels == 'x' ? 1 : 2",
        "session.time >= '22:00'",
        "session.time['Europe/Zuerich'] >= '22:00'",
        "session.time[connection.name] >= '22:00'",
        "session['time'] == '22:00'",
        "session.hour['UTC'] == '22'",
        "session.source == 1",
        "command.parameters == '7'",
        "command.parameters[0] == '7'",
        "command.parameters.all(p, p.startsWith('7'))",
    ];
    for source in bad {
        assert!(Expression::compile(source).is_err(), "{source}");
    }
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    assert_eq!(Expression::compile(&deep).unwrap_err(), CelError::TooDeep);
    for many in [
        "!".repeat(501) + "true",
        "-".repeat(500) + "1 == 1",
        "true ? true : ".repeat(100) + "true",
    ] {
        assert!(Expression::compile(&many).is_err(), "{}", many.len());
    }
    assert_eq!(
        Expression::compile(&" ".repeat(MAX_EXPRESSION + 1)).unwrap_err(),
        CelError::TooLong
    );
    // The longest chains that fit are taken or refused, and never exhaust the stack.
    for joint in ["true && ", "true || ", "1 + 1 == 2 && ", "[1][0] == 1 || "] {
        let _ = Expression::compile(&(joint.repeat(MAX_EXPRESSION / joint.len() - 1) + "true"));
    }
}

#[test]
fn a_typing_error_is_told_with_its_place_and_the_name_that_was_meant() {
    for (source, words) in [
        (
            "true && comand.risk > 1",
            "`comand` (character 9) does not exist; did you mean `command`? There are",
        ),
        (
            "'x' in command.tabels",
            "`command.tabels` (character 16) does not exist; did you mean `command.tables`? There are",
        ),
        (
            "command.readOnly",
            "`command.readOnly` (character 9) does not exist; did you mean `command.read_only`? There are",
        ),
        (
            "command.haswhere",
            "`command.haswhere` (character 9) does not exist; did you mean `command.has_where`? There are",
        ),
        (
            "command.vreb == 'delete'",
            "`command.vreb` (character 9) does not exist; did you mean `command.verb`? There are",
        ),
        (
            "identity.nonsense == ''",
            "`identity.nonsense` (character 10) does not exist; there are user,",
        ),
        (
            "identity.user.startWith('a')",
            "`startWith` (character 15) does not exist; did you mean `startsWith`? There are",
        ),
    ] {
        let error = Expression::compile(source).unwrap_err().to_string();
        assert!(error.starts_with(words), "{source}: {error}");
    }
}

/// Runs an expression on a command of alice's.
fn run(expression: &Expression) -> Result<bool, CelError> {
    let text = "delete from orders where id = $1";
    let script = sql::parse(text).unwrap();
    let mut command = Command::of(&script.statements[0], text);
    command.database = "bank".into();
    command.columns = vec!["public.orders.id".into()];
    command.parameters = 1;
    command.values = vec![Parameter::Text("7".into())];
    // A Thursday; 23:30 in Zürich.
    command.at = 1_785_447_000;
    let subject = Subject {
        username: "oidc:alice".into(),
        groups: vec!["oidc:engineers".into(), "oidc:all".into()],
        issuer: "https://idp".into(),
        agents: vec![Agent {
            username: "oidc:robot".into(),
            ..Agent::default()
        }],
        source: Some("10.1.2.3".into()),
        ..Subject::default()
    };
    let connection = ConnectionFacts {
        name: "bank".into(),
        namespace: "doors".into(),
        labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
    };
    let risk = crate::decide::risk(&command);
    expression.run(Facts {
        command: &command,
        subject: &subject,
        connection: &connection,
        risk,
        beyond: Beyond::Nothing,
    })
}

/// What is asked of a command with nothing hidden.
fn facts<'a>(command: &'a Command, subject: &'a Subject, connection: &'a ConnectionFacts) -> Facts<'a> {
    Facts {
        command,
        subject,
        connection,
        risk: 5,
        beyond: Beyond::Nothing,
    }
}

#[test]
fn expressions_see_command_person_and_connection() {
    let cases = [
        ("'delete' in command.verbs", true),
        ("command.verbs == ['delete']", true),
        ("command.verbs.exists(v, v in ['drop', 'truncate'])", false),
        (
            "command.tables == ['orders'] && command.written == command.tables",
            true,
        ),
        ("command.tables.exists(t, t.startsWith('payroll.'))", false),
        ("command.columns.exists(c, c.endsWith('.id'))", true),
        ("command.has_where && !command.read_only", true),
        (
            "command.verb == 'delete' && command.writes == ['orders'] && command.hasWhere",
            true,
        ),
        ("!command.opaque && !command.protected && !command.in_transaction", true),
        (
            "command.risk == 50 && command.params_count == 1 && command.rows == -1",
            true,
        ),
        ("size(command.hidden) == 0", true),
        ("command.text.matches('(?i)^delete')", true),
        ("command.text.lowerAscii().contains('orders')", true),
        ("command.protocol == 'postgresql' && command.database == 'bank'", true),
        ("size(command.functions) == 0 && command.settings.size() == 0", true),
        ("identity.user == 'oidc:alice'", true),
        ("'oidc:engineers' in identity.groups", true),
        ("identity.groups.all(g, g.startsWith('oidc:'))", true),
        ("identity.agents.size() > 0", true),
        ("identity.issuer == 'https://idp' && identity.email == ''", true),
        ("connection.name == 'bank' && connection.namespace == 'doors'", true),
        ("connection.labels['env'] == 'prod'", true),
        ("connection.labels.env == 'prod'", true),
        ("'team' in connection.labels && connection.labels['team'] == 'x'", false),
        ("has(connection.labels.team)", false),
        (
            "command.parameters == ['7'] && size(command.parameters) == command.params_count",
            true,
        ),
        ("command.parameters.all(p, p != null && p.matches('^[0-9]+$'))", true),
        ("'8' in command.parameters", false),
        ("sets.intersects(command.verbs, ['delete', 'drop'])", true),
        ("command.verbs.map(v, v + '!') == ['delete!']", true),
        ("command['risk'] > 10 ? true : false", true),
        ("cidr('10.0.0.0/8').containsIP(session.source)", true),
        ("session.source == '10.1.2.3' && session['source'] != ''", true),
        (
            "session.weekday['Europe/Zurich'] == 'Thursday' && session.weekday['Asia/Tokyo'] == 'Friday'",
            true,
        ),
        (
            "session.time['Europe/Zurich'] == '23:30' && session.time['UTC'] == '21:30'",
            true,
        ),
        (
            "session.time['Europe/Zurich'] >= '22:00' || session.time['Europe/Zurich'] < '05:00'",
            true,
        ),
        ("session.date['Europe/Zurich'] in ['2026-07-30', '2026-12-24']", true),
    ];
    for (source, expected) in cases {
        let expression = Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(run(&expression), Ok(expected), "{source}");
    }
}

#[test]
fn what_fails_at_run_time_is_an_error_without_values() {
    let expression = Expression::compile("connection.labels['team'] == 'x'").unwrap();
    let error = run(&expression).unwrap_err();
    assert_eq!(error, CelError::Failed(MISSING_KEY));
    let text = "select 'secret-value'";
    let script = sql::parse(text).unwrap();
    let command = Command::of(&script.statements[0], text);
    let (subject, connection) = (Subject::default(), ConnectionFacts::default());
    let facts = facts(&command, &subject, &connection);
    // The samples never get to the second half: their texts do not begin so.
    let expression = Expression::compile("command.text.startsWith(\"select 'sec\") && int(command.text) == 1").unwrap();
    let error = expression.run(facts).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_variable_by_itself_has_all_its_fields() {
    let expression =
        Expression::compile("[command].all(c, c['risk'] == 50 && size(c.verbs) == 1) && 'risk' in command").unwrap();
    assert_eq!(run(&expression), Ok(true));
    let expression = Expression::compile("command.tables.exists(command, command == 'orders')").unwrap();
    assert_eq!(run(&expression), Ok(true));
}

#[test]
fn an_answer_is_kept_for_the_same_facts_only() {
    let (subject, connection) = (Subject::default(), ConnectionFacts::default());
    let first = Expression::compile("command.tables.exists(t, t == 'a') && command.verbs.size() == 1").unwrap();
    let second = Expression::compile("command.tables.all(t, t != 'a') && command.verbs.size() == 1").unwrap();
    let command = |tables: &[&str]| Command {
        verbs: [Verb::Select].into_iter().collect(),
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        ..Command::default()
    };
    let (named, alike, other) = (command(&["a"]), command(&["ab"]), command(&["a", "b"]));
    for _ in 0..2 {
        for (command, expected) in [(&named, true), (&alike, false), (&other, true)] {
            let facts = facts(command, &subject, &connection);
            assert_eq!(first.run(facts), Ok(expected), "{:?}", command.tables);
            assert_eq!(second.run(facts), Ok(!expected), "{:?}", command.tables);
        }
    }
}

#[test]
fn values_that_nobody_can_read_are_no_values() {
    let (subject, connection) = (Subject::default(), ConnectionFacts::default());
    let text = |text: &str| Parameter::Text(text.to_owned());
    let forbids = Expression::compile("'7' in command.parameters").unwrap();
    let permits = Expression::compile("command.parameters.all(p, p in ['7', null])").unwrap();
    let blind = Expression::compile("command.params_count > 0").unwrap();
    let elsewhere = Expression::compile("command.database == 'ledger' && '7' in command.parameters").unwrap();
    let unread = |why: &CelError| matches!(why, CelError::Failed(why) if why.contains("parameter"));
    let cases = [
        (1, vec![text("7")], Some((true, true))),
        (1, vec![text(" 7")], Some((false, false))),
        (2, vec![Parameter::Null, text("7")], Some((true, true))),
        (2, vec![text("7"), Parameter::Unreadable], None),
        // Not bound yet, or by a door that no rule asked for them.
        (1, vec![], None),
        (0, vec![], Some((false, true))),
    ];
    for (parameters, values, expected) in cases {
        let command = Command {
            parameters,
            values,
            ..Command::default()
        };
        let facts = facts(&command, &subject, &connection);
        let answers = (forbids.run(facts), permits.run(facts));
        match expected {
            Some((forbidden, permitted)) => assert_eq!(answers, (Ok(forbidden), Ok(permitted)), "{command:?}"),
            None => assert!(
                answers.0.is_err_and(|why| unread(&why)) && answers.1.is_err_and(|why| unread(&why)),
                "{command:?}"
            ),
        }
        assert_eq!(blind.run(facts), Ok(parameters > 0));
        assert_eq!(elsewhere.run(facts), Ok(false), "{command:?}");
    }
}

#[test]
fn no_two_sets_of_facts_are_written_alike() {
    let expression = Expression::compile("command.tables == command.written && command.verbs.size() == 0").unwrap();
    let (subject, connection) = (Subject::default(), ConnectionFacts::default());
    let written = |tables: &[&str], written: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let command = Command {
            tables: owned(tables),
            written: owned(written),
            ..Command::default()
        };
        let facts = facts(&command, &subject, &connection);
        let mut out = Vec::new();
        facts.write_down(&expression.needs, &mut out);
        out
    };
    let all = [
        written(&["a", "b"], &[]),
        written(&["a"], &["b"]),
        written(&[], &["a", "b"]),
        written(&["ab"], &[]),
        written(&["", "ab"], &[]),
        written(&["ab", ""], &[]),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "{index}");
    }
}
