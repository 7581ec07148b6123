//! What a client hears.

use std::time::Duration;

use super::common::wire::Message;

/// Everything that a case's clients heard.
#[derive(Default)]
pub struct Heard {
    /// Where: its name tells nothing of what it holds.
    pub database: String,
    pub messages: Vec<Message>,
    /// Whether a session ended before its time.
    pub broken: bool,
    pub took: Duration,
}

/// The first OID of what users make.
const FIRST_OF_USERS: u32 = 16_384;

/// SQLSTATEs by which a door refuses.
const REFUSALS: [&str; 3] = ["42501", "22023", "0A000"];

impl Heard {
    /// The refusal of a door, by the mark that only it can set.
    pub fn refusal(&self) -> Option<String> {
        let refusal = |message: &&Message| {
            let code = message.field('C').unwrap_or_default();
            message.tag == 'E' && message.field('y').is_some() && REFUSALS.contains(&code.as_str())
        };
        self.messages
            .iter()
            .find(refusal)
            .and_then(|message| message.field('M'))
    }

    /// Whether PostgreSQL says that the role may not.
    pub fn is_forbidden(&self) -> bool {
        let forbidden = |message: &Message| message.tag == 'E' && message.field('C').as_deref() == Some("42501");
        self.messages.iter().any(forbidden)
    }

    /// What of it depends on the database alone: no numbers of processes and objects, nothing about the server's own code.
    pub fn content(&self) -> Vec<String> {
        let each = self.messages.iter().map(content);
        each.map(|told| match self.database.is_empty() {
            true => told,
            false => told.replace(&self.database, "{database}"),
        })
        .map(|told| temporary(&told))
        .collect()
    }

    /// The course of the answers, without what is said aside.
    pub fn course(&self) -> String {
        let mut course = String::new();
        for message in self
            .messages
            .iter()
            .filter(|message| !matches!(message.tag, 'N' | 'S' | 'A'))
        {
            if message.tag != 'd' || !course.ends_with('d') {
                course.push(message.tag);
            }
        }
        course
    }

    /// The rows that came, as they came.
    pub fn rows(&self) -> Vec<&[u8]> {
        let rows = self.messages.iter().filter(|message| message.tag == 'D');
        rows.map(|message| &*message.body).collect()
    }

    /// Type, size, modifier and format of each column that was described. Types of users have other numbers in each database.
    pub fn shapes(&self) -> Vec<(u32, &[u8])> {
        let described = self.messages.iter().filter(|message| message.tag == 'T');
        let columns = described.flat_map(|message| columns(&message.body));
        let shapes = columns.map(|(_, told)| {
            let kind = u32::from_be_bytes(*told[6..].first_chunk().unwrap());
            (if kind < FIRST_OF_USERS { kind } else { 0 }, &told[10..])
        });
        shapes.collect()
    }

    /// Whether these bytes came, in whatever message.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let found = |body: &[u8]| body.windows(bytes.len()).any(|part| part == bytes);
        // A COPY may be cut anywhere.
        let copied: Vec<u8> = self
            .messages
            .iter()
            .filter(|message| message.tag == 'd')
            .flat_map(|message| message.body.iter().copied())
            .collect();
        found(&copied) || self.messages.iter().any(|message| found(&message.body))
    }
}

/// The same without the numbers of sessions in the names of their temporary schemas.
fn temporary(told: &str) -> String {
    let parts = told.split(TEMPORARY).enumerate();
    let unnumbered = parts.map(|(i, part)| match i {
        0 => part,
        _ => part.trim_start_matches(|c: char| c.is_ascii_digit()),
    });
    unnumbered.collect::<Vec<_>>().join(TEMPORARY)
}

const TEMPORARY: &str = "pg_temp_";

fn content(message: &Message) -> String {
    match message.tag {
        'T' => {
            let names = columns(&message.body).into_iter().map(|(name, _)| name);
            format!("T{:?}", names.collect::<Vec<_>>())
        }
        'E' | 'N' => {
            let fields = "SVCMDHPpqWstcdn".chars();
            let fields = fields.filter_map(|code| Some(format!("{code}={}", message.field(code)?)));
            format!("{}{:?}", message.tag, fields.collect::<Vec<_>>())
        }
        'A' => format!("A{:?}", String::from_utf8_lossy(&message.body[4..])),
        't' => "t".to_owned(),
        tag => format!("{tag}{}", message.body.escape_ascii()),
    }
}

/// Names of columns, and what else is told of each.
fn columns(body: &[u8]) -> Vec<(String, &[u8])> {
    let mut columns = Vec::new();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (told, others) = rest[end + 1..].split_at(18);
        columns.push((String::from_utf8_lossy(&rest[..end]).into_owned(), told));
        rest = others;
    }
    columns
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content = self.content();
        let text = content.join(" ");
        let end = text.floor_char_boundary(1500);
        write!(f, "{}{}", &text[..end], if self.broken { " BROKEN" } else { "" })
    }
}
