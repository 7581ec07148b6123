//! Rows as a target sends them, by hand.

use super::*;

fn row(values: &[&str]) -> Row {
    values
        .iter()
        .map(|value| (*value != "-").then(|| (*value).to_owned()))
        .collect()
}

#[test]
fn rows_become_relations_and_types() {
    let results = [
        vec![
            row(&["10", "public", "t", "r", "t", "-", "f", "3 1"]),
            row(&["11", "public", "v", "v", "f", " SELECT 1;"]),
            row(&["12", "public", "u", "r", "f", "-"]),
            row(&["13", "public", "stamped", "r", "t", "-", "f", "-", "19"]),
            row(&["14", "public", "ruled", "r", "t", "-", "t", "-", "19"]),
        ],
        vec![
            row(&["10", "1", "a", "25", "-"]),
            row(&["10", "3", "b", "23", "a + 1"]),
            row(&["10", "4", "c", "20002", "-"]),
        ],
        vec![
            row(&["11", "10", "i", "-"]),
            row(&["11", "10", "f", "ca"]),
            row(&["11", "10", "f", "ca"]),
            row(&["11", "10", "u", "2 3"]),
            row(&["10", "12", "g", "-"]),
            row(&["10", "10", "g", "-"]),
            row(&["10", "12", "g", "-"]),
            row(&["10", "0", "c", "t_pkey"]),
            row(&["10", "0", "c", "t_a_check"]),
            row(&["10", "0", "c", "t_pkey"]),
        ],
        vec![
            row(&["20000", "d", "S", "20001", "0", "-", "d0"]),
            row(&["20001", "d", "S", "25", "0", "-", "d1"]),
            row(&["20002", "b", "A", "0", "20001", "-", "_d1"]),
            row(&["20003", "c", "C", "0", "0", "-", "comp"]),
            row(&["20004", "c", "C", "0", "0", "-", "t", "10"]),
            row(&["20005", "r", "R", "0", "0", "20001", "r1"]),
            row(&["20006", "d", "S", "25", "0", "-", "plain"]),
        ],
        vec![
            row(&["10", "w", "now()", "f", "2604", "31", "7"]),
            row(&["12", "w", "public.h(x)", "t", "2604", "32", "7"]),
            row(&["11", "p", "public.may()", "t", "3256", "33", "7"]),
            row(&["20000", "t", "(VALUE > length('a'))", "f", "2606", "34", "7"]),
            row(&[
                "20001",
                "t",
                "(query_to_xml('select 1', true, true, '') IS NULL)",
                "f",
                "2606",
                "35",
                "7",
            ]),
        ],
        vec![
            row(&["f", "lower", "0"]),
            row(&["o", "+", "0"]),
            row(&["e", "watch", "0"]),
            row(&["F", "upper", "0"]),
            row(&["O", "@", "0"]),
            row(&["c", "lower", "0"]),
            row(&["c", "ts_stat", "0"]),
            row(&["t", "", "23"]),
            row(&["t", "int8", "20"]),
            row(&["t", "", "20003"]),
        ],
    ];
    let read = read(&results, &Expressions::new(), &Snapshot::default()).unwrap();
    assert!(!read.lacking);
    let t = read.relations.iter().find(|relation| relation.oid == 10).unwrap();
    assert!(t.active && t.columns.len() == 3);
    assert_eq!(
        (t.key.as_slice(), t.followers.as_slice()),
        (&[3, 1][..], &[Follower::of(11, "ca")][..])
    );
    let of = |oid| read.relations.iter().find(|relation| relation.oid == oid).unwrap();
    assert_eq!((of(13).active, of(13).fires), (false, Events::UPDATE));
    assert_eq!((of(14).active, of(14).ruled), (true, true));
    let carried = ColumnId {
        relation: 11,
        column: 2,
    };
    assert_eq!(t.carried, [(3, carried)]);
    assert_eq!(t.guards, [10, 12]);
    assert_eq!(t.constraints, ["t_a_check", "t_pkey"]);
    assert_eq!(t.columns[1].generated.as_deref(), Some("a + 1"));
    let v = read.relations.iter().find(|relation| relation.oid == 11).unwrap();
    assert!(v.key.is_empty());
    let u = read.relations.iter().find(|relation| relation.oid == 12).unwrap();
    assert!(u.active && u.computes && !t.computes);
    assert_eq!((v.kind, v.parents.as_slice()), (RelationKind::View, &[10][..]));
    assert_eq!(read.types.get(&20000), Some(&Class::Text));
    assert_eq!(read.types.get(&20002), Some(&Class::Array(20001)));
    assert_eq!(read.types.get(&20003), Some(&Class::Record));
    assert!(v.guarded_by_code && !t.guarded_by_code);
    assert!(read.code.functions.contains("lower") && read.code.operators.contains("+"));
    assert!(read.code.event_triggers.iter().eq(["watch"]));
    assert!(read.code.system_functions.iter().eq(["upper"]) && read.code.system_operators.iter().eq(["@"]));
    assert!(
        read.code.fields.iter().eq(["ts_stat"]),
        "what is vouched for may be called"
    );
    let types: Vec<_> = read.code.types.values().collect();
    assert_eq!(types, ["int8", "d0", "d1", "_d1", "comp", "t", "r1"]);
}

#[test]
fn functions_of_known_extensions_are_vouched_for_unless_users_have_the_operators_in_them() {
    let functions = |operator: &str| {
        let namesakes = vec![
            row(&["k", "replace", "0"]),
            row(&["f", "lower", "0"]),
            row(&["o", operator, "0"]),
        ];
        let results = [vec![], vec![], vec![], vec![], vec![], namesakes];
        let read = read(&results, &Expressions::new(), &Snapshot::default()).unwrap();
        read.code.functions.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(functions("+"), ["lower"]);
    assert_eq!(functions("="), ["lower", "replace"]);
    assert_eq!(functions("||"), ["lower", "replace"]);
}

#[test]
fn what_holds_a_type_with_code_has_the_code() {
    let mut results = vec![
        vec![
            row(&["30", "public", "pair", "c", "f", "-"]),
            row(&["31", "public", "t", "r", "f", "-"]),
            row(&["32", "public", "plain", "c", "f", "-"]),
        ],
        vec![
            row(&["30", "1", "a", "25", "-"]),
            row(&["30", "2", "b", "20000", "-"]),
            row(&["31", "1", "pairs", "20002", "-"]),
            row(&["31", "2", "own", "20004", "-"]),
            row(&["32", "1", "a", "25", "-"]),
        ],
        vec![],
        vec![
            row(&["20000", "d", "S", "25", "0", "-", "checked", "0"]),
            row(&["20001", "c", "C", "0", "0", "-", "pair", "30"]),
            row(&["20002", "b", "A", "0", "20001", "-", "_pair", "0"]),
            row(&["20003", "c", "C", "0", "0", "-", "t", "31"]),
            row(&["20004", "b", "A", "0", "20003", "-", "_t", "0"]),
            row(&["20005", "d", "C", "20001", "0", "-", "over_pair", "0"]),
            row(&["20006", "r", "R", "0", "0", "20000", "checked_range", "0"]),
            row(&["20007", "m", "R", "0", "0", "20000", "checked_multirange", "0"]),
            row(&["20008", "c", "C", "0", "0", "-", "plain", "32"]),
            row(&["20009", "b", "A", "0", "20008", "-", "_plain", "0"]),
        ],
        vec![row(&["20000", "t", "public.h(VALUE)", "t", "2606", "31", "7"])],
        vec![],
    ];
    let noted = |results: &[Vec<Row>]| -> Vec<Oid> {
        read(results, &Expressions::new(), &Snapshot::default())
            .unwrap()
            .code
            .types
            .into_keys()
            .collect()
    };
    assert_eq!(noted(&results), (20_000..=20_007).collect::<Vec<Oid>>());
    results[4].clear();
    assert!(noted(&results).is_empty());
}

#[test]
fn a_cast_of_users_between_types_of_postgresqls_own_counts_for_domains_over_them() {
    let results = [
        vec![],
        vec![],
        vec![],
        vec![
            row(&["20000", "d", "N", "20", "0", "-", "amount", "0"]),
            row(&["20001", "b", "A", "0", "20000", "-", "_amount", "0"]),
            row(&["20002", "d", "N", "23", "0", "-", "count", "0"]),
        ],
        vec![],
        vec![row(&["t", "int8", "20"])],
    ];
    let noted = read(&results, &Expressions::new(), &Snapshot::default())
        .unwrap()
        .code
        .types;
    assert_eq!(noted.into_values().collect::<Vec<_>>(), ["int8", "amount", "_amount"]);
}

#[test]
fn a_cast_to_a_type_with_code_runs_it() {
    let mut results = vec![
        vec![
            row(&["30", "public", "defaulted", "r", "f", "-"]),
            row(&["31", "public", "policed", "r", "f", "-"]),
            row(&["32", "public", "plain", "r", "f", "-"]),
        ],
        vec![],
        vec![],
        vec![
            row(&["20000", "d", "S", "25", "0", "-", "checked", "0"]),
            row(&["20001", "b", "A", "0", "20000", "-", "_checked", "0"]),
            row(&["20002", "d", "S", "25", "0", "-", "trying", "0"]),
            row(&["20003", "d", "S", "25", "0", "-", "plain", "0"]),
        ],
        vec![
            row(&["30", "w", "'a'::public.trying", "f", "2604", "31", "7", "20002"]),
            row(&[
                "31",
                "p",
                "(x = ANY ('{a}'::public.checked[]))",
                "f",
                "3256",
                "32",
                "7",
                "20001",
            ]),
            row(&["32", "w", "'a'::public.plain", "f", "2604", "33", "7", "20003"]),
            row(&[
                "20002",
                "t",
                "((VALUE)::public.checked IS NOT NULL)",
                "f",
                "2606",
                "34",
                "7",
                "20002 20000",
            ]),
            row(&["20003", "t", "(VALUE > 'a'::text)", "f", "2606", "35", "7", "20003"]),
            row(&["20000", "t", "public.h(VALUE)", "t", "2606", "36", "7", "20000"]),
        ],
        vec![],
    ];
    let noted = |results: &[Vec<Row>]| {
        let read = read(results, &Expressions::new(), &Snapshot::default()).unwrap();
        let is = |oid| read.relations.iter().find(|one| one.oid == oid).unwrap();
        let (defaulted, plain) = (is(30), is(32));
        assert!(!plain.active);
        assert_eq!(defaulted.active, defaulted.computes);
        let types: Vec<Oid> = read.code.types.keys().copied().collect();
        (defaulted.active, is(31).guarded_by_code, types)
    };
    assert_eq!(noted(&results), (true, true, vec![20_000, 20_001, 20_002]));
    results[4].pop();
    assert_eq!(noted(&results), (false, false, vec![]));
}

#[test]
fn an_own_expression_casts_to_what_the_shared_catalog_knows() {
    let expressions = vec![
        row(&["30", "w", "'a'::public.checked", "f", "2604", "31", "7", "20000 20009"]),
        row(&[
            "31",
            "p",
            "('a'::public.checked IS NULL)",
            "f",
            "3256",
            "32",
            "7",
            "20000",
        ]),
        row(&["32", "w", "'a'::public.plain", "f", "2604", "33", "7", "20009"]),
        row(&["32", "w", "'a'::text", "f", "2604", "34", "7", "-"]),
    ];
    let relations = vec![
        row(&["30", "pg_temp_3", "defaulted", "r", "f", "-"]),
        row(&["31", "pg_temp_3", "policed", "r", "f", "-"]),
        row(&["32", "pg_temp_3", "plain", "r", "f", "-"]),
    ];
    let nothing = Vec::new;
    let asked = [nothing(), nothing(), nothing(), nothing()].into_iter();
    let more = [relations, nothing(), nothing(), nothing(), expressions, nothing()];
    let own = read_own(&asked.chain(more).collect::<Vec<_>>()).unwrap();
    assert!(own.relations.iter().all(|one| !one.active && !one.guarded_by_code));
    let code = Code {
        types: [(20_000, "checked".to_owned())].into(),
        ..Code::default()
    };
    let mut relations = own.relations;
    for casting in &own.casting {
        casting.note(&mut relations, &code);
    }
    let is = |oid| relations.iter().find(|one| one.oid == oid).unwrap();
    assert!(is(30).active && is(30).computes && !is(30).guarded_by_code);
    assert!(is(31).guarded_by_code && !is(31).active);
    assert!(!is(32).active && !is(32).guarded_by_code);
}

#[test]
fn what_is_locked_is_as_it_was_read_last_or_unknown() {
    let results = |expression: &str, version: &str, definition: &str| {
        [
            vec![
                row(&["10", "public", "t", "r", "f", "-", "f", ""]),
                row(&["11", "public", "v", "v", "f", definition, "f", ""]),
                row(&["12", "pg_catalog", "pg_user", "v", "f", "-", "f", ""]),
            ],
            vec![],
            vec![],
            vec![],
            vec![row(&["10", "w", expression, "f", "2604", "31", version])],
            vec![],
        ]
    };
    let computes = |read: &Read| read.relations.iter().any(|one| one.oid == 10 && one.computes);
    let whole = read(
        &results("now()", "7", "SELECT 1"),
        &Expressions::new(),
        &Snapshot::default(),
    )
    .unwrap();
    assert!(!whole.lacking && !computes(&whole));
    let locked = read(&results("-", "7", "SELECT 1"), &whole.expressions, &Snapshot::default()).unwrap();
    assert!(!locked.lacking && !computes(&locked), "it is the same version");
    let again = read(
        &results("-", "7", "SELECT 1"),
        &locked.expressions,
        &Snapshot::default(),
    )
    .unwrap();
    assert!(!again.lacking, "what was read before stays known");
    let other = read(&results("-", "8", "SELECT 1"), &whole.expressions, &Snapshot::default()).unwrap();
    assert!(other.lacking && computes(&other), "another version may call anything");
    let view = read(&results("now()", "7", "-"), &whole.expressions, &Snapshot::default()).unwrap();
    assert!(view.lacking, "a view without a definition");
    let mut elsewhere = results("now()", "7", "SELECT 1");
    elsewhere[4].push(row(&["99", "w", "-", "f", "2604", "32", "7"]));
    let elsewhere = read(&elsewhere, &Expressions::new(), &Snapshot::default()).unwrap();
    assert!(!elsewhere.lacking, "a relation that is not here");
}

#[test]
fn what_is_left_out_is_as_it_was_read_last_or_nothing_is_read() {
    let results = |columns: &str, definition: &str| {
        let views = [
            row(&["10", "public", "v", "v", "f", "-", "f", "-", "-", columns, definition]),
            row(&["11", "public", "w", "v", "f", "SELECT 2", "f", "-", "-", "f", "f"]),
        ];
        let of_new = row(&["11", "1", "n", "25", "-"]);
        [views.to_vec(), vec![of_new], vec![], vec![], vec![], vec![]]
    };
    let was = Column {
        attnum: 1,
        name: "id".to_owned(),
        type_oid: 23,
        generated: None,
    };
    let last = Snapshot::new(vec![Relation {
        oid: 10,
        columns: vec![was.clone()],
        definition: Some("SELECT 1".to_owned()),
        ..Relation::default()
    }]);
    let read = |columns: &str, definition: &str, last: &Snapshot| {
        read(&results(columns, definition), &Expressions::new(), last)
    };
    let found = |read: &Read, oid| {
        let one = read.relations.iter().find(|one| one.oid == oid).unwrap();
        (one.name.clone(), one.columns.clone(), one.definition.clone())
    };
    let all = read("t", "t", &last).unwrap();
    assert_eq!(
        found(&all, 10),
        ("v".into(), vec![was.clone()], Some("SELECT 1".into()))
    );
    assert_eq!(found(&all, 11).2.as_deref(), Some("SELECT 2"));
    assert!(!all.lacking);
    let other = read("t", "f", &last).unwrap();
    assert!(other.lacking && found(&other, 10) == ("v".into(), vec![was], None));
    assert!(read("t", "t", &Snapshot::default()).is_none(), "nothing was read of it");
    assert!(read("f", "t", &Snapshot::default()).is_none());
}

#[test]
fn answers_that_are_not_a_catalog_are_none() {
    assert!(super::read(&[], &Expressions::new(), &Snapshot::default()).is_none());
    assert!(
        super::read(
            &[
                vec![row(&["x", "", "", "", "", ""])],
                vec![],
                vec![],
                vec![],
                vec![],
                vec![]
            ],
            &Expressions::new(),
            &Snapshot::default()
        )
        .is_none()
    );
}
