//! What nobody can see into gets the verdict of whatever it may do.

use super::*;

/// Statements that delete, or may, each in another shape. Only the first two say so to somebody who reads the first word.
const SHAPES: [&str; 16] = [
    "delete from t where a = 1",
    "select 1; delete from t where a = 1; select 2",
    "with gone as (delete from t where a = 1 returning *) select * from gone",
    "explain analyze delete from t where a = 1",
    "prepare p as delete from t where a = 1",
    "do $$begin delete from t; end$$",
    "call purge()",
    "select purge()",
    "select a from t where purge(a) > 0",
    "copy (select purge()) to stdout",
    "insert into u select purge()",
    "explain analyze select purge()",
    "create view v as select purge()",
    "select a operator(evil.+) 1 from t",
    "select query_to_xml('select purge()', true, true, '')",
    "select dblink_exec('bank', 'delete from t')",
];

fn rule(name: &str, cel: &str, action: &str) -> Value {
    let mut rule = json!({ "name": name, "match": { "cel": cel }, "action": action });
    if action == "RequireApproval" {
        rule["approval"] = approval();
    }
    rule
}

/// Policy `p` of some rules, and after them one that allows the rest.
fn then_allow(rules: &[Value]) -> ApprovalPolicy {
    let mut all = rules.to_vec();
    all.push(json!({ "name": "rest", "match": { "any": true }, "action": "Allow" }));
    policy("p", json!({ "rules": all }))
}

fn deletes(action: &str) -> Value {
    rule("deletes", "'delete' in command.verbs", action)
}

/// The strictest verdict on the statements of a text.
fn strictest(policies: &[ApprovalPolicy], sql: &str) -> String {
    let script = parse(sql).unwrap();
    let each = script.statements.iter().map(|statement| {
        let decision = judge(policies, &alice(), &Command::of(statement, sql));
        let place = ["allow", "hold", "deny"]
            .iter()
            .position(|name| *name == decision.verdict.name());
        (place, say(&decision))
    });
    each.max().unwrap().1
}

fn with_opaque(sql: &str, what: &str) -> Command {
    let mut command = command(sql);
    command.opaque.push(what.to_owned());
    command
}

#[test]
fn whatever_may_delete_gets_what_a_delete_gets() {
    for (action, expected) in [
        ("RequireApproval", "hold p/deletes"),
        ("Deny", "deny by rule p/deletes"),
    ] {
        let policies = [then_allow(&[deletes(action)])];
        for sql in SHAPES {
            assert_eq!(strictest(&policies, sql), expected, "{sql}");
        }
        for text in ["delete from t where a = 1", "select purge()"] {
            let mut execute = command("execute p");
            execute.absorb(&parse(text).unwrap().statements[0]);
            assert_eq!(
                say(&judge(&policies, &alice(), &execute)),
                expected,
                "execute of {text}"
            );
        }
        for what in [
            "function public.purge",
            "relation v",
            "cursor c",
            "definition of view information_schema.own",
        ] {
            let asked = with_opaque("insert into t values (1)", what);
            assert_eq!(say(&judge(&policies, &alice(), &asked)), expected, "{what}");
        }
    }
}

#[test]
fn postgresqls_own_functions_and_views_hide_nothing() {
    let policies = [then_allow(&[deletes("Deny")])];
    for sql in [
        "select 1",
        "insert into t values (1)",
        "select upper(a), count(*), max(a + 1) from t where starts_with(a, 'x') and a like 'y%' group by a",
        "select pg_advisory_xact_lock(hashtext('job')), nextval('s'), set_config('search_path', '', false)",
        "select pg_last_wal_replay_lsn(), pg_catalog.pg_stat_get_db_numbackends(1), current_query()",
        "select (information_schema._pg_expandarray(i.indkey)).n from pg_catalog.pg_index i",
        "select pg_get_viewdef(oid), pg_table_is_visible(oid) from pg_class",
        "select broadcast(inet(a)), jsonb_concat(jsonb(b), '{}'), querytree(tsquery(c)) from t where texteq(a, 'x')",
        "select pg_walfile_name(pg_current_wal_lsn()), pg_stat_clear_snapshot()",
    ] {
        assert_eq!(strictest(&policies, sql), "allow p/rest", "{sql}");
    }
    for what in ["view pg_catalog.pg_stat_activity", "view information_schema.columns"] {
        let asked = with_opaque("select * from x", what);
        assert_eq!(say(&judge(&policies, &alice(), &asked)), "allow p/rest", "{what}");
    }
}

#[test]
fn triggers_are_judged_where_they_are_made() {
    let policies = [then_allow(&[deletes("Deny")])];
    for (sql, what) in [
        ("insert into t values (1)", "triggers of public.t"),
        ("create table v (a int)", "event trigger watch"),
    ] {
        let asked = with_opaque(sql, what);
        assert_eq!(say(&judge(&policies, &alice(), &asked)), "allow p/rest", "{what}");
    }
}

#[test]
fn the_code_of_a_view_hides_as_much_as_its_text_would() {
    let policies = [then_allow(&[deletes("Deny")])];
    for (sql, what, expected) in [
        (
            "select a from v",
            "code of view public.v: function public.f",
            "deny by rule p/deletes",
        ),
        (
            "select a from v",
            "code of view public.v: operator public.+",
            "deny by rule p/deletes",
        ),
        // Nobody knows what a view is that cannot be read.
        (
            "select a from v",
            "definition of view public.v",
            "deny by rule p/deletes",
        ),
        ("create view v as select f()", "function f", "deny by rule p/deletes"),
    ] {
        let asked = with_opaque(sql, what);
        assert_eq!(say(&judge(&policies, &alice(), &asked)), expected, "{sql}: {what}");
    }
}

#[test]
fn what_runs_read_only_need_not_be_known() {
    let mut reads = rule("reads", "command.verbs.all(v, v in ['select', 'do', 'call'])", "Allow");
    reads["readOnly"] = json!(true);
    let policies = [then_allow(&[deletes("RequireApproval"), reads])];
    assert_eq!(strictest(&policies, "select purge()"), "allow p/reads read-only");
    // These may be able to end the transaction that was made read-only.
    assert_eq!(strictest(&policies, "do $$begin null; end$$"), "hold p/deletes");
    assert_eq!(strictest(&policies, "call purge()"), "hold p/deletes");
    assert_eq!(strictest(&policies, "insert into t select purge()"), "hold p/deletes");
    // What it may read is asked all the same.
    for (reads_of, expected) in [
        ("'public.payroll' in command.tables", "hold p/reads-of"),
        ("command.protected", "hold p/reads-of"),
        (
            "'public.payroll' in command.written && 'update' in command.verbs",
            "allow p/rest read-only",
        ),
    ] {
        let mut rest = rule("rest", "command.verbs.all(v, v == 'select')", "Allow");
        rest["readOnly"] = json!(true);
        let rules = json!({ "rules": [rule("reads-of", reads_of, "RequireApproval"), rest] });
        assert_eq!(
            strictest(&[policy("p", rules)], "select purge()"),
            expected,
            "{reads_of}"
        );
    }
}

#[test]
fn a_rule_that_allows_something_that_is_seen_does_not_cover_what_is_hidden() {
    let hold = "RequireApproval";
    // None of the first rules matches what is seen, and each matches something that the code may do.
    for allows in [
        "'insert' in command.verbs",
        "command.written.exists(t, t == 'public.scratch')",
        "command.tables.exists(t, t.startsWith('scratch.'))",
        "command.risk == 100",
    ] {
        let policies = [then_allow(&[rule("first", allows, "Allow"), deletes(hold)])];
        assert_eq!(strictest(&policies, "select purge()"), "hold p/deletes", "{allows}");
    }
    // What is seen is all that these were written for.
    for allows in [
        "command.written.all(t, t == 'public.ledger') && command.risk < 80",
        "!command.written.exists(t, t == 'public.ledger')",
        "!command.tables.exists(t, t.matches('^payroll[.]'))",
        "command.verbs.all(v, v == 'select')",
        "!command.protected",
        "command.rows < 1000",
        "!('delete' in command.verbs) || 'truncate' in command.verbs",
        "command.functions.all(f, f == 'purge')",
        // Fails at the most rows, which the code may change.
        "1 / (4294967295 - command.rows) >= 0",
    ] {
        let policies = [policy("p", json!({ "rules": [rule("only", allows, "Allow")] }))];
        assert_eq!(strictest(&policies, "select 1"), "allow p/only", "{allows}");
        assert_eq!(strictest(&policies, "select purge()"), "deny by no rule", "{allows}");
    }
}

#[test]
fn the_strictest_of_all_that_it_may_do_holds() {
    let hold = "RequireApproval";
    let risky = json!({ "name": "risky", "match": { "riskAtLeast": 80 }, "action": hold, "approval": approval() });
    let drops = || rule("drops", "'drop' in command.verbs", "Deny");
    let calls = || rule("calls", "command.verbs == ['call']", "Deny");
    for (rules, sql, expected) in [
        (vec![deletes(hold), drops()], "select purge()", "deny by rule p/drops"),
        (vec![deletes(hold), calls()], "call purge()", "deny by rule p/calls"),
        (vec![calls(), deletes(hold)], "call purge()", "deny by rule p/calls"),
        (vec![deletes(hold), risky], "select purge()", "hold p/deletes,p/risky"),
        (
            vec![rule("selects", "'select' in command.verbs", hold)],
            "call purge()",
            "hold p/selects",
        ),
        (
            vec![rule("inserts", "'insert' in command.verbs", hold), deletes(hold)],
            "insert into t select purge()",
            "hold p/inserts",
        ),
    ] {
        assert_eq!(strictest(&[then_allow(&rules)], sql), expected, "{sql}");
    }
    for (cel, expected) in [
        ("command.written.exists(t, t == 'public.ledger')", "hold p/asked"),
        ("command.tables.exists(t, t.startsWith('payroll.'))", "hold p/asked"),
        ("command.tables.exists(t, t.matches('^payroll[.]'))", "hold p/asked"),
        ("command.columns.exists(c, c.endsWith('.ssn'))", "hold p/asked"),
        ("command.settings.exists(s, s != 'timezone')", "hold p/asked"),
        ("'role' in command.settings", "hold p/asked"),
        ("command.functions.exists(f, f == 'app.wipe')", "hold p/asked"),
        (
            "'delete' in command.verbs && !('truncate' in command.verbs)",
            "hold p/asked",
        ),
        ("'delete' in command.verbs && command.has_where", "hold p/asked"),
        ("'delete' in command.verbs && command.hasWhere", "hold p/asked"),
        ("command.verb == 'delete'", "hold p/asked"),
        ("command.verb == 'delete' && command.hasWhere", "hold p/asked"),
        ("command.verb == 'vacuum'", "allow p/rest"),
        ("command.writes.exists(t, t == 'public.ledger')", "hold p/asked"),
        ("command.writes.exists(t, t.matches('^public[.]'))", "hold p/asked"),
        (
            "'utility' in command.verbs && 'checkpoint' in command.verbs && 'discard' in command.verbs",
            "hold p/asked",
        ),
        (
            "command.tables.exists(t, t.startsWith('payroll.') && t.endsWith('_2024'))",
            "hold p/asked",
        ),
        (
            "command.tables.exists(t, t.contains('pay') && t.contains('roll'))",
            "hold p/asked",
        ),
        ("command.written.exists(t, t.size() > 40)", "hold p/asked"),
        (
            "command.tables.exists(t, t.startsWith('a.') || t in ['b.c']) && identity.user.endsWith('bob')",
            "allow p/rest",
        ),
        ("'vacuum' in command.verbs", "allow p/rest"),
        ("'update' in command.verbs && !command.has_where", "hold p/asked"),
        ("command.rows >= 100000", "hold p/asked"),
        ("command.protected", "hold p/asked"),
        (
            "'delete' in command.verbs && identity.user == 'oidc:bob'",
            "allow p/rest",
        ),
        ("'delete' in command.verbs && command.in_transaction", "allow p/rest"),
        ("command.text.contains('delete')", "allow p/rest"),
        ("connection.labels['team'] == 'x'", "deny by rule p/asked"),
    ] {
        assert_eq!(
            strictest(&[then_allow(&[rule("asked", cel, hold)])], "select purge()"),
            expected,
            "{cel}"
        );
    }
    // That CALL has a higher score than INSERT hides no INSERT.
    let inserts = [then_allow(&[rule("asked", "command.verb == 'insert'", hold)])];
    assert_eq!(strictest(&inserts, "call purge()"), "hold p/asked");
}

#[test]
fn whoever_knows_the_code_says_so() {
    let known = "command.hidden.size() > 0 && command.hidden.all(h, h in ['function app.report']) && command.verbs.all(v, v == 'select')";
    let policies = [then_allow(&[rule("known", known, "Allow"), deletes("RequireApproval")])];
    for (sql, expected) in [
        ("select app.report()", "allow p/known"),
        ("select app.report(), count(*) from t", "allow p/known"),
        ("select app.report(), purge()", "hold p/deletes"),
        ("select report()", "hold p/deletes"),
        ("insert into t select app.report()", "hold p/deletes"),
        (
            "with gone as (delete from t where a = 1 returning *) select app.report() from gone",
            "hold p/deletes",
        ),
        ("do $$begin perform app.report(); end$$", "hold p/deletes"),
        ("select 1", "allow p/rest"),
    ] {
        assert_eq!(strictest(&policies, sql), expected, "{sql}");
    }
    // A rule that stands before it is not lifted.
    let policies = [then_allow(&[deletes("Deny"), rule("known", known, "Allow")])];
    assert_eq!(strictest(&policies, "select app.report()"), "deny by rule p/deletes");
    // To have all of it looked at by somebody is an answer, too.
    let drops = || rule("drops", "'drop' in command.verbs", "Deny");
    let looked_at = || {
        rule(
            "hidden",
            "command.opaque && !('drop' in command.verbs)",
            "RequireApproval",
        )
    };
    for (rules, sql, expected) in [
        ([looked_at(), drops()], "select purge()", "hold p/hidden"),
        ([looked_at(), drops()], "drop table t", "deny by rule p/drops"),
        ([drops(), looked_at()], "select purge()", "deny by rule p/drops"),
    ] {
        assert_eq!(strictest(&[then_allow(&rules)], sql), expected, "{sql}");
    }
}

#[test]
fn policies_meet_about_what_is_hidden_as_about_what_is_seen() {
    let named = |name: &str, rules: &[Value]| policy(name, json!({ "rules": rules }));
    let any = |name: &str| {
        named(
            name,
            &[json!({ "name": "any", "match": { "any": true }, "action": "Allow" })],
        )
    };
    let asks = |name: &str| named(name, &[deletes("RequireApproval")]);
    let asked = command("select purge()");
    let decision = judge(&[any("a"), asks("b")], &alice(), &asked);
    assert!(
        matches!(&decision.verdict, Verdict::Hold(hold) if hold.allowed_by.len() == 1),
        "{decision:?}"
    );
    assert_eq!(say(&decision), "hold b/deletes");
    assert_eq!(decision.risk, 20, "the score is that of what is seen");
    assert_eq!(
        say(&judge(&[any("a"), asks("b"), asks("c")], &alice(), &asked)),
        "hold b/deletes,c/deletes"
    );
    // Nobody allows it as it is seen: that it may be a DELETE opens nothing.
    assert_eq!(say(&judge(&[asks("b")], &alice(), &asked)), "deny by no rule");
}

#[test]
fn the_person_is_told_what_is_hidden() {
    let mut rule = deletes("RequireApproval");
    rule["message"] = json!("deleting needs a DBA");
    let decision = judge(&[then_allow(&[rule.clone()])], &alice(), &command("select purge()"));
    let Verdict::Hold(hold) = &decision.verdict else {
        panic!("{decision:?}")
    };
    let words = "function purge cannot be seen into, and may do what rule deletes is about: deleting needs a DBA";
    assert_eq!(hold.requirements[0].message.as_deref(), Some(words));
    rule["action"] = json!("Deny");
    rule.as_object_mut().unwrap().remove("approval");
    let decision = judge(&[then_allow(&[rule])], &alice(), &command("select purge()"));
    assert!(
        matches!(&decision.verdict, Verdict::Deny(denial) if denial.reason == words),
        "{decision:?}"
    );
    let reads = super::policy(
        "p",
        json!({ "rules": [self::rule("reads", "command.risk < 50", "Allow")] }),
    );
    let decision = judge(&[reads], &alice(), &command("select purge()"));
    assert!(
        matches!(&decision.verdict, Verdict::Deny(denial)
            if denial.by == DeniedBy::NoRule && denial.reason.starts_with("function purge cannot be seen into")),
        "{decision:?}"
    );
}

#[test]
fn observing_says_what_hidden_code_would_get() {
    let any = || json!({ "name": "any", "match": { "any": true }, "action": "Allow" });
    let observing = |rules: &[Value]| policy("watch", json!({ "mode": "Observe", "rules": rules }));
    let notes = |watch: ApprovalPolicy| {
        let decision = judge(&[then_allow(&[]), watch], &alice(), &command("select purge()"));
        assert_eq!(say(&decision), "allow p/rest");
        let each = decision.notes.iter().map(|note| (note.rule.rule.clone(), note.would));
        each.collect::<Vec<_>>()
    };
    assert_eq!(
        notes(observing(&[
            deletes("RequireApproval"),
            rule("drops", "'drop' in command.verbs", "Deny"),
            any()
        ])),
        [("drops".to_owned(), RuleAction::Deny)]
    );
    let mut guarded = any();
    guarded["readOnly"] = json!(true);
    assert_eq!(
        notes(observing(&[deletes("Deny"), guarded])),
        [("any".to_owned(), RuleAction::Allow)]
    );
}

#[test]
fn what_reaches_further_than_it_says_is_tried_by_name_alone() {
    let kept = rule("kept", "'public.kept' in command.written", "Deny");
    let policies = [then_allow(&[kept, deletes("Deny")])];
    for (further, not) in [
        ("drop table a cascade", "drop table a"),
        ("drop type e cascade", "drop type e"),
        ("truncate a cascade", "truncate a"),
        ("drop extension e", "drop type e"),
        ("alter extension e set schema a", "alter extension e update"),
        ("drop owned by app", "comment on table a is 'a'"),
        ("drop database d", "drop tablespace d"),
        ("reassign owned by app to web", "alter table a owner to web"),
        ("alter schema a rename to b", "alter table a rename to b"),
        (
            "grant select on all tables in schema a to app",
            "grant select on a to app",
        ),
        ("alter table a drop column x cascade", "alter table a drop column x"),
        ("alter type e rename value 'a' to 'b'", "alter type e add value 'b'"),
        ("alter type t drop attribute x", "alter type t owner to web"),
        (
            "alter table all in tablespace a set tablespace b",
            "alter table a set tablespace b",
        ),
    ] {
        assert_eq!(strictest(&policies, further), "deny by rule p/kept", "{further}");
        assert_eq!(strictest(&policies, not), "allow p/rest", "{not}");
    }
    let decision = judge(&policies, &alice(), &command("drop table a cascade"));
    let words = "what CASCADE takes along (leave it out where nothing hangs on this) cannot be told, and may be what rule kept is about";
    assert!(
        matches!(&decision.verdict, Verdict::Deny(denial) if denial.reason.starts_with(words)),
        "{decision:?}"
    );
    // What a migration says with CASCADE passes by what it names, where a rule says so.
    let migrations = "command.hidden.size() == 0 && command.verbs.all(v, v in ['alter', 'drop']) \
         && !('public.kept' in command.written)";
    let kept = rule("kept", "'public.kept' in command.written", "Deny");
    let policies = [then_allow(&[rule("migrations", migrations, "Allow"), kept])];
    for (sql, said) in [
        ("alter table a drop column x cascade", "allow p/migrations"),
        ("drop table a cascade", "allow p/migrations"),
        ("drop table public.kept cascade", "deny by rule p/kept"),
        ("truncate a cascade", "deny by rule p/kept"),
    ] {
        assert_eq!(strictest(&policies, sql), said, "{sql}");
    }
}

#[test]
fn whoever_makes_a_function_part_of_a_type_is_asked_about_it() {
    let policies = [then_allow(&[deletes("RequireApproval")])];
    for sql in [
        "create cast (t as bool) with function purge(t) as implicit",
        "create type r as range (subtype = int, subtype_diff = purge)",
    ] {
        assert_eq!(strictest(&policies, sql), "hold p/deletes", "{sql}");
    }
    for sql in [
        "create cast (t as text) with inout",
        "create type r as range (subtype = float8, subtype_diff = float8mi)",
    ] {
        assert_eq!(strictest(&policies, sql), "allow p/rest", "{sql}");
    }
}
