//! What rules see of bound parameters: the text that PostgreSQL reads a value from. Of a binary value, where the client states a
//! type whose binary form is its text, or one that has a single text.

use sallyport_policy::decide::Parameter;

const BOOL: u32 = 16;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const UUID: u32 = 2950;

/// A value as rules see it. `stated` is the type that the client states for it: one that the target infers is not known here.
/// `settled` says whether the target certainly reads text as UTF-8.
pub(super) fn value(value: Option<&[u8]>, binary: bool, stated: Option<u32>, settled: bool) -> Parameter {
    let Some(bytes) = value else {
        return Parameter::Null;
    };
    let text = match (binary, stated) {
        (false, _) | (true, Some(TEXT | VARCHAR | BPCHAR | NAME)) => text(bytes, settled),
        (true, Some(BOOL)) => match bytes {
            [0] => Some("f".to_owned()),
            [1] => Some("t".to_owned()),
            _ => None,
        },
        (true, Some(INT2)) => bytes
            .try_into()
            .ok()
            .map(i16::from_be_bytes)
            .map(|number| number.to_string()),
        (true, Some(INT4)) => bytes
            .try_into()
            .ok()
            .map(i32::from_be_bytes)
            .map(|number| number.to_string()),
        (true, Some(INT8)) => bytes
            .try_into()
            .ok()
            .map(i64::from_be_bytes)
            .map(|number| number.to_string()),
        (true, Some(UUID)) => bytes.try_into().ok().map(uuid),
        (true, _) => None,
    };
    text.map_or(Parameter::Unreadable, Parameter::Text)
}

fn text(bytes: &[u8], settled: bool) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (settled || text.is_ascii()).then(|| text.to_owned())
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, digit) in sallyport_audit::digest::hex(&bytes).chars().enumerate() {
        if [8, 12, 16, 20].contains(&index) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_text_that_the_target_reads_it_from() {
        let id = b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        let cases: [(&[u8], bool, Option<u32>, Option<&str>); 17] = [
            (b" 07", false, None, Some(" 07")),
            (b" 07", false, Some(INT4), Some(" 07")),
            (&[0, 0, 0, 7], true, Some(INT4), Some("7")),
            (&[0xff, 0xff], true, Some(INT2), Some("-1")),
            (&[0, 0, 0, 0, 0, 0, 0, 7], true, Some(INT8), Some("7")),
            (&[1], true, Some(BOOL), Some("t")),
            (&[0], true, Some(BOOL), Some("f")),
            (b"bob", true, Some(TEXT), Some("bob")),
            (id, true, Some(UUID), Some("00112233-4455-6677-8899-aabbccddeeff")),
            // The type that the target infers may be any.
            (&[0, 0, 0, 7], true, None, None),
            (&[0, 0, 0, 7], true, Some(0), None),
            (&[0, 0, 0, 7], true, Some(700), None),
            (&[0, 0, 7], true, Some(INT4), None),
            (&[2], true, Some(BOOL), None),
            (&[0xff], false, None, None),
            (&[0xff], true, Some(TEXT), None),
            (b"short", true, Some(UUID), None),
        ];
        for (bytes, binary, stated, expected) in cases {
            let expected = expected.map_or(Parameter::Unreadable, |text| Parameter::Text(text.to_owned()));
            assert_eq!(
                value(Some(bytes), binary, stated, true),
                expected,
                "{bytes:?} {binary} {stated:?}"
            );
        }
        assert_eq!(value(None, true, None, true), Parameter::Null);
    }

    #[test]
    fn beyond_ascii_it_is_read_only_where_the_encoding_is_certain() {
        let umlaut = "ü".as_bytes();
        assert_eq!(value(Some(umlaut), false, None, true), Parameter::Text("ü".to_owned()));
        assert_eq!(value(Some(umlaut), false, None, false), Parameter::Unreadable);
        assert_eq!(value(Some(b"u"), false, None, false), Parameter::Text("u".to_owned()));
    }
}
