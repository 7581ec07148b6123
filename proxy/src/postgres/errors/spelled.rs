//! Errors that say no more than where something stands in the client's own text, and what it is there.

use sallyport_policy::catalog::Snapshot;

/// Bytes beyond which PostgreSQL cuts a name (`NAMEDATALEN`).
const NAME_BYTES: usize = 64;

/// Whether a message is made of the SQLSTATE and of the name that stands in `text` at `position` (in characters from 1), as PostgreSQL
/// makes it where it looks that name up: both are known without the message. It may name a relation besides that `catalog` knows.
pub(super) fn is_spelled(state: &str, said: &str, text: &str, position: usize, catalog: &Snapshot) -> bool {
    let Some(named) = position.checked_sub(1).and_then(|at| name_at(text, at)) else {
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

/// The name behind `at` characters of a text, qualified or not, as PostgreSQL reads it: the parts of it.
fn name_at(text: &str, at: usize) -> Option<Vec<String>> {
    let start = text.char_indices().nth(at)?.0;
    let mut rest = text.get(start..)?;
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
            _ => return Some(parts),
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
    let (part, behind) = text.split_at_checked(end)?;
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
            (
                "42703",
                "column \"Ada\" does not exist",
                "select nam from people",
                8,
                false,
            ),
            (
                "42703",
                "column \"nam\" does not exist",
                "select nam from people",
                9,
                false,
            ),
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
                is_spelled(state, said, text, position, &catalog),
                spelled,
                "{said} in {text} at {position}"
            );
        }
    }
}
