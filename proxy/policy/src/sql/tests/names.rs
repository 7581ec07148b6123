//! Relations, settings and effects.

use super::*;

fn relations(statement: &Statement) -> String {
    let each = statement.relations.iter().map(|relation| {
        let access = match relation.access {
            Access::Read => "r",
            Access::Write => "w",
            Access::Define => "d",
        };
        format!("{access}:{relation}")
    });
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn relations_are_named_with_what_happens_to_them() {
    table(
        &[
            ("select 1", ""),
            ("select * from a, s.b, \"C\".\"D\"", "r:a r:s.b r:C.D"),
            ("select * from db.s.b", "r:s.b"),
            ("select * from a for update of a", "r:a"),
            ("select * from a x for update of x", "r:a"),
            ("insert into a select * from b", "w:a r:b"),
            ("insert into a select * from a", "w:a r:a"),
            ("update a set x = 1 from b", "w:a r:b"),
            ("delete from a using b", "w:a r:b"),
            ("merge into a using b on true when matched then delete", "w:a r:b"),
            ("truncate a, b", "w:a w:b"),
            ("copy a from stdin", "w:a"),
            ("copy a to stdout", "r:a"),
            ("create table a (x int references b)", "d:a r:b"),
            ("create table a (like b)", "d:a r:b"),
            ("create table a partition of b default", "d:a d:b"),
            ("create view a as select * from b", "d:a r:b"),
            ("create table a as select * from b", "r:b d:a"),
            ("select * into a from b", "d:a r:b"),
            ("create index on a (x)", "d:a"),
            ("alter table a add foreign key (x) references b", "d:a r:b"),
            ("alter table a rename to b", "d:a"),
            ("drop table a, s.b", "d:a d:s.b"),
            ("drop view a", "d:a"),
            ("drop index s.a", "d:s.a"),
            ("alter extension x add table s.a", "d:s.a"),
            ("alter extension x drop view a", "d:a"),
            ("alter extension x add schema s", ""),
            ("drop trigger g on s.a", "d:s.a"),
            ("drop policy p on a", "d:a"),
            ("drop function f", ""),
            ("drop schema a", ""),
            ("comment on table a is 'x'", "d:a"),
            ("comment on column s.a.x is 'x'", "d:s.a"),
            ("grant select on a to bob", "d:a"),
            ("lock table a", "r:a"),
            ("vacuum a", "r:a"),
            ("refresh materialized view a", "d:a"),
            ("create trigger g after insert on a execute function f()", "d:a"),
            (
                "create rule r as on insert to a do also insert into b values (1)",
                "d:a w:b",
            ),
            ("with a as (select 1) select * from a", ""),
            ("with a as (select * from a) select * from a", "r:a"),
            ("with recursive a as (select * from a) select * from a", ""),
            ("with a as (select 1), b as (select * from a) select * from b", ""),
            ("with b as (select * from a), a as (select 1) select 1", "r:a"),
            ("with a as (select 1) select * from s.a", "r:s.a"),
            ("with a as (select 1) insert into a select 1", "w:a"),
            ("with a as (select 1) delete from a", "w:a"),
            ("select * from a, (with a as (select 1) select * from a) x", "r:a"),
            (
                "select (with a as (select 1) select 1 from a), (select 1 from a)",
                "r:a",
            ),
            ("with a as (delete from b returning *) select * from a", "w:b"),
        ],
        relations,
    );
}

#[test]
fn what_ends_locks_or_has_to_come_first_is_told() {
    table(
        &[
            ("select 1", "true"),
            ("begin", "true"),
            ("start transaction", "true"),
            ("set statement_timeout = 5", "true"),
            ("begin isolation level serializable", "false"),
            ("start transaction read only", "false"),
            ("set transaction isolation level repeatable read", "false"),
            ("set transaction_isolation = 'serializable'", "false"),
            ("set transaction snapshot '00000003-0000001B-1'", "false"),
            ("commit", "false"),
            ("rollback to a", "false"),
            ("savepoint a", "false"),
            ("release a", "false"),
            ("prepare transaction 'a'", "false"),
        ],
        |statement| statement.keeps_locks().to_string(),
    );
}

#[test]
fn settings_are_seen() {
    let settings = |statement: &Statement| {
        let each = statement.settings.iter().map(|setting| {
            let name = setting.name.as_deref().unwrap_or("*");
            let value = setting.value.as_deref().unwrap_or("?");
            format!("{name}={value}{}", if setting.local { " local" } else { "" })
        });
        each.collect::<Vec<_>>().join(" ")
    };
    table(
        &[
            ("set search_path = a, b", "search_path=a, b"),
            ("set search_path to default", "search_path=?"),
            ("set local statement_timeout = 5", "statement_timeout=5 local"),
            ("set client_encoding = 'LATIN1'", "client_encoding=LATIN1"),
            ("set names 'LATIN1'", "client_encoding=LATIN1"),
            ("set \"Search_Path\" = x", "search_path=x"),
            ("set time zone 'utc'", "timezone=utc"),
            (
                "set standard_conforming_strings = off",
                "standard_conforming_strings=off",
            ),
            ("reset search_path", "search_path=?"),
            ("reset all", "*=?"),
            ("select set_config('Search_Path', 'x', true)", "search_path=x"),
            ("select set_config('search_path', current_user, true)", "search_path=?"),
            ("select set_config(a, b, true) from t", "*=?"),
            ("select 1", ""),
        ],
        settings,
    );
}

#[test]
fn effects_on_the_session() {
    use Effect as E;
    let cases = [
        ("select 1", E::None),
        ("begin", E::Transaction(Transaction::Begin)),
        ("commit and chain", E::Transaction(Transaction::Commit { chain: true })),
        ("abort", E::Transaction(Transaction::Rollback { chain: false })),
        ("savepoint s", E::Transaction(Transaction::Savepoint("s".into()))),
        ("release s", E::Transaction(Transaction::Release("s".into()))),
        ("rollback to s", E::Transaction(Transaction::RollbackTo("s".into()))),
        ("prepare transaction 'x'", E::Transaction(Transaction::Prepare)),
        ("prepare p as select 1", E::Prepare { name: "p".into() }),
        ("execute p", E::Execute { name: "p".into() }),
        ("deallocate p", E::Deallocate { name: Some("p".into()) }),
        ("deallocate all", E::Deallocate { name: None }),
        (
            "declare c cursor for select 1",
            E::Declare {
                name: "c".into(),
                hold: false,
                binary: false,
            },
        ),
        (
            "declare c binary cursor with hold for select 1",
            E::Declare {
                name: "c".into(),
                hold: true,
                binary: true,
            },
        ),
        (
            "fetch 5 from c",
            E::Fetch {
                name: "c".into(),
                moves: false,
            },
        ),
        (
            "move all in c",
            E::Fetch {
                name: "c".into(),
                moves: true,
            },
        ),
        ("close c", E::Close { name: Some("c".into()) }),
        ("close all", E::Close { name: None }),
        ("listen Jobs", E::Listen { channel: "jobs".into() }),
        ("discard all", E::Discard { all: true }),
        ("discard temp", E::Discard { all: false }),
    ];
    for (sql, expected) in cases {
        assert_eq!(one(sql).effect, expected, "{sql}");
    }
}

#[test]
fn the_format_of_a_copy_is_known() {
    let text = CopyFormat {
        format: "text".into(),
        ..CopyFormat::default()
    };
    let csv = CopyFormat {
        format: "csv".into(),
        ..CopyFormat::default()
    };
    let cases = [
        ("copy t to stdout", CopyDirection::Out, text.clone()),
        ("copy t from stdin", CopyDirection::In, text.clone()),
        ("copy t to stdout (format csv)", CopyDirection::Out, csv.clone()),
        ("copy t to stdout csv", CopyDirection::Out, csv.clone()),
        (
            "copy t to stdout with binary",
            CopyDirection::Out,
            CopyFormat {
                format: "binary".into(),
                ..text.clone()
            },
        ),
        (
            "copy t to stdout (format 'BINARY')",
            CopyDirection::Out,
            CopyFormat {
                format: "binary".into(),
                ..text.clone()
            },
        ),
        (
            "copy t to stdout (format csv, delimiter ',', quote '0', force_quote *, escape '9', header)",
            CopyDirection::Out,
            CopyFormat {
                delimiter: Some(",".into()),
                quote: Some("0".into()),
                escape: Some("9".into()),
                header: true,
                ..csv.clone()
            },
        ),
        (
            "copy t to stdout (null 'N', header off)",
            CopyDirection::Out,
            CopyFormat {
                null: Some("N".into()),
                ..text.clone()
            },
        ),
        (
            "copy t to stdout (format csv, header match)",
            CopyDirection::Out,
            CopyFormat { header: true, ..csv },
        ),
        (
            "copy t to stdout (encoding 'SJIS')",
            CopyDirection::Out,
            CopyFormat {
                encoding: Some("SJIS".into()),
                ..text.clone()
            },
        ),
        (
            "copy t to stdout (surprise 1)",
            CopyDirection::Out,
            CopyFormat { unknown: true, ..text },
        ),
    ];
    for (sql, direction, format) in cases {
        assert_eq!(one(sql).effect, Effect::Copy { direction, format }, "{sql}");
    }
}

#[test]
fn whatever_code_of_users_may_run_in_asks_for_the_catalog() {
    for (sql, operates) in [
        ("select 'a'::d", true),
        ("select ('a').d", true),
        ("select x from xmltable('/a' passing '<a/>' columns x d path '.')", true),
        ("select json_value('1', '$' returning d)", true),
        ("select 1 in (2)", true),
        (
            "select * from (values ('a')) a(k) join (values ('b')) b(k) using (k)",
            true,
        ),
        (
            "select * from (values ('a')) a(k) natural join (values ('b')) b(k)",
            true,
        ),
        ("select merge_action()", true),
        ("select json_array()", true),
        ("select json_scalar('a')", true),
        ("select json_arrayagg('a')", true),
        ("select 'a', null, $1", false),
    ] {
        assert_eq!(one(sql).operates, operates, "{sql}");
    }
}

#[test]
fn a_path_is_told_where_every_schema_is_what_it_is_called() {
    for (sql, path) in [
        ("set search_path = a, \"B\", 'c d'", Some(r#""a", "B", "c d""#)),
        ("set local search_path to a", Some(r#""a""#)),
        ("set schema 'a'", Some(r#""a""#)),
        ("set search_path = ''", Some(r#""""#)),
        (r#"set search_path = 'a"b'"#, Some(r#""a""b""#)),
        (r#"set search_path = "$user", public"#, None),
        ("set search_path = pg_temp, a", None),
        ("set search_path = a, pg_catalog", None),
        ("set search_path to default", None),
        ("reset search_path", None),
        ("set work_mem = '1MB'", None),
        ("select set_config('search_path', 'a', false)", None),
    ] {
        assert_eq!(one(sql).path_set().as_deref(), path, "{sql}");
    }
}

#[test]
fn columns_are_told_from_whole_rows_and_aliases() {
    for (sql, expected) in [
        (
            "select a.x, y as z, (b).f, c, lower(d) from a join c using (u)",
            "b d f u x y",
        ),
        ("select a.*, * from s.a", ""),
        ("select r from s.a r", ""),
        (
            "insert into a (x) values (1) on conflict (k) do update set y = excluded.z returning w",
            "k w x y z",
        ),
        ("update a set x = 1 where y = 2", "x y"),
        ("copy a (x, y) to stdout", "x y"),
        (
            "merge into a using b on a.k = b.k when matched then update set x = b.y \
             when not matched then insert (z) values (1)",
            "k x y z",
        ),
        ("alter table a alter column x type int", "x"),
    ] {
        let script = parse(sql).unwrap();
        let names: Vec<&str> = script.statements[0].column_names().into_iter().collect();
        assert_eq!(names.join(" "), expected, "{sql}");
    }
}
