//! The unit that is judged: one Query string, or all messages up to Sync or Flush.

use sallyport_policy::sql::MAX_TEXT;

use super::frame::{self, Body, FrameError, Head, client_cap};
use super::message;

/// Messages that a unit may have. What comes after is judged as its continuation.
const MAX_MESSAGES: usize = 8_192;
/// Bytes that a unit may have before it is judged without waiting for its end.
const MAX_BYTES: usize = frame::CLIENT_CAP;
/// The same of its texts, where there are several: all their trees are there at once, and take many times as much.
const MAX_TEXTS: usize = MAX_TEXT;
/// The same of the values that are bound: four bytes of a message make some two hundred, of what is decided about and recorded. Two of
/// the longest Binds fit.
const MAX_VALUES: usize = 1 << 17;

/// What a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A Query string.
    Query(Head),
    /// Messages of the extended protocol.
    Pipeline(Vec<Head>, End),
    /// A function call by the fast path.
    Function(Head),
    /// CopyData, CopyDone or CopyFail when no COPY is under way: the target has ended it, the client did not know yet.
    Stray(Head),
    /// Goodbye.
    Terminate,
}

/// How a pipeline's unit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With Sync.
    Sync,
    /// With Flush.
    Flush,
    /// Without either: a message of another kind follows, which ends it.
    Cut,
    /// At the bound: more of the same unit follows.
    Bound,
}

/// Looks for a unit in bytes as they arrive, each looked at once.
#[derive(Debug, Default)]
pub struct Collector {
    at: usize,
    /// Bytes of the texts among them.
    texts: usize,
    /// Values that they bind.
    values: usize,
    heads: Vec<Head>,
}

// === impl Collector ===

impl Collector {
    /// The first unit of `arrived`, once it is whole. The bytes it consists of have to be taken away then.
    ///
    /// # Errors
    /// When a message cannot be taken; nothing of the unit is used.
    pub fn next(&mut self, arrived: &[u8]) -> Result<Option<Found>, FrameError> {
        loop {
            let rest = arrived.get(self.at..).unwrap_or_default();
            let Some(head) = frame::head(rest, client_cap)? else {
                return Ok(None);
            };
            if !matches!(head.tag, b'P' | b'B' | b'D' | b'E' | b'C' | b'S' | b'H') && !self.heads.is_empty() {
                return Ok(Some(self.pipeline(End::Cut)));
            }
            if head.tag == b'P' && self.texts > 0 && self.texts + head.len > MAX_TEXTS {
                return Ok(Some(self.pipeline(End::Bound)));
            }
            let Some(message) = rest.get(..head.len) else {
                return Ok(None);
            };
            let values = match head.tag {
                b'B' => message::bound(Body::of(message)),
                _ => 0,
            };
            if self.values > 0 && self.values + values > MAX_VALUES {
                return Ok(Some(self.pipeline(End::Bound)));
            }
            let found = match head.tag {
                b'Q' => Found::Query(head),
                b'F' => Found::Function(head),
                b'd' | b'c' | b'f' => Found::Stray(head),
                b'X' => Found::Terminate,
                tag => {
                    self.heads.push(head);
                    self.at += head.len;
                    self.values += values;
                    if tag == b'P' {
                        self.texts += head.len;
                    }
                    match tag {
                        b'S' => self.pipeline(End::Sync),
                        b'H' => self.pipeline(End::Flush),
                        _ if self.heads.len() >= MAX_MESSAGES || self.at >= MAX_BYTES => self.pipeline(End::Bound),
                        _ => continue,
                    }
                }
            };
            return Ok(Some(found));
        }
    }

    /// Bytes of whole messages whose unit is not: what could not be taken stands behind them.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.at
    }

    /// Bytes that the unit takes at least, as far as what has arrived tells.
    #[must_use]
    pub fn wanted(&self, arrived: &[u8]) -> usize {
        let coming = arrived.get(self.at..).unwrap_or_default();
        let message = frame::head(coming, client_cap).ok().flatten();
        self.at + message.map_or(coming.len(), |head| head.len)
    }

    fn pipeline(&mut self, end: End) -> Found {
        self.at = 0;
        self.texts = 0;
        self.values = 0;
        Found::Pipeline(std::mem::take(&mut self.heads), end)
    }
}

// === impl Found ===

impl Found {
    /// Bytes of the unit.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Query(head) | Self::Function(head) | Self::Stray(head) => head.len,
            Self::Pipeline(heads, _) => heads.iter().map(|head| head.len).sum(),
            Self::Terminate => frame::HEADER,
        }
    }

    /// Whether it has no bytes, which no unit has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::put(&mut out, tag, |out| out.extend_from_slice(body));
        out
    }

    fn stream() -> Vec<u8> {
        let parts = [
            message(b'Q', b"select 1\0"),
            message(b'P', b"s\0select 2\0\0\0"),
            message(b'B', b"\0s\0\0\0\0\0\0\0"),
            message(b'S', b""),
            message(b'E', b"\0\0\0\0\0"),
            message(b'H', b""),
            message(b'E', b"\0\0\0\0\0"),
            message(b'Q', b"select 3\0"),
            message(b'd', b"late"),
            message(b'X', b""),
        ];
        parts.concat()
    }

    /// Units of a stream that arrives in pieces.
    fn units(stream: &[u8], pieces: &[usize]) -> Vec<(String, usize)> {
        let (mut buffer, mut collector, mut found) = (Vec::new(), Collector::default(), Vec::new());
        let mut rest = stream;
        let mut pieces = pieces.iter().cycle();
        loop {
            while let Some(unit) = collector.next(&buffer).unwrap() {
                let name = match &unit {
                    Found::Query(_) => "query".to_owned(),
                    Found::Pipeline(heads, end) => format!("{}{end:?}", heads.len()),
                    other => format!("{other:?}").chars().take(5).collect(),
                };
                found.push((name, unit.len()));
                buffer.drain(..unit.len());
            }
            if rest.is_empty() {
                return found;
            }
            let n = (*pieces.next().unwrap()).clamp(1, rest.len());
            buffer.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
        }
    }

    #[test]
    fn units_do_not_depend_on_how_bytes_arrive() {
        let whole = units(&stream(), &[usize::MAX]);
        let names: Vec<&str> = whole.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["query", "3Sync", "2Flush", "1Cut", "query", "Stray", "Termi"]);
        for pieces in [&[1][..], &[2, 3, 5], &[7, 1, 40], &[11]] {
            assert_eq!(units(&stream(), pieces), whole, "{pieces:?}");
        }
    }

    #[test]
    fn a_unit_is_cut_before_a_text_that_is_too_much_with_those_before_it() {
        let parse = |length: usize| message(b'P', &[&b"s\0"[..], &vec![b' '; length], b"\0\0\0"].concat());
        let bind = message(b'B', &vec![0; MAX_TEXTS]);
        let short = [parse(MAX_TEXTS * 2), bind.clone(), message(b'S', b"")].concat();
        let long = [
            parse(MAX_TEXTS / 2),
            bind,
            parse(MAX_TEXTS / 2),
            parse(1),
            message(b'S', b""),
        ]
        .concat();
        for (stream, want) in [(&short, &["3Sync"][..]), (&long, &["2Bound", "3Sync"][..])] {
            let found = units(stream, &[usize::MAX]);
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, want);
        }
    }

    #[test]
    fn a_unit_is_cut_before_values_that_are_too_many_with_those_before_them() {
        let bind = |count: u16| {
            let nulls = [0xff_u8; 4].repeat(usize::from(count));
            message(
                b'B',
                &[&b"\0s\0\0\x01\0\0"[..], &count.to_be_bytes(), &nulls, b"\0\0"].concat(),
            )
        };
        let sync = message(b'S', b"");
        let few = [bind(u16::MAX), bind(u16::MAX), bind(2), sync.clone()].concat();
        let many = [bind(u16::MAX), bind(u16::MAX), bind(3), bind(1), sync].concat();
        for (stream, want) in [(&few, &["4Sync"][..]), (&many, &["2Bound", "3Sync"][..])] {
            for pieces in [usize::MAX, 100_000] {
                let found = units(stream, &[pieces]);
                let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(names, want);
            }
        }
    }

    #[test]
    fn what_a_unit_takes_is_known_from_the_head_of_each_message_on() {
        let parse = message(b'P', b"s\0select 2\0\0\0");
        let bind = message(b'B', &[0; 1000]);
        let mut collector = Collector::default();
        for (arrived, wanted) in [
            (parse[..3].to_vec(), 3),
            (parse[..5].to_vec(), parse.len()),
            ([&parse[..], &bind[..4]].concat(), parse.len() + 4),
            ([&parse[..], &bind[..5]].concat(), parse.len() + bind.len()),
        ] {
            assert_eq!(collector.next(&arrived), Ok(None));
            assert_eq!(collector.wanted(&arrived), wanted);
        }
    }

    #[test]
    fn a_bad_message_is_an_error_at_once() {
        let mut bytes = message(b'P', b"s\0select 2\0\0\0");
        bytes.extend_from_slice(b"!\0\0\0\x04");
        assert_eq!(Collector::default().next(&bytes), Err(FrameError::Tag(b'!')));
    }
}
