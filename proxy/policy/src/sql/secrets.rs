//! Credentials within a text of SQL, to be hidden wherever the text is kept.
//!
//! Three kinds are recognised: a literal that follows a word such as PASSWORD (CREATE ROLE, OPTIONS of a user mapping, or a
//! comparison with a column of that name), a word such as `password=` within a literal (a connection string, JSON), and a
//! stored verifier or a URL with a password. Literals are found by PostgreSQL's own rules of quoting, at any depth: a DO
//! block holds literals of its own.

mod literal;

use std::borrow::Cow;
use std::collections::BTreeSet;
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
/// A call whose first argument names what the second one is.
static PAIRED: Expression =
    LazyLock::new(|| Regex::new(r"(?is)\b(?:set_config|jsonb?_build_object|hstore)\s*\(\s*$").ok());
/// A name of such a thing, and no more.
static NAMED: Expression = LazyLock::new(|| Regex::new(&format!("(?i)^{WORD}$")).ok());
/// A parameter in code.
static PARAMETER: Expression = LazyLock::new(|| Regex::new(r"\$(?P<n>[0-9]+)").ok());
/// `password=x` within a connection string.
static CONNINFO: Expression = LazyLock::new(|| {
    Regex::new(&format!(
        r"(?i)(?P<w>\b{WORD}\s*=\s*)(?P<v>(?:[^\s'$\]();,=<>]|\$[^\s'\d$;,()])(?:\\[^']|[^\s';,()])*)"
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

/// Which parameters (`$n`) of a text stand where a literal would be a credential.
#[must_use]
pub fn secret_parameters(text: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let Some(parameter) = PARAMETER.as_ref().filter(|_| may_hold(text)) else {
        return found;
    };
    let mut before = Before::default();
    for piece in pieces(text, Backslash::Literal) {
        match piece {
            Piece::Comment(_) => before.code(" "),
            Piece::Literal(literal) => _ = before.value(&literal.text()),
            Piece::Code(code) => {
                let mut done = 0;
                for one in parameter.captures_iter(code) {
                    let (Some(all), Some(number)) = (one.get(0), one.name("n")) else {
                        continue;
                    };
                    before.code(code.get(done..all.start()).unwrap_or_default());
                    done = all.end();
                    if before.value("") {
                        found.extend(number.as_str().parse::<usize>().ok());
                    }
                }
                before.code(code.get(done..).unwrap_or_default());
            }
        }
    }
    found
}

/// What stands before a literal or a parameter.
#[derive(Default)]
struct Before {
    /// Code since the last literal, without comments.
    code: String,
    /// Whether the last literal says that the next one, if it follows behind a comma, is a credential.
    named: bool,
}

// === impl Before ===

impl Before {
    fn code(&mut self, code: &str) {
        // The next of a list is what the first was.
        if !(self.code.ends_with('(') && code.trim() == ",") {
            self.code.push_str(code);
        }
    }

    /// Whether a literal, or a parameter, that stands here is a credential; goes on behind it.
    fn value(&mut self, text: &str) -> bool {
        let secret = is_announced(&self.code) || self.named && self.code.trim() == ",";
        let listed = secret && self.code.trim_end().ends_with('(');
        // The expressions are constants: a test holds that they compile.
        let pairs = PAIRED.as_ref().is_none_or(|regex| regex.is_match(near(&self.code)));
        self.named = pairs && NAMED.as_ref().is_none_or(|regex| regex.is_match(text));
        self.code.truncate(if listed { self.code.trim_end().len() } else { 0 });
        secret
    }
}

/// `depth`: how many literals the text stands in.
fn hide(text: &str, depth: usize) -> Cow<'_, str> {
    let mut hidden = String::with_capacity(text.len());
    let mut before = Before::default();
    let mut pieces = pieces(text, Backslash::Literal).peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Code(code) => {
                before.code(code);
                hidden.push_str(&marked(code, depth));
            }
            Piece::Comment(comment) => {
                before.code(" ");
                hidden.push_str(&marked(comment, depth));
            }
            Piece::Literal(literal) => {
                let secret = before.value(&literal.text());
                hidden.push_str(&shown(&literal, secret, depth));
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
    // The expressions are constants: a test holds that they compile.
    ANNOUNCED.as_ref().is_none_or(|regex| regex.is_match(near(before)))
}

/// As much of the code before a literal as is looked at.
fn near(before: &str) -> &str {
    let from = before.floor_char_boundary(before.len().saturating_sub(REACH));
    before.get(from..).unwrap_or(before)
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
            (
                "select dblink_connect('host=h password=$canary user=u')",
                "select dblink_connect('host=h password=[REDACTED] user=u')",
            ),
            (
                "select dblink_connect('host=h password=[canary user=u')",
                "select dblink_connect('host=h password=[REDACTED] user=u')",
            ),
            (
                "select dblink_connect('host=h password=can\\ ary user=u')",
                "select dblink_connect('host=h password=[REDACTED] user=u')",
            ),
            (
                "do $$begin execute 'update users set password=$1' using x; end$$",
                "do $$begin execute 'update users set password=$1' using x; end$$",
            ),
            (
                "select set_config('app.password', 'canary', false)",
                "select set_config('app.password', '[REDACTED]', false)",
            ),
            (
                "select set_config('app.name', 'x', false), key_of('password', 'x')",
                "select set_config('app.name', 'x', false), key_of('password', 'x')",
            ),
            (
                "select 1 from t where kind in ('password', 'token')",
                "select 1 from t where kind in ('password', 'token')",
            ),
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
    fn parameters_are_credentials_where_literals_would_be() {
        let cases: [(&str, &[usize]); 8] = [
            ("update users set password = $1 where name = $2", &[1]),
            ("select 1 from users where name = $1 and password in ($2, $3)", &[2, 3]),
            ("update users set password = crypt($2, gen_salt($1))", &[2]),
            ("select set_config('app.password', $1, false)", &[1]),
            ("update users set password /* new */ = $12", &[12]),
            ("update users set name = $1, password = 'x'", &[]),
            ("select password, $1 from users", &[]),
            ("select $1", &[]),
        ];
        for (text, expected) in cases {
            let found: Vec<usize> = secret_parameters(text).into_iter().collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_hostile_text_hides_no_code() {
        // With standard_conforming_strings on, this is a password and a DROP.
        let hidden = without_secrets("alter role r password 'x\\'; drop table t; --'");
        assert!(hidden.contains("drop table t"), "{hidden}");
    }
}
