//! Function calls by the fast path, as libpq and JDBC use large objects.
//!
//! A FunctionCall names a function by its number and has no text that could be judged. So it is sent as the SELECT that does the
//! same, and judged, recorded and masked as that; what the target answers is told as the answer to the call. What runs is what
//! was judged by its name, whatever the number means at the target.

use bytes::BytesMut;

use super::frame::{self, HEADER, Head, put, put_cstr};
use super::message::FunctionCall;

/// Of the statement and the portal of a call. No client has reason to use it; who does is refused by the target.
const NAME: &str = "\u{1}call";

const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT4: u32 = 23;
const OID: u32 = 26;

/// PostgreSQL's own functions of large objects: number, name, types of arguments. Numbers below 10,000 never change.
static FUNCTIONS: [(u32, &str, &[u32]); 13] = [
    (715, "lo_create", &[OID]),
    (952, "lo_open", &[OID, INT4]),
    (953, "lo_close", &[INT4]),
    (954, "loread", &[INT4, INT4]),
    (955, "lowrite", &[INT4, BYTEA]),
    (956, "lo_lseek", &[INT4, INT4, INT4]),
    (957, "lo_creat", &[INT4]),
    (958, "lo_tell", &[INT4]),
    (964, "lo_unlink", &[OID]),
    (1004, "lo_truncate", &[INT4, INT4]),
    (3170, "lo_lseek64", &[INT4, INT8, INT4]),
    (3171, "lo_tell64", &[INT4]),
    (3172, "lo_truncate64", &[INT4, INT8]),
];

/// The messages that stand for a call, up to Sync. `None`: the function is none that is called so.
#[must_use]
pub fn unit(call: &FunctionCall<'_>) -> Option<(BytesMut, Vec<Head>)> {
    let (_, name, types) = FUNCTIONS.iter().find(|(number, ..)| *number == call.function)?;
    let mut out = Vec::new();
    let mut heads = Vec::new();
    let mut add = |tag: u8, write: &dyn Fn(&mut Vec<u8>)| {
        let start = out.len();
        put(&mut out, tag, write);
        let len = out.len() - start;
        heads.push(Head { tag, len });
    };
    let close = |kind: u8| {
        move |out: &mut Vec<u8>| {
            out.push(kind);
            put_cstr(out, NAME);
        }
    };
    // Left by a call that failed.
    add(b'C', &close(b'P'));
    add(b'C', &close(b'S'));
    add(b'P', &|out: &mut Vec<u8>| {
        put_cstr(out, NAME);
        put_cstr(out, &text(name, types.len()));
        out.extend_from_slice(&u16::try_from(types.len()).unwrap_or(u16::MAX).to_be_bytes());
        types.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    });
    add(b'B', &|out: &mut Vec<u8>| {
        put_cstr(out, NAME);
        put_cstr(out, NAME);
        out.extend_from_slice(call.arguments);
        out.extend_from_slice(&1u16.to_be_bytes());
        out.extend_from_slice(&call.result_format.to_be_bytes());
    });
    add(b'E', &|out: &mut Vec<u8>| {
        put_cstr(out, NAME);
        out.extend_from_slice(&0i32.to_be_bytes());
    });
    add(b'C', &close(b'P'));
    add(b'C', &close(b'S'));
    add(b'S', &|_: &mut Vec<u8>| {});
    Some((BytesMut::from(out.as_slice()), heads))
}

fn text(name: &str, arguments: usize) -> String {
    let arguments: Vec<String> = (1..=arguments).map(|number| format!("${number}")).collect();
    format!("SELECT pg_catalog.{name}({})", arguments.join(", "))
}

/// Appends what the client is told of the answer to those messages, which are whole. Gives whether that was all of it.
pub fn answer(said: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = said;
    let mut ended = false;
    while let Ok(Some(head)) = frame::head(rest, |_| Some(frame::STREAM_CAP)) {
        let Some((message, later)) = rest.split_at_checked(head.len) else {
            break;
        };
        rest = later;
        match head.tag {
            b'1' | b'2' | b'3' | b'T' | b'n' | b'C' | b'I' | b's' => {}
            // The count of its columns left out, a row of one value is written as the result of a call is.
            b'D' => put(out, b'V', |out| {
                out.extend_from_slice(message.get(HEADER + 2..).unwrap_or_default());
            }),
            tag => {
                ended |= tag == b'Z';
                out.extend_from_slice(message);
            }
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::judge::{Sent, sent};
    use crate::postgres::message;

    #[test]
    fn a_call_is_the_select_that_does_the_same() {
        let call = FunctionCall {
            function: 955,
            arguments: b"\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x01x",
            result_format: 1,
        };
        let (bytes, heads) = unit(&call).unwrap();
        assert_eq!(heads.iter().map(|head| head.len).sum::<usize>(), bytes.len());
        let tags: String = heads.iter().map(|head| char::from(head.tag)).collect();
        assert_eq!(tags, "CCPBECCS");
        let messages = sent(&bytes, &heads).unwrap();
        let (Sent::Parse(parse, Ok(Some(_))), Sent::Bind(bind)) = (&messages[2].1, &messages[3].1) else {
            panic!("{tags}")
        };
        assert_eq!(parse.text, "SELECT pg_catalog.lowrite($1, $2)");
        assert_eq!(parse.types, [INT4, BYTEA]);
        assert_eq!((bind.portal, bind.statement), (NAME, NAME));
        assert_eq!(bind.values, [Some(&[0, 0, 0, 7][..]), Some(&b"x"[..])]);
        assert_eq!((&bind.formats[..], &bind.result_formats[..]), (&[1][..], &[1][..]));
        // now(), and a function of somebody's own.
        for function in [1299, 16_385] {
            assert!(unit(&FunctionCall { function, ..call }).is_none());
        }
    }

    #[test]
    fn every_function_is_one_of_large_objects() {
        for (function, name, types) in FUNCTIONS {
            assert!(name.starts_with("lo"), "{name}");
            let call = FunctionCall {
                function,
                arguments: b"\0\0\0\0",
                result_format: 0,
            };
            let (bytes, heads) = unit(&call).unwrap();
            let parse = heads.iter().take(2).map(|head| head.len).sum::<usize>();
            let parse = &bytes[parse..parse + heads[2].len];
            let parse = message::parse(frame::Body::of(parse)).unwrap();
            let script = sallyport_policy::sql::parse(parse.text).unwrap();
            let highest = usize::try_from(script.statements[0].highest_param).unwrap();
            assert_eq!(highest, types.len(), "{name}");
        }
    }

    #[test]
    fn its_answer_is_one_value_and_an_end() {
        let said = |messages: &[(u8, &str)]| {
            let mut out = Vec::new();
            for (tag, body) in messages {
                put(&mut out, *tag, |out| out.extend_from_slice(body.as_bytes()));
            }
            out
        };
        let row = "\0\x01\0\0\0\x01x";
        let mut out = Vec::new();
        let inner = said(&[
            (b'3', ""),
            (b'1', ""),
            (b'2', ""),
            (b'N', "\0"),
            (b'D', row),
            (b'C', "SELECT 1\0"),
        ]);
        assert!(!answer(&inner, &mut out));
        assert!(answer(&said(&[(b'3', ""), (b'Z', "T")]), &mut out));
        assert_eq!(out, said(&[(b'N', "\0"), (b'V', "\0\0\0\x01x"), (b'Z', "T")]));
        let mut out = Vec::new();
        let failed = said(&[(b'E', "\0"), (b'Z', "E")]);
        assert!(answer(&failed, &mut out));
        assert_eq!(out, failed);
    }
}
