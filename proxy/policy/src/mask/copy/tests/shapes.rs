//! Rows that are not what they have to be.

use super::super::*;
use super::{binary_stream, plan, run};
use crate::mask::action::Action;
use crate::mask::plan::{Format, Source};
use crate::mask::rule::RuleSet;
use crate::mask::testing::{column, redacting};

#[test]
fn a_row_of_another_shape_does_not_pass_in_part() {
    let binary = |rows: &[u8]| [&binary_stream(&[])[..19], rows].concat();
    let good = b"\0\x03\0\0\0\x011\0\0\0\x01s\0\0\0\x01x";
    let text = |stream: &str| stream.as_bytes().to_vec();
    let masked = |stream: &str| stream.replace('s', "[REDACTED]").into_bytes();
    let cases = [
        (CopyFormat::text(), text("secret\n"), masked("")),
        (CopyFormat::text(), text("secret\ts\tx\t1\n"), masked("")),
        (CopyFormat::text(), text("1\ts\tx\n2|secret|x\n"), masked("1\ts\tx\n")),
        (CopyFormat::text(), text("1\ts\tx\nsecret"), masked("1\ts\tx\n")),
        (CopyFormat::csv(), text("1;secret;x\n"), masked("")),
        (CopyFormat::csv(), text("1,s,x\n\"2,secret,x\n"), masked("1,s,x\n")),
        (CopyFormat::Binary, binary(b"\0\x01\0\0\0\x06secret"), binary(b"")),
        (
            CopyFormat::Binary,
            binary(b"\0\x03\0\0\0\x06secret\xff\xff\xff\xfe"),
            binary(b""),
        ),
        (
            CopyFormat::Binary,
            binary(&[&good[..], b"\0\x03\0\0\0\x06secret"].concat()),
            binary(b"\0\x03\0\0\0\x011\0\0\0\x0a[REDACTED]\0\0\0\x01x"),
        ),
    ];
    for (format, stream, want) in cases {
        for size in [1, 5, stream.len()] {
            let of = if format == CopyFormat::Binary {
                Format::Binary
            } else {
                Format::Text
            };
            let plan = plan(of, Action::Redact);
            let (mut out, mut counts) = (Vec::new(), plan.counts());
            let mut masker = CopyMasker::new(plan, format.clone(), 4096);
            let pushed = stream
                .chunks(size)
                .try_for_each(|chunk| masker.push(chunk, &mut out, &mut counts));
            let ended = pushed.and_then(|()| masker.finish(&mut out, &mut counts));
            assert!(ended.is_err(), "{}", stream.escape_ascii());
            assert_eq!(out.escape_ascii().to_string(), want.escape_ascii().to_string());
        }
    }
}

#[test]
fn of_a_row_that_is_too_long_to_be_held_the_beginning_goes_ahead() {
    let columns = [
        column(23, Format::Text, Source::Plain),
        column(25, Format::Text, Source::Column(RuleSet::one(0))),
    ];
    let plan = redacting().plan(&columns);
    let mut counts = plan.counts();
    let mut masker = CopyMasker::new(plan, CopyFormat::text(), 4096);
    let (long, mut passed) = (vec![b'x'; MAX_HELD], Vec::new());
    for chunk in [&long[..MAX_HELD / 2], &long[..], &b"\tsecret"[..], &b"\n"[..]] {
        masker.push(chunk, &mut passed, &mut counts).unwrap();
        assert!(masker.open.len() <= MAX_HELD);
    }
    assert!(passed.ends_with(b"x\t[REDACTED]\n"));
    assert_eq!(passed.len(), MAX_HELD / 2 + MAX_HELD + "\t[REDACTED]\n".len());
}

#[test]
fn rows_said_to_have_no_columns_are_empty() {
    let run = |format: CopyFormat, stream: &[u8]| run(redacting().plan(&[]), format, 100, &[stream]);
    let refused = |got| Err(CopyError::Row(RowError::Columns { got, planned: 0 }));
    for format in [CopyFormat::text(), CopyFormat::csv()] {
        assert_eq!(run(format.clone(), b"\n\n"), Ok(b"\n\n".to_vec()));
        assert_eq!(run(format.clone(), b"\nsecret\n"), refused(1));
        assert_eq!(run(format, b"secret"), refused(1));
    }
    let empty = binary_stream(&[&[], &[]]);
    assert_eq!(run(CopyFormat::Binary, &empty), Ok(empty));
    assert_eq!(
        run(CopyFormat::Binary, &binary_stream(&[&[Some(b"secret")]])),
        refused(1)
    );
}
