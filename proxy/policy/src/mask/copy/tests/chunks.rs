//! How a stream is split over messages makes no difference.

use proptest::prelude::*;

use super::super::*;
use super::{binary_stream, plan, run};
use crate::mask::action::Action;
use crate::mask::plan::Format;

fn formats() -> [CopyFormat; 4] {
    [
        CopyFormat::text(),
        CopyFormat::csv(),
        CopyFormat::Csv {
            delimiter: b';',
            quote: b'6',
            escape: b'9',
            null: b"a".to_vec(),
            header: true,
        },
        CopyFormat::Text {
            delimiter: b',',
            null: b"b".to_vec(),
            header: true,
        },
    ]
}

/// A field as PostgreSQL writes it, in quotes where there are any.
fn field(format: &CopyFormat, value: &str) -> Vec<u8> {
    let escaped = |special: &[u8], escape: u8| -> Vec<u8> {
        let each = value.bytes().map(|byte| match byte {
            b'\n' if escape == b'\\' => b"\\n".to_vec(),
            byte if special.contains(&byte) => vec![escape, byte],
            byte => vec![byte],
        });
        each.flatten().collect()
    };
    match format {
        CopyFormat::Text { delimiter, .. } => escaped(&[*delimiter, b'\\'], b'\\'),
        CopyFormat::Csv { quote, escape, .. } => {
            [&[*quote][..], &escaped(&[*quote, *escape], *escape), &[*quote]].concat()
        }
        CopyFormat::Binary => Vec::new(),
    }
}

fn line(format: &CopyFormat, row: &[String]) -> Vec<u8> {
    let (CopyFormat::Text { delimiter, .. } | CopyFormat::Csv { delimiter, .. }) = format else {
        return Vec::new();
    };
    let fields: Vec<_> = row.iter().map(|value| field(format, value)).collect();
    [fields.join(delimiter), b"\n".to_vec()].concat()
}

fn chunked<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut done = 0;
    for place in places {
        chunks.push(&stream[done..place]);
        done = place;
    }
    chunks.push(&stream[done..]);
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Most of these are no rows of three fields, and end in an error.
    #[test]
    fn chunks_make_no_difference_whatever_the_stream(
        stream in "([a-c0-9\\\\\"',;\t\n-]|536-90-4399){0,60}",
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
        which in 0usize..4,
    ) {
        let format = &formats()[which];
        let run = |chunks: &[&[u8]]| run(plan(Format::Text, Action::Redact), format.clone(), 24, chunks);
        prop_assert_eq!(run(&chunked(stream.as_bytes(), &cuts)), run(&[stream.as_bytes()]));
    }

    #[test]
    fn chunks_of_rows_make_no_difference(
        rows in proptest::collection::vec(
            proptest::collection::vec("[a-c0-9;,\"'\\\\\t\n -]{0,12}|536-90-4399", 3), 1..5),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
        which in 0usize..4,
    ) {
        let format = &formats()[which];
        let stream: Vec<u8> = rows.iter().flat_map(|row| line(format, row)).collect();
        let run = |chunks: &[&[u8]]| run(plan(Format::Text, Action::Redact), format.clone(), 24, chunks);
        let whole = run(&[&stream]);
        prop_assert!(whole.is_ok(), "{}", stream.escape_ascii());
        prop_assert_eq!(run(&chunked(&stream, &cuts)), whole);
    }

    #[test]
    fn chunks_make_no_difference_in_binary(
        rows in proptest::collection::vec(proptest::collection::vec(proptest::option::of("[a-z0-9-]{0,30}|536-90-4399"), 3), 0..4),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let rows: Vec<Vec<Option<&[u8]>>> =
            rows.iter().map(|row| row.iter().map(|f| f.as_deref().map(str::as_bytes)).collect()).collect();
        let stream = binary_stream(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let run = |chunks: &[&[u8]]| run(plan(Format::Binary, Action::Redact), CopyFormat::Binary, 24, chunks);
        let whole = run(&[&stream]);
        prop_assert!(whole.is_ok());
        prop_assert_eq!(run(&chunked(&stream, &cuts)), whole);
    }
}
