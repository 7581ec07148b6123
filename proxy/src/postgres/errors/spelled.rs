//! Errors that say no more than where something stands in the client's own text, and what it is there.

use sallyport_policy::catalog::Snapshot;

/// Bytes beyond which PostgreSQL cuts a name (`NAMEDATALEN`).
const NAME_BYTES: usize = 64;

/// Whether a message is made of the SQLSTATE and of the name that stands in `text` at `position` (in characters from 1), as PostgreSQL
/// makes it where it looks that name up: both are known without the message. It may name a relation besides that `catalog` knows.
///
/// So is what stands there as a literal, of which PostgreSQL says that it is none of its type: no stored value is at any place of a text.
/// Where its type runs code of users (`own` is false), that chooses the words, and has the literal's place.
pub(super) fn is_spelled(state: &str, said: &str, text: &str, position: usize, catalog: &Snapshot, own: bool) -> bool {
    let Some(start) = position.checked_sub(1).and_then(|at| text.char_indices().nth(at)) else {
        return false;
    };
    let text = text.get(start.0..).unwrap_or_default();
    own && is_of_literal(state, said, text)
        || is_of_operator(state, said, text)
        || is_of_name(state, said, text, catalog)
}

/// What PostgreSQL says of a literal, by SQLSTATE: with the literal, and a type behind it or before it.
const OF_LITERALS: [(&str, &str, &str); 7] = [
    ("22003", "value ", " is out of range for type "),
    ("22007", "invalid input syntax for type ", ": "),
    ("22008", "date/time field value out of range: ", ""),
    ("22P02", "invalid input syntax for type ", ": "),
    ("22P02", "invalid input value for enum ", ": "),
    ("22P02", "malformed array literal: ", ""),
    ("22P02", "malformed range literal: ", ""),
];

/// Whether a message is about the literal with which a text begins.
fn is_of_literal(state: &str, said: &str, text: &str) -> bool {
    let Some(quoted) = literal(text).map(|literal| format!("\"{literal}\"")) else {
        return false;
    };
    let mut each = OF_LITERALS.iter().filter(|(code, ..)| *code == state);
    each.any(|(_, before, between)| {
        let Some(rest) = said.strip_prefix(*before) else {
            return false;
        };
        match *between {
            "" => rest == quoted,
            ": " => rest
                .strip_suffix(&*quoted)
                .and_then(|rest| rest.strip_suffix(": "))
                .is_some_and(are_types),
            _ => rest
                .strip_prefix(&*quoted)
                .and_then(|rest| rest.strip_prefix(*between))
                .is_some_and(are_types),
        }
    })
}

/// The plain literal with which a text begins. One with a backslash is read in two ways.
fn literal(text: &str) -> Option<String> {
    let (mut literal, mut rest) = (String::new(), text.strip_prefix('\'')?);
    loop {
        let (piece, behind) = rest.split_once('\'')?;
        literal.push_str(piece);
        match behind.strip_prefix('\'') {
            Some(more) => {
                literal.push('\'');
                rest = more;
            }
            None => return Some(literal).filter(|literal| !literal.contains('\\')),
        }
    }
}

/// Whether a message is that there is no such operator as the one with which a text begins, for some types.
fn is_of_operator(state: &str, said: &str, text: &str) -> bool {
    let end = text
        .find(|c: char| !"+-*/<>=~!@#%^&|`?".contains(c))
        .unwrap_or(text.len());
    let Some(operator) = text
        .get(..end)
        .filter(|operator| !operator.is_empty() && state == "42883")
    else {
        return false;
    };
    let types = said
        .strip_prefix("operator does not exist: ")
        .and_then(|rest| rest.split_once(operator));
    types.is_some_and(|(left, right)| {
        let left = left.strip_suffix(' ').map_or(left.is_empty(), are_types);
        left && right.strip_prefix(' ').is_some_and(are_types)
    })
}

/// Whether this can be a list of types: of what a text means, nothing that is stored.
fn are_types(text: &str) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || "_$ ,.[]()\"".contains(c);
    text.chars().all(belongs)
}

/// Whether a message is about the name with which a text begins.
fn is_of_name(state: &str, said: &str, text: &str, catalog: &Snapshot) -> bool {
    // `E'…'` and `U&'…'` are literals.
    let Some((named, behind)) =
        name_of(text).filter(|(_, behind)| !behind.starts_with('\'') && !behind.starts_with("&'"))
    else {
        return false;
    };
    let all = named.join(".");
    let (Some(last), before) = (named.last(), named.iter().rev().nth(1)) else {
        return false;
    };
    let of_table = |begins: &str| before.is_some_and(|table| said == format!("{begins} \"{table}\""));
    match state {
        "42703" => {
            let alone = match before {
                None => said == format!("column \"{last}\" does not exist"),
                Some(_) => said == format!("column {all} does not exist"),
            };
            alone || relation_of(said, last).is_some_and(|name| catalog.named_anywhere(name).next().is_some())
        }
        "42883" => {
            let named = said
                .strip_prefix("function ")
                .or_else(|| said.strip_prefix("procedure "));
            let types = named.and_then(|rest| rest.strip_prefix(&*all));
            let types = types.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(") does not exist"));
            types.is_some_and(are_types) && behind.trim_start().starts_with('(')
        }
        "42702" => said == format!("column reference \"{last}\" is ambiguous"),
        "42P01" => {
            said == format!("relation \"{all}\" does not exist")
                || of_table("missing FROM-clause entry for table")
                || of_table("invalid reference to FROM-clause entry for table")
        }
        _ => false,
    }
}

/// The relation of which a message says that it has no column of this name.
fn relation_of<'s>(said: &'s str, column: &str) -> Option<&'s str> {
    let rest = said.strip_prefix(&format!("column \"{column}\" of relation \""))?;
    rest.strip_suffix("\" does not exist")
}

/// The name with which a text begins, qualified or not, as PostgreSQL reads it: the parts of it, and what stands behind it.
fn name_of(text: &str) -> Option<(Vec<String>, &str)> {
    let mut rest = text;
    let mut parts = Vec::new();
    loop {
        let (part, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => plain_part(rest)?,
        };
        if part.is_empty() || part.len() >= NAME_BYTES {
            return None;
        }
        parts.push(part);
        match behind.trim_start().strip_prefix('.').map(str::trim_start) {
            Some(more) if !more.starts_with('*') => rest = more,
            _ => return Some((parts, behind)),
        }
    }
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let (mut part, mut rest) = (String::new(), text);
    loop {
        let (piece, behind) = rest.split_once('"')?;
        part.push_str(piece);
        match behind.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, behind)),
        }
    }
}

fn plain_part(text: &str) -> Option<(String, &str)> {
    let belongs = |c: char| c == '_' || c == '$' || c.is_ascii_alphanumeric() || !c.is_ascii();
    let end = text.find(|c: char| !belongs(c)).unwrap_or(text.len());
    // `$$…$$` is a literal.
    let (part, behind) = text.split_at_checked(end).filter(|(part, _)| !part.starts_with('$'))?;
    Some((part.to_ascii_lowercase(), behind))
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::Relation;

    use super::*;

    #[test]
    fn a_message_is_spelled_by_the_text_at_its_position() {
        let catalog = Snapshot::new(vec![Relation {
            oid: 20_000,
            schema: "public".to_owned(),
            name: "people".to_owned(),
            ..Relation::default()
        }]);
        for (state, said, text, position, spelled) in [
            (
                "42703",
                "column \"nam\" does not exist",
                "select nam from people",
                8,
                true,
            ),
            (
                "42703",
                "column \"nam\" does not exist",
                "select NAM from people",
                8,
                true,
            ),
            (
                "42703",
                "column \"Nam\" does not exist",
                "select \"Nam\" from people",
                8,
                true,
            ),
            (
                "42703",
                "column \"a\"b\" does not exist",
                "select \"a\"\"b\" from people",
                8,
                true,
            ),
            (
                "42703",
                "column p.nam does not exist",
                "select p . nam from people p",
                8,
                true,
            ),
            (
                "42703",
                "column \"naïf\" does not exist",
                "select 'ü', naïf from people",
                13,
                true,
            ),
            (
                "42703",
                "column \"nam\" of relation \"people\" does not exist",
                "update people set nam = 'x'",
                19,
                true,
            ),
            (
                "42703",
                "column \"nam\" of relation \"Ada\" does not exist",
                "update people set nam = 'x'",
                19,
                false,
            ),
            ("42703", "column \"nam\" does not exist", "select nam", 9, false),
            ("42883", "procedure nop() does not exist", "call nop()", 6, true),
            ("42883", "procedure Ada() does not exist", "call nop()", 6, false),
            (
                "42703",
                "column \"nam\" does not exist",
                "select nam from people",
                0,
                false,
            ),
            (
                "42703",
                "column \"nam\" does not exist",
                "select nam from people",
                99,
                false,
            ),
            (
                "22P02",
                "column \"nam\" does not exist",
                "select nam from people",
                8,
                false,
            ),
            (
                "42883",
                "function nofunc(text, integer[]) does not exist",
                "select nofunc(nam, '{1}') from people",
                8,
                true,
            ),
            (
                "42883",
                "function Ada(text) does not exist",
                "select nofunc(nam) from people",
                8,
                false,
            ),
            (
                "42883",
                "operator does not exist: text = integer",
                "table people where nam = 1",
                24,
                true,
            ),
            ("42883", "operator does not exist: - text", "select -nam", 8, true),
            (
                "42883",
                "operator does not exist: text <> 'Ada'",
                "select nam <> 1",
                12,
                false,
            ),
            (
                "22P02",
                "invalid input syntax for type integer: \"it's\"",
                "select 'it''s'::int",
                8,
                true,
            ),
            (
                "22P02",
                "invalid input syntax for type integer: \"Ada\"",
                "select 'it''s'::int",
                8,
                false,
            ),
            (
                "22P02",
                "invalid input syntax for type integer: \"Ada\"",
                "select nam::int",
                8,
                false,
            ),
            (
                "22P02",
                "invalid input value for enum mood: \"zz\"",
                "select 'zz'::mood",
                8,
                true,
            ),
            (
                "22P02",
                "invalid input syntax for type integer: \"a\\b\"",
                "select 'a\\b'::int",
                8,
                false,
            ),
            (
                "22008",
                "date/time field value out of range: \"2020-13-45\"",
                "select '2020-13-45'::date",
                8,
                true,
            ),
            (
                "22003",
                "value \"99999\" is out of range for type smallint",
                "select '99999'::int2",
                8,
                true,
            ),
            (
                "22003",
                "value \"53690\" is out of range for type smallint",
                "select '99999'::int2",
                8,
                false,
            ),
            (
                "42702",
                "column reference \"id\" is ambiguous",
                "select id from a, b",
                8,
                true,
            ),
            ("42P01", "relation \"s.x\" does not exist", "table s.x", 7, true),
            (
                "42P01",
                "missing FROM-clause entry for table \"q\"",
                "select q.id from people",
                8,
                true,
            ),
            (
                "42P01",
                "missing FROM-clause entry for table \"Ada\"",
                "select q.id from people",
                8,
                false,
            ),
        ] {
            assert_eq!(
                is_spelled(state, said, text, position, &catalog, true),
                spelled,
                "{said} in {text} at {position}"
            );
        }
    }
}
