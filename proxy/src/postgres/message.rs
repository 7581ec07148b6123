//! What messages say: bodies of frames, read without copying.
//!
//! Every function takes exactly one body and is an error unless it consumes all of it. Counts are never trusted for an
//! allocation: a list grows by elements that were read.

use super::frame::{Body, FrameError};

/// Parse: a statement with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Name of the prepared statement; empty for the unnamed one.
    pub statement: &'a str,
    /// The SQL text.
    pub text: &'a str,
    /// Types that the client states; 0 where it leaves one to the server.
    pub types: Vec<u32>,
}

/// Bind: a statement with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Name of the portal; empty for the unnamed one.
    pub portal: &'a str,
    /// Name of the prepared statement.
    pub statement: &'a str,
    /// Formats of the parameters: none, one for all, or one each.
    pub formats: Vec<i16>,
    /// The parameters; `None` is NULL.
    pub values: Vec<Option<&'a [u8]>>,
    /// Formats of the result's columns: none, one for all, or one each.
    pub result_formats: Vec<i16>,
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// A prepared statement.
    Statement(&'a str),
    /// A portal.
    Portal(&'a str),
}

/// Execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// Name of the portal.
    pub portal: &'a str,
    /// Rows after which to suspend; 0 for none.
    pub max_rows: i32,
}

/// FunctionCall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// `pg_proc.oid`.
    pub function: u32,
    /// Formats and values of its arguments, written as in a Bind.
    pub arguments: &'a [u8],
    /// Format of its result.
    pub result_format: i16,
}

/// One column of a RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The column's name in the result.
    pub name: &'a [u8],
    /// OID of the table that it comes from unchanged, or 0.
    pub table: u32,
    /// Its number there, or 0.
    pub column: i16,
    /// Its type.
    pub type_oid: u32,
    /// `pg_type.typlen`.
    pub type_len: i16,
    /// `pg_attribute.atttypmod`.
    pub type_mod: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// State of the transaction, from ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// None is open.
    Idle,
    /// One is open.
    Open,
    /// One is open that nobody opened in so many words: a pipeline's own, which goes on behind a Query as PostgreSQL 18 has it. No
    /// target says so: it calls that open, too.
    Unsynced,
    /// One is open and failed; only its end is taken.
    Failed,
}

/// Query: the text.
pub fn query(body: Body<'_>) -> Result<&str, FrameError> {
    let mut body = body;
    let text = body.text()?;
    body.end().map(|()| text)
}

/// Whether a Query that could not be read is one all the same, and only its bytes are no UTF-8.
#[must_use]
pub fn is_misencoded(body: Body<'_>) -> bool {
    let mut body = body;
    let text = body.cstr();
    text.is_ok_and(|text| std::str::from_utf8(text).is_err()) && body.end().is_ok()
}

/// Parse.
pub fn parse(mut body: Body<'_>) -> Result<Parse<'_>, FrameError> {
    let (statement, text) = (body.text()?, body.text()?);
    let types = list(&mut body, Body::u32)?;
    body.end().map(|()| Parse { statement, text, types })
}

/// Bind.
pub fn bind(mut body: Body<'_>) -> Result<Bind<'_>, FrameError> {
    let (portal, statement) = (body.text()?, body.text()?);
    let formats = list(&mut body, Body::i16)?;
    let values = list(&mut body, Body::value)?;
    let result_formats = list(&mut body, Body::i16)?;
    let known = |format: &i16| matches!(format, 0 | 1);
    if !formats.iter().all(known) || !result_formats.iter().all(known) {
        return Err(FrameError::Malformed);
    }
    body.end().map(|()| Bind {
        portal,
        statement,
        formats,
        values,
        result_formats,
    })
}

/// How many values a Bind says that it has, of which none is read. None where that cannot be read: then the Bind cannot, either.
#[must_use]
pub fn bound(mut body: Body<'_>) -> usize {
    let mut count = || {
        body.cstr()?;
        body.cstr()?;
        let formats = body.count()?;
        body.take(formats * 2)?;
        body.count()
    };
    count().unwrap_or_default()
}

/// Describe and Close.
pub fn named(mut body: Body<'_>) -> Result<Named<'_>, FrameError> {
    let kind = body.u8()?;
    let name = body.text()?;
    body.end()?;
    match kind {
        b'S' => Ok(Named::Statement(name)),
        b'P' => Ok(Named::Portal(name)),
        _ => Err(FrameError::Malformed),
    }
}

/// Execute.
pub fn execute(mut body: Body<'_>) -> Result<Execute<'_>, FrameError> {
    let (portal, max_rows) = (body.text()?, body.i32()?);
    body.end().map(|()| Execute { portal, max_rows })
}

/// FunctionCall.
pub fn function_call(mut body: Body<'_>) -> Result<FunctionCall<'_>, FrameError> {
    let function = body.u32()?;
    let rest = body.rest();
    list(&mut body, Body::i16)?;
    list(&mut body, Body::value)?;
    let used = rest.len() - body.rest().len();
    let result_format = body.i16()?;
    body.end().map(|()| FunctionCall {
        function,
        arguments: rest.get(..used).unwrap_or_default(),
        result_format,
    })
}

/// RowDescription.
pub fn row_description(mut body: Body<'_>) -> Result<Vec<Field<'_>>, FrameError> {
    let fields = list(&mut body, field)?;
    body.end().map(|()| fields)
}

/// ReadyForQuery.
pub fn ready(mut body: Body<'_>) -> Result<Transaction, FrameError> {
    let status = body.u8()?;
    body.end()?;
    match status {
        b'I' => Ok(Transaction::Idle),
        b'T' => Ok(Transaction::Open),
        b'E' => Ok(Transaction::Failed),
        _ => Err(FrameError::Malformed),
    }
}

/// ParameterStatus: name and value.
pub fn parameter_status(mut body: Body<'_>) -> Result<(&str, &str), FrameError> {
    let pair = (body.text()?, body.text()?);
    body.end().map(|()| pair)
}

/// BackendKeyData: process and secret, 4 to 256 bytes (protocol 3.2).
pub fn key_data(mut body: Body<'_>) -> Result<(i32, &[u8]), FrameError> {
    let pid = body.i32()?;
    let secret = body.rest();
    if (4..=256).contains(&secret.len()) {
        Ok((pid, secret))
    } else {
        Err(FrameError::Malformed)
    }
}

/// NotificationResponse: process, channel, payload.
pub fn notification(mut body: Body<'_>) -> Result<(i32, &str, &str), FrameError> {
    let parts = (body.i32()?, body.text()?, body.text()?);
    body.end().map(|()| parts)
}

/// CommandComplete: the tag, such as `INSERT 0 2`.
pub fn command_complete(mut body: Body<'_>) -> Result<&str, FrameError> {
    let tag = body.text()?;
    body.end().map(|()| tag)
}

/// CopyInResponse and CopyOutResponse: overall format, and one for each column.
pub fn copy_response(mut body: Body<'_>) -> Result<(i8, Vec<i16>), FrameError> {
    let overall = i8::from_be_bytes([body.u8()?]);
    let formats = list(&mut body, Body::i16)?;
    body.end().map(|()| (overall, formats))
}

/// ParameterDescription: types of a statement's parameters.
pub fn parameter_description(mut body: Body<'_>) -> Result<Vec<u32>, FrameError> {
    let types = list(&mut body, Body::u32)?;
    body.end().map(|()| types)
}

fn field<'a>(body: &mut Body<'a>) -> Result<Field<'a>, FrameError> {
    Ok(Field {
        name: body.cstr()?,
        table: body.u32()?,
        column: body.i16()?,
        type_oid: body.u32()?,
        type_len: body.i16()?,
        type_mod: body.i32()?,
        format: body.i16()?,
    })
}

fn list<'a, T>(
    body: &mut Body<'a>,
    mut element: impl FnMut(&mut Body<'a>) -> Result<T, FrameError>,
) -> Result<Vec<T>, FrameError> {
    let count = body.count()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(element(body)?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_lie_about_their_length_are_errors() {
        // 65,535 types announced, one sent.
        assert_eq!(
            parse(Body::new(b"s\0select 1\0\xff\xff\0\0\0\x17")),
            Err(FrameError::Malformed)
        );
        assert_eq!(
            bind(Body::new(b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0")),
            Err(FrameError::Malformed)
        );
        assert_eq!(row_description(Body::new(b"\0\x02a\0")), Err(FrameError::Malformed));
        assert_eq!(query(Body::new(b"select 1")), Err(FrameError::Malformed));
        assert_eq!(query(Body::new(b"select 1\0select 2\0")), Err(FrameError::Malformed));
        assert_eq!(query(Body::new(b"")), Err(FrameError::Malformed));
        assert_eq!(query(Body::new(b"select '\xff'\0")), Err(FrameError::Malformed));
        assert!(is_misencoded(Body::new(b"select '\xff'\0")));
        for other in [&b"select 1\0"[..], b"select '\xff'", b"select '\xff'\0select 1\0", b""] {
            assert!(!is_misencoded(Body::new(other)), "{other:?}");
        }
        assert_eq!(key_data(Body::new(&[0, 0, 0, 1, 1, 2, 3])), Err(FrameError::Malformed));
        assert_eq!(ready(Body::new(b"X")), Err(FrameError::Malformed));
    }

    #[test]
    fn a_bind_is_read_whole() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01\0\0";
        let got = bind(Body::new(body)).unwrap();
        assert_eq!((got.portal, got.statement), ("p", "s"));
        assert_eq!(got.formats, [1]);
        assert_eq!(got.values, [Some(&b"x"[..]), None]);
        assert_eq!(got.result_formats, [0]);
        assert_eq!(bound(Body::new(body)), 2);
        assert_eq!(bound(Body::new(b"p\0s\0\xff\xff\0\x01")), 0);
        let body = b"\0\0\x03\xbb\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01";
        let got = function_call(Body::new(body)).unwrap();
        assert_eq!((got.function, got.result_format), (955, 1));
        assert_eq!(got.arguments, b"\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff");
        for cut in 0..body.len() {
            assert_eq!(
                function_call(Body::new(&body[..cut])),
                Err(FrameError::Malformed),
                "{cut}"
            );
        }
        assert_eq!(
            function_call(Body::new(&[&body[..], b"x"].concat())),
            Err(FrameError::Malformed)
        );
        // A format that is neither text nor binary.
        assert_eq!(bind(Body::new(b"\0\0\0\x01\0\x02\0\0\0\0")), Err(FrameError::Malformed));
    }
}
