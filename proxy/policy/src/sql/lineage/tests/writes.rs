//! What is written, and what that gives back.

use super::*;
use crate::catalog::{AttNum, Follower, Hanging};

#[test]
fn returning_gives_back_the_table_and_what_was_written() {
    check(&[
        ("update customers set name=name where id=1 returning ssn as x", "=s"),
        ("delete from customers returning *", "- - =s - =n - - - -"),
        (
            "delete from orders using customers c where c.id = orders.id returning c.ssn, total",
            "=s -",
        ),
        (
            "insert into notes select id, ssn from customers returning note, id",
            "~s -",
        ),
        ("insert into notes (note) values ('x') returning note", "-"),
        (
            "insert into notes (note) values ((select ssn from customers limit 1)) returning *",
            "- ~s",
        ),
        (
            "update notes set note = c.ssn from customers c returning notes.note, c.name",
            "~s -",
        ),
        (
            "update notes set (id, note) = (select id, ssn from customers limit 1) returning note",
            "~s",
        ),
        (
            "insert into customers (id) values (1) on conflict (id) do update set name = excluded.ssn returning name",
            "~s",
        ),
        ("insert into audited (id) values (1) returning note", "-?"),
        (
            "merge into notes n using customers c on c.id = n.id when matched then update set note = c.ssn returning n.note, c.ssn",
            "~s =s",
        ),
        (
            "merge into notes n using customers c on c.id = n.id when not matched then insert (id, note) values (c.id, c.ssn) returning *",
            "- - =s - =n - - - - - ~s",
        ),
        ("update customers set name = 'x' returning old.ssn, new.name", "=s -"),
        ("update customers set name = 'x' returning with (old as o) o.ssn", "=s"),
        (
            "insert into notes (id, note[(select ssn from customers limit 1)]) values (1, 'x') returning id, note",
            "- ~s",
        ),
        (
            "merge into notes n using customers c on false when not matched then insert (id, note[c.ssn]) values (1, 'x') returning n.note",
            "~s",
        ),
        ("insert into notes values (1, 'x')", ""),
        ("create table t as select ssn from customers", ""),
        ("select ssn into t from customers", ""),
    ]);
}

#[test]
fn assignments_and_copies_are_followed() {
    let assigned = |sql: &str| {
        let found = trace(sql);
        let each = found
            .assigned
            .iter()
            .map(|(id, flow)| format!("{}.{}{}", id.relation, id.column, show(flow)));
        each.collect::<Vec<_>>().join(" ")
    };
    let cases = [
        ("update customers set ssn = '1', name = 'x'", "10.2- 10.3-"),
        ("update notes set note = (select ssn from customers limit 1)", "13.2~s"),
        ("insert into notes select id, ssn from customers", "13.1- 13.2~s"),
        (
            "insert into customers (id) values (1) on conflict (id) do update set ssn = excluded.name",
            "10.1- 10.3-",
        ),
        (
            "merge into notes n using customers c on true when matched then update set note = c.ssn when not matched then insert values (1, c.name)",
            "13.1- 13.2~s",
        ),
        (
            "insert into notes (id, note[(select ssn from customers limit 1)]) values (1, 'x')",
            "13.1- 13.2~s",
        ),
        (
            "merge into notes using customers c on false when not matched then insert (note[c.ssn]) values ('x')",
            "13.2~s",
        ),
        ("copy notes (note) from stdin", "13.2-"),
        ("update events set payload = 'x'", "30.2- 31.2-"),
        ("update only events set payload = 'x'", "30.2-"),
        (
            "merge into events e using notes n on n.id = e.id when matched then update set payload = 'x'",
            "30.2- 31.2-",
        ),
        ("copy events (payload) from stdin", "30.2- 31.2-"),
        ("alter table customers alter name type text using ssn", "10.2~s"),
        (
            "alter table customers alter name set expression as (upper(ssn))",
            "10.2~s",
        ),
        ("alter table customers alter ssn drop expression", "10.3~s"),
        ("alter table customers alter name set default 'x'", ""),
        ("alter table events alter payload drop expression", "30.2- 31.2-"),
        (
            "with w as (update notes set note = c.ssn from customers c returning 1) select 1",
            "13.2~s",
        ),
        ("select 1", ""),
    ];
    for (sql, expected) in cases {
        assert_eq!(assigned(sql), expected, "{sql}");
    }
    let spilled = |sql: &str| {
        let found = trace(sql);
        let each = found
            .spilled
            .iter()
            .map(|one| format!("{}{}", one.name, show(&one.flow)));
        each.collect::<Vec<_>>().join(" ")
    };
    for (sql, expected) in [
        ("insert into nosuch select ssn from customers", "nosuch~s"),
        (
            "insert into s9.nosuch (a, b) select id, md5(ssn) from customers",
            "nosuch- nosuch~s",
        ),
        ("update nosuch set a = c.ssn from customers c", "nosuch~s"),
        ("insert into nosuch values (1, 'x')", ""),
        ("alter table customers alter nosuch type text using ssn", "customers~s"),
        ("alter table customers alter nosuch drop expression", "customers~sn"),
    ] {
        assert_eq!(spilled(sql), expected, "{sql}");
    }
    let found = trace("alter table nosuch alter a drop expression");
    assert!(found.spilled.iter().any(|one| one.flow.any), "{:?}", found.spilled);
    let empty = |sql: &str| {
        let created = trace(sql).created?;
        assert!(!created.filled, "{sql}");
        Some(
            created
                .columns?
                .iter()
                .map(|column| column.name.clone())
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    for (sql, expected) in [
        (
            "create table t (a text, b int generated always as identity, primary key (b))",
            Some("a b"),
        ),
        ("create temp table t (c int references customers)", Some("c")),
        ("create table t (like customers)", None),
        (
            "create table t (a text, b text generated always as (md5(a)) stored)",
            Some("a b"),
        ),
        (
            "create table t (a text, b text generated always as (md5(a)) stored references customers on update cascade)",
            None,
        ),
        ("create table t (c text references customers on update cascade)", None),
        (
            "create table t (c text, foreign key (c) references customers on update cascade)",
            None,
        ),
        ("create table t () inherits (customers)", None),
        ("create table if not exists t (a text)", Some("a")),
    ] {
        assert_eq!(empty(sql).as_deref(), expected, "{sql}");
    }
    let made = trace(
        "create table t (a text, \"b\"\"\" int generated always as identity, c text generated always as (md5(a)) stored)",
    );
    let columns = made.created.and_then(|created| created.columns).unwrap();
    let generated: Vec<Option<&str>> = columns.iter().map(|column| column.generated.as_deref()).collect();
    assert_eq!(generated, [None, None, Some("\"a\", \"b\"\"\", \"c\"")]);
    for sql in [
        "create table t (a) as select ssn from customers",
        "select ssn as a into t from customers",
    ] {
        let created = trace(sql).created.unwrap();
        let columns = created.columns.unwrap();
        assert_eq!(
            (
                created.name.as_str(),
                columns[0].name.as_str(),
                show(&columns[0].flow).as_str()
            ),
            ("t", "a", "=s")
        );
    }
    assert_eq!(
        show(
            &trace("create view v as select upper(ssn) from customers")
                .created
                .unwrap()
                .columns
                .unwrap()[0]
                .flow
        ),
        "~s"
    );
}

#[test]
fn a_table_that_is_made_is_none_that_is_called_like_it() {
    for (sql, touches) in [
        ("create temp table customers (id int, ssn text)", false),
        ("create temp table customers (like customers)", true),
        ("create temp table customers () inherits (customers)", true),
        ("create table notes_2 (id int references customers)", true),
        ("alter table customers add a int", true),
    ] {
        let found = trace(sql);
        assert_eq!(!found.written.is_empty(), touches, "{sql}");
        assert_eq!(!found.touched.is_empty(), touches, "{sql}");
    }
}

#[test]
fn a_table_grows_where_columns_of_constants_are_added_and_nothing_else_is_done() {
    for (sql, columns) in [
        ("alter table notes add a text", Some("a")),
        (
            "alter table notes add a int not null default 7, add b text null",
            Some("a b"),
        ),
        (
            "alter table notes add column if not exists a bool default true",
            Some("a"),
        ),
        ("alter table notes alter note set not null", Some("")),
        ("alter table notes add a timestamptz default now()", Some("a")),
        (
            "alter table notes add a timestamptz default current_timestamp",
            Some("a"),
        ),
        ("alter table notes add a jsonb not null default '{}'::jsonb", Some("a")),
        ("alter table notes alter note set default 'x'", Some("")),
        ("alter table notes alter note drop default", Some("")),
        ("alter table notes owner to app", Some("")),
        ("alter table notes add primary key (id)", Some("")),
        ("alter table notes add constraint u unique (id, note)", Some("")),
        ("alter table notes add a int unique", None),
        ("alter table notes add a text default unseen()", None),
        ("alter table notes alter note set default unseen()", None),
        ("alter table notes add a text default lower('x')", None),
        ("alter table notes alter id set default nextval('s')", None),
        ("alter table notes add foreign key (id) references acct (id)", None),
        ("alter table notes add a text generated always as (note) stored", None),
        ("alter table notes add a int generated always as identity", None),
        ("alter table notes add a text references acct (id)", None),
        ("alter table notes add a text check (a <> note)", None),
        ("alter table notes add a text, drop note", None),
        ("alter table notes rename note to a", None),
        ("alter table notes alter note type int", None),
        ("alter table notes add check (id > '1')", None),
        ("alter table v_cust add a text", None),
        ("alter table nosuch add a text", None),
        ("create table t (a text)", None),
    ] {
        let grown = trace(sql).grown.map(|grown| grown.columns.join(" "));
        assert_eq!(grown.as_deref(), columns, "{sql}");
    }
}

#[test]
fn a_foreign_key_looks_at_what_it_refers_to_and_at_nothing_else() {
    for (sql, touched, referred) in [
        (
            "create table t (c text references customers (id))",
            "customers.id",
            true,
        ),
        (
            "create table t (c text, foreign key (c) references customers (ssn))",
            "customers.ssn",
            true,
        ),
        (
            "alter table notes add foreign key (note) references acct (id)",
            "acct.id notes.id notes.note",
            true,
        ),
        // Of this one it is not known which column is the key.
        ("create table t (c text references acct)", "acct.id acct.ssn", false),
        (
            "create table t (c text references acct (id), like acct)",
            "acct.id acct.ssn",
            true,
        ),
        (
            "create table t (c text references acct (id)) inherits (acct)",
            "acct.id acct.ssn",
            false,
        ),
    ] {
        let (found, catalog) = (trace(sql), schema());
        let name = |id: &ColumnId| {
            let relation = catalog.relation(id.relation)?;
            let column = relation.columns.iter().find(|column| column.attnum == id.column)?;
            Some(format!("{}.{}", relation.name, column.name))
        };
        let mut names: Vec<String> = found.touched.iter().filter_map(name).collect();
        names.sort();
        assert_eq!(names.join(" "), touched, "{sql}");
        assert_eq!(!found.referred.is_empty(), referred, "{sql}");
        assert_eq!(
            !found.asked.is_empty(),
            sql.contains("(id)") || sql.contains("(ssn)"),
            "{sql}"
        );
    }
}

#[test]
fn what_is_tried_against_stored_values_that_no_name_tells_may_be_about_any() {
    for (sql, any) in [
        ("alter domain d add check (value <> 'x')", true),
        ("alter domain d validate constraint k", true),
        ("alter domain d set not null", true),
        ("alter domain d set default 'x'", true),
        ("alter domain d drop default", false),
        ("alter domain d drop constraint k", false),
        ("alter type pair alter attribute a type d cascade", true),
        ("alter table notes alter note type d", false),
    ] {
        assert_eq!(trace(sql).any, any, "{sql}");
    }
}

#[test]
fn rows_that_move_take_their_values_to_other_partitions() {
    let mut parted = table(80, "ledger", &["k", "x"]);
    parted.kind = RelationKind::PartitionedTable;
    let part = |oid, name| Relation {
        parents: vec![80],
        ..table(oid, name, &["k", "x"])
    };
    let shown = view(83, "v_ledger", &["k"], "SELECT k FROM public.ledger;");
    let catalog = schema().with(vec![parted, part(81, "ledger_1"), part(82, "ledger_2"), shown]);
    let mut protected = ProtectedColumns::default();
    let held = ColumnId {
        relation: 81,
        column: 2,
    };
    protected.add(held, &RuleSet::one(0));
    let reached = |sql: &str, protected: &ProtectedColumns| -> Vec<Oid> {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        let moved = found.passed_on(protected);
        moved.iter().map(|(column, _)| column.relation).collect()
    };
    for sql in [
        "update ledger set k = 2",
        "update v_ledger set k = 2",
        "merge into ledger using acct a on a.id = k when matched then update set k = 2",
    ] {
        assert_eq!(reached(sql, &protected), [80, 82], "{sql}");
    }
    assert!(reached("insert into ledger values (1)", &protected).is_empty());
    protected.add(ColumnId { relation: 80, ..held }, &RuleSet::one(0));
    protected.spread(&catalog);
    assert!(reached("update ledger set k = 2", &protected).is_empty());
}

#[test]
fn rows_that_follow_a_key_move_to_other_partitions() {
    let parted = |oid, name, parents: &[Oid]| Relation {
        kind: RelationKind::PartitionedTable,
        parents: parents.to_vec(),
        ..table(oid, name, &["k", "x"])
    };
    let part = |oid, name, parent| Relation {
        parents: vec![parent],
        ..table(oid, name, &["k", "x"])
    };
    let led = |oid, name, key: &[AttNum], follower, actions| Relation {
        followers: vec![Follower::of(follower, actions)],
        hanging: key
            .iter()
            .filter_map(|column| Hanging::of(follower, &format!("k {column}")))
            .collect(),
        ..table(oid, name, &["k", "n"])
    };
    let mut made = led(77, "made", &[2], 80, "ac");
    made.columns[1].generated = Some("k".into());
    let catalog = schema().with(vec![
        led(70, "cascading", &[1], 80, "ac"),
        led(71, "emptied", &[1], 80, "na"),
        led(72, "defaulted", &[1], 80, "ad"),
        led(73, "first", &[1], 70, "cc"),
        led(74, "untold", &[], 80, "ac"),
        led(75, "kept", &[1], 80, "aa"),
        led(76, "gone", &[1], 80, "ca"),
        made,
        view(78, "shown", &["a"], "SELECT k AS a FROM public.cascading;"),
        parted(80, "ledger", &[]),
        parted(81, "ledger_1", &[80]),
        part(82, "ledger_1_1", 81),
        part(83, "ledger_2", 80),
    ]);
    let mut protected = ProtectedColumns::default();
    protected.add(
        ColumnId {
            relation: 82,
            column: 2,
        },
        &RuleSet::one(0),
    );
    for (sql, moves) in [
        ("update cascading set k = 2", true),
        ("update cascading set n = 2", false),
        ("delete from cascading", false),
        ("update shown set a = 2", true),
        (
            "insert into cascading values (1, 1) on conflict (k) do update set k = 2",
            true,
        ),
        ("insert into cascading values (1, 1) on conflict (k) do nothing", false),
        (
            "merge into cascading using acct a on true when matched then update set k = a.id",
            true,
        ),
        ("delete from emptied", true),
        ("update emptied set k = 2", false),
        ("update defaulted set k = 2", true),
        ("update first set k = 2", true),
        ("delete from first", false),
        ("update untold set n = 2", true),
        ("update kept set k = 2", false),
        ("delete from kept", false),
        ("delete from gone", false),
        ("update made set k = 2", true),
    ] {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        let moved: Vec<Oid> = found.moved_on(&protected).map(|(column, _)| column.relation).collect();
        assert_eq!(moved, if moves { vec![80, 81, 83] } else { vec![] }, "{sql}");
    }
}

#[test]
fn what_loses_a_parent_keeps_what_came_by_it() {
    let mut parted = table(80, "ledger", &["k", "x"]);
    parted.kind = RelationKind::PartitionedTable;
    let part = Relation {
        parents: vec![80],
        ..table(81, "ledger_1", &["x", "k"])
    };
    let catalog = schema().with(vec![parted, part, table(82, "attached", &["k", "y", "x"])]);
    let id = |relation, column| ColumnId { relation, column };
    let mut protected = ProtectedColumns::default();
    protected.add(id(80, 2), &RuleSet::one(0));
    protected.spread(&catalog);
    for (sql, kept, spilled) in [
        ("alter table ledger detach partition ledger_1", Some(id(81, 1)), None),
        (
            "alter table ledger detach partition public.ledger_1 concurrently",
            Some(id(81, 1)),
            None,
        ),
        (
            "alter table ledger detach partition ledger_1 finalize",
            Some(id(81, 1)),
            None,
        ),
        ("alter table ledger_1 no inherit ledger", Some(id(81, 1)), None),
        // It came earlier in the same unit.
        ("alter table ledger detach partition attached", Some(id(82, 3)), None),
        ("alter table ledger detach partition fresh", None, Some("fresh")),
        ("alter table fresh no inherit ledger", None, Some("fresh")),
        ("alter table fresh detach partition ledger_1", None, Some("ledger_1")),
        ("alter table ledger_1 no inherit fresh", None, Some("ledger_1")),
        ("alter table ledger detach partition notes", None, None),
        ("alter table ledger attach partition attached default", None, None),
        ("alter table attached inherit ledger", None, None),
        ("alter table ledger add y int", None, None),
    ] {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        let let_go: Vec<ColumnId> = found.let_go(&protected).map(|(column, _)| column).collect();
        assert_eq!(let_go, Vec::from_iter(kept), "{sql}");
        let carries = |one: &&Spilled| !rules_of(&one.flow, &protected).is_empty();
        let names: Vec<&str> = found.spilled.iter().filter(carries).map(|one| &*one.name).collect();
        assert_eq!(names, Vec::from_iter(spilled), "{sql}");
        assert!(found.assigned.is_empty() && found.lost.is_empty(), "{sql}");
    }
}

#[test]
fn a_write_reaches_what_is_below_behind_and_after_it() {
    let (mut parted, mut part) = (table(81, "parted", &["id"]), table(82, "parted_1", &["id"]));
    (parted.kind, part.parents) = (RelationKind::PartitionedTable, vec![81]);
    let shown = view(83, "v_part", &["id"], "SELECT id FROM public.parted_1;");
    let again = view(84, "v_again", &["id"], "SELECT id FROM public.v_part WHERE id > 1;");
    let mut heads = table(85, "heads", &["id", "n"]);
    heads.followers = vec![Follower::of(82, "cc")];
    let own = ColumnId {
        relation: 82,
        column: 1,
    };
    heads.carried = vec![(1, own)];
    let mut others = table(86, "others", &["id", "n"]);
    others.followers = vec![Follower::of(82, "na")];
    let catalog = schema().with(vec![parted, part, shown, again, heads, others]);
    let cases: [(&str, &[Oid]); 16] = [
        ("update parted set id = 1", &[81, 82]),
        ("insert into parted values (1)", &[81, 82]),
        ("truncate parted", &[81, 82]),
        ("alter table parted add x int", &[81, 82]),
        ("grant select on parted to app", &[81]),
        ("update v_part set id = 1", &[82, 83]),
        ("insert into v_again values (1)", &[82, 83, 84]),
        ("grant select on v_part to app", &[83]),
        ("delete from heads", &[82, 85]),
        ("update heads set id = 2", &[82, 85]),
        ("update heads set n = 2", &[85]),
        ("insert into heads values (1, 1)", &[85]),
        ("delete from others", &[82, 86]),
        ("update others set id = 2", &[86]),
        ("update events set payload = 'x'", &[30, 31]),
        ("insert into events values (1, 'x')", &[30]),
    ];
    for (sql, reached) in cases {
        let script = parse(sql).unwrap();
        let statement = &script.statements[0];
        let found = lineage(statement, &catalog, &path());
        let all = found.reached(&found.written, statement.verbs, &catalog);
        assert!(all.iter().eq(reached), "{sql}: {all:?}");
    }
}

#[test]
fn what_is_only_planned_makes_nothing() {
    for (options, made) in [
        ("", false),
        ("analyze", true),
        ("(costs off)", false),
        ("(analyze)", true),
        ("(analyze off)", false),
        ("(analyze 'OFF')", false),
        ("(analyze 1, verbose)", true),
        ("(analyze, analyze false)", false),
        ("(analyze off, analyze on)", true),
    ] {
        for query in [
            "create table new as select 1 as a",
            "create materialized view new as select 1 as a",
            "select 1 as a into new",
        ] {
            let sql = format!("explain {options} {query}");
            assert_eq!(trace(&sql).created.is_some(), made, "{sql}");
        }
    }
}
