//! A text of SQL, cut into code, comments and string literals by PostgreSQL's own rules of quoting.
//!
//! Anything can be cut: what is opened and never closed goes to the end of the text.

use std::borrow::Cow;

use crate::sql::parser::Backslash;

/// What ends a comment to PostgreSQL, each on its own: what is behind it runs.
const NEWLINE: [char; 2] = ['\n', '\r'];

/// One piece of a text. The pieces, put together, are the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Words, numbers, quoted names, signs, spaces.
    Code(&'t str),
    /// `-- …` up to the end of its line, or `/* … */`.
    Comment(&'t str),
    /// A string literal.
    Literal(Literal<'t>),
}

/// A string literal, with the parts that continue it on later lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal<'t> {
    /// What opens it: `'`, `E'`, `U&'`, `$tag$`.
    pub open: &'t str,
    /// What stands between, as it is written.
    pub body: &'t str,
    /// What closes it; empty where nothing does.
    pub close: &'t str,
}

// === impl Literal ===

impl<'t> Literal<'t> {
    /// Whether it is `$…$`, in which nothing is quoted.
    #[must_use]
    pub fn is_dollar(&self) -> bool {
        self.open.ends_with('$')
    }

    fn escapes(&self) -> bool {
        self.open.starts_with(['e', 'E'])
    }

    /// Its text: quotes single, parts joined. Other escapes stay as they are written.
    #[must_use]
    pub fn text(&self) -> Cow<'t, str> {
        if self.is_dollar() || !self.body.contains('\'') {
            return Cow::Borrowed(self.body);
        }
        let mut text = String::with_capacity(self.body.len());
        let mut rest = self.body;
        while let Some(at) = rest.find(['\'', '\\']) {
            text.push_str(rest.get(..at).unwrap_or_default());
            let found = rest.get(at..).unwrap_or_default();
            let taken = if let Some(next) = found.strip_prefix('\\').filter(|_| self.escapes()) {
                match next.chars().next() {
                    Some('\'') => text.push('\''),
                    Some(c) => text.extend(['\\', c]),
                    None => text.push('\\'),
                }
                1 + next.chars().next().map_or(0, char::len_utf8)
            } else if found.starts_with("''") {
                text.push('\'');
                2
            } else if found.starts_with('\\') {
                text.push('\\');
                1
            } else {
                // A quote on its own closes one part; the next one opens another.
                1 + continued(found.get(1..).unwrap_or_default()).unwrap_or_default()
            };
            rest = found.get(taken..).unwrap_or_default();
        }
        text.push_str(rest);
        Cow::Owned(text)
    }

    /// The same literal with another text, whose escapes are written as [`Literal::text`] gives them.
    #[must_use]
    pub fn with(&self, text: &str) -> String {
        let body = if self.is_dollar() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.replace('\'', "''"))
        };
        format!("{}{body}{}", self.open, self.close)
    }
}

/// Cuts a text, whose plain literals are read in one of the two ways, piece by piece: all of them together are many times as
/// long as a text that is made of nothing else.
pub fn pieces(text: &str, reading: Backslash) -> impl Iterator<Item = Piece<'_>> {
    // Where code began that was not given yet; how far everything is read; what follows the code that was given last.
    let (mut code, mut at, mut next) = (0, 0, None);
    std::iter::from_fn(move || {
        if let Some(piece) = next.take() {
            return Some(piece);
        }
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let before = text.get(code..at).unwrap_or_default();
            let Some((piece, len)) = special(before, rest, reading) else {
                at += plain(rest);
                continue;
            };
            at += len;
            code = at;
            if before.is_empty() {
                return Some(piece);
            }
            next = Some(piece);
            return Some(Piece::Code(before));
        }
        let rest = text.get(code..).filter(|rest| !rest.is_empty());
        code = text.len();
        rest.map(Piece::Code)
    })
}

/// The comment or literal that a text begins with, and its length.
fn special<'t>(before: &str, rest: &'t str, reading: Backslash) -> Option<(Piece<'t>, usize)> {
    if rest.starts_with("--") {
        let len = rest.find(NEWLINE).map_or(rest.len(), |end| end + 1);
        return Some((Piece::Comment(rest.get(..len)?), len));
    }
    if rest.starts_with("/*") {
        let len = block(rest);
        return Some((Piece::Comment(rest.get(..len)?), len));
    }
    // A name may hold dollars, too.
    let within_word = before.chars().next_back().is_some_and(|c| is_word(c) || c == '$');
    let open = match rest.as_bytes() {
        [b'\'', ..] => 1,
        [b'e' | b'E' | b'n' | b'N' | b'b' | b'B' | b'x' | b'X', b'\'', ..] if !within_word => 2,
        [b'u' | b'U', b'&', b'\'', ..] if !within_word => 3,
        [b'$', ..] if !within_word => return dollar(rest),
        _ => return None,
    };
    let body = quoted(rest, open, reading);
    let close = usize::from(rest.get(body..).is_some_and(|end| end.starts_with('\'')));
    let literal = Literal {
        open: rest.get(..open)?,
        body: rest.get(open..body)?,
        close: rest.get(body..body + close)?,
    };
    Some((Piece::Literal(literal), body + close))
}

/// `$tag$ … $tag$`.
fn dollar(rest: &str) -> Option<(Piece<'_>, usize)> {
    let tag = rest.get(1..)?.find('$')? + 2;
    let open = rest.get(..tag)?;
    let name = open.trim_matches('$');
    if !name.chars().all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (body, close) = match rest.get(tag..)?.find(open) {
        Some(len) => (rest.get(tag..tag + len)?, open),
        None => (rest.get(tag..)?, ""),
    };
    let len = open.len() + body.len() + close.len();
    Some((Piece::Literal(Literal { open, body, close }), len))
}

/// Where the quote stands that closes a literal whose body begins at `from`; the end of the text where there is none.
fn quoted(text: &str, from: usize, reading: Backslash) -> usize {
    let plain = text.starts_with(['\'', 'n', 'N']) && reading == Backslash::Escape;
    let escapes = plain || text.starts_with(['e', 'E']);
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [] => return text.len(),
            [b'\\', _, ..] if escapes => at += 2,
            [b'\'', b'\'', ..] => at += 2,
            [b'\'', ..] => match continued(text.get(at + 1..).unwrap_or_default()) {
                Some(more) => at += 1 + more,
                None => return at,
            },
            _ => at += 1,
        }
    }
}

/// How far behind a closing quote the quote reaches that goes on with the literal: over spaces with a newline, and comments
/// to the end of a line.
fn continued(text: &str) -> Option<usize> {
    let (mut at, mut newline) = (0, false);
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("--") {
            at += rest.find(NEWLINE)?;
            continue;
        }
        match rest.as_bytes().first()? {
            b'\n' | b'\r' => newline = true,
            b' ' | b'\t' | b'\x0b' | b'\x0c' => {}
            b'\'' if newline => return Some(at + 1),
            _ => return None,
        }
        at += 1;
    }
}

/// Length of a comment with the comments within it.
fn block(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [] => return text.len(),
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth <= 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
}

/// Length of what is no literal: a quoted name, or one character.
fn plain(rest: &str) -> usize {
    match rest.strip_prefix('"') {
        Some(name) => name.find('"').map_or(rest.len(), |end| end + 2),
        None => rest.chars().next().map_or(1, char::len_utf8),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of all literals.
    fn literals(text: &str) -> Vec<String> {
        let pieces = pieces(text, Backslash::Literal);
        let literals = pieces.filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal.text().into_owned()),
            _ => None,
        });
        literals.collect()
    }

    #[test]
    fn literals_are_read_as_postgresql_reads_them() {
        for (text, expected) in [
            ("x 'ca''nary' y", vec!["ca'nary"]),
            ("''", vec![""]),
            ("''''", vec!["'"]),
            ("e'a\\'b' c", vec!["a'b"]),
            ("E'a\\\\' 'b'", vec!["a\\\\", "b"]),
            ("'a\\' 'b'", vec!["a\\", "b"]),
            ("u&'d\\0061t' uescape '!'", vec!["d\\0061t", "!"]),
            ("n'a' b'01' x'ff'", vec!["a", "01", "ff"]),
            ("name'x'", vec!["x"]),
            ("$$a'b$$ $t$c$$d$t$", vec!["a'b", "c$$d"]),
            ("a$b$c 'x' $1 $2", vec!["x"]),
            ("'ca'\n  'nary'", vec!["canary"]),
            ("'ca' -- so\n'nary'", vec!["canary"]),
            ("'ca' 'nary'", vec!["ca", "nary"]),
            ("'ca' /*\n*/ 'nary'", vec!["ca", "nary"]),
            ("'ca' -- so\r'nary'", vec!["canary"]),
            ("-- it's\r'x' -- 'y'\r\n'z'", vec!["xz"]),
            ("a$e'b\\' 'c'", vec!["b\\", "c"]),
            ("-- it's\n'x' /* it's /* 'y' */ 'z' */ 'w'", vec!["x", "w"]),
            ("\"it's\" 'x' \"a\"\"'b\"", vec!["x"]),
            ("'open", vec!["open"]),
            ("$a$open", vec!["open"]),
            ("e'open\\", vec!["open\\"]),
            ("'größe' é'x'", vec!["größe", "x"]),
        ] {
            assert_eq!(literals(text), expected, "{text}");
        }
    }

    #[test]
    fn a_backslash_hides_a_quote_where_it_escapes() {
        for text in ["'a\\' b'", "n'a\\' b'"] {
            assert_eq!(pieces(text, Backslash::Literal).count(), 3, "{text}");
            assert_eq!(pieces(text, Backslash::Escape).count(), 1, "{text}");
        }
    }

    #[test]
    fn the_pieces_are_the_text() {
        for text in [
            "select 'a''b' /* c */, E'\\'' -- d\n from \"t\" where $$x$$ = $1",
            "'",
            "/* /*",
            "\"",
            "$",
            "$a",
            "é$é$",
            "'\u{e9}",
            "U&'x",
            "--",
        ] {
            let whole: String = pieces(text, Backslash::Literal)
                .map(|piece| match piece {
                    Piece::Code(part) | Piece::Comment(part) => part.to_owned(),
                    Piece::Literal(literal) => format!("{}{}{}", literal.open, literal.body, literal.close),
                })
                .collect();
            assert_eq!(whole, text);
        }
    }
}
