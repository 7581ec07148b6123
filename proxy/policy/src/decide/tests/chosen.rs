//! Whether a change chooses its rows hangs on whose column a name is, which the catalog tells.

use super::*;
use crate::catalog::{Column, Relation, SearchPath, Snapshot};
use crate::mask::ProtectedColumns;
use crate::sql::lineage;

fn table(oid: u32, name: &str, columns: &[&str]) -> Relation {
    let columns = (1_i16..).zip(columns).map(|(attnum, name)| Column {
        attnum,
        name: (*name).to_owned(),
        type_oid: 25,
        generated: None,
    });
    Relation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: columns.collect(),
        key: vec![1],
        ..Relation::default()
    }
}

fn chooses(sql: &str) -> bool {
    let catalog = Snapshot::new(vec![
        table(20_001, "t", &["id", "a", "tid"]),
        table(20_002, "u", &["id", "v"]),
    ]);
    let script = parse(sql).unwrap();
    let statement = &script.statements[0];
    let path = SearchPath::effective(vec!["public".to_owned()], None);
    let mut command = Command::of(statement, sql);
    let lineage = lineage(statement, &catalog, &path);
    command.resolve(statement, &lineage, &catalog, &path, &ProtectedColumns::default());
    command.has_where
}

#[test]
fn a_name_alone_counts_as_a_column_of_the_relation_that_has_it() {
    for (sql, expected) in [
        ("delete from t using (select 1 k) s where k = 1", false),
        ("with s as (select 1 k) delete from t using s where k = 1", false),
        (
            "with u as (select 1 tid) delete from t where exists (select 1 from u where tid = 1)",
            false,
        ),
        ("delete from t using generate_series(1, 1) k where k = 1", false),
        ("delete from t using u where v = 'x'", false),
        ("delete from t using u where v = 'x' and a = 'y'", true),
        ("delete from t using u where v = tid", true),
        ("delete from t where exists (select 1 from u where v = 'x')", false),
        ("delete from t where exists (select 1 from u where v = tid)", true),
        ("delete from t where exists (select 1 from u where id = 'x')", false),
        ("delete from t where (select true from u where v = 'x')", false),
        ("update t set a = 'x' from (values (1)) s (k) where k = 1", false),
        (
            "merge into t using (select 1 k) s on k = 1 when matched then delete",
            false,
        ),
        (
            "merge into t using (select 1 k) s on k = a when matched then delete",
            true,
        ),
        (
            "with s as (select id from t) delete from t using s where s.id = t.id",
            false,
        ),
        (
            "with s as (select id from t where a = 'x') delete from t using s where s.id = t.id",
            true,
        ),
        ("delete from t where id in (select id)", false),
        ("explain analyze delete from t using u where v = 'x'", false),
        ("delete from t where t is not null", false),
        ("delete from t where id is not null", false),
        ("delete from t where a is not null", true),
        ("delete from t where id = 'x'", true),
        ("delete from strange where id = 'x'", true),
        ("delete from strange using u where id = 'x'", false),
        ("delete from strange using u where strange.id = 'x'", true),
    ] {
        assert_eq!(chooses(sql), expected, "{sql}");
    }
}
