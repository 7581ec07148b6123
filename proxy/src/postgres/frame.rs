//! Frames of the PostgreSQL protocol: one tag byte, a length that counts itself, a body.
//!
//! A frame's length is checked before anything is read of its body, and a body is always exactly its frame: a reader
//! that runs past the end, or a message that leaves bytes over, is an error (CVE-2024-27304 lived in that gap). Nothing
//! here allocates; buffers grow only by bytes that have arrived.

use memchr::memchr;

/// Bytes before a body: tag and length.
pub const HEADER: usize = 5;

/// The longest message a client may send: a statement, a set of parameters, a piece of COPY data.
pub const CLIENT_CAP: usize = 64 * 1024 * 1024;
/// The longest message of a client that carries no data.
const CLIENT_SMALL_CAP: usize = 16 * 1024;
/// The longest message a target may send that has to be read whole to be masked: one row, one piece of COPY data.
pub const TARGET_CAP: usize = 64 * 1024 * 1024;
/// The longest message of any kind: PostgreSQL makes none above a gibibyte. Rows and COPY data up to this are passed on as they
/// arrive where nothing in them has to be looked at.
pub const STREAM_CAP: usize = 1024 * 1024 * 1024;
/// The longest message of a target that carries no row.
const TARGET_SMALL_CAP: usize = 1024 * 1024;

/// A frame that cannot be taken. The peer's bytes after it mean nothing any more: the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A tag that this state does not know.
    #[error("unexpected message type 0x{0:02x}")]
    Tag(u8),
    /// A length below its own four bytes, or beyond the cap of its tag.
    #[error("message type 0x{tag:02x} with length {length}")]
    Length {
        /// The tag.
        tag: u8,
        /// The length as sent.
        length: u32,
    },
    /// The body is not what its tag says.
    #[error("malformed message")]
    Malformed,
}

/// The head of a frame whose length has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What message it is.
    pub tag: u8,
    /// Bytes of the whole frame, header included.
    pub len: usize,
}

/// Reads the head of the first frame, once its five bytes are there.
///
/// `cap` gives the longest body of a tag, or `None` for a tag that has no place here.
///
/// # Errors
/// As soon as the head is there and cannot be taken; its body need not have arrived.
pub fn head(bytes: &[u8], cap: impl Fn(u8) -> Option<usize>) -> Result<Option<Head>, FrameError> {
    let Some([tag, a, b, c, d]) = bytes.first_chunk::<HEADER>().copied() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    let cap = cap(tag).ok_or(FrameError::Tag(tag))?;
    let wrong = FrameError::Length { tag, length };
    let body = length.checked_sub(4).ok_or(wrong)? as usize;
    if body > cap {
        return Err(wrong);
    }
    Ok(Some(Head {
        tag,
        len: HEADER + body,
    }))
}

/// Caps of what a client may send once it is in.
#[must_use]
pub fn client_cap(tag: u8) -> Option<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => Some(CLIENT_CAP),
        b'D' | b'E' | b'C' | b'f' => Some(CLIENT_SMALL_CAP),
        b'S' | b'H' | b'X' | b'c' => Some(0),
        _ => None,
    }
}

/// Caps of what a target may send once it has let the door in. CopyBothResponse (`W`) belongs to replication alone.
#[must_use]
pub fn target_cap(tag: u8) -> Option<usize> {
    match tag {
        b'D' | b'd' | b'V' => Some(TARGET_CAP),
        b'T' | b't' | b'E' | b'N' | b'A' | b'S' | b'C' | b'G' | b'H' => Some(TARGET_SMALL_CAP),
        b'Z' => Some(1),
        b'1' | b'2' | b'3' | b'I' | b'n' | b's' | b'c' => Some(0),
        _ => None,
    }
}

/// As [`target_cap`], for a session that passes rows and COPY data on as they arrive.
#[must_use]
pub fn stream_cap(tag: u8) -> Option<usize> {
    match tag {
        b'D' | b'd' => Some(STREAM_CAP),
        tag => target_cap(tag),
    }
}

/// Caps of a client's messages while a COPY from it runs: its data goes on as it arrives.
#[must_use]
pub fn copy_cap(tag: u8) -> Option<usize> {
    match tag {
        b'd' => Some(STREAM_CAP),
        tag => client_cap(tag),
    }
}

/// Reads a body; every step is an error when too little is left.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    /// The body of a whole frame.
    #[must_use]
    pub fn of(frame: &'a [u8]) -> Self {
        Self {
            rest: frame.get(HEADER..).unwrap_or_default(),
        }
    }

    /// Bytes without a header.
    #[must_use]
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Exactly `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], FrameError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(FrameError::Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(FrameError::Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, FrameError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, signed.
    pub fn i16(&mut self) -> Result<i16, FrameError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A count: PostgreSQL reads these as unsigned 16 bits.
    pub fn count(&mut self) -> Result<usize, FrameError> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    /// Four bytes, signed.
    pub fn i32(&mut self) -> Result<i32, FrameError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes, unsigned: an OID.
    pub fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Bytes up to a NUL inside the body; the NUL is read and left out.
    pub fn cstr(&mut self) -> Result<&'a [u8], FrameError> {
        let end = memchr(0, self.rest).ok_or(FrameError::Malformed)?;
        let text = self.take(end)?;
        self.u8()?;
        Ok(text)
    }

    /// As [`Body::cstr`], in UTF-8: the session's encoding is UTF-8, anything else would be read one way here and another
    /// way at the target.
    pub fn text(&mut self) -> Result<&'a str, FrameError> {
        std::str::from_utf8(self.cstr()?).map_err(|_| FrameError::Malformed)
    }

    /// A length-prefixed value; -1 is NULL, any other negative length an error (CVE-2026-4427).
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        match self.i32()? {
            -1 => Ok(None),
            len => self
                .take(usize::try_from(len).map_err(|_| FrameError::Malformed)?)
                .map(Some),
        }
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), FrameError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Malformed)
        }
    }
}

/// Appends a frame whose body `write` produces.
pub fn put(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(at..).and_then(|tail| tail.first_chunk_mut::<4>()) {
        *slot = length.to_be_bytes();
    }
}

/// Appends a string and its NUL. A NUL inside would end it early and is left out.
pub fn put_cstr(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some((piece, behind)) = memchr::memchr(0, rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(piece);
        rest = behind.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_checked_before_bodies_arrive() {
        let query = |length: u32| {
            let mut bytes = vec![b'Q'];
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes
        };
        let cases: [(Vec<u8>, Result<Option<Head>, FrameError>); 8] = [
            (vec![], Ok(None)),
            (vec![b'Q', 0, 0, 0], Ok(None)),
            (query(4), Ok(Some(Head { tag: b'Q', len: 5 }))),
            (query(100), Ok(Some(Head { tag: b'Q', len: 101 }))),
            (query(3), Err(FrameError::Length { tag: b'Q', length: 3 })),
            (query(0), Err(FrameError::Length { tag: b'Q', length: 0 })),
            (
                query(u32::MAX),
                Err(FrameError::Length {
                    tag: b'Q',
                    length: u32::MAX,
                }),
            ),
            (vec![b'!', 0, 0, 0, 4], Err(FrameError::Tag(b'!'))),
        ];
        for (bytes, want) in cases {
            assert_eq!(head(&bytes, client_cap), want, "{bytes:?}");
        }
        assert_eq!(
            head(&[b'S', 0, 0, 0, 5], client_cap),
            Err(FrameError::Length { tag: b'S', length: 5 })
        );
    }

    #[test]
    fn no_reader_leaves_its_body() {
        let mut body = Body::new(b"abc");
        assert_eq!(body.cstr(), Err(FrameError::Malformed));
        let mut body = Body::new(b"a\0\xff\0rest");
        assert_eq!(body.cstr(), Ok(&b"a"[..]));
        assert_eq!(body.text(), Err(FrameError::Malformed));
        for (bytes, want) in [
            (&[0xff, 0xff, 0xff, 0xff][..], Ok(None)),
            (&[0xff, 0xff, 0xff, 0xfe], Err(FrameError::Malformed)),
            (&[0, 0, 0, 2, 7], Err(FrameError::Malformed)),
            (&[0, 0, 0, 1, 7], Ok(Some(&[7u8][..]))),
            (&[0x7f, 0xff, 0xff, 0xff], Err(FrameError::Malformed)),
        ] {
            assert_eq!(Body::new(bytes).value(), want, "{bytes:?}");
        }
        assert_eq!(Body::new(b"x").end(), Err(FrameError::Malformed));
    }

    #[test]
    fn put_writes_what_head_reads() {
        let mut out = Vec::new();
        put(&mut out, b'Q', |out| put_cstr(out, "sel\0ect"));
        assert_eq!(out, b"Q\0\0\0\x0bselect\0");
        assert_eq!(
            head(&out, client_cap),
            Ok(Some(Head {
                tag: b'Q',
                len: out.len()
            }))
        );
    }
}
