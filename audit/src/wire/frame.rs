//! Bytes of frames: pure encoding and decoding, every length checked before it is believed.

use serde::de::DeserializeOwned;

use super::{
    Ack, Batch, Hello, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_CONTROL_BYTES, MAX_PRESENT_BYTES, Present, Refuse,
    Vouched, Welcome,
};
use crate::Digest;
use crate::checkpoint::Head;
use crate::record::MAX_ENTRY;

/// Length and kind.
pub const HEADER_LEN: usize = 5;
const HEAD_LEN: usize = 8 + 32 + 64;
/// First number, flag, head, count.
const BATCH_OVERHEAD: usize = 8 + 1 + HEAD_LEN + 4;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const BATCH: u8 = 3;
const ACK: u8 = 4;
const REFUSE: u8 = 5;
const KEEP_ALIVE: u8 = 6;
const BYE: u8 = 7;
const PRESENT: u8 = 8;
const VOUCHED: u8 = 9;

/// Bytes that are no frame. The stream ends: there is no way to find the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A kind that this version does not know.
    #[error("a frame of kind {0}, which this version does not know")]
    Kind(u8),
    /// A length beyond the kind's bound, or below one.
    #[error("a frame of kind {kind} with {len} bytes")]
    Length {
        /// Its kind.
        kind: u8,
        /// Its payload's length.
        len: usize,
    },
    /// A payload that does not fit its kind.
    #[error("a frame of kind {0} that does not decode")]
    Payload(u8),
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Door to recorder, first.
    Hello(Hello),
    /// Recorder to door, first.
    Welcome(Welcome),
    /// Door to recorder.
    Batch(Batch),
    /// Recorder to door.
    Ack(Ack),
    /// Recorder to door, last.
    Refuse(Refuse),
    /// Both ways, when there is nothing else to say.
    KeepAlive,
    /// Door to recorder, last: this instance is over.
    Bye,
    /// Door to recorder: by which token a session is about to start.
    Present(Present),
    /// Recorder to door: whether it may.
    Vouched(Vouched),
}

/// A frame's first five bytes, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    kind: u8,
    len: usize,
}

impl FrameHeader {
    /// Reads length and kind.
    ///
    /// # Errors
    /// When the kind is unknown or the length beyond its bound: nothing is allocated for it.
    pub fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, WireError> {
        let [a, b, c, d, kind] = bytes;
        let bound = match kind {
            BATCH => MAX_BATCH_BYTES,
            HELLO | WELCOME | REFUSE | VOUCHED => MAX_CONTROL_BYTES,
            PRESENT => MAX_PRESENT_BYTES,
            ACK => 8 + HEAD_LEN,
            KEEP_ALIVE | BYE => 0,
            _ => return Err(WireError::Kind(kind)),
        };
        let total = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        match total.checked_sub(1) {
            Some(len) if len <= bound => Ok(Self { kind, len }),
            _ => Err(WireError::Length { kind, len: total }),
        }
    }

    /// Bytes of payload that follow.
    #[must_use]
    pub fn payload_len(self) -> usize {
        self.len
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When it does not fit the kind, to the last byte.
    pub fn decode(self, payload: &[u8]) -> Result<Frame, WireError> {
        let bad = WireError::Payload(self.kind);
        if payload.len() != self.len {
            return Err(bad);
        }
        match self.kind {
            HELLO => json(payload).map(Frame::Hello),
            WELCOME => json(payload).map(Frame::Welcome),
            REFUSE => json(payload).map(Frame::Refuse),
            BATCH => batch(payload).map(Frame::Batch),
            ACK => ack(payload).map(Frame::Ack),
            KEEP_ALIVE => Some(Frame::KeepAlive),
            BYE => Some(Frame::Bye),
            PRESENT => json(payload).map(Frame::Present),
            VOUCHED => json(payload).map(Frame::Vouched),
            _ => None,
        }
        .ok_or(bad)
    }
}

impl Frame {
    /// Appends the frame's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        let kind = match self {
            Self::Hello(hello) => put_json(out, hello, HELLO),
            Self::Welcome(welcome) => put_json(out, welcome, WELCOME),
            Self::Refuse(refuse) => put_json(out, refuse, REFUSE),
            Self::Batch(batch) => put_batch(out, batch),
            Self::Ack(ack) => {
                out.extend_from_slice(&ack.up_to.to_be_bytes());
                put_head(out, &ack.head);
                ACK
            }
            Self::KeepAlive => KEEP_ALIVE,
            Self::Bye => BYE,
            Self::Present(present) => put_json(out, present, PRESENT),
            Self::Vouched(vouched) => put_json(out, vouched, VOUCHED),
        };
        let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(header) = out.get_mut(start..start + HEADER_LEN) {
            let [a, b, c, d] = len.to_be_bytes();
            header.copy_from_slice(&[a, b, c, d, kind]);
        }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// How many of the records, by their lengths, fit into one batch.
pub fn batch_room(lengths: impl IntoIterator<Item = usize>) -> usize {
    let mut room = MAX_BATCH_BYTES - BATCH_OVERHEAD;
    lengths
        .into_iter()
        .take(MAX_BATCH_RECORDS)
        .take_while(|len| match room.checked_sub(len + 2) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        })
        .count()
}

fn json<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

fn put_json(out: &mut Vec<u8>, value: &impl serde::Serialize, kind: u8) -> u8 {
    // Strings and numbers alone: this serialisation cannot fail, and an empty payload would be refused by the reader.
    out.extend(serde_json::to_vec(value).unwrap_or_default());
    kind
}

fn put_head(out: &mut Vec<u8>, head: &Head) {
    out.extend_from_slice(&head.size.to_be_bytes());
    out.extend_from_slice(head.root.as_bytes());
    out.extend_from_slice(&head.signature);
}

fn put_batch(out: &mut Vec<u8>, batch: &Batch) -> u8 {
    out.extend_from_slice(&batch.first.to_be_bytes());
    out.push(u8::from(batch.head.is_some()));
    if let Some(head) = &batch.head {
        put_head(out, head);
    }
    out.extend_from_slice(&u32::try_from(batch.records.len()).unwrap_or(u32::MAX).to_be_bytes());
    for record in &batch.records {
        // Whoever makes records bounds them; a longer one gets a length that the reader refuses.
        out.extend_from_slice(&u16::try_from(record.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(record);
    }
    BATCH
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn head(&mut self) -> Option<Head> {
        Some(Head {
            size: self.u64()?,
            root: Digest::from_bytes(self.array()?),
            signature: self.array()?,
        })
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

fn ack(payload: &[u8]) -> Option<Ack> {
    let mut cursor = Cursor(payload);
    let ack = Ack {
        up_to: cursor.u64()?,
        head: cursor.head()?,
    };
    cursor.end(ack)
}

fn batch(payload: &[u8]) -> Option<Batch> {
    let mut cursor = Cursor(payload);
    let first = cursor.u64()?;
    let head = match cursor.array::<1>()? {
        [0] => None,
        [1] => Some(cursor.head()?),
        _ => return None,
    };
    let count = usize::try_from(u32::from_be_bytes(cursor.array()?))
        .ok()
        .filter(|n| (1..=MAX_BATCH_RECORDS).contains(n))?;
    // Each record takes three bytes at least: a count that the payload cannot hold allocates nothing.
    let mut records = Vec::with_capacity(count.min(payload.len() / 3));
    for _ in 0..count {
        let len = usize::from(u16::from_be_bytes(cursor.array()?));
        if len == 0 || len > MAX_ENTRY {
            return None;
        }
        records.push(cursor.bytes(len)?.to_vec());
    }
    cursor.end(Batch { first, head, records })
}
