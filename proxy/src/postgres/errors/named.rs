//! Errors in PostgreSQL's own words around names that the client's own statement gives.

use std::collections::BTreeSet;

use sallyport_policy::catalog::Snapshot;

/// What PostgreSQL says of what is defined, with a name or a type where `%` stands. What it says of stored values, and what it
/// says where a value is cast to the name of something, is not among it.
const NAMED: [(&str, &str); 59] = [
    ("23502", "column \"%\" of relation \"%\" contains null values"),
    ("26000", "prepared statement \"%\" does not exist"),
    (
        "2BP01",
        "cannot drop column % of table % because other objects depend on it",
    ),
    (
        "2BP01",
        "cannot drop constraint % on table % because other objects depend on it",
    ),
    ("2BP01", "cannot drop index % because other objects depend on it"),
    (
        "2BP01",
        "cannot drop materialized view % because other objects depend on it",
    ),
    ("2BP01", "cannot drop schema % because other objects depend on it"),
    ("2BP01", "cannot drop sequence % because other objects depend on it"),
    ("2BP01", "cannot drop table % because other objects depend on it"),
    ("2BP01", "cannot drop type % because other objects depend on it"),
    ("2BP01", "cannot drop view % because other objects depend on it"),
    ("34000", "cursor \"%\" does not exist"),
    ("3F000", "schema \"%\" does not exist"),
    ("42501", "must be owner of materialized view %"),
    ("42501", "must be owner of sequence %"),
    ("42501", "must be owner of table %"),
    ("42501", "must be owner of view %"),
    ("42501", "permission denied for schema %"),
    ("42501", "permission denied for sequence %"),
    ("42501", "permission denied for table %"),
    ("42501", "permission denied for view %"),
    ("42601", "multiple assignments to same column \"%\""),
    ("42701", "column \"%\" of relation \"%\" already exists"),
    ("42701", "column \"%\" specified more than once"),
    ("42703", "column \"%\" does not exist"),
    ("42703", "column \"%\" named in key does not exist"),
    ("42703", "column \"%\" of relation \"%\" does not exist"),
    (
        "42703",
        "column \"%\" referenced in foreign key constraint does not exist",
    ),
    ("42704", "constraint \"%\" of relation \"%\" does not exist"),
    ("42704", "index \"%\" does not exist"),
    ("42704", "role \"%\" does not exist"),
    ("42704", "tablesample method % does not exist"),
    ("42704", "there is no previously clustered index for table \"%\""),
    ("42704", "trigger \"%\" for table \"%\" does not exist"),
    ("42710", "constraint \"%\" for relation \"%\" already exists"),
    ("42710", "trigger \"%\" for relation \"%\" already exists"),
    ("42804", "EXCEPT types % and % cannot be matched"),
    ("42804", "INTERSECT types % and % cannot be matched"),
    ("42804", "UNION types % and % cannot be matched"),
    ("42804", "argument of HAVING must be type boolean, not type %"),
    ("42804", "argument of JOIN/ON must be type boolean, not type %"),
    ("42804", "argument of LIMIT must be type bigint, not type %"),
    ("42804", "argument of OFFSET must be type bigint, not type %"),
    ("42804", "argument of WHERE must be type boolean, not type %"),
    ("42804", "column \"%\" cannot be cast automatically to type %"),
    ("42804", "column \"%\" is of type % but expression is of type %"),
    (
        "42804",
        "default for column \"%\" cannot be cast automatically to type %",
    ),
    (
        "42830",
        "there is no unique constraint matching given keys for referenced table \"%\"",
    ),
    ("42P01", "invalid reference to FROM-clause entry for table \"%\""),
    ("42P01", "relation \"%\" does not exist"),
    ("42P01", "table \"%\" does not exist"),
    ("42P01", "view \"%\" does not exist"),
    ("42P03", "cursor \"%\" already exists"),
    ("42P05", "prepared statement \"%\" already exists"),
    ("42P06", "schema \"%\" already exists"),
    ("42P07", "relation \"%\" already exists"),
    ("42P16", "multiple primary keys for table \"%\" are not allowed"),
    ("42P20", "window \"%\" is already defined"),
    ("55000", "cannot refresh materialized view \"%\" concurrently"),
];

/// What PostgreSQL calls its own types that have another name in a tree.
const TYPES: [&str; 14] = [
    "bigint",
    "boolean",
    "character",
    "character varying",
    "double precision",
    "integer",
    "numeric",
    "real",
    "smallint",
    "text",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
];

/// What PostgreSQL suggests in the same words whatever is stored.
const HINTS: [&str; 6] = [
    "Create a unique index with no WHERE clause on one or more columns of the materialized view.",
    "No function matches the given name and argument types. You might need to add explicit type casts.",
    "No operator matches the given name and argument type. You might need to add an explicit type cast.",
    "No operator matches the given name and argument types. You might need to add explicit type casts.",
    "Use DROP ... CASCADE to drop the dependent objects too.",
    "You will need to rewrite or cast the expression.",
];

/// What PostgreSQL suggests where a name is misspelt, with names where `%` stands.
const SUGGESTIONS: [(&str, &str); 3] = [
    ("42703", "Perhaps you meant to reference the column \"%.%\"."),
    (
        "42703",
        "Perhaps you meant to reference the column \"%.%\" or the column \"%.%\".",
    ),
    ("42P01", "Perhaps you meant to reference the table alias \"%\"."),
];

/// How PostgreSQL begins to say which length a column has that a value is too long for.
const TOO_LONG: [&str; 2] = [
    "value too long for type character varying(",
    "value too long for type character(",
];

/// Whether a message is PostgreSQL's own for its SQLSTATE around `names`, those of the client's own statement, and their schemas.
pub(super) fn is_named(state: &str, said: &str, names: &BTreeSet<&str>, catalog: &Snapshot) -> bool {
    let is_known = |name: &str| {
        let sized = |size: &str| size.len() <= 8 && size.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b',' | b')'));
        let plain = name.split_once('(').filter(|(_, size)| sized(size));
        let plain = plain.map_or(name, |(before, _)| before);
        let qualified = name.split_once('.').is_some_and(|(schema, last)| {
            let mut relations = catalog.named_anywhere(last);
            names.contains(last) && relations.any(|relation| relation.schema == schema)
        });
        names.contains(name) || qualified || TYPES.contains(&plain)
    };
    let mut each = NAMED.iter().filter(|(code, _)| *code == state);
    state == "22001" && is_length(said) || each.any(|(_, words)| fits(said, words, &is_known))
}

fn is_length(said: &str) -> bool {
    let length = TOO_LONG
        .iter()
        .find_map(|words| said.strip_prefix(*words)?.strip_suffix(')'));
    length.is_some_and(|length| length.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a hint is one that is always the same.
pub(super) fn is_constant_hint(said: &[u8]) -> bool {
    HINTS.iter().any(|hint| hint.as_bytes() == said)
}

/// Whether a hint suggests `names`, those of the client's own statement, or columns of relations by such names.
pub(super) fn is_suggestion(state: &str, said: &[u8], names: &BTreeSet<&str>, catalog: &Snapshot) -> bool {
    let has = |relation: &str, column: &str| catalog.named_anywhere(relation).any(|one| one.column(column).is_some());
    let is_known = |name: &str| names.contains(name) || names.iter().any(|relation| has(relation, name));
    let mut each = SUGGESTIONS.iter().filter(|(code, _)| *code == state);
    std::str::from_utf8(said).is_ok_and(|said| each.any(|(_, words)| fits(said, words, &is_known)))
}

fn fits(said: &str, words: &str, is_known: &dyn Fn(&str) -> bool) -> bool {
    let mut pieces = words.split('%').peekable();
    let Some(mut rest) = pieces.next().and_then(|first| said.strip_prefix(first)) else {
        return false;
    };
    while let Some(piece) = pieces.next() {
        let end = match pieces.peek() {
            Some(_) => rest.find(piece),
            None => rest.strip_suffix(piece).map(str::len),
        };
        let Some((name, behind)) = end.and_then(|end| rest.split_at_checked(end)) else {
            return false;
        };
        let Some(behind) = behind.strip_prefix(piece).filter(|_| is_known(name)) else {
            return false;
        };
        rest = behind;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::{Column, Relation};

    use super::*;
    use crate::postgres::errors::is_known;

    #[test]
    fn words_around_the_clients_own_names_are_told_from_others() {
        let catalog = Snapshot::new(vec![Relation {
            oid: 20_000,
            schema: "public".to_owned(),
            name: "mv".to_owned(),
            ..Relation::default()
        }]);
        let names = BTreeSet::from(["mv", "people", "name", "a \"b"]);
        for (state, said, named) in [
            ("42P07", "relation \"people\" already exists", true),
            ("42P07", "relation \"Ada\" already exists", false),
            ("42P07", "relation \"people\" already exists: Ada", false),
            ("42P07", "relation \"people\"", false),
            ("42P07", "relation \"a \"b\" already exists", true),
            ("42P01", "relation \"people\" already exists", false),
            ("42701", "column \"name\" of relation \"people\" already exists", true),
            ("42701", "column \"name\" of relation \"Ada\" already exists", false),
            ("42701", "column \"Ada\" of relation \"people\" already exists", false),
            (
                "2BP01",
                "cannot drop table people because other objects depend on it",
                true,
            ),
            (
                "2BP01",
                "cannot drop table Ada because other objects depend on it",
                false,
            ),
            (
                "42804",
                "column \"name\" cannot be cast automatically to type integer",
                true,
            ),
            (
                "42804",
                "column \"name\" cannot be cast automatically to type character varying(20)",
                true,
            ),
            (
                "42804",
                "column \"name\" cannot be cast automatically to type Ada",
                false,
            ),
            (
                "42804",
                "column \"name\" cannot be cast automatically to type text(Ada)",
                false,
            ),
            (
                "55000",
                "cannot refresh materialized view \"public.mv\" concurrently",
                true,
            ),
            (
                "55000",
                "cannot refresh materialized view \"Ada.mv\" concurrently",
                false,
            ),
            ("42804", "UNION types text and integer cannot be matched", true),
            ("42804", "UNION types text and Ada cannot be matched", false),
            (
                "42804",
                "column \"name\" is of type integer but expression is of type Ada",
                false,
            ),
            ("42501", "permission denied for table people", true),
            ("42501", "permission denied for table Ada", false),
            ("22P02", "invalid input syntax for type integer: \"name\"", false),
            ("22001", "value too long for type character varying(19)", true),
            ("22001", "value too long for type character varying(Ada)", false),
        ] {
            assert_eq!(is_named(state, said, &names, &catalog), named, "{said}");
        }
        assert!(NAMED.iter().all(|(code, _)| is_known(code)));
    }

    #[test]
    fn suggestions_of_what_the_catalog_has_are_told_from_others() {
        let catalog = Snapshot::new(vec![Relation {
            oid: 20_000,
            schema: "public".to_owned(),
            name: "people".to_owned(),
            columns: vec![Column {
                attnum: 1,
                name: "name".to_owned(),
                type_oid: 25,
                generated: None,
            }],
            ..Relation::default()
        }]);
        let names = BTreeSet::from(["nme", "people", "p"]);
        for (state, said, kept) in [
            (
                "42703",
                "Perhaps you meant to reference the column \"people.name\".",
                true,
            ),
            (
                "42703",
                "Perhaps you meant to reference the column \"p.name\" or the column \"people.name\".",
                true,
            ),
            (
                "42703",
                "Perhaps you meant to reference the column \"people.Ada\".",
                false,
            ),
            (
                "42703",
                "Perhaps you meant to reference the column \"Ada.name\".",
                false,
            ),
            (
                "42703",
                "Perhaps you meant to reference the column \"people.name\". Ada",
                false,
            ),
            ("42P01", "Perhaps you meant to reference the table alias \"p\".", true),
            (
                "42P01",
                "Perhaps you meant to reference the table alias \"Ada\".",
                false,
            ),
            ("22P02", "Perhaps you meant to reference the table alias \"p\".", false),
        ] {
            assert_eq!(is_suggestion(state, said.as_bytes(), &names, &catalog), kept, "{said}");
        }
        assert!(SUGGESTIONS.iter().all(|(code, _)| is_known(code)));
    }
}
