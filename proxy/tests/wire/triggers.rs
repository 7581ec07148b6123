//! Writes to tables with triggers, where nothing may run that cannot be seen into.

use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};

const SCHEMA: &str = "CREATE TABLE customers (id int PRIMARY KEY, ssn text);
    CREATE TABLE orders (id int, customer int REFERENCES customers ON DELETE CASCADE, at timestamptz);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$begin new.at := now(); return new; end$$;
    CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();";

#[test]
fn strict_lets_run_what_no_trigger_fires_on() {
    let hidden = json!({"match": {"columns": ["public.customers.ssn"]}, "profile": "Strict"});
    let door = TestDoor::new(&Given::open().mask("columns", hidden), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut said = |sql: &str, expected: &str| assert_eq!(tags(&client.query(sql)), expected, "{sql}");
    said("insert into customers (id) values (1)", "CZ");
    said("insert into orders values (1, 1)", "CZ");
    said("update customers set id = 1", "CZ");
    said("update orders set id = 2", "EZ");
    said("delete from customers", "CZ");
    assert_eq!(door.direct("select count(*) from orders"), "0", "rows follow");

    door.direct("CREATE TRIGGER gone AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION stamp()");
    said("delete from customers", "EZ");
    said("insert into orders values (1, null)", "CZ");
    door.direct("CREATE OR REPLACE TRIGGER gone AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp()");
    said("delete from customers", "CZ");
    said("insert into orders values (1, null)", "EZ");
}
