//! The one spelling of a record: JSON after RFC 8785, without fractions.
//!
//! One value has one spelling, so that "the same record" means the same bytes, and a parser that keeps the first of two equal
//! keys agrees with one that keeps the last. The check works on any JSON, so a recorder can hold a newer door to it.

use std::cmp::Ordering;

/// Nesting beyond this is refused; a record has six levels.
const MAX_DEPTH: u32 = 32;
/// The largest integer that every JSON reader keeps exact (RFC 7493).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why bytes are not canonical JSON, with the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical JSON at byte {at}: {why}")]
pub struct CanonicalError {
    /// Offset of the offending byte.
    pub at: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// Checks that `bytes` are exactly one canonical JSON value.
///
/// # Errors
/// The first deviation.
pub fn check(bytes: &[u8]) -> Result<(), CanonicalError> {
    let text = std::str::from_utf8(bytes).map_err(|e| CanonicalError {
        at: e.valid_up_to(),
        why: "not UTF-8",
    })?;
    let mut scanner = Scanner { text, at: 0 };
    scanner.value(0)?;
    if scanner.at == bytes.len() {
        Ok(())
    } else {
        scanner.fail("bytes after the value")
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn fail<T>(&self, why: &'static str) -> Result<T, CanonicalError> {
        Err(CanonicalError { at: self.at, why })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), CanonicalError> {
        if self.eat(byte) { Ok(()) } else { self.fail(why) }
    }

    fn value(&mut self, depth: u32) -> Result<(), CanonicalError> {
        if depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.fail("a value is expected"),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), CanonicalError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.fail("a value is expected");
        }
        self.at += word.len();
        Ok(())
    }

    fn object(&mut self, depth: u32) -> Result<(), CanonicalError> {
        self.expect(b'{', "an object is expected")?;
        if self.eat(b'}') {
            return Ok(());
        }
        let mut last: Option<&'a str> = None;
        loop {
            let start = self.at;
            let key = self.string()?;
            if last.is_some_and(|last| order(last, key) != Ordering::Less) {
                return Err(CanonicalError {
                    at: start,
                    why: "keys are not in order",
                });
            }
            last = Some(key);
            self.expect(b':', "a colon is expected")?;
            self.value(depth + 1)?;
            if self.eat(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma is expected")?;
        }
    }

    fn array(&mut self, depth: u32) -> Result<(), CanonicalError> {
        self.expect(b'[', "an array is expected")?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',', "a comma is expected")?;
        }
    }

    /// Scans a string and returns what stands between its quotes, still escaped.
    fn string(&mut self) -> Result<&'a str, CanonicalError> {
        self.expect(b'"', "a string is expected")?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) | None => return self.fail("a control character or the end inside a string"),
                Some(_) => self.at += self.plain(),
            }
        }
        let inside = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(inside)
    }

    /// How many bytes from here on stand for themselves.
    fn plain(&self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        end.unwrap_or(rest.len())
    }

    /// The only escapes: the two-character ones, and `\u00xx` in lower case for the other control characters.
    fn escape(&mut self) -> Result<(), CanonicalError> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        match rest {
            [b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => self.at += 2,
            [
                b'u',
                b'0',
                b'0',
                high @ (b'0' | b'1'),
                low @ (b'0'..=b'9' | b'a'..=b'f'),
                ..,
            ] => {
                let short = *high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
                if short {
                    return self.fail("a longer escape than needed");
                }
                self.at += 6;
            }
            _ => return self.fail("an escape that is not needed"),
        }
        Ok(())
    }

    fn integer(&mut self) -> Result<(), CanonicalError> {
        let start = self.at;
        let negative = self.eat(b'-');
        let digits = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let text = self.text.get(digits..self.at).unwrap_or_default();
        let bad = |why| Err(CanonicalError { at: start, why });
        match text.parse::<u64>() {
            Ok(0) if negative || text.len() > 1 => bad("a zero with a sign or more digits"),
            Ok(_) if text.len() > 1 && text.starts_with('0') => bad("a leading zero"),
            Ok(n) if n > MAX_INTEGER => bad("an integer that some readers would round"),
            Ok(_) if matches!(self.peek(), Some(b'.' | b'e' | b'E')) => bad("a fraction"),
            Ok(_) => Ok(()),
            Err(_) => bad("a number that is no integer of 53 bits"),
        }
    }
}

/// RFC 8785 orders keys by their UTF-16 code units. Escaped keys are compared as written unless one holds an escape.
fn order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() && !a.contains('\\') && !b.contains('\\') {
        return a.cmp(b);
    }
    let plain = |key: &str| serde_json::from_str::<String>(&format!("\"{key}\"")).unwrap_or_default();
    plain(a).encode_utf16().cmp(plain(b).encode_utf16())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn takes_the_one_spelling() {
        for good in [
            "{}",
            "[]",
            "null",
            "true",
            "0",
            "-7",
            "9007199254740991",
            r#""a\"\\\n\u0001ü""#,
            r#"{"a":1,"b":[1,{"c":null}],"ä":"\u001f"}"#,
            "{\"\u{10000}\":1,\"\u{e000}\":2}",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_every_other() {
        for bad in [
            "",
            " {}",
            "{} ",
            r#"{"a": 1}"#,
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            "01",
            "-0",
            "1.0",
            "1e3",
            "9007199254740992",
            "-",
            r#""\u0041""#,
            r#""\/""#,
            r#""\u000a""#,
            r#""\u001F""#,
            "\"\n\"",
            "\"",
            "{\"a\":1,}",
            "[1,]",
            "tru",
            "{\"\u{e000}\":1,\"\u{10000}\":2}",
            "[1",
            "{\"a\"",
            "[[",
            "\"\\",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check(b"\"\xff\"").is_err());
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
    }
}
