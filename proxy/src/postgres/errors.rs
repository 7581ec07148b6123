//! ErrorResponse and NoticeResponse: the door's own, and those of a target, field by field.

use pgwire::error::ErrorInfo;

use super::frame::{self, Body, FrameError};

mod constant;
mod named;
mod relayed;
mod spelled;

pub use relayed::{Reader, is_known};

/// The reserved field that marks what the door itself says. PostgreSQL assigns none with this letter; it is taken out of
/// whatever a target sends, so that a hostile target cannot forge a hold with a command to paste.
pub const OWN: u8 = b'y';
/// Its value.
const OWN_MARK: &str = "sallyport";

/// SQLSTATEs that the door itself uses.
pub mod sqlstate {
    /// A verdict.
    pub const DENIED: &str = "42501";
    /// Who are you?
    pub const BAD_LOGIN: &str = "28000";
    /// A startup or setting that is refused.
    pub const BAD_SETTING: &str = "22023";
    /// A setting that this version of the target does not know.
    pub const NO_SETTING: &str = "42704";
    /// A database that does not exist.
    pub const NO_DATABASE: &str = "3D000";
    /// A prepared statement that does not exist.
    pub const NO_STATEMENT: &str = "26000";
    /// A portal that does not exist.
    pub const NO_PORTAL: &str = "34000";
    /// A text that does not parse.
    pub const SYNTAX: &str = "42601";
    /// Bytes that are no text in the session's encoding.
    pub const MISENCODED: &str = "22021";
    /// Something this door does not do.
    pub const UNSUPPORTED: &str = "0A000";
    /// The protocol was broken.
    pub const PROTOCOL: &str = "08P01";
    /// The door, the target or whoever has to be asked is not there now.
    pub const UNAVAILABLE: &str = "57P03";
    /// The session ends.
    pub const SHUTDOWN: &str = "57P01";
    /// The person took it back.
    pub const CANCELED: &str = "57014";
    /// A limit.
    pub const TOO_MANY: &str = "53300";
    /// No room for something large.
    pub const NO_ROOM: &str = "53200";
    /// Evidence cannot be written.
    pub const NO_EVIDENCE: &str = "58030";
    /// Too big or too many.
    pub const LIMIT: &str = "54000";
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The session is over.
    Fatal,
    /// The command is refused, the session lives on.
    Error,
    /// To be read, nothing else.
    Notice,
    /// To be read with care.
    Warning,
}

/// Something that the door says to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How bad.
    pub severity: Severity,
    /// SQLSTATE.
    pub code: &'static str,
    /// What.
    pub message: String,
    /// More, on a line of its own.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where in the client's text, in characters from 1.
    pub position: Option<usize>,
}

/// One field of an ErrorResponse or NoticeResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its letter.
    pub code: u8,
    /// Its text; not promised to be UTF-8.
    pub text: &'a [u8],
}

/// The fields of a target's ErrorResponse or NoticeResponse.
///
/// # Errors
/// When the body is not a list of fields.
pub fn fields(mut body: Body<'_>) -> Result<Vec<Field<'_>>, FrameError> {
    let mut found = Vec::new();
    loop {
        match body.u8()? {
            0 => return body.end().map(|()| found),
            code => found.push(Field {
                code,
                text: body.cstr()?,
            }),
        }
    }
}

/// The SQLSTATE among fields, if it looks like one.
#[must_use]
pub fn code<'a>(fields: &[Field<'a>]) -> Option<&'a str> {
    let field = fields.iter().find(|field| field.code == b'C')?;
    std::str::from_utf8(field.text)
        .ok()
        .filter(|text| text.len() == 5 && text.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The fields with another position.
#[must_use]
pub fn with_position<'a>(fields: &[Field<'a>], position: Option<&'a str>) -> Vec<Field<'a>> {
    let moved = |field: &Field<'a>| match (field.code, position) {
        (b'P', Some(text)) => Field {
            code: b'P',
            text: text.as_bytes(),
        },
        _ => *field,
    };
    fields.iter().map(moved).collect()
}

// === impl Said ===

impl Said {
    /// An error: the command is refused, the session lives on.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// The session is over.
    pub fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, code, message)
    }

    /// A notice.
    pub fn notice(message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, "00000", message)
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, "01000", message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    /// Adds a detail.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Appends it as ErrorResponse or NoticeResponse.
    pub fn put(&self, out: &mut Vec<u8>) {
        let tag = match self.severity {
            Severity::Fatal | Severity::Error => b'E',
            Severity::Notice | Severity::Warning => b'N',
        };
        frame::put(out, tag, |out| {
            for (code, text) in self.fields() {
                out.push(code);
                frame::put_cstr(out, &text);
            }
            out.push(OWN);
            frame::put_cstr(out, OWN_MARK);
            out.push(0);
        });
    }

    /// The fields in PostgreSQL's own order, by way of pgwire's vocabulary.
    fn fields(&self) -> Vec<(u8, String)> {
        let mut info = ErrorInfo::new(
            self.severity.word().to_owned(),
            self.code.to_owned(),
            self.message.clone(),
        );
        info.severity_nonlocalized = Some(self.severity.word().to_owned());
        info.detail.clone_from(&self.detail);
        info.hint.clone_from(&self.hint);
        info.position = self.position.map(|position| position.to_string());
        pgwire::messages::response::ErrorResponse::from(info).fields
    }
}

// === impl Severity ===

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
        }
    }
}
