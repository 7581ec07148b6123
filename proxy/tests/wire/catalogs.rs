//! What a catalog holds, and when it can be asked, keeps nobody from their work.

use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};

fn door() -> TestDoor {
    let columns = json!({"match": {"columns": ["public.secrets.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    door.direct("insert into secrets values (1, '536-90-4399', 'p')");
    door
}

#[test]
fn a_table_with_as_many_columns_as_there_may_be_shuts_nobody_out() {
    let door = door();
    let columns: Vec<String> = (0..1600)
        .map(|n| format!("c{n} int default {n} check (c{n} >= 0)"))
        .collect();
    door.direct(&format!("create table wide ({})", columns.join(", ")));
    let printed = door.psql(
        "alice",
        &[
            "select count(*) from t",
            "insert into wide (c7) values (1) returning c1599",
        ],
    );
    assert_eq!((printed.code, printed.out.contains("1599")), (0, true), "{printed:?}");
}
