//! What is asked, as a protocol understood it.

use std::sync::Arc;

use aws_lc_rs::hmac;
use sallyport_audit::record::Param;
use sallyport_crds::access_request::CommandView;
use sallyport_crds::approval_policy::GrantScope;
use sallyport_policy::decide::{Command, Denial, Hold, Number, Range};
use sallyport_policy::sql::{self, Cover, value_without_secrets, without_secrets};

use super::Kind;
use crate::identity::is_deceptive;
use crate::session::Session;

/// How much of one parameter is shown, in bytes.
const MAX_PARAMETER: usize = 4 * 1024;

/// Functions that take a value for a statement, a relation, a file or a setting: with another value they do another thing. Of
/// `dblink` and `crosstab` whatever begins so.
const READS_VALUES: [&str; 19] = [
    "connectby",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "lo_export",
    "lo_import",
    "pg_ls_dir",
    "pg_read_binary_file",
    "pg_read_file",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "set_config",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
];

/// One command: everything that deciding, recording and asking need to know of it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What the rules see.
    pub command: Command,
    /// Bound parameters, as they are recorded.
    pub params: Vec<Param>,
    /// Bound parameters, as an approver reads them (before detectors): one more than an approver is shown at most.
    pub shown: Vec<String>,
    /// What of text and parameters stands against protected columns, and is shown to nobody.
    pub cover: Cover,
    /// Everything beside text, parameters and people that the meaning of the command hangs on: resolved names, definitions
    /// of what it calls, settings that change how it is read. The binding covers it, so that a grant does not outlive it.
    pub meaning: Vec<u8>,
    /// Exact bytes of the parameters, for the binding.
    pub exact: Vec<u8>,
    /// Those of them that are numbers, for rules that say how far they may vary.
    pub numbers: Vec<Option<Number>>,
    /// Types that the client states for them, for the binding: by them the target chooses what a name calls.
    pub types: Vec<u8>,
    /// Statements that it runs by their names, for the binding: another may have the name tomorrow.
    pub named: Vec<u8>,
    /// Refused by the protocol itself, whatever the rules say.
    pub refused: Option<Rejection>,
    /// Why it cannot be held to reading: a rule that would have it run read-only denies it.
    pub unguarded: Option<&'static str>,
}

/// A refusal that the protocol itself comes to.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Which kind.
    pub kind: Kind,
    /// Who says so, and why.
    pub denial: Denial,
}

/// What of a unit a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of it: one text.
    Whole,
    /// From the refused command on: a pipeline, whose parts the target takes one by one.
    Rest,
}

/// A sequence of byte strings that no other sequence shares.
#[derive(Default)]
pub(super) struct Canonical(Vec<u8>);

// === impl Canonical ===

impl Canonical {
    pub(super) fn add(&mut self, part: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    fn sign(&self, key: &hmac::Key) -> String {
        sallyport_audit::digest::hex(hmac::sign(key, &self.0).as_ref())
    }
}

/// The keyed hash that joins a command's record with an AccessRequest, and by which a grant is found: over the person, the
/// agent chain, the Connection and its target (it may be sent elsewhere by an edit), and what the scope says.
pub(super) fn binding(
    session: &Session,
    scope: GrantScope,
    asked: &[Asked],
    circumstances: &[u8],
    hold: Option<&Hold>,
) -> String {
    let identity = session.identity();
    let mut bytes = Canonical::default();
    bytes
        .add(b"sallyport binding v3")
        .add(identity.person.issuer.as_bytes())
        .add(identity.person.subject.as_bytes());
    bytes.add(&(identity.agents.len() as u64).to_be_bytes());
    for agent in &identity.agents {
        bytes
            .add(agent.issuer.as_deref().unwrap_or_default().as_bytes())
            .add(agent.subject.as_bytes());
    }
    bytes
        .add(session.open().connection.uid.as_bytes())
        .add(session.target().as_bytes());
    match scope {
        GrantScope::Command => {
            bytes.add(b"command").add(circumstances);
            for one in asked {
                one.bind(&mut bytes);
            }
        }
        GrantScope::Fingerprint => {
            let ranges = hold.map(Hold::ranges).unwrap_or_default();
            match ranges.is_empty() {
                true => bytes.add(b"fingerprint"),
                // A rule that lets them vary further grants nothing by what people said before.
                false => bytes
                    .add(b"fingerprint within ranges")
                    .add(&ranges.iter().flat_map(Range::to_bytes).collect::<Vec<u8>>()),
            };
            bytes.add(circumstances);
            for one in asked {
                match one.fingerprint() {
                    Some(fingerprint) => bytes
                        .add(&fingerprint.0)
                        .add(one.command.database.as_bytes())
                        .add(&one.meaning)
                        .add(&one.types),
                    None => one.bind(&mut bytes),
                };
            }
        }
        GrantScope::Session => {
            bytes.add(b"session").add(session.id().as_str().as_bytes());
            rules(&mut bytes, hold);
        }
        GrantScope::Window => {
            bytes.add(b"window");
            rules(&mut bytes, hold);
        }
    }
    bytes.sign(&session.open().binding_key)
}

/// Grants that outlive a command are for what these rules ask about.
fn rules(bytes: &mut Canonical, hold: Option<&Hold>) {
    let mut asked_by = hold.map(Hold::asked_by).unwrap_or_default();
    asked_by.sort_by(|a, b| (&a.uid, &a.rule).cmp(&(&b.uid, &b.rule)));
    for rule in asked_by {
        bytes
            .add(rule.uid.as_bytes())
            .add(&rule.generation.to_be_bytes())
            .add(rule.rule.as_bytes());
    }
}

/// The commands of one unit as a person may see them: detector hits and what stands against protected columns masked,
/// control characters escaped.
pub(super) fn view(session: &Session, asked: &[Asked], digest: String, risk: u8) -> CommandView {
    let masker = session.open().policy.masks().masker(&Default::default());
    let mut counts = masker.counts();
    let texts: Vec<&str> = asked.iter().map(|one| &**one.covered()).collect();
    let text = texts.join(";\n");
    let text = escaped(&masker.free_text(&without_secrets(&text), &mut counts), true);
    let summary: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(80)
        .collect();
    let shown = |value: &String| {
        cut(
            &escaped(
                &masker.free_text(&value_without_secrets(value), &mut masker.counts()),
                false,
            ),
            MAX_PARAMETER,
        )
    };
    let counted = asked
        .iter()
        .filter_map(|one| one.command.rows)
        .reduce(u64::saturating_add);
    let mut verbs: Vec<String> = Vec::new();
    let mut tables: Vec<String> = Vec::new();
    for one in asked {
        add(&mut verbs, one.command.verbs.iter().map(|verb| verb.name()), 32);
        add(&mut tables, one.command.tables.iter().map(String::as_str), 128);
    }
    CommandView {
        text,
        summary,
        parameters: asked.iter().flat_map(|one| one.shown.iter()).map(shown).collect(),
        digest,
        verbs,
        tables,
        risk: i32::from(risk),
        rows: counted.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX)),
        database: asked.first().map(|one| one.command.database.clone()),
    }
}

/// `name`: as the text writes it.
fn reads_values(name: &str) -> bool {
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
    READS_VALUES.contains(&name) || ["dblink", "crosstab"].iter().any(|begin| name.starts_with(begin))
}

fn add<'a>(list: &mut Vec<String>, more: impl Iterator<Item = &'a str>, limit: usize) {
    for name in more {
        if list.len() < limit && !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
    }
}

/// Control characters, and those that turn the direction of text or are not seen, as escapes: an approver's terminal must
/// show what is.
fn escaped(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' if lines => out.push(c),
            c if is_deceptive(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A text of which no more than `limit` bytes are shown; that it was cut stands behind it.
fn cut(text: &str, limit: usize) -> String {
    let kept = text.get(..text.floor_char_boundary(limit)).unwrap_or_default();
    if kept.len() == text.len() {
        kept.to_owned()
    } else {
        format!("{kept}… (cut: more follows)")
    }
}

// === impl Asked ===

impl Asked {
    /// A command without parameters.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command,
            params: Vec::new(),
            shown: Vec::new(),
            cover: Cover::default(),
            meaning: Vec::new(),
            exact: Vec::new(),
            numbers: Vec::new(),
            types: Vec::new(),
            named: Vec::new(),
            refused: None,
            unguarded: None,
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.command.text
    }

    /// The normal form in which only parameters vary, where there is one. Only who asks for an approval needs it. A text with
    /// two readings has none: what is a comment in one may be a condition in the other. Nor has one that hands a value to what
    /// reads it as a statement: who approved it with one said nothing of all others. Nor has one that changes the row where a
    /// cursor stands: which rows these are says the cursor's query.
    #[must_use]
    pub fn fingerprint(&self) -> Option<sql::Digest> {
        if self.command.ambiguous || self.command.functions.iter().any(|name| reads_values(name)) {
            return None;
        }
        let script = sql::parse(&self.command.text).ok()?;
        let statement = script.statements.first()?;
        statement.fingerprint().filter(|_| statement.cursors.is_empty())
    }

    /// Its text without what stands against protected columns.
    #[must_use]
    pub fn covered(&self) -> &Arc<str> {
        self.cover.text().unwrap_or(&self.command.text)
    }

    fn bind<'c>(&self, bytes: &'c mut Canonical) -> &'c mut Canonical {
        bytes
            .add(self.command.text.as_bytes())
            .add(&self.exact)
            .add(&self.types)
            .add(&self.named)
            .add(&self.meaning)
            .add(self.command.database.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_shown() {
        assert_eq!(escaped("a\u{202e}b\u{7}\n", true), "a\\u{202e}b\\u{7}\n");
        assert_eq!(escaped("a\n", false), "a\\u{a}");
        for hidden in [
            '\u{61c}',
            '\u{2028}',
            '\u{2029}',
            '\u{206a}',
            '\u{206f}',
            '\u{ad}',
            '\u{e0041}',
        ] {
            let shown = escaped(&format!("a{hidden}b"), true);
            assert_eq!(shown, format!("a{}b", hidden.escape_unicode()), "{shown:?}");
        }
    }

    #[test]
    fn a_value_that_is_read_as_a_statement_is_none_that_may_vary() {
        let fingerprint = |text: &str, function: &str| {
            let command = Command {
                text: text.into(),
                functions: vec![function.to_owned()],
                ..Command::default()
            };
            Asked::new(command).fingerprint()
        };
        assert!(fingerprint("select lower($1)", "lower").is_some());
        for name in [
            "query_to_xml",
            "pg_catalog.query_to_xml",
            "ext.dblink_exec",
            "crosstab4",
            "set_config",
        ] {
            assert!(fingerprint(&format!("select {name}($1)"), name).is_none(), "{name}");
        }
        assert!(fingerprint("delete from t where id = $1", "lower").is_some());
        assert!(fingerprint("delete from t where current of c", "lower").is_none());
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("größe", 5), "grö… (cut: more follows)");
        assert_eq!(cut("größe", 7), "größe");
    }

    #[test]
    fn no_two_sequences_share_bytes() {
        let bytes = |parts: &[&[u8]]| {
            let mut canonical = Canonical::default();
            for part in parts {
                canonical.add(part);
            }
            canonical.0
        };
        assert_ne!(bytes(&[b"ab", b"c"]), bytes(&[b"a", b"bc"]));
        assert_ne!(bytes(&[b"", b"a"]), bytes(&[b"a"]));
    }
}
