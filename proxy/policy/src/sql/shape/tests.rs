//! A text that is read off another's tree reads as if it had been parsed.

use proptest::prelude::*;

use super::*;
use crate::catalog::{SearchPath, Snapshot};
use crate::sql::lineage::tests::table;
use crate::sql::{Digest, lineage, parse};

/// Shapes that hold, in two spellings each.
const HOLD: [(&str, &str); 12] = [
    ("SELECT a FROM t WHERE b = 4711", "SELECT a FROM t WHERE b = 1234"),
    ("SELECT a FROM t WHERE b = 'one'", "SELECT a FROM t WHERE b = 'ö;'"),
    ("SELECT 7, x.\"9'\" FROM x", "SELECT 8, x.\"9'\" FROM x"),
    ("SELECT ssn FROM t ORDER BY 1", "SELECT ssn FROM t ORDER BY 2"),
    (
        "SELECT a[1:2] FROM t LIMIT 5 OFFSET 6",
        "SELECT a[3:4] FROM t LIMIT 7 OFFSET 8",
    ),
    (
        "INSERT INTO t VALUES (1, 'ab'), (2, 'cd')",
        "INSERT INTO t VALUES (3, '--'), (4, '/*')",
    ),
    (
        "UPDATE t SET a = 12 WHERE b = x AND c < 99",
        "UPDATE t SET a = 98 WHERE b = x AND c < 11",
    ),
    (
        "DELETE FROM t WHERE a = 5; SELECT 6",
        "DELETE FROM t WHERE a = 7; SELECT 8",
    ),
    ("SELECT '12'::int, date '2020'", "SELECT '34'::int, date '2021'"),
    ("SET search_path = 'abc'", "SET search_path = 'xyz'"),
    (
        "SET SESSION AUTHORIZATION 'ab'; SELECT 1",
        "SET SESSION AUTHORIZATION 'ab'; SELECT 2",
    ),
    (
        "SELECT f('a', 3) FROM t WHERE 1 = 1",
        "SELECT f('b', 5) FROM t WHERE 2 = 3",
    ),
];

/// Shapes whose literals say more than a value, or less.
const USELESS: [&str; 9] = [
    "SELECT float(24)",
    "SELECT a::float(7) FROM t",
    "FETCH 5 FROM c",
    "DO 'BEGIN NULL; END'",
    "SELECT 1 WHERE 'a'\n'b' = x",
    "SELECT -5",
    "SELECT 1e+5",
    "COPY t TO STDOUT (DELIMITER 'x')",
    "CREATE TABLE t (a numeric(5, 2)) WITH (fillfactor = 70)",
];

/// Texts that have no shape.
const NONE: [&str; 15] = [
    "SELECT a FROM t WHERE b = $1 LIMIT 10",
    "SELECT 1 -- 2",
    "SELECT 1 /* 2 */",
    "SELECT 'it''s'",
    "SELECT E'a'",
    "SELECT U&'a'",
    "SELECT N'a'",
    "SELECT B'1'",
    "SELECT 'a\\b', 1",
    "SELECT $$a$$, 1",
    "SELECT 'open",
    "SELECT \"open",
    "SELECT a1, b.c2, 0, 00, '', 12345678901",
    "SELECT 1.5, .5, 0x1f, 1_000, 1e5",
    "SELECT 'a'''",
];

fn learned(text: &str) -> Shapes {
    let mut shapes = Shapes::default();
    shapes.note(text);
    assert!(
        shapes.read(text).is_none(),
        "{text}: a shape that came once is not trusted"
    );
    shapes.note(text);
    shapes
}

/// Everything that is made of a script, but for its literals.
fn said(script: &Script) -> Vec<String> {
    let catalog = Snapshot::new(vec![table(1, "t", &["a", "b", "c", "ssn"]), table(2, "x", &["a"])]);
    let path = SearchPath::from_setting("public", "app", None).unwrap();
    let each = script.statements.iter().map(|one| {
        let size = one.root().map(|root| root.size());
        format!("{one:?} {size:?} {:?}", lineage(one, &catalog, &path))
    });
    each.collect()
}

fn digests(script: &Script) -> Vec<Digest> {
    script.statements.iter().map(Statement::digest).collect()
}

fn is_shared(shapes: &Shapes, text: &str) -> bool {
    let (one, other) = (shapes.read(text), shapes.read(text));
    matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(&one, &other))
}

fn alike(shapes: &Shapes, text: &str) -> Result<(), String> {
    let read = shapes
        .read(text)
        .ok_or_else(|| format!("{text}: not read by its shape"))?;
    let parsed = parse(text).map_err(|error| format!("{text}: {error:?}"))?;
    let exact = is_shared(shapes, text) || digests(&read) == digests(&parsed);
    (exact && said(&read) == said(&parsed))
        .then_some(())
        .ok_or_else(|| format!("{text}: {:?} is not {:?}", said(&read), said(&parsed)))
}

#[test]
fn a_text_of_a_known_shape_reads_as_if_it_were_parsed() {
    for (one, other) in HOLD {
        let shapes = learned(one);
        for text in [one, other] {
            assert_eq!(alike(&shapes, text), Ok(()));
        }
    }
}

#[test]
fn numbers_that_nothing_looks_at_share_one_script() {
    for (text, shared) in [
        ("SELECT a FROM t WHERE b = 4711", true),
        (
            "SELECT a + 5, 6 FROM t WHERE b BETWEEN 1 AND 9 AND c IN (7, 8) LIMIT 5 OFFSET 6",
            true,
        ),
        ("INSERT INTO t VALUES (1, 2), (3, 4)", true),
        ("UPDATE t SET a = 12 WHERE c < 99", true),
        (
            "WITH w AS (DELETE FROM t WHERE a = 5 RETURNING *) SELECT * FROM w; SELECT 6",
            true,
        ),
        ("SELECT a FROM t WHERE b = 'one'", false),
        ("SELECT a FROM t WHERE b = 4711 AND c = 'x'", false),
        ("SELECT ssn FROM t ORDER BY 1", false),
        ("SELECT a FROM t GROUP BY 1", false),
        ("SELECT DISTINCT ON (2) a, ssn FROM t", false),
        ("SELECT a[1] FROM t", false),
        ("SELECT f(3) FROM t", false),
        ("SELECT 3::text FROM t", false),
        ("DECLARE c CURSOR FOR SELECT a FROM t WHERE b = 4711", false),
        ("PREPARE p AS SELECT a FROM t WHERE b = 4711", false),
        ("CREATE TABLE n AS SELECT a FROM t WHERE b = 4711", false),
        ("SELECT a INTO n FROM t WHERE b = 4711", false),
        ("EXPLAIN SELECT a FROM t WHERE b = 4711", false),
    ] {
        assert_eq!(is_shared(&learned(text), text), shared, "{text}");
    }
}

#[test]
fn a_literal_that_is_more_than_a_value_is_parsed_each_time() {
    for text in USELESS {
        assert!(learned(text).read(text).is_none(), "{text}");
    }
    for text in NONE {
        assert!(written(text).is_none(), "{text}");
    }
}

#[test]
fn what_differs_outside_its_literals_has_another_shape() {
    let shapes = learned("SELECT a FROM t WHERE b = 1 AND c = 'x'");
    for text in [
        "SELECT a FROM t WHERE b = 0 AND c = 'x'",
        "SELECT a FROM t WHERE b = 1 AND c = ''",
        "SELECT a FROM t WHERE b = 1 AND c = 'xy'",
        "SELECT a FROM t WHERE b = 1 AND d = 'x'",
        "SELECT a FROM t WHERE b = 1 AND c = \"x\"",
    ] {
        assert!(shapes.read(text).is_none(), "{text}");
    }
}

proptest! {
    /// Of whatever is put together from SQL's own pieces, what is read by shape is what is parsed.
    #[test]
    fn no_text_reads_otherwise_than_it_parses(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..12),
        numbers in prop::collection::vec(1u32..1000, 12),
    ) {
        let spelt = |shift: u32| {
            let mut out = String::from("SELECT ");
            for (piece, number) in pieces.iter().zip(&numbers) {
                let width = number.to_string().len();
                let other = (number + shift) % 10u32.pow(u32::try_from(width).unwrap_or(1));
                out.push_str(&piece.replace('#', &format!("{other:0width$}")));
            }
            out
        };
        let mut shapes = Shapes::default();
        for shift in 0..4 {
            let text = spelt(shift);
            if shapes.read(&text).is_some() {
                prop_assert_eq!(alike(&shapes, &text), Ok(()));
            } else if parse(&text).is_ok() {
                shapes.note(&text);
            }
        }
    }
}

const PIECES: &[&str] = &[
    "#",
    " '#' ",
    ", ",
    "a",
    " = ",
    "(",
    ")",
    " FROM t ",
    " WHERE ",
    "-",
    "--",
    "/*",
    "*/",
    "'",
    "\"",
    "\"#\"",
    "$#",
    "$$",
    ".",
    "E'#'",
    "::int",
    " float(#) ",
    "[#]",
    ";SELECT ",
    " LIMIT # ",
    " ORDER BY # ",
    "\n",
    "interval '#' ",
    "interval(#) '#' ",
    "x#",
    "#x",
    "''",
    "&",
    " AND ",
    " BETWEEN # AND # ",
    "varchar(#) '#' ",
    " UNION SELECT # ",
    "f(#, '#')",
    "CAST(# AS bit(#))",
    "1e#",
    "+",
    "#.#",
];
