//! Texts: their parts, and those that are refused.

use super::*;

#[test]
fn a_text_falls_into_statements() {
    let text = " select 'ä;' ; ;\n-- c;\ndelete from t; ";
    let script = parse(text).unwrap();
    let parts: Vec<&str> = script.statements.iter().map(|one| one.text(text)).collect();
    assert_eq!(parts, ["select 'ä;'", "delete from t"]);
    for nothing in ["", "  ", ";", ";;", "-- x", "/* x */"] {
        assert!(parse(nothing).unwrap().statements.is_empty(), "{nothing:?}");
    }
}

#[test]
fn what_literals_hold_is_told_from_names_and_comments() {
    for (text, holds) in [
        ("update t set a = 'hidden'", true),
        ("update t set a = E'it\\'s hidden'", true),
        ("update t set a = 'it\\'s hidden'", true),
        ("update t set a = $x$hidden$x$", true),
        ("update t set a = '', b = 'it''s hidden'", true),
        ("update t set hidden = true", false),
        ("update t set \"hidden\" = 'a' -- hidden", false),
        ("/* 'hidden' */ update t set a = 'b'", false),
    ] {
        assert_eq!(any_literal(text, |literal| literal.contains("hidden")), holds, "{text}");
    }
}

#[test]
fn what_may_be_written_over_a_row_is_told_from_what_chooses_rows() {
    for (text, overwrites) in [
        ("update t set a = 'hidden' where b = 1", true),
        ("update t set a = 'b' where a = 'hidden'", false),
        ("update t set a = 'b' where a like '%hidden%' or a = $9", false),
        ("update t set a = $9 where a = 'x'", true),
        ("update t set (a, b) = ('x', n'of hidden'::varchar)", true),
        ("update t set a = case when a = 'hidden' then 'b' else a end", true),
        (
            "update t set a = s.a from (select 'hidden' as a) s where t.b = s.b",
            true,
        ),
        (
            "update t set a = s.a from (select a from u where a = 'hidden') s",
            false,
        ),
        ("update t set a = 'b' from u join v on u.a = 'hidden'", true),
        ("update t set a = 'b' where f('hidden')", true),
        ("delete from t where a = 'hidden'", false),
        (
            "with w as (update t set a = 'hidden' returning b) select * from w",
            true,
        ),
        (
            "with w as (update t set a = 'b' returning b) select * from w where b = 'hidden'",
            false,
        ),
        ("with w as (insert into t values ('hidden')) update t set a = 'b'", true),
        ("insert into t values (nextval('s'), 'hidden')", false),
        ("insert into t values ('hidden') on conflict do nothing", false),
        (
            "insert into t values ('hidden') on conflict (a) do update set b = 1",
            true,
        ),
        (
            "insert into t values (1) on conflict (a) do update set b = 1 where t.b = 'hidden'",
            false,
        ),
        ("select setval('s', 1), 'hidden'", false),
        (
            "merge into t using u on t.b = 'hidden' when matched and u.b = 'hidden' then update set a = 'b'",
            false,
        ),
        (
            "merge into t using u on t.b = u.b when matched then update set a = 'hidden'",
            true,
        ),
        ("prepare p as update t set a = 'b' where a = 'hidden'", true),
        ("explain analyze update t set a = 'b' where a = 'hidden'", true),
    ] {
        let is_meant = |given: Given<'_>| match given {
            Given::Text(text) => text.contains("hidden"),
            Given::Parameter(number) => number == 9,
        };
        assert_eq!(one(text).overwrites(true, is_meant), overwrites, "{text}");
    }
    // Where rules and triggers run, a row that is added may be another's end.
    let added = one("insert into t values ('hidden')");
    assert!(added.overwrites(false, |given| given == Given::Text("hidden")));
}

#[test]
fn refusals_are_postgresqls_own() {
    let cases = [
        ("selec 1", "42601", "syntax error at or near \"selec\"", Some(1)),
        (
            "select from from x",
            "42601",
            "syntax error at or near \"from\"",
            Some(13),
        ),
        (
            "select 'ä' from from x",
            "42601",
            "syntax error at or near \"from\"",
            Some(17),
        ),
        (
            "select 1; selec 2",
            "42601",
            "syntax error at or near \"selec\"",
            Some(11),
        ),
        ("select (1", "42601", "syntax error at end of input", Some(10)),
        (
            "select 'abc",
            "42601",
            "unterminated quoted string at or near \"'abc\"",
            Some(8),
        ),
        ("select 1 1", "42601", "syntax error at or near \"1\"", Some(10)),
        ("select a, , b", "42601", "syntax error at or near \",\"", Some(11)),
        ("create role", "42601", "syntax error at end of input", Some(12)),
    ];
    for (sql, sqlstate, message, position) in cases {
        let error = parse(sql).unwrap_err();
        let got = (error.sqlstate, error.message.as_str(), error.position);
        assert_eq!(got, (sqlstate, message, position), "{sql}");
    }
    assert_eq!(parse("select \0 1").unwrap_err().sqlstate, "22021");
}

#[test]
fn a_text_beyond_the_limit_is_refused() {
    let fits = format!("select '{}'", "x".repeat(MAX_WHOLE - 9));
    assert_eq!(fits.len(), MAX_WHOLE);
    assert_eq!(parse(&fits).unwrap().statements.len(), 1);
    assert_eq!(parse(&format!("{fits} ")).unwrap_err().sqlstate, "54000");
    let fits = format!("select 1{}", " ".repeat(MAX_TEXT - 8));
    assert_eq!(parse(&fits).unwrap().statements.len(), 1);
    assert_eq!(parse(&format!("{fits} ")).unwrap_err().sqlstate, "54000");
}

#[test]
fn a_text_whose_tree_would_take_too_much_is_refused() {
    let list = |item: &str, count: usize| format!("select 1 where 1 in ({})", vec![item; count].join(","));
    for (item, weight) in [
        ("a", 4),
        ("-a", 7),
        ("1", 2),
        ("-1", 2),
        ("$1", 2),
        ("null", 2),
        ("'x'", 2),
        ("a=a", 11),
    ] {
        let most = MAX_WEIGHT / weight;
        let error = check_length(&list(item, most + 1)).unwrap_err();
        assert_eq!(error.sqlstate, "54000", "{item}");
        assert!(error.message.contains("names, signs and values"), "{item}");
        assert!(check_length(&list(item, most - 40)).is_ok(), "{item}");
    }
    assert_eq!(parse(&list("a", 100_000)).unwrap_err().sqlstate, "54000");
    let body = list("a", 100_000);
    let denied = parse(&format!("do '{body}'")).unwrap();
    assert!(
        !denied.statements[0].denied.is_empty(),
        "what is not read is not known to do nothing"
    );
}

#[test]
fn what_stands_in_quotes_counts_for_nothing_but_the_whole() {
    let long = "x".repeat(MAX_TEXT);
    for (text, fits) in [
        (format!("insert into t values (1, '{long}'), (2, '{long}')"), true),
        (
            format!("update t set doc = E'{{\\\"a\\\": \\\"{long}\\\"}}' where id = 1"),
            true,
        ),
        // Whatever the setting: as code under one of the two it is too much.
        (format!("select '\\', '{long}'"), false),
        (format!("select '\\' || '{long}' || '\\'"), false),
        (format!("select '\\\\' || '{long}'"), true),
        (format!("select \"{long}\""), false),
        (format!("select 1 /* {long} */"), false),
        (format!("select $${long}$$"), false),
        (format!("select '{long}"), false),
    ] {
        let start = text.get(..30).unwrap_or_default();
        match parse(&text) {
            Ok(script) => assert!(fits && script.statements.len() == 1, "{start}"),
            Err(error) => assert!(!fits && error.sqlstate == "54000", "{start}: {}", error.sqlstate),
        }
    }
}

#[test]
fn depth_is_bounded_and_ends_in_an_error() {
    let shapes: [(&str, &str, &str); 9] = [
        ("select ", "(", "1"),
        ("select ", "(select ", "1"),
        ("select ", "not ", "true"),
        ("select ", "array[", "1"),
        ("select ", "case when true then 1 else ", "1"),
        ("select 1", "+1", ""),
        ("select 1", " union select 1", ""),
        ("select 1 from a", " join a on true", ""),
        ("", "with a as (", "select 1"),
    ];
    for (start, repeated, end) in shapes {
        for count in [1_000, 50_000] {
            let close = match repeated.chars().find(|c| "([".contains(*c)) {
                Some('(') => ")".repeat(count),
                Some(_) => "]".repeat(count),
                None if repeated.starts_with("case") => " end".repeat(count),
                None => String::new(),
            };
            let text = format!("{start}{}{end}{close}", repeated.repeat(count));
            // An error or a tree: either way the stack holds.
            if let Err(error) = parse(&text) {
                assert!(
                    ["54001", "42601", "54000"].contains(&error.sqlstate),
                    "{repeated}: {error:?}"
                );
            }
            // Half of it is a syntax error or too deep as well.
            let _ = parse(text.get(..text.len() / 2).unwrap_or_default());
        }
    }
    let chain = format!("select 1{}", "+1".repeat(200));
    let error = parse(&chain).unwrap_err();
    assert_eq!(error.sqlstate, "54001");
    assert!(error.message.contains("in pairs"), "{error}");
    let flat = format!("select 1 from t where {}", vec!["a = 1"; 2_000].join(" or "));
    assert!(one(&flat).is_read());
}

/// What the refusal of a chain advises.
#[test]
fn a_chain_that_is_bracketed_in_pairs_is_read() {
    for (start, link, between, after) in [
        ("select ", "'x'", " || ", ""),
        ("", "select 1", " union ", ""),
        ("select 1 from ", "a", " join ", " on true"),
    ] {
        let mut parts = vec![link.to_owned(); 200];
        assert_eq!(
            parse(&format!("{start}{}", chained(&parts, between, after)))
                .unwrap_err()
                .sqlstate,
            "54001"
        );
        while parts.len() > 1 {
            let pair = |pair: &[String]| format!("({})", chained(pair, between, after));
            parts = parts.chunks(2).map(pair).collect();
        }
        assert_eq!(
            parse(&format!("{start}{}", parts.concat())).unwrap().statements.len(),
            1,
            "{link}"
        );
    }
}

/// Parts in a row, each but the first with what goes before it and after it.
fn chained(parts: &[String], between: &str, after: &str) -> String {
    let (first, rest) = parts.split_first().unwrap();
    let rest: String = rest.iter().map(|part| format!("{between}{part}{after}")).collect();
    format!("{first}{rest}")
}

#[test]
fn parsing_from_many_threads_leaves_standard_error_alive() {
    use std::io::Write;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|n| assert_eq!(one(&format!("select {n}")).verb, Verb::Select)));
        }
    });
    assert!(std::io::stderr().write_all(b"").is_ok() && std::io::stderr().flush().is_ok());
}

#[test]
fn debug_shows_no_literal() {
    let script = parse("select 'very secret'").unwrap();
    assert!(!format!("{script:?}").contains("secret"));
}
