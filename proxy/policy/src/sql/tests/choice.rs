//! Which conditions choose rows.

use super::*;

#[test]
fn conditions_that_choose_nothing_do_not_count() {
    table(
        &[
            ("delete from t where id = 1", "true"),
            ("delete from t where id = $1", "true"),
            ("delete from t where current of c", "true"),
            ("delete from t where exists (select 1 from u)", "false"),
            ("delete from t where (select true)", "false"),
            ("delete from t where 1 in (select 1)", "false"),
            ("delete from t where exists (select 1 from u where u.id = t.id)", "true"),
            ("delete from t where id in (select 1)", "true"),
            ("delete from t", "false"),
            ("delete from t where true", "false"),
            ("delete from t where 1 = 1 or 'a' = 'b'", "false"),
            ("delete from t where id = 1 or true", "false"),
            ("delete from t where $1 is null or id = $1", "false"),
            ("delete from t where id = 1 or id = 2", "true"),
            ("delete from t where true and not (id = 1)", "true"),
            ("delete from t where id = id", "false"),
            ("delete from t where t.a = t.b", "true"),
            ("delete from t where t.a > t.b - 1 and b + a > 1", "true"),
            // What is held against itself, or is a truth and may be either, leaves no row.
            ("delete from t where id = id + 0", "false"),
            ("delete from t where id - id = 0", "false"),
            ("delete from t where row(id) = row(id)", "false"),
            ("delete from t where (t).id = id", "false"),
            ("delete from t where id between id and id", "false"),
            ("delete from t where (id = 1) is not null", "false"),
            ("delete from t where (id = 1) in (true, false)", "false"),
            ("delete from t where id = 1 is distinct from null", "false"),
            ("delete from t where (id = 1) is not unknown", "false"),
            ("delete from t where (id = 1 and null) is not true", "false"),
            ("delete from t where a is not true", "true"),
            ("delete from t where (id = 1) is true", "true"),
            ("delete from t where a is null", "true"),
            ("delete from t where ctid is not null", "false"),
            ("delete from t where tableoid = 1", "false"),
            ("delete from t where not (id = 1 and false)", "false"),
            ("delete from t where not (id = 1 or false)", "true"),
            ("delete from t where not (id = 1 or a = 2)", "true"),
            ("delete from t where coalesce(true, id = 1)", "false"),
            ("delete from t where coalesce(a, false)", "true"),
            ("delete from t where case when true then true else id = 1 end", "false"),
            ("delete from t where case when id = 1 then true end", "true"),
            ("delete from t where case when id = 1 then false else true end", "false"),
            ("delete from t where exists (select t.id)", "false"),
            ("delete from t where exists (select 1 from u t where t.id = 1)", "false"),
            (
                "delete from t where exists (select count(*) from u where u.id = t.id)",
                "false",
            ),
            (
                "delete from t where not exists (select 1 from u where u.id = t.id)",
                "true",
            ),
            (
                "delete from t where (select count(*) from u where u.id = t.id) = 0",
                "true",
            ),
            ("delete from t where a > (select avg(a) from t)", "true"),
            ("delete from t where id in (select id from t)", "false"),
            ("delete from t where id in (select id from t where a = 1)", "true"),
            ("delete from t where id in (select id from t limit 1000)", "true"),
            ("delete from t where id in (select id from u)", "true"),
            ("delete from t x using t y where x.id = y.id", "false"),
            ("delete from t x using t y where x.id = y.id and y.a = 1", "true"),
            ("delete from t x using t y where x.id = y.id and y.a = y.a", "false"),
            ("delete from t x using t y where y.a = 1", "false"),
            ("delete from t x using (select id as k from t) y where y.k = 1", "false"),
            (
                "delete from t x using (select id as k from t) y where x.id = y.k",
                "false",
            ),
            ("delete from t x using t y where x.id > y.id and x.a = y.a", "true"),
            ("delete from t x using t y where x.parent = y.id", "true"),
            // What is computed of a row is asked of it.
            ("delete from t where data ->> 'k' is null", "true"),
            ("delete from t where (data ->> 'k')::bool is not true", "true"),
            ("delete from t where coalesce(a, b) is null", "true"),
            ("delete from t where coalesce(a, 'x') is not null", "false"),
            ("delete from t where a is unknown", "true"),
            (
                "delete from t where (select a from u where u.id = t.id) is null",
                "true",
            ),
            ("delete from t where (exists (select 1)) is not null", "false"),
            ("delete from t where place <-> '(0,0)' < 5", "true"),
            ("update t set a = lower(a) where a <> lower(a)", "true"),
            ("update t set a = lower(a) where lower(a) = lower(a)", "false"),
            ("delete from t where (lower(a) = 'x') is distinct from null", "false"),
            ("delete from t where id between id and a", "true"),
            // Of the relation beside itself some are left out.
            (
                "delete from t where id not in (select min(id) from t group by a)",
                "true",
            ),
            (
                "delete from t where id not in (select distinct on (a) id from t)",
                "true",
            ),
            ("delete from t where id in (select distinct id from t)", "false"),
            ("delete from t where id in (select max(id) from t)", "true"),
            (
                "update t set n = d.n from (select id, row_number() over () n from t) d where d.id = t.id",
                "false",
            ),
            (
                "delete from t using (select id, row_number() over (partition by a) n from t) d where d.id = t.id and d.n > 1",
                "true",
            ),
            (
                "delete from t where id in (select id from (select id from t limit 9) s)",
                "true",
            ),
            (
                "delete from t where id in (select id from (select id from t) s)",
                "false",
            ),
            (
                "delete from t where id in (select t.id from t join u on u.id = t.uid)",
                "true",
            ),
            (
                "delete from t where id in (select t.id from t left join u on u.id = t.uid)",
                "false",
            ),
            (
                "delete from t where id in (select id from t except select tid from u)",
                "true",
            ),
            (
                "delete from t where id in (select id from t union select tid from u)",
                "false",
            ),
            (
                "delete from t where exists (select 1 from u join v on v.id = u.vid and u.tid = t.id)",
                "true",
            ),
            (
                "delete from t where exists (select 1 from t o where o.id = t.id and o.a = 1)",
                "true",
            ),
            (
                "delete from t where exists (select 1 from t o where o.id = t.id)",
                "false",
            ),
            (
                "delete from t where exists (select 1 from t o where o.a = t.a and o.id < t.id)",
                "true",
            ),
            (
                "delete from t where exists (select 1 from u left join v on v.tid = t.id)",
                "false",
            ),
            (
                "delete from t where exists (select 1 from u where u.tid = t.id union select 1 from v where v.tid = t.id)",
                "true",
            ),
            (
                "delete from t where exists (select 1 from u where u.tid = t.id union select 1 from v)",
                "false",
            ),
            (
                "update t set a = u.a from t o join u on u.id = o.uid where t.id = o.id",
                "true",
            ),
            (
                "update t set a = u.a from t o left join u on u.id = o.uid where t.id = o.id",
                "false",
            ),
            (
                "insert into t select * from u on conflict (a) do update set b = excluded.b where t.b is distinct from excluded.b",
                "true",
            ),
            (
                "insert into t select u.* from u, v where u.id = v.id on conflict (a) do update set b = 1",
                "true",
            ),
            ("update t set a = 1 where $1", "false"),
            ("select nextval('s')", "true"),
            ("insert into t values (nextval('s'), 'x')", "true"),
            ("update t set a = nextval('s')", "false"),
            (
                "insert into t values (1, 2), (3, 4) on conflict (a) do update set b = excluded.b",
                "true",
            ),
            (
                "insert into t default values on conflict (a) do update set b = 1",
                "true",
            ),
            (
                "insert into t values (unnest(array(select a from t)), 2) on conflict (a) do update set b = 1",
                "false",
            ),
            (
                "insert into t values (generate_series(1, 10000000), 2) on conflict (a) do update set b = 1",
                "false",
            ),
            (
                "insert into t values (unnest($1::int[]), 2) on conflict (a) do update set b = 1",
                "true",
            ),
            (
                "insert into t values ((select max(a) from u), md5('x')) on conflict (a) do update set b = 1",
                "true",
            ),
            (
                "insert into t select * from unnest($1::int[], $2::text[]) on conflict (a) do update set b = excluded.b",
                "true",
            ),
            (
                "insert into t select x.* from (values ($1, $2)) x on conflict (a) do update set b = excluded.b",
                "true",
            ),
            (
                "insert into t select f.* from unnest(array(select a from u)) f on conflict (a) do update set b = 1",
                "false",
            ),
            (
                "insert into t select g, 0 from generate_series(1, 10000000) g on conflict (a) do update set b = 1",
                "false",
            ),
            (
                "insert into t select x.* from unnest(array_fill(0, $1)) x on conflict (a) do update set b = 1",
                "false",
            ),
            (
                "insert into t select x.a, now() from jsonb_to_recordset($1) as x(a int) on conflict (a) do update set b = 1",
                "true",
            ),
            (
                "insert into t select * from t on conflict (a) do update set b = 1",
                "false",
            ),
            (
                "insert into t select * from u where u.a = 1 on conflict (a) do update set b = 1",
                "true",
            ),
            (
                "insert into t select * from u on conflict (a) do update set b = 1 where t.b = 2",
                "true",
            ),
            (
                "with u as (delete from t) insert into t values (1) on conflict (a) do update set b = 1",
                "false",
            ),
            ("with d as (delete from t) delete from u where id = 1", "false"),
            ("with d as (delete from t where a) delete from u where id = 1", "true"),
            ("with d as (delete from t) select * from d where x = 1", "false"),
            ("select 1 from t where id = 1", "true"),
            ("select 1 from t", "false"),
            ("merge into t using s on t.a = s.a when matched then delete", "true"),
            ("merge into t using s on true when matched then delete", "false"),
            // A namesake in another schema is another relation.
            ("update t set a = s.a from staging.t s where s.id = t.id", "true"),
            ("delete from public.t using staging.t where staging.t.id = 1", "false"),
            ("delete from t where parent not in (select id from t)", "true"),
            // What another relation holds says nothing of these rows.
            ("delete from t using u where u.id = 1", "false"),
            ("delete from s.t using u where u.id = s.t.id", "true"),
            ("delete from t a using u where u.id = a.id", "true"),
            ("delete from t where exists (select 1 from u where u.id = 1)", "false"),
            ("update t set a = u.a from u where u.id = 1", "false"),
            ("update t set a = u.a from u where u.id = 1 and id = 2", "true"),
            ("merge into t using s on s.a = 1 when matched then delete", "false"),
            // All rows but those of the source.
            (
                "merge into t using s on t.a = s.a when not matched by source then delete",
                "false",
            ),
            (
                "merge into t using s on t.a = s.a when matched then update set a = 1 when not matched by source then update set a = 2",
                "false",
            ),
            (
                "merge into t using s on t.a = s.a when not matched by source and t.a = 1 then delete",
                "true",
            ),
            (
                "merge into t using s on t.a = s.a when not matched by source then do nothing when not matched then insert values (1)",
                "true",
            ),
        ],
        |statement| statement.has_where.to_string(),
    );
}

/// Twice for each that is around it, and this would not end.
#[test]
fn queries_within_queries_are_asked_about_once() {
    let mut condition = "o.id = t.id".to_owned();
    for _ in 0..12 {
        condition = format!("o.id = t.id and exists (select 1 where {condition})");
    }
    assert!(!one(&format!("delete from t using t o where {condition}")).has_where);
}
