//! The encoding of text: masks look into UTF-8.

use super::{Effect, Statement};

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
