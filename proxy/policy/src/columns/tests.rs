use super::*;

fn id(relation: Oid, column: AttNum) -> ColumnId {
    ColumnId { relation, column }
}

fn matched(generation: i64, ids: &[ColumnId]) -> Columns {
    let mut columns = Columns {
        generation,
        ..Columns::default()
    };
    ids.iter().for_each(|id| columns.note_matched(*id));
    columns
}

fn copied(id: ColumnId) -> Columns {
    let mut columns = Columns::default();
    columns.note_copied(id);
    columns
}

fn named(schema: &str, relation: &str, column: Option<&str>) -> Named {
    Named {
        schema: schema.into(),
        relation: relation.into(),
        column: column.map(str::to_owned),
    }
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

fn trusted(key: &Ed25519KeyPair) -> Vec<Vec<u8>> {
    use aws_lc_rs::signature::KeyPair;
    vec![key.public_key().as_ref().to_vec()]
}

#[test]
fn what_names_matched_ends_with_its_generation_and_copies_stay() {
    let mut kept = Kept::new("u");
    assert!(kept.merge("db:5432", "bank", 3, &matched(3, &[id(10, 2)])));
    assert!(kept.merge("db:5432", "bank", 3, &copied(id(20, 1))));
    assert!(!kept.merge("db:5432", "bank", 3, &matched(3, &[id(10, 2)])), "known");
    let (_, columns) = kept.at("db:5432").next().unwrap();
    assert_eq!(columns.numbers(3).collect::<Vec<_>>(), [id(10, 2), id(20, 1)]);
    assert_eq!(columns.numbers(4).collect::<Vec<_>>(), [id(20, 1)]);

    assert!(kept.merge("db:5432", "bank", 4, &matched(4, &[id(11, 5)])));
    let (_, columns) = kept.at("db:5432").next().unwrap();
    assert_eq!(columns.numbers(4).collect::<Vec<_>>(), [id(11, 5), id(20, 1)]);
    assert_eq!(kept.at("other:5432").count(), 0);
}

#[test]
fn an_earlier_generation_takes_nothing_away_and_adds_nothing() {
    let mut columns = matched(4, &[id(10, 2)]);
    columns.merge(&matched(3, &[id(11, 1)]));
    assert_eq!(columns, matched(4, &[id(10, 2)]));
    assert!(!columns.covers(&matched(3, &[id(10, 2)])));
}

#[test]
fn a_copy_takes_no_match_away_whatever_generation_it_states() {
    for generation in [0, 2, 3, 4, i64::MAX] {
        let mut kept = Kept::new("u");
        kept.merge("db:5432", "bank", 3, &matched(3, &[id(10, 2)]));
        let more = Columns {
            generation,
            ..copied(id(20, 1))
        };
        assert!(kept.merge("db:5432", "bank", 3, &more));
        let (_, columns) = kept.at("db:5432").next().unwrap();
        let held: Vec<_> = columns.numbers(3).collect();
        assert_eq!(held, [id(10, 2), id(20, 1)], "{generation}");
    }
}

#[test]
fn keys_of_tables_end_with_the_generation_that_masks_them() {
    let mut told = matched(3, &[]);
    told.keys.insert(named("public", "customers", Some("id")));
    let mut columns = copied(id(20, 1));
    assert!(!told.is_empty() && !columns.covers(&told));
    columns.merge(&told);
    assert!(columns.covers(&told) && columns.keys_under(3).eq(&told.keys));
    assert_eq!(columns.keys_under(4).count(), 0);
    assert_eq!(columns.under(4).keys_under(4).count(), 0);
    columns.merge(&matched(4, &[id(10, 2)]));
    assert!(columns.keys.is_empty() && !columns.covers(&told));
    columns.merge(&told);
    assert!(columns.keys.is_empty(), "an earlier generation adds nothing");
}

#[test]
fn a_copy_that_is_matched_too_is_news() {
    let columns = matched(1, &[id(10, 2)]);
    assert!(!columns.covers(&copied(id(10, 2))), "it outlives the generation");
}

#[test]
fn names_fit_their_schema_and_column() {
    let relation = Relation {
        oid: 7,
        schema: "pg_temp_3".into(),
        name: "x".into(),
        columns: vec![crate::catalog::Column {
            attnum: 1,
            name: "ssn".into(),
            type_oid: 25,
            generated: None,
        }],
        ..Relation::default()
    };
    for (name, fits) in [
        (named(ANY, "x", None), true),
        (named(TEMPORARY, "x", Some("ssn")), true),
        (named("pg_temp_3", "x", Some("ssn")), true),
        (named("public", "x", None), false),
        (named(ANY, "y", None), false),
        (named(ANY, "x", Some("id")), false),
    ] {
        assert_eq!(name.columns(&relation).count() == 1, fits, "{name:?}");
    }
}

#[test]
fn a_list_is_believed_for_its_own_rule_under_its_own_key_only() {
    let key = key();
    let mut kept = Kept::new("u");
    kept.merge("db:5432", "bank", 1, &matched(1, &[id(10, 2)]));
    let bytes = kept.sign(&key).unwrap();
    assert_eq!(Kept::verify(&bytes, "u", &trusted(&key)), Ok(kept));
    assert_eq!(Kept::verify(&bytes, "v", &trusted(&key)), Err(CarrierError::Unreadable));
    let other = Ed25519KeyPair::generate().unwrap();
    assert_eq!(
        Kept::verify(&bytes, "u", &trusted(&other)),
        Err(CarrierError::Signature)
    );
    assert_eq!(
        crate::carrier::verify(&bytes, &trusted(&key)),
        Err(CarrierError::Signature),
        "a list is no carrier"
    );
}

#[test]
fn a_list_that_is_too_long_is_not_signed() {
    let mut kept = Kept::new("u");
    let columns = Columns {
        named: (0..2_000)
            .map(|n| named("public", &format!("{n:063}"), Some(&format!("{n:063}"))))
            .collect(),
        ..Columns::default()
    };
    kept.merge("db:5432", "bank", 1, &columns);
    assert_eq!(kept.sign(&key()), Err(CarrierError::TooLarge));
}
