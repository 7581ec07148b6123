use serde_json::json;

use super::*;
use crate::assemble::tests::{carrier, objects};
use crate::catalog::{Code, Column, Events, Hanging, RelationKind, SearchPath, Snapshot};
use crate::columns::ByRule;
use crate::decide::Command;
use crate::sql::{lineage, parse};

fn table(oid: Oid, name: &str, columns: &[&str]) -> Relation {
    let columns = (1..).zip(columns).map(|(attnum, name)| Column {
        attnum,
        name: (*name).to_owned(),
        type_oid: 25,
        generated: None,
    });
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: columns.collect(),
        ..Relation::default()
    }
}

/// A policy whose rule protects `customers.ssn`, with more said of it.
fn policy(more: serde_json::Value) -> Policy {
    let mut spec = json!({
        "connectionSelector": { "matchLabels": { "data": "pii" } },
        "match": { "columns": ["public.customers.ssn"], "detectors": ["US_SSN"] },
        "action": { "type": "Redact" },
        "profile": "Standard",
        "exemptSubjects": [{ "kind": "Group", "name": "oidc:dba" }],
    });
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    let mut carrier = carrier(&objects());
    carrier.masking_rules[0].spec = serde_json::from_value(spec).unwrap();
    Policy::compile(&carrier).unwrap()
}

fn refused(policy: &Policy, group: &str, sql: &str, values: &[Option<&[u8]>]) -> Option<String> {
    let settings = Relation {
        schema: "pg_catalog".into(),
        ..table(20, "pg_settings", &["name", "setting"])
    };
    let audited = Relation {
        fires: Events::UPDATE,
        ..table(20_002, "audited", &["id"])
    };
    let routed = Relation {
        ruled: true,
        ..table(20_005, "routed", &["id"])
    };
    let statistics = [
        "pg_stat_wal",
        "pg_stat_user_indexes",
        "pg_statio_all_tables",
        "pg_stat_database",
        "pg_stat_activity",
    ];
    let statistics = (21..).zip(statistics).map(|(oid, name)| Relation {
        schema: "pg_catalog".into(),
        kind: RelationKind::View,
        ..table(
            oid,
            name,
            &["relname", "idx_scan", "heap_blks_hit", "xact_commit", "query"],
        )
    });
    let keys = [(20_003, "k 3"), (20_004, "k 1")];
    let customers = Relation {
        hanging: keys.map(|(of, how)| Hanging::of(of, how).unwrap()).into(),
        ..table(20_000, "customers", &["id", "name", "ssn"])
    };
    let mut relations = vec![
        customers,
        table(20_001, "notes", &["id", "note"]),
        table(20_003, "paid", &["ssn_of", "sum"]),
        table(20_004, "booked", &["customer", "sum"]),
        audited,
        routed,
        settings,
    ];
    relations.extend(statistics);
    let catalog = Snapshot::new(relations);
    let path = SearchPath::effective(vec!["pg_catalog".to_owned(), "public".to_owned()], None);
    let protected = ProtectedColumns::resolve(policy.masks().rules(), &catalog, None, &ByRule::new());
    let subject = Subject {
        username: "oidc:alice".into(),
        groups: vec![group.into()],
        ..Subject::default()
    };
    let script = parse(sql).unwrap();
    let statement = &script.statements[0];
    let traced = lineage(statement, &catalog, &path);
    let mut command = Command::of(statement, sql);
    command.resolve(statement, &traced, &catalog, &path, &protected);
    let masker = policy.masker(&subject);
    let guard = Guard {
        policy,
        subject: &subject,
        masker: &masker,
        catalog: &catalog,
        protected: &protected,
    };
    let denial = guard
        .refusal(&[statement], &[traced], &command.opaque)
        .or_else(|| guard.put_back(&[statement], sql, &command))
        .or_else(|| guard.bound_back(&[statement], values, &command))?;
    let by = match denial.by {
        DeniedBy::Mask(rule) => rule,
        by => by.to_string(),
    };
    Some(format!("{by}: {}", denial.reason))
}

const DEFINES: &str = "pii: column public.customers.ssn is protected by profile Strict: definitions of its relation";

/// Begins a refusal of each statement under Standard, and under Strict; empty where there is none.
const CASES: [(&str, &str, &str); 82] = [
    ("select ssn, name from customers", "", ""),
    ("select ssn::text from customers", "", ""),
    (
        "select reverse(ssn) from customers",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    (
        "select name from customers where ssn = '1'",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    (
        "update customers set ssn = '1' where id = 7",
        "pii: column public.customers.ssn is masked for you",
        "pii: column public.customers.ssn is masked for you",
    ),
    (
        "insert into customers (id, ssn) values (7, '1')",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: who may not see its values",
    ),
    (
        "copy customers (ssn) from stdin",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: who may not see its values",
    ),
    ("copy customers to stdout", "", ""),
    (
        "insert into notes (note) select ssn from customers",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it would be copied",
    ),
    (
        "create table copies as select ssn from customers",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it would be copied",
    ),
    (
        "explain select name from customers",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: a plan tells",
    ),
    ("alter table customers add check (id > 0)", "", DEFINES),
    ("alter table customers add column segment text", "", ""),
    ("alter table customers add score int not null default 0", "", ""),
    ("alter table customers owner to app", "", ""),
    ("alter table customers drop column name, alter id drop not null", "", ""),
    (
        "alter table customers alter name set not null, alter name set default 'x'",
        "",
        "",
    ),
    ("alter table customers rename name to called", "", ""),
    ("alter table customers drop column name cascade", "", DEFINES),
    ("alter table customers drop column name, drop column ssn", "", DEFINES),
    ("alter table customers alter name set default lower('x')", "", DEFINES),
    ("alter table customers alter name type int using 1", "", DEFINES),
    ("alter table customers rename ssn to called", "", DEFINES),
    ("alter table customers rename to clients", "", DEFINES),
    (
        "alter table customers rename constraint customers_pkey to ssn",
        "",
        DEFINES,
    ),
    ("create table staged (like customers including all)", "", ""),
    ("create table staged (like customers) inherits (customers)", "", DEFINES),
    ("create index on customers (name, id)", "", ""),
    ("create unique index on customers (id) include (name)", "", ""),
    ("alter table customers add unique (ssn)", "", DEFINES),
    ("alter table customers alter ssn set not null", "", DEFINES),
    ("alter table customers alter ssn set default '1'", "", DEFINES),
    (
        "alter table customers add column a text, add check (ssn <> '1')",
        "",
        DEFINES,
    ),
    ("create index on customers (name) include (ssn)", "", DEFINES),
    ("create index on customers (lower(ssn))", "", DEFINES),
    ("create index on customers (name) where ssn like '5%'", "", DEFINES),
    // A foreign key asks whether a value is there, and nothing else of the table.
    ("create table of_mine (c text references customers (id))", "", ""),
    (
        "alter table notes add foreign key (id) references customers (id)",
        "",
        "",
    ),
    (
        "create table of_mine (c text references customers (ssn))",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    (
        "alter table customers add foreign key (id) references customers (id)",
        "",
        DEFINES,
    ),
    // So does one that is tried later.
    (
        "alter table paid validate constraint k",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    (
        "alter table paid alter constraint k enforced",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    (
        "alter table paid alter ssn_of type text using '1'",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    (
        "alter table paid attach partition notes default",
        "",
        "pii: column public.customers.ssn is protected by profile Strict: it stands in a condition",
    ),
    ("alter table paid alter constraint k not enforced", "", ""),
    ("alter table paid alter constraint k deferrable", "", ""),
    ("alter table paid alter sum set not null", "", ""),
    ("alter table booked validate constraint k", "", ""),
    ("alter table booked alter constraint k enforced", "", ""),
    ("alter table customers validate constraint k", "", DEFINES),
    (
        "alter table nosuch validate constraint k",
        "",
        "pii: which keys nosuch has cannot be told here",
    ),
    ("select unseen()", "", "pii: function unseen cannot be seen into"),
    ("select relname, idx_scan from pg_stat_user_indexes", "", ""),
    ("select heap_blks_hit from pg_catalog.pg_statio_all_tables", "", ""),
    ("select xact_commit from pg_stat_database", "", ""),
    ("select pg_stat_get_numscans(20000)", "", ""),
    ("select pg_catalog.pg_stat_get_db_xact_commit(1)", "", ""),
    ("select * from pg_available_extensions()", "", ""),
    ("select * from pg_catalog.pg_prepared_xact()", "", ""),
    (
        "select xact_commit from pg_stat_wal",
        "",
        "pii: view pg_catalog.pg_stat_wal cannot be seen into",
    ),
    (
        "select wal_bytes from pg_stat_get_wal()",
        "",
        "pii: system function pg_stat_get_wal cannot be seen into",
    ),
    (
        "select query from pg_stat_activity",
        "",
        "pii: view pg_catalog.pg_stat_activity cannot be seen into",
    ),
    (
        "select * from pg_stat_get_activity(null)",
        "",
        "pii: system function pg_stat_get_activity cannot be seen into",
    ),
    (
        "select pg_stat_get_backend_activity(1)",
        "",
        "pii: system function pg_stat_get_backend_activity cannot be seen into",
    ),
    (
        "update audited set id = 8 where id = 7",
        "",
        "pii: triggers of public.audited cannot be seen into",
    ),
    (
        "insert into routed values (7) returning id",
        "",
        "pii: what a rule returns cannot be told here",
    ),
    ("cluster", "", "pii: which tables are clustered cannot be told here"),
    (
        "select set_config('app.x', ssn, false) from customers",
        "the door's limits: column public.customers.ssn is protected, and a function",
        "the door's limits: column public.customers.ssn is protected, and a function",
    ),
    (
        "select set_config('app.x', most_common_vals, false) from pg_stats",
        "the door's limits: a function would leave what may be values",
        "the door's limits: a function would leave what may be values",
    ),
    ("select set_config('app.x', note, false) from notes", "", ""),
    ("select setval('q', max(id)) from notes", "", ""),
    (
        "select set_config('app.x', note, false) from (select note from notes for update) q",
        "the door's limits: a function would leave values where no mask follows",
        "the door's limits: a function would leave values where no mask follows",
    ),
    (
        "update notes set id = 1 returning set_config('app.x', note, false)",
        "the door's limits: a function would leave values where no mask follows",
        "the door's limits: a function would leave values where no mask follows",
    ),
    (
        "insert into notes (id) values (1) returning pg_notify('c', id::text)",
        "",
        "",
    ),
    (
        "with x as (insert into notes (id) values (1) returning id) select pg_notify('c', id::text) from x",
        "",
        "",
    ),
    (
        "insert into notes (id) values (1) on conflict (id) do update set id = 2 returning pg_notify('c', note)",
        "the door's limits: a function would leave values where no mask follows",
        "the door's limits: a function would leave values where no mask follows",
    ),
    (
        "copy (select set_config('app.x', note, false) from notes) to stdout",
        "the door's limits: a function would leave values where no mask follows",
        "the door's limits: a function would leave values where no mask follows",
    ),
    (
        "declare k cursor for select pg_notify('c', note) from notes",
        "the door's limits: a function would leave values where no mask follows",
        "the door's limits: a function would leave values where no mask follows",
    ),
    (
        "update pg_settings set setting = 'x' where name = 'role'",
        "the door's limits: settings are changed by SET",
        "the door's limits: settings are changed by SET",
    ),
    (
        "create database of_mine template bank",
        "the door's limits: what is protected in a database",
        "the door's limits: what is protected in a database",
    ),
    (
        "alter database bank rename to of_mine",
        "the door's limits: what is protected in a database",
        "the door's limits: what is protected in a database",
    ),
    ("create database of_mine template template0", "", ""),
];

#[test]
fn each_profile_refuses_what_it_says() {
    let (standard, strict) = (policy(json!({})), policy(json!({ "profile": "Strict" })));
    for (sql, by_standard, by_strict) in CASES {
        for (policy, begins) in [(&standard, by_standard), (&strict, by_strict)] {
            let found = refused(policy, "oidc:engineers", sql, &[]).unwrap_or_default();
            let same = found.starts_with(begins) && found.is_empty() == begins.is_empty();
            assert!(same, "{sql}: wanted {begins:?}, got {found:?}");
        }
    }
}

#[test]
fn a_rule_refuses_nothing_to_whom_it_exempts_or_where_it_observes() {
    let strict = policy(json!({ "profile": "Strict" }));
    let observed = policy(json!({ "profile": "Strict", "mode": "Observe" }));
    let by_mask = CASES.iter().filter(|(.., begins)| begins.starts_with("pii"));
    for (sql, ..) in by_mask {
        assert_eq!(refused(&strict, "oidc:dba", sql, &[]), None, "{sql}");
        assert_eq!(refused(&observed, "oidc:engineers", sql, &[]), None, "{sql}");
    }
}

/// What it copies, overwrites and hands to functions stands where the walk does not come any more.
#[test]
fn what_is_too_large_to_be_followed_is_refused() {
    let large = (0..7).fold("select id as a from customers".to_owned(), |inner, n| {
        format!("with recursive r{n}(a) as (select x.* from ({inner}) x, ({inner}) z union all select r{n}.a from r{n}, ({inner}) y) select a from r{n}")
    });
    let policy = policy(json!({}));
    for rest in [
        "select count(*) from h",
        "insert into notes (note) select ssn from customers, h",
        "update customers set ssn = '1' from h",
        "select set_config('app.x', ssn, false) from customers, h",
    ] {
        let found = refused(&policy, "oidc:engineers", &format!("with h as ({large}) {rest}"), &[]);
        let begins = "the door's limits: this query is too large to be followed";
        assert!(found.is_some_and(|found| found.starts_with(begins)), "{rest}");
    }
}

#[test]
fn who_is_allowed_to_write_may_overwrite() {
    let policy = policy(json!({ "allowWrites": true }));
    let sql = "update customers set ssn = '1' where id = 7";
    assert_eq!(refused(&policy, "oidc:engineers", sql, &[]), None);
    // Whether an index has to be changed tells whether it was that before.
    let policy = self::policy(json!({ "allowWrites": true, "profile": "Strict" }));
    assert_eq!(refused(&policy, "oidc:engineers", sql, &[]), None);
    for (sql, answered) in [
        ("select idx_scan from pg_stat_user_indexes", false),
        ("select pg_stat_get_xact_tuples_hot_updated(20000)", false),
        ("select xact_commit from pg_stat_database", true),
    ] {
        assert_eq!(
            refused(&policy, "oidc:engineers", sql, &[]).is_none(),
            answered,
            "{sql}"
        );
    }
}

#[test]
fn masked_values_do_not_come_back() {
    let policy = policy(json!({}));
    let back = "pii: [REDACTED] stands for values that are hidden from you";
    let given: [(&str, &[Option<&[u8]>], &str); 6] = [
        ("update notes set note = 'is [REDACTED]' where id = 7", &[], back),
        ("update notes set note = 'x' where note = '[REDACTED]'", &[], ""),
        ("insert into notes (note) values ('[REDACTED]')", &[], ""),
        (
            "update notes set note = $1 where id = $2",
            &[Some(b"[REDACTED]"), Some(b"7")],
            back,
        ),
        (
            "update notes set note = $1 where note = $2",
            &[Some(b"x"), Some(b"[REDACTED]")],
            "",
        ),
        ("update notes set note = $1 where id = 7", &[None], ""),
    ];
    for (sql, values, begins) in given {
        let found = refused(&policy, "oidc:engineers", sql, values).unwrap_or_default();
        let same = found.starts_with(begins) && found.is_empty() == begins.is_empty();
        assert!(same, "{sql}: {found:?}");
    }
}

#[test]
fn under_strict_names_that_may_mean_anything_are_refused() {
    for (profile, refuses) in [("Standard", false), ("Strict", true)] {
        let policy = policy(json!({ "profile": profile }));
        let catalog = Snapshot::new(vec![table(20_000, "customers", &["id", "ssn"])]);
        let protected = ProtectedColumns::resolve(policy.masks().rules(), &catalog, None, &ByRule::new());
        let subject = Subject::default();
        let masker = policy.masker(&subject);
        let guard = Guard {
            policy: &policy,
            subject: &subject,
            masker: &masker,
            catalog: &catalog,
            protected: &protected,
        };
        let denial = guard.nameless("nobody knows");
        let by = denial.map(|denial| (denial.by, denial.reason));
        let wanted = (DeniedBy::Mask("pii".to_owned()), "nobody knows".to_owned());
        assert_eq!(by, refuses.then_some(wanted), "{profile}");
    }
}

#[test]
fn a_setting_whose_name_is_read_from_what_users_made_is_not_known() {
    let own = Relation {
        schema: "pg_catalog".into(),
        ..table(20, "pg_settings", &["name", "setting"])
    };
    let another = table(20_003, "pg_settings", &["name", "v"]);
    let code = Code {
        types: [(20_004, "text".to_owned())].into(),
        ..Code::default()
    };
    let cuts = Snapshot::new(vec![own.clone()]).with_code(code);
    let policy = policy(json!({}));
    let subject = Subject::default();
    let (masker, protected) = (policy.masker(&subject), ProtectedColumns::default());
    let read = "select set_config(name, 'x', false) from pg_settings where name = 'work_mem'";
    let cast = "select set_config('work_mem'::text, 'x', false)";
    let plain = "select set_config('work_mem', 'x', false)";
    let cases = [
        (Snapshot::new(vec![own.clone()]), [false, false, false]),
        (Snapshot::new(vec![own, another]), [true, true, false]),
        (cuts, [true, true, false]),
    ];
    for (catalog, refused) in cases {
        let guard = Guard {
            policy: &policy,
            subject: &subject,
            masker: &masker,
            catalog: &catalog,
            protected: &protected,
        };
        for (sql, refused) in [read, cast, plain].into_iter().zip(refused) {
            let script = parse(sql).unwrap();
            assert_eq!(guard.pinned(&script.statements, true).is_some(), refused, "{sql}");
            let pins = script.statements[0].pins;
            assert_eq!(guard.pinned(&script.statements, false).is_some(), pins, "{sql}");
        }
    }
}
