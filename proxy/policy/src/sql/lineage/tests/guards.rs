//! Policies for rows: what they look at counts for errors, and for nothing else.

use super::*;

#[test]
fn errors_may_quote_what_policies_for_rows_look_at() {
    let mut policed = table(61, "rows", &["id"]);
    policed.guards = vec![20, 61];
    let mut chained = table(62, "others", &["id"]);
    chained.guards = vec![61, 62];
    let above = view(63, "v_others", &["id"], "SELECT id FROM public.others;");
    let catalog = schema().with(vec![policed, chained, above]);
    for (sql, quoted) in [
        ("select id from rows", "s"),
        ("select count(*) from others", "s"),
        ("select id from v_others", "s"),
        ("insert into rows values (1)", "s"),
        ("copy rows to stdout", "s"),
        ("select id from orders", ""),
    ] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &catalog, &path());
        assert_eq!(letters(&found.guarding), quoted, "{sql}");
        assert_eq!(letters(&found.touched), "", "{sql}");
        assert!(!found.relations.contains(&20), "{sql}");
    }
}

#[test]
fn what_a_policy_looks_at_is_followed_where_the_text_names_it_too() {
    let mut policed = table(61, "rows", &["id"]);
    policed.guards = vec![20, 61];
    let catalog = schema().with(vec![policed]);
    for sql in [
        "select r.id from rows r join v_cust v on r.id = v.id",
        "select r.id from v_cust v join rows r on r.id = v.id",
        "select (select count(*) from v_cust) from rows",
        "with w as (select id from rows) delete from v_cust where id in (select id from w)",
    ] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &catalog, &path());
        assert!(found.relations.contains(&10), "{sql}");
        assert_eq!(letters(&found.touched), "s", "{sql}");
    }
}

#[test]
fn a_policy_may_look_at_a_view_of_its_own_table() {
    let mut policed = table(61, "rows", &["id"]);
    policed.guards = vec![61, 62];
    let above = view(62, "v_rows", &["id"], "SELECT id FROM public.rows;");
    let catalog = schema().with(vec![policed, above]);
    for sql in ["select id from rows", "select id from v_rows"] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &catalog, &path());
        assert!(found.opaque.is_empty() && !found.any, "{sql}: {:?}", found.opaque);
    }
}

#[test]
fn what_is_said_of_all_tables_is_said_of_protected_ones() {
    for (sql, all) in [
        ("vacuum (verbose)", true),
        ("analyze verbose", true),
        ("vacuum (verbose) orders", false),
        ("analyze orders", false),
    ] {
        let script = parse(sql).unwrap();
        let found = lineage(&script.statements[0], &schema(), &path());
        assert_eq!(letters(&found.guarding).contains('s'), all, "{sql}");
        assert_eq!(letters(&found.touched), "", "{sql}");
    }
}
