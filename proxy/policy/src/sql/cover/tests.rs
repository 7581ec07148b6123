use super::*;
use crate::catalog::{Column, ColumnId, Relation, RelationKind, SearchPath, Snapshot};
use crate::mask::RuleSet;
use crate::sql::{lineage, parse};

fn relation(oid: u32, name: &str, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(name, attnum)| Column {
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

/// How a statement is shown where `customers.name` and `customers.ssn` are protected, and which parameters are hidden.
fn shown(text: &str) -> (String, Vec<usize>) {
    let mut view = relation(12, "people", &["n", "id"]);
    view.kind = RelationKind::View;
    view.definition = Some("SELECT customers.name AS n, customers.id FROM public.customers".into());
    let catalog = Snapshot::new(vec![
        relation(10, "customers", &["id", "name", "ssn", "kind"]),
        relation(11, "orders", &["id", "customer", "note"]),
        view,
    ]);
    let mut protected = ProtectedColumns::default();
    for column in [2, 3] {
        protected.add(ColumnId { relation: 10, column }, &RuleSet::one(0));
    }
    let path = SearchPath::effective(vec!["public".into()], None);
    let script = parse(text).unwrap();
    let statements: Vec<&Statement> = script.readings().flatten().collect();
    let lineages: Vec<Lineage> = statements.iter().map(|one| lineage(one, &catalog, &path)).collect();
    let cover = Cover::of(&statements, text, &lineages, &catalog, &protected, false);
    let shown = cover.text().map_or_else(|| text.to_owned(), ToString::to_string);
    (shown, (1..=9).filter(|number| cover.hides(*number)).collect())
}

#[test]
fn what_goes_with_a_protected_column_is_hidden_and_the_rest_is_shown() {
    let table = [
        (
            "select 1 from customers where name = 'Grace'",
            "select 1 from customers where name = '?'",
        ),
        (
            "select 1 from customers where id = 7 and name like 'G%'",
            "select 1 from customers where id = 7 and name like '?'",
        ),
        (
            "delete from customers where id = 7",
            "delete from customers where id = 7",
        ),
        (
            "with recursive w(n) as (select 1 union select n from w) cycle n set y to '123' default '9' using p select 1 from w join customers c on c.ssn = w.y",
            "with recursive w(n) as (select ? union select n from w) cycle n set y to '?' default '?' using p select 1 from w join customers c on c.ssn = w.y",
        ),
        (
            "select id from orders where note = 'Grace'",
            "select id from orders where note = 'Grace'",
        ),
        (
            "select id from customers c where c.ssn in ('1', '2') or kind = 'x'",
            "select id from customers c where c.ssn in ('?', '?') or kind = 'x'",
        ),
        (
            "select id from customers where lower(name) = lower('G') limit 5",
            "select id from customers where lower(name) = lower('?') limit 5",
        ),
        (
            "select id from customers where ssn::int between 10 and -20",
            "select id from customers where ssn::int between ? and ?",
        ),
        (
            "select id from customers where (id, name) = (7, 'G')",
            "select id from customers where (id, name) = (?, '?')",
        ),
        (
            "select case when name = E'G\\'' then 'a' end from customers",
            "select case when name = E'?' then '?' end from customers",
        ),
        (
            "select 'x', name from customers order by id",
            "select 'x', name from customers order by id",
        ),
        (
            "update customers set name = 'G', kind = 'k' where id = 7",
            "update customers set name = '?', kind = 'k' where id = 7",
        ),
        (
            "update customers set (name, kind) = ('G', 'k') where id = 7",
            "update customers set (name, kind) = ('?', '?') where id = 7",
        ),
        (
            "insert into customers (id, name) values (7, 'G'), (8, 'H')",
            "insert into customers (id, name) values (7, '?'), (8, '?')",
        ),
        (
            "insert into customers values (7, 'G', '1', 'k')",
            "insert into customers values (7, '?', '?', 'k')",
        ),
        (
            "insert into customers (id, name) select 7, 'G'",
            "insert into customers (id, name) select 7, '?'",
        ),
        (
            "insert into customers (id, kind) values (7, 'k') on conflict (id) do update set name = 'G'",
            "insert into customers (id, kind) values (7, 'k') on conflict (id) do update set name = '?'",
        ),
        (
            "select 1 from people where n = 'G' and id = 7",
            "select 1 from people where n = '?' and id = ?",
        ),
        (
            "select 1 from (select name as kind from customers) s where kind = 'G'",
            "select 1 from (select name as kind from customers) s where kind = '?'",
        ),
        (
            "select 1 from customers join (values ('G')) v(n) on n = name",
            "select 1 from customers join (values ('?')) v(n) on n = name",
        ),
        (
            "with v(n) as (select 'G') select 1 from customers, v where n = name",
            "with v(n) as (select '?') select 1 from customers, v where n = name",
        ),
        (
            "select name from customers intersect select 'G'",
            "select name from customers intersect select '?'",
        ),
        (
            "select 1 from customers where name in (select 'G')",
            "select 1 from customers where name in (select '?')",
        ),
        (
            "select 1 from orders where 'G' = (select name from customers where id = 7)",
            "select 1 from orders where '?' = (select name from customers where id = ?)",
        ),
        (
            "select 1 from orders where customer in (select id from customers where name = 'G')",
            "select 1 from orders where customer in (select id from customers where name = '?')",
        ),
        (
            "select 1 from customers c where c = row(1, 'G', '2', 'k')::customers",
            "select 1 from customers c where c = row(?, '?', '?', '?')::customers",
        ),
        (
            "merge into customers using orders o on customers.id = o.id when matched then update set name = 'G'",
            "merge into customers using orders o on customers.id = o.id when matched then update set name = '?'",
        ),
        (
            "update orders set note = s.note from (select name as note from customers) s where s.note = 'G'",
            "update orders set note = s.note from (select name as note from customers) s where s.note = '?'",
        ),
        (
            "insert into customers (id, name) select o.*, 'G' from orders o",
            "insert into customers (id, name) select o.*, '?' from orders o",
        ),
        (
            "explain delete from customers where ssn = '1'",
            "explain delete from customers where ssn = '?'",
        ),
        (
            "select 1 from customers where name = 'a\\b'",
            "select ? from customers where name = '?'",
        ),
        (
            "alter table customers alter name set default 'G'",
            "alter table customers alter name set default '?'",
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(shown(text).0, wanted.replace('?', HIDDEN), "{text}");
    }
}

#[test]
fn parameters_are_hidden_by_the_same_rule() {
    assert_eq!(shown("delete from customers where id = $1 and name = $2").1, [2]);
    assert_eq!(shown("insert into customers (id, name) values ($1, $2)").1, [2]);
    assert_eq!(shown("select 1 from orders where note = $1").1, Vec::<usize>::new());
}
