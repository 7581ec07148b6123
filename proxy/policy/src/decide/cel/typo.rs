//! What somebody who mistyped a name is told: where it stands, and which name was meant.

/// As many letters may be wrong in the longest name.
const WRONG: usize = 3;

/// A name outside of quoted texts.
struct Word<'a> {
    text: &'a str,
    /// In characters, from 1.
    at: usize,
    /// Whether it is a field or a method of what stands before it.
    after_point: bool,
}

/// Where a name stands first, in characters from 1: as a field of `variable`, or by itself.
pub(super) fn place(source: &str, variable: Option<&str>, name: &str) -> Option<usize> {
    let words = words(source);
    let before = std::iter::once(None).chain(words.iter().map(Some));
    let found = words.iter().zip(before).find(|(word, before)| {
        let fits = match variable {
            Some(variable) => word.after_point && before.is_some_and(|before| before.text == variable),
            None => true,
        };
        fits && word.text == name
    });
    found.map(|(word, _)| word.at)
}

/// The known name that is nearest, if any is near. Case and underscores do not count: `readOnly` means `read_only`.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| -> Vec<char> {
        let letters = name.chars().filter(|letter| *letter != '_');
        letters.flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(name);
    let most = wanted.len().div_ceil(3).min(WRONG);
    let each = known.iter().map(|one| (distance(&wanted, &plain(one)), *one));
    each.filter(|(wrong, _)| *wrong <= most)
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, one)| one)
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.iter().enumerate() {
        let (mut diagonal, mut left) = (above, above + 1);
        for (cell, beside) in row.iter_mut().skip(1).zip(other) {
            let here = (diagonal + usize::from(letter != beside)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn words(source: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut quote, mut escaped, mut after_point) = (None, false, false);
    let mut begun = None;
    let end = (source.len(), ' ');
    for (place, (byte, letter)) in source.char_indices().chain([end]).enumerate() {
        if let Some(mark) = quote {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                letter if letter == mark => quote = None,
                _ => {}
            }
            continue;
        }
        let inside = letter.is_alphanumeric() || letter == '_';
        match (inside, begun) {
            (true, None) => begun = Some((place, byte)),
            (false, Some((first, from))) => {
                words.push(Word {
                    text: source.get(from..byte).unwrap_or_default(),
                    at: first + 1,
                    after_point,
                });
                (begun, after_point) = (None, false);
            }
            _ => {}
        }
        match letter {
            '\'' | '"' => quote = Some(letter),
            '.' => after_point = true,
            _ if !inside && !letter.is_whitespace() => after_point = false,
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_where_it_is_one() {
        for (source, variable, name, at) in [
            ("comand.risk > 1", None, "comand", Some(1)),
            ("'tabels' in command.tabels", Some("command"), "tabels", Some(21)),
            ("identity.risk + command . risk", Some("command"), "risk", Some(27)),
            ("\"é\" == é.x && x.y", Some("x"), "y", Some(17)),
            ("'it\\'s x' == x", None, "x", Some(14)),
            ("command['risc']", Some("command"), "risc", None),
        ] {
            assert_eq!(place(source, variable, name), at, "{source}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested_and_no_far_one() {
        let known = ["verbs", "tables", "read_only", "rows", "risk"];
        for (name, meant) in [
            ("tabels", Some("tables")),
            ("verb", Some("verbs")),
            ("readOnly", Some("read_only")),
            ("rsik", Some("risk")),
            ("nonsense", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
    }
}
