//! The messages of a pipeline, read.

use crate::postgres::errors::{Said, sqlstate};
use crate::postgres::frame::{Body, FrameError, Head};
use crate::postgres::message::{self, Bind, Execute, Named, Parse};
use crate::postgres::names::Stated;
use crate::postgres::script;

/// The longest name that PostgreSQL keeps, in bytes (`NAMEDATALEN` less one).
pub(super) const NAME_BYTES: usize = 63;

/// One message of a pipeline, read.
pub enum Sent<'a> {
    /// Parse, with its statement; the error where it does not parse.
    Parse(Parse<'a>, Result<Option<Stated>, Box<Said>>),
    /// Bind.
    Bind(Bind<'a>),
    /// Describe.
    Describe(Named<'a>),
    /// Execute.
    Execute(Execute<'a>),
    /// Close.
    Close(Named<'a>),
    /// Sync.
    Sync,
    /// Flush.
    Flush,
}

/// Reads the messages of a pipeline.
///
/// # Errors
/// When one is malformed: then nothing of the unit is used.
pub fn sent<'a>(bytes: &'a [u8], heads: &[Head]) -> Result<Vec<(Head, Sent<'a>)>, FrameError> {
    let mut at = 0;
    let mut messages = Vec::with_capacity(heads.len());
    for head in heads {
        let frame = bytes.get(at..at + head.len).ok_or(FrameError::Malformed)?;
        at += head.len;
        let body = Body::of(frame);
        let message = match head.tag {
            b'P' => {
                let parse = message::parse(body)?;
                let stated = stated(parse.text);
                Sent::Parse(parse, stated)
            }
            b'B' => Sent::Bind(message::bind(body)?),
            b'D' => Sent::Describe(message::named(body)?),
            b'E' => Sent::Execute(message::execute(body)?),
            b'C' => Sent::Close(message::named(body)?),
            b'S' => Sent::Sync,
            b'H' => Sent::Flush,
            tag => return Err(FrameError::Tag(tag)),
        };
        messages.push((*head, message));
    }
    Ok(messages)
}

/// The one statement of a text; none for an empty one.
fn stated(text: &str) -> Result<Option<Stated>, Box<Said>> {
    let text = script::read(text).map_err(|error| Box::new(script::said(&error)))?;
    match text.script.statements.len() {
        0 => Ok(None),
        1 => Ok(Some(Stated {
            text: text.text,
            script: text.script,
            index: 0,
        })),
        _ => {
            let words = "cannot insert multiple commands into a prepared statement";
            Err(Box::new(Said::error(sqlstate::SYNTAX, words)))
        }
    }
}

// === impl Sent ===

impl<'a> Sent<'a> {
    /// Whether PostgreSQL cuts a name in it, and takes it for another that begins alike.
    pub(super) fn has_cut_name(&self) -> bool {
        self.names().into_iter().any(|name| name.len() > NAME_BYTES)
    }

    /// Names of statements and portals in it.
    fn names(&self) -> [&'a str; 2] {
        match self {
            Self::Parse(parse, _) => [parse.statement, ""],
            Self::Bind(bind) => [bind.portal, bind.statement],
            Self::Describe(Named::Statement(name) | Named::Portal(name))
            | Self::Close(Named::Statement(name) | Named::Portal(name)) => [*name, ""],
            Self::Execute(execute) => [execute.portal, ""],
            Self::Sync | Self::Flush => ["", ""],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_server_cuts_is_seen_in_every_message_that_has_one() {
        let long = "a".repeat(NAME_BYTES + 1);
        let bind = |portal, statement| {
            Sent::Bind(Bind {
                portal,
                statement,
                formats: Vec::new(),
                values: Vec::new(),
                result_formats: Vec::new(),
            })
        };
        let parse = Parse {
            statement: &long,
            text: "",
            types: Vec::new(),
        };
        let messages = [
            Sent::Parse(parse, Ok(None)),
            bind(&long, ""),
            bind("", &long),
            Sent::Describe(Named::Statement(&long)),
            Sent::Describe(Named::Portal(&long)),
            Sent::Execute(Execute {
                portal: &long,
                max_rows: 0,
            }),
            Sent::Close(Named::Statement(&long)),
            Sent::Close(Named::Portal(&long)),
        ];
        assert!(messages.iter().all(Sent::has_cut_name));
        assert!(!bind(long.get(1..).unwrap_or_default(), "s").has_cut_name());
        assert!(!Sent::Sync.has_cut_name());
    }
}
