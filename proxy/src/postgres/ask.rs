//! The door's own questions to a target, as text rows.

use tokio::io::{AsyncRead, AsyncWrite};

use super::errors;
use super::frame::{self, Body, FrameError, target_cap};
use super::wire::{Wire, WireError};

/// What an answer may weigh: a catalog of some 100,000 columns.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// One row: a text or NULL for each column.
pub type Row = Vec<Option<String>>;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The target is gone or broke the protocol.
    #[error("the target: {0}")]
    Wire(#[from] WireError),
    /// It answered with an error.
    #[error("the target answered SQLSTATE {0}")]
    Refused(String),
    /// The answer is larger than a catalog can be.
    #[error("the target's answer is too large")]
    TooLarge,
}

/// Collects the answer to one Query string: the rows of each of its statements.
#[derive(Debug, Default)]
pub struct Answer {
    results: Vec<Vec<Row>>,
    current: Vec<Row>,
    bytes: usize,
    refused: Option<String>,
}

/// Appends a Query.
pub fn put_query(out: &mut Vec<u8>, sql: &str) {
    frame::put(out, b'Q', |out| frame::put_cstr(out, sql));
}

/// Asks on a connection that serves nobody else.
///
/// # Errors
/// When the target is gone, refuses, or answers too much.
pub async fn ask(wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>, sql: &str) -> Result<Vec<Vec<Row>>, AskError> {
    put_query(&mut wire.out, sql);
    answered(wire).await
}

/// Appends a call of a function without arguments by FunctionCall, which the target neither parses nor plans.
pub fn put_call(out: &mut Vec<u8>, function: u32) {
    frame::put(out, b'F', |out| {
        out.extend_from_slice(&function.to_be_bytes());
        // No formats, no arguments, and the result as text.
        out.extend_from_slice(&[0; 6]);
    });
}

/// The answer to a call that was sent.
///
/// # Errors
/// As [`ask`].
pub async fn called(wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>) -> Result<Option<String>, AskError> {
    let mut rows = answered(wire).await?.into_iter().flatten();
    Ok(rows.next().and_then(|row| row.into_iter().next().flatten()))
}

async fn answered(wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>) -> Result<Vec<Vec<Row>>, AskError> {
    wire.flush().await.map_err(WireError::from)?;
    let mut answer = Answer::default();
    loop {
        let head = wire.frame(target_cap).await?;
        let bytes = wire.take(head.len);
        if answer.take(head.tag, Body::of(&bytes))? {
            return answer.finish();
        }
    }
}

// === impl Answer ===

impl Answer {
    /// Takes one message; `true` once the answer is complete.
    ///
    /// # Errors
    /// When the message has no place in an answer.
    pub fn take(&mut self, tag: u8, body: Body<'_>) -> Result<bool, AskError> {
        self.bytes = self.bytes.saturating_add(body.rest().len());
        if self.bytes > MAX_ANSWER {
            return Err(AskError::TooLarge);
        }
        match tag {
            b'D' => self.current.push(row(body).map_err(WireError::from)?),
            b'V' => {
                let mut body = body;
                let value = value(&mut body).map_err(WireError::from)?;
                body.end().map_err(WireError::from)?;
                self.results.push(vec![vec![value]]);
            }
            b'C' | b'I' => self.results.push(std::mem::take(&mut self.current)),
            b'E' => {
                let fields = errors::fields(body).map_err(WireError::from)?;
                self.refused = Some(errors::code(&fields).unwrap_or("unknown").to_owned());
            }
            b'Z' => return Ok(true),
            // Between the rows, or in front of them where they are asked for by messages.
            b'T' | b'N' | b'S' | b'A' | b'1' | b'2' | b'3' => {}
            tag => return Err(WireError::from(FrameError::Tag(tag)).into()),
        }
        Ok(false)
    }

    /// The rows of each statement.
    ///
    /// # Errors
    /// When the target refused.
    pub fn finish(self) -> Result<Vec<Vec<Row>>, AskError> {
        match self.refused {
            Some(code) => Err(AskError::Refused(code)),
            None => Ok(self.results),
        }
    }
}

fn row(mut body: Body<'_>) -> Result<Row, FrameError> {
    let count = body.count()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(value(&mut body)?);
    }
    body.end().map(|()| values)
}

fn value(body: &mut Body<'_>) -> Result<Option<String>, FrameError> {
    let text = body
        .value()?
        .map(|bytes| std::str::from_utf8(bytes).map(str::to_owned))
        .transpose();
    text.map_err(|_| FrameError::Malformed)
}

/// One text of a row; empty where it is NULL or missing.
#[must_use]
pub fn text(row: &Row, column: usize) -> &str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::put(&mut out, tag, |out| out.extend_from_slice(body));
        out
    }

    #[test]
    fn rows_come_by_statement_and_lies_are_errors() {
        let mut answer = Answer::default();
        let row = message(b'D', b"\0\x02\0\0\0\x01x\xff\xff\xff\xff");
        assert!(!answer.take(b'D', Body::of(&row)).unwrap());
        assert!(!answer.take(b'C', Body::new(b"SELECT 1\0")).unwrap());
        assert!(!answer.take(b'C', Body::new(b"SELECT 0\0")).unwrap());
        assert!(answer.take(b'Z', Body::new(b"I")).unwrap());
        assert_eq!(
            answer.finish().unwrap(),
            vec![vec![vec![Some("x".to_owned()), None]], vec![]]
        );
        let mut answer = Answer::default();
        assert!(!answer.take(b'V', Body::new(b"\0\0\0\x030/1")).unwrap());
        assert!(answer.take(b'Z', Body::new(b"I")).unwrap());
        assert_eq!(answer.finish().unwrap(), vec![vec![vec![Some("0/1".to_owned())]]]);
        let mut answer = Answer::default();
        assert!(answer.take(b'V', Body::new(b"\0\0\0\x030/1more")).is_err());
        assert!(answer.take(b'D', Body::new(b"\0\x02\0\0\0\x01x")).is_err());
        assert!(answer.take(b'W', Body::new(b"")).is_err());
    }
}
