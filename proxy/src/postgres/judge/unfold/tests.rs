use sallyport_policy::catalog::{Column, ColumnId, Relation, Snapshot};
use sallyport_policy::mask::{ProtectedColumns, RuleSet};
use sallyport_policy::sql::{lineage, parse};

use super::super::hazard::tests::understood_by;
use super::*;

/// A catalog with a protected column, a table that has none, and a view.
pub fn known() -> Known {
    let relation = |oid, name: &str| Relation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: vec![Column {
            attnum: 1,
            name: "ssn".to_owned(),
            type_oid: 25,
            generated: None,
        }],
        ..Relation::default()
    };
    let view = Relation {
        definition: Some("SELECT ssn FROM public.customers;".to_owned()),
        ..relation(20_002, "v_cust")
    };
    let snapshot = Snapshot::new(vec![relation(20_000, "customers"), relation(20_001, "notes"), view]);
    let mut protected = ProtectedColumns::default();
    let ssn = ColumnId {
        relation: 20_000,
        column: 1,
    };
    protected.add(ssn, &RuleSet::one(0));
    Known {
        snapshot: Arc::new(snapshot),
        protected: Arc::new(protected),
        ..Known::default()
    }
}

#[test]
fn a_name_is_taken_from_what_tells_only_by_what_is_made_anew() {
    let (known, path) = (known(), SearchPath::effective(vec!["public".to_owned()], None));
    for (sql, taken) in [
        ("create temp table customers (ssn text)", true),
        ("create temp table customers (like notes)", true),
        ("create temp table if not exists customers (ssn text)", true),
        ("create table other.customers as select 1 as ssn", true),
        ("create temp table v_cust (ssn text)", true),
        ("create or replace view v_cust as select 'a' as ssn", true),
        ("create table if not exists customers (ssn text)", false),
        ("create table if not exists customers as select 'a' as ssn", false),
        ("create temp table notes (ssn text)", false),
        ("create temp table t (ssn text)", false),
    ] {
        let script = parse(sql).unwrap();
        let made = lineage(&script.statements[0], &*known.snapshot, &path).created.unwrap();
        assert_eq!(shadows(&made, &known, Some(&path)), taken, "{sql}");
    }
}

#[test]
fn only_what_waits_for_nobody_leaves_what_stands_behind_it_as_it_was() {
    for (sql, at_once) in [
        ("begin", true),
        ("set app.x = 'a'", true),
        ("begin isolation level serializable", false),
        ("savepoint s", false),
        ("set search_path = evil", false),
        ("select 1", false),
        ("insert into notes values ('a')", false),
        ("commit", false),
    ] {
        assert_eq!(is_at_once(&understood_by(sql, known())), at_once, "{sql}");
    }
}

#[test]
fn what_a_unit_makes_holds_its_own_values_unless_something_else_is_put_there() {
    for (sql, own) in [
        ("create table t (id serial, x text)", true),
        ("create table t (like notes)", true),
        ("insert into notes values ('a')", true),
        ("create table t as select ssn from notes", false),
        ("create view t as select ssn from notes", false),
        ("create materialized view t as select ssn from notes", false),
        ("insert into notes select ssn from customers", false),
        ("insert into notes values ((select ssn from customers))", false),
        ("with d as (delete from notes) insert into notes values ('a')", false),
        (
            "create rule r as on select to notes do instead select ssn from customers",
            false,
        ),
        ("alter table notes attach partition customers default", false),
        ("update notes set ssn = 'a'", false),
    ] {
        let understood = understood_by(sql, known());
        assert_eq!(makes_empty(&understood) || inserts_own(&understood), own, "{sql}");
    }
}

#[test]
fn what_seems_to_be_made_where_something_is_may_be_made_elsewhere() {
    let (known, path) = (known(), SearchPath::effective(vec!["public".to_owned()], None));
    for (sql, found) in [
        ("create table customers (ssn text)", true),
        ("create table notes as select 'a' as ssn", true),
        ("create or replace view customers as select 'a' as ssn", true),
        ("create table public.customers (ssn text)", false),
        ("create temp table customers (ssn text)", false),
        ("create table if not exists customers (ssn text)", false),
        ("create table t (ssn text)", false),
    ] {
        let script = parse(sql).unwrap();
        let made = lineage(&script.statements[0], &*known.snapshot, &path).created.unwrap();
        assert_eq!(beside(&made, &known, Some(&path)).is_some(), found, "{sql}");
    }
}

#[test]
fn what_is_made_where_another_was_may_have_other_columns() {
    let (known, path) = (known(), SearchPath::effective(vec!["public".to_owned()], None));
    for (sql, gone, another) in [
        ("create table notes (like customers)", "notes", true),
        ("create table notes (x text)", "notes", false),
        ("create table notes as select 'a' as x", "notes", false),
        ("create table if not exists notes as select 'a' as x", "notes", true),
        ("create table if not exists notes (x text)", "notes", true),
        ("create table if not exists notes (x text)", "public", true),
        ("create table if not exists notes (x text)", "t", false),
        ("create table if not exists t (x text)", "t", false),
    ] {
        let script = parse(sql).unwrap();
        let made = lineage(&script.statements[0], &*known.snapshot, &path).created.unwrap();
        let before = Unfolding {
            hazards: [Hazard::Gone].into(),
            gone: [gone.to_owned()].into(),
            ..Unfolding::default()
        };
        assert_eq!(before.may_replace(&made, &known, Some(&path), true), another, "{sql}");
        assert!(!made.if_absent || !Unfolding::default().may_replace(&made, &known, Some(&path), true));
    }
}
