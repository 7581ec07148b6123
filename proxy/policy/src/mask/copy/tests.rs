mod chunks;
mod shapes;

use proptest::prelude::*;

use super::*;
use crate::mask::action::Action;
use crate::mask::detect::Kind;
use crate::mask::plan::{Format, Source};
use crate::mask::rule::RuleSet;
use crate::mask::testing::{column, detecting, masker, redacting};

/// Three text columns: plain, protected, plain.
fn plan(format: Format, action: Action) -> RowPlan {
    let sources = [Source::Plain, Source::Column(RuleSet::one(0)), Source::Unknown];
    let columns: Vec<_> = sources.into_iter().map(|source| column(25, format, source)).collect();
    masker(vec![detecting(action, &[Kind::UsSsn, Kind::CreditCard])]).plan(&columns)
}

fn run(plan: RowPlan, format: CopyFormat, max: usize, chunks: &[&[u8]]) -> Result<Vec<u8>, CopyError> {
    let mut counts = plan.counts();
    let mut masker = CopyMasker::new(plan, format, max);
    let mut out = Vec::new();
    for chunk in chunks {
        masker.push(chunk, &mut out, &mut counts)?;
    }
    masker.finish(&mut out, &mut counts)?;
    Ok(out)
}

fn text(format: CopyFormat, action: Action, stream: &str) -> String {
    let out = run(plan(Format::Text, action), format, 4096, &[stream.as_bytes()]);
    String::from_utf8(out.unwrap()).unwrap()
}

#[test]
fn text_format() {
    let got = text(
        CopyFormat::text(),
        Action::Redact,
        "1\tsecret\tx 536-90-4399\n2\t\\N\ta\\tb\n",
    );
    assert_eq!(got, "1\t[REDACTED]\tx [REDACTED]\n2\t\\N\ta\\tb\n");
    let got = text(CopyFormat::text(), Action::Null, "1\tsecret\tx\n");
    assert_eq!(got, "1\t\\N\tx\n");
    let odd = CopyFormat::Text {
        delimiter: b'E',
        null: b"-".to_vec(),
        header: false,
    };
    // A hyphen may be a value, too: one that is hidden is not told from the others by it.
    assert_eq!(
        text(odd.clone(), Action::Redact, "1Esecr\\EtEx\n2E-E-\n"),
        "1E[R\\EDACT\\ED]Ex\n2E[R\\EDACT\\ED]E-\n"
    );
    // NULL is written as the client reads it.
    assert_eq!(text(odd, Action::Null, "1EsecretEx\n2E-E-\n"), "1E-Ex\n2E-E-\n");
    // What no value is written as is NULL.
    for (null, want) in [
        ("\\N", "\\N"),
        ("\\0", "\\0"),
        ("\\\\N", "[REDACTED]"),
        ("", "[REDACTED]"),
    ] {
        let format = CopyFormat::Text {
            delimiter: b'\t',
            null: null.into(),
            header: false,
        };
        assert_eq!(
            text(format, Action::Redact, &format!("1\t{null}\tx\n")),
            format!("1\t{want}\tx\n")
        );
    }
}

#[test]
fn escapes_do_not_hide_a_value() {
    for escaped in [
        "536\\-90-4399",
        "5\\x336\\-90-4399",
        "\\065\\0636-90-4399",
        "536\\05590-4399",
    ] {
        let got = text(CopyFormat::text(), Action::Redact, &format!("1\t\\N\t{escaped}\n"));
        assert_eq!(got, "1\t\\N\t[REDACTED]\n", "{escaped}");
    }
}

#[test]
fn csv_format() {
    let got = text(
        CopyFormat::csv(),
        Action::Redact,
        "1,secret,\"a,\"\"b\n536-90-4399\"\n,,\n",
    );
    assert_eq!(got, "1,[REDACTED],\"a,\"\"b\n[REDACTED]\"\n,,\n");
    // An empty string is not NULL, and stays none.
    assert_eq!(
        text(CopyFormat::csv(), Action::Redact, "1,\"\",x\n"),
        "1,[REDACTED],x\n"
    );
}

#[test]
fn csv_with_a_quote_that_glues_to_the_value() {
    let odd = |quote, escape| CopyFormat::Csv {
        delimiter: b',',
        quote,
        escape,
        null: Vec::new(),
        header: false,
    };
    // What PostgreSQL writes for 536-90-4399 with QUOTE '6': quoted, and the 6 within doubled. Of neither is anything shown.
    assert_eq!(
        text(odd(b'6', b'6'), Action::Redact, "1,,65366-90-43996\n"),
        "1,,[REDACTED]\n"
    );
    // QUOTE '0' ESCAPE '9'.
    assert_eq!(
        text(odd(b'0', b'9'), Action::Redact, "1,,0536-9990-4399990\n"),
        "1,,[REDACTED]\n"
    );
    // The escape means nothing outside of quotes.
    assert_eq!(
        text(odd(b'"', b'\\'), Action::Redact, "1,,a\\\n2,,\"b\\\"\"\n"),
        "1,,a\\\n2,,\"b\\\"\"\n"
    );
}

#[test]
fn headers_are_looked_at() {
    let csv = CopyFormat::Csv {
        delimiter: b',',
        quote: b'"',
        escape: b'"',
        null: Vec::new(),
        header: true,
    };
    assert_eq!(
        text(csv, Action::Null, "id,ssn,536-90-4399\n1,,\n"),
        "id,ssn,[REDACTED]\n1,,\n"
    );
    let tab = CopyFormat::Text {
        delimiter: b'\t',
        null: b"\\N".to_vec(),
        header: true,
    };
    assert_eq!(
        text(tab, Action::Redact, "id\tssn\tx\n1\tsecret\tx\n"),
        "id\tssn\tx\n1\t[REDACTED]\tx\n"
    );
}

fn binary_stream(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        out.extend_from_slice(&i16::try_from(row.len()).unwrap().to_be_bytes());
        for field in *row {
            let length = field.map_or(-1, |f| i32::try_from(f.len()).unwrap());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(field.unwrap_or_default());
        }
    }
    out.extend_from_slice(&(-1i16).to_be_bytes());
    out
}

#[test]
fn binary_format() {
    let stream = binary_stream(&[
        &[Some(b"1"), Some(b"secret"), Some(b"536-90-4399")],
        &[None, None, Some(b"")],
    ]);
    let want = binary_stream(&[
        &[Some(b"1"), Some(b"[REDACTED]"), Some(b"[REDACTED]")],
        &[None, None, Some(b"")],
    ]);
    assert_eq!(
        run(
            plan(Format::Binary, Action::Redact),
            CopyFormat::Binary,
            4096,
            &[&stream]
        ),
        Ok(want)
    );
    let stream = binary_stream(&[&[Some(b"1"), Some(b"secret"), None]]);
    let want = binary_stream(&[&[Some(b"1"), None, None]]);
    assert_eq!(
        run(plan(Format::Binary, Action::Null), CopyFormat::Binary, 4096, &[&stream]),
        Ok(want)
    );
}

#[test]
fn fields_too_long_to_look_at_are_hidden() {
    let long = "x".repeat(100);
    let got = run(
        plan(Format::Text, Action::Redact),
        CopyFormat::text(),
        50,
        &[format!("{long}\t{long}\ty\n").as_bytes()],
    );
    assert_eq!(got, Ok(b"[REDACTED]\t[REDACTED]\ty\n".to_vec()));
    let stream = binary_stream(&[&[Some(long.as_bytes()), Some(long.as_bytes()), Some(b"y")]]);
    let (one, two) = stream.split_at(60);
    let got = run(plan(Format::Binary, Action::Null), CopyFormat::Binary, 50, &[one, two]);
    assert_eq!(got, Ok(binary_stream(&[&[Some(b"[REDACTED]"), None, Some(b"y")]])));
}

#[test]
fn fields_too_long_to_look_at_are_counted() {
    let long = "x".repeat(100);
    let row = format!("{long}\t1\ty\n{long}\t{long}\ty\n");
    let plan = plan(Format::Text, Action::Redact);
    let mut counts = plan.counts();
    let mut masker = CopyMasker::new(plan, CopyFormat::text(), 50);
    masker.push(row.as_bytes(), &mut Vec::new(), &mut counts).unwrap();
    assert_eq!(masker.too_long(), 3);
}

#[test]
fn columns_that_pass_are_held_with_their_row_alone() {
    let columns = [
        column(23, Format::Text, Source::Plain),
        column(25, Format::Text, Source::Plain),
    ];
    let plan = redacting().plan(&columns);
    let mut masker = CopyMasker::new(plan.clone(), CopyFormat::text(), 8);
    let (mut out, mut counts) = (Vec::new(), plan.counts());
    masker.push(&[b'7'; 1000], &mut out, &mut counts).unwrap();
    assert_eq!((out.len(), masker.held()), (0, 1000));
    masker.push(&[b'7'; MAX_HELD], &mut out, &mut counts).unwrap();
    assert_eq!((out.len(), masker.held()), (1000 + MAX_HELD, 0));
}

#[test]
fn a_message_that_ends_with_a_row_gives_that_row() {
    let plan = plan(Format::Text, Action::Redact);
    let mut masker = CopyMasker::new(plan.clone(), CopyFormat::csv(), 4096);
    let mut counts = plan.counts();
    for row in ["1,secret,x\n", "2,\"a\nb\",\"x\"\n"] {
        let mut out = Vec::new();
        masker.push(row.as_bytes(), &mut out, &mut counts).unwrap();
        assert_eq!(out.last(), Some(&b'\n'));
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
    }
}

#[test]
fn hostile_streams_are_refused_for_good() {
    let columns = CopyError::Row(RowError::Columns { got: 4, planned: 3 });
    let few = CopyError::Row(RowError::Columns { got: 2, planned: 3 });
    for (format, stream, error) in [
        (CopyFormat::text(), "a\tb\tc\td\n", columns),
        (CopyFormat::text(), "a\tb\n", few),
        (CopyFormat::csv(), "a,b,c,d\n", columns),
        (CopyFormat::csv(), "a,b", few),
        (CopyFormat::Binary, "PGCOPY\n", CopyError::Malformed),
        (CopyFormat::Binary, "PGCOPX...................", CopyError::Malformed),
    ] {
        assert_eq!(
            run(plan(Format::Text, Action::Redact), format, 100, &[stream.as_bytes()]),
            Err(error),
            "{stream}"
        );
    }
    let good = binary_stream(&[&[Some(b"1"), Some(b"2"), Some(b"3")]]);
    for (at, bytes) in [
        (12, vec![1]),
        (15, vec![0xFF; 4]),
        (19, vec![0, 2]),
        (19, vec![0xFF, 0xFE]),
        (21, vec![0xFF, 0xFF, 0xFF, 0xFE]),
    ] {
        let mut stream = good.clone();
        stream.splice(at..at + bytes.len(), bytes);
        assert!(
            run(
                plan(Format::Binary, Action::Redact),
                CopyFormat::Binary,
                100,
                &[&stream]
            )
            .is_err(),
            "at {at}"
        );
    }
    let mut extended = good.clone();
    extended.splice(15..19, *b"\0\0\0\x06secret");
    assert_eq!(
        run(
            plan(Format::Binary, Action::Redact),
            CopyFormat::Binary,
            100,
            &[&extended]
        ),
        Err(CopyError::Malformed),
        "what nobody looks into does not pass"
    );
    assert!(
        run(
            plan(Format::Binary, Action::Redact),
            CopyFormat::Binary,
            100,
            &[&good, b"x"]
        )
        .is_err()
    );

    let plan = plan(Format::Text, Action::Redact);
    let (mut out, mut counts) = (Vec::new(), plan.counts());
    let mut masker = CopyMasker::new(plan, CopyFormat::text(), 4096);
    assert_eq!(masker.push(b"a\tb\n", &mut out, &mut counts), Err(few));
    out.clear();
    assert_eq!(masker.push(b"a\tb\tc\n", &mut out, &mut counts), Err(few));
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_taken(stream in proptest::collection::vec(any::<u8>(), 0..80), binary: bool) {
        let (format, copy) = if binary { (Format::Binary, CopyFormat::Binary) } else { (Format::Text, CopyFormat::csv()) };
        let _ = run(plan(format, Action::Redact), copy, 24, &[&stream]);
    }

    #[test]
    fn what_changes_is_encoded_so_that_it_reads_back(
        with in "[ -~\t\n\r]{0,12}", delimiter in "[,;|0-9A-Z]", quote in "[\"'6]", escape in "[\"'9\\\\]",
    ) {
        prop_assume!(delimiter != quote);
        let byte = |text: &str| text.as_bytes()[0];
        let options = |null: &[u8]| csv::Options {
            delimiter: byte(&delimiter), quote: byte(&quote), escape: byte(&escape), null: null.to_vec(),
        };
        let mut out = Vec::new();
        options(b"").write(with.as_bytes(), &mut out);
        let read = if out.contains(&byte(&quote)) { options(b"").unquote(&out) } else { out };
        prop_assert_eq!(read, with.as_bytes());
    }
}
