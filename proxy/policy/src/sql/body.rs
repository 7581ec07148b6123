//! What is always refused within the body of a function, a procedure or a DO block, which stands in the tree as a string.
//!
//! SQL bodies are parsed, as far as this grammar takes them. PL/pgSQL bodies are read word by word, since what they hold is no SQL of its own: statements by how
//! they begin, calls by their names, and the literals of a body that has EXECUTE as statements, too. Words are read more
//! widely than PL/pgSQL would: a body is refused for what looks like ALTER ROLE. A text that is put together while the body
//! runs is not seen.

mod words;

use std::borrow::Cow;

use sallyport_crds::connection::AlwaysDenied;

use self::words::{Word, words};
use super::denied::{self, Denied};
use super::facts;
use super::functions::runs_texts;
use super::names::Access;
use super::parser::{self, Backslash};
use super::secrets::Literal;
use super::tree::Node;
use super::{LONG, MAX_TEXT, MAX_WEIGHT, length};

/// Bodies within bodies within bodies; deeper ones are refused.
const MAX_DEPTH: usize = 8;
/// Words after which another statement begins, as one does after `;` and after a label.
const OPENING: [&str; 4] = ["begin", "then", "else", "loop"];

/// What is always refused within the bodies that a node carries. `depth`: how many bodies the node itself stands in.
pub(super) fn denied(node: Node<'_>, depth: usize) -> Vec<Denied> {
    let (options, usual) = match node.kind() {
        "DoStmt" => ("args", "plpgsql"),
        "CreateFunctionStmt" => ("options", "sql"),
        _ => return Vec::new(),
    };
    let mut language = usual.to_owned();
    let mut bodies = Vec::new();
    for option in node.list(options) {
        let Some(value) = option.node("arg") else { continue };
        match option.text("defname") {
            "language" => language = value.literal().unwrap_or_default().to_ascii_lowercase(),
            "as" => bodies.extend(value.literal().into_iter().chain(value.names("items"))),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for body in bodies {
        let within = Within { depth: depth + 1 };
        match language.as_str() {
            "sql" => within.sql(body, &mut found),
            "plpgsql" => within.readings(body, &mut found),
            // Refused for its language.
            _ => {}
        }
    }
    // Both readings of a body mostly find the same.
    let mut once: Vec<Denied> = Vec::new();
    for denied in found {
        if !once.contains(&denied) {
            once.push(denied);
        }
    }
    once
}

/// What is always refused within the texts that a call has run, as far as they stand there as literals.
pub(super) fn denied_in_call(call: Node<'_>, depth: usize) -> Vec<Denied> {
    let mut found = Vec::new();
    if call.names("funcname").last().is_some_and(|name| runs_texts(name)) {
        let within = Within { depth: depth + 1 };
        for argument in call.list("args") {
            let named = argument.node("arg").filter(|_| argument.is("NamedArgExpr"));
            if let Some(text) = named.unwrap_or(argument).literal() {
                within.sql(text, &mut found);
            }
        }
    }
    found
}

/// Where a body stands.
#[derive(Clone, Copy)]
struct Within {
    depth: usize,
}

// === impl Within ===

impl Within {
    /// Whether a body can be read. Each level is read in two ways, so that each may be half as long as the one before.
    fn readable(self, body: &str, found: &mut Vec<Denied>) -> bool {
        let light = || body.len() <= LONG || length::taken_at_most(body).weight <= MAX_WEIGHT;
        let readable = self.depth <= MAX_DEPTH && body.len() <= MAX_TEXT >> self.depth && light();
        if !readable {
            found.push(Denied::new(
                AlwaysDenied::UntrustedFunctions,
                "a body that is too long or stands in too many others",
            ));
        }
        readable
    }

    fn sql(self, body: &str, found: &mut Vec<Denied>) {
        if !self.readable(body, found) {
            return;
        }
        for reading in readings(body) {
            let Ok(raws) = parser::parse(body, reading) else {
                // To a server that is older than this grammar some of its words are names (`system_user`), and what does not parse here
                // runs there.
                self.words(&words(body, reading), reading, found);
                continue;
            };
            for raw in raws {
                let root = raw.tree.root();
                let said = root.map(|root| facts::gather(root, self.depth)).unwrap_or_default();
                found.extend(said.denied);
                let changed = said.relations.iter().filter(|one| one.access == Access::Write);
                found.extend(changed.filter_map(|one| denied::catalog(one.schema.as_deref().unwrap_or(&one.name))));
            }
        }
    }

    fn readings(self, body: &str, found: &mut Vec<Denied>) {
        if !self.readable(body, found) {
            return;
        }
        for reading in readings(body) {
            self.words(&words(body, reading), reading, found);
        }
    }

    fn words(self, words: &[Word<'_>], reading: Backslash, found: &mut Vec<Denied>) {
        let executes = words.iter().any(|word| word.is("execute"));
        let escapes = |pair: &[Word<'_>]| matches!(pair, [Word::Literal(_), next] if next.is("uescape"));
        if words.windows(2).any(escapes) {
            let what = "a literal with an escape of its own within a body";
            found.push(Denied::new(AlwaysDenied::UntrustedFunctions, what));
        }
        for statement in statements(words) {
            of_statement(statement, found);
            calls(statement, reading, found);
            let runs = executes || statement.iter().filter_map(Word::name).any(runs_texts);
            let holds = runs || matches!(name(statement, 0), "create" | "do");
            for literal in statement.iter().filter(|_| holds).filter_map(Word::literal) {
                let inner = Self { depth: self.depth + 1 };
                inner.readings(&value(literal, reading), found);
            }
        }
    }
}

/// A text without a backslash reads the same in both ways.
fn readings(text: &str) -> impl Iterator<Item = Backslash> + use<> {
    let both = memchr::memchr(b'\\', text.as_bytes()).is_some();
    std::iter::once(Backslash::Literal).chain(both.then_some(Backslash::Escape))
}

/// The text of a literal as the server reads it.
fn value<'t>(literal: &Literal<'t>, reading: Backslash) -> Cow<'t, str> {
    let escaped = literal.body.contains('\\') && !literal.is_dollar();
    let read = || {
        let text = format!("SELECT {}{}{}", literal.open, literal.body, literal.close);
        let raws = parser::parse(&text, reading).ok()?;
        let root = raws.first()?.tree.root()?;
        let target = root.list("target_list").next()?;
        target.node("val")?.literal().map(str::to_owned)
    };
    let decoded = escaped.then(read).flatten();
    decoded.map_or_else(|| literal.text(), Cow::Owned)
}

fn statements<'w, 't>(words: &'w [Word<'t>]) -> impl Iterator<Item = &'w [Word<'t>]> {
    let mut label = false;
    let ends = move |word: &Word<'t>| {
        let sign = *word == Word::Sign('>');
        let labelled = std::mem::replace(&mut label, sign) && sign;
        labelled || *word == Word::Sign(';') || OPENING.iter().any(|opening| word.is(opening))
    };
    words.split_inclusive(ends)
}

fn name<'w>(words: &'w [Word<'_>], at: usize) -> &'w str {
    words.get(at).and_then(Word::name).unwrap_or_default()
}

/// What is always refused about a statement by how it begins.
fn of_statement(words: &[Word<'_>], found: &mut Vec<Denied>) {
    use AlwaysDenied as Class;
    let has = |wanted: &str| words.iter().any(|word| word.is(wanted));
    let (first, second) = (name(words, 0), name(words, 1));
    let mut deny = |class, what: &str| found.push(Denied::new(class, format!("{what} within a body")));
    match (first, second) {
        ("alter" | "create" | "drop", "role" | "user" | "group") if name(words, 2) != "mapping" => {
            deny(Class::Roles, &format!("{} ROLE", first.to_uppercase()));
        }
        ("alter", "database") if has("set") || has("reset") => deny(Class::Roles, "ALTER DATABASE with a setting"),
        ("grant", _) if has("to") && !has("on") => deny(Class::Roles, "GRANT of a role"),
        ("revoke", _) if has("from") && !has("on") => deny(Class::Roles, "REVOKE of a role"),
        ("alter", "system") => deny(Class::AlterSystem, "ALTER SYSTEM"),
        ("load", _) if words.get(1).is_some_and(|word| word.literal().is_some()) => deny(Class::Load, "LOAD"),
        // Within a body there is no client to copy to.
        ("copy", _) if has("from") || has("to") => deny(Class::ServerFiles, "COPY"),
        ("alter" | "create" | "drop", "subscription") => deny(Class::Replication, "a SUBSCRIPTION"),
        ("alter" | "create", "publication") => deny(Class::Replication, "a PUBLICATION"),
        ("alter" | "create", "tablespace") => deny(Class::ServerFiles, "a TABLESPACE"),
        ("alter" | "create", "foreign") if name(words, 2) == "data" => {
            deny(Class::UntrustedFunctions, "a FOREIGN DATA WRAPPER");
        }
        ("alter" | "create", "foreign") if has("filename") || has("program") => {
            deny(Class::ServerFiles, "a FOREIGN TABLE on files of the server");
        }
        ("alter", "extension") if has("add") || has("drop") => {
            deny(Class::UntrustedFunctions, "ALTER EXTENSION of what belongs to it");
        }
        ("create", "server") if has("file_fdw") => deny(Class::ServerFiles, "CREATE SERVER on files of the server"),
        ("create", "extension") => {
            let mut named = words.iter().skip(2).filter_map(Word::name);
            let extension = named.find(|word| !matches!(*word, "if" | "not" | "exists"));
            if !extension.is_some_and(denied::is_trusted_extension) {
                deny(Class::UntrustedFunctions, "CREATE EXTENSION");
            }
        }
        ("do", _) => foreign_language(words, found),
        ("create" | "alter", _) => {
            let filler = ["or", "replace", "trusted", "procedural"];
            let kind = words
                .iter()
                .skip(1)
                .filter_map(Word::name)
                .find(|word| !filler.contains(word));
            match kind {
                Some("language") => deny(Class::UntrustedFunctions, "a LANGUAGE"),
                Some("function" | "procedure") if first == "create" => foreign_language(words, found),
                _ => {}
            }
        }
        _ => {}
    }
    if matches!(first, "set" | "create" | "alter") {
        settings(words, found);
    }
}

/// `LANGUAGE x` of a DO or CREATE FUNCTION.
fn foreign_language(words: &[Word<'_>], found: &mut Vec<Denied>) {
    for pair in words.windows(2) {
        let [keyword, language] = pair else { continue };
        if !keyword.is("language") {
            continue;
        }
        let trusted = match language {
            Word::Name(name) | Word::Quoted { name, .. } => denied::is_readable_language(name),
            Word::Literal(literal) => denied::is_readable_language(&literal.text().to_ascii_lowercase()),
            _ => false,
        };
        if !trusted {
            found.push(Denied::new(
                AlwaysDenied::UntrustedFunctions,
                "code in another language within a body",
            ));
        }
    }
}

/// `SET [LOCAL | SESSION] ROLE x` and `SET … SESSION AUTHORIZATION x`, also as a clause of what is created.
fn settings(words: &[Word<'_>], found: &mut Vec<Denied>) {
    for (at, _) in words.iter().enumerate().filter(|(_, word)| word.is("set")) {
        let authorization = |at| name(words, at) == "session" && name(words, at + 1) == "authorization";
        let scoped = !authorization(at + 1) && matches!(name(words, at + 1), "local" | "session");
        let at = at + 1 + usize::from(scoped);
        let (setting, at) = match authorization(at) {
            true => ("session_authorization", at + 2),
            false => (name(words, at), at + 1),
        };
        let given = words
            .iter()
            .skip(at)
            .find(|word| !word.is("to") && **word != Word::Sign('='));
        let resets = given.is_some_and(Word::is_no_role);
        found.extend(denied::role_setting(setting, !resets));
    }
}

/// The schema of what a word of a statement says that rows change of, or its name without one: `UPDATE ONLY (t)`, `INSERT INTO d.s.t`.
fn changed<'w>(words: &'w [Word<'_>], at: usize) -> Option<&'w str> {
    let mut target = match (name(words, at), name(words, at + 1)) {
        ("update", _) => at + 1,
        ("insert" | "merge", "into") | ("delete", "from") => at + 2,
        _ => return None,
    };
    let is = |at: usize, sign| words.get(at) == Some(&Word::Sign(sign));
    target += usize::from(name(words, target) == "only");
    target += usize::from(is(target, '('));
    let has_database = is(target + 1, '.') && is(target + 3, '.');
    Some(name(words, if has_database { target + 2 } else { target }))
}

/// Functions that are called, or named where something is made of them, and catalogs of which rows change.
fn calls(words: &[Word<'_>], reading: Backslash, found: &mut Vec<Denied>) {
    for (at, word) in words.iter().enumerate() {
        found.extend(changed(words, at).and_then(denied::catalog));
        let name = match word {
            Word::Name(name) | Word::Quoted { name, .. } => name.as_str(),
            Word::Escaped => {
                let what = "a name in Unicode escapes within a body";
                found.push(Denied::new(AlwaysDenied::UntrustedFunctions, what));
                continue;
            }
            _ => continue,
        };
        let called = words.get(at + 1) == Some(&Word::Sign('('));
        if called && name == "set_config" {
            let setting = words
                .get(at + 2)
                .and_then(Word::literal)
                .map(|literal| value(literal, reading));
            let whole = words.get(at + 3) == Some(&Word::Sign(','));
            found.extend(denied::set_config_of(setting.as_deref().filter(|_| whole)));
        }
        let qualified = at.checked_sub(1).and_then(|at| words.get(at)) == Some(&Word::Sign('.'));
        found.extend(if called || made_of(words, at) {
            denied::function(&[name])
        } else if qualified {
            denied::field(name)
        } else {
            denied::file_view(name)
        });
    }
}

/// Whether a name stands where a function is named: `EXECUTE FUNCTION f`, `FUNCTION = f`, `WITH FUNCTION s.f`.
fn made_of(words: &[Word<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at));
    let qualified = before(1) == Some(&Word::Sign('.'));
    before(if qualified { 3 } else { 1 })
        .is_some_and(|word| *word == Word::Sign('=') || word.is("function") || word.is("procedure"))
}
