//! What rows in FROM are called where nobody gives them a name, and what goes by the name of something else.

use super::*;

#[test]
fn what_is_called_as_its_expression_says_is_not_looked_for_outside() {
    check(&[
        // The name hangs on more than the tree tells.
        (
            "select (select xmlconcat.xmlconcat::text from xmlconcat(xmlelement(name a, c.ssn)) limit 1) \
             from customers c, acct as xmlconcat(xmlconcat, b)",
            "~sn?",
        ),
        (
            "select (select q.q from cast((select * from (select c.ssn as q) z) as text)) \
             from customers c, acct as q(q, b)",
            "~sn?",
        ),
        (
            "select (select json_array.json_array::text from json_array(c.ssn) limit 1) \
             from customers c, acct as json_array(json_array, b)",
            "~sn?",
        ),
        // What stands alone may be the column, or the row of a table outside.
        (
            "select (select c::text from cast((select * from (select 1) z) as text) limit 1) from customers c",
            "~sn",
        ),
        // An alias is certain.
        (
            "select (select c.x::text from xmlconcat(xmlelement(name a, 1)) as c(x) limit 1) from customers c",
            "-",
        ),
    ]);
}

#[test]
fn several_functions_go_by_the_name_of_the_first() {
    check(&[
        (
            "select (select string_to_table.string_to_table \
             from rows from (string_to_table(c.ssn, '-'), generate_series(1, 1)) limit 1) \
             from customers c, acct as string_to_table(string_to_table, b)",
            "~s",
        ),
        (
            "select (select generate_series.a \
             from rows from (string_to_table(c.ssn, '-'), generate_series(1, 1)) limit 1) \
             from customers c, acct as generate_series(a, b)",
            "-",
        ),
    ]);
}

#[test]
fn a_field_of_a_composite_type_may_be_called_as_a_system_column_is() {
    let made = "jsonb_populate_record(null::pair, jsonb_build_object('ctid', c.ssn))";
    check(&[
        (&format!("select ctid from customers c join {made} on true"), "~s"),
        (&format!("select ctid from customers c join {made} as p on true"), "~s"),
        (&format!("select c.ctid from customers c join {made} on true"), "-"),
        ("select ctid from customers c, acct a", "-"),
    ]);
}
