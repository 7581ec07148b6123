//! Triggers: what a statement fires, and what rows that follow others do.

use super::*;
use crate::catalog::{Events, Follower};

#[test]
fn triggers_run_where_rows_follow_others_and_where_tables_are_emptied() {
    let mut baskets = table(70, "baskets", &["id"]);
    let mut items = table(71, "items", &["id", "basket"]);
    let mut noted = table(73, "item_notes_1", &["id", "item"]);
    // CASCADE, whatever happens.
    baskets.followers = vec![Follower::of(71, "cc")];
    items.followers = vec![Follower::of(72, "cc")];
    (noted.parents, noted.active) = (vec![72], true);
    let notes = table(72, "item_notes", &["id", "item"]);
    let catalog = schema().with(vec![baskets, items, notes, noted]);
    let of = |sql: &str| lineage(&parse(sql).unwrap().statements[0], &catalog, &path()).opaque;
    let behind: &[&str] = &["triggers of public.item_notes_1"];
    let cases: [(&str, &[&str]); 9] = [
        ("delete from baskets", behind),
        ("update baskets set id = 2", behind),
        (
            "insert into baskets values (1) on conflict (id) do update set id = 2",
            behind,
        ),
        (
            "merge into baskets b using acct a on a.id = b.id when matched then delete",
            behind,
        ),
        ("with gone as (delete from items returning id) select 1", behind),
        ("insert into baskets values (1)", &[]),
        ("truncate baskets", &[]),
        (
            "truncate baskets cascade",
            &["triggers of what TRUNCATE CASCADE empties"],
        ),
        ("truncate notes, audited", &["triggers of public.audited"]),
    ];
    for (sql, opaque) in cases {
        assert_eq!(of(sql), opaque, "{sql}");
    }
}

#[test]
fn rules_stand_in_the_place_of_what_follows() {
    let led = |oid, name, follower, actions| Relation {
        followers: vec![Follower::of(follower, actions)],
        ..table(oid, name, &["id"])
    };
    let mut ruled = table(72, "ruled", &["id"]);
    (ruled.active, ruled.ruled) = (true, true);
    let catalog = schema().with(vec![
        led(70, "baskets", 72, "cc"),
        led(71, "shops", 70, "cc"),
        led(73, "others", 72, "aa"),
        ruled,
    ]);
    let of = |sql: &str| lineage(&parse(sql).unwrap().statements[0], &catalog, &path()).opaque;
    let behind: &[&str] = &["rules of public.ruled"];
    let cases: [(&str, &[&str]); 6] = [
        ("delete from baskets", behind),
        ("update baskets set id = 2", behind),
        ("delete from shops", behind),
        (
            "insert into baskets values (1) on conflict (id) do update set id = 2",
            behind,
        ),
        ("insert into baskets values (1)", &[]),
        ("delete from others", &[]),
    ];
    for (sql, opaque) in cases {
        assert_eq!(of(sql), opaque, "{sql}");
    }
}

#[test]
fn triggers_run_at_what_they_fire_on() {
    let mut stamped = table(80, "stamped", &["id"]);
    stamped.fires = Events::UPDATE;
    let mut part = table(82, "parted_1", &["id"]);
    (part.parents, part.fires) = (vec![81], Events::INSERT);
    let mut parted = table(81, "parted", &["id"]);
    parted.kind = RelationKind::PartitionedTable;
    let written = view(83, "v_stamped", &["id"], "SELECT id FROM public.stamped;");
    let mut logged = table(84, "logged", &["id"]);
    logged.fires = Events::TRUNCATE;
    // Rows of one are deleted, those of the other updated.
    let mut owners = table(85, "owners", &["id"]);
    owners.followers = vec![Follower::of(80, "ca"), Follower::of(82, "ar")];
    let mut lenders = table(86, "lenders", &["id"]);
    lenders.followers = vec![Follower::of(80, "na")];
    let mut banks = table(87, "banks", &["id"]);
    banks.followers = vec![Follower::of(86, "ca")];
    let catalog = schema().with(vec![stamped, part, parted, written, logged, owners, lenders, banks]);
    for (sql, runs) in [
        ("insert into stamped values (1)", None),
        ("insert into stamped values (1) on conflict do nothing", None),
        (
            "insert into stamped values (1) on conflict (id) do update set id = 2",
            Some("stamped"),
        ),
        ("delete from stamped", None),
        ("update stamped set id = 2", Some("stamped")),
        (
            "merge into stamped using acct a on a.id = stamped.id when matched then delete",
            Some("stamped"),
        ),
        (
            "with added as (insert into stamped values (1) returning id) select id from added",
            None,
        ),
        ("copy stamped from stdin", None),
        ("truncate stamped", None),
        ("truncate logged", Some("logged")),
        ("insert into logged values (1)", None),
        ("insert into v_stamped values (1)", None),
        ("update v_stamped set id = 2", Some("v_stamped")),
        ("copy parted from stdin", Some("parted")),
        ("delete from parted", None),
        // It may come to another partition.
        ("update parted set id = 2", Some("parted")),
        ("update parted_1 set id = 2", None),
        ("delete from owners", None),
        ("update owners set id = 2", None),
        ("delete from lenders", Some("stamped")),
        ("update lenders set id = 2", None),
        ("delete from banks", Some("stamped")),
        ("insert into banks values (1)", None),
    ] {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        let expected: Vec<String> = runs.iter().map(|name| format!("triggers of public.{name}")).collect();
        assert_eq!(found.opaque, expected, "{sql}");
        let clean = found.outputs.iter().flatten().all(|output| !output.flow.unknown);
        assert!(runs.is_some() || clean, "{sql}");
    }
}

#[test]
fn errors_may_quote_rows_that_follow_others() {
    let mut banks = table(87, "banks", &["id"]);
    banks.followers = vec![Follower::of(86, "ca")];
    let mut branches = table(86, "branches", &["id"]);
    branches.followers = vec![Follower::of(10, "nc")];
    let catalog = schema().with(vec![banks, branches]);
    for (sql, quoted) in [
        ("update branches set id = 2", "sn"),
        ("delete from branches", "sn"),
        (
            "insert into branches values (1) on conflict (id) do update set id = 2",
            "sn",
        ),
        (
            "with gone as (delete from banks returning id) select id from gone",
            "sn",
        ),
        ("update banks set id = 2", ""),
        ("insert into branches values (1)", ""),
        ("select id from branches", ""),
    ] {
        let found = lineage(&parse(sql).unwrap().statements[0], &catalog, &path());
        assert_eq!(letters(&found.guarding), quoted, "{sql}");
        assert_eq!(letters(&found.touched), "", "{sql}");
        assert!(!found.relations.contains(&10), "{sql}");
    }
}
