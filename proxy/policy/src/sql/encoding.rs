//! How text comes and goes: masks look into UTF-8, and into a COPY as its options say.

use super::{CopyDirection, Effect, Statement};

/// Whether PostgreSQL takes a name for UTF-8, which ignores case and punctuation.
#[must_use]
pub fn is_utf8(encoding: &str) -> bool {
    let name: String = encoding
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    matches!(name.as_str(), "utf8" | "unicode")
}

/// Why a statement is refused by which text would come or go in another encoding than UTF-8.
#[must_use]
pub fn other_encoding(statement: &Statement) -> Option<&'static str> {
    let sets = statement.settings.iter().any(|setting| {
        let name = setting.name.as_deref().unwrap_or_default();
        // What is computed may be any: with a quote that is a part of a character there, the rest of a literal runs.
        let stays = !setting.computed && setting.value.as_deref().is_none_or(is_utf8);
        name == "client_encoding" && !stays
    });
    if sets {
        return Some("client_encoding stays UTF8 at this door");
    }
    match &statement.effect {
        Effect::Copy { format, .. } if !format.encoding.as_deref().is_none_or(is_utf8) => {
            Some("COPY in another encoding than UTF8 is refused at this door")
        }
        _ => None,
    }
}

/// Why a statement is refused whose rows nobody could tell apart: the end of a row is not quoted, and PostgreSQL takes the newline
/// for a quote all the same. Whoever reads such a stream takes one column for another.
#[must_use]
pub fn unreadable_copy(statement: &Statement) -> Option<&'static str> {
    match &statement.effect {
        Effect::Copy {
            direction: CopyDirection::Out,
            format,
        } if format
            .quote
            .as_deref()
            .is_some_and(|quote| quote.contains(['\n', '\r'])) =>
        {
            Some("COPY with a line break for a quote is refused at this door: where its rows end cannot be told")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_that_ends_rows_is_refused_where_rows_come_out() {
        for (text, refused) in [
            (r"copy t to stdout (format csv, quote E'\n')", true),
            (r"copy t to stdout (format csv, quote E'\r')", true),
            ("copy t to stdout csv quote '\n'", true),
            (r"copy (select 1) to stdout csv quote E'\n'", true),
            (r"copy t to stdout (format csv, escape E'\n')", false),
            ("copy t to stdout (format csv, quote '6')", false),
            ("copy t to stdout (format csv)", false),
            (r"copy t from stdin (format csv, quote E'\n')", false),
            ("select 1", false),
        ] {
            let script = crate::sql::parse(text).unwrap();
            assert_eq!(unreadable_copy(&script.statements[0]).is_some(), refused, "{text}");
        }
    }
}
