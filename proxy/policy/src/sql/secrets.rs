//! Credentials within a text of SQL, to be hidden wherever the text is kept.
//!
//! Three kinds are recognised: a literal that follows a word such as PASSWORD (CREATE ROLE, OPTIONS of a user mapping, or a
//! comparison with a column of that name), a word such as `password=` within a literal (a connection string, JSON), and a
//! stored verifier or a URL with a password. Literals are found by PostgreSQL's own rules of quoting, at any depth: a DO
//! block holds literals of its own.

mod literal;

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Captures, Regex};

use super::parser::Backslash;
pub(super) use literal::{Literal, Piece, pieces};

/// What is shown instead.
pub(super) const HIDDEN: &str = "[REDACTED]";
/// Literals within literals within literals: deeper ones are hidden whole.
const MAX_DEPTH: usize = 8;
/// How much of the code before a literal is looked at.
const REACH: usize = 200;

/// Words after which a literal is a credential.
const WORD: &str = "(?:[a-z0-9_.-]*(?:password|passwd|passphrase|secret|api_?key|auth_?token|access_?token))";

type Expression = LazyLock<Option<Regex>>;

/// The end of code behind which a literal is a credential: `PASSWORD `, `"password" = `, `password => `, `password IN (`.
static ANNOUNCED: Expression = LazyLock::new(|| {
    let between = r"(?:::\s*[a-z]+\s*)?(?:=>|:=|=|<>|!=|\bto\b|\bis\b|\blike\b|\bin\s*\()?";
    Regex::new(&format!(r#"(?is)(?:\b{WORD}"?\s*{between}|\bcrypt\s*\()\s*$"#)).ok()
});
/// `password=x` within a connection string.
static CONNINFO: Expression = LazyLock::new(|| {
    Regex::new(&format!(
        r"(?i)(?P<w>\b{WORD}\s*=\s*)(?P<v>[^\s'$\[\]();,=<>][^\s';,()]*)"
    ))
    .ok()
});
/// `"password": "x"`.
static JSON: Expression =
    LazyLock::new(|| Regex::new(&format!(r#"(?i)(?P<w>"{WORD}"\s*:\s*")(?P<v>(?:[^"\\]|\\.)*)"#)).ok());
static URL: Expression =
    LazyLock::new(|| Regex::new(r"(?i)(?P<w>\b[a-z][a-z0-9+.-]*://[^\s:/@']*:)(?P<v>[^\s@']+)@").ok());
static VERIFIER: Expression =
    LazyLock::new(|| Regex::new(r"(?:SCRAM-SHA-256\$[A-Za-z0-9+/=:$]+|\bmd5[0-9a-f]{32}\b)").ok());

/// What no credential goes without.
static SIGNS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let signs = ["pass", "secret", "scram-", "key", "token", "md5", "://", "crypt"];
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(signs)
        .ok()
});

/// A text of SQL with its credentials hidden.
#[must_use]
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if may_hold(text) {
        hide(text, 0)
    } else {
        Cow::Borrowed(text)
    }
}

/// A value, such as a parameter, with its credentials hidden.
#[must_use]
pub fn value_without_secrets(text: &str) -> Cow<'_, str> {
    if may_hold(text) {
        hide(text, 1)
    } else {
        Cow::Borrowed(text)
    }
}

/// `depth`: how many literals the text stands in.
fn hide(text: &str, depth: usize) -> Cow<'_, str> {
    let mut hidden = String::with_capacity(text.len());
    // Code since the last literal, without comments.
    let mut before = String::new();
    let mut pieces = pieces(text, Backslash::Literal).peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Code(code) => {
                // The next of a list is what the first was.
                if !(before.ends_with('(') && code.trim() == ",") {
                    before.push_str(code);
                }
                hidden.push_str(&marked(code, depth));
            }
            Piece::Comment(comment) => {
                before.push(' ');
                hidden.push_str(&marked(comment, depth));
            }
            Piece::Literal(literal) => {
                let secret = is_announced(&before);
                hidden.push_str(&shown(&literal, secret, depth));
                let listed = secret && before.trim_end().ends_with('(');
                before.truncate(if listed { before.trim_end().len() } else { 0 });
                // Where standard_conforming_strings is off, `\'` does not close: what sticks to it is part of the literal.
                if let Some(Piece::Code(code)) = pieces.peek().copied()
                    && secret
                    && literal.body.ends_with('\\')
                {
                    let end = code.find(|c: char| c.is_whitespace() || ";,()".contains(c));
                    let (stuck, rest) = code.split_at(end.unwrap_or(code.len()));
                    if !stuck.is_empty() {
                        hidden.push_str(HIDDEN);
                    }
                    hidden.push_str(&marked(rest, depth));
                    pieces.next();
                }
            }
        }
    }
    if hidden == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(hidden)
    }
}

/// Whether a literal behind this code is a credential.
fn is_announced(before: &str) -> bool {
    let from = before.floor_char_boundary(before.len().saturating_sub(REACH));
    let near = before.get(from..).unwrap_or(before);
    // The expressions are constants: a test holds that they compile.
    ANNOUNCED.as_ref().is_none_or(|regex| regex.is_match(near))
}

fn shown(literal: &Literal<'_>, secret: bool, depth: usize) -> String {
    if secret || depth >= MAX_DEPTH {
        return literal.with(HIDDEN);
    }
    match literal.text() {
        text if may_hold(&text) => match hide(&text, depth + 1) {
            Cow::Owned(changed) => literal.with(&changed),
            Cow::Borrowed(_) => format!("{}{}{}", literal.open, literal.body, literal.close),
        },
        _ => format!("{}{}{}", literal.open, literal.body, literal.close),
    }
}

/// Code, or the text of a literal, in which what looks like a credential is hidden.
fn marked(text: &str, depth: usize) -> Cow<'_, str> {
    let steps: [(&Expression, fn(&Captures<'_>) -> String, usize); 4] = [
        (&VERIFIER, |_| HIDDEN.to_owned(), 0),
        (&URL, |found| format!("{}{HIDDEN}@", word(found)), 0),
        (&JSON, |found| format!("{}{HIDDEN}", word(found)), 1),
        (&CONNINFO, |found| format!("{}{HIDDEN}", word(found)), 1),
    ];
    let mut marked = Cow::Borrowed(text);
    for (regex, replace, least) in steps {
        if depth < least {
            continue;
        }
        let Some(regex) = regex.as_ref() else {
            return Cow::Borrowed(HIDDEN);
        };
        if let Cow::Owned(changed) = regex.replace_all(&marked, replace) {
            marked = Cow::Owned(changed);
        }
    }
    marked
}

fn word<'t>(found: &Captures<'t>) -> &'t str {
    found.name("w").map_or("", |group| group.as_str())
}

/// A quick look for any of the words; most texts hold none. Every statement is looked through, a bulk INSERT too: once.
fn may_hold(text: &str) -> bool {
    SIGNS.as_ref().is_none_or(|signs| signs.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_nothing_else_is() {
        for (text, expected) in [
            ("CREATE ROLE r PASSWORD 'canary'", "CREATE ROLE r PASSWORD '[REDACTED]'"),
            (
                "alter user r with encrypted password E'can\\'ary' login",
                "alter user r with encrypted password E'[REDACTED]' login",
            ),
            (
                "alter role r password 'ca''''nary'",
                "alter role r password '[REDACTED]'",
            ),
            (
                "alter role r password $$canary$$",
                "alter role r password $$[REDACTED]$$",
            ),
            (
                "alter role r PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$a/b=:c+d='",
                "alter role r PASSWORD '[REDACTED]'",
            ),
            (
                "create user mapping for r server s options (user 'u', password 'canary')",
                "create user mapping for r server s options (user 'u', password '[REDACTED]')",
            ),
            (
                "select * from dblink('host=h password=canary user=u', 'select 1')",
                "select * from dblink('host=h password=[REDACTED] user=u', 'select 1')",
            ),
            (
                "select dblink_connect('host=h password=''can ary'' user=u')",
                "select dblink_connect('host=h password=''[REDACTED]'' user=u')",
            ),
            (
                "select dblink_connect('postgresql://u:canary@h/d')",
                "select dblink_connect('postgresql://u:[REDACTED]@h/d')",
            ),
            (
                "do $$begin execute 'alter role r password ''canary'''; end$$",
                "do $$begin execute 'alter role r password ''[REDACTED]'''; end$$",
            ),
            ("alter role r password 'ca''nary'", "alter role r password '[REDACTED]'"),
            (
                "alter role r password U&'c\\0061nary'",
                "alter role r password U&'[REDACTED]'",
            ),
            (
                "alter role r password $t$ca$$nary$t$",
                "alter role r password $t$[REDACTED]$t$",
            ),
            (
                "alter role r password 'ca'\n'nary'",
                "alter role r password '[REDACTED]'",
            ),
            (
                "alter role r password /* new */ 'canary'",
                "alter role r password /* new */ '[REDACTED]'",
            ),
            (
                "alter role r password 'can\\'ary' login",
                "alter role r password '[REDACTED]'[REDACTED]' login",
            ),
            (
                "select 1 from u where password in ('canary', 'canary2') and name in ('x')",
                "select 1 from u where password in ('[REDACTED]', '[REDACTED]') and name in ('x')",
            ),
            (
                "insert into t values ('{\"api_key\": \"can\\\"ary\", \"n\": 1}')",
                "insert into t values ('{\"api_key\": \"[REDACTED]\", \"n\": 1}')",
            ),
            (
                "do $$begin execute 'do $x$begin execute ''alter role r password ''''canary''''''; end$x$'; end$$",
                "do $$begin execute 'do $x$begin execute ''alter role r password ''''[REDACTED]''''''; end$x$'; end$$",
            ),
            (
                "select secret, name from t where name = 'x' and id = 3",
                "select secret, name from t where name = 'x' and id = 3",
            ),
            (
                "update users set password = crypt('canary', gen_salt('bf'))",
                "update users set password = crypt('[REDACTED]', gen_salt('bf'))",
            ),
            (
                "select 1 from users where password = $1",
                "select 1 from users where password = $1",
            ),
            ("select password, 'x' from users", "select password, 'x' from users"),
            ("select ssn from customers", "select ssn from customers"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }

    #[test]
    fn values_are_connection_strings_too() {
        assert_eq!(
            value_without_secrets("host=h password=canary"),
            "host=h password=[REDACTED]"
        );
        assert_eq!(value_without_secrets("it's"), "it's");
    }

    #[test]
    fn a_hostile_text_hides_no_code() {
        // With standard_conforming_strings on, this is a password and a DROP.
        let hidden = without_secrets("alter role r password 'x\\'; drop table t; --'");
        assert!(hidden.contains("drop table t"), "{hidden}");
    }
}
